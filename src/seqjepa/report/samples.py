"""A picture of samples of a data set, for `seqjepa data check --samples`."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from seqjepa.reading.findings import Sample
from seqjepa.report.style import INK, look, picture

SIDE = 1.5  # inches of a picture
LONGEST = 48  # characters of a caption


def draw_samples(samples: Sequence[Sample]) -> bytes:
    """Return a PNG of the samples: one beside the other, or rows of views."""
    columns = max(len(sample.pictures) for sample in samples)
    rows = 1 if columns == 1 else len(samples)
    across = len(samples) if rows == 1 else columns
    side = 2 * SIDE if rows == 1 else SIDE

    with look():
        figure = Figure(figsize=(across * side, rows * (side + 0.25)), layout="constrained")
        grid = figure.subplots(rows, across, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for number, sample in enumerate(samples):
            for place, pixels in enumerate(sample.pictures):
                axes = grid.flat[number] if rows == 1 else grid[number, place]
                axes.imshow(_rgb(pixels), interpolation="nearest")
            # A name is shown as it is, dollar signs included.
            first = grid.flat[number] if rows == 1 else grid[number, 0]
            caption = _short(sample.caption)
            first.set_title(caption, loc="left", fontsize=8.5, color=INK, parse_math=False)
        return picture("samples", figure, "samples of the data").png


def _rgb(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return pixels [H, W, C] as [H, W, 3]; of other than 1, 3 or 4 channels the first is shown."""
    if pixels.shape[-1] in (3, 4):
        return pixels[..., :3]
    return np.repeat(pixels[..., :1], 3, -1)


def _short(caption: str) -> str:
    return caption if len(caption) <= LONGEST else f"…{caption[1 - LONGEST :]}"
