"""PLY files: text and both orders of bytes, all usual names of columns, polygons and strips."""

import struct
from pathlib import Path

import numpy as np
import pytest

from fixtures.mesh_files import CORNERS, SIDES, png, write
from seqjepa.errors import DataError
from seqjepa.reading.archives import Files
from seqjepa.render.meshes.load import load_mesh
from seqjepa.render.meshes.mesh import Mesh

pytest.importorskip("trimesh")
CODES = {"uchar": "B", "ushort": "H", "int": "i", "float": "f", "double": "d"}
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


def ply(
    vertices, faces=SIDES, columns=(), values=(), order="ascii", before="", faces_from=1
) -> bytes:
    """A PLY file.

    `columns` are types and names of what vertices have besides places, `values` their numbers.
    """
    kinds = ["float"] * 3 + [kind for kind, _ in columns]
    names = ["x", "y", "z"] + [name for _, name in columns]
    rows = [[*point, *(values[n] if len(values) else ())] for n, point in enumerate(vertices)]
    header = f"ply\nformat {order} 1.0\n{before}element vertex {len(rows)}\n"
    header += "".join(f"property {k} {n}\n" for k, n in zip(kinds, names, strict=True))
    header += f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    lists = [[number - faces_from for number in face] for face in faces]
    if order == "ascii":
        lines = [" ".join(map(str, row)) for row in rows]
        lines += [" ".join(map(str, [len(face), *face])) for face in lists]
        return (header + "\n".join(lines) + "\n").encode()
    body = b"".join(struct.pack(ORDERS[order] + "".join(CODES[k] for k in kinds), *r) for r in rows)
    for face in lists:
        body += struct.pack(f"{ORDERS[order]}B{len(face)}i", len(face), *face)
    return header.encode() + body


def load(folder: Path, data: bytes, files=()) -> Mesh:
    return load_mesh(Files(write(folder, {"a.ply": data} | dict(files))), "a.ply")


def triangles(faces) -> list[tuple[int, ...]]:
    return [half for a, b, c, d in faces for half in ((a, b, c), (c, d, a))]


@pytest.mark.parametrize("order", ORDERS)
def test_polygons_of_several_sizes_in_every_order_of_bytes(order: str, tmp_path: Path) -> None:
    mixed = [*triangles(SIDES[:2]), *SIDES[2:]]
    one = load(tmp_path / "a", ply(CORNERS, order=order))
    two = load(tmp_path / "b", ply(CORNERS, mixed, order=order))
    assert len(one.points) == len(two.points) == 12
    for mesh in (one, two):
        corners = np.unique(mesh.points.reshape(-1, 3).round(9), axis=0)
        assert np.allclose(corners, np.unique(np.array(CORNERS) * corners.max(), axis=0))


NAMES = [
    ("red", "green", "blue"),
    ("diffuse_red", "diffuse_green", "diffuse_blue"),
    ("r", "g", "b"),
    ("Red", "Green", "Blue"),
    ("ambient_red", "ambient_green", "ambient_blue"),
    ("vertex_r", "vertex_g", "vertex_b"),
]
KINDS = {"uchar": 255, "ushort": 65535, "int": 255, "float": 1, "double": 255}


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("order", ["ascii", "binary_little_endian"])
def test_colours_under_their_usual_names(
    names: tuple[str, ...], order: str, tmp_path: Path
) -> None:
    columns = [("uchar", name) for name in names]
    mesh = load(tmp_path, ply(CORNERS, columns=columns, values=[(230, 25, 51)] * 8, order=order))
    assert np.allclose(mesh.colour, np.array([230, 25, 51, 255]) / 255)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", ["ascii", "binary_big_endian"])
def test_colours_in_their_usual_types(kind: str, order: str, tmp_path: Path) -> None:
    whole = kind != "float"
    white, value = KINDS[kind], 0.2 * KINDS[kind]
    rows = [(white, value, 0)] * 8
    rows = [tuple(round(number) for number in row) for row in rows] if whole else rows
    columns = [(kind, name) for name in NAMES[0]]
    mesh = load(tmp_path, ply(CORNERS, columns=columns, values=rows, order=order))
    assert np.allclose(mesh.colour, [1, 0.2, 0, 1])


@pytest.mark.parametrize(("kind", "most"), [("uchar", 255), ("float", 1)])
@pytest.mark.parametrize("name", ["alpha", "diffuse_alpha"])
def test_alpha_counts(kind: str, most: int, name: str, tmp_path: Path) -> None:
    prefix = name.removesuffix("alpha")
    columns = [*(("uchar", prefix + colour) for colour in NAMES[0]), (kind, name)]
    for share in (0, 0.2, 1):
        rows = [(51, 102, 255, most * share if kind == "float" else round(most * share))] * 8
        mesh = load(tmp_path / f"{share}", ply(CORNERS, columns=columns, values=rows))
        assert np.allclose(mesh.colour, [0.2, 0.4, 1, share])


def test_colours_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    columns = [("float", name) for name in NAMES[0]]
    with pytest.raises(DataError, match=r"a\.ply: .* colours are NaN"):
        load(tmp_path, ply(CORNERS, columns=columns, values=[(1, float("nan"), 0)] * 8))


def test_colours_of_faces(tmp_path: Path) -> None:
    text = ply(CORNERS).decode().replace("vertex_indices\n", "vertex_index\nproperty uchar red\n"
        "property uchar green\nproperty uchar blue\n").splitlines()  # fmt: skip
    colours = [(51 * n, 0, 255 - 51 * n) for n in range(6)]
    text[-6:] = [f"{line} {r} {g} {b}" for line, (r, g, b) in zip(text[-6:], colours, strict=True)]
    mesh = load(tmp_path, "\n".join(text).encode())
    assert len(mesh.colour) == 12
    found = {tuple(face) for face in np.rint(mesh.colour[:, 0, :3] * 255).astype(int).tolist()}
    assert found == set(colours) and (np.ptp(mesh.colour, axis=1) == 0).all()


@pytest.mark.parametrize("names", [("s", "t"), ("u", "v"), ("texture_u", "texture_v")])
def test_a_texture(names: tuple[str, str], tmp_path: Path) -> None:
    columns = [("float", name) for name in names]
    places = [(0.1 * n, 1 - 0.1 * n) for n in range(8)]
    data = ply(CORNERS, columns=columns, values=places, before="comment TextureFile my skin.png\n")
    mesh = load(tmp_path, data, {"my skin.png": png((10, 200, 10))})
    assert mesh.textures[0][0, 0].tolist() == [10, 200, 10, 255] and np.allclose(mesh.colour, 1)
    assert np.allclose(np.unique(mesh.uv[..., 0].round(6)), 0.1 * np.arange(8))
    with pytest.raises(DataError, match=r"needs what is not there: my skin\.png"):
        load(tmp_path / "other", data)


def test_places_and_textures_of_faces(tmp_path: Path) -> None:
    """Two textures, of which each face names one and the places of its corners in it."""
    before = "comment TextureFile a.png\ncomment TextureFile b.png\n"
    text = ply(CORNERS, before=before).decode().replace(
        "vertex_indices\n", "vertex_indices\nproperty list uchar float texcoord\n"
        "property int texnumber\n").splitlines()  # fmt: skip
    places = "8 0 0 1 0 1 1 0 1"
    text[-6:] = [f"{line} {places} {n % 2}" for n, line in enumerate(text[-6:])]
    mesh = load(tmp_path, "\n".join(text).encode(), {"a.png": png((255, 0, 0)), "b.png": png()})
    assert [texture[0, 0, 0] for texture in mesh.textures] == [255, 200]
    assert np.bincount(mesh.texture).tolist() == [6, 6]
    assert np.array_equal(
        np.unique(mesh.uv.reshape(-1, 2), axis=0), [[0, 0], [0, 1], [1, 0], [1, 1]]
    )


def test_strips_of_triangles(tmp_path: Path) -> None:
    text = ply(CORNERS).decode().split("element face")[0]
    text += "element tristrips 1\nproperty list int int vertex_indices\nend_header\n"
    text += "\n".join(" ".join(map(str, corner)) for corner in CORNERS) + "\n"
    strips = [side for a, b, c, d in SIDES for side in (a - 1, b - 1, d - 1, c - 1, -1)][:-1]
    mesh = load(tmp_path, f"{text}{len(strips)} {' '.join(map(str, strips))}\n".encode())
    assert len(mesh.points) == 12
    assert np.allclose(np.abs(mesh.points), np.abs(mesh.points).max())


def test_headers_with_windows_ends_and_other_elements(tmp_path: Path) -> None:
    data = ply(CORNERS, order="binary_little_endian")
    head, mark, body = data.partition(b"end_header\n")
    head = head.replace(
        b"element face",
        b"obj_info made by hand\nelement edge 0\nproperty int vertex1\nelement face",
    )
    windows = (head + mark).replace(b"\n", b"\r\n") + body
    assert np.array_equal(load(tmp_path, windows).points, load(tmp_path / "b", data).points)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_what_ends_too_early_is_said(order: str, share: float, tmp_path: Path) -> None:
    data = ply(CORNERS, [*SIDES, (1, 2, 3)], order=order)
    with pytest.raises(DataError, match=r"a\.ply is no whole mesh|a\.ply: no faces"):
        load(tmp_path, data[: int(len(data) * share)])


@pytest.mark.parametrize("number", [-3, 99])
def test_faces_that_name_no_vertex_are_said(number: int, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.ply is no whole mesh"):
        load(tmp_path, ply(CORNERS, [*SIDES, (1, 2, number)]))
