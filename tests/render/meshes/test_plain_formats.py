"""OFF and STL files."""

import struct
from pathlib import Path

import numpy as np
import pytest

from fixtures.mesh_files import CORNERS, SIDES, write
from seqjepa.errors import DataError
from seqjepa.reading.archives import Files
from seqjepa.render.meshes.load import load_mesh
from seqjepa.render.meshes.mesh import Mesh

pytest.importorskip("trimesh")
TRIANGLES = [half for a, b, c, d in SIDES for half in ((a, b, c), (c, d, a))]
SIZE = np.array([1, 0.5, 0.7])  # along x, z and y of the file


def load(folder: Path, name: str, data: str | bytes) -> Mesh:
    return load_mesh(Files(write(folder, {name: data})), name)


def off(header="OFF\n", vertex="", faces=SIDES, face="", sizes=(1, 0.7, 0.5)) -> str:
    lines = [f"{header}8 {len(faces)} 0"]
    lines += [" ".join(str(c * s) for c, s in zip(p, sizes, strict=True)) + vertex for p in CORNERS]
    lines += [f"{len(f)} " + " ".join(str(n - 1) for n in f) + face for f in faces]
    return "\n".join(lines) + "\n"


def stl(text: bool) -> str | bytes:
    points = np.array(CORNERS) * [1, 0.7, 0.5]
    corners = points[np.array(TRIANGLES) - 1]
    if text:
        loops = [
            "facet normal 0 0 0\nouter loop\n"
            + "".join(f"vertex {x} {y} {z}\n" for x, y, z in triangle)
            + "endloop\nendfacet\n"
            for triangle in corners.tolist()
        ]
        return "solid box\n" + "".join(loops) + "endsolid box\n"
    rows = [struct.pack("<12fH", 0, 0, 0, *triangle.reshape(-1), 0) for triangle in corners]
    return bytes(80) + struct.pack("<I", len(rows)) + b"".join(rows)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.off", off()),
        ("a.off", off("OFF")),  # ModelNet's
        ("a.off", off("# a box\nOFF\n\n# counts\n", vertex=" # corner")),
        ("a.off", off(faces=[*TRIANGLES[:4], *SIDES[2:]])),
        ("a.off", off("NOFF\n", vertex=" 0 0 0")),
        ("a.stl", stl(text=True)),
        ("a.STL", stl(text=False)),
    ],
)
def test_a_box(name: str, data: str | bytes, tmp_path: Path) -> None:
    mesh = load(tmp_path, name, data)
    size = np.ptp(mesh.points.reshape(-1, 3), axis=0)
    assert len(mesh.points) == 12 and np.allclose(size / size.max(), SIZE, atol=1e-6)
    assert np.allclose(mesh.colour, [0.8, 0.8, 0.8, 1])


@pytest.mark.parametrize(
    ("data", "colour"),
    [
        (off("COFF\n", vertex=" 255 51 0 255"), [1, 0.2, 0, 1]),
        (off("COFF\n", vertex=" 1.0 0.2 0 0.4"), [1, 0.2, 0, 0.4]),
        (off("CNOFF\n", vertex=" 0 0 1 255 51 0 0"), [1, 0.2, 0, 0]),
        (off(face=" 255 51 0"), [1, 0.2, 0, 1]),
        (off(face=" 1.0 0.2 0.0 0.6"), [1, 0.2, 0, 0.6]),
        (off(face=" 3"), [0.8, 0.8, 0.8, 1]),
    ],
)
def test_colours(data: str, colour: list[float], tmp_path: Path) -> None:
    assert np.allclose(load(tmp_path, "a.off", data).colour, colour)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.off", "nothing", r"a\.off is no whole mesh"),
        ("a.off", off()[:-40], r"a\.off is no whole mesh"),
        ("a.off", off(faces=[*SIDES, (1, 2, 99)]), r"a\.off is no whole mesh"),
        ("a.off", off("4OFF\n"), r"a\.off: it is 4OFF, which is not read"),
        ("a.off", "OFF BINARY\n" + off(), r"a\.off: it is OFF BINARY, which is not read"),
        ("a.stl", "nothing", r"a\.stl: no faces|a\.stl is no whole mesh"),
        ("a.stl", stl(text=False)[:-7], r"a\.stl: no faces|a\.stl is no whole mesh"),
    ],
)
def test_what_is_broken_is_said(
    name: str, data: str | bytes, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match=message):
        load(tmp_path, name, data)
    assert capfd.readouterr() == ("", "")
