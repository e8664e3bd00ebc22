"""Held-out objects, and what a model makes of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from seqjepa.keys import draw_key
from seqjepa.model import Model
from seqjepa.report.runs import Floats
from seqjepa.types import SequenceBatch
from seqjepa.worlds.base import World, WorldSpec

OBJECTS, VIEWS = 500, 5
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """Sequences of held-out objects and what a model makes of them.

    Attributes:
        spec: of their world.
        index: [N], the objects in their split.
        batch: one sequence [N, M] of each object.
        z: [N, M, D], of every view.
        agg: [N, S], of every sequence.
    """

    spec: WorldSpec
    index: Ints
    batch: SequenceBatch
    z: Floats
    agg: Floats

    @property
    def labels(self) -> Ints:
        """[N], -1 where unknown."""
        return self.batch.labels.numpy()

    @property
    def classes(self) -> list[int]:
        """The classes that occur."""
        return [int(label) for label in np.unique(self.labels) if label >= 0]

    @property
    def rotations(self) -> Floats | None:
        """[N, M, 4] unit quaternions of the world's first group of rotations; None if it has
        none."""
        space = self.spec.factors
        turned = next((group for group in space.groups if group.is_rotation), None)
        return (
            turned.absolute(self.batch.poses[..., space.columns(turned)].double()).numpy()
            if turned
            else None
        )


def draw(model: Model, world: World, split: str = "test") -> Sample:
    """The same draw for every model of a world: objects evenly spaced over the split, views at
    random."""
    spec = world.spec
    count = min(OBJECTS, world.size(split))
    index = np.linspace(0, world.size(split) - 1, count).astype(np.int64)
    batch = world.sequences(
        split, index, min(VIEWS, spec.views_per_object or VIEWS), draw_key(0, split, 0, index)
    )
    with torch.inference_mode():
        parts = [model.method.represent(part) for part in batch.chunk(-(-count // 50))]
    z, agg = (
        torch.cat([getattr(part, name) for part in parts]).double().numpy()
        for name in ("views", "sequence")
    )
    return Sample(spec, index, batch, z, agg)
