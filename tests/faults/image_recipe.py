"""A recipe over a set of images on disk: `seqjepa train tests/faults/image_recipe.py --world.source
NAME --world.path PATH`.

Its views are an image moved round and round, as many pixels as the pose says.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from typing_extensions import override

from faults import tiny
from seqjepa.actions import ActionSpace, Group
from seqjepa.config import Experiment
from seqjepa.keys import choose_views
from seqjepa.types import Indices, SequenceBatch
from seqjepa.worlds.base import World, WorldConfig, WorldSpec
from seqjepa.worlds.images.base import find_source
from seqjepa.worlds.images.image_set import ImageSet

SPACE = ActionSpace(
    ("shift",), (Group(name="shift", dims=("shift",), kind="circular", period=16.0),)
)


@dataclass(frozen=True, kw_only=True)
class Config(WorldConfig):
    """The place of the images."""

    source: str = "folder"
    path: str = ""

    @override
    def build(self) -> World:
        images = find_source(self.source).open(Path(self.path), 16, 0.1)
        spec = WorldSpec(
            name="moved images",
            image_shape=(3, 16, 16),
            classes=images.classes,
            factors=SPACE,
            actions=SPACE,
            splits=tuple(images.splits),
            views_per_object=16,
            mean=images.mean,
            std=images.std,
        )
        return Moved(spec, images)


class Moved(World):
    """Images moved round and round."""

    def __init__(self, spec: WorldSpec, images: ImageSet) -> None:
        self.spec, self.images = spec, images

    @override
    def size(self, split: str) -> int:
        return len(self.images.splits[split])

    @override
    def sequences(self, split: str, index: Indices, num_views: int, key: Indices) -> SequenceBatch:
        found, shifts = self.images.splits[split], choose_views(key, num_views, 16)

        # columns [B, T, W]: where each pixel of a row comes from
        columns = (np.arange(16) - shifts[..., None]) % 16
        views = np.take_along_axis(found.pick(index)[:, None], columns[:, :, None, :, None], 3)

        poses = torch.from_numpy(shifts.astype(np.float32)[..., None])
        labels = torch.from_numpy(found.labels[index])
        return SequenceBatch(
            torch.from_numpy(views).permute(0, 1, 4, 2, 3), SPACE.along(poses), poses, labels
        )


def recipe() -> Experiment:
    """Return the experiment of `tiny` on those images."""
    return replace(tiny.recipe(), name="images", world=Config())
