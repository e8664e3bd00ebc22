"""The plain references of `seqjepa speed`: the same work as one would first write it.

The data that both sides work on are made here, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from seqjepa.config import Experiment
from seqjepa.devices import use_bf16
from seqjepa.methods.base import Method
from seqjepa.methods.seq_jepa import SeqJEPA
from seqjepa.model import build_method
from seqjepa.types import SequenceBatch
from seqjepa.worlds.base import World
from seqjepa.worlds.images.image_set import ImageSet, ImageSplit
from seqjepa.worlds.views.augment import blur_radius
from seqjepa.worlds.views.policy import COLUMNS, JITTER


def one_batch(experiment: Experiment, world: World, device: torch.device) -> SequenceBatch:
    """Return a batch of the experiment."""
    config = experiment.train
    batches = world.loader(
        "train", num_views=config.num_views, batch_size=config.batch_size, seed=0
    )
    return next(batches).to(device)


class PlainStep:
    """A training step in fp32 and NCHW.

    It has PyTorch's default AdamW and updates the EMA parameter by parameter.
    """

    def __init__(self, experiment: Experiment, world: World, device: torch.device) -> None:
        method = build_method(experiment, world.spec)
        assert isinstance(method, SeqJEPA)
        # Channels first, which is slower on most hardware: the encoder is built channels-last.
        layout = torch.contiguous_format
        self.method = method.to(device, memory_format=layout)  # type: ignore[call-overload]
        trained = [p for p in method.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-4)
        batch = one_batch(experiment, world, device)
        self.batch = replace(batch, views=batch.views.contiguous())

    def __call__(self) -> None:
        """Make a step."""
        self.optimizer.zero_grad()
        self.method(self.batch).loss.backward()
        self.optimizer.step()

        targets = self.method.target_encoder.module.parameters()
        with torch.no_grad():
            for target, source in zip(targets, self.method.encoder.parameters(), strict=True):
                target.mul_(0.996).add_(source, alpha=1 - 0.996)


class BareStep:
    """Forward and backward on one batch, in the experiment's precision, and nothing else."""

    def __init__(self, experiment: Experiment, world: World, device: torch.device) -> None:
        self.method: Method = build_method(experiment, world.spec).to(device)
        self.batch = one_batch(experiment, world, device)
        self.autocast = torch.autocast(
            device.type, torch.bfloat16, enabled=use_bf16(experiment.train.precision, device)
        )

    def __call__(self) -> None:
        """Make a step."""
        self.method.zero_grad(set_to_none=True)
        with self.autocast:
            loss = self.method(self.batch).loss
        loss.backward()


def noise(images: int, pixels: int) -> ImageSet:
    """Return a set of noise images, the same in every split."""
    values = np.random.default_rng(0).integers(0, 256, (images, pixels, pixels, 3), np.uint8)
    split = ImageSplit(values, np.zeros(images, np.int64))
    splits = dict.fromkeys(("train", "val", "test"), split)
    return ImageSet(splits, ("noise",), (0.5,) * 3, (0.25,) * 3)


def look(
    images: npt.NDArray[np.uint8], saliency: torch.Tensor, views: int, size: int
) -> npt.NDArray[np.uint8]:
    """Return views [N, T, size, size, 3] at fixations, one image and one fixation at a time.

    This is the way of the authors' release.
    """
    radius, seen = size // 2, []
    for image, one in zip(images, saliency, strict=True):
        weights, picture, side = one / one.sum(), Image.fromarray(image), len(image)
        row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
        for _ in range(views):
            # Draw from the map, set a square of it to next to nothing, and renormalise.
            r, c = divmod(int(torch.multinomial(weights.flatten(), 1)), side)
            near = ((row - r).abs() <= radius) & ((column - c).abs() <= radius)
            weights = weights * ~near + 1e-16
            weights = weights / weights.sum()

            # Pillow fills what lies outside the image with zero.
            top, left = r - radius, c - radius
            seen.append(np.asarray(picture.crop((left, top, left + size, top + size))))
    return np.stack(seen).reshape(len(images), views, size, size, 3)


def decode(paths: Sequence[Path], size: int) -> npt.NDArray[np.uint8]:
    """Return views [N, size, size, 3] from JPEG files, one after the other.

    The released loaders of 3DIEBench read them like this.
    """
    views = []
    for path in paths:
        with Image.open(path) as image:
            resized = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
        views.append(np.asarray(resized))
    return np.stack(views)


def augment_one(
    picture: npt.NDArray[np.uint8], parameters: Sequence[float]
) -> npt.NDArray[np.uint8]:
    """Return a view [S, S, 3] of a square picture of the same size from its parameters.

    It takes one Pillow operation after the other (torchvision's way). Pillow convolves with at most
    5 x 5 pixels: S must be less than 60.
    """
    size, values = len(picture), dict(zip(COLUMNS, parameters, strict=True))
    top, left, height, width = (round(values[name]) for name in COLUMNS[:4])
    image = Image.fromarray(picture).crop((left, top, left + width, top + height))
    image = image.resize((size, size), Image.Resampling.BICUBIC)
    if values["flip"]:
        image = ImageOps.mirror(image)

    # The order of the colour operations is drawn, too.
    for name in sorted(JITTER, key=lambda name: values[f"{name}_place"]):
        image = _change_colour(image, name, values[name])
    if values["gray"]:
        image = image.convert("L").convert("RGB")
    if values["sigma"]:
        image = _blur(image, values["sigma"], blur_radius(size))
    if values["solarize"]:
        image = ImageOps.solarize(image, 128)
    return np.asarray(image)


Enhancer = type[ImageEnhance.Brightness | ImageEnhance.Contrast | ImageEnhance.Color]
ENHANCERS: Mapping[str, Enhancer] = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
}


def _change_colour(image: Image.Image, name: str, value: float) -> Image.Image:
    if name != "hue":
        return ENHANCERS[name](image).enhance(value)

    # A hue is a byte: sums wrap round as they should.
    hue, saturation, brightness = image.convert("HSV").split()
    turned = np.asarray(hue) + np.array(round(255 * value)).astype(np.uint8)
    return Image.merge("HSV", (Image.fromarray(turned), saturation, brightness)).convert("RGB")


def _blur(image: Image.Image, sigma: float, radius: int) -> Image.Image:
    line = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = np.outer(line, line) / line.sum() ** 2

    # Pillow leaves the border as it is, so there has to be one that is cut off again.
    border = (radius, radius)
    padded = Image.fromarray(np.pad(np.asarray(image), (border, border, (0, 0)), "reflect"))
    blurred = padded.filter(ImageFilter.Kernel(kernel.shape, kernel.flatten().tolist(), scale=1))
    return blurred.crop((radius, radius, radius + image.width, radius + image.height))
