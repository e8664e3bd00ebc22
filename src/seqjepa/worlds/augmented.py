"""The `augmented` world: views are augmentations of images, and all parameters of each are known
(seq-JEPA, section 3.2).

A view's pose is all that was done to it (`policy.COLUMNS`), so that `augment_views` makes its pixels
again from its pose; an action is the change of some of these parameters, each divided by its
standard deviation, a fixed number, and never by anything of the sequence.

In the split `train` the last view of a sequence, which seq-JEPA predicts, follows a policy of its
own (`last`), as in the paper's released
code: it is rarely blurred and sometimes solarized. Everywhere else all views follow the `observed`
    policy: evaluation reads what an
encoder says of one view, of a pair or of many, and none of these is a view to be predicted. Probes
therefore learn from the split `probe`: the training images again, all their views observed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from seqjepa.actions import ActionSpace, Group
from seqjepa.checks import at_least
from seqjepa.errors import ConfigError, unknown
from seqjepa.keys import spread
from seqjepa.types import Indices, SequenceBatch
from seqjepa.worlds.base import World, WorldConfig, WorldSpec
from seqjepa.worlds.images.base import open_images
from seqjepa.worlds.images.image_set import ImageSet, ImageSplit
from seqjepa.worlds.views.augment import augment_views
from seqjepa.worlds.views.policy import COLUMNS, CROP, JITTER, PLACES, Policy, sample

GROUPS = {
    "crop": CROP,
    "flip": ("flip",),
    "jitter": JITTER,
    "order": PLACES,
    "gray": ("gray",),
    "blur": ("sigma",),
    "solarize": ("solarize",),
}
DRAWS = 2**16  # of each parameter, for its standard deviation


@dataclass(frozen=True, kw_only=True)
class Config(WorldConfig):
    """Which images, and how views are made of them.

    Attributes:
        source: format of the data set, the name of a module in `worlds/images`.
        path: of the data set.
        image_size: S, pixels per side of images and of views.
        actions: groups to condition on: `crop`, `flip`, `jitter`, `order` (of the jitter), `gray`,
            `blur`, `solarize`. All of the paper's: crop, jitter, blur.
        val_fraction: of the training images that are held out for choosing settings; 0 for none, as
            in the paper.
        observed: how views are made.
        last: how the last view of a training sequence is made.
        mean, std: of pixels in 0..1 per channel, for the encoder; None for the training images'
            own.
    """

    source: str
    path: str
    image_size: int = 32
    actions: tuple[str, ...] = ("crop", "jitter", "blur")
    val_fraction: float = 0.02
    observed: Policy = Policy()
    last: Policy = Policy(p_blur=0.1, p_solarize=0.2)
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        at_least(self, image_size=8)
        if not 0 <= self.val_fraction < 1:
            raise ConfigError(
                f"world.val_fraction must be at least 0 and below 1, got {self.val_fraction}"
            )
        if (self.mean is None) != (self.std is None) or min(self.std or (1,)) <= 0:
            raise ConfigError(
                f"world.mean and world.std go together and std is positive, got {self.mean} and {self.std}"
            )
        for name in self.actions:
            if name not in GROUPS:
                raise ConfigError(unknown("world.actions", name, GROUPS))

    def build(self) -> "AugmentedWorld":
        """The world, its images read from the source's files or from the cache."""
        return self.over(open_images(self.source, self.path, self.image_size, self.val_fraction))

    def over(self, images: ImageSet) -> "AugmentedWorld":
        """The world of images that are there already."""
        splits = dict(images.splits)
        probe_split = images.probe_split
        if probe_split == "train":
            probe_split = "probe"
            splits[probe_split] = splits["train"]
        mean, std = (
            (images.mean, images.std)
            if self.mean is None or self.std is None
            else (self.mean, self.std)
        )
        spec = replace(
            images.fill(self.outline()),
            splits=tuple(splits),
            probe_split=probe_split,
            mean=mean,
            std=std,
        )
        return AugmentedWorld(spec, splits, self.observed, self.last)

    def outline(self) -> WorldSpec:
        """See `WorldConfig.outline`; the classes, too, are known only from the files."""
        factors = self.factors()
        return WorldSpec(
            name=self.source,
            image_shape=(3, self.image_size, self.image_size),
            classes=(),
            factors=factors,
            actions=factors.select(self.actions),
            splits=("train", "val", "test", "probe"),
            views_per_object=None,
            mean=(0.5,) * 3,
            std=(0.25,) * 3,
            probe_split="probe",
        )

    def factors(self) -> ActionSpace:
        """The groups whose parameters vary among observed views, and those that actions are made
        of."""
        observed, last = (
            np.array(_deviations(policy, self.image_size)) for policy in (self.observed, self.last)
        )
        spread_of = dict(zip(COLUMNS, np.where(observed > 0, observed, last).tolist(), strict=True))
        varying = {name for name, x in zip(COLUMNS, observed, strict=True) if x > 0}
        groups = [
            Group(name=name, dims=dims, scale=tuple(_rounded(spread_of[dim]) for dim in dims))
            for name, dims in GROUPS.items()
            if varying & set(dims) or name in self.actions
        ]
        return ActionSpace(COLUMNS, tuple(groups))


class AugmentedWorld(World):
    """A World over sets of images; views are made on `World.device`.

    Args:
        spec: of it.
        splits: the images of each split.
        observed: how views are made.
        last: how the last view of a training sequence is made.
    """

    def __init__(
        self, spec: WorldSpec, splits: Mapping[str, ImageSplit], observed: Policy, last: Policy
    ) -> None:
        self.spec = spec
        self.splits = splits
        self.observed, self.last = observed, last

    def size(self, split: str) -> int:
        """How many images a split has."""
        return len(self.splits[split])

    def sequences(self, split: str, index: Indices, num_views: int, key: Indices) -> SequenceBatch:
        """See `World.sequences`."""
        size, keys = self.spec.image_shape[-1], spread(key, num_views)
        parameters = sample(self.observed, keys, size)
        if split == "train":
            parameters[:, -1] = sample(self.last, keys[:, -1], size)
        poses = torch.from_numpy(parameters)
        views = augment_views(self.whole(split, index), poses, size)
        labels = torch.from_numpy(self.splits[split].labels[index])
        return SequenceBatch(views, self.spec.actions.along(poses), poses, labels)

    def whole(self, split: str, index: Indices) -> Tensor:
        """The images as they are, [B, 3, S, S] uint8."""
        return torch.from_numpy(self.splits[split].pick(index)).to(self.device).permute(0, 3, 1, 2)


def _rounded(deviation: float) -> float:
    """To three digits, so that it is the same number on every machine; 1 for a parameter that never
    varies."""
    return float(f"{deviation:.3g}") or 1.0


@cache
def _deviations(policy: Policy, size: int) -> tuple[float, ...]:
    """Of each parameter: one has to draw many, and that once."""
    return tuple(sample(policy, np.arange(DRAWS), size).std(0, dtype=np.float64).tolist())
