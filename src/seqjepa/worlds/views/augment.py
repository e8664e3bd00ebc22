"""Augmented views of images from complete parameters: the same pixels for the same parameters.

It is batched arithmetic on any device. Operations and their order are those of the paper's released
code (datasets.py), which has torchvision call Pillow. Pillow rounds to 8 bits after each operation,
here pixels are rounded once, at the end. So single operations are within 1 of 255 levels of
Pillow's (crops: 1 for 99 % of the pixels, 6 at most; hues: 8 at most), all in a row 1.5 levels on
average and within 8 for 99.9 %; and within half a level of kornia's, which computes in floating
point, too (`tests/worlds/views/test_augment.py`).
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.worlds.views.policy import COLUMNS, JITTER

CHUNK = 2**18  # pixels of the views that a CPU makes at a time: they fit in its cache
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as in Pillow

# Parameters by name, each [V] on the CPU or [V, 1, 1] on the images' device.
Columns = dict[str, Tensor]


def augment_views(images: Tensor, parameters: Tensor, size: int) -> Tensor:
    """Make T views of each image.

    Args:
        images: [B, 3, H, W], uint8 or float in 0..1, on the device to compute on.
        parameters: [B, T, 16], the numbers named in `COLUMNS`, on the CPU: the operations of each
            view are decided there, so that nothing ever waits for a GPU.
        size: S, pixels per side of a view.

    Returns:
        [B, T, 3, S, S], on the images' device and of their type.
    """
    at_once = len(images)
    if images.device.type == "cpu":
        at_once = max(1, CHUNK // (parameters.shape[1] * size**2))

    chunks = zip(images.split(at_once), parameters.split(at_once), strict=True)
    made = []
    for some, table in chunks:
        views = _views(some, table.flatten(0, 1), size)
        made.append(views.unflatten(0, table.shape[:2]))
    return torch.cat(made)


def _views(images: Tensor, parameters: Tensor, size: int) -> Tensor:
    """Make views [V, 3, S, S] from parameters [V, 16], as many for each image."""
    integers, device = images.dtype == torch.uint8, images.device
    # The same numbers twice: on the CPU to decide which views an operation is for, and on the
    # images' device to compute with.
    given: Columns = dict(zip(COLUMNS, parameters.unbind(-1), strict=True))
    columns = parameters.to(device)[..., None, None].unbind(1)
    values: Columns = dict(zip(COLUMNS, columns, strict=True))

    def where(condition: Tensor) -> Tensor:
        return condition.nonzero()[:, 0].to(device)

    # Pixels are 0..255 from here on.
    x = _crop(images if integers else images * 255, values, size)

    # The hue is turned before, between or after the three other changes of colour.
    blends = _blends(given).to(device)
    for place in range(4):
        rows = where((given["hue_place"] == place) & (given["hue"] != 0))
        x[rows] = _turn_hue(x.index_select(0, rows), values["hue"][rows])
        if place < 3:
            x = _blend(x, *blends[place])

    rows = where(given["gray"] == 1)
    x[rows] = _luma(x.index_select(0, rows))
    rows = where(given["sigma"] > 0)
    x[rows] = _blur(x.index_select(0, rows), values["sigma"][rows], blur_radius(size))
    rows = where(given["solarize"] == 1)
    bright = x.index_select(0, rows)
    x[rows] = torch.minimum(bright, 255 - bright)

    if not integers:
        return (x / 255).clamp_(0, 1)
    # Straight to uint8 takes three times as long.
    return (x + 0.5).to(torch.int16).to(torch.uint8)


def _crop(images: Tensor, values: Columns, size: int) -> Tensor:
    """Resample boxes, mirrored or not, to views [V, 3, S, S].

    Resampling is linear and separable: two products with matrices of weights, first down, then
    across.
    """
    count, _, height, width = images.shape
    unflipped = torch.zeros_like(values["flip"])
    down = _weights(values["top"], values["height"], unflipped, height, size)
    across = _weights(values["left"], values["width"], values["flip"], width, size)

    # All views of an image share one product: [T S, H] by [H, 3 W].
    lines = images.transpose(1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    rows = lines.reshape(count, height, 3 * width)
    cut = torch.bmm(down.view(count, -1, height), rows).view(-1, 3 * size, width)  # [V, (S, 3), W]
    views = torch.bmm(cut, across.transpose(1, 2)).view(-1, size, 3, size)
    return views.transpose(1, 2).contiguous().clamp_(0, 255)


def _weights(low: Tensor, length: Tensor, flip: Tensor, pixels: int, size: int) -> Tensor:
    """Return the weights [V, S, pixels] of a line's pixels in each new pixel.

    The S new pixels resample the part of the line from `low` on, `length` long; mirrored where
    `flip` is 1.
    """
    place = torch.arange(size, device=low.device)
    place = torch.where(flip[:, 0] == 1, size - 1 - place, place)  # [V, S]

    # A row of the table is `pixels` zeros, then the weights of a part that begins at 0. Reading
    # `pixels` numbers from `low` places before the weights on moves the part to `low`: with four
    # pixels, a part of length 2 has the row `0 0 0 0 w0 w1 0 0`, and from `low` = 1 on it has the
    # weights `0 w0 w1 0`, which begin one place before w0.
    row = (length[:, 0].long() - 1) * size + place
    start = (2 * row + 1) * pixels - low[:, 0].long()
    windows = _table(pixels, size, low.device).flatten().unfold(0, pixels, 1)
    return windows.index_select(0, start.flatten()).view(-1, size, pixels)


@lru_cache(maxsize=8)
def _table(pixels: int, size: int, device: torch.device) -> Tensor:
    """Return the resampling weights [pixels, S, 2 pixels] of parts of a line that begin at 0.

    Row L - 1 is of parts of length L: for each new pixel, `pixels` zeros and then the weight of
    each old pixel. Bicubic as in Pillow.
    """
    # New pixel i of S has its centre at scale (i + 1/2), with scale = L / S; old pixel j has its at
    # j + 1/2. Where the part shrinks (scale > 1), the cubic is stretched to a new pixel's width, so
    # that it averages: d = |j + 1/2 - centre| / max(scale, 1).
    length, pixel = torch.arange(1, pixels + 1)[:, None, None], torch.arange(pixels) + 0.5
    scale = length / size
    centre = scale * (torch.arange(size)[:, None] + 0.5)
    distance = (pixel - centre).abs() / scale.clamp_min(1)

    # Keys' cubic (1981) with a = -1/2, in Horner's form:
    #
    #     (a + 2) d^3 - (a + 3) d^2 + 1          =  1.5 d^3 - 2.5 d^2 + 1             d < 1
    #     a d^3 - 5 a d^2 + 8 a d - 4 a          = -0.5 d^3 + 2.5 d^2 - 4 d + 2   1 <= d < 2
    #     0                                                                       2 <= d
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((2.5 - 0.5 * distance) * distance - 4) * distance + 2
    cubic = torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))

    # Pixels beyond the part do not count, and the rest sums to 1, so that edges do not darken.
    weights = cubic * (pixel < length)
    return F.pad(weights / weights.sum(-1, keepdim=True), (pixels, 0)).to(device)


def _blends(given: Columns) -> Tensor:
    """Return the arguments of `_blend` for the three changes of colour besides the hue's.

    Returns:
        [3, 3, V, 1, 1, 1]: for the first, second and third change of each view the factor, and
        whether it is the contrast's or the saturation's.
    """
    names = JITTER[:3]
    order = torch.stack([given[f"{name}_place"] for name in names], 1).argsort(1)  # [V, 3]
    factors = torch.stack([given[name] for name in names], 1).gather(1, order)
    chosen = [(order == names.index(name)).float() for name in ("contrast", "saturation")]
    return torch.stack([factors, *chosen]).permute(2, 0, 1)[..., None, None, None]


def _blend(x: Tensor, factor: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Change brightness, contrast or saturation, another one in each view.

    Brightness multiplies the pixels by the factor; contrast their differences from the image's mean
    grey, saturation those from their own grey. All three interpolate between a target and x.

    Args:
        x: [V, 3, S, S].
        factor: [V, 1, 1, 1].
        contrast, saturation: the same, 1 where the factor is that one's and 0 elsewhere.
    """
    grey = _luma(x)
    target = grey * saturation + grey.mean((2, 3), keepdim=True) * contrast
    return torch.lerp(target, x, factor).clamp_(0, 255)


def _luma(x: Tensor) -> Tensor:
    """Return the brightness [V, 1, S, S] of pixels."""
    red, green, blue = x.split(1, 1)
    luma: Tensor = (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])
    return luma


def _turn_hue(x: Tensor, turn: Tensor) -> Tensor:
    """Turn hues by shares [V, 1, 1] of the circle; saturation and value (of HSV) stay."""
    # Every pixel is low + chroma * (r, g, b), where of the shares r, g, b one is 0 and one is 1. As
    # functions of the hue h they are trapezoids. Measured from cyan, in sixths of the circle from
    # -3 to 3, with blue hues at 0 < h, red ones around 3 and -3, green ones at h < 0:
    #
    #     r = |h| - 1,    g = 2 - |h + 1|,    b = 2 - |h - 1|,    each cut to 0..1,
    #
    # and back, without a case for each sixth, |h| = 2 + r - g - b.
    red, green, blue = x.unbind(1)
    high = torch.maximum(torch.maximum(red, green), blue)
    low = torch.minimum(torch.minimum(red, green), blue)
    chroma = high - low

    # r - g - b = (red - green - blue + low) / chroma; a pixel without chroma has no hue to lose.
    distance = (red - green).sub_(blue).add_(low).div_(chroma.clamp_min(1e-6)).add_(2)
    hue = torch.copysign(distance, blue - green).add_(6 * turn)
    hue.sub_(torch.round(hue / 6).mul_(6))

    shares = hue.abs().sub_(1), 2 - (hue + 1).abs_(), 2 - (hue - 1).abs_()
    return torch.stack([torch.addcmul(low, chroma, share.clamp_(0, 1)) for share in shares], 1)


def blur_radius(size: int) -> int:
    """Return the radius of the blur of views of `size` pixels per side.

    Its kernel has 2 round((size - 10) / 20) + 1 pixels (released code), 3 at least.
    """
    return max(1, round((size - 10) / 20))


def _blur(x: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Blur by a Gaussian of standard deviation `sigma` [V, 1, 1], cut off beyond the radius.

    Edges reflect without repeating the last pixel.
    """
    # Half of the symmetric kernel, [V, 1, radius + 1]; the whole of it sums to 1.
    steps = torch.arange(radius + 1, device=x.device)
    kernel = torch.exp(-0.5 * (steps / sigma).square())
    kernel = kernel / (2 * kernel.sum(-1, keepdim=True) - kernel[..., :1])
    weights = kernel[..., None, None].unbind(2)

    # Rows and columns one after the other; pixels at equal distance share a weight.
    x = F.pad(x, (radius,) * 4, mode="reflect")
    for dim in (2, 3):
        size = x.shape[dim] - 2 * radius
        blurred = x.narrow(dim, radius, size) * weights[0]
        for step in range(1, radius + 1):
            before = x.narrow(dim, radius - step, size)
            after = x.narrow(dim, radius + step, size)
            blurred.addcmul_(before + after, weights[step])
        x = blurred
    return x
