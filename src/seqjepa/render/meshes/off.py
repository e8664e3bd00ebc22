"""OFF files, with the colours of vertices and faces."""

import re

import numpy as np

from seqjepa.errors import DataError
from seqjepa.render.kernels import Floats
from seqjepa.render.meshes.colours import GREY, fractions, rounded
from seqjepa.render.meshes.mesh import Part
from seqjepa.render.meshes.polygons import triangulate
from seqjepa.render.meshes.resolver import Resolver, decode_text

# Places in a texture, colours and normals may be announced; many files have the counts at once.
HEADER = re.compile(r"(ST)?(C)?(N)?(4)?(n)?OFF( BINARY)?")


def read_off(data: bytes, resolver: Resolver) -> list[Part]:
    """Return the faces of an OFF file.

    Raises:
        DataError: if it is binary or not in three dimensions.
        ValueError, LookupError: if it is no whole OFF file.
    """
    lines = [line.partition("#")[0].split() for line in decode_text(data).split("\n")]
    lines = [words for words in lines if words]
    header = HEADER.match(" ".join(lines[0]))
    if header is None:
        raise ValueError("it does not begin with OFF")
    if header[4] or header[5] or header[6]:
        raise DataError(f"it is {header[0]}, which is not read")
    counts = " ".join(lines[0])[header.end() :].split()
    rows = lines[1 if counts else 2 :]
    vertices, faces, *_ = map(int, counts or lines[1])
    if min(vertices, faces) < 0 or len(rows) < vertices + faces:
        raise ValueError("it ends too early")

    # The coordinates come first, then the normal, then the colour.
    table = [[float(word) for word in row] for row in rows[:vertices]]
    points = np.array([row[:3] for row in table], np.float64)
    start = 6 if header[3] else 3
    normals = np.array([row[3:6] for row in table], np.float64) if header[3] else None
    own = [row[start : start + 4] for row in table] if header[2] else []

    # A face has the number of its corners, those, and perhaps a colour.
    found = rows[vertices : vertices + faces]
    sizes = np.array([int(words[0]) for words in found], np.int64)
    corners = [words[1 : 1 + size] for words, size in zip(found, sizes.tolist(), strict=True)]
    if (sizes < 0).any() or (sizes != [len(words) for words in corners]).any():
        raise ValueError("a face has fewer corners than it says")
    triangles, polygon = triangulate(sizes)
    vertex = np.array([int(word) for words in corners for word in words], np.int64)[triangles]
    if vertex.min(initial=0) < 0 or vertex.max(initial=-1) >= vertices:
        raise ValueError(f"faces name vertices beyond the {vertices:,} that are there")

    colour: Floats = np.array(GREY)
    of_faces = [words[1 + size :] for words, size in zip(found, sizes.tolist(), strict=True)]
    if own:
        colour = _colours(own)[vertex]
    elif any(len(words) >= 3 for words in of_faces):
        colour = _colours([list(map(float, words)) for words in of_faces])[polygon][:, None]
    return [Part(points[vertex], None if normals is None else normals[vertex], None, colour)]


def _colours(rows: list[list[float]]) -> Floats:
    """Return RGBA [n, 4] of rows that have three or four numbers; others have no colour."""
    given = np.array([len(row) >= 3 for row in rows])
    rgb = fractions([row[:3] if len(row) >= 3 else [0, 0, 0] for row in rows])
    alpha = [row[3] if len(row) > 3 else np.inf for row in rows]
    opaque = np.isinf(alpha)
    shade = np.where(opaque, 1, fractions(np.where(opaque, 0, alpha)))
    found = rounded(np.concatenate([rgb, shade[:, None]], 1))
    return np.where(given[:, None], found, GREY)
