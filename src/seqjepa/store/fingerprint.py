"""Digests of the data a world is made of.

A run keeps them (`WorldSpec.data`) and recognises its data by them when it is resumed.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

WHOLE = 16 * 2**20  # bytes up to which an array is digested as a whole
# Of a larger array, pieces spread evenly are digested, its two ends among them.
PIECES = 256
PIECE = 16 * 2**10  # bytes


def digests(parts: Mapping[str, npt.NDArray[Any] | bytes | str]) -> dict[str, str]:
    """Return a digest of each part, for `WorldSpec.data`.

    It is cheap: of large arrays (memory maps) only a few MiB are read. Data that were made again,
    extended, cut, reordered or relabelled have other digests. A change of a few pixels in a large
    array may be missed: a world that knows a digest of all its bytes gives that as the part.

    Args:
        parts: numbers, or a digest or key that stands for data. Their names tell a user what
            changed, such as `train.labels`.
    """
    return {name: _digest(part) for name, part in parts.items()}


def _digest(part: npt.NDArray[Any] | bytes | str) -> str:
    if isinstance(part, str | bytes):
        data = part.encode() if isinstance(part, str) else part
        return hashlib.sha256(data).hexdigest()[:16]

    found = hashlib.sha256(f"{part.dtype.str} {part.shape}".encode())
    if part.nbytes <= WHOLE:
        found.update(np.ascontiguousarray(part).data)
    else:
        # In the order of memory, so that a map of a Fortran array is not copied.
        flat = part.ravel(order="K").view(np.uint8)
        for start in np.linspace(0, flat.size - PIECE, PIECES, dtype=np.int64):
            found.update(flat[start : start + PIECE].data)
    return found.hexdigest()[:16]
