"""Colours as files give them, to fractions of one."""

import numpy as np
import numpy.typing as npt

from seqjepa.render.kernels import Floats

GREY = (0.8, 0.8, 0.8, 1.0)  # of what has no colour


def fractions(values: npt.ArrayLike) -> Floats:
    """Return colours [..., n], of which 1, 255 or 65535 is the most, as fractions.

    Files do not say which it is: the largest value does. What is not finite becomes NaN, for which
    `framed` refuses a mesh.
    """
    numbers = np.asarray(values, np.float64)
    finite = np.isfinite(numbers)
    top = numbers[finite].max(initial=0)

    # Some programs write a little more than 1 for white.
    most = 1 if top < 2 else 255 if top <= 255 else 65535
    return np.where(finite, np.clip(np.where(finite, numbers, 0) / most, 0, 1), np.nan)


def rounded(colours: Floats) -> Floats:
    """Return colours in steps of 1 / 255, which are those of the pictures."""
    return np.rint(colours * 255) / 255


def with_alpha(colours: Floats) -> Floats:
    """Return RGB or RGBA [..., 3 or 4] as RGBA; RGB is opaque."""
    if colours.shape[-1] == 4:
        return colours
    return np.concatenate([colours, np.ones((*colours.shape[:-1], 1))], -1)
