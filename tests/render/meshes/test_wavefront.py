"""OBJ files and their materials: whatever the format allows is read, with the colours it gives."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.mesh_files import CORNERS, SIDES, box_obj, mtl, png, write
from seqjepa.errors import DataError
from seqjepa.reading.archives import Files
from seqjepa.render.meshes.load import load_mesh
from seqjepa.render.meshes.materials import parse_map, parse_materials
from seqjepa.render.meshes.mesh import Mesh

pytest.importorskip("trimesh")
BOX = box_obj((1, 0.7, 0.5))
PAINTED = box_obj((1, 0.7, 0.5), "m.mtl", uv=True)
RED = (220, 30, 30)


def load(folder: Path, files: dict[str, str | bytes]) -> Mesh:
    return load_mesh(Files(write(folder, files)), next(iter(files)))


def box(folder: Path) -> Mesh:
    return load(folder / "plain", {"a.obj": BOX})


def coloured(colours, some: int = 8) -> str:
    """A box whose first vertices have colours."""
    lines = BOX.splitlines()
    for number in range(some):
        lines[number] += " " + " ".join(map(str, colours[number]))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("lines", "alpha"),
    [
        ((), 1),
        (("d 1",), 1),
        (("d 0.25",), 0.25),
        (("d 0",), 0),
        (("d -halo 0.25",), 0.25),
        (("Tr 0",), 1),
        (("Tr 0.25",), 0.75),
        (("Tr 1.0",), 1),  # 3ds Max's
        (("Tr 1.0", "d 1.0"), 1),
        (("d 0.0", "Tr 1.0"), 0),
        (("Tr 0.75", "d 0.25"), 0.25),
        (("d 0.2", "d 0.4"), 0.4),
        (("Tf 0 0 0", "illum 4", "Ni 1.5"), 1),  # filters and refraction are not drawn
    ],
)
def test_alpha_is_what_the_material_says(lines: tuple[str, ...], alpha: float) -> None:
    material = parse_materials(mtl("Kd 0.9 0.1 0.1", *lines))["paint"]
    assert material.alpha == pytest.approx(alpha)
    assert np.allclose(material.colour, [0.9, 0.1, 0.1], atol=1 / 255)


@pytest.mark.parametrize(
    "line",
    ["Kd nan 0 0", "Kd a b c", "d nan", "Tr x", "Kd 1 2", "Kd spectral a.rfl", "Kd -1.#IND 0 0"],
)
def test_what_is_no_number_in_a_material_is_said(line: str, tmp_path: Path) -> None:
    files = {"a.obj": PAINTED, "m.mtl": mtl(line)}
    with pytest.raises(DataError, match=rf"a\.obj: a material.*{line}"):
        load(tmp_path, files)


@pytest.mark.parametrize(
    ("text", "name", "rest"),
    [
        ("skin.png", "skin.png", {}),
        ("my red skin.png", "my red skin.png", {}),
        ("-s 1.0 1.0 1.0 -o 0.0 0.0 0.0 skin.png", "skin.png", {}),
        ("-s 2 3 skin.png", "skin.png", {"scale": (2, 3)}),
        ("-s 2 my skin.png", "my skin.png", {"scale": (2, 1)}),
        ("-o .5 -1e-1 1 -t 1 1 1 skin.png", "skin.png", {"offset": (0.5, -0.1)}),
        ("-clamp on -blendu off -blendv on a.png", "a.png", {"clamped": True}),
        ("-mm 0.2 0.5 a.png", "a.png", {"base": 0.2, "gain": 0.5}),
        ("-bm 1 -boost 2 -texres 512 -imfchan l -type sphere -cc on a.png", "a.png", {}),
        (r"-S 1 1 1 C:\my files\a.png", r"C:\my files\a.png", {}),
        ("-s 1 1 1 2.5", "2.5", {}),  # what is left at the end is the name
        ("-odd.png", "-odd.png", {}),
        ('"a b.png"', '"a b.png"', {}),
    ],
)
def test_options_of_textures(text: str, name: str, rest: dict[str, object]) -> None:
    found = parse_map(text)
    assert found.name == name
    default = {"scale": (1, 1), "offset": (0, 0), "clamped": False, "base": 0, "gain": 1}
    assert {key: getattr(found, key) for key in default} == default | rest


@pytest.mark.parametrize(
    "line",
    [
        "map_Kd -s 1.0 1.0 1.0 -o 0.0 0.0 0.0 my skin.png",
        "map_kd\t-clamp on -mm 0 1 my skin.png",
        r"MAP_KD textures\my skin.png",
        'map_Kd "my skin.png"',
        "map_Kd -imfchan r \\\n my skin.png",
        "  map_Kd   my skin.png   ",
    ],
)
def test_textures_are_found_behind_options_in_names_with_spaces(line: str, tmp_path: Path) -> None:
    mesh = load(tmp_path, {"a.obj": PAINTED, "m.mtl": mtl(line), "my skin.png": png(RED)})
    assert mesh.textures[0][0, 0].tolist() == [*RED, 255]
    assert np.allclose(mesh.colour, 1) and np.ptp(mesh.uv) == 1


def test_scale_offset_clamp_and_range_of_a_texture(tmp_path: Path) -> None:
    def uv(line: str) -> Mesh:
        files = {"a.obj": PAINTED, "m.mtl": mtl(f"map_Kd {line} t.png"), "t.png": png(RED, 4)}
        return load(tmp_path / line, files)

    plain, moved = uv(""), uv("-s 2 3 1 -o 0.25 0.5 0")
    assert np.allclose(moved.uv, plain.uv * [2, 3] + [0.25, 0.5])

    # Beyond a clamped texture its edge goes on: four widths of it are laid out, and three heights.
    clamped = uv("-clamp on -s 3 2 1 -o -1 0.5 0")
    assert clamped.textures[0].shape == (12, 12, 4)
    assert np.allclose(clamped.uv, (plain.uv * [3, 2] + [0, 0.5]) / [3, 3])
    assert uv("-mm 0.2 0.5").textures[0][0, 0].tolist() == [161, 66, 66, 255]


def test_the_edge_of_a_clamped_texture_goes_on(tmp_path: Path) -> None:
    picture = Image.new("RGB", (2, 1))
    picture.putpixel((0, 0), (200, 0, 0))
    picture.putpixel((1, 0), (0, 0, 200))
    picture.save(tmp_path / "t.png")
    mesh = load(tmp_path, {"a.obj": PAINTED, "m.mtl": mtl("map_Kd -clamp on -o 1 t.png")})
    # Places from 1 to 2 are all at the right edge.
    width = mesh.textures[0].shape[1]
    seen = mesh.textures[0][0, int(mesh.uv[..., 0].min() * width) :, 2]
    assert (seen == 200).all() and mesh.uv[..., 0].min() == 0.5


@pytest.mark.parametrize("name", ["my paints.mtl", r"lib\m.mtl", "M.MTL", '"m.mtl"'])
def test_a_library_is_found_under_its_name(name: str, tmp_path: Path) -> None:
    place = {r"lib\m.mtl": "lib/m.mtl", "my paints.mtl": name}.get(name, "m.mtl")
    files = {"a.obj": PAINTED.replace("m.mtl", name), place: mtl("Kd 0.2 0.4 0.6")}
    assert np.allclose(load(tmp_path, files).colour, [0.2, 0.4, 0.6, 1], atol=1 / 255)


@pytest.mark.parametrize(
    "lines",
    ["mtllib one.mtl two.mtl", "mtllib one.mtl\nmtllib two.mtl", "mtllib my one.mtl two.mtl"],
)
def test_several_libraries(lines: str, tmp_path: Path) -> None:
    first = "my one.mtl" if "my" in lines else "one.mtl"
    half = BOX.replace("f 1 5", "usemtl b\nf 1 5")
    files = {
        "a.obj": f"{lines}\nusemtl a\n{half}",
        first: "newmtl a\nKd 1 0 0\n",
        "two.mtl": "newmtl b\nKd 0 0 1\nnewmtl a\nKd 0 1 0\n",
    }
    mesh = load(tmp_path, files)
    # Four triangles are a's, and the first library that has it counts.
    assert (mesh.colour[:, 0, 0] == 1).sum() == 4 and (mesh.colour[:, 0, 2] == 1).sum() == 8


SAME = {
    "a line that goes on": BOX.replace("f 1 2 4 3", "f 1 \\\n2 \\  \n 4 3"),
    "a line that goes on at once": BOX.replace("f 1 2 4 3", "f 1 2\\\n4 3"),
    "comments at ends": BOX.replace("f 1 2 4 3", "f 1 2 4 3 # left").replace(
        "v -1.000000 -0.700000 -0.500000", "v -1.000000 -0.700000 -0.500000 # first", 1
    ),
    "comments that look like statements": "# mtllib gone.mtl\n#usemtl gone\n" + BOX,
    "tabs and spaces": BOX.replace("f ", "  f\t").replace("v ", "\tv   "),
    "Windows": BOX.replace("\n", "\r\n"),
    "old Macs": BOX.replace("\n", "\r"),
    "a byte order mark": "\ufeff" + BOX,
    "groups, smoothing and unknown statements": BOX.replace(
        "f 1 5", "g side one\no thing\ns 1\ns off\nvp 0 0\nl 1 2\np 3\ncstype bezier\nf 1 5"
    ),
    "old faces": BOX.replace("f ", "fo "),
    "slashes without numbers": BOX.replace("f 1 2 4 3", "f 1// 2// 4/ 3"),
    "a weight": BOX.replace("00\nv", "00 1.0\nv"),
    "exponents": BOX.replace("1.000000", "1e+0").replace("0.500000", "5.0E-01"),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_box_written_in_another_way(name: str, tmp_path: Path) -> None:
    mesh = load(tmp_path, {"a.obj": SAME[name]})
    assert np.array_equal(mesh.points, box(tmp_path).points)
    assert np.allclose(mesh.colour, [0.8, 0.8, 0.8, 1])


def test_numbers_that_count_backwards_do_so_from_where_they_stand(tmp_path: Path) -> None:
    """Two boxes in one file, each of whose faces stands behind its own vertices."""
    lines = list[str]()
    for shift in (0, 5):
        for x, y, z in CORNERS:
            lines.append(f"v {x + shift} {y} {z}")
        for side in SIDES:
            lines.append("f " + " ".join(str(number - 9) for number in side))
    backwards = "\n".join(lines) + "\n"
    forwards = backwards
    mesh = load(tmp_path / "a", {"a.obj": backwards})

    plain = [line for line in lines if line.startswith("v")]
    for start in (0, 8):
        plain += ["f " + " ".join(str(number + start) for number in side) for side in SIDES]
    forwards = "\n".join(plain) + "\n"
    assert np.array_equal(mesh.points, load(tmp_path / "b", {"a.obj": forwards}).points)

    # Places in the texture and normals count for themselves.
    textured = PAINTED
    for number in range(8, 0, -1):
        for place in range(4, 0, -1):
            textured = textured.replace(f"{number}/{place}", f"{number}/{place - 5}")
    files = {"m.mtl": mtl("map_Kd t.png"), "t.png": png()}
    one = load(tmp_path / "c", {"a.obj": PAINTED} | files)
    two = load(tmp_path / "d", {"a.obj": textured} | files)
    assert np.array_equal(one.uv, two.uv) and np.ptp(one.uv) == 1


@pytest.mark.parametrize("face", ["f 1 2 99", "f 0 1 2", "f -99 1 2", "f 1 2 x", "f 1.5 2 3"])
def test_faces_that_name_no_vertex_are_said(face: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.obj is no whole mesh"):
        load(tmp_path, {"a.obj": f"{BOX}{face}\n"})


def test_polygons_of_every_size_in_one_file(tmp_path: Path) -> None:
    """A prism over a hexagon: two hexagons, five quads, and one side of two triangles."""
    angles = np.arange(6) * np.pi / 3
    lines = [f"v {np.cos(a)} {y} {np.sin(a)}" for y in (0, 1) for a in angles]
    lines += ["f 1 2 3 4 5 6", "f 7 8 9 10 11 12"]
    lines += [f"f {n} {n + 1} {n + 7} {n + 6}" for n in range(1, 6)]
    lines += ["f 6 1 7", "f 6 7 12"]
    mesh = load(tmp_path / "a", {"a.obj": "\n".join(lines) + "\n"})
    assert len(mesh.points) == 4 + 4 + 10 + 2
    # The area of the surface, in units of the object.
    edges = mesh.points[:, 1:] - mesh.points[:, :1]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1).sum() / 2
    size = np.ptp(mesh.points[..., 2])
    assert area / size**2 == pytest.approx(2 * 1.5 * np.sqrt(3) + 6)
    only = load(
        tmp_path / "b", {"a.obj": "\n".join([*lines[:14]]) + "\nf 1 4 10 7 1\nf 2 3 9 8 2\n"}
    )
    assert len(only.points) == 4 + 4 + 2 + 2


def test_corners_with_and_without_places_and_normals(tmp_path: Path) -> None:
    mixed = PAINTED.replace("f 1/1 2/2 4/3 3/4", "vn -1 0 0\nf 1//1 2//1 4//1 3//1")
    files = {"a.obj": mixed, "m.mtl": mtl("map_Kd t.png"), "t.png": png()}
    mesh = load(tmp_path, files)
    # The first side has no places and the file's normals; the others have places and smooth ones.
    assert (mesh.uv[:1] == 0).all() and np.ptp(mesh.uv[1:]) == 1
    assert np.allclose(np.abs(mesh.normals).max(-1), 1)


@pytest.mark.parametrize("scale", [1, 255, 65535])
def test_colours_of_vertices(scale: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    colours = np.rint(rng.random((8, 3)) * 255) / 255
    colours[0] = 1
    written = colours if scale == 1 else np.rint(colours * scale).astype(int)
    mesh = load(tmp_path, {"a.obj": coloured(written)})
    expected = np.concatenate([colours, np.ones((8, 1))], 1)
    assert np.allclose(np.unique(mesh.colour.reshape(-1, 4), axis=0), np.unique(expected, axis=0))


def test_colours_of_some_vertices(tmp_path: Path) -> None:
    mesh = load(tmp_path, {"a.obj": coloured([(230, 25, 25)] * 8, some=4)})
    red = np.array([230, 25, 25, 255]) / 255
    found = np.unique(mesh.colour.reshape(-1, 4).round(6), axis=0)
    assert np.allclose(found, [[0.8, 0.8, 0.8, 1], red]) and (mesh.colour[0] == red).all()


def test_colours_of_vertices_and_of_materials(tmp_path: Path) -> None:
    """Half a box is red by its vertices, the other half blue by its material."""
    half = coloured([(1, 0.2, 0.2)] * 8, some=8).replace("f 1 5", "usemtl paint\nf 1 5")
    files = {"a.obj": "mtllib m.mtl\n" + half, "m.mtl": mtl("Kd 0.2 0.2 1", "d 0.5")}
    mesh = load(tmp_path / "a", files)
    plain, painted = mesh.colour[mesh.colour[:, 0, 3] == 1], mesh.colour[mesh.colour[:, 0, 3] < 1]
    assert np.allclose(plain, [1, 0.2, 0.2, 1]) and np.allclose(painted, [0.2, 0.04, 0.2, 0.5])

    # Vertices without colours have the material's, and a texture replaces all of them.
    some = "mtllib m.mtl\nusemtl paint\n" + coloured([(0, 0, 0)] * 8, some=4)
    found = load(tmp_path / "b", {"a.obj": some} | {"m.mtl": mtl("Kd 0.2 0.2 1")}).colour
    assert np.allclose(np.unique(found.reshape(-1, 4), axis=0), [[0, 0, 0, 1], [0.2, 0.2, 1, 1]])
    files = {"a.obj": PAINTED.replace("00\nv", "00 0 0 0\nv"), "m.mtl": mtl("map_Kd t.png")}
    assert np.allclose(load(tmp_path / "c", files | {"t.png": png()}).colour, 1)


@pytest.mark.parametrize("colour", ["nan nan nan", "0 inf 0", "0.1 NaN 0.1"])
def test_colours_that_are_no_numbers_are_refused(colour: str, tmp_path: Path) -> None:
    text = coloured([("0.9", "0.1", "0.1")] * 7 + [tuple(colour.split())])
    with pytest.raises(DataError, match=r"a\.obj: \d+ colours are NaN, infinite or beyond"):
        load(tmp_path, {"a.obj": text})


@pytest.mark.parametrize(
    ("obj", "materials", "message"),
    [
        (PAINTED, "newmtl Paint\nKd 1 0 0\n", r"material paint \(m\.mtl, which has Paint\)"),
        (PAINTED, "newmtl other\n", r"material paint \(m\.mtl\)"),
        (PAINTED, "", r"material paint \(m\.mtl\)"),
        ("usemtl skin\n" + BOX, "", r"material skin \(no mtllib\)"),
        (PAINTED.replace("f 1/1 5", "usemtl a b\nf 1/1 5"), mtl(), r"material a b \(m\.mtl\)"),
        ("mtllib gone.mtl two.mtl\n" + PAINTED, mtl(), r"gone\.mtl two\.mtl"),
    ],
)
def test_materials_that_are_not_there_are_said(
    obj: str, materials: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"a\.obj needs what is not there: " + message):
        load(tmp_path, {"a.obj": obj, "m.mtl": materials})


@pytest.mark.parametrize("name", ["", "(null)", "None"])
def test_faces_without_a_material(name: str, tmp_path: Path) -> None:
    files = {"a.obj": PAINTED.replace("usemtl paint", f"usemtl {name}"), "m.mtl": mtl("Kd 1 0 0")}
    assert np.allclose(load(tmp_path / "a", files).colour, [0.8, 0.8, 0.8, 1])
    if name:
        files["m.mtl"] = f"newmtl {name}\nKd 1 0 0\n"
        assert np.allclose(load(tmp_path / "b", files).colour, [1, 0, 0, 1])


def test_materials_that_no_face_uses_may_lack_their_textures(tmp_path: Path) -> None:
    files = {"a.obj": PAINTED, "m.mtl": mtl("Kd 1 0 0") + "newmtl b\nmap_Kd gone.png\n"}
    assert np.allclose(load(tmp_path, files).colour, [1, 0, 0, 1])


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_names_in_other_encodings(encoding: str, tmp_path: Path) -> None:
    files = {
        "a.obj": PAINTED.replace("m.mtl", "möbel.mtl").replace("paint", "Grün").encode(encoding),
        "möbel.mtl": mtl("Kd 0 1 0").replace("paint", "Grün").encode(encoding),
    }
    assert np.allclose(load(tmp_path, files).colour, [0, 1, 0, 1])
