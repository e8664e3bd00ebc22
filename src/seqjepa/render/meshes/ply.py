"""PLY files: polygons or strips, with normals, textures and colours under their usual names."""

from dataclasses import dataclass, replace

import numpy as np

from seqjepa.render.kernels import Floats, Ints
from seqjepa.render.meshes.colours import GREY, fractions, rounded, with_alpha
from seqjepa.render.meshes.mesh import Part
from seqjepa.render.meshes.ply_elements import Element, Lists, read_ply_file
from seqjepa.render.meshes.polygons import strip, triangulate
from seqjepa.render.meshes.resolver import Resolver

# Names that programs give to the same things, the first that a file has counting.
FACES = ("vertex_indices", "vertex_index", "vertex_indexes")
PLACES = (("texture_u", "texture_v"), ("u", "v"), ("s", "t"), ("tx", "ty"))
COLOURS = ("red", "green", "blue", "alpha"), ("r", "g", "b", "a")
PREFIXES = ("", "diffuse_", "vertex_", "color_", "ambient_")


@dataclass(frozen=True)
class _Triangles:
    """T triangles.

    Attributes:
        vertex: [T, 3].
        polygon: [T], the face that each is a part of.
        corner: [T, 3], its corners among those of all faces.
    """

    vertex: Ints
    polygon: Ints
    corner: Ints


def read_ply(data: bytes, resolver: Resolver) -> list[Part]:
    """Return the parts of a PLY file, one for each texture.

    Raises:
        ValueError: if the file is no whole PLY file.
    """
    elements, textures = read_ply_file(data)
    vertices, faces = elements.get("vertex", {}), elements.get("face", {})
    found = _triangles(elements)
    if not len(found.vertex):
        return []
    points = _stacked(vertices, ("x", "y", "z"))
    if points is None or found.vertex.max() >= len(points) or found.vertex.min() < 0:
        raise ValueError("faces name vertices that are not there")

    # Colours of vertices count before those of faces.
    own, of_faces = _colours(vertices), _colours(faces)
    colour: Floats = np.array(GREY)
    if own is not None:
        colour = own[found.vertex]
    elif of_faces is not None:
        colour = of_faces[found.polygon][:, None]

    normals = _stacked(vertices, ("nx", "ny", "nz"))
    part = Part(
        points=points[found.vertex],
        normals=None if normals is None else normals[found.vertex],
        uv=_places(vertices, faces, found),
        colour=np.broadcast_to(colour, (len(found.vertex), 3, 4)),
    )
    if part.uv is None or not textures:
        return [part]
    return _textured(part, textures, faces.get("texnumber"), found.polygon, resolver)


def _triangles(elements: dict[str, Element]) -> _Triangles:
    faces = elements.get("face", {})
    lists = {name: column for name, column in faces.items() if isinstance(column, Lists)}
    whole = [name for name, column in lists.items() if column.values.dtype.kind in "iu"]
    name = next((name for name in (*FACES, *whole) if name in lists), None)
    if name is not None:
        corner, polygon = triangulate(lists[name].sizes)
        return _Triangles(lists[name].values.astype(np.int64)[corner], polygon, corner)

    # Strips of triangles, of which -1 begins a new one.
    strips = elements.get("tristrips", {}).get(FACES[0])
    triangles = [np.empty((0, 3), np.int64)]
    if isinstance(strips, Lists):
        for values in np.split(strips.values.astype(np.int64), np.cumsum(strips.sizes)[:-1]):
            ends = np.flatnonzero(values < 0)
            triangles += [strip(one[one >= 0]) for one in np.split(values, ends)]
    vertex = np.concatenate(triangles)
    return _Triangles(vertex, np.arange(len(vertex)), np.zeros_like(vertex))


def _stacked(element: Element, names: tuple[str, ...]) -> Floats | None:
    """Return columns side by side, [n, names]; None if one is not there."""
    columns = [element.get(name) for name in names]
    found = [column for column in columns if isinstance(column, np.ndarray)]
    return np.stack(found, 1).astype(np.float64) if len(found) == len(names) else None


def _colours(element: Element) -> Floats | None:
    """Return RGBA [n, 4] in [0, 1] of an element; None if it has no colours."""
    for prefix in PREFIXES:
        for names in COLOURS:
            columns = [element.get(prefix + name) for name in names]
            found = [column for column in columns if isinstance(column, np.ndarray)]
            if len(found) < 3 or any(column is None for column in columns[:3]):
                continue
            # Types of one byte count to 255, for others the largest number shows it.
            bytewise = found[0].dtype.itemsize == 1
            rgb = np.stack(found[:3], 1)
            scaled = [rgb / 255 if bytewise else fractions(rgb)]
            if len(found) == 4:
                alpha = found[3][:, None]
                scaled.append(alpha / 255 if alpha.dtype.itemsize == 1 else fractions(alpha))
            return rounded(with_alpha(np.concatenate(scaled, 1)))
    return None


def _places(vertices: Element, faces: Element, found: _Triangles) -> Floats | None:
    """Return the places [T, 3, 2] of triangles in a texture; None if there are none."""
    # Faces have two numbers for each of their corners.
    own = faces.get("texcoord")
    if isinstance(own, Lists):
        return _corner_places(own, found)
    for names in PLACES:
        uv = _stacked(vertices, names)
        if uv is not None:
            return uv[found.vertex]
    return None


def _corner_places(own: Lists, found: _Triangles) -> Floats:
    """Return the places [T, 3, 2] that faces list, NaN for faces that list fewer than corners."""
    # Faces without a texture may have empty lists, so corners are counted from each face's first.
    first = np.full(len(own.sizes), np.iinfo(np.int64).max)
    np.minimum.at(first, found.polygon, found.corner[:, 0])
    starts = np.cumsum(own.sizes) - own.sizes
    inside = 2 * (found.corner - first[found.polygon][:, None])
    given = (inside + 2 <= own.sizes[found.polygon][:, None])[..., None]
    at = np.minimum(starts[found.polygon][:, None] + inside, max(0, len(own.values) - 2))
    if len(own.values) < 2:
        return np.full((*found.corner.shape, 2), np.nan)
    return np.where(given, own.values.astype(np.float64)[np.stack([at, at + 1], -1)], np.nan)


def _textured(
    part: Part, textures: list[str], number: object, polygon: Ints, resolver: Resolver
) -> list[Part]:
    """Return the triangles of each texture as a part of its own.

    `number` is the column that holds the texture of each face, if there is one.
    """
    of_face = number if isinstance(number, np.ndarray) else np.zeros(polygon.max() + 1, np.int64)
    chosen, parts = of_face.astype(np.int64)[polygon], list[Part]()
    for texture in np.unique(chosen).tolist():
        at = chosen == texture
        normals = None if part.normals is None else part.normals[at]
        uv = None if part.uv is None else part.uv[at]
        colour = np.broadcast_to(part.colour, (len(at), 3, 4))[at]
        one = replace(part, points=part.points[at], normals=normals, uv=uv, colour=colour)
        if texture < 0:  # of a face without a texture
            parts.append(one)
            continue

        # A texture replaces colours.
        image = resolver.image(textures[texture])
        if image is not None:
            parts.append(replace(one, colour=np.ones(4), picture=resolver.decoded(image)))
    return parts
