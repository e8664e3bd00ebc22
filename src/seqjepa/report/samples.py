"""A picture of samples of a data set, for `seqjepa data check --samples`."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from seqjepa.reading.findings import Sample
from seqjepa.report.strips import place_axes
from seqjepa.report.style import AS_IT_IS, INK, look, picture

# Inches.
IMAGE, VIEW, TITLE, GAP = 3.0, 1.5, 0.3, 0.08
LONGEST = 42  # characters of a caption


def draw_samples(samples: Sequence[Sample]) -> bytes:
    """Return a PNG of the samples: images one beside the other, or a row of views of each."""
    across = max(len(sample.pictures) for sample in samples)
    if across == 1:
        side, columns, down = IMAGE, len(samples), 1
    else:
        side, columns, down = VIEW, across, len(samples)
    width, height = columns * (side + GAP) + GAP, down * (side + TITLE) + GAP

    with look():
        figure = Figure(figsize=(width, height))
        for number, sample in enumerate(samples):
            for place, pixels in enumerate(sample.pictures):
                row, column = (0, number) if across == 1 else (number, place)
                left, top = GAP + column * (side + GAP), row * (side + TITLE) + TITLE
                axes = place_axes(figure, left, height - top - side, side, side)
                axes.imshow(_rgb(pixels), interpolation="nearest")
                axes.set_axis_off()
                if place == 0:
                    _title(figure, sample.caption, left / width, 1 - (top - GAP) / height)
        return picture("samples", figure, "samples of the data").png


def _title(figure: Figure, caption: str, x: float, y: float) -> None:
    """Write a caption above a picture."""
    text = caption if len(caption) <= LONGEST else f"…{caption[1 - LONGEST :]}"
    figure.text(x, y, text, fontsize=8.5, color=INK, va="bottom", **AS_IT_IS)


def _rgb(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return pixels [H, W, C] as [H, W, 3]; of other than 3 or 4 channels the first is shown."""
    if pixels.shape[-1] in (3, 4):
        return pixels[..., :3]
    return np.repeat(pixels[..., :1], 3, -1)
