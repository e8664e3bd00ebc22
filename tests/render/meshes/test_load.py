"""Reading meshes: contents of all formats come out right, and what is broken is named."""

import io
import re
from pathlib import Path

import numpy as np
import pytest

from fixtures.mesh_files import box_obj, glb, mtl, png, write, write_zip
from seqjepa.errors import ConfigError, DataError
from seqjepa.reading.archives import Files
from seqjepa.render.meshes.load import load_mesh
from seqjepa.render.meshes.mesh import RADIUS, Mesh

trimesh = pytest.importorskip("trimesh")


def load(folder: Path, name: str = "a.obj", **options) -> Mesh:
    return load_mesh(Files(folder), name, **options)


def sides(mesh: Mesh) -> np.ndarray:
    return np.ptp(mesh.points.reshape(-1, 3), axis=0)


def test_y_is_up_in_files_and_z_in_the_scene(tmp_path: Path) -> None:
    mesh = load(write(tmp_path, {"a.obj": box_obj((1, 2, 3))}))
    assert len(mesh.points) == 12
    assert np.allclose(sides(mesh), 2 * np.array([1, 3, 2]) * RADIUS / np.sqrt(14))

    # A pyramid that points up.
    tip = "v 0 5 0\nv 1 0 0\nv -1 0 1\nv 0 0 -1\nf 1 2 3\nf 1 3 4\nf 1 4 2\nf 2 4 3\n"
    points = load(write(tmp_path, {"a.obj": tip})).points.reshape(-1, 3)
    assert points[points[:, 2].argmax(), 2] > 0.5 and (points[:, 2] < 0).mean() > 0.5
    turned = load(tmp_path, turn=np.diag([1.0, -1, -1])).points.reshape(-1, 3)
    assert np.isclose(turned[:, 2].min(), -points[:, 2].max())


def test_materials_textures_and_their_names(tmp_path: Path) -> None:
    files = {"a.obj": box_obj(material="m.mtl"), "m.mtl": mtl("Kd 0.2 0.4 0.6", "d 0.5")}
    plain = load(write(tmp_path / "plain", files))
    assert np.allclose(plain.colour, [0.2, 0.4, 0.6, 0.5], atol=1 / 255) and not plain.opaque

    for name, place in {
        "t.png": "x/t.png",
        "../images/t.png": "images/t.png",
        r"C:\Users\me\T.PNG": "x/t.png",
        "/home/me/t.png": "x/t.png",
    }.items():
        files = {
            "x/a.obj": box_obj(material="m.mtl", uv=True),
            "x/m.mtl": mtl("Kd 0 0 0", f"map_Kd {name}"),
            place: png((200, 30, 30)),
        }
        mesh = load(write(tmp_path / re.sub(r"\W", "_", name), files), "x/a.obj")
        assert mesh.textures[0].shape == (8, 8, 4)
        assert np.array_equal(mesh.textures[0][0, 0], [200, 30, 30, 255])
        assert np.allclose(mesh.colour, 1) and np.ptp(mesh.uv) == 1


def test_an_archive_reads_like_its_folder(tmp_path: Path) -> None:
    files = {
        "x/a.obj": box_obj((1, 2, 3), "m.mtl", uv=True),
        "x/m.mtl": mtl("map_Kd t.png"),
        "x/t.png": png(),
    }
    one = load(write(tmp_path / "folder", files), "x/a.obj")
    two = load(write_zip(tmp_path / "a.zip", files), "x/a.obj")
    assert np.array_equal(one.points, two.points)
    assert np.array_equal(one.textures[0], two.textures[0])


def test_vertex_and_face_colours_of_a_ply(tmp_path: Path) -> None:
    box = trimesh.creation.box()
    box.visual.vertex_colors = np.tile([10, 20, 30, 255], (8, 1))
    (tmp_path / "a.ply").write_bytes(box.export(file_type="ply"))
    assert np.allclose(load(tmp_path, "a.ply").colour, np.array([10, 20, 30, 255]) / 255)


def test_a_glb_with_a_texture_and_its_place_in_the_scene(tmp_path: Path) -> None:
    from PIL import Image
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    box = trimesh.creation.box(extents=(1, 2, 3))
    material = PBRMaterial(baseColorTexture=Image.open(io.BytesIO(png((10, 200, 10)))))
    uv = np.random.default_rng(0).random((len(box.vertices), 2))
    box.visual = TextureVisuals(uv=uv, material=material)
    scene = trimesh.Scene()
    scene.add_geometry(box, transform=trimesh.transformations.rotation_matrix(np.pi / 2, [0, 0, 1]))
    (tmp_path / "a.glb").write_bytes(scene.export(file_type="glb"))

    # x and y changed places, then z became up.
    mesh = load(tmp_path, "a.glb")
    assert np.array_equal(mesh.textures[0][0, 0], [10, 200, 10, 255])
    assert np.allclose(sides(mesh) / sides(mesh).max(), np.array([2, 3, 1]) / 3, atol=1e-6)


TEXTURED = box_obj(material="m.mtl", uv=True)
BAD = {
    "no texture": (
        {"a.obj": TEXTURED, "m.mtl": mtl("map_Kd gone.png")},
        r"a\.obj needs what is not there: gone\.png",
    ),
    "no material file": ({"a.obj": TEXTURED}, r"a\.obj needs what is not there: m\.mtl"),
    "outside": (
        {"a.obj": TEXTURED, "m.mtl": mtl("map_Kd ../../secret.png")},
        r"not there: \.\./\.\./secret\.png",
    ),
    "no picture": (
        {"a.obj": TEXTURED, "m.mtl": mtl("map_Kd t.png"), "t.png": b"nothing"},
        r"not there: t\.png as a picture",
    ),
    "half a picture": (
        {"a.obj": TEXTURED, "m.mtl": mtl("map_Kd t.png"), "t.png": png(size=99)[:90]},
        r"a\.obj: a texture in .* is a damaged",
    ),
    "empty": ({"a.obj": ""}, r"a\.obj.*(no faces|no whole mesh)"),
    "text": (
        {"a.obj": "Dear Sir or Madam,\nf one two three\n"},
        r"a\.obj.*(no faces|no whole mesh)",
    ),
    "only points": ({"a.obj": "v 0 0 0\nv 1 0 0\nv 0 1 0\n"}, r"a\.obj.*no faces"),
    "faces without points": (
        {"a.obj": "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 99\n"},
        r"a\.obj is no whole mesh",
    ),
    "not a number": (
        {"a.obj": box_obj().replace("1.000000", "nan", 1)},
        r"a\.obj.*(NaN|no whole mesh|no faces)",
    ),
    "far away": (
        {"a.obj": box_obj().replace("1.000000", "1e200", 1)},
        r"a\.obj: 6 corners are NaN, infinite or beyond ±1e\+12",
    ),
    "texture at infinity": (
        {
            "a.obj": TEXTURED.replace("vt 1 0", "vt inf 0"),
            "m.mtl": mtl("map_Kd t.png"),
            "t.png": png(),
        },
        r"a\.obj: \d+ places in the texture are NaN, infinite or beyond ±1e\+06",
    ),
    "texture far away": (
        {
            "a.obj": TEXTURED.replace("vt 1 0", "vt 1e9 0"),
            "m.mtl": mtl("map_Kd t.png"),
            "t.png": png(),
        },
        r"a\.obj: \d+ places in the texture are NaN, infinite or beyond ±1e\+06",
    ),
    "places that are not there": (
        {
            "a.obj": TEXTURED.replace("vt 0 1\n", ""),
            "m.mtl": mtl("map_Kd t.png"),
            "t.png": png(),
        },
        r"a\.obj is no whole mesh.*faces name places in a texture beyond the 3 that are there",
    ),
    "nested without end": (
        {"a.glb": glb(b"[" * 100_000)},
        r"a\.glb is no whole mesh \(RecursionError",
    ),
    "flat": (
        {"a.obj": box_obj((1, 1, 0))},
        r"a\.obj: flat: it measures 2 x 2 x 0|a\.obj: flat: it measures 2 x 0 x 2",
    ),
    "one point": ({"a.obj": box_obj((0, 0, 0))}, r"a\.obj: no triangle has an area"),
    "broken glb": ({"a.glb": b"glTF" + bytes(50)}, r"a\.glb is no whole mesh"),
    "broken ply": (
        {"a.ply": b"ply\nformat binary_little_endian 1.0\nelement vertex 9\n"},
        r"a\.ply is no whole mesh",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_broken_is_said(name: str, tmp_path: Path) -> None:
    files, message = BAD[name]
    with pytest.raises(DataError, match=message) as caught:
        load(write(tmp_path / "inside" / "deep", files), next(iter(files)))
    assert "\n" not in str(caught.value)


def test_archives_that_leave_their_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="points outside the archive"):
        Files(write_zip(tmp_path / "a.zip", {"../a.obj": box_obj()}))
    with pytest.raises(DataError, match="points outside"):
        Files(write(tmp_path / "x", {"b.obj": box_obj()})).read("../a.zip", 99)


def test_without_trimesh_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "trimesh", None)
    with pytest.raises(ConfigError, match=r"pip install 'seqjepa\[meshes\]'"):
        load(write(tmp_path, {"a.obj": box_obj()}))
