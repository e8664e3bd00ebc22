"""OBJ files, with their libraries of materials.

Polygons become triangles. Curves, points and lines are left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import numpy.typing as npt

from seqjepa.render.kernels import Floats, Ints
from seqjepa.render.meshes.colours import GREY, fractions, rounded
from seqjepa.render.meshes.materials import Material, logical_lines, parse_materials, plain_name
from seqjepa.render.meshes.mesh import Part
from seqjepa.render.meshes.polygons import triangulate
from seqjepa.render.meshes.resolver import Resolver, decode_text
from seqjepa.render.meshes.texture import Mode, wrapped

NO_MATERIAL = ("(null)", "None")  # what programs write for faces that have no material


@dataclass
class _Statements:
    """The statements of a file, by kind.

    Attributes:
        vertices, places, normals: what follows `v`, `vt` and `vn`.
        faces: what follows `f`.
        materials: of each face, its material; None for none.
        before: of each face with relative numbers, by its own number: how many vertices, places
            and normals precede it.
        libraries: what follows `mtllib`.
    """

    vertices: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    normals: list[str] = field(default_factory=list)
    faces: list[str] = field(default_factory=list)
    materials: list[str | None] = field(default_factory=list)
    before: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    libraries: list[str] = field(default_factory=list)


def read_obj(data: bytes, resolver: Resolver) -> list[Part]:
    """Return the parts of an OBJ file, one for each material.

    A library or material that is not there is noted by the resolver.

    Raises:
        DataError: if a material is damaged.
        ValueError: if numbers are none, or a face names a vertex that is not there, or a place in a
            texture.
    """
    found = _statements(decode_text(data))
    materials = _materials(found, resolver)
    if resolver.missing:
        return []

    vertices, counts = _table(found.vertices)
    uv, normals = _table(found.places)[0][:, :2], _table(found.normals)[0][:, :3]
    colours, coloured = fractions(vertices[:, 3:6]), counts >= 6

    sizes = np.array([len(face.split()) for face in found.faces], np.int64)
    corners = _corners(found, sizes)
    if corners[:, 0].max(initial=-1) >= len(vertices) or corners[:, 0].min(initial=0) < 0:
        raise ValueError(f"faces name vertices beyond the {len(vertices):,} that are there")

    # The order of triangles decides what is drawn where two lie in the same plane.
    names = {name: number for number, name in enumerate(dict.fromkeys(found.materials))}
    used = np.array([names[name] for name in found.materials], np.int64)
    parts = list[Part]()
    for name, number in reversed(names.items()):
        triangles, _ = triangulate(sizes[used == number])
        chosen = corners[np.repeat(used == number, sizes)][triangles]
        vertex, place, normal = chosen[..., 0], chosen[..., 1], chosen[..., 2]
        material = materials.get(name or "")
        own = (colours[vertex], coloured[vertex]) if coloured.any() else None
        if material is not None and material.map and place.max() >= len(uv):
            beyond = f"beyond the {len(uv):,} that are there"
            raise ValueError(f"faces name places in a texture {beyond}")
        part = Part(
            points=vertices[vertex, :3],
            normals=_picked(normals, normal),
            uv=_picked(uv, place),
            colour=_colour(material, own),
        )
        parts.append(part if material is None else _textured(part, material, resolver))
    return parts


def _statements(text: str) -> _Statements:
    found, material = _Statements(), None
    for line in logical_lines(text):
        key, _, rest = line.partition(" ")
        if key in ("v", "vt", "vn", "f", "fo") and "#" in rest:
            rest = rest.partition("#")[0]

        if key == "v":
            found.vertices.append(rest)
        elif key == "vt":
            found.places.append(rest)
        elif key == "vn":
            found.normals.append(rest)
        elif key in ("f", "fo"):  # `fo` is what old files have
            if "-" in rest:
                before = len(found.vertices), len(found.places), len(found.normals)
                found.before[len(found.faces)] = before
            found.faces.append(rest)
            found.materials.append(material)
        elif key == "usemtl":
            material = plain_name(rest)
        elif key == "mtllib":
            found.libraries.append(rest.strip())
    return found


def _table(lines: list[str]) -> tuple[Floats, Ints]:
    """Return the numbers of lines [n, 3 or more], NaN where there are none, and how many [n]."""
    rows = [line.split() for line in lines]
    counts = np.array([len(row) for row in rows], np.int64)
    table = np.full((len(rows), max(3, int(counts.max(initial=0)))), np.nan)
    numbers = map(float, chain.from_iterable(rows))
    table[np.arange(table.shape[1]) < counts[:, None]] = np.fromiter(numbers, np.float64)
    return table, counts


def _corners(found: _Statements, sizes: Ints) -> Ints:
    """Return the vertex, the place in the texture and the normal of all corners [n, 3].

    They count from 0, and are -1 where the file names none.
    """
    rows = [[*word.split("/"), "", ""][:3] for face in found.faces for word in face.split()]
    words = chain.from_iterable(rows)
    corners = np.array([int(word) if word else 0 for word in words], np.int64).reshape(-1, 3)
    if found.before:
        # -1 is the last one before the face.
        before = np.zeros((len(sizes), 3), np.int64)
        before[list(found.before)] = list(found.before.values())
        absolute = corners + np.repeat(before, sizes, 0) + 1
        corners = np.where(corners < 0, np.maximum(absolute, 0), corners)
    return corners - 1


def _picked(table: Floats, numbers: Ints) -> Floats | None:
    """Return rows [F, 3, n] of a table, NaN for none; None if there are none or too few."""
    if not (numbers >= 0).any() or numbers.max() >= len(table):
        return None
    return np.where((numbers >= 0)[..., None], table[numbers], np.nan)


def _materials(found: _Statements, resolver: Resolver) -> dict[str, Material]:
    """Return the materials of the file's libraries, and note which are missing."""
    materials, libraries = dict[str, Material](), list[str]()
    # Many files repeat the line before each group.
    for line in dict.fromkeys(found.libraries):
        for name in _names(line, resolver):
            libraries.append(name)
            text = resolver.text(name)
            materials = parse_materials(text or "") | materials  # the first of a name counts

    # Only what faces use is asked for.
    used = [name for name in dict.fromkeys(found.materials) if name]
    near = {name.lower(): name for name in materials}
    where = " and ".join(libraries) or "no mtllib"
    if not resolver.missing:
        for name in used:
            if name not in materials and name not in NO_MATERIAL:
                hint = f", which has {near[name.lower()]}" if name.lower() in near else ""
                resolver.missing.append(f"material {name} ({where}{hint})")
    return materials


def _names(line: str, resolver: Resolver) -> Iterator[str]:
    """Yield the libraries that a line names; their names may have spaces."""
    words = line.split()
    while words:
        # The longest name that is there; if there is none, all the rest is one.
        ends = range(len(words), 0, -1)
        end = next((n for n in ends if resolver.find(" ".join(words[:n]))), len(words))
        yield " ".join(words[:end])
        words = words[end:]


def _colour(material: Material | None, own: tuple[Floats, npt.NDArray[np.bool_]] | None) -> Floats:
    """Return a part's RGBA [4] or [F, 3, 4].

    Args:
        material: None for none.
        own: colours of the corners [F, 3, 3] and which have one [F, 3]; None if none has.
    """
    colour = np.array(GREY)
    if material is not None:
        # A texture replaces the colour, which many files leave black.
        colour = np.append(np.ones(3) if material.map else material.colour, material.alpha)
    if own is None or (material is not None and material.map):
        return colour

    # Corners' colours are multiplied by the material's.
    colours, coloured = own
    factor = np.ones(3) if material is None else material.colour
    rgb = np.where(coloured[..., None], rounded(colours) * factor, colour[:3])
    return np.concatenate([rgb, np.full((*rgb.shape[:2], 1), colour[3])], -1)


def _textured(part: Part, material: Material, resolver: Resolver) -> Part:
    """Return a part with its material's texture, if it has one and places in it."""
    image = resolver.image(material.map.name) if material.map else None
    if material.map is None or image is None or part.uv is None:
        return part

    pixels, uv = resolver.decoded(image), part.uv
    if (material.map.base, material.map.gain) != (0, 1):
        rgb = 255 * material.map.base + material.map.gain * pixels[..., :3].astype(np.float64)
        pixels = np.concatenate([np.rint(rgb.clip(0, 255)), pixels[..., 3:]], -1).astype(np.uint8)
    if (material.map.scale, material.map.offset) != ((1, 1), (0, 0)):
        uv = uv * material.map.scale + material.map.offset
    mode: Mode = "edge" if material.map.clamped else "wrap"
    return part.with_texture(*wrapped(pixels, uv, (mode, mode)))
