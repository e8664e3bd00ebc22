"""A table of the views of one split: N objects with V views each."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from seqjepa.errors import DataError
from seqjepa.store.checksums import Checksums
from seqjepa.types import Indices

STATISTICS_VIEWS = 4096  # views that pixel statistics are computed from, roughly
COPIED = 256  # objects whose views are copied to a device at once


class Stored(Protocol):
    """The part of an array that a table needs: it may also be a reader of files."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape, as of an array."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements, as of an array."""

    def __getitem__(self, at: tuple[Indices, Indices], /) -> npt.NDArray[Any]:
        """Return the elements [B, T, ...] at (objects [B, 1], views [B, T])."""


@dataclass(frozen=True)
class ViewTable:
    """The views of one split: N objects with V views each.

    Attributes:
        views: [N, V, H, W, C] uint8: an array, usually a memory map, or image files.
        poses: [N, V, P] float32.
        labels: [N] int64, -1 where unknown.
        rows: [N], the objects' places in `views`, which may then hold those of other splits too;
            None if it holds exactly these, in order.
        checksums: those of `views`, if each view is to be verified when it is read.
        contents: a digest of the bytes of `views`, if it is known; for `WorldSpec.data`.
    """

    views: Stored
    poses: Stored
    labels: npt.NDArray[np.int64]
    rows: Indices | None = None
    checksums: Checksums | None = None
    contents: str = ""

    def __post_init__(self) -> None:
        if len(self.views.shape) != 5 or self.views.dtype != np.uint8:
            got = f"{self.views.dtype} {list(self.views.shape)}"
            raise DataError(f"views must be uint8 [N, V, H, W, C], got {got}")

        size = (self.views if self.rows is None else self.rows).shape[0]
        views = self.views.shape[1]
        if len(self.poses.shape) != 3 or self.poses.shape[:2] != (size, views):
            raise DataError(f"poses must be [N={size}, V={views}, P], got {list(self.poses.shape)}")
        if self.labels.shape != (size,):
            raise DataError(f"labels must be [N={size}], got {list(self.labels.shape)}")

    def images(self, index: Indices, chosen: Indices) -> npt.NDArray[np.uint8]:
        """Return the views `chosen` [B, T] of the objects `index` [B], as [B, T, H, W, C].

        Raises:
            DataError: if one is not as it was written to the cache.
        """
        rows = index if self.rows is None else self.rows[index]
        objects, views = np.broadcast_arrays(rows[:, None], chosen)
        picked: npt.NDArray[np.uint8] = self.views[objects, views]
        if self.checksums is not None:
            self.checksums.verify((objects, views), picked)
        return picked

    def copy_to(self, device: torch.device) -> torch.Tensor:
        """Return all views [N, V, H, W, C] in the memory of a device.

        Raises:
            DataError: if one is not as it was written to the cache.
        """
        objects, every_view = len(self.labels), np.arange(self.views.shape[1])[None]
        copy = torch.empty(objects, *self.views.shape[1:], dtype=torch.uint8, device=device)
        # In parts, as the main memory may not hold all of them.
        for start in range(0, objects, COPIED):
            index = np.arange(start, min(start + COPIED, objects))
            copy[start : start + COPIED] = torch.from_numpy(self.images(index, every_view))
        return copy


def pixel_statistics(table: ViewTable) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel, of pixels in 0..1.

    They are of all views of objects spread evenly, some 4,096 views in all.
    """
    objects, views = len(table.labels), table.views.shape[1]
    all_views = np.arange(views)[None]

    # Counting the 256 values is exact and needs no floats until the end.
    counts = np.zeros((table.views.shape[-1], 256), np.int64)
    for index in range(0, objects, max(1, objects * views // STATISTICS_VIEWS)):
        pixels = table.images(np.array([index]), all_views).reshape(-1, len(counts))
        counts += [np.bincount(channel, minlength=256) for channel in pixels.T]

    shares, values = counts / counts.sum(1, keepdims=True), np.arange(256) / 255
    mean = shares @ values
    variance = shares @ values**2 - mean**2
    # The encoder divides by the deviation, so a constant channel gets a small one instead of 0.
    std = np.sqrt(np.maximum(variance, 1e-6))
    return tuple(mean.tolist()), tuple(std.tolist())
