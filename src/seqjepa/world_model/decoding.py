"""Training of a decoder on the embeddings of a frozen model, for `seqjepa decode`.

Views of training objects are embedded once; the decoder learns to draw them by the mean squared
error of pixels, with Adam, whose learning rate falls along half a cosine. What it draws of
held-out objects is compared with two baselines: the mean training view, and the training view whose
embedding is nearest.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.checks import at_least, positive
from seqjepa.devices import device_of
from seqjepa.display import progress
from seqjepa.keys import draw_key
from seqjepa.model import Model
from seqjepa.world_model.decoder import Decoder, Layout
from seqjepa.worlds.base import World

IMAGES = 256  # in a pass of the model
HELD_OUT = 1000  # views that figures are measured on, at most
CURVE = 8  # times that the error on `val` is measured


@dataclass(frozen=True, kw_only=True)
class DecodeConfig:
    """Settings of a decoder and of its training.

    Attributes:
        objects: training objects, at most.
        views: of each.
        width: channels of the last stage.
        steps: of Adam.
        batch_size: views in a step.
        lr: learning rate at first.
        seed: of weights and batches.
    """

    section: ClassVar[str] = ""
    objects: int = 4000
    views: int = 4
    width: int = 16
    steps: int = 2000
    batch_size: int = 64
    lr: float = 3e-3
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(self, objects=1, views=1, width=1, steps=1, batch_size=2)
        positive(self, "lr")


@dataclass(frozen=True)
class Embedded:
    """Views and their embeddings.

    Attributes:
        pixels: [N, C, H, W] in 0..1, or uint8.
        embeddings: [N, F].
    """

    pixels: Tensor
    embeddings: Tensor

    def images(self, rows: Tensor | slice = slice(None)) -> Tensor:
        """Return views as float in 0..1."""
        pixels = self.pixels[rows]
        return pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels


def train_decoder(
    model: Model, world: World, config: DecodeConfig
) -> tuple[Decoder, dict[str, Any]]:
    """Return a decoder of a model's embeddings, and what was measured of it.

    The figures are `mse` and `psnr` (in dB, of the mean mse) of held-out objects of `test`: of the
    `decoder`, of the `mean view` and of the `nearest view`; and `curve`, the decoder's mse on `val`
    after so many steps.

    Raises:
        DataError: if objects have too few views.
    """
    train = embed(model, world, "train", config.objects, config.views, config.seed)
    held_out = {
        split: embed(model, world, split, HELD_OUT, 1, config.seed) for split in ("val", "test")
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        shape = train.pixels.shape[1:]
        layout = Layout(
            inputs=train.embeddings.shape[1],
            image_shape=(shape[0], shape[1], shape[2]),
            width=config.width,
            scaled=model.method.scaled,
        )
        decoder = Decoder(layout)
    decoder.to(device_of(model.method)).standardise(train.embeddings)

    curve = _fit(decoder, train, held_out["val"], config)
    test = held_out["test"]
    drawn = {
        "decoder": draw(decoder, test.embeddings),
        "mean view": train.images().mean(0).expand_as(test.pixels),
        "nearest view": train.images(_nearest(test.embeddings, train.embeddings, layout.scaled)),
    }
    figures: dict[str, Any] = {}
    for name, pictures in drawn.items():
        mse = float(F.mse_loss(pictures, test.images()))
        figures[name] = {"mse": mse, "psnr": -10 * math.log10(max(mse, 1e-12))}
    return decoder, figures | {"curve": curve}


def embed(model: Model, world: World, split: str, objects: int, views: int, seed: int) -> Embedded:
    """Return views of a split's first objects, and their embeddings.

    Raises:
        DataError: if objects have too few views.
    """
    world.require(split, views)
    device, pixels, embeddings = device_of(model.method), list[Tensor](), list[Tensor]()
    index = np.arange(min(objects, world.size(split)))
    parts = np.array_split(index, math.ceil(len(index) * views / IMAGES))
    with progress(f"embedding {split}", len(parts)) as done:
        for part in parts:
            batch = world.sequences(split, part, views, draw_key(seed, split, 0, part))
            pixels.append(batch.views.flatten(0, 1).contiguous().to(device))
            with torch.no_grad():
                embeddings.append(model.method.target(pixels[-1]).float())
            done(1)
    return Embedded(torch.cat(pixels), torch.cat(embeddings))


def draw(decoder: Decoder, embeddings: Tensor) -> Tensor:
    """Return the pictures [N, C, H, W] of embeddings [N, F], in eval mode and in parts."""
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
    adam = torch.optim.Adam(decoder.parameters(), lr=config.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, config.steps)
    every, curve = max(1, config.steps // CURVE), dict[int, float]()
    decoder.train()
    with progress("decoder", config.steps) as done:
        for step in range(1, config.steps + 1):
            rows = torch.randint(len(train.pixels), (config.batch_size,), generator=generator)
            rows = rows.to(train.pixels.device)
            loss = F.mse_loss(decoder(train.embeddings[rows]), train.images(rows))
            adam.zero_grad()
            loss.backward()
            adam.step()
            schedule.step()
            done(1)
            if step % every == 0 or step == config.steps:
                curve[step] = float(F.mse_loss(draw(decoder, val.embeddings), val.images()))
    decoder.eval().requires_grad_(False)
    return curve


def _nearest(embeddings: Tensor, bank: Tensor, scaled: bool) -> Tensor:
    """Return the entry of a bank [N, F] that is nearest to each embedding, [n]."""
    if not scaled:
        embeddings, bank = F.normalize(embeddings, dim=-1), F.normalize(bank, dim=-1)
    return torch.cat([torch.cdist(part, bank).argmin(1) for part in embeddings.split(IMAGES)])
