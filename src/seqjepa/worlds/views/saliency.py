"""Saliency: the probability of each pixel of an image to be looked at.

The built-in model needs no weights: the spectral residual (Hou and Zhang, CVPR 2007) times a centre
bias. Its maps are computed once and kept in the cache as float16. For maps computed elsewhere, such
as DeepGaze's, see `saliency_maps`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.store.cache import Plan, cached_tables
from seqjepa.store.fingerprint import digests
from seqjepa.store.table import ViewTable
from seqjepa.types import Indices
from seqjepa.worlds.images.image_set import ImageSet, ImageSplit

VERSION = 1  # part of the cache's key: raise it when the built-in maps change
SCALE = 64  # pixels per side that spectra are taken of, as in the paper
BLUR = 2.5  # at that scale, standard deviation of the Gaussian that smooths maps (authors' code)
CENTRE = 0.18  # standard deviation of the centre bias over the image's side
FLAT = 0.5 / 255  # an image whose gray levels spread less than this shows nothing

Maps = Callable[[Indices], Tensor]
"""Saliency maps [B, S, S] at places [B] in `ImageSplit.images`.

They are floating and not negative, each with a positive sum, and of any scale.
"""


@dataclass(frozen=True)
class MapPlan:
    """Plan of computing the maps of a table of images.

    Attributes:
        number: N maps.
        compute: maps [n, S, S], floating, at places [n].
    """

    number: int
    compute: Maps


def spectral_residual(images: Tensor) -> Tensor:
    """Compute saliency maps [B, S, S] of images [B, C, S, S], uint8 or 0..1, by the built-in model.

    The log amplitude spectrum of an image differs little from its local average. The difference,
    the spectral residual, is transformed back, and its squared magnitude, smoothed, is the
    saliency. A flat image has the centre bias alone.

    The bias, a Gaussian, has the spread of people's fixations on photographs, 40 % of which lie
    within the middle 11 % of the area and 70 % within the middle 25 % (Judd, Ehinger, Durand and
    Torralba, ICCV 2009).

    Returns:
        float32, each map with the sum 1.
    """
    size = images.shape[-1]
    gray = _gray(images)
    small = F.interpolate(gray[:, None], (SCALE, SCALE), mode="bilinear", antialias=True)[:, 0]
    # The residual lifts weak frequencies to the height of strong ones, and with them rounding
    # errors; so it is computed in float64.
    small = small.double()

    # R = log|F| - mean of log|F| over 3 x 3 frequencies, for the spectrum F of the image.
    spectrum = torch.fft.fft2(small - small.mean((1, 2), keepdim=True))
    amplitude = spectrum.abs()
    log = (amplitude + 1e-6 * amplitude.amax((1, 2), keepdim=True).clamp(min=1e-12)).log()
    framed = F.pad(log[:, None], (1, 1, 1, 1), mode="replicate")
    residual = log - F.avg_pool2d(framed, 3, 1)[:, 0]

    # S = Gaussian * |F^-1[exp(R + i phase)]|^2, and 1 everywhere for a flat image.
    energy = torch.fft.ifft2(torch.polar(residual.exp(), spectrum.angle())).abs().square()
    smooth = _blur(energy).float()
    flat = gray.std((1, 2), correction=0) < FLAT
    salient = torch.where(flat[:, None, None], 1.0, smooth)[:, None]

    enlarged = F.interpolate(salient, (size, size), mode="bilinear")[:, 0]
    maps = enlarged * centre_bias(size).to(enlarged)
    return maps / maps.sum((1, 2), keepdim=True)


def centre_bias(size: int) -> Tensor:
    """Return a Gaussian [S, S] about the middle of the image, 1 at its top."""
    away = (torch.arange(size) + 0.5) / size - 0.5
    bell = (-0.5 * (away / CENTRE) ** 2).exp()
    return bell[:, None] * bell


def spectral_residual_maps(images: ImageSet) -> dict[str, Maps]:
    """Return the built-in model's maps of every split, computed into the cache if need be.

    Raises:
        DiskError: if the cache cannot be written.
    """
    tables = distinct(images)
    key = {
        "model": "spectral residual",
        "version": VERSION,
        "images": digests({name: table.data for name, table in tables.items()}),
    }
    plans = {name: _spectral_residual_plan(table) for name, table in tables.items()}
    return by_split(images, cached_maps(key, plans, image_side(images)))


def _spectral_residual_plan(table: ImageSplit) -> MapPlan:
    def compute(places: Indices) -> Tensor:
        return spectral_residual(torch.from_numpy(table.pick(places)).permute(0, 3, 1, 2))

    return MapPlan(len(table.images), compute)


def cached_maps(key: Mapping[str, Any], plans: Mapping[str, MapPlan], size: int) -> dict[str, Maps]:
    """Return maps that are computed once into the cache: resumable, verified, as float16."""
    tables = cached_tables(
        "saliency",
        {"size": size, **key},
        {name: _cache_plan(plan, size) for name, plan in plans.items()},
        doing="computing",
    )
    return {name: _stored_maps(table) for name, table in tables.items()}


def _cache_plan(plan: MapPlan, size: int) -> Plan:
    """Return a plan for `cached_tables`, which keeps pixels: a float16 passes as two bytes."""

    def render(start: int, stop: int) -> npt.NDArray[np.uint8]:
        maps = half(plan.compute(np.arange(start, stop))).numpy()
        return maps.view(np.uint8).reshape(stop - start, 1, size, size, 2)

    # Objects with one view each, without poses and labels.
    poses, labels = np.zeros((plan.number, 1, 0), np.float32), np.full(plan.number, -1)
    return Plan(poses, labels, (size, size, 2), render)


def _stored_maps(table: ViewTable) -> Maps:
    def read(places: Indices) -> Tensor:
        pixels = table.images(places, np.zeros((1, 1), np.int64))
        return torch.from_numpy(pixels.view(np.float16)[:, 0, :, :, 0])

    return read


def half(maps: Tensor) -> Tensor:
    """Convert maps [B, S, S] to float16, each scaled to a largest value between 2048 and 4096.

    The scale is a power of two, so only small values lose digits.
    """
    exponent = torch.frexp(maps.double().amax((1, 2), keepdim=True)).exponent
    return torch.ldexp(maps.double(), 12 - exponent).half()


def distinct(images: ImageSet) -> dict[str, ImageSplit]:
    """Return the tables of images behind the splits, each once and as a whole, by their origin."""
    # Splits of one table share the array itself, so its identity tells tables apart.
    found: dict[int, tuple[str, ImageSplit]] = {}
    for name, split in images.splits.items():
        whole = replace(split, rows=None, labels=np.full(len(split.images), -1))
        found.setdefault(id(split.images), (split.origin or name, whole))
    return dict(found.values())


def by_split(images: ImageSet, maps: Mapping[str, Maps]) -> dict[str, Maps]:
    """Return for every split the maps of the table that it is a part of."""
    names = {id(whole.images): name for name, whole in distinct(images).items()}
    return {name: maps[names[id(split.images)]] for name, split in images.splits.items()}


def image_side(images: ImageSet) -> int:
    """Return S, the pixels per side of the images."""
    return int(images.splits["train"].images.shape[1])


def _gray(images: Tensor) -> Tensor:
    """Return the luma [B, S, S] in 0..1 of images [B, C, S, S]; not of RGB, the channels' mean."""
    pixels = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    if images.shape[1] != 3:
        return pixels.mean(1)
    return torch.einsum("bchw,c->bhw", pixels, pixels.new_tensor([0.299, 0.587, 0.114]))


def _blur(maps: Tensor) -> Tensor:
    """Smooth maps [B, H, W] by a Gaussian; beyond the border they go on as they end."""
    radius = math.ceil(2 * BLUR)
    bell = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=maps.device) / BLUR) ** 2)
    bell = (bell / bell.sum()).to(maps)

    framed = F.pad(maps[:, None], (radius,) * 4, mode="replicate")
    columns = F.conv2d(framed, bell.view(1, 1, -1, 1))
    return F.conv2d(columns, bell.view(1, 1, 1, -1))[:, 0]
