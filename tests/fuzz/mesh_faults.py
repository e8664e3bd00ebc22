"""What makes meshes unfit to be drawn: faults of shapes, of files, and of glTF files."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fixtures.gltf_files import Gltf
from fuzz.mesh_shapes import Shape

ALL = (".obj", ".ply", ".off", ".stl", ".gltf")


@dataclass(frozen=True)
class OfShapes:
    """A fault that any format can have."""

    spoil: Callable[[Shape], Shape]
    formats: tuple[str, ...] = ALL
    paint: str = ""


@dataclass(frozen=True)
class OfFiles:
    """A fault of the files of one format, which are changed in place."""

    spoil: Callable[[dict[str, bytes]], object]
    formats: tuple[str, ...]
    paint: str = ""


@dataclass(frozen=True)
class OfGltf:
    """A fault of a glTF file before it is written."""

    spoil: Callable[[Gltf], object]
    formats: tuple[str, ...] = (".gltf",)
    paint: str = ""


def _moved(value: float) -> OfShapes:
    def spoil(shape: Shape) -> Shape:
        points = shape.points.copy()
        points[shape.polygons[-1][0], 1] = value
        return replace(shape, points=points)

    return OfShapes(spoil)


def _beyond(shape: Shape) -> Shape:
    polygons = [list(one) for one in shape.polygons]
    polygons[-1][1] = len(shape.points) + 200
    return replace(shape, polygons=polygons)


def _edit(suffix: str, old: str, new: str) -> Callable[[dict[str, bytes]], object]:
    """Return a fault that puts something else where a pattern is first found."""

    def spoil(files: dict[str, bytes]) -> None:
        name = next(name for name in files if name.endswith(suffix))
        found, count = re.subn(old.encode(), new.encode(), files[name], count=1)
        assert count, f"no {old} in {files[name][:200]!r}"
        files[name] = found

    return spoil


def _lost(suffix: str) -> Callable[[dict[str, bytes]], object]:
    def spoil(files: dict[str, bytes]) -> None:
        del files[next(name for name in files if name.endswith(suffix))]

    return spoil


def _cut(files: dict[str, bytes]) -> None:
    name = next(name for name in reversed(files) if name.startswith("a."))
    files[name] = files[name][: len(files[name]) * 2 // 3]


def _word(files: dict[str, bytes]) -> None:
    """Put a word where a text has a number; a binary file loses a byte."""
    found, count = re.subn(
        rb"(?i)(vertex\s+)[-+.\w]+(?=\s+\S+\s+\S+\s+endloop)", rb"\1one", files["a.stl"], count=1
    )
    files["a.stl"] = found if count else files["a.stl"][:-1]


def _unclosed(files: dict[str, bytes]) -> None:
    """Take a corner from the last facet of a text; a binary file gets a byte too many."""
    text = files["a.stl"]
    at = text.lower().rfind(b"vertex", 0, text.lower().rfind(b"endloop"))
    end = text.lower().find(b"endloop", at)
    files["a.stl"] = text[:at] + text[end:] if at >= 0 else text + b" "


def _accessor(**more: Any) -> OfGltf:
    def spoil(made: Gltf) -> None:
        primitive = made.json["meshes"][0]["primitives"][0]
        made.json["accessors"][primitive["attributes"]["POSITION"]].update(more)

    return OfGltf(spoil)


def _bare(made: Gltf) -> None:
    about = {"count": 400_000_000, "componentType": 5126, "type": "VEC3"}
    made.json["accessors"].append(about)
    number = len(made.json["accessors"]) - 1
    made.json["meshes"][0]["primitives"] = [{"attributes": {"POSITION": number}}]


def _crowd(made: Gltf) -> None:
    """Show a mesh of many triangles many times over."""
    indices = made.table(np.tile([[0], [1], [2]], (20_000, 1)), "u2")
    for primitive in made.json["meshes"][0]["primitives"]:
        primitive["indices"] = indices
        primitive.pop("mode", None)
    made.json["nodes"] += [{"mesh": 0}] * 5000
    made.json["scenes"][made.json["scene"]]["nodes"] = list(range(len(made.json["nodes"])))


def _ring(made: Gltf) -> None:
    nodes = made.json["nodes"]
    nodes[-1]["children"] = [0]


FAULTS: dict[str, OfShapes | OfFiles | OfGltf] = {
    "a corner is NaN": replace(_moved(np.nan), formats=ALL),
    "a corner is infinite": _moved(-np.inf),
    "a corner is beyond reason": _moved(1e30),
    "an index is out of range": OfShapes(_beyond, (".obj", ".ply", ".off", ".gltf")),
    "no faces": OfShapes(
        lambda s: replace(s, polygons=[], part=s.part[:0]), (".obj", ".ply", ".off", ".stl")
    ),
    "no face has an area": OfShapes(
        lambda s: replace(s, polygons=[[p[0], p[1], p[1]] for p in s.polygons])
    ),
    "it is flat": OfShapes(lambda s: replace(s, points=s.points * [1, 0, 1])),
    "it is cut off": OfFiles(_cut, (".ply", ".off", ".stl", ".gltf")),
    "it is empty": OfFiles(lambda files: files.update({next(reversed(files)): b""}), ALL[:4]),
    "a number is a word": OfFiles(_edit(".obj", r"v[ \t]+[-+.\w]+", "v one"), (".obj",)),
    "an index is zero": OfFiles(_edit(".obj", r"(f[ \t]+)-?\d+", r"\g<1>0"), (".obj",)),
    "an index is before all": OfFiles(_edit(".obj", r"(f[ \t]+)-?\d+", r"\g<1>-999"), (".obj",)),
    "a material is unknown": OfFiles(_edit(".mtl", r"newmtl", "newmtl no"), (".obj",), "parts"),
    "a library is not there": OfFiles(_lost(".mtl"), (".obj",), "parts"),
    "a colour is a word": OfFiles(_edit(".mtl", r"Kd[ \t]+[-+.\w]+", "Kd red"), (".obj",), "parts"),
    "a texture is not there": OfFiles(_lost(".png"), (".obj", ".ply"), "textures"),
    "more vertices than bytes": OfFiles(_edit(".ply", r"vertex \d+", "vertex 90000"), (".ply",)),
    "vertices without end": OfFiles(_edit(".ply", r"vertex \d+", "vertex 99999999999"), (".ply",)),
    "faces without end": OfFiles(
        _edit(".ply", r"(face|tristrips) \d+", r"\1 9999999999"), (".ply",)
    ),
    "fewer than no vertices": OfFiles(_edit(".ply", r"vertex \d+", "vertex -1"), (".ply",)),
    "fewer than no faces": OfFiles(_edit(".ply", r"(face|tristrips) \d+", r"\1 -1"), (".ply",)),
    "a type is unknown": OfFiles(_edit(".ply", r"property \w+ x", "property real x"), (".ply",)),
    "no place along x": OfFiles(_edit(".ply", r"( x)(\r?\n)", r" xx\2"), (".ply",)),
    "no format": OfFiles(_edit(".ply", r"format \w+", "format text"), (".ply",)),
    "the header does not end": OfFiles(_edit(".ply", r"\nend_header", "\nend"), (".ply",)),
    "counts beyond the file": OfFiles(
        _edit(".off", r"OFF([\s]+)\d+", r"OFF\g<1>999999999999"), (".off",)
    ),
    "a size is negative": OfFiles(
        _edit(".off", r"([\r\n]+)[34]([ \t]+\d+[ \t]+\d+[ \t])", r"\1-1\2"), (".off",)
    ),
    "a size is too large": OfFiles(
        _edit(".off", r"([\r\n]+)[34]([ \t]+\d+[ \t]+\d+[ \t])", r"\g<1>99\2"), (".off",)
    ),
    "four dimensions": OfFiles(_edit(".off", r"OFF", "4OFF"), (".off",)),
    "it is of another kind": OfFiles(_edit(".off", r"OFF", "OOF"), (".off",)),
    "an unknown extension is required": OfGltf(
        lambda made: made.json.update(extensionsRequired=["VENDOR_new"])
    ),
    "a table beyond its buffer": _accessor(count=70_000, sparse=None),
    "a table of unknown type": _accessor(componentType=5124),
    "a table begins before its buffer": _accessor(byteOffset=-24),
    "a table of no data without end": OfGltf(_bare),
    "triangles without end": OfGltf(_crowd),
    "nodes in a ring": OfGltf(_ring),
    "a mesh that is not there": OfGltf(lambda made: made.json["nodes"][-1].update(mesh=7)),
    "another version": OfGltf(lambda made: made.json.update(asset={"version": "1.0"})),
    "a view of another buffer": OfGltf(
        lambda made: [view.update(buffer=3) for view in made.json["bufferViews"]]
    ),
    "a matrix of nine": OfGltf(
        lambda made: [node.update(matrix=[1.0] * 9) for node in made.json["nodes"]]
    ),
    "a word among numbers": OfFiles(_word, (".stl",)),
    "a facet of two corners": OfFiles(_unclosed, (".stl",)),
}


def formats(fault: str) -> tuple[str, ...]:
    """Return the formats that can have a fault."""
    return FAULTS[fault].formats


def paint(fault: str) -> str:
    """Return the colours that a mesh must have to have a fault; empty for any."""
    return FAULTS[fault].paint if fault else ""
