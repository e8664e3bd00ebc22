"""Worlds whose views are all on disk: so many objects, each with so many views of known pose."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from seqjepa.keys import choose_views
from seqjepa.store.fingerprint import digests
from seqjepa.store.table import ViewTable
from seqjepa.types import Indices, SequenceBatch
from seqjepa.worlds.base import World, WorldSpec

SOME = 64  # objects


class TableWorld(World):
    """A World over one ViewTable per split; sequences are views drawn without replacement."""

    def __init__(self, spec: WorldSpec, tables: Mapping[str, ViewTable]) -> None:
        self.spec = spec if spec.data else replace(spec, data=digests(_parts(tables)))
        self.tables = tables

    def size(self, split: str) -> int:
        """How many objects a split has."""
        return len(self.tables[split].labels)

    def views(self, split: str) -> int:
        """How many different views each object of a split has."""
        return self.tables[split].views.shape[1]

    def sequences(self, split: str, index: Indices, num_views: int, key: Indices) -> SequenceBatch:
        """See `World.sequences`. The views come out channels-last in memory, as convolutions like
        them."""
        table = self.tables[split]
        chosen = choose_views(key, num_views, table.views.shape[1])
        views = torch.from_numpy(table.images(index, chosen))
        poses = torch.from_numpy(table.poses[index[:, None], chosen])
        actions = self.spec.actions.along(poses)
        return SequenceBatch(
            views.permute(0, 1, 4, 2, 3), actions, poses, torch.from_numpy(table.labels[index])
        )


def _parts(tables: Mapping[str, ViewTable]) -> dict[str, npt.NDArray[Any] | str]:
    """What tells a world's data, by what it is called. Of views that are files this is `contents`,
    of such poses those of some objects."""
    parts: dict[str, npt.NDArray[Any] | str] = {}
    for split, table in tables.items():
        named: dict[str, Any] = {
            "views": table.views,
            "poses": table.poses,
            "labels": table.labels,
            "rows": table.rows,
        }
        if not isinstance(table.views, np.ndarray) and table.contents:
            named["views"] = table.contents
        if not isinstance(table.poses, np.ndarray):
            some = np.arange(0, len(table.labels), max(1, len(table.labels) // SOME))[:, None]
            named["poses"] = table.poses[some, np.arange(table.poses.shape[1])[None]]
        parts |= {
            f"{split}.{name}": part
            for name, part in named.items()
            if isinstance(part, np.ndarray | str)
        }
    return parts
