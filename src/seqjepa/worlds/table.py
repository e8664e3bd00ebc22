"""Worlds whose views are all on disk: a table of objects and their views for each split."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from typing_extensions import override

from seqjepa.devices import memory
from seqjepa.keys import choose_views
from seqjepa.store.fingerprint import digests
from seqjepa.store.table import Stored, ViewTable, pixel_statistics
from seqjepa.types import Indices, SequenceBatch
from seqjepa.worlds.base import World, WorldSpec

# Worlds of one's own import these from here.
__all__ = ["Stored", "TableWorld", "ViewTable", "pixel_statistics"]

FINGERPRINTED = 64  # objects whose poses stand for those of a split that is read from files
Renderer = Callable[[str, Indices, npt.NDArray[np.float32]], npt.NDArray[np.uint8]]
"""Views [B, T, H, W, C] of objects [B] of a split at poses [B, T, P]."""

KEPT = 0.5  # of a device's memory, the most that kept views take: training needs the rest


class TableWorld(World):
    """A World over one ViewTable per split; sequences are views drawn without replacement.

    Args:
        spec: description of the world.
        tables: by split.
        renderer: makes views at other poses than those of the tables, if the world can.
    """

    def __init__(
        self,
        spec: WorldSpec,
        tables: Mapping[str, ViewTable],
        renderer: Renderer | None = None,
    ) -> None:
        self.spec = spec if spec.data else replace(spec, data=digests(_parts(tables)))
        self.tables, self.renderer = tables, renderer
        self.kept: dict[str, Tensor] = {}

    @override
    def size(self, split: str) -> int:
        return len(self.tables[split].labels)

    @override
    def views(self, split: str) -> int:
        return self.tables[split].views.shape[1]

    @override
    def keep_views(self, split: str) -> bool:
        if split not in self.kept:
            table = self.tables[split]
            size = len(table.labels) * math.prod(table.views.shape[1:])
            taken = sum(views.nbytes for views in self.kept.values())
            if taken + size > KEPT * memory(self.device):
                return False
            self.kept[split] = table.copy_to(self.device)
        return True

    @override
    def sequences(self, split: str, index: Indices, num_views: int, key: Indices) -> SequenceBatch:
        table = self.tables[split]
        chosen = choose_views(key, num_views, table.views.shape[1])
        # From [B, T, H, W, C] without a copy: channels-last in memory, as convolutions like them.
        views = self._pixels(split, index, chosen).permute(0, 1, 4, 2, 3)
        poses = torch.from_numpy(table.poses[index[:, None], chosen])
        labels = torch.from_numpy(table.labels[index])
        return SequenceBatch(views, self.spec.actions.along(poses), poses, labels)

    @override
    def render(self, split: str, index: Indices, poses: Tensor) -> Tensor | None:
        if self.renderer is None:
            return None
        images = self.renderer(split, index, poses.float().cpu().numpy())
        return torch.from_numpy(images).permute(0, 1, 4, 2, 3)

    def _pixels(self, split: str, index: Indices, chosen: Indices) -> Tensor:
        """Return the views `chosen` [B, T] of the objects `index` [B], as [B, T, H, W, C]."""
        kept = self.kept.get(split)
        if kept is None:
            return torch.from_numpy(self.tables[split].images(index, chosen))

        # Only the places travel; views are gathered where they are.
        places = torch.from_numpy(index[:, None] * kept.shape[1] + chosen)
        flat = places.flatten().to(kept.device, non_blocking=True)
        return kept.flatten(0, 1).index_select(0, flat).view(*chosen.shape, *kept.shape[2:])


def _parts(tables: Mapping[str, ViewTable]) -> dict[str, npt.NDArray[Any] | str]:
    """Return the arrays and digests that identify a world's data, by the names of their parts."""
    parts: dict[str, npt.NDArray[Any] | str] = {}
    for split, table in tables.items():
        views: Any = table.views
        poses: Any = table.poses
        # Views that are files are too many to read: the digest of their bytes stands for them.
        if not isinstance(views, np.ndarray) and table.contents:
            views = table.contents
        # Poses that are files are read for some objects, spread evenly.
        if not isinstance(poses, np.ndarray):
            step = max(1, len(table.labels) // FINGERPRINTED)
            objects = np.arange(0, len(table.labels), step)[:, None]
            poses = poses[objects, np.arange(poses.shape[1])[None]]

        named = {"views": views, "poses": poses, "labels": table.labels, "rows": table.rows}
        for name, part in named.items():
            if isinstance(part, np.ndarray | str):
                parts[f"{split}.{name}"] = part
    return parts
