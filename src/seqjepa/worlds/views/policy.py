"""The parameters of augmented views, and the policy that they are drawn from.

A view is described completely by the numbers in `COLUMNS`; `augment.augment_views` makes the same
pixels of the same numbers again.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from seqjepa.checks import fraction, not_negative
from seqjepa.errors import ConfigError
from seqjepa.keys import uniforms

CROP = ("top", "left", "height", "width")
JITTER = ("brightness", "contrast", "saturation", "hue")
PLACES = tuple(f"{name}_place" for name in JITTER)
COLUMNS = (*CROP, "flip", *JITTER, *PLACES, "gray", "sigma", "solarize")
"""The parameters of a view, in the order in which they are applied.

- `top`, `left`, `height`, `width`: the box that is cut out, in pixels of the image (i, j, h, w of
  the paper).
- `flip`: whether it is mirrored, 0 or 1.
- `brightness`, `contrast`, `saturation`, `hue`: three factors, and the turn of the hue as a share
  of the whole circle; 1, 1, 1 and 0 where colours are left alone.
- `brightness_place` ...: the place, 0 to 3, of each of these four in their order.
- `gray`: whether colour is taken away.
- `sigma`: the blur's standard deviation in pixels of the view, 0 for none.
- `solarize`: whether bright pixels are inverted.
"""

# A box is tried this often until it fits in the image, as in torchvision; then it is the whole one.
TRIES = 10
Floats = npt.NDArray[np.float64]
Keys = npt.NDArray[np.int64 | np.uint64]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Distributions of the parameters.

    The defaults are those of the paper's observed views (released code, datasets.py).

    Attributes:
        scale: range of the crop's area as a share of the image's, uniform.
        ratio: range of the crop's width by its height, uniform in the logarithm.
        p_flip: probability of a mirrored view.
        p_jitter: probability that colours change, all four in a random order.
        brightness, contrast, saturation: x for factors uniform in 1 - x .. 1 + x, from 0 at least.
        hue: x for turns uniform in -x .. x, at most half of the circle.
        p_gray: probability of a view without colour.
        p_blur: probability of a Gaussian blur.
        sigma: range of its standard deviation in pixels, uniform.
        p_solarize: probability that pixels of 128 and more are inverted.
    """

    section: ClassVar[str] = "an augmentation policy's "
    scale: tuple[float, float] = (0.2, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    p_flip: float = 0.5
    p_jitter: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.2
    hue: float = 0.1
    p_gray: float = 0.2
    p_blur: float = 1.0
    sigma: tuple[float, float] = (0.1, 2.0)
    p_solarize: float = 0.0

    def __post_init__(self) -> None:
        fraction(self, "p_flip", "p_jitter", "p_gray", "p_blur", "p_solarize")
        not_negative(self, *JITTER)
        if self.hue > 0.5:
            raise ConfigError(f"{self.section}hue must be at most 0.5, got {self.hue}")

        for name, most in (("scale", 1), ("sigma", math.inf)):
            low, high = getattr(self, name)
            if not 0 < low <= high <= most or math.isinf(high):
                rule = f"a range within 0 to {most}"
                raise ConfigError(f"{self.section}{name} must be {rule}, got {low} to {high}")
        low, high = self.ratio
        if not 0 < low <= 1 <= high < math.inf:
            raise ConfigError(f"{self.section}ratio must be a range around 1, got {low} to {high}")


def sample(policy: Policy, key: Keys, size: int) -> npt.NDArray[np.float32]:
    """Draw the parameters of views of square images, a pure function of the keys.

    Args:
        policy: the distributions to draw from.
        key: [...] one for each view.
        size: pixels per side of the images that boxes are cut out of.

    Returns:
        [..., 16], the numbers named in `COLUMNS`.
    """
    # Each row of `chance` serves one purpose for all views. Every view uses up the same numbers,
    # whatever comes out, so a parameter never depends on another one's draw.
    chance = np.ascontiguousarray(uniforms(key.reshape(-1), 2 * TRIES + 16).T)
    areas, ratios, single = np.split(chance, [TRIES, 2 * TRIES])
    down, across, flip, *jitter, gray, blur, sigma, solarize = single

    columns = [
        *_crop(policy, areas, ratios, down, across, size),
        flip < policy.p_flip,
        *_jitter(policy, np.stack(jitter)),
        gray < policy.p_gray,
        np.where(blur < policy.p_blur, _between(policy.sigma, sigma), 0),
        solarize < policy.p_solarize,
    ]
    return np.stack(columns, -1).astype(np.float32).reshape(*key.shape, len(COLUMNS))


def _crop(
    policy: Policy, areas: Floats, ratios: Floats, down: Floats, across: Floats, size: int
) -> Floats:
    """Return boxes [4, n] as torchvision's RandomResizedCrop draws them.

    Args:
        policy: ranges of area and ratio.
        areas, ratios: [TRIES, n] chances of the sizes that are tried.
        down, across: [n] chances of the place.
        size: pixels per side of the images.
    """
    pixels = size**2 * _between(policy.scale, areas)
    low, high = policy.ratio
    aspect = np.exp(_between((math.log(low), math.log(high)), ratios))
    heights, widths = np.rint(np.sqrt(pixels / aspect)), np.rint(np.sqrt(pixels * aspect))

    # The first try that fits, or the whole image.
    fits = (heights >= 1) & (heights <= size) & (widths >= 1) & (widths <= size)
    first, any_fits, view = fits.argmax(0), fits.any(0), np.arange(fits.shape[1])
    height = np.where(any_fits, heights[first, view], size)
    width = np.where(any_fits, widths[first, view], size)

    top, left = np.floor(down * (size - height + 1)), np.floor(across * (size - width + 1))
    return np.stack([top, left, height, width])


def _jitter(policy: Policy, chance: Floats) -> Floats:
    """Return values and places [8, n] of the four changes of colour, from chances [9, n]."""
    changes, factors, turn, order = chance[0], chance[1:4], chance[4], chance[5:]
    strengths = (policy.brightness, policy.contrast, policy.saturation)
    values = [
        _between((max(0.0, 1 - strength), 1 + strength), factor)
        for strength, factor in zip(strengths, factors, strict=True)
    ]
    values.append(_between((-policy.hue, policy.hue), turn))

    # Sorting independent chances gives each of the 24 orders equally often.
    changed = np.concatenate([values, order.argsort(0)])
    unchanged = np.array([1, 1, 1, 0, 0, 1, 2, 3])[:, None]
    return np.where(changes < policy.p_jitter, changed, unchanged)


def _between(bounds: tuple[float, float], chance: Floats) -> Floats:
    return bounds[0] + (bounds[1] - bounds[0]) * chance
