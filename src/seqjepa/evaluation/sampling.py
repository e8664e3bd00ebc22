"""Sampling: which objects of a split are encoded, and which views of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from seqjepa.config import Experiment
from seqjepa.types import Indices
from seqjepa.worlds.base import World, WorldSpec


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """The views of a split that are encoded.

    Attributes:
        num_views: views in each draw; if an object is drawn once, these are its V views.
        seed: of the views drawn, and of the choice of objects.
        draws: sequences of `num_views` views that are drawn of each object, and stand one after
            the other.
        objects: largest number of the split's objects, chosen at random; None for all.
    """

    num_views: int
    seed: int
    draws: int = 1
    objects: int | None = None

    @classmethod
    def of(
        cls, experiment: Experiment, world: World, split: str, *, objects: int | None = None
    ) -> Self:
        """Return the choice that an experiment's evaluation makes of a split's views."""
        draws, most = experiment.evaluate.encoded(world.spec.ordered)
        # A world that draws views without limit (None) has as many as are asked for.
        num_views = world.at_most(most, split)
        return cls(num_views=num_views, seed=experiment.seed, draws=draws, objects=objects)

    def size(self, available: int) -> int:
        """Return the number of objects that are taken out of those available."""
        return min(available, self.objects or available)

    def choose(self, available: int, split: str) -> Indices:
        """Return the objects of a split that are taken out of those available, ascending."""
        objects = np.arange(available)
        if self.size(available) == available:
            return objects
        generator = np.random.default_rng([self.seed, *split.encode()])
        return np.sort(generator.choice(objects, self.objects, replace=False))


def splits_to_probe(spec: WorldSpec, split: str, *, ood: bool = False) -> dict[str, str]:
    """Return the world's split for each name in records.

    The names are `train` and the split asked for, with `ood` also all that are out of distribution.
    """
    splits = {"train": spec.probe_split, split: split}
    if ood:
        in_distribution = ("train", "val", "test", spec.probe_split)
        splits |= {name: name for name in spec.splits if name not in in_distribution}
    return splits


def choose_samplings(
    experiment: Experiment, world: World, splits: Mapping[str, str], *, fewest: int = 2
) -> dict[str, Sampling]:
    """Return the views that are encoded of each split, by its name in records.

    Args:
        experiment: that is evaluated.
        world: that the views come from.
        splits: see `splits_to_probe`.
        fewest: number of views that every object must have; two make a pair.

    Raises:
        DataError: if a split is unknown or its objects have fewer views.
    """
    for split in splits.values():
        world.require(split, fewest)
    most = {"train": experiment.evaluate.objects}
    return {
        name: Sampling.of(experiment, world, split, objects=most.get(name))
        for name, split in splits.items()
    }
