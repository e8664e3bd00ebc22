"""The plain references of `seqjepa speed`: the same work as one would first write it, and what it
is done to.
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
    """A batch of the experiment."""
    config = experiment.train
    return next(
        world.loader("train", num_views=config.num_views, batch_size=config.batch_size, seed=0)
    ).to(device)


class PlainStep:
    """A training step in fp32 and NCHW, with PyTorch's default AdamW and an EMA parameter by
    parameter.
    """

    def __init__(self, experiment: Experiment, world: World, device: torch.device) -> None:
        method = build_method(experiment, world.spec)
        assert isinstance(method, SeqJEPA)
        self.method = method.to(device, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(
            [p for p in method.parameters() if p.requires_grad], lr=1e-4
        )
        batch = one_batch(experiment, world, device)
        self.batch = replace(batch, views=batch.views.contiguous())

    def __call__(self) -> None:
        """Make a step."""
        self.optimizer.zero_grad()
        self.method(self.batch).loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            pairs = zip(
                self.method.target_encoder.module.parameters(),
                self.method.encoder.parameters(),
                strict=True,
            )
            for target, source in pairs:
                target.mul_(0.996).add_(source, alpha=1 - 0.996)


class BareStep:
    """Forward and backward on one batch that is always there, in the experiment's precision, and
    nothing else.
    """

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
    """So many images of noise, the same in every split."""
    values = np.random.default_rng(0).integers(0, 256, (images, pixels, pixels, 3), np.uint8)
    split = ImageSplit(values, np.zeros(images, np.int64))
    return ImageSet(
        dict.fromkeys(("train", "val", "test"), split), ("noise",), (0.5,) * 3, (0.25,) * 3
    )


def look(
    images: npt.NDArray[np.uint8], saliency: torch.Tensor, views: int, size: int
) -> npt.NDArray[np.uint8]:
    """Views [N, T, size, size, 3] at fixations, image after image and fixation after fixation, in
    the way of the authors' release: draw from the map, set a square of it to next to nothing,
    renormalise; cut with Pillow, which fills what lies outside with zero.
    """
    radius, seen = size // 2, []
    for image, one in zip(images, saliency, strict=True):
        left, picture, side = one / one.sum(), Image.fromarray(image), len(image)
        row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
        for _ in range(views):
            r, c = divmod(int(torch.multinomial(left.flatten(), 1)), side)
            near = ((row - r).abs() <= radius) & ((column - c).abs() <= radius)
            left = left * ~near + 1e-16
            left = left / left.sum()
            seen.append(
                np.asarray(
                    picture.crop((c - radius, r - radius, c - radius + size, r - radius + size))
                )
            )
    return np.stack(seen).reshape(len(images), views, size, size, 3)


def decode(paths: Sequence[Path], size: int) -> npt.NDArray[np.uint8]:
    """Views [N, size, size, 3] from JPEG files, one after the other, as the released loaders of
    3DIEBench read them.
    """
    views = []
    for path in paths:
        with Image.open(path) as image:
            views.append(
                np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
            )
    return np.stack(views)


def augment_one(
    picture: npt.NDArray[np.uint8], parameters: Sequence[float]
) -> npt.NDArray[np.uint8]:
    """A view [S, S, 3] of a square picture of the same size from its parameters, one Pillow
    operation after the other (torchvision's way).

    Pillow convolves with at most 5 x 5 pixels: S must be less than 60.
    """
    size, told = len(picture), dict(zip(COLUMNS, parameters, strict=True))
    top, left, height, width = (round(told[name]) for name in COLUMNS[:4])
    image = (
        Image.fromarray(picture)
        .crop((left, top, left + width, top + height))
        .resize((size, size), Image.Resampling.BICUBIC)
    )
    if told["flip"]:
        image = ImageOps.mirror(image)
    for name in sorted(JITTER, key=lambda name: told[f"{name}_place"]):
        image = _change_colour(image, name, told[name])
    if told["gray"]:
        image = image.convert("L").convert("RGB")
    if told["sigma"]:
        image = _blur(image, told["sigma"], blur_radius(size))
    if told["solarize"]:
        image = ImageOps.solarize(image, 128)
    return np.asarray(image)


ENHANCERS: Mapping[
    str, type[ImageEnhance.Brightness | ImageEnhance.Contrast | ImageEnhance.Color]
] = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
}


def _change_colour(image: Image.Image, name: str, value: float) -> Image.Image:
    if name != "hue":
        return ENHANCERS[name](image).enhance(value)
    hue, saturation, brightness = image.convert("HSV").split()
    turned = np.asarray(hue) + np.array(round(255 * value)).astype(np.uint8)
    return Image.merge("HSV", (Image.fromarray(turned), saturation, brightness)).convert("RGB")


def _blur(image: Image.Image, sigma: float, radius: int) -> Image.Image:
    line = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = np.outer(line, line) / line.sum() ** 2
    padded = Image.fromarray(
        np.pad(np.asarray(image), ((radius, radius), (radius, radius), (0, 0)), "reflect")
    )
    blurred = padded.filter(ImageFilter.Kernel(kernel.shape, kernel.flatten().tolist(), scale=1))
    return blurred.crop((radius, radius, radius + image.width, radius + image.height))
