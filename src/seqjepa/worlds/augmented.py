"""The `augmented` world: views are augmentations of images, with all parameters of each known.

See seq-JEPA, section 3.2. A view's pose holds all that was done to it (`policy.COLUMNS`), so that
`augment_views` makes its pixels again from its pose. An action is the change of some of these
parameters, each divided by its standard deviation: a fixed number, never one of the sequence.

In the split `train` the last view of a sequence, which seq-JEPA predicts, follows a policy of its
own (`last`), as in the paper's released code: it is rarely blurred and sometimes solarized. In all
other splits every view follows the `observed` policy: evaluation reads an encoder's features of one
view, of a pair or of many, and none of these is a view to be predicted. Probes therefore learn from
the split `probe`: the training images again, all their views observed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from seqjepa.actions import ActionSpace, Group
from seqjepa.checks import at_least, below_one
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
DRAWS = 2**16  # draws of each parameter, for its standard deviation


@dataclass(frozen=True, kw_only=True)
class Config(WorldConfig):
    """Options of the images and of the views made of them.

    Attributes:
        source: format of the data set, the name of a module in `worlds/images/formats`.
        path: the data set's archive or folder.
        image_size: S, pixels per side of images and of views.
        actions: groups to condition on: `crop`, `flip`, `jitter`, `order` (of the jitter), `gray`,
            `blur`, `solarize`. All of the paper's: crop, jitter, blur.
        val_fraction: share of the training images held out for choosing settings; 0 for none, as
            in the paper.
        observed: policy that views are drawn from.
        last: policy of the last view of a training sequence.
        mean, std: statistics per channel of pixels in 0..1, for the encoder; None for the training
            images' own.
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
        below_one(self, "val_fraction")
        if (self.mean is None) != (self.std is None) or min(self.std or (1,)) <= 0:
            raise ConfigError(
                "world.mean and world.std go together and std is positive, got "
                f"{self.mean} and {self.std}"
            )
        for name in self.actions:
            if name not in GROUPS:
                raise ConfigError(unknown("world.actions", name, GROUPS))

    @override
    def build(self) -> "AugmentedWorld":
        """Build the world, its images read from the source's files or from the cache."""
        images = open_images(self.source, self.path, self.image_size, self.val_fraction)
        return self.build_from(images)

    def build_from(self, images: ImageSet) -> "AugmentedWorld":
        """Build the world from images that are open already."""
        splits = dict(images.splits)
        probe_split = images.probe_split
        # Views of `train` end with one of the `last` policy; probes want observed ones only.
        if probe_split == "train":
            probe_split = "probe"
            splits[probe_split] = splits["train"]

        spec = images.fill(self.outline())
        spec = replace(spec, splits=tuple(splits), probe_split=probe_split)
        if self.mean is not None and self.std is not None:
            spec = replace(spec, mean=self.mean, std=self.std)
        return AugmentedWorld(spec, splits, self.observed, self.last)

    @override
    def outline(self) -> WorldSpec:
        """Return the spec without classes and statistics, which only the files know."""
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
        """Return the groups that vary among observed views, and those that actions are made of."""
        observed = dict(zip(COLUMNS, _deviations(self.observed, self.image_size), strict=True))
        last = dict(zip(COLUMNS, _deviations(self.last, self.image_size), strict=True))
        varying = {name for name, deviation in observed.items() if deviation > 0}
        # A parameter that only the last view varies in is scaled by its deviation there.
        deviations = {name: observed[name] if name in varying else last[name] for name in COLUMNS}

        groups = []
        for name, dims in GROUPS.items():
            if varying & set(dims) or name in self.actions:
                scale = tuple(_rounded(deviations[dim]) for dim in dims)
                groups.append(Group(name=name, dims=dims, scale=scale))
        return ActionSpace(COLUMNS, tuple(groups))


class AugmentedWorld(World):
    """A World over sets of images; views are made on `World.device`.

    Args:
        spec: description of the world.
        splits: the images of each split.
        observed: policy that views are drawn from.
        last: policy of the last view of a training sequence.
    """

    def __init__(
        self, spec: WorldSpec, splits: Mapping[str, ImageSplit], observed: Policy, last: Policy
    ) -> None:
        self.spec = spec
        self.splits = splits
        self.observed, self.last = observed, last

    @override
    def size(self, split: str) -> int:
        return len(self.splits[split])

    @override
    def sequences(self, split: str, index: Indices, num_views: int, key: Indices) -> SequenceBatch:
        size, keys = self.spec.image_shape[-1], spread(key, num_views)
        parameters = sample(self.observed, keys, size)
        if split == "train":
            parameters[:, -1] = sample(self.last, keys[:, -1], size)

        # Poses stay on the CPU, where it is decided which operation a view gets.
        poses = torch.from_numpy(parameters)
        views = augment_views(self.whole(split, index), poses, size)
        labels = torch.from_numpy(self.splits[split].labels[index])
        return SequenceBatch(views, self.spec.actions.along(poses), poses, labels)

    @override
    def whole(self, split: str, index: Indices) -> Tensor:
        return torch.from_numpy(self.splits[split].pick(index)).to(self.device).permute(0, 3, 1, 2)


def _rounded(deviation: float) -> float:
    """Round to three digits, the same on every machine; 1 for a parameter that never varies."""
    return float(f"{deviation:.3g}") or 1.0


@cache
def _deviations(policy: Policy, size: int) -> tuple[float, ...]:
    """Estimate the standard deviation of each parameter from many draws, once for a policy."""
    return tuple(sample(policy, np.arange(DRAWS), size).std(0, dtype=np.float64).tolist())
