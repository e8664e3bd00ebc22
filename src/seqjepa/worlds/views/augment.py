"""Augmented views of images from complete parameters: batched arithmetic on any device, the same
pixels for the same parameters.

Operations and their order are those of the paper's released code (datasets.py), which has
torchvision call Pillow. Pillow rounds to 8 bits after each operation, here pixels are rounded once,
at the end. So single operations are within 1 of 255 levels of Pillow's (crops: 1 for 99 % of the
pixels, 6 at most; hues: 8 at most), all in a row 1.5 levels on average and within 8 for 99.9 %; and
within half a level of kornia's, which computes in floating point, too
(`tests/worlds/views/test_augment.py`)."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.worlds.views.policy import COLUMNS, JITTER

CHUNK = (
    2**18
)  # pixels of the views that a CPU makes at a time, as what stays in its cache is made faster
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as in Pillow

Columns = dict[str, Tensor]


def augment_views(images: Tensor, parameters: Tensor, size: int) -> Tensor:
    """T views of each image.

    Args:
        images: [B, 3, H, W], uint8 or float in 0..1, on the device to compute on.
        parameters: [B, T, 16], the numbers named in `COLUMNS`, on the CPU: what is done to which
            view is decided there, so that nothing ever waits for a GPU.
        size: S, pixels per side of a view.

    Returns:
        [B, T, 3, S, S], on the images' device and of their type.
    """
    at_once = (
        max(1, CHUNK // (parameters.shape[1] * size**2))
        if images.device.type == "cpu"
        else len(images)
    )
    chunks = zip(images.split(at_once), parameters.split(at_once), strict=True)
    return torch.cat(
        [
            _views(some, table.flatten(0, 1), size).unflatten(0, table.shape[:2])
            for some, table in chunks
        ]
    )


def _views(images: Tensor, parameters: Tensor, size: int) -> Tensor:
    """[V, 3, S, S] for parameters [V, 16], as many for each image. Pixels are 0..255 inside."""
    integers, device = images.dtype == torch.uint8, images.device
    told = dict(zip(COLUMNS, parameters.unbind(-1), strict=True))
    values = dict(
        zip(COLUMNS, parameters.to(device)[..., None, None].unbind(1), strict=True)
    )  # each [V, 1, 1]

    def where(condition: Tensor) -> Tensor:
        return condition.nonzero()[:, 0].to(device)

    x = _crop(images if integers else images * 255, values, size)
    blends = _blends(told).to(device)
    for place in range(
        4
    ):  # of the hue, which is turned after so many of the three other changes of colour
        rows = where((told["hue_place"] == place) & (told["hue"] != 0))
        x[rows] = _turn_hue(x.index_select(0, rows), values["hue"][rows])
        if place < 3:
            x = _blend(x, *blends[place])
    rows = where(told["gray"] == 1)
    x[rows] = _luma(x.index_select(0, rows))
    rows = where(told["sigma"] > 0)
    x[rows] = _blur(x.index_select(0, rows), values["sigma"][rows], blur_radius(size))
    rows = where(told["solarize"] == 1)
    bright = x.index_select(0, rows)
    x[rows] = torch.minimum(bright, 255 - bright)
    if not integers:
        return (x / 255).clamp_(0, 1)
    return (x + 0.5).to(torch.int16).to(torch.uint8)  # straight to uint8 takes three times as long


def _crop(images: Tensor, values: Columns, size: int) -> Tensor:
    """Boxes, mirrored or not, resampled to [V, 3, S, S]: two products with matrices of weights,
    first down, then across."""
    count, _, height, width = images.shape
    down = _weights(values["top"], values["height"], torch.zeros_like(values["flip"]), height, size)
    across = _weights(values["left"], values["width"], values["flip"], width, size)
    rows = (
        images.transpose(1, 2)
        .to(torch.float32, memory_format=torch.contiguous_format)
        .reshape(count, height, 3 * width)
    )
    cut = torch.bmm(down.view(count, -1, height), rows).view(-1, 3 * size, width)  # [V, (S, 3), W]
    views = torch.bmm(cut, across.transpose(1, 2)).view(-1, size, 3, size)
    return views.transpose(1, 2).contiguous().clamp_(0, 255)


def _weights(low: Tensor, length: Tensor, flip: Tensor, pixels: int, size: int) -> Tensor:
    """[V, S, pixels]: how much each pixel of a line counts in each of the S that its part from
    `low` on, `length` long, becomes."""
    place = torch.arange(size, device=low.device)
    place = torch.where(flip[:, 0] == 1, size - 1 - place, place)  # [V, S]
    row = (length[:, 0].long() - 1) * size + place
    start = (2 * row + 1) * pixels - low[:, 0].long()
    windows = _table(pixels, size, low.device).flatten().unfold(0, pixels, 1)
    return windows.index_select(0, start.flatten()).view(-1, size, pixels)


@lru_cache(maxsize=8)
def _table(pixels: int, size: int, device: torch.device) -> Tensor:
    """[pixels, S, 2 pixels]: for each length that a part can have the weights of its pixels, after
    as many zeros, where it begins at 0.

    Bicubic as in Pillow: Keys' cubic with a = -1/2, stretched to the size of a new pixel where a
        part shrinks; nothing beyond the part
    counts.
    """
    length, pixel = torch.arange(1, pixels + 1)[:, None, None], torch.arange(pixels) + 0.5
    scale = length / size
    centre = scale * (torch.arange(size)[:, None] + 0.5)
    distance = (pixel - centre).abs() / scale.clamp_min(1)
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((2.5 - 0.5 * distance) * distance - 4) * distance + 2
    weights = torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0)) * (
        pixel < length
    )
    return F.pad(weights / weights.sum(-1, keepdim=True), (pixels, 0)).to(device)


def _blends(told: Columns) -> Tensor:
    """[3, 3, V, 1, 1, 1]: of the first, second and third change of colour, the hue's apart, what
    `_blend` takes."""
    names = JITTER[:3]
    order = torch.stack([told[f"{name}_place"] for name in names], 1).argsort(1)  # [V, 3]
    factors = torch.stack([told[name] for name in names], 1).gather(1, order)
    chosen = [(order == names.index(name)).float() for name in ("contrast", "saturation")]
    return torch.stack([factors, *chosen]).permute(2, 0, 1)[..., None, None, None]


def _blend(x: Tensor, factor: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Pixels times a factor (brightness), or their difference from the image's mean grey (contrast)
    or their own (saturation) times it.

    Args:
        x: [V, 3, S, S].
        factor: [V, 1, 1, 1].
        contrast, saturation: the same, 1 where it is of that and 0 elsewhere.
    """
    grey = _luma(x)
    target = grey * saturation + grey.mean((2, 3), keepdim=True) * contrast
    return torch.lerp(target, x, factor).clamp_(0, 255)


def _luma(x: Tensor) -> Tensor:
    """[V, 1, S, S]."""
    red, green, blue = x.split(1, 1)
    luma: Tensor = (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])
    return luma


def _turn_hue(x: Tensor, turn: Tensor) -> Tensor:
    """The same saturation and value (of HSV) at a hue so much further on, in turns [V, 1, 1].

    Hues are measured from cyan, in sixths of the circle, -3 to 3. The distance from cyan is linear
    in the channels, each as a share of the
    chroma: 2 + red - green - blue; blue hues lie on one side of it, green ones on the other.
    """
    red, green, blue = x.unbind(1)
    high, low = (
        torch.maximum(torch.maximum(red, green), blue),
        torch.minimum(torch.minimum(red, green), blue),
    )
    chroma = high - low
    distance = (red - green).sub_(blue).add_(low).div_(chroma.clamp_min(1e-6)).add_(2)
    hue = torch.copysign(distance, blue - green).add_(6 * turn)
    hue.sub_(torch.round(hue / 6).mul_(6))
    shares = hue.abs().sub_(1), 2 - (hue + 1).abs_(), 2 - (hue - 1).abs_()
    return torch.stack([torch.addcmul(low, chroma, share.clamp_(0, 1)) for share in shares], 1)


def blur_radius(size: int) -> int:
    """Of the blur of views of so many pixels per side: its kernel of 2 round((size - 10) / 20) + 1
    pixels (released code), 3 at least."""
    return max(1, round((size - 10) / 20))


def _blur(x: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """A Gaussian blur of standard deviation `sigma` [V, 1, 1] cut off beyond the radius; edges
    reflect without repeating the last pixel."""
    kernel = torch.exp(
        -0.5 * (torch.arange(radius + 1, device=x.device) / sigma).square()
    )  # [V, 1, radius + 1], one half
    weights = (kernel / (2 * kernel.sum(-1, keepdim=True) - kernel[..., :1]))[
        ..., None, None
    ].unbind(2)
    x = F.pad(x, (radius,) * 4, mode="reflect")
    for dim in (2, 3):
        size = x.shape[dim] - 2 * radius
        blurred = x.narrow(dim, radius, size) * weights[0]
        for step in range(1, radius + 1):
            blurred.addcmul_(
                x.narrow(dim, radius - step, size) + x.narrow(dim, radius + step, size),
                weights[step],
            )
        x = blurred
    return x
