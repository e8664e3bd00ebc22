"""Heat maps of accuracies, in the report's style."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from seqjepa.report import style
from seqjepa.report.style import Picture

COLOURS = LinearSegmentedColormap.from_list("accuracy", ["#f3f6fa", style.AGG])
LIGHT = 0.6  # share of the range above which numbers are white


def draw_heat_map(
    name: str,
    title: str,
    rows: Sequence[Sequence[float | None]],
    columns: Sequence[str],
) -> Picture:
    """Return a picture of numbers by M_val, from the top, and by columns.

    Args:
        name: of the picture.
        title: above it.
        rows: numbers in per cent; None where there is none.
        columns: names of the columns.
    """
    values = np.array([[np.nan if cell is None else cell for cell in row] for row in rows])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    with style.look():
        size = (max(3.4, 1.2 + 0.62 * len(columns)), 0.9 + 0.4 * len(rows))
        figure, axes = style.panel(title, "M in training", "M in the test", size)
        axes.grid(visible=False)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.imshow(values, cmap=COLOURS, vmin=low, vmax=max(high, low + 1e-9), aspect="auto")
        axes.set_xticks(range(len(columns)), [column.replace(", ", "\n") for column in columns])
        axes.set_yticks(range(len(rows)), [str(row + 1) for row in range(len(rows))])
        axes.tick_params(length=0)

        for (row, column), value in np.ndenumerate(values):
            if not np.isnan(value):
                dark = value > low + LIGHT * (high - low)
                colour = style.PAPER if dark and high > low else style.INK
                axes.text(
                    column, row, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=8
                )
        alt = f"{title}: top-1 of z_AGG in per cent, by views observed in the test and in training"
        return style.picture(name, figure, alt)
