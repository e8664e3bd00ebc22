"""Checksums of single views, for tables too large to verify as a whole at every start."""

import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqjepa.errors import DataError

Places = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


class Checksums:
    """CRC-32 of every view of a table; each view is verified the first time it is read.

    Args:
        crc32s: [N, V] uint32.
        folder: the table's folder, for messages.
    """

    def __init__(self, crc32s: npt.NDArray[np.uint32], folder: Path) -> None:
        self.crc32s, self.folder = crc32s, folder
        self.seen = np.zeros(crc32s.shape, np.bool_)

    def verify(self, places: Places, views: npt.NDArray[np.uint8]) -> None:
        """Raise a DataError if a view is not as it was written.

        Args:
            places: objects [...] and views [...].
            views: [..., H, W, C], as read from these places.
        """
        objects, numbers = places
        for place in map(tuple, np.argwhere(~self.seen[places])):
            row, view = objects[place], numbers[place]
            if crc32(views[place]) != self.crc32s[row, view]:
                raise DataError(
                    f"{self.folder / 'views.npy'} is damaged at object {row}, view {view}: "
                    "delete the folder, it is made again"
                )
        # Only now: a damaged view is found again each time it is read.
        self.seen[places] = True


def crc32(view: npt.NDArray[np.uint8]) -> int:
    """Return the CRC-32 of an array's bytes."""
    return zlib.crc32(np.ascontiguousarray(view).data)
