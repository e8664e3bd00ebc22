"""The views of a split, all on disk: a table of N objects with V views each."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from seqjepa.errors import DataError
from seqjepa.store.checksums import Checksums
from seqjepa.types import Indices


class Stored(Protocol):
    """What a table asks of what it holds: an array, or something that reads files when it is asked
    for elements."""

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """As of an array."""

    def __getitem__(self, at: tuple[Indices, Indices], /) -> npt.NDArray[Any]:
        """Elements [B, T, ...] at (objects [B, 1], views [B, T])."""


@dataclass(frozen=True)
class ViewTable:
    """The views of one split: N objects with V views each.

    Attributes:
        views: [N, V, H, W, C] uint8: an array, usually a memory map, or image files.
        poses: [N, V, P] float32.
        labels: [N] int64, -1 where unknown.
        rows: [N], where the objects stand in `views`, which may then hold those of other splits
            too; None where it holds these, in order.
        checksums: of `views`, where these are checked when they are read.
        contents: a digest of the bytes of `views`, where it is known; for `WorldSpec.data`.
    """

    views: Stored
    poses: Stored
    labels: npt.NDArray[np.int64]
    rows: Indices | None = None
    checksums: Checksums | None = None
    contents: str = ""

    def __post_init__(self) -> None:
        if len(self.views.shape) != 5 or self.views.dtype != np.uint8:
            raise DataError(
                f"views must be uint8 [N, V, H, W, C], got {self.views.dtype} {list(self.views.shape)}"
            )
        size = (self.views if self.rows is None else self.rows).shape[0]
        if len(self.poses.shape) != 3 or self.poses.shape[:2] != (size, self.views.shape[1]):
            raise DataError(
                f"poses must be [N={size}, V={self.views.shape[1]}, P], got {list(self.poses.shape)}"
            )
        if self.labels.shape != (size,):
            raise DataError(f"labels must be [N={size}], got {list(self.labels.shape)}")

    def images(self, index: Indices, chosen: Indices) -> npt.NDArray[np.uint8]:
        """[B, T, H, W, C]: the views `chosen` [B, T] of the objects `index` [B].

        Raises:
            DataError: if one is not as it was written to the cache.
        """
        rows = index if self.rows is None else self.rows[index]
        places = np.broadcast_arrays(rows[:, None], chosen)
        picked: npt.NDArray[np.uint8] = self.views[places[0], places[1]]
        if self.checksums is not None:
            self.checksums.verify((places[0], places[1]), picked)
        return picked


def pixel_statistics(table: ViewTable) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, of pixels in 0..1, over all views of objects spread
    evenly, some 4,096 views in all."""
    everything = np.arange(table.views.shape[1])[None]
    counts = np.zeros((table.views.shape[-1], 256), np.int64)
    for place in range(
        0, len(table.labels), max(1, len(table.labels) * table.views.shape[1] // 4096)
    ):
        pixels = table.images(np.array([place]), everything).reshape(-1, len(counts))
        counts += [np.bincount(channel, minlength=256) for channel in pixels.T]
    shares, value = counts / counts.sum(1, keepdims=True), np.arange(256) / 255
    mean = shares @ value
    std = np.sqrt(
        np.maximum(shares @ value**2 - mean**2, 1e-6)
    )  # no channel is constant to the encoder, which divides by it
    return tuple(mean.tolist()), tuple(std.tolist())
