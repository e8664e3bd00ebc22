"""The materials of OBJ files (MTL)."""

import re
from dataclasses import dataclass, field, replace

import numpy as np

from seqjepa.errors import DataError
from seqjepa.render.kernels import Floats
from seqjepa.render.meshes.colours import fractions, rounded

DULL = (0.4, 0.4, 0.4)  # of a material that has no colour
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")

# Options of textures and how many values may follow each. Those of VECTORS have one to three
# numbers, and the others always as many as it says here.
VECTORS = {"-s": 3, "-o": 3, "-t": 3}
ONE = "-blendu -blendv -bm -boost -cc -clamp -colorspace -imfchan -texres -type"
OPTIONS = {"-mm": 2} | dict.fromkeys(ONE.split(), 1)


@dataclass(frozen=True)
class Map:
    """A texture and how it lies on a surface.

    Attributes:
        name: of its file.
        scale, offset: [2], the place in the texture is `scale` times the surface's plus `offset`.
        clamped: whether its edge goes on beyond it; otherwise it repeats.
        base, gain: its values are `base` plus `gain` times the file's.
    """

    name: str
    scale: tuple[float, ...] = (1.0, 1.0)
    offset: tuple[float, ...] = (0.0, 0.0)
    clamped: bool = False
    base: float = 0.0
    gain: float = 1.0


@dataclass(frozen=True)
class Material:
    """A material: its colour, its opacity and the texture that replaces the colour.

    Attributes:
        colour: [3], RGB in [0, 1].
        dissolve: the value of `d`, 1 for opaque; None if there is none.
        transparency: the value of `Tr`; None if there is none.
        map: None for no texture.
    """

    colour: Floats = field(default_factory=lambda: np.array(DULL))
    dissolve: float | None = None
    transparency: float | None = None
    map: Map | None = None

    @property
    def alpha(self) -> float:
        """Opacity in [0, 1]."""
        if self.dissolve is not None:
            return float(np.clip(self.dissolve, 0, 1))
        # 3ds Max writes opaque materials with `Tr 1.0` and no `d`.
        if self.transparency is None or self.transparency >= 1:
            return 1.0
        return float(1 - max(self.transparency, 0))


def parse_materials(text: str) -> dict[str, Material]:
    """Return the materials of a library by their names.

    Raises:
        DataError: if a colour or an opacity is no number.
    """
    materials, name = dict[str, Material](), None
    for line in logical_lines(text):
        key, _, value = line.partition(" ")
        key, value = key.lower(), value.strip()
        if key == "newmtl":
            name = plain_name(value)
            materials[name] = Material()
        elif name is None or not value:
            continue

        # Whatever else is in the file is not drawn.
        elif key == "kd":
            materials[name] = replace(materials[name], colour=_colour(value))
        elif key == "d":
            dissolve = _numbers("d", value.removeprefix("-halo"))[0]
            materials[name] = replace(materials[name], dissolve=dissolve)
        elif key == "tr":
            transparency = _numbers("Tr", value)[0]
            materials[name] = replace(materials[name], transparency=transparency)
        elif key == "map_kd":
            materials[name] = replace(materials[name], map=parse_map(value))
    return materials


def parse_map(text: str) -> Map:
    """Return the texture that a statement like `map_Kd -s 2 2 1 -clamp on wood.png` names.

    The name is all that follows the options, spaces included.
    """
    found, rest = dict[str, list[str]](), text.strip()
    while True:
        option, _, after = rest.partition(" ")
        option, after = option.lower(), after.lstrip()
        most = VECTORS.get(option) or OPTIONS.get(option)
        if most is None or not after:
            break

        # What is left at the end is the name, even if it looks like a value.
        values = list[str]()
        while len(values) < most:
            value, _, tail = after.partition(" ")
            if not tail.strip() or (option in VECTORS and not NUMBER.match(value)):
                break
            values.append(value)
            after = tail.lstrip()
        found[option], rest = values, after

    def pair(option: str, default: float) -> tuple[float, ...]:
        numbers = [float(value) for value in found.get(option, [])[:2]]
        return tuple(numbers + [default] * (2 - len(numbers)))

    base, gain = (*_numbers("-mm", " ".join(found.get("-mm", ["0"]))), 1.0)[:2]
    clamped = found.get("-clamp", [""])[0].lower() == "on"
    return Map(rest, pair("-s", 1), pair("-o", 0), clamped, base, gain)


def logical_lines(text: str) -> list[str]:
    """Return lines without spaces around them, those that a backslash continues as one.

    Comments and empty lines are left out, and tabs are spaces. A backslash at the end of a comment,
    as that of a folder's name, continues nothing.
    """
    joined = text
    if "\\" in text:
        plain = re.sub(r"^[ \t]*#.*$", "", text, flags=re.MULTILINE)
        joined = re.sub(r"\\[ \t]*\n", " ", plain)
    lines = (line.strip() for line in joined.replace("\t", " ").split("\n"))
    return [line for line in lines if line and line[0] != "#"]


def plain_name(name: str) -> str:
    """Return a material's name with single spaces."""
    return " ".join(name.split())


def _colour(value: str) -> Floats:
    if value.lower().startswith(("spectral", "xyz")):
        raise DataError(f"a material's colour is `Kd {value}`, and only RGB is read")
    red, *others = _numbers("Kd", value)
    if len(others) == 1:
        raise DataError(f"a material has `Kd {value}`, and not three numbers there")
    return rounded(fractions([red, *(others[:2] or (red, red))]))


def _numbers(key: str, value: str) -> list[float]:
    """Return the numbers of a statement, at least one."""
    words = value.partition(" #")[0].split()
    if not words or not all(NUMBER.match(word) for word in words):
        raise DataError(f"a material has `{key} {value}`, and not numbers there")
    return [float(word) for word in words]
