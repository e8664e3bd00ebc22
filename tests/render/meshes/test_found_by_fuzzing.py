"""What meshes made at random have found: each was read wrongly, or refused without need."""

import json
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest

from fixtures.gltf_files import Gltf
from fixtures.mesh_files import CORNERS, SIDES, box_obj, png, write
from seqjepa.errors import DataError
from seqjepa.reading.archives import Files
from seqjepa.render.meshes.load import load_mesh
from seqjepa.render.meshes.mesh import Mesh

pytest.importorskip("trimesh")
TRIANGLES = [half for a, b, c, d in SIDES for half in ((a, b, c), (c, d, a))]


def load(folder: Path, name: str, data: str | bytes, files=()) -> Mesh:
    return load_mesh(Files(write(folder, {name: data} | dict(files))), name)


def stl(name: str = "box") -> str:
    text = f"solid {name}\n"
    for triangle in TRIANGLES:
        corners = "".join("vertex {} {} {}\n".format(*CORNERS[n - 1]) for n in triangle)
        text += f"facet normal 0 0 0\nouter loop\n{corners}endloop\nendfacet\n"
    return f"{text}endsolid {name}\n"


def ply(header: str = "", faces: list[str] | None = None, columns: str = "") -> str:
    rows = faces or [f"4 {a - 1} {b - 1} {c - 1} {d - 1}" for a, b, c, d in SIDES]
    text = f"ply\nformat ascii 1.0\n{header}element vertex 8\n"
    text += "".join(f"property float {axis}\n" for axis in "xyz")
    text += f"element face {len(rows)}\nproperty list char int vertex_indices\n{columns}"
    points = [" ".join(map(str, corner)) for corner in CORNERS]
    return "\n".join([f"{text}end_header", *points, *rows]) + "\n"


def box() -> Gltf:
    made = Gltf()
    made.primitive()
    return made


@pytest.mark.parametrize(
    "text",
    [
        stl().replace("\n", "\r"),
        stl("a solid of vertex 3"),
        stl("endsolid"),
        stl().replace("endfacet", "end facet").upper(),
    ],
)
def test_text_of_stl(text: str, tmp_path: Path) -> None:
    assert len(load(tmp_path, "a.stl", text).points) == 12


@pytest.mark.parametrize(
    "text",
    [
        stl().replace("vertex -1 -1 -1", "vertex -1 -1 x", 1),
        stl().replace("endloop", "vertex 0 0 0\nvertex 0 0 1\nvertex 1 0 0\nendloop", 1),
        stl() + stl().removesuffix("endsolid box\n"),
    ],
)
def test_text_of_stl_that_is_not_whole(text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.stl is no whole mesh"):
        load(tmp_path, "a.stl", text)


def test_a_comment_does_not_go_on(tmp_path: Path) -> None:
    mesh = load(tmp_path, "a.obj", "# C:\\meshes\\\n" + box_obj())
    assert len(mesh.points) == 12 and np.allclose(np.abs(mesh.points), mesh.points.max())


def test_a_comment_that_names_the_end_of_a_header(tmp_path: Path) -> None:
    assert len(load(tmp_path, "a.ply", ply("comment end_header is below\n")).points) == 12


@pytest.mark.parametrize("count", ["element vertex -8", "element face -6"])
def test_counts_below_zero(count: str, tmp_path: Path) -> None:
    text = ply().replace(count.replace("-", ""), count)
    with pytest.raises(DataError, match=r"a\.ply is no whole mesh .*-\d rows or numbers follow"):
        load(tmp_path, "a.ply", text)


def test_faces_of_ply_without_a_texture(tmp_path: Path) -> None:
    """They have the number -1, and may list no places, before faces that do."""
    faces = [f"4 {a - 1} {b - 1} {c - 1} {d - 1}" for a, b, c, d in SIDES]
    faces = [f"{faces[0]} 0 -1"] + [f"{face} 8 0 0 1 0 1 1 0 1 0" for face in faces[1:]]
    columns = "property list uchar float texcoord\nproperty int texnumber\n"
    text = ply("comment TextureFile a.png\n", faces, columns)
    mesh = load(tmp_path, "a.ply", text, {"a.png": png((255, 0, 0))})
    plain = [mesh.textures[n].shape == (1, 1, 4) for n in mesh.texture]
    assert sum(plain) == 2 and np.allclose(mesh.colour[plain], [0.8, 0.8, 0.8, 1])
    places = mesh.uv[~np.array(plain)][:5]  # the first halves of the five others
    assert np.array_equal(places, np.broadcast_to([[0, 0], [1, 0], [1, 1]], (5, 3, 2)))


@pytest.mark.parametrize("size", ["-1", "9"])
def test_faces_of_off_that_are_not_as_long_as_they_say(size: str, tmp_path: Path) -> None:
    rows = [" ".join(map(str, corner)) for corner in CORNERS]
    rows += [f"3 {a - 1} {b - 1} {c - 1}" for a, b, c in TRIANGLES]
    text = "\n".join(["OFF", f"8 {len(TRIANGLES) + 2} 0", *rows, f"{size} 0 1 2", "2 0 1"]) + "\n"
    with pytest.raises(DataError, match=r"a\.off is no whole mesh .*fewer corners than it says"):
        load(tmp_path, "a.off", text)


def test_primitives_without_places_are_left_out(tmp_path: Path) -> None:
    made = box()
    made.json["meshes"][0]["primitives"].append({"attributes": {}})
    assert len(load(tmp_path, "a.glb", made.glb()).points) == 12


def test_bytes_within_a_gltf_may_be_escaped_and_are_not_skipped(tmp_path: Path) -> None:
    about = json.loads(box().gltf())
    uri = about["buffers"][0]["uri"]
    about["buffers"][0]["uri"] = uri.replace("A", "%41")
    assert len(load(tmp_path / "a", "a.gltf", json.dumps(about)).points) == 12
    about["buffers"][0]["uri"] = uri[:60] + "!" + uri[60:]
    with pytest.raises(DataError, match=r"a\.gltf is no whole mesh"):
        load(tmp_path / "b", "a.gltf", json.dumps(about))


def test_nodes_below_themselves(tmp_path: Path) -> None:
    made = box()
    made.json["nodes"] = [{"mesh": 0, "children": [1]}, {"children": [0]}]
    with pytest.raises(DataError, match=r"a\.glb is no whole mesh .*nodes are below themselves"):
        load(tmp_path, "a.glb", made.glb())


@pytest.mark.parametrize("bare", [True, False])
def test_small_files_take_little_memory(bare: bool, tmp_path: Path) -> None:
    """A table without data, and a mesh that many nodes show, can be of any size."""
    made = box() if bare else _crowd()
    if bare:
        made.json["accessors"][0]["count"] = 50_000_000
        del made.json["accessors"][0]["bufferView"]
    data = made.glb()
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"rows has no data|and 20,000,000 are the most"):
            load(tmp_path, "a.glb", data)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def _crowd() -> Gltf:
    made = Gltf()
    made.primitive(faces=np.tile([[0, 1, 2]], (20_000, 1)))
    made.json["nodes"] = [{"mesh": 0}] * 1001
    made.json["scenes"] = [{"nodes": list(range(1001))}]
    return made


def test_numbers_that_are_not_finite_are_said_only_once(tmp_path: Path) -> None:
    made = Gltf()
    points = np.array(CORNERS, np.float32)
    points[0, 0] = np.inf
    made.primitive(points)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=r"a\.glb: \d+ corners are NaN"):
            load(tmp_path, "a.glb", made.glb())
