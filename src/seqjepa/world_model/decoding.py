"""Training of a decoder on the embeddings of a frozen model, for `seqjepa decode`.

Views of training objects are embedded, and each is imagined from another view of its object. The
decoder learns to draw the view of either, since what is imagined lies elsewhere than embeddings of
views do: by the mean squared error of pixels, with Adam, whose learning rate falls along half a
cosine. What it draws of held-out objects is compared with two baselines: the mean training view,
and the training view whose embedding is nearest.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.checks import at_least, positive
from seqjepa.display import progress
from seqjepa.keys import draw_key
from seqjepa.types import Indices, SequenceBatch
from seqjepa.world_model.decoder import Decoder, Layout, fix
from seqjepa.world_model.model import WorldModel
from seqjepa.worlds.base import World

IMAGES = 256  # in a pass of the model
MEDIAN = 1000  # objects that medians are of, at most
HELD_OUT = 1000  # objects that figures are measured on, at most, two views of each
CURVE = 8  # times that the error on `val` is measured


@dataclass(frozen=True, kw_only=True)
class DecodeConfig:
    """Settings of a decoder and of its training.

    Attributes:
        objects: training objects, at most.
        views: of each; each is imagined from the one before, the first from the last.
        width: channels of the last stage.
        steps: of Adam.
        batch_size: views in a step.
        lr: learning rate at first.
        seed: of weights and batches.
        fixed: draw all views with one value, the median, of the factors that actions do not change,
            such as hues and light, if the world can render them. False to draw them as they are.
    """

    section: ClassVar[str] = ""
    objects: int = 4000
    views: int = 4
    width: int = 16
    steps: int = 2000
    batch_size: int = 64
    lr: float = 3e-3
    seed: int = 0
    fixed: bool = True

    def __post_init__(self) -> None:
        at_least(self, objects=1, views=2, width=1, steps=1, batch_size=2)
        positive(self, "lr")


@dataclass(frozen=True)
class Embedded:
    """Embeddings of views, what the model imagined of them, and how they are to be drawn.

    Attributes:
        pixels: [N, C, H, W] in 0..1, or uint8, to be drawn.
        embeddings: [N, F].
        imagined: [N, F], each from another view of the object.
    """

    pixels: Tensor
    embeddings: Tensor
    imagined: Tensor

    def images(self, rows: Tensor | slice = slice(None)) -> Tensor:
        """Return views as float in 0..1."""
        pixels = self.pixels[rows]
        return pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels

    def mean(self) -> Tensor:
        """Return the mean view [C, H, W]."""
        # In parts: all of them as float may not fit into memory.
        rows = torch.arange(len(self.pixels)).split(IMAGES)
        sums = [self.images(part).double().sum(0) for part in rows]
        return (torch.stack(sums).sum(0) / len(self.pixels)).float()


def train_decoder(
    model: WorldModel, world: World, config: DecodeConfig
) -> tuple[Decoder, dict[str, Any]]:
    """Return a decoder of a model's embeddings, and what was measured of it.

    The figures are `mse` and `psnr` (in dB, of the mean mse) of held-out objects of `test`: of what
    the decoder makes of a view's `embedding` and of the `imagined` view, of the `mean view` and of
    the `nearest view`; and `curve`, the mse of imagined views of `val` by the number of steps.

    Raises:
        DataError: if objects have too few views.
    """
    fixed = find_fixed(world) if config.fixed else {}
    train = embed(model, world, "train", config.objects, config.views, config.seed, fixed)
    val, test = (
        embed(model, world, split, HELD_OUT, 2, config.seed, fixed) for split in ("val", "test")
    )

    channels, height, width = world.spec.image_shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        layout = Layout(
            inputs=train.embeddings.shape[1],
            image_shape=(channels, height, width),
            width=config.width,
            scaled=model.method.scaled,
            fixed=fixed,
        )
        decoder = Decoder(layout)
    decoder.to(train.embeddings.device)
    decoder.standardise(torch.cat([train.embeddings, train.imagined]))

    curve = _fit(decoder, train, val, config)
    nearest = model.retrieve(test.embeddings, train.embeddings).indices[:, 0]
    drawn = {
        "embedding": draw(decoder, test.embeddings),
        "imagined": draw(decoder, test.imagined),
        "mean view": train.mean().expand_as(test.pixels),
        "nearest view": train.images(nearest),
    }
    figures: dict[str, Any] = {}
    for name, pictures in drawn.items():
        mse = float(F.mse_loss(pictures, test.images()))
        figures[name] = {"mse": mse, "psnr": -10 * math.log10(max(mse, 1e-12))}
    return decoder, figures | {"curve": curve}


def find_fixed(world: World) -> dict[str, float]:
    """Return the median of each column of the pose that decoders draw with one value.

    These are the factors that actions do not change, rotations left out: with one pose, all
    pictures of an object would be the same. There are none where the world cannot render.
    """
    spec, split = world.spec, "train"
    acted = {group.name for group in spec.actions.groups}
    fixed = [
        group for group in spec.factors.groups if group.name not in acted and not group.is_rotation
    ]
    if not fixed:
        return {}

    index = np.arange(min(MEDIAN, world.size(split)))
    poses = world.sequences(split, index, 1, draw_key(0, split, 0, index)).poses
    if world.render(split, index[:1], poses[:1]) is None:
        return {}

    medians = poses[:, 0].median(0).values
    return {
        name: float(medians[column])
        for group in fixed
        for name, column in zip(group.dims, spec.factors.columns(group), strict=True)
    }


def embed(
    model: WorldModel,
    world: World,
    split: str,
    objects: int,
    views: int,
    seed: int,
    fixed: Mapping[str, float],
) -> Embedded:
    """Return views of a split's first objects, their embeddings, and what is imagined of them.

    The pixels are rendered anew where columns of the pose are fixed.

    Raises:
        DataError: if objects have too few views.
    """
    world.require(split, views)
    index = np.arange(min(objects, world.size(split)))
    parts = np.array_split(index, math.ceil(len(index) * views / IMAGES))

    found = []
    with progress(f"embedding {split}", len(parts)) as done:
        for part in parts:
            batch = world.sequences(split, part, views, draw_key(seed, split, 0, part))
            # Each view after the one before it, the first after the last.
            moves = model.space.between(batch.poses.roll(1, 1), batch.poses).flatten(0, 1)
            before = model.observe(batch.views.roll(1, 1).flatten(0, 1)[:, None])
            embeddings = before.embedding.unflatten(0, (len(part), views)).roll(-1, 1).flatten(0, 1)
            imagined = model.imagine(before, moves[:, None])[:, 0]

            drawn = as_drawn(world, split, part, batch, fixed)
            pixels = drawn.flatten(0, 1).contiguous().to(embeddings.device)
            found.append((pixels, embeddings.float(), imagined))
            done(1)
    return Embedded(*(torch.cat(rows) for rows in zip(*found, strict=True)))


def as_drawn(
    world: World, split: str, index: Indices, batch: SequenceBatch, fixed: Mapping[str, float]
) -> Tensor:
    """Return the views [B, T, C, H, W] of objects as a decoder draws them.

    Args:
        world: that they come from.
        split: a name in `world.spec.splits`.
        index: [B] objects.
        batch: one sequence of each.
        fixed: columns of the pose that have one value, and that value; see `Layout.fixed`.
    """
    if not fixed:
        return batch.views
    rendered = world.render(split, index, fix(batch.poses, world.spec.actions.pose, fixed))
    assert rendered is not None, "columns are fixed only where the world renders"
    return rendered


def draw(decoder: Decoder, embeddings: Tensor) -> Tensor:
    """Return pictures [N, C, H, W] of embeddings [N, F], in eval mode and in parts."""
    training = decoder.training
    decoder.eval()
    with torch.no_grad():
        pictures = torch.cat([decoder(part) for part in embeddings.split(IMAGES)])
    decoder.train(training)
    return pictures


def _fit(
    decoder: Decoder, train: Embedded, val: Embedded, config: DecodeConfig
) -> dict[int, float]:
    """Train a decoder; return its mse on `val` by the number of steps."""
    generator = torch.Generator().manual_seed(config.seed)
    inputs, number = torch.cat([train.embeddings, train.imagined]), len(train.pixels)
    adam = torch.optim.Adam(decoder.parameters(), lr=config.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, config.steps)
    every, curve = max(1, config.steps // CURVE), dict[int, float]()

    decoder.train()
    with progress("decoder", config.steps) as done:
        for step in range(1, config.steps + 1):
            rows = torch.randint(2 * number, (config.batch_size,), generator=generator)
            rows = rows.to(inputs.device)
            # An input is the embedding of a view, or what was imagined of it.
            loss = F.mse_loss(decoder(inputs[rows]), train.images(rows % number))
            adam.zero_grad()
            loss.backward()
            adam.step()
            schedule.step()
            done(1)

            if step % every == 0 or step == config.steps:
                curve[step] = float(F.mse_loss(draw(decoder, val.imagined), val.images()))
    decoder.eval().requires_grad_(False)
    return curve
