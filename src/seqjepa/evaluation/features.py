"""Frozen features of a split: the only door from methods to evaluation. Extracting them never
changes a method.

Axes beside those of `types`: N objects of a split, V cached views of each, K random sequences of
    each.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.actions import ActionSpace
from seqjepa.errors import ConfigError, NonFiniteError
from seqjepa.keys import draw_key
from seqjepa.methods.base import Method
from seqjepa.worlds.base import World

IMAGES = 256  # per forward pass: what stays in a CPU's cache runs up to 1.5x faster than batches four times as large
PIXELS = 16  # per side of the raw pixel control


@dataclass(frozen=True)
class FeatureTable:
    """What evaluation knows of a split.

    Attributes:
        views: [N, V, D] float32, the features of each view.
        poses: [N, V, P] float32, every absolute factor of each view.
        labels: [N] int64 class index, -1 where unknown.
        whole: [N, D] float32, the features of the whole images that views are made from; None where
            there is no such thing.
        sequence_length: where the order of views means something (`WorldSpec.ordered`), of how many
            each sequence drawn is: sequences stand one after the other. Else None, and each
            object's views stand in an order of its own at random.
    """

    views: Tensor
    poses: Tensor
    labels: Tensor
    whole: Tensor | None = None
    sequence_length: int | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def longest(self) -> int:
        """The largest number of views that make a sequence."""
        return self.sequence_length or self.views.shape[1]

    def read(self, readout: Callable[[Tensor], Tensor]) -> Self:
        """The same views in another representation, a function of features [..., D] (see
        `Method.readouts`)."""
        with torch.inference_mode():
            views = torch.cat([readout(part) for part in self.views.split(IMAGES)])
            return replace(
                self, views=views, whole=None if self.whole is None else readout(self.whole)
            )

    def where(self, chosen: Tensor) -> Self:
        """The objects for which `chosen` [N] is true; the table itself if all are."""
        if bool(chosen.all()):
            return self
        whole = None if self.whole is None else self.whole[chosen]
        return replace(
            self,
            views=self.views[chosen],
            poses=self.poses[chosen],
            labels=self.labels[chosen],
            whole=whole,
        )


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Which views of a split are looked at.

    Attributes:
        num_views: views of each object, V if they are drawn once.
        seed: of the views drawn, and of the choice of objects.
        draws: so many sequences of that many views are drawn, and stand one after the other.
        objects: at most so many of the split's objects, chosen at random; None for all.
    """

    num_views: int
    seed: int
    draws: int = 1
    objects: int | None = None


def extract(
    method: Method, world: World, split: str, sampling: Sampling, *, bf16: bool = False
) -> FeatureTable:
    """The encoder's features, on the method's device.

    Args:
        method: in any mode; runs in eval mode without gradients and gets its mode back.
        world: that the views come from.
        split: a name in `world.spec.splits`.
        sampling: which views.
        bf16: autocast the forward pass.

    Raises:
        ConfigError: if the features would not fit into the device's memory.
        DataError: if the split is unknown or its objects have too few views.
        NonFiniteError: if features are not finite.
    """
    device = device_of(method)

    def encode(images: Tensor) -> Tensor:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            features: Tensor = method.encoder(images)
        return features

    with frozen(method):
        return _collect(encode, method.encoder.dim, world, split, sampling, device)


def extract_pixels(
    world: World, split: str, sampling: Sampling, device: torch.device
) -> FeatureTable:
    """The raw pixel control: the same views, area-averaged to 16x16 pixels (never enlarged) in 0..1
    and flattened."""
    channels, *sides = world.spec.image_shape
    height, width = (min(PIXELS, side) for side in sides)

    def encode(images: Tensor) -> Tensor:
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images
        return F.adaptive_avg_pool2d(pixels, (height, width)).flatten(1)

    return _collect(encode, channels * height * width, world, split, sampling, device)


def windows(available: int, length: int, rounds: int, sequence_length: int | None = None) -> Tensor:
    """[rounds or fewer, length] int64: choices of a table's V views.

    Views in random order: cyclic runs that begin at even distances, which are random sequences and
        overlap as little as can be. Where the
    order means something (see `FeatureTable.sequence_length`): the beginnings of the sequences
    drawn; of one view, every view."""
    if sequence_length is not None and length == 1:
        return torch.arange(available)[:, None]
    if sequence_length is not None:
        return torch.arange(min(rounds, available // sequence_length))[
            :, None
        ] * sequence_length + torch.arange(length)
    rounds = min(rounds, available)
    return (torch.arange(rounds)[:, None] * available // rounds + torch.arange(length)) % available


def aggregate(
    method: Method, table: FeatureTable, actions: ActionSpace, orders: Tensor, *, bf16: bool = False
) -> Tensor:
    """What the method says of view sequences, from their cached features.

    Args:
        method: that the table was extracted from.
        table: its features.
        actions: the action space that the method was trained with.
        orders: [K, M], the sequences as indices of cached views, the same for all objects.
        bf16: autocast the forward pass.

    Returns:
        [N, K, M, S] float32: entry [:, :, m] is the representation of the sequence's first m + 1
        views.

    Raises:
        NonFiniteError: if it is not finite.
    """
    device, (draws, length) = table.views.device, orders.shape
    parts = []
    with frozen(method):
        for rows in torch.arange(len(table), device=device).split(max(1, IMAGES // draws)):
            features = table.views[rows][:, orders].flatten(0, 1)
            moves = actions.along(table.poses[rows][:, orders].flatten(0, 1))
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                prefixes = [
                    method.aggregate(features[:, :m], moves[:, : m - 1])
                    for m in range(1, length + 1)
                ]
                parts.append(torch.stack(prefixes, 1).float().unflatten(0, (len(rows), draws)))
    sequences = torch.cat(parts)
    if not bool(torch.isfinite(sequences).all()):
        raise NonFiniteError(
            f"the sequence representations of {len(table)} objects are not finite: the model is broken"
        )
    return sequences


@contextmanager
def frozen(method: Method) -> Iterator[None]:
    """Eval mode inside, every module's own mode again afterwards."""
    modes = [(module, module.training) for module in method.modules()]
    method.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def device_of(method: Method) -> torch.device:
    """Where the method's parameters are."""
    return next(method.parameters()).device


def require_memory(
    world: World, split: str, sampling: Sampling, dim: int, device: torch.device
) -> None:
    """Raise a ConfigError if a table of features of width `dim` would not fit into the device's
    memory."""
    objects = min(world.size(split), sampling.objects or world.size(split))
    if (needed := 4 * objects * sampling.draws * sampling.num_views * dim) > (
        there := memory(device)
    ):
        fewer = "evaluate.draws, evaluate.views" if world.spec.ordered else "evaluate.encoded_views"
        raise ConfigError(
            f"the features of {objects:,} objects of split {split!r}, for evaluation, need {needed / 1e9:,.1f} GB, the {device.type} has "
            f"{there / 1e9:,.1f}: take a larger machine, or lower evaluate.objects (of training objects) or {fewer}"
        )


def memory(device: torch.device) -> int:
    """All the bytes that a device has."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _collect(
    encode: Callable[[Tensor], Tensor],
    dim: int,
    world: World,
    split: str,
    sampling: Sampling,
    device: torch.device,
) -> FeatureTable:
    """Encode images [n, C, H, W] to [n, dim], those of a few objects at a time."""
    num_views, seed = sampling.num_views, sampling.seed
    world.require(split, num_views)
    require_memory(world, split, sampling, dim, device)
    index = np.arange(world.size(split))
    if sampling.objects is not None and sampling.objects < len(index):
        index = np.sort(
            np.random.default_rng([seed, *split.encode()]).choice(
                index, sampling.objects, replace=False
            )
        )
    views = torch.empty(len(index), sampling.draws * num_views, dim, device=device)
    poses, labels, whole = [], [], []
    step = max(1, IMAGES // num_views)
    for start in range(0, len(index), step):
        part = index[start : start + step]
        keys = [draw_key(seed, split, draw, part) for draw in range(sampling.draws)]
        drawn = [world.sequences(split, part, num_views, key).to(device) for key in keys]
        found = [encode(batch.views.flatten(0, 1)).unflatten(0, (len(part), -1)) for batch in drawn]
        views[start : start + step] = torch.cat(found, 1)
        poses.append(torch.cat([batch.poses for batch in drawn], 1))
        labels.append(drawn[0].labels)
        if (images := world.whole(split, part)) is not None:
            whole.append(encode(images.to(device)).float())
    if not bool(torch.isfinite(views).all()):
        raise NonFiniteError(
            f"the features of split {split!r} are not finite: the model, or an image in the data, is broken"
        )
    length = num_views if world.spec.ordered else None
    return FeatureTable(
        views, torch.cat(poses), torch.cat(labels), torch.cat(whole) if whole else None, length
    )
