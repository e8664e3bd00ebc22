"""Frozen features of a split: the only door from methods to evaluation.

Extracting them never changes a method.

Axes beside those of `types`: N objects of a split, V cached views of each, K random sequences of
each.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.actions import ActionSpace
from seqjepa.devices import device_of, memory
from seqjepa.errors import ConfigError, NonFiniteError
from seqjepa.evaluation.sampling import Sampling
from seqjepa.keys import draw_key
from seqjepa.methods.base import Method
from seqjepa.worlds.base import World

# Images per forward pass: what stays in a CPU's cache runs up to 1.5x faster than batches four
# times as large.
IMAGES = 256
# Pixels per side of the images that are the control of pixels; reports name it.
PIXELS = 16


@dataclass(frozen=True)
class FeatureTable:
    """Everything that evaluation knows of a split.

    Attributes:
        views: [N, V, D] float32, the features of each view.
        poses: [N, V, P] float32, every absolute factor of each view.
        labels: [N] int64 class index, -1 where unknown.
        whole: [N, D] float32, the features of the whole images that views are made from; None if
            the world has none.
        sequence_length: number of views in each drawn sequence if their order means something (see
            `WorldSpec.ordered`): an object's sequences stand one after the other. Otherwise None:
            each object's views stand in a random order of its own.
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

    def orders(self, length: int, rounds: int) -> Tensor:
        """Return the choices of views that stand for an object's sequences, see `windows`."""
        return windows(self.views.shape[1], length, rounds, self.sequence_length)

    def read(self, readout: Callable[[Tensor], Tensor]) -> Self:
        """Return the same views in another representation.

        Args:
            readout: a function of features [..., D], see `Method.readouts`; under `inference`.
        """
        # In parts: a readout may attend from every view to a whole context.
        views = torch.cat([readout(part) for part in self.views.split(IMAGES)])
        whole = None if self.whole is None else readout(self.whole)
        return replace(self, views=views, whole=whole)

    def where(self, chosen: Tensor) -> Self:
        """Return the objects for which `chosen` [N] is true; the table itself if all are."""
        if bool(chosen.all()):
            return self
        return replace(
            self,
            views=self.views[chosen],
            poses=self.poses[chosen],
            labels=self.labels[chosen],
            whole=None if self.whole is None else self.whole[chosen],
        )


def extract(
    method: Method, world: World, split: str, sampling: Sampling, *, bf16: bool = False
) -> FeatureTable:
    """Return the encoder's features of a split, on the method's device.

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

    def encode(images: Tensor) -> Tensor:
        with inference(method, bf16=bf16):
            features: Tensor = method.encoder(images)
        return features

    return encode_split(encode, method.encoder.dim, world, split, sampling, device_of(method))


def extract_pixels(
    world: World, split: str, sampling: Sampling, device: torch.device
) -> FeatureTable:
    """Return the control of pixels: the same views, shrunk and flattened.

    They are area-averaged to 16x16 pixels (never enlarged), in 0..1.
    """
    channels, *sides = world.spec.image_shape
    height, width = (min(PIXELS, side) for side in sides)

    def encode(images: Tensor) -> Tensor:
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images
        return F.adaptive_avg_pool2d(pixels, (height, width)).flatten(1)

    return encode_split(encode, channels * height * width, world, split, sampling, device)


def require_memory(
    world: World, split: str, sampling: Sampling, dim: int, device: torch.device
) -> None:
    """Raise a ConfigError if a table of features would not fit into the device's memory.

    The features are of width `dim`.
    """
    objects = sampling.size(world.size(split))
    # Four bytes a number. Everything else, such as poses, is small beside the features.
    needed = 4 * objects * sampling.draws * sampling.num_views * dim
    available = memory(device)
    if needed > available:
        fewer = "evaluate.draws, evaluate.views" if world.spec.ordered else "evaluate.encoded_views"
        raise ConfigError(
            f"the features of {objects:,} objects of split {split!r}, for evaluation, need "
            f"{needed / 1e9:,.1f} GB, the {device.type} has {available / 1e9:,.1f}: take a larger "
            f"machine, or lower evaluate.objects (of training objects) or {fewer}"
        )


def encode_split(
    encode: Callable[[Tensor], Tensor],
    dim: int,
    world: World,
    split: str,
    sampling: Sampling,
    device: torch.device,
) -> FeatureTable:
    """Return the table of a split, from the views of a few objects at a time.

    Args:
        encode: a function of images [n, C, H, W] that returns features [n, dim].
        dim: their width.
        world, split, sampling: see `extract`.
        device: of the images and the table.

    Raises:
        ConfigError, DataError, NonFiniteError: see `extract`.
    """
    num_views = sampling.num_views
    world.require(split, num_views)
    require_memory(world, split, sampling, dim, device)
    objects = sampling.choose(world.size(split), split)

    # The views' features go straight to their place: joined at the end, they would need their
    # memory twice. It is no tensor of inference mode, since probes are to be trained on it.
    views = torch.empty(len(objects), sampling.draws * num_views, dim, device=device)
    poses, labels, whole = [], [], []
    step = max(1, IMAGES // num_views)
    for start in range(0, len(objects), step):
        part = objects[start : start + step]
        keys = [draw_key(sampling.seed, split, draw, part) for draw in range(sampling.draws)]
        drawn = [world.sequences(split, part, num_views, key).to(device) for key in keys]

        found = [encode(batch.views.flatten(0, 1)).unflatten(0, (len(part), -1)) for batch in drawn]
        views[start : start + step] = torch.cat(found, 1)
        poses.append(torch.cat([batch.poses for batch in drawn], 1))
        labels.append(drawn[0].labels)
        # A single view of an image tells nothing that the whole image does not.
        several = sampling.draws * num_views > 1
        images = world.whole(split, part) if several else None
        if images is not None:
            whole.append(encode(images.to(device)).float())

    if not bool(torch.isfinite(views).all()):
        raise NonFiniteError(
            f"the features of split {split!r} are not finite: "
            "the model, or an image in the data, is broken"
        )
    return FeatureTable(
        views,
        torch.cat(poses),
        torch.cat(labels),
        torch.cat(whole) if whole else None,
        num_views if world.spec.ordered else None,
    )


def encode_parts(
    encode: Callable[[Tensor], Sequence[Tensor]],
    world: World,
    split: str,
    sampling: Sampling,
    device: torch.device,
) -> list[FeatureTable]:
    """Return a table for each of several embeddings of a view, which is drawn once for all.

    Args:
        encode: a function of images [n, C, H, W] that returns embeddings [n, D], each of its own
            width D.
        world, split, sampling, device: as for `encode_split`.
    """
    # One image shows the widths.
    blank = torch.zeros(1, *world.spec.image_shape, dtype=torch.uint8, device=device)
    widths = [part.shape[1] for part in encode(blank)]

    def encode_joined(images: Tensor) -> Tensor:
        return torch.cat(list(encode(images)), 1)

    table = encode_split(encode_joined, sum(widths), world, split, sampling, device)
    return [replace(table, views=part, whole=None) for part in table.views.split(widths, -1)]


def windows(available: int, length: int, rounds: int, sequence_length: int | None = None) -> Tensor:
    """Return choices of a table's V views, [rounds or fewer, length] int64.

    If the views stand in random order, these are cyclic runs that begin at even distances: random
    sequences that overlap as little as possible. If the order means something (see
    `FeatureTable.sequence_length`), these are the beginnings of the sequences drawn; for one view,
    every view.
    """
    # Of 8 views in random order, 4 rounds of 3: 0 1 2, 2 3 4, 4 5 6, 6 7 0.
    if sequence_length is None:
        rounds = min(rounds, available)
        starts = torch.arange(rounds)[:, None] * available // rounds
        return (starts + torch.arange(length)) % available

    # Of 3 sequences of 4 views, 2 rounds of 3: 0 1 2, 4 5 6.
    if length == 1:
        return torch.arange(available)[:, None]
    rounds = min(rounds, available // sequence_length)
    return torch.arange(rounds)[:, None] * sequence_length + torch.arange(length)


def aggregate(
    method: Method,
    table: FeatureTable,
    actions: ActionSpace,
    orders: Tensor,
    *,
    known: bool = True,
    bf16: bool = False,
) -> Tensor:
    """Return the method's representations of view sequences, from their cached features.

    Args:
        method: that the table was extracted from.
        table: its features.
        actions: the action space that the method was trained with.
        orders: [K, M], the sequences as indices of cached views, the same for all objects.
        known: whether the method gets the actions between the views.
        bf16: autocast the forward pass.

    Returns:
        [N, K, M, S] float32: entry [:, :, m] is the representation of the sequence's first m + 1
        views.

    Raises:
        NonFiniteError: if it is not finite.
    """
    device = table.views.device
    draws, length = orders.shape
    parts = []
    for rows in torch.arange(len(table), device=device).split(max(1, IMAGES // draws)):
        # [n, V, .] -> [n, K, M, .] -> [n K, M, .]
        features = table.views[rows][:, orders].flatten(0, 1)
        moves = actions.along(table.poses[rows][:, orders].flatten(0, 1))
        if not known:
            moves = moves[:, :0]

        with inference(method, bf16=bf16):
            prefixes = [
                method.aggregate(features[:, :m], moves[:, : m - 1]) for m in range(1, length + 1)
            ]
            parts.append(torch.stack(prefixes, 1).float().unflatten(0, (len(rows), draws)))

    sequences = torch.cat(parts)
    if not bool(torch.isfinite(sequences).all()):
        raise NonFiniteError(
            f"the sequence representations of {len(table)} objects are not finite: "
            "the model is broken"
        )
    return sequences


@contextmanager
def inference(method: Method, *, bf16: bool = False) -> Iterator[None]:
    """Put a method into eval mode inside, without gradients; afterwards its modes come back.

    Args:
        method: in any mode.
        bf16: autocast what is computed inside.
    """
    # Every module has a mode of its own: a part of a method may be in eval mode during training.
    modes = [(module, module.training) for module in method.modules()]
    method.eval()
    precision = torch.autocast(device_of(method).type, torch.bfloat16, enabled=bf16)
    try:
        with torch.inference_mode(), precision:
            yield
    finally:
        for module, training in modes:
            module.training = training
