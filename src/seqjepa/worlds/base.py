"""World: the source of view sequences and of the actions between the views."""

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
from seqjepa.errors import ConfigError, DataError, unknown
from seqjepa.keys import choose_views, draw_key, epoch_order, scramble, spread, uniforms
from seqjepa.reading.findings import Look, Report
from seqjepa.types import Indices, SequenceBatch

# Worlds of one's own import these from here.
__all__ = [
    "Indices",
    "World",
    "WorldConfig",
    "WorldSpec",
    "at_least",
    "choose_views",
    "draw_key",
    "scramble",
    "spread",
    "uniforms",
]


@dataclass(frozen=True, kw_only=True)
class WorldConfig:
    """Base of the frozen configs of worlds.

    A world's own config adds its fields and `build`.
    """

    section: ClassVar[str] = "world."

    def build(self) -> "World":
        """Build the world, its files read or rendered and verified.

        Raises:
            ConfigError: if fields contradict each other.
            DataError: if files are missing or damaged.
        """
        raise NotImplementedError

    def outline(self) -> "WorldSpec | None":
        """Return the spec as far as it is known before anything is read or rendered, else None.

        Pixel statistics are placeholders in it. With it, options that do not fit the world are
        refused at once and not after minutes of rendering.
        """
        return None

    @classmethod
    def inspect(cls, path: Path, look: Look = Look()) -> Report | None:
        """Check the files this world reads, for `seqjepa data check`, by what they hold alone.

        A quick look takes seconds, whatever the size. Return None if the path is not in this
        world's format.
        """
        return None


@dataclass(frozen=True, kw_only=True)
class WorldSpec:
    """Description of a world: all that is known without drawing from it.

    Attributes:
        name: the world's name in tables and reports.
        image_shape: (C, H, W) of a view.
        classes: class names; a label is an index into them.
        factors: every group of pose factors, for evaluation.
        actions: the groups that actions are made of, for conditioning; a selection of `factors`.
        splits: split names; `train`, `val` and `test` always exist, others are
            out-of-distribution tests.
        views_per_object: number of different views an object has; None where views are drawn
            without limit. An out-of-distribution test may have fewer, see `World.views`.
        mean, std: statistics per channel of pixels in 0..1; encoders normalise with them.
        probe_split: the split that evaluation's probes learn from, where it is not the one that
            methods are trained on (STL-10's labelled images).
        ordered: whether the order of a sequence's views means something (fixations: what is salient
            comes first), so that shorter sequences are the beginnings of longer ones and no other
            parts of them.
        data: digests of the arrays that views are made of, by part (`seqjepa.store.fingerprint`);
            a resumed run compares them with its own. Empty where unknown.
        outline: whether it was made without the data (`WorldConfig.outline`), and knows no classes,
            statistics or digests: that of a run that was imported and has not met its data yet.

    Raises:
        ConfigError: if shape, spaces, classes or statistics are of another form.
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
    outline: bool = False

    def __post_init__(self) -> None:
        shape: object = self.image_shape
        sides = shape if isinstance(shape, tuple | list) else ()
        are_sides = len(sides) == 3 and all(isinstance(n, int | np.integer) for n in sides)
        channels, space = sides[0] if are_sides else 0, "be an ActionSpace"
        each = f"give each of C = {channels} channels of pixels in 0..1 a number"
        # A world of one's own may say anything of itself.
        rules = {
            "image_shape": (are_sides, "be (C, H, W)"),
            "factors": (isinstance(self.factors, ActionSpace), space),
            "actions": (isinstance(self.actions, ActionSpace), space),
            "classes": (isinstance(self.classes, tuple | list), "be a tuple of names"),
            "mean": (_are_within(self.mean, channels, 0.0), f"{each} in 0..1"),
            "std": (_are_within(self.std, channels, 1e-6), f"{each} above 0 and up to 1"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                what = f"`{name}` in the spec of world {self.name!r}"
                raise ConfigError(f"{what} must {rule}, got {getattr(self, name)!r}")

    def require_views(self, num_views: int) -> None:
        """Raise a DataError if objects have fewer views than `num_views`."""
        most = self.views_per_object
        if most is not None and num_views > most:
            raise DataError(
                f"{num_views} views asked for, objects of world {self.name!r} have {most}: ask "
                f"for at most {most} (train.num_views in training)"
            )

    def require_batch(self, batch: object, size: int, num_views: int) -> None:
        """Raise a DataError if a batch is not what this says of the world.

        Args:
            batch: drawn from the world.
            size: number of sequences that were asked for.
            num_views: in each of them.
        """
        if not isinstance(batch, SequenceBatch):
            got = type(batch).__name__
            raise DataError(
                f"`sequences` of world {self.name!r} must return a SequenceBatch, got {got}"
            )
        expected = {
            "views": (size, num_views, *self.image_shape),
            "actions": (size, num_views - 1, self.actions.action_dim),
            "poses": (size, num_views, len(self.factors.pose)),
        }
        for name, shape in expected.items():
            drawn: Tensor = getattr(batch, name)
            if drawn.shape != shape or (name != "views" and drawn.dtype != torch.float32):
                raise DataError(
                    f"world {self.name!r} draws {name} {drawn.dtype} {list(drawn.shape)}, its spec "
                    f"says {list(shape)}{'' if name == 'views' else ' float32'}: correct one of "
                    "them"
                )

        if self.classes and (last := int(batch.labels.max())) >= len(self.classes):
            raise DataError(
                f"world {self.name!r} draws label {last}, its spec names {len(self.classes)} "
                "classes from 0: correct one of them"
            )


def _are_within(statistics: object, channels: int, least: float) -> bool:
    """Return whether these are a number in `least`..1 for each channel."""
    if not isinstance(statistics, tuple | list) or len(statistics) != channels:
        return False
    return all(least <= number <= 1 for number in statistics)


class World(ABC):
    """A source of view sequences.

    A new world implements `spec`, `size` and `sequences`; order and randomness are settled here.
    Every draw is a pure function of (seed, split, epoch, object, view): it depends neither on
    workers nor on where a run was interrupted.

    Attributes:
        spec: description of the world.
        device: the device for worlds that compute on pixels; see `to`.
    """

    spec: WorldSpec
    device: torch.device = torch.device("cpu")

    def to(self, device: torch.device) -> Self:
        """Make views on this device, if they are arithmetic on pixels (augmentation, patches).

        Return the world itself.
        """
        self.device = device
        return self

    def keep_views(self, split: str) -> bool:
        """Keep the views of a split in the memory of `device`, if they are stored and fit.

        Sequences are the same as before, bit for bit, and their views are on the device.

        Returns:
            Whether they are kept.
        """
        return False

    @abstractmethod
    def size(self, split: str) -> int:
        """Return the number of objects (images, scenes ...) in a split."""

    def views(self, split: str) -> int | None:
        """Return the number of different views of each object in a split; None for no limit."""
        return self.spec.views_per_object

    def at_most(self, number: int, split: str) -> int:
        """Return a number of views, or as many as each object in a split has if those are fewer."""
        return min(number, self.views(split) or number)

    @abstractmethod
    def sequences(self, split: str, index: Indices, num_views: int, key: Indices) -> SequenceBatch:
        """Draw one sequence of `num_views` different views for each object.

        Args:
            split: a name in `spec.splits`.
            index: [B] objects.
            num_views: T.
            key: [B] the random key of each object's draw: equal keys give equal draws.
        """

    def whole(self, split: str, index: Indices) -> Tensor | None:
        """Return the whole images [B, C, H, W] uint8 that views are made of, or None.

        They may have any size. Evaluation probes the encoder's features of them (seq-JEPA, table
        12). A world that has only views returns None.
        """
        return None

    def render(self, split: str, index: Indices, poses: Tensor) -> Tensor | None:
        """Return the views [B, T, C, H, W] of objects at any poses, as far as the world can.

        A world that has nothing but stored views returns None.

        Args:
            split: a name in `spec.splits`.
            index: [B] objects.
            poses: [B, T, P].
        """
        return None

    def fixate(self, images: Tensor, poses: Tensor) -> Tensor | None:
        """Return the views [B, T, C, H, W] that fixations on images of one's own see.

        A world whose poses are not places in an image returns None.

        Args:
            images: [B, C, S, S] uint8, as `whole` gives those of the world.
            poses: [B, T, 2], row and column over the side.
        """
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
        """Yield batches without end.

        Each epoch visits every object once, in a new order. A batch may span two epochs, so none
        is ever short.

        Args:
            split: a name in `spec.splits`.
            num_views: T, views per sequence.
            batch_size: B.
            seed: the seed of order and draws.
            start_step: the batch to begin with; batch k is the same wherever the loader began.
            places: which of each batch's B sequences to make, in ascending order; None for all.
                Ranks share a batch by it.

        Raises:
            DataError: if the split is unknown, smaller than a batch, or an object has too few
                views.
        """
        # The check must not wait for the first batch, as it would inside a generator.
        self.require(split, num_views, batch_size)
        if places is None:
            places = np.arange(batch_size)
        return self._batches(split, num_views, batch_size, seed, start_step, places)

    def require(self, split: str, num_views: int, batch_size: int = 1) -> None:
        """Raise a DataError if such batches cannot be drawn from the split.

        It may be unknown, have fewer objects than a batch, or objects with too few views.
        """
        if split not in self.spec.splits:
            what = unknown("split", split, self.spec.splits)
            raise DataError(f"world {self.spec.name!r}: {what}")
        replace(self.spec, views_per_object=self.views(split)).require_views(num_views)

        size = self.size(split)
        if not size:
            raise DataError(f"split {split!r} of world {self.spec.name!r} has 0 objects: add some")
        if size < batch_size:
            raise DataError(
                f"split {split!r} of world {self.spec.name!r} has {size} objects, fewer than a "
                f"batch of {batch_size}: give it more objects, or for training set "
                f"train.batch_size to at most {size}"
            )

    def _batches(
        self, split: str, num_views: int, batch_size: int, seed: int, step: int, places: Indices
    ) -> Iterator[SequenceBatch]:
        size, first = self.size(split), step
        orders: dict[int, Indices] = {}
        while True:
            # Sequence number n of the whole run is place n % size of epoch n // size.
            epochs, within = np.divmod(step * batch_size + places, size)
            for epoch in set(epochs.tolist()) - set(orders):
                orders[epoch] = epoch_order(size, seed, split, epoch)
            visits = zip(epochs.tolist(), within.tolist(), strict=True)
            index = np.array([orders[epoch][place] for epoch, place in visits], dtype=np.int64)

            batch = self.sequences(split, index, num_views, draw_key(seed, split, epochs, index))
            # The first one is enough: looking at the labels waits for an accelerator.
            if step == first:
                self.spec.require_batch(batch, len(index), num_views)
            yield batch

            # An epoch that is over never comes again.
            orders = {epoch: order for epoch, order in orders.items() if epoch >= epochs[-1]}
            step += 1
