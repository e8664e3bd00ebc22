"""Tables too large to verify as a whole at every start: each view is checked the first time it is
read."""

import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqjepa.errors import DataError

Places = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


class Checksums:
    """CRC-32 of every view of a table.

    Args:
        crc32s: [N, V] uint32.
        folder: that the table is in, for messages.
    """

    def __init__(self, crc32s: npt.NDArray[np.uint32], folder: Path) -> None:
        self.crc32s, self.folder = crc32s, folder
        self.seen = np.zeros(crc32s.shape, np.bool_)

    def verify(self, places: Places, views: npt.NDArray[np.uint8]) -> None:
        """Raise a DataError if one of the views [..., H, W, C], read from (objects [...], views
        [...]), is not as it was written."""
        for place in np.argwhere(~self.seen[places]):
            spot = (places[0][tuple(place)], places[1][tuple(place)])
            if crc32(views[tuple(place)]) != self.crc32s[spot]:
                raise DataError(
                    f"{self.folder / 'views.npy'} is damaged at object {spot[0]}, view {spot[1]}: delete the folder, it is made again"
                )
        self.seen[places] = True


def crc32(view: npt.NDArray[np.uint8]) -> int:
    """Of the bytes of an array."""
    return zlib.crc32(np.ascontiguousarray(view).data)
