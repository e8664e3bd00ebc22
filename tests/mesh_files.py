"""Small collections of meshes in the layouts that are read, written by hand."""

import io
import struct
import zipfile
from pathlib import Path

from PIL import Image

CORNERS = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
SIDES = [(1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4)]


def box_obj(sides=(1.0, 1.0, 1.0), material: str | None = None, uv: bool = False) -> str:
    """A box of given half sides as an OBJ file."""
    lines = [f"mtllib {material}", "usemtl paint"] if material else []
    lines += ["v " + " ".join(f"{c * s:.6f}" for c, s in zip(corner, sides, strict=True)) for corner in CORNERS]
    lines += [f"vt {u} {v}" for u, v in ((0, 0), (1, 0), (1, 1), (0, 1))] if uv else []
    lines += ["f " + " ".join(f"{v}/{i}" if uv else f"{v}" for i, v in enumerate(side, 1)) for side in SIDES]
    return "\n".join(lines) + "\n"


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Files below a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


def write_zip(path: Path, files: dict[str, str | bytes]) -> Path:
    """A zip archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def png(colour=(200, 30, 30), size=8) -> bytes:
    """A plain picture."""
    data = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(data, "PNG")
    return data.getvalue()


def glb(text: bytes) -> bytes:
    """A binary glTF file that has this for its JSON."""
    return struct.pack("<4sIIII", b"glTF", 2, 20 + len(text), len(text), 0x4E4F534A) + text


def mtl(*lines: str) -> str:
    """A file with one material, `paint`."""
    return "\n".join(["newmtl paint", *lines]) + "\n"


CATALOGUE = """# a catalogue as Sweet Home 3D has them
id=Test
name=Test
license=CC0

id#1=Test#one
name#1=Stool
category#1=Living room
model#1=/things/stool/stool.obj
id#2=Test#two
name#2=L\\u00e1mpara
category#2=Lights
model#2=/things/lamp/lamp.obj
modelRotation#2=0 0 1 0 1 0 -1 0 0
"""
