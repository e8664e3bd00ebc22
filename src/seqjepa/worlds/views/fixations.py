"""Fixations drawn from an image's saliency with inhibition of return, and the patches seen there.

See seq-JEPA, section 3.3. Batched, on any device, and exact: all counting is in integers.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.errors import DataError
from seqjepa.keys import uniforms
from seqjepa.types import Indices

# Bits of a map's largest weight: enough to keep apart whatever float16 does, and few enough to sum
# maps of up to 2^22 pixels in int64.
BITS = 40
Shape = Literal["disc", "square", "none"]


@dataclass(frozen=True)
class Inhibition:
    """Inhibition of return: the positions around a fixation that no later one of a sequence takes.

    Attributes:
        shape: `disc`, all within `radius` of a fixation (the paper); `square`, all whose row and
            column are (the authors' release); `none`.
        radius: in pixels.
    """

    shape: Shape
    radius: int

    def kernel(self) -> Tensor:
        """Return [2 r + 1, 2 r + 1] bool, true where a fixation in the middle inhibits.

        For `none` it is one pixel that is false.
        """
        if self.shape == "none":
            return torch.zeros(1, 1, dtype=torch.bool)
        away = torch.arange(-self.radius, self.radius + 1)
        if self.shape == "square":
            return torch.ones(len(away), len(away), dtype=torch.bool)
        return away[:, None] ** 2 + away**2 <= self.radius**2

    def capacity(self, size: int) -> int | None:
        """Return the number of fixations that always find room; None for no limit.

        Args:
            size: pixels per side of the image.
        """
        # Each fixation takes away one kernel's area at most.
        area = int(self.kernel().sum())
        return math.ceil(size**2 / area) if area else None


def weights(maps: Tensor) -> Tensor:
    """Turn saliency maps [B, S, S] of any floating type into proportional int64 weights to 2^40.

    A map's own scale does not matter. Nothing of float16 maps is rounded; in others, values below
    2^-40 of the map's largest are lost.
    """
    # mantissa / most is a power of two, so the product in double precision is exact.
    most = maps.amax((1, 2), keepdim=True).double()
    power = torch.where(most > 0, torch.frexp(most).mantissa / most, 1) * 2**BITS
    return maps.double().mul(power).round_().long()


def fixations(saliency: Tensor, number: int, keys: Indices, inhibition: Inhibition) -> Tensor:
    """Draw fixations one after the other, each from what its predecessors left of the map.

    Where nothing is left of a map, because it was zero or its salient parts are inhibited, all
    positions that are not inhibited are equally likely. Each draw is a function of its map and key
    alone, to the bit: on any device, in any batch.

    Args:
        saliency: [B, S, S] int64, not negative: probabilities up to a factor (see `weights`).
        number: K fixations.
        keys: [B].
        inhibition: the inhibition of return.

    Returns:
        [B, K, 2] int64, row and column, in the order in which they are drawn.

    Raises:
        DataError: if inhibition may leave too little room.
    """
    batch, size = saliency.shape[:2]
    capacity = inhibition.capacity(size)
    if capacity is not None and number > capacity:
        kind = f"{inhibition.shape}, radius {inhibition.radius}"
        raise DataError(
            f"{number} fixations asked for, an image of {size} x {size} pixels has room for "
            f"{capacity} with inhibition of return ({kind}): ask for fewer or inhibit less"
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
    """The weights that may still be drawn, -1 where inhibited.

    They stand in a frame of -1 that is wide enough for any fixation's window. The sums `mass` and
    counts `free` of each row are kept up to date.
    """

    def __init__(self, saliency: Tensor, inhibition: Inhibition) -> None:
        self.kernel = inhibition.kernel().to(saliency.device)
        self.margin, self.size = len(self.kernel) // 2, saliency.shape[1]
        self.left = F.pad(saliency, (self.margin,) * 4, value=-1)
        # [B, S]: each row's weight, and its number of positions that are not inhibited.
        self.mass = saliency.sum(2)
        self.free = torch.full_like(self.mass, self.size)
        self.inhibits = inhibition.shape != "none"
        self.image = torch.arange(len(saliency), device=saliency.device)

    def draw(self, chance: Tensor) -> Tensor:
        """Return a position [B, 2] at chance [B] in 0 .. 1."""
        # Inverse transform sampling over the pixels in reading order, in integers. With
        #
        #     total = sum of all weights,  target = floor(chance * total)  in 0 .. total - 1,
        #
        # the pixel drawn is the first one up to which the weights sum to more than target.
        # Searching the sums of rows first and then one row's pixels finds the same one in O(S)
        # instead of O(S^2).
        blank = self.mass.sum(1, keepdim=True) == 0
        up_to_row = torch.where(blank, self.free, self.mass).cumsum(1)
        total = up_to_row[:, -1:]
        # chance * total may round up to total, which no pixel's sum exceeds.
        target = torch.minimum((chance[:, None] * total).long(), total - 1)
        row = torch.searchsorted(up_to_row, target, right=True)

        # Within the row the target counts from where the row begins.
        inner = slice(self.margin, self.margin + self.size)
        line = self.left[self.image, row[:, 0] + self.margin, inner]
        up_to_column = torch.where(blank, (line >= 0).long(), line.clamp(min=0)).cumsum(1)
        before = up_to_row.gather(1, row) - up_to_column[:, -1:]
        column = torch.searchsorted(up_to_column, target - before, right=True)
        return torch.cat([row, column], 1)

    def inhibit(self, place: Tensor) -> None:
        """Take away what the fixations [B, 2] inhibit."""
        if not self.inhibits:
            return
        side = len(self.kernel)
        offset = torch.arange(side, device=place.device)

        # A window's corner in the frame is the fixation's place in the image: margins cancel.
        row, column = place[:, :1] + offset, place[:, 1:] + offset  # [B, side]
        pixel = (row * self.left.shape[2])[:, :, None] + column[:, None]
        flat, pixel = self.left.flatten(1), pixel.flatten(1)
        window = flat.gather(1, pixel).view(-1, side, side)
        gone = self.kernel & (window >= 0)
        # `flat` shares memory with `left`.
        flat.scatter_(1, pixel, torch.where(gone, -1, window).flatten(1))

        # Rows of the frame are clamped to some row of the image, but they lose nothing.
        inside = (row - self.margin).clamp(0, self.size - 1)
        self.mass.scatter_add_(1, inside, -torch.where(gone, window, 0).sum(2))
        self.free.scatter_add_(1, inside, -gone.sum(2))


def patches(images: Tensor, fixations: Tensor, size: int) -> Tensor:
    """Cut out the squares of the images that are seen at fixations, zero outside the image.

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

    # Every run of `size` pixels in a row, as overlapping views: [B, H', W, size C]. A patch is then
    # `size` of them, and gathering these copies long runs of memory.
    strips = padded.unfold(2, size * channels, channels)
    image = torch.arange(len(images), device=images.device)[:, None, None]
    rows = fixations[:, :, :1] + torch.arange(size, device=images.device)
    seen: Tensor = strips[image, rows, fixations[:, :, 1:]]  # [B, K, size, size C]
    return seen.view(*seen.shape[:3], size, channels).permute(0, 1, 4, 2, 3)
