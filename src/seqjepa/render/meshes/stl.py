"""STL files, text and binary. They have no colours."""

import re
import struct

import numpy as np

from seqjepa.render.kernels import Floats
from seqjepa.render.meshes.colours import GREY
from seqjepa.render.meshes.mesh import Part
from seqjepa.render.meshes.resolver import Resolver, decode_text

HEADER = 80  # bytes of a binary file before the number of its triangles
ROW = np.dtype([("normal", "<f4", 3), ("points", "<f4", (3, 3)), ("attributes", "<u2")])
SOLID = re.compile(r"^[ \t]*(solid|end[ \t]*solid)\b.*$", re.MULTILINE | re.IGNORECASE)

# The words of a facet; None stands for a number.
VERTEX = ["vertex", None, None, None]
FACET = ["facet", "normal", None, None, None, "outer", "loop", *VERTEX * 3, "endloop", "endfacet"]
NUMBERS = [at for at, word in enumerate(FACET) if word is None][3:]  # those of the corners


def read_stl(data: bytes, resolver: Resolver) -> list[Part]:
    """Return the solids of an STL file.

    Raises:
        ValueError: if it is no whole STL file.
    """
    # A binary file may begin with "solid", too: its length shows it.
    count = struct.unpack_from("<I", data, HEADER)[0] if len(data) >= HEADER + 4 else -1
    end = HEADER + 4 + count * ROW.itemsize
    if len(data) == end:
        solids = [np.frombuffer(data, ROW, count, HEADER + 4)["points"].astype(np.float64)]
    elif data.lstrip(b"\xef\xbb\xbf \t\r\n")[:5].lower() == b"solid":
        solids = _solids(decode_text(data))
    elif count < 0:
        raise ValueError("it is neither text nor binary STL")
    else:
        raise ValueError(f"its {count:,} triangles take {end:,} bytes, and it has {len(data):,}")
    return [Part(points, None, None, np.array(GREY)) for points in solids]


def _solids(text: str) -> list[Floats]:
    """Return the triangles [F, 3, 3] of each solid of a text."""
    # Names of solids may be any words, those of facets too.
    pieces = SOLID.split(text)
    kinds = ["".join(kind.lower().split()) for kind in pieces[1::2]]
    if pieces[0].strip() or kinds != ["solid", "endsolid"] * (len(kinds) // 2):
        raise ValueError("its solids do not begin and end one after the other")
    if any(piece.strip() for piece in pieces[4::4]):
        raise ValueError("there is something outside its solids")
    return [_triangles(piece) for piece in pieces[2::4]]


def _triangles(text: str) -> Floats:
    # Some programs write `end facet` and `end loop`.
    words = re.sub(r"\bend[ \t]+(facet|loop)\b", r"end\1", text.lower()).split()
    if len(words) % len(FACET):
        raise ValueError("a facet is no triangle")
    table = np.array(words).reshape(-1, len(FACET))
    if any((table[:, at] != word).any() for at, word in enumerate(FACET) if word is not None):
        raise ValueError("a facet is no triangle")
    return table[:, NUMBERS].astype(np.float64).reshape(-1, 3, 3)
