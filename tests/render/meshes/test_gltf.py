"""glTF files: what they may hold is drawn as the specification says, or named if it is not read."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.gltf_files import BOX, FACES, Gltf
from fixtures.mesh_files import png, write
from seqjepa.errors import DataError
from seqjepa.reading.archives import Files
from seqjepa.render.meshes.load import load_mesh
from seqjepa.render.meshes.mesh import Mesh

pytest.importorskip("trimesh")
UV = np.array([[u, v] for u in (0, 1) for v in (0.25, 0.5, 0.75, 1)], np.float32)
RED = (220, 30, 30)


def load(folder: Path, data: bytes, files=(), name="a.glb") -> Mesh:
    return load_mesh(Files(write(folder, {name: data} | dict(files))), name)


def sides(mesh: Mesh) -> np.ndarray:
    """Extents along the file's x, y and z, the longest being 1."""
    size = np.ptp(mesh.points.reshape(-1, 3), axis=0)[[0, 2, 1]]
    return size / size.max()


def box() -> Gltf:
    made = Gltf()
    made.primitive()
    return made


def textured(picture: bytes = png(RED), mime="image/png", **uv) -> tuple[Gltf, dict]:
    """A box with a texture, and what its material says of that."""
    made = Gltf()
    made.primitive(texcoord_0=made.table(uv.get("uv", UV)))["material"] = 0
    return made, made.texture(picture, mime)


SIZE = np.array([1, 0.7, 0.5])


def test_text_binary_and_bytes_beside_it_are_the_same(tmp_path: Path) -> None:
    made = box()
    binary = load(tmp_path / "a", made.glb())
    inside = load(tmp_path / "b", made.gltf(), name="a.gltf")
    beside = load(tmp_path / "c", made.gltf("my%20data.bin"), {"my data.bin": made.data}, "a.gltf")
    for mesh in (binary, inside, beside):
        assert np.array_equal(mesh.points, binary.points) and np.allclose(sides(mesh), SIZE)
    with pytest.raises(DataError, match=r"a\.gltf needs what is not there: gone\.bin"):
        load(tmp_path / "d", made.gltf("gone.bin"), name="a.gltf")


@pytest.mark.parametrize(
    "names",
    [
        ["KHR_draco_mesh_compression"],
        ["EXT_meshopt_compression"],
        ["KHR_texture_basisu"],
        ["KHR_materials_unlit"],
        ["EXT_mesh_gpu_instancing", "VENDOR_new"],
    ],
)
def test_what_is_required_and_not_read_is_named(names: list[str], tmp_path: Path) -> None:
    made = box()
    made.json |= {"extensionsUsed": names, "extensionsRequired": [*names, "KHR_mesh_quantization"]}
    expected = rf"a\.glb: it requires {', '.join(names)}, which is not read\. Repair it or leave"
    with pytest.raises(DataError, match=expected):
        load(tmp_path, made.glb())
    del made.json["extensionsRequired"]
    assert np.allclose(sides(load(tmp_path, made.glb())), SIZE)


def test_geometry_that_only_an_extension_holds_is_named(tmp_path: Path) -> None:
    made = box()
    primitive = made.json["meshes"][0]["primitives"][0]
    primitive["extensions"] = {"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {}}}
    assert np.allclose(sides(load(tmp_path, made.glb())), SIZE)  # with what is there without it
    del made.json["accessors"][0]["bufferView"]
    with pytest.raises(DataError, match=r"a\.glb: it needs KHR_draco_mesh_compression"):
        load(tmp_path, made.glb())


@pytest.mark.parametrize(
    "extension", ["KHR_texture_basisu", "EXT_texture_avif", "MSFT_texture_dds"]
)
def test_textures_in_formats_that_are_not_read_are_named(extension: str, tmp_path: Path) -> None:
    made, _ = textured()
    made.json["textures"] = [{"extensions": {extension: {"source": 0}}}]
    with pytest.raises(DataError, match=rf"a\.glb: a texture needs {extension}, which is not read"):
        load(tmp_path, made.glb())
    # With another picture for those who do not know the extension.
    made.json["textures"][0]["source"] = 0
    assert load(tmp_path, made.glb()).textures[0][0, 0].tolist() == [*RED, 255]


@pytest.mark.parametrize(
    ("picture", "mime", "message"),
    [
        (b"\xabKTX 20\xbb\r\n\x1a\n" + bytes(80), "image/ktx2", "a texture is KTX2, not read"),
        (b"\xabKTX 20\xbb\r\n\x1a\n" + bytes(80), "image/png", "a texture is KTX2, not read"),
        (png(), "image/vnd-ms.dds", "a texture is image/vnd-ms.dds, not read"),
        (b"nothing", "image/png", "needs what is not there: image 0 as a picture"),
        (png(size=99)[:90], "image/png", "a texture in .* is a damaged picture"),
    ],
)
def test_pictures_that_are_none(picture: bytes, mime: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"a\.glb.*{message}"):
        load(tmp_path, textured(picture, mime)[0].glb())


def test_webp_is_read(tmp_path: Path) -> None:
    data = io.BytesIO()
    Image.new("RGB", (8, 8), RED).save(data, "WEBP", lossless=True)
    made, _ = textured(data.getvalue(), "image/webp")
    made.json["textures"] = [{"extensions": {"EXT_texture_webp": {"source": 0}}}]
    made.json["extensionsRequired"] = ["EXT_texture_webp"]
    assert load(tmp_path, made.glb()).textures[0][0, 0].tolist() == [*RED, 255]


@pytest.mark.parametrize("uri", ["my%20skin.png", "my skin.png", "sub/../my%20skin.png"])
def test_textures_beside_the_file(uri: str, tmp_path: Path) -> None:
    made, _ = textured()
    made.json["images"] = [{"uri": uri}]
    mesh = load(tmp_path / "a", made.glb(), {"my skin.png": png(RED)})
    assert mesh.textures[0][0, 0].tolist() == [*RED, 255]
    with pytest.raises(DataError, match=r"needs what is not there: .*my skin\.png"):
        load(tmp_path / "b", made.glb())


def flipped(uv: np.ndarray) -> np.ndarray:
    """Places as a mesh has them, of all corners in order."""
    return np.stack([uv[:, 0], 1 - uv[:, 1]], 1)[FACES]


def test_textures_that_are_moved_scaled_and_turned(tmp_path: Path) -> None:
    """The first example of KHR_texture_transform: the lower left quarter, turned clockwise."""
    made, info = textured()
    transform = {"offset": [0, 1], "rotation": np.pi / 2, "scale": [0.5, 0.5]}
    info["extensions"] = {"KHR_texture_transform": transform}
    made.json["extensionsRequired"] = ["KHR_texture_transform"]
    uv = load(tmp_path, made.glb()).uv
    assert np.allclose(uv, flipped(np.stack([UV[:, 1] / 2, 1 - UV[:, 0] / 2], 1)))
    assert uv.min() >= -1e-9 and uv.max() <= 0.5 + 1e-9

    transform.clear()
    transform |= {"offset": [0, 1], "scale": [1, -1]}
    assert np.allclose(load(tmp_path, made.glb()).uv, UV[FACES], atol=1e-6)


def test_other_sets_of_places(tmp_path: Path) -> None:
    made, info = textured()
    other = UV * 0.5
    attributes = made.json["meshes"][0]["primitives"][0]["attributes"]
    attributes["TEXCOORD_1"] = made.table(other)
    assert np.allclose(load(tmp_path, made.glb()).uv, flipped(UV))
    info["texCoord"] = 1
    assert np.allclose(load(tmp_path, made.glb()).uv, flipped(other))
    info["extensions"] = {"KHR_texture_transform": {"texCoord": 0}}
    assert np.allclose(load(tmp_path, made.glb()).uv, flipped(UV))


@pytest.mark.parametrize(("mode", "columns"), [(33071, "abb"), (33648, "abba"), (10497, "ab")])
def test_samplers_that_clamp_and_mirror(mode: int, columns: str, tmp_path: Path) -> None:
    picture = Image.new("RGB", (2, 1))
    colours = {"a": (200, 0, 0), "b": (0, 0, 200)}
    for number, colour in enumerate(colours.values()):
        picture.putpixel((number, 0), colour)
    data = io.BytesIO()
    picture.save(data, "PNG")
    made, _ = textured(data.getvalue(), uv=UV * [1.5, 1])
    made.json["samplers"] = [{"wrapS": mode}]
    made.json["textures"][0]["sampler"] = 0

    mesh = load(tmp_path, made.glb())
    row = [tuple(pixel[:3]) for pixel in mesh.textures[0][0].tolist()]
    assert row[: len(columns)] == [colours[name] for name in columns]
    assert mesh.uv[..., 0].max() == pytest.approx(1.5 * 2 / len(row))


def test_whole_numbers_that_stand_for_fractions(tmp_path: Path) -> None:
    made = Gltf()
    quantized = made.table(np.rint(BOX * 32767), "i2", normalized=True)
    uv = made.table(np.rint(UV * 65535), "u2", normalized=True)
    made.primitive(texcoord_0=uv)
    primitive = made.json["meshes"][0]["primitives"][0]
    primitive["attributes"]["POSITION"], primitive["material"] = quantized, 0
    made.texture(png(RED))
    made.json["extensionsRequired"] = ["KHR_mesh_quantization"]
    # A second box, in floats, as large and beside it.
    made.json["nodes"] = [{"children": [1, 2]}, {"mesh": 0}, {"mesh": 1, "translation": [2, 0, 0]}]
    made.json["meshes"].append({"primitives": [{"attributes": {"POSITION": made.table(BOX)}}]})
    made.json["meshes"][1]["primitives"][0]["indices"] = primitive["indices"]
    mesh = load(tmp_path, made.glb())
    assert np.allclose(sides(mesh), np.array([4, 1.4, 1]) / 4, atol=1e-4)
    assert np.allclose([mesh.uv[..., 0].max(), mesh.uv[..., 1].max()], [1, 0.75], atol=1e-4)


def test_tables_of_which_some_rows_are_given_apart(tmp_path: Path) -> None:
    made = box()
    low = BOX.copy()
    low[:, 1] = 0
    rows = np.flatnonzero(BOX[:, 1] > 0).astype(np.uint16)
    sparse = {
        "count": len(rows),
        "indices": {"bufferView": made.view(rows.tobytes()), "componentType": 5123},
        "values": {"bufferView": made.view(BOX[rows].tobytes())},
    }
    made.json["accessors"][0] |= {"bufferView": made.view(low.tobytes()), "sparse": sparse}
    assert np.allclose(sides(load(tmp_path, made.glb())), np.array([1, 0.35, 0.5]))

    # Without a view, the other rows are zeros.
    del made.json["accessors"][0]["bufferView"]
    points = load(tmp_path, made.glb()).points
    assert (np.unique(points.reshape(-1, 3).round(6), axis=0)).shape == (5, 3)


def test_tables_side_by_side(tmp_path: Path) -> None:
    """Corners and places in one view, row by row."""
    made = Gltf()
    rows = np.concatenate([BOX, UV], 1).astype(np.float32)
    view = made.view(rows.tobytes(), byteStride=20)
    made.primitive(texcoord_0=1)["material"] = 0
    made.json["accessors"][0]["bufferView"] = view
    faces = made.json["accessors"].pop()
    about = {"bufferView": view, "byteOffset": 12, "count": 8, "componentType": 5126}
    made.json["accessors"] += [about | {"type": "VEC2"}, faces]
    made.json["meshes"][0]["primitives"][0]["indices"] = 2
    made.texture(png())
    mesh = load(tmp_path, made.glb())
    assert np.allclose(sides(mesh), SIZE) and np.allclose(mesh.uv, flipped(UV))


@pytest.mark.parametrize(
    ("mode", "indices"),
    [
        (5, [0, 1, 2, 3, 3, 1, 1, 5, 3, 7, 7, 2, 2, 3, 6, 7, 7, 0, 0, 2, 4, 6, 6, 5, 5, 4, 7, 6, 6,
             4, 4, 0, 5, 1]),
        (6, None),
        (None, FACES),
    ],
)  # fmt: skip
def test_strips_and_fans(mode: int | None, indices, tmp_path: Path) -> None:
    made = Gltf()
    if indices is not None:
        made.primitive(faces=np.reshape(indices, (-1, 1)), mode=mode)
    else:
        # Two fans, round opposite corners.
        made.primitive(faces=[[0], [1], [3], [2], [6], [4], [5], [1]], mode=mode)
        made.primitive(faces=[[7], [3], [1], [5], [4], [6], [2], [3]], mode=mode)
    mesh = load(tmp_path, made.glb())
    assert np.allclose(sides(mesh), SIZE)
    edges = mesh.points[:, 1:] - mesh.points[:, :1]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1).sum() / 2
    whole = 8 * (0.7 * 0.5 + 0.7 + 0.5) * (np.ptp(mesh.points[..., 0]) / 2) ** 2
    assert area == pytest.approx(whole) and len(mesh.points) == 12


def test_points_and_lines_are_left_out(tmp_path: Path) -> None:
    made = box()
    made.primitive(BOX * 9, None, mode=0)
    made.primitive(BOX * 9, None, mode=1)
    assert np.allclose(sides(load(tmp_path, made.glb())), SIZE)


QUARTER = [0, 0, np.sqrt(0.5), np.sqrt(0.5)]  # about z


def skinned(**node) -> Gltf:
    """A box that is held by one joint, in the pose in which it was bound."""
    made = Gltf()
    made.primitive(
        normal=made.table(np.sign(BOX) / np.sqrt(3)),
        joints_0=made.table([[0, 0, 0, 0]] * 8, "u1"),
        weights_0=made.table([[1, 0, 0, 0]] * 8),
    )
    bound = np.eye(4)
    bound[:3, 3] = [0, -5, 0]
    inverse = made.table(bound.T.reshape(1, 16))
    made.json |= {
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [{"mesh": 0, "skin": 0} | node, {"translation": [0, 5, 0]}],
        "skins": [{"joints": [1], "inverseBindMatrices": inverse}],
    }
    return made


@pytest.mark.parametrize(
    "node",
    [
        {},
        {"rotation": QUARTER},
        {"scale": [1, 9, 1], "translation": [0, 7, 0]},
        {"matrix": np.diag([0.0, 1, 1, 1]).reshape(-1).tolist()},
    ],
)
def test_the_own_place_of_a_skinned_mesh_does_not_count(node: dict, tmp_path: Path) -> None:
    mesh = load(tmp_path, skinned(**node).glb())
    assert np.allclose(sides(mesh), SIZE)
    plain = load(tmp_path / "plain", skinned().glb())
    assert np.allclose(mesh.points, plain.points) and np.allclose(mesh.normals, plain.normals)


def test_joints_place_a_skinned_mesh(tmp_path: Path) -> None:
    made = skinned()
    made.json["nodes"][1]["rotation"] = QUARTER
    assert np.allclose(sides(load(tmp_path, made.glb())), [0.7, 1, 0.5])

    # A second joint pulls the upper half up; a corner that both hold goes half the way.
    made = skinned()
    weights = np.where(BOX[:, 1:2] > 0, [[64, 191, 0, 0]], [[255, 0, 0, 0]])
    attributes = made.json["meshes"][0]["primitives"][0]["attributes"]
    attributes["WEIGHTS_0"] = made.table(weights, "u1", normalized=True)
    attributes["JOINTS_0"] = made.table([[0, 1, 0, 0]] * 8, "u1")
    made.json["skins"] = [{"joints": [1, 2]}]
    made.json["nodes"] += [{"translation": [0, 4, 0]}]
    made.json["nodes"][1] = {"children": [2]}
    height = 1.4 + 4 * 191 / 255
    assert np.allclose(sides(load(tmp_path, made.glb())), np.array([2, height, 1]) / height)


def test_morph_targets_count_by_their_weights(tmp_path: Path) -> None:
    made = box()
    taller = np.where(BOX[:, 1:2] > 0, [[0, 1.4, 0]], 0)
    wider = np.where(BOX[:, :1] > 0, [[2.0, 0, 0]], 0)
    targets = [{"POSITION": made.table(taller)}, {"POSITION": made.table(wider)}]
    made.json["meshes"][0]["primitives"][0]["targets"] = targets
    assert np.allclose(sides(load(tmp_path, made.glb())), SIZE)
    made.json["meshes"][0]["weights"] = [1, 0]
    assert np.allclose(sides(load(tmp_path, made.glb())), np.array([2, 2.8, 1]) / 2.8)
    made.json["nodes"][0]["weights"] = [0, 0.5]
    assert np.allclose(sides(load(tmp_path, made.glb())), np.array([3, 1.4, 1]) / 3)


def test_nodes_place_each_other(tmp_path: Path) -> None:
    made = box()
    made.json["nodes"] = [
        {"children": [1], "rotation": QUARTER},
        {"camera": 0, "children": [2], "scale": [2, 1, 1]},
        {"mesh": 0, "matrix": np.diag([1.0, 1, 4, 1]).reshape(-1).tolist()},
        {"mesh": 0, "translation": [99, 0, 0]},  # in no scene
    ]
    made.json["cameras"] = [{"type": "perspective", "perspective": {"yfov": 1, "znear": 1}}]
    assert np.allclose(sides(load(tmp_path, made.glb())), np.array([1.4, 4, 4]) / 4)
    del made.json["scenes"], made.json["scene"], made.json["nodes"][3]
    assert np.allclose(sides(load(tmp_path, made.glb())), np.array([1.4, 4, 4]) / 4)

    # What is scaled to nothing is not there.
    made.json["nodes"] = [{"children": [1, 2]}, {"mesh": 0}, {"mesh": 0, "scale": [0, 0, 0]}]
    assert len(load(tmp_path, made.glb()).points) == 12


ALPHA = {
    "opaque": ({}, 1, 1),
    "opaque by name": ({"alphaMode": "OPAQUE"}, 1, 1),
    "blended": ({"alphaMode": "BLEND"}, 0.25, 0.5),
    "cut": ({"alphaMode": "MASK"}, 0, 1),
    "cut lower": ({"alphaMode": "MASK", "alphaCutoff": 0.1}, 1, 1),
    "cut between": ({"alphaMode": "MASK", "alphaCutoff": 0.3}, 0, 1),
    "not cut": ({"alphaMode": "MASK", "alphaCutoff": 0}, 1, 1),
    "cut all": ({"alphaMode": "MASK", "alphaCutoff": 1.01}, 0, 0),
    "a cut that does not count": ({"alphaMode": "BLEND", "alphaCutoff": 0.9}, 0.25, 0.5),
}


@pytest.mark.parametrize("name", ALPHA)
def test_alpha_modes(name: str, tmp_path: Path) -> None:
    """A factor of 1/4, alone and with white or half clear vertices; a texture of 1/2 with 1/2."""
    mode, alone, half = ALPHA[name]
    made = box()
    made.json["materials"] = [mode | {"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 0.25]}}]
    made.json["meshes"][0]["primitives"][0]["material"] = 0
    assert np.allclose(load(tmp_path, made.glb()).colour, [1, 0, 0, alone])

    made.json["materials"][0]["pbrMetallicRoughness"]["baseColorFactor"] = [1, 0, 0, 0.5]
    attributes = made.json["meshes"][0]["primitives"][0]["attributes"]
    attributes["COLOR_0"] = made.table([[1, 1, 1, 0.5]] * 8)
    assert np.allclose(load(tmp_path, made.glb()).colour, [1, 0, 0, alone])
    del attributes["COLOR_0"]
    assert np.allclose(load(tmp_path, made.glb()).colour, [1, 0, 0, half])

    data = io.BytesIO()
    Image.new("RGBA", (4, 4), (0, 255, 0, 128)).save(data, "PNG")
    made, _ = textured(data.getvalue())
    about = made.json["materials"][0]
    about |= mode
    about["pbrMetallicRoughness"]["baseColorFactor"] = [1, 1, 1, 0.5]
    mesh = load(tmp_path, made.glb())
    assert mesh.colour[0, 0, 3] * mesh.textures[0][0, 0, 3] / 255 == pytest.approx(alone, abs=1e-2)


def test_alpha_without_a_material_does_not_count(tmp_path: Path) -> None:
    made = box()
    attributes = made.json["meshes"][0]["primitives"][0]["attributes"]
    for dtype, most in (("f4", 1), ("u1", 255), ("u2", 65535)):
        rows = [[most, 0.2 * most, 0, 0]] * 8
        attributes["COLOR_0"] = made.table(rows, dtype, normalized=dtype != "f4")
        assert np.allclose(load(tmp_path, made.glb()).colour, [1, 0.2, 0, 1])


def test_specular_and_glossy_materials(tmp_path: Path) -> None:
    made, info = textured()
    about = {"diffuseTexture": info, "specularFactor": [0, 0, 0], "glossinessFactor": 0.5}
    made.json["materials"] = [{"extensions": {"KHR_materials_pbrSpecularGlossiness": about}}]
    mesh = load(tmp_path, made.glb())
    assert np.allclose(mesh.textures[0][0, 0], [*RED, 255], atol=6) and np.allclose(mesh.colour, 1)
    del about["diffuseTexture"]
    about["diffuseFactor"] = [0, 1, 0, 0.5]
    made.json["materials"][0]["alphaMode"] = "BLEND"
    colour = load(tmp_path, made.glb()).colour
    assert np.allclose(colour[..., [0, 2, 3]], [0, 0, 0.5]) and (colour[..., 1] > 0.95).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"asset": {"version": "1.0"}}, r"it is glTF 1\.0, and only glTF 2 is read"),
        ({"nodes": [{"mesh": 7}]}, r"a\.glb is no whole mesh"),
        ({"scenes": [{"nodes": [5]}]}, r"a\.glb is no whole mesh"),
        ({"scenes": [{}]}, r"a\.glb: no faces"),
        ({"nodes": [{"children": [0]}]}, r"a\.glb: no faces"),
        ({"accessors": []}, r"a\.glb is no whole mesh"),
        ({"nodes": 5}, r"a\.glb is no whole mesh"),
    ],
)
def test_what_is_broken_is_said(change: dict, message: str, tmp_path: Path) -> None:
    made = box()
    made.json |= change
    with pytest.raises(DataError, match=message):
        load(tmp_path, made.glb())


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_what_ends_too_early_is_said(share: float, tmp_path: Path) -> None:
    data = box().glb()
    with pytest.raises(DataError, match=r"a\.glb is no whole mesh"):
        load(tmp_path, data[: int(len(data) * share)])
