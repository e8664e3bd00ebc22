"""Glimpses: where an image is looked at, drawn from its saliency with inhibition of return, and the
patches seen there (seq-JEPA, section 3.3). Batched, on any device, and exact: all counting is in
integers."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.errors import DataError
from seqjepa.keys import uniforms
from seqjepa.types import Indices

BITS = 40  # of a map's largest weight: whatever float16 can tell apart is kept, and maps of up to 2^22 pixels can be summed
Shape = Literal["disc", "square", "none"]


@dataclass(frozen=True)
class Inhibition:
    """Inhibition of return: where no later fixation of the sequence falls.

    Attributes:
        shape: `disc`, all within `radius` of a fixation (the paper); `square`, all whose row and
            column are (the authors' release); `none`.
        radius: in pixels.
    """

    shape: Shape
    radius: int

    def kernel(self) -> Tensor:
        """[2 r + 1, 2 r + 1] bool, true where a fixation in the middle inhibits; one pixel that
        does not for `none`."""
        if self.shape == "none":
            return torch.zeros(1, 1, dtype=torch.bool)
        away = torch.arange(-self.radius, self.radius + 1)
        if self.shape == "square":
            return torch.ones(len(away), len(away), dtype=torch.bool)
        return away[:, None] ** 2 + away**2 <= self.radius**2

    def most(self, size: int) -> int | None:
        """So many fixations find a place in any case on an image of `size` pixels per side; None
        for any number."""
        area = int(self.kernel().sum())
        return math.ceil(size**2 / area) if area else None


def weights(maps: Tensor) -> Tensor:
    """Saliency maps [B, S, S] of any floating type as int64 weights up to 2^40, proportional to
    them.

    Each map is scaled by a power of two, in double precision, so that its own scale does not
        matter: of float16 maps nothing is rounded, of
    others what is below 2^-40 of the map's largest value.
    """
    most = maps.amax((1, 2), keepdim=True).double()
    power = torch.where(most > 0, torch.frexp(most).mantissa / most, 1) * 2**BITS
    return maps.double().mul(power).round_().long()


def fixations(saliency: Tensor, number: int, keys: Indices, inhibition: Inhibition) -> Tensor:
    """Fixations in the order in which they are drawn, each from the map that its predecessors left,
    renormalised.

    A map of which nothing is left, because it was zero or its salient parts are inhibited, gives
    way to all positions that are not, alike. Each draw is a function of its map and key alone, to
    the bit: on any device, in any batch.

    Args:
        saliency: [B, S, S] int64, not negative: probabilities up to a factor (see `weights`).
        number: K.
        keys: [B].
        inhibition: of return.

    Returns:
        [B, K, 2] int64, row and column.

    Raises:
        DataError: if inhibition may leave no place for so many.
    """
    batch, size = saliency.shape[:2]
    if (most := inhibition.most(size)) is not None and number > most:
        raise DataError(
            f"{number} fixations asked for, an image of {size} x {size} pixels has room for {most} with inhibition of return "
            f"({inhibition.shape}, radius {inhibition.radius}): ask for fewer or inhibit less"
        )
    chance = torch.from_numpy(uniforms(keys, number)).to(saliency.device)
    pool = _Pool(saliency, inhibition)
    found = saliency.new_empty(batch, number, 2)
    for k in range(number):
        found[:, k] = place = pool.draw(chance[:, k])
        if k + 1 < number:
            pool.inhibit(place)
    return found


class _Pool:
    """What may still be drawn: weights, -1 where inhibited, in a frame of -1 that is wide enough
    for any window."""

    def __init__(self, saliency: Tensor, inhibition: Inhibition) -> None:
        self.kernel = inhibition.kernel().to(saliency.device)
        self.margin, self.size = len(self.kernel) // 2, saliency.shape[1]
        self.left = F.pad(saliency, (self.margin,) * 4, value=-1)
        self.mass = saliency.sum(2)  # [B, S] of each row
        self.free = torch.full_like(self.mass, self.size)
        self.inhibits = inhibition.shape != "none"
        self.image = torch.arange(len(saliency), device=saliency.device)

    def draw(self, chance: Tensor) -> Tensor:
        """[B, 2]: by the inverse of the distribution function, at chance [B] in 0 .. 1: first a
        row, then a column in it."""
        blank = self.mass.sum(1, keepdim=True) == 0
        rows = torch.where(blank, self.free, self.mass).cumsum(1)
        total = rows[:, -1:]
        target = torch.minimum((chance[:, None] * total).long(), total - 1)
        row = torch.searchsorted(rows, target, right=True)
        line = self.left[self.image, row[:, 0] + self.margin, self.margin : self.margin + self.size]
        here = torch.where(blank, (line >= 0).long(), line.clamp(min=0)).cumsum(1)
        before = rows.gather(1, row) - here[:, -1:]
        return torch.cat([row, torch.searchsorted(here, target - before, right=True)], 1)

    def inhibit(self, place: Tensor) -> None:
        """Take away what the fixations [B, 2] inhibit."""
        if not self.inhibits:
            return
        side = len(self.kernel)
        offset = torch.arange(side, device=place.device)
        row, column = place[:, :1] + offset, place[:, 1:] + offset  # [B, side], in the frame
        where = (row * self.left.shape[2])[:, :, None] + column[:, None]
        flat, where = self.left.flatten(1), where.flatten(1)
        window = flat.gather(1, where).view(-1, side, side)
        gone = self.kernel & (window >= 0)
        flat.scatter_(1, where, torch.where(gone, -1, window).flatten(1))
        inside = (row - self.margin).clamp(0, self.size - 1)  # rows of the frame lose nothing
        self.mass.scatter_add_(1, inside, -torch.where(gone, window, 0).sum(2))
        self.free.scatter_add_(1, inside, -gone.sum(2))


def patches(images: Tensor, fixations: Tensor, size: int) -> Tensor:
    """What is seen at fixations: squares of the image, zero outside it.

    The fixation (row, column) is the pixel [size // 2, size // 2] of its patch: the middle one
    where size is odd, the one below and right of the middle where it is even.

    Args:
        images: [B, C, H, W] uint8.
        fixations: [B, K, 2] int64, row and column.
        size: pixels per side of a patch.

    Returns:
        [B, K, C, size, size] uint8, channels-last in memory, as convolutions like them.
    """
    channels, before = images.shape[1], size // 2
    frame = (0, 0, before, size - 1 - before, before, size - 1 - before)
    padded = F.pad(images.permute(0, 2, 3, 1), frame).flatten(2)  # [B, H', W' C]
    strips = padded.unfold(
        2, size * channels, channels
    )  # [B, H', W, size C]: every run of pixels in a row
    image = torch.arange(len(images), device=images.device)[:, None, None]
    rows = fixations[:, :, :1] + torch.arange(size, device=images.device)
    seen: Tensor = strips[image, rows, fixations[:, :, 1:]]  # [B, K, size, size C]
    return seen.view(*seen.shape[:3], size, channels).permute(0, 1, 4, 2, 3)
