"""Saliency: how likely each pixel of an image is to be looked at.

The built-in model needs no weights: the spectral residual (Hou and Zhang, CVPR 2007) times a centre
bias. Its maps are computed once and kept in the cache as float16. For maps computed elsewhere, such
as DeepGaze's, see `saliency_files`."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.store.cache import Plan, cached_tables
from seqjepa.store.fingerprint import digests
from seqjepa.types import Indices
from seqjepa.worlds.images.image_set import ImageSet, ImageSplit

VERSION = 1  # of the built-in maps: raise it when they change
SCALE = 64  # pixels per side that spectra are taken of, as in the paper
BLUR = 2.5  # standard deviation, at that scale, of the Gaussian that smooths the map (the authors' code)
CENTRE = 0.18  # standard deviation of the centre bias over the image's side
FLAT = 0.5 / 255  # an image whose gray levels spread less than this shows nothing

Maps = Callable[[Indices], Tensor]
"""Places [B] in `ImageSplit.images` to saliency maps [B, S, S], floating, not negative, each with a positive sum, of any scale."""


def spectral_residual(images: Tensor) -> Tensor:
    """Saliency maps [B, S, S] float32, each with the sum 1, of images [B, C, S, S], uint8 or 0..1.

    The log amplitude spectrum of an image differs little from its local average; what differs, the
    spectral residual, is transformed back, and its squared magnitude, smoothed, is the saliency. A
    flat image has the centre bias alone.

    The bias, a Gaussian, has the spread of people's fixations on photographs, 40 % of which lie
    within the middle 11 % of the area and 70 % within the middle 25 % (Judd, Ehinger, Durand and
    Torralba, ICCV 2009)."""
    size = images.shape[-1]
    gray = _gray(images)
    small = F.interpolate(gray[:, None], (SCALE, SCALE), mode="bilinear", antialias=True)[:, 0]
    small = small.double()  # the residual lifts weak frequencies to the height of strong ones, and with them rounding errors
    spectrum = torch.fft.fft2(small - small.mean((1, 2), keepdim=True))
    amplitude = spectrum.abs()
    log = (amplitude + 1e-6 * amplitude.amax((1, 2), keepdim=True).clamp(min=1e-12)).log()
    residual = log - F.avg_pool2d(F.pad(log[:, None], (1, 1, 1, 1), mode="replicate"), 3, 1)[:, 0]
    energy = torch.fft.ifft2(torch.polar(residual.exp(), spectrum.angle())).abs().square()
    smooth = _blur(energy).float()
    flat = gray.std((1, 2), correction=0) < FLAT
    salient = F.interpolate(
        torch.where(flat[:, None, None], 1.0, smooth)[:, None], (size, size), mode="bilinear"
    )[:, 0]
    maps = salient * centre_bias(size).to(salient)
    return maps / maps.sum((1, 2), keepdim=True)


def centre_bias(size: int) -> Tensor:
    """[S, S]: a Gaussian about the middle of the image, 1 at its top."""
    away = (torch.arange(size) + 0.5) / size - 0.5
    bell = (-0.5 * (away / CENTRE) ** 2).exp()
    return bell[:, None] * bell


def spectral_residual_maps(images: ImageSet) -> dict[str, Maps]:
    """The built-in model's maps of every split, computed into the cache if need be.

    Raises:
        DiskError: if the cache cannot be written.
    """

    def plan(split: ImageSplit) -> MapPlan:
        return len(split.images), lambda index: spectral_residual(
            torch.from_numpy(split.pick(index)).permute(0, 3, 1, 2)
        )

    parts = distinct(images)
    key = {
        "model": "spectral residual",
        "version": VERSION,
        "images": digests({name: split.data for name, split in parts.items()}),
    }
    return by_split(
        images, cached_maps(key, {name: plan(split) for name, split in parts.items()}, side(images))
    )


MapPlan = tuple[int, Callable[[Indices], Tensor]]
"""How many maps there are, and how to compute those at places [n]: [n, S, S] floating."""


def cached_maps(key: Mapping[str, Any], plans: Mapping[str, MapPlan], size: int) -> dict[str, Maps]:
    """Maps computed once into the cache: resumable, verified, as float16 of two bytes that stand
    for pixels there."""

    def render(
        compute: Callable[[Indices], Tensor], start: int, stop: int
    ) -> npt.NDArray[np.uint8]:
        return (
            half(compute(np.arange(start, stop)))
            .numpy()
            .view(np.uint8)
            .reshape(stop - start, 1, size, size, 2)
        )

    tables = cached_tables(
        "saliency",
        {"size": size, **key},
        {
            name: Plan(
                np.zeros((number, 1, 0), np.float32),
                np.full(number, -1),
                (size, size, 2),
                lambda start, stop, compute=compute: render(compute, start, stop),  # type: ignore[misc]
            )
            for name, (number, compute) in plans.items()
        },
        doing="computing",
    )

    def maps(name: str) -> Maps:
        return lambda places: torch.from_numpy(
            tables[name].images(places, np.zeros((1, 1), np.int64)).view(np.float16)[:, 0, :, :, 0]
        )

    return {name: maps(name) for name in tables}


def half(maps: Tensor) -> Tensor:
    """Maps [B, S, S] as float16, each scaled by the power of two that puts its largest value
    between 2048 and 4096."""
    exponent = torch.frexp(maps.double().amax((1, 2), keepdim=True)).exponent
    return torch.ldexp(maps.double(), 12 - exponent).half()


def distinct(images: ImageSet) -> dict[str, ImageSplit]:
    """The tables of images behind the splits, each once and as a whole, by what they were decoded
    from."""
    found: dict[int, tuple[str, ImageSplit]] = {}
    for name, split in images.splits.items():
        whole = replace(split, rows=None, labels=np.full(len(split.images), -1))
        found.setdefault(id(split.images), (split.origin or name, whole))
    return dict(found.values())


def by_split(images: ImageSet, maps: Mapping[str, Maps]) -> dict[str, Maps]:
    """For every split the maps of the table that it is a part of."""
    names = {id(whole.images): name for name, whole in distinct(images).items()}
    return {name: maps[names[id(split.images)]] for name, split in images.splits.items()}


def side(images: ImageSet) -> int:
    """S, pixels per side of the images."""
    return int(images.splits["train"].images.shape[1])


def _gray(images: Tensor) -> Tensor:
    """Luma [B, S, S] in 0..1 of images [B, C, S, S]; of other than three channels, their mean."""
    pixels = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    if images.shape[1] != 3:
        return pixels.mean(1)
    return torch.einsum("bchw,c->bhw", pixels, pixels.new_tensor([0.299, 0.587, 0.114]))


def _blur(maps: Tensor) -> Tensor:
    """Maps [B, H, W] smoothed by a Gaussian, row by row and column by column; beyond the border
    they go on as they end."""
    radius = math.ceil(2 * BLUR)
    bell = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=maps.device) / BLUR) ** 2)
    bell = (bell / bell.sum()).to(maps)
    framed = F.pad(maps[:, None], (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(framed, bell.view(1, 1, -1, 1)), bell.view(1, 1, 1, -1))[:, 0]
