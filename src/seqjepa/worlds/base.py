"""World: where sequences of views, and the actions between them, come from."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from seqjepa.actions import ActionSpace
from seqjepa.checks import at_least
from seqjepa.errors import DataError, unknown
from seqjepa.keys import choose_views, draw_key, epoch_order
from seqjepa.reading.findings import Report
from seqjepa.types import Indices

__all__ = ["Indices", "World", "WorldConfig", "WorldSpec", "at_least", "choose_views", "draw_key"]
from seqjepa.types import SequenceBatch


@dataclass(frozen=True, kw_only=True)
class WorldConfig:
    """Base of the frozen configs of worlds; a world's own config adds its fields and knows how to
    build the world."""

    section: ClassVar[str] = "world."

    def build(self) -> "World":
        """The world, its files read or rendered and verified.

        Raises:
            ConfigError: if fields contradict each other.
            DataError: if files are missing or damaged.
        """
        raise NotImplementedError

    def outline(self) -> "WorldSpec | None":
        """The spec, pixel statistics apart, where it is known before anything is read or rendered;
        else None.

        With it, what does not fit the world is refused at once and not after minutes of rendering.
        """
        return None

    @classmethod
    def inspect(cls, path: Path) -> Report | None:
        """What `seqjepa data check` says of a file or folder: whether all that this world reads is
        there and whole; None if it is not of this world's format at all. It takes seconds, whatever
        the size."""
        return None


@dataclass(frozen=True, kw_only=True)
class WorldSpec:
    """What can be known of a world without drawing from it.

    Attributes:
        name: of the world.
        image_shape: (C, H, W) of a view.
        classes: class names; a label is an index into them.
        factors: every group of pose factors, for evaluation.
        actions: the groups that actions are made of, for conditioning; a selection of `factors`.
        splits: split names; `train`, `val` and `test` are always there, others are
            out-of-distribution tests.
        views_per_object: how many different views an object has; None where views are drawn without
            limit. A test out of distribution may have fewer, see `World.views`.
        mean, std: per channel, of pixels in 0..1; encoders normalise with them.
        data: digests of what views are made of, by part (`seqjepa.store.fingerprint`), by which a
            resumed run knows its data again; empty where unknown.
        probe_split: that evaluation's probes learn from, where it is not the one that methods are
            trained on (STL-10's labelled images).
        ordered: whether the order of a sequence's views means something (fixations: what is salient
            comes first), so that shorter sequences are the beginnings of longer ones and no other
            parts of them.
    """

    name: str
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    factors: ActionSpace
    actions: ActionSpace
    splits: tuple[str, ...]
    views_per_object: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    probe_split: str = "train"
    ordered: bool = False
    data: dict[str, str] = field(default_factory=dict)

    def require_views(self, num_views: int) -> None:
        """Raise a DataError if objects have fewer views than that."""
        if (most := self.views_per_object) is not None and num_views > most:
            raise DataError(
                f"{num_views} views asked for, objects of world {self.name!r} have {most}: set train.num_views to at most {most}"
            )


class World(ABC):
    """A source of view sequences. A new one implements `spec`, `size` and `sequences`; order and
    randomness are settled here.

    Every draw is a pure function of (seed, split, epoch, object, view): it depends neither on
    workers nor on where a run was interrupted.

    Attributes:
        spec: what can be known of it without drawing from it.
        device: where a world that computes on pixels does so; see `to`.
    """

    spec: WorldSpec
    device: torch.device = torch.device("cpu")

    def to(self, device: torch.device) -> Self:
        """The world itself, which from now on makes its views there if making them is arithmetic on
        pixels (augmentation, patches)."""
        self.device = device
        return self

    @abstractmethod
    def size(self, split: str) -> int:
        """How many objects (images, scenes ...) a split has."""

    def views(self, split: str) -> int | None:
        """How many different views each object of a split has; None where views are drawn without
        limit."""
        return self.spec.views_per_object

    @abstractmethod
    def sequences(self, split: str, index: Indices, num_views: int, key: Indices) -> SequenceBatch:
        """One sequence of `num_views` different views for each object.

        Args:
            split: a name in `spec.splits`.
            index: [B] objects.
            num_views: T.
            key: [B] the random key of each object's draw: equal keys give equal draws.
        """

    def whole(self, split: str, index: Indices) -> Tensor | None:
        """Whole images, [B, C, H, W] uint8, of any size, that views are parts or changes of, for
        the probe on the encoder's features of those (seq-JEPA, table 12); None where there is no
        such thing."""
        return None

    def loader(
        self,
        split: str,
        *,
        num_views: int,
        batch_size: int,
        seed: int,
        start_step: int = 0,
        places: Indices | None = None,
    ) -> Iterator[SequenceBatch]:
        """Batches without end: each epoch visits every object once, in a new order; a batch may
        span two epochs, so none is ever short.

        Args:
            split: a name in `spec.splits`.
            num_views: T, views per sequence.
            batch_size: B.
            seed: of order and draws.
            start_step: the batch to begin with; batch k is the same wherever the loader began.
            places: which of each batch's B sequences to make, in ascending order; None for all.
                Ranks share a batch by it.

        Raises:
            DataError: if the split is unknown, smaller than a batch, or an object has too few
                views.
        """
        self.require(split, num_views, batch_size)
        return self._batches(
            split,
            num_views,
            batch_size,
            seed,
            start_step,
            np.arange(batch_size) if places is None else places,
        )

    def require(self, split: str, num_views: int, batch_size: int = 1) -> None:
        """Raise a DataError if the split is unknown, has fewer objects than a batch, or its objects
        have too few views."""
        if split not in self.spec.splits:
            raise DataError(unknown("split", split, self.spec.splits))
        replace(self.spec, views_per_object=self.views(split)).require_views(num_views)
        if (size := self.size(split)) < batch_size:
            what = f"split {split!r} of world {self.spec.name!r} has {size} objects, fewer than a batch of {batch_size}"
            raise DataError(
                f"{what}: give it more objects, or for training set train.batch_size to at most {size}"
            )

    def _batches(
        self, split: str, num_views: int, batch_size: int, seed: int, step: int, places: Indices
    ) -> Iterator[SequenceBatch]:
        size = self.size(split)
        orders: dict[int, Indices] = {}
        while True:
            epoch, place = np.divmod(step * batch_size + places, size)
            for number in set(epoch.tolist()) - set(orders):
                orders[number] = epoch_order(size, seed, split, number)
            index = np.array(
                [orders[e][p] for e, p in zip(epoch.tolist(), place.tolist(), strict=True)],
                dtype=np.int64,
            )
            yield self.sequences(split, index, num_views, draw_key(seed, split, epoch, index))
            orders = {number: order for number, order in orders.items() if number >= epoch[-1]}
            step += 1
