"""Held-out objects and a model's representations of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from seqjepa.keys import draw_key
from seqjepa.model import Model
from seqjepa.report.runs import Floats
from seqjepa.types import SequenceBatch
from seqjepa.worlds.base import World, WorldSpec

# At most.
OBJECTS, VIEWS = 500, 5
# Objects that the model sees at once: all of them might not fit into memory.
CHUNK = 50

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """Sequences of held-out objects and a model's representations of them.

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
        """[N, M, 4] unit quaternions of the world's first group of rotations, or None."""
        space = self.spec.factors
        group = next((group for group in space.groups if group.is_rotation), None)
        if group is None:
            return None
        pose = self.batch.poses[..., space.columns(group)].double()
        return group.absolute(pose).numpy()


def draw(model: Model, world: World, split: str = "test") -> Sample:
    """Draw views at random of objects that are evenly spaced over the split.

    The draw is the same for every model of a world.
    """
    spec = world.spec
    count = min(OBJECTS, world.size(split))
    length = world.at_most(VIEWS, split)
    index = np.linspace(0, world.size(split) - 1, count).astype(np.int64)
    batch = world.sequences(split, index, length, draw_key(0, split, 0, index))

    with torch.inference_mode():
        parts = [model.method.represent(part) for part in batch.chunk(-(-count // CHUNK))]
    z = torch.cat([part.views for part in parts]).double().numpy()
    agg = torch.cat([part.sequence for part in parts]).double().numpy()
    return Sample(spec, index, batch, z, agg)
