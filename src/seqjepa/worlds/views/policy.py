"""How views are augmented: the parameters of each view, and the policy that they are drawn from.

A view is described completely by the numbers in `COLUMNS`; `augment.augment` makes the same pixels
of the same numbers again."""

import math
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from seqjepa.errors import ConfigError
from seqjepa.keys import uniforms

CROP = ("top", "left", "height", "width")
JITTER = ("brightness", "contrast", "saturation", "hue")
PLACES = tuple(f"{name}_place" for name in JITTER)
COLUMNS = (*CROP, "flip", *JITTER, *PLACES, "gray", "sigma", "solarize")
"""The parameters of a view, in the order in which they are applied: the box that is cut out, in pixels of the image (i, j, h, w of the
paper); whether it is mirrored (0 or 1); the factors of brightness, contrast and saturation, and the turn of the hue as a share of the whole
circle, 1, 1, 1 and 0 where colours are left alone; the place, 0 to 3, of each of these four in their order; whether colour is taken away;
the blur's standard deviation in pixels of the view, 0 for none; whether bright pixels are inverted."""

TRIES = 10  # for a box that fits in the image, as in torchvision; then it is the whole image
Floats = npt.NDArray[np.float64]
Keys = npt.NDArray[np.int64 | np.uint64]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What parameters are drawn from; the defaults are those of the paper's observed views
    (released code, datasets.py).

    Attributes:
        scale: range of the crop's area as a share of the image's, uniform.
        ratio: range of the crop's width by its height, uniform in the logarithm.
        p_flip: probability of a mirrored view.
        p_jitter: probability that colours change, all four in a random order.
        brightness, contrast, saturation: x, of factors uniform in 1 - x .. 1 + x, from 0 at least.
        hue: x, of turns uniform in -x .. x, at most half of the circle.
        p_gray: probability of a view without colour.
        p_blur: probability of a Gaussian blur.
        sigma: range of its standard deviation in pixels, uniform.
        p_solarize: probability that pixels of 128 and more are inverted.
    """

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
        for name in (field.name for field in fields(self) if field.name.startswith("p_")):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(
                    f"{name} of an augmentation policy is a probability, 0 to 1, got {getattr(self, name)}"
                )
        for name, most in (
            ("brightness", math.inf),
            ("contrast", math.inf),
            ("saturation", math.inf),
            ("hue", 0.5),
        ):
            if not 0 <= getattr(self, name) <= most or math.isinf(getattr(self, name)):
                raise ConfigError(
                    f"{name} of an augmentation policy must be from 0 to {most}, got {getattr(self, name)}"
                )
        for name, (low, high), least, most in (
            ("scale", self.scale, 0, 1),
            ("sigma", self.sigma, 0, math.inf),
        ):
            if not least < low <= high <= most or math.isinf(high):
                raise ConfigError(
                    f"{name} of an augmentation policy must be a range within {least} to {most}, got {low} to {high}"
                )
        if not 0 < self.ratio[0] <= 1 <= self.ratio[1] < math.inf:
            raise ConfigError(
                f"ratio of an augmentation policy must be a range around 1, got {self.ratio[0]} to {self.ratio[1]}"
            )


def sample(policy: Policy, key: Keys, size: int) -> npt.NDArray[np.float32]:
    """The parameters of views of square images, a pure function of the keys.

    Args:
        policy: what they are drawn from.
        key: [...] one for each view.
        size: pixels per side of the images that boxes are cut out of.

    Returns:
        [..., 16], the numbers named in `COLUMNS`.
    """
    chance = np.ascontiguousarray(uniforms(key.reshape(-1), 2 * TRIES + 16).T)
    tries, (down, across, flip, *jitter, gray, blur, sigma, solarize) = (
        chance[: 2 * TRIES],
        chance[2 * TRIES :],
    )
    blurred = blur < policy.p_blur
    columns = [
        *_crop(policy, tries[:TRIES], tries[TRIES:], down, across, size),
        flip < policy.p_flip,
        *_jitter(policy, np.stack(jitter)),
        gray < policy.p_gray,
        np.where(blurred, _between(policy.sigma, sigma), 0),
        solarize < policy.p_solarize,
    ]
    return np.stack(columns, -1).astype(np.float32).reshape(*key.shape, len(COLUMNS))


def _crop(
    policy: Policy, area: Floats, ratio: Floats, down: Floats, across: Floats, size: int
) -> Floats:
    """[4, n]: boxes as torchvision's RandomResizedCrop draws them, from `area` and `ratio` [TRIES,
    n]."""
    pixels = size**2 * _between(policy.scale, area)
    aspect = np.exp(_between((math.log(policy.ratio[0]), math.log(policy.ratio[1])), ratio))
    height, width = np.rint(np.sqrt(pixels / aspect)), np.rint(np.sqrt(pixels * aspect))
    fits = (height >= 1) & (height <= size) & (width >= 1) & (width <= size)
    first, any_fits, view = fits.argmax(0), fits.any(0), np.arange(fits.shape[1])
    height, width = (np.where(any_fits, length[first, view], size) for length in (height, width))
    return np.stack(
        [np.floor(down * (size - height + 1)), np.floor(across * (size - width + 1)), height, width]
    )


def _jitter(policy: Policy, chance: Floats) -> Floats:
    """[8, n]: values and places of the four changes of colour, from chance [9, n]."""
    strengths = (policy.brightness, policy.contrast, policy.saturation)
    values = [
        _between((max(0.0, 1 - x), 1 + x), draw)
        for x, draw in zip(strengths, chance[1:4], strict=True)
    ]
    values.append(_between((-policy.hue, policy.hue), chance[4]))
    changed = np.concatenate([values, chance[5:].argsort(0)])
    unchanged = np.array([1, 1, 1, 0, 0, 1, 2, 3])[:, None]
    return np.where(chance[0] < policy.p_jitter, changed, unchanged)


def _between(bounds: tuple[float, float], chance: Floats) -> Floats:
    return bounds[0] + (bounds[1] - bounds[0]) * chance
