"""What a world's views are made of, in digests: `WorldSpec.data`, by which a resumed run knows its
data again."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

WHOLE = 16 * 2**20  # bytes up to which an array is digested as a whole
PIECES, PIECE = (
    256,
    16 * 2**10,
)  # else so many pieces of so many bytes, spread evenly with its two ends among them


def digests(parts: Mapping[str, npt.NDArray[Any] | bytes | str]) -> dict[str, str]:
    """A digest of each part, for `WorldSpec.data`; cheap, as of large arrays (memory maps) it reads
    a few MiB only.

    Data that were made again, extended, cut, reordered or relabelled have other digests. A change
    of a few pixels in a large array may be
    missed: a world that knows a digest of all its bytes gives that as the part.

    Args:
        parts: by names that tell a user what changed, such as `train.labels`: numbers, or a digest
            or key that stands for data.
    """
    return {name: _digest(part) for name, part in parts.items()}


def _digest(part: npt.NDArray[Any] | bytes | str) -> str:
    if isinstance(part, str | bytes):
        return hashlib.sha256(part.encode() if isinstance(part, str) else part).hexdigest()[:16]
    found = hashlib.sha256(f"{part.dtype.str} {part.shape}".encode())
    if part.nbytes <= WHOLE:
        found.update(np.ascontiguousarray(part).data)
    else:
        flat = part.ravel(order="K").view(np.uint8)  # as it lies in memory, without a copy
        for start in np.linspace(0, flat.size - PIECE, PIECES, dtype=np.int64):
            found.update(flat[start : start + PIECE].data)
    return found.hexdigest()[:16]
