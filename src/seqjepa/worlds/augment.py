"""Augmented views of images from complete parameters: batched arithmetic on any device, the same pixels for the same parameters.

Operations and their order are those of the paper's released code (datasets.py), which uses torchvision on PIL images; here pixels are
rounded to 8 bits once, at the end, and not after each operation. On photographs a single operation is within 2 of 255 levels of Pillow's
(hue: 5, which Pillow rounds to 8 bits), see `tests/worlds/test_augment.py`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.worlds.policy import COLUMNS, JITTER, PLACES

CHUNK = 2**18  # pixels of the views that a CPU makes at a time, as what stays in its cache is made faster
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as in Pillow

Columns = dict[str, Tensor]


def augment(images: Tensor, parameters: Tensor, size: int) -> Tensor:
    """T views of each image.

    Args:
        images: [B, 3, H, W], uint8 or float in 0..1, on the device to compute on.
        parameters: [B, T, 16], the numbers named in `COLUMNS`, on the CPU: what is done to which view is decided there, so that nothing
            ever waits for a GPU.
        size: S, pixels per side of a view.

    Returns:
        [B, T, 3, S, S], on the images' device and of their type.
    """
    at_once = max(1, CHUNK // (parameters.shape[1] * size**2)) if images.device.type == "cpu" else len(images)
    chunks = zip(images.split(at_once), parameters.split(at_once), strict=True)
    return torch.cat([_views(some, table.flatten(0, 1), size).unflatten(0, table.shape[:2]) for some, table in chunks])


def _views(images: Tensor, parameters: Tensor, size: int) -> Tensor:
    """[V, 3, S, S] for parameters [V, 16], as many for each image. Pixels are 0..255 inside."""
    integers, device = images.dtype == torch.uint8, images.device
    told = dict(zip(COLUMNS, parameters.unbind(-1), strict=True))
    values = dict(zip(COLUMNS, parameters.to(device)[..., None, None].unbind(1), strict=True))  # each [V, 1, 1]

    def where(condition: Tensor) -> Tensor:
        return condition.nonzero()[:, 0].to(device)

    x = _crop(images if integers else images * 255, values, size)
    kinds = torch.stack([told[name] for name in PLACES], 1).argsort(1)  # [V, 4]: which change comes first, second ...
    for kind, (factor, contrast, saturation) in zip(kinds.unbind(1), _blends(told, kinds).to(device), strict=True):
        x = _blend(x, factor, contrast, saturation)
        rows = where((kind == JITTER.index("hue")) & (told["hue"] != 0))
        x[rows] = _turn_hue(x[rows], values["hue"][rows])
    rows = where(told["gray"] == 1)
    x[rows] = _luma(x[rows])
    rows = where(told["sigma"] > 0)
    x[rows] = _blur(x[rows], values["sigma"][rows], blur_radius(size))
    rows = where(told["solarize"] == 1)
    x[rows] = torch.minimum(x[rows], 255 - x[rows])
    return (x + 0.5).to(torch.uint8) if integers else x / 255


def _crop(images: Tensor, values: Columns, size: int) -> Tensor:
    """Boxes, mirrored or not, resampled to [V, 3, S, S]: two products with matrices of weights, first down, then across."""
    count, _, height, width = images.shape
    down = _weights(values["top"], values["height"], torch.zeros_like(values["flip"]), height, size)
    across = _weights(values["left"], values["width"], values["flip"], width, size)
    rows = images.transpose(1, 2).to(torch.float32, memory_format=torch.contiguous_format).reshape(count, height, 3 * width)
    cut = torch.bmm(down.view(count, -1, height), rows).view(-1, 3 * size, width)  # [V, (S, 3), W]
    views = torch.bmm(cut, across.transpose(1, 2)).view(-1, size, 3, size)
    return views.transpose(1, 2).contiguous().clamp_(0, 255)


def _weights(low: Tensor, length: Tensor, flip: Tensor, pixels: int, size: int) -> Tensor:
    """[V, S, pixels]: how much each pixel of a line counts in each of the S that its part from `low` on, `length` long, becomes.

    Bicubic as in Pillow: Keys' cubic with a = -1/2, stretched to the size of a new pixel where a part shrinks; nothing beyond the part
    counts.
    """
    place = torch.arange(size, device=low.device)[:, None] + 0.5  # [S, 1]
    scale = length / size
    centre = low + scale * torch.where(flip == 1, size - place, place)  # [V, S, 1]
    pixel = torch.arange(pixels, device=low.device) + 0.5
    inside = ((pixel > low) & (pixel < low + length)).float()  # [V, 1, pixels]
    distance = (pixel - centre).div_(scale.clamp_min(1)).abs_()
    outer, inner = (2 - distance).clamp_min_(0), (1 - distance).clamp_min_(0)
    weights = outer.square().mul_(outer - 1).mul_(0.5).addcmul_(inner.square(), 1 - 2 * inner).mul_(inside)
    return weights.div_(weights.sum(-1, keepdim=True))


def _blends(told: Columns, kinds: Tensor) -> Tensor:
    """[4, 3, V, 1, 1, 1]: of the first change of colour, the second ..., the factor, and whether it is of contrast or saturation; a factor
    of 1, which changes nothing, where it is the hue's turn."""
    factors = torch.stack([*(told[name] for name in JITTER[:3]), torch.ones(len(kinds))], 1).gather(1, kinds)
    chosen = [(kinds == JITTER.index(name)).float() for name in ("contrast", "saturation")]
    return torch.stack([factors, *chosen]).permute(2, 0, 1)[..., None, None, None]


def _blend(x: Tensor, factor: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Pixels times a factor (brightness); or their distance from the image's mean grey (contrast), or their own (saturation), times it."""
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

    Hues are measured from cyan, in sixths of the circle, -3 to 3. The distance from cyan is linear in the channels, each as a share of the
    chroma: 2 + red - green - blue; blue hues lie on one side of it, green ones on the other.
    """
    red, green, blue = x.unbind(1)
    high, low = torch.maximum(torch.maximum(red, green), blue), torch.minimum(torch.minimum(red, green), blue)
    chroma = high - low
    distance = (red - green).sub_(blue).add_(low).div_(chroma.clamp_min(1e-6)).add_(2)
    hue = torch.copysign(distance, blue - green).add_(6 * turn)
    hue.sub_(torch.round(hue / 6).mul_(6))
    shares = hue.abs().sub_(1), 2 - (hue + 1).abs_(), 2 - (hue - 1).abs_()
    return torch.stack([torch.addcmul(low, chroma, share.clamp_(0, 1)) for share in shares], 1)


def blur_radius(size: int) -> int:
    """Of the blur of views of so many pixels per side: its kernel of 2 round((size - 10) / 20) + 1 pixels (released code), 3 at least."""
    return max(1, round((size - 10) / 20))


def _blur(x: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """A Gaussian blur of standard deviation `sigma` [V, 1, 1] cut off beyond the radius; edges reflect without repeating the last pixel."""
    kernel = torch.exp(-0.5 * (torch.arange(radius + 1, device=x.device) / sigma).square())  # [V, 1, radius + 1], one half
    weights = (kernel / (2 * kernel.sum(-1, keepdim=True) - kernel[..., :1]))[..., None, None].unbind(2)
    x = F.pad(x, (radius,) * 4, mode="reflect")
    for dim in (2, 3):
        size = x.shape[dim] - 2 * radius
        blurred = x.narrow(dim, radius, size) * weights[0]
        for step in range(1, radius + 1):
            blurred.addcmul_(x.narrow(dim, radius - step, size) + x.narrow(dim, radius + step, size), weights[step])
        x = blurred
    return x
