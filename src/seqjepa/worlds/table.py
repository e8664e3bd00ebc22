"""Worlds whose views are all on disk: so many objects, each with so many views of known pose."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from seqjepa.errors import DataError
from seqjepa.types import SequenceBatch
from seqjepa.worlds.base import Indices, World, WorldSpec, choose_views


@dataclass(frozen=True)
class ViewTable:
    """The views of one split.

    Attributes:
        views: [N, V, H, W, C] uint8, usually a memory map.
        poses: [N, V, P] float32.
        labels: [N] int64, -1 where unknown.
    """

    views: npt.NDArray[np.uint8]
    poses: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.views.ndim != 5 or self.views.dtype != np.uint8:
            raise DataError(f"views must be uint8 [N, V, H, W, C], got {self.views.dtype} {list(self.views.shape)}")
        if self.poses.ndim != 3 or self.poses.shape[:2] != self.views.shape[:2]:
            raise DataError(f"poses must be [N={self.views.shape[0]}, V={self.views.shape[1]}, P], got {list(self.poses.shape)}")
        if self.labels.shape != self.views.shape[:1]:
            raise DataError(f"labels must be [N={self.views.shape[0]}], got {list(self.labels.shape)}")


class TableWorld(World):
    """A World over one ViewTable per split; sequences are views drawn without replacement."""

    def __init__(self, spec: WorldSpec, tables: Mapping[str, ViewTable]) -> None:
        self.spec = spec
        self.tables = tables

    def size(self, split: str) -> int:
        """How many objects a split has."""
        return len(self.tables[split].labels)

    def sequences(self, split: str, index: Indices, num_views: int, key: Indices) -> SequenceBatch:
        """See `World.sequences`. The views come out channels-last in memory, as convolutions like them."""
        table = self.tables[split]
        chosen = choose_views(key, num_views, table.views.shape[1])
        views = torch.from_numpy(table.views[index[:, None], chosen])
        poses = torch.from_numpy(table.poses[index[:, None], chosen])
        actions = self.spec.actions.along(poses)
        return SequenceBatch(views.permute(0, 1, 4, 2, 3), actions, poses, torch.from_numpy(table.labels[index]))


def pixel_statistics(views: npt.NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, of pixels in 0..1, over at most 4,096 views spread evenly over [N, V, H, W, C]."""
    objects = views[:: max(1, views.shape[0] * views.shape[1] // 4096)]
    pixels = objects.reshape(-1, views.shape[-1]).astype(np.float64) / 255
    return tuple(pixels.mean(0).tolist()), tuple(np.maximum(pixels.std(0), 1e-3).tolist())
