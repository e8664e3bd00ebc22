"""Draw docs/figures/saccades.png: photographs, the fixations on them, and the views at these.

    .venv/bin/python scripts/docs/gaze.py

It needs scikit-image, which holds the photographs. The proportions are those of the recipe
`stl10`, 32-pixel patches of 96-pixel images, at three times the resolution.
"""

import itertools
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from PIL import Image, ImageOps
from skimage import data

from seqjepa.keys import draw_key
from seqjepa.report import style
from seqjepa.report.strips import show, to_images
from seqjepa.worlds.images.image_set import ImageSet, ImageSplit
from seqjepa.worlds.saccades import Config, Saccades
from seqjepa.worlds.views.saliency import spectral_residual

FIGURES = Path(__file__).parents[2] / "docs" / "figures"

# Each photograph, and where its square is cut: 0 at the left or top, 1 at the right or bottom.
PHOTOS = {"astronaut": 0.42, "chelsea": 0.5, "rocket": 0.5}
SIZE, PATCH, VIEWS = 288, 96, 5
EPOCH = 2  # of the draws shown

# Inches: sides of a photograph and of a patch; beside a photograph, between patches and rows.
WIDE, SMALL = 1.72, 0.94
GAP, BETWEEN, LINE = 0.1, 0.2, 0.14
FILM = 2 * WIDE + 4 * GAP  # where the patches begin
WIDTH = FILM + VIEWS * SMALL + (VIEWS - 1) * BETWEEN + 0.02

TITLES = {
    0: "where patches are cut",
    WIDE + GAP: "saliency and saccades",
    FILM: "what is seen, and the actions between",
}
HEAT = LinearSegmentedColormap.from_list("saliency", ["#f7f9fb", "#8fb8dc", style.AGG, "#06264a"])
BADGE = {
    "bbox": {
        "boxstyle": "circle,pad=0.22",
        "facecolor": style.Z,
        "edgecolor": "white",
        "linewidth": 0.7,
    },
    "fontsize": 5.8,
    "fontweight": "bold",
    "color": "white",
    "ha": "center",
    "va": "center",
    "zorder": 5,
}


def main() -> None:
    with style.look():
        alt = "photographs with the path of fixations over their saliency, and the patches in order"
        found = style.picture("saccades", draw(), alt)
    (FIGURES / f"{found.name}.png").write_bytes(found.png)


def draw() -> Figure:
    """Return a row for each photograph: its patches' outlines, its saliency, its patches."""
    world = photographs()
    index = np.arange(len(PHOTOS))
    batch = world.sequences("train", index, VIEWS, draw_key(0, "train", EPOCH, index))
    maps = world.maps["train"](index).numpy()
    images, patches = to_images(world.whole("train", index)), to_images(batch.views)

    height = len(PHOTOS) * (WIDE + LINE) + 0.26 - LINE
    figure = Figure(figsize=(WIDTH, height))
    for row in range(len(PHOTOS)):
        bottom = height - 0.25 - (row + 1) * WIDE - row * LINE
        fixations = batch.poses[row].numpy() * SIZE

        photo = place(figure, 0, bottom, WIDE)
        show(photo, images[row])
        draw_outlines(photo, fixations)

        # The square root makes low saliency visible.
        heat = place(figure, WIDE + GAP, bottom, WIDE)
        show(heat, HEAT((maps[row] / maps[row].max()) ** 0.5)[..., :3])
        draw_path(heat, fixations)

        draw_film(figure, bottom, patches[row], batch.actions[row].numpy())

    bold = {"fontsize": 9.5, "fontweight": "bold", "va": "baseline"}
    for left, title in TITLES.items():
        figure.text(left / WIDTH, 1 - 0.15 / height, title, **bold)
    return figure


def photographs() -> Saccades:
    """Return a world over the photographs."""
    pixels = []
    for name, middle in PHOTOS.items():
        photo = Image.fromarray(getattr(data, name)())
        square = ImageOps.fit(photo, (SIZE, SIZE), centering=(middle, middle))
        pixels.append(np.asarray(square.convert("RGB")))

    split = ImageSplit(np.stack(pixels), np.arange(len(pixels)))
    splits = dict.fromkeys(("train", "val", "test"), split)
    images = ImageSet(splits, tuple(PHOTOS), (0.5,) * 3, (0.25,) * 3)

    saliency = spectral_residual(torch.from_numpy(split.images).permute(0, 3, 1, 2))
    maps = dict.fromkeys(splits, lambda index: saliency[index])
    config = Config(path="", image_size=SIZE, patch_size=PATCH)
    return Saccades(config, config.outline(), images, maps)


def place(figure: Figure, left: float, bottom: float, side: float) -> Axes:
    """Add square axes at a place given in inches."""
    width, height = figure.get_size_inches()
    return figure.add_axes((left / width, bottom / height, side / width, side / height))


def draw_outlines(axes: Axes, fixations: np.ndarray) -> None:
    """Draw the outlines of the patches, numbered."""
    for number, (row, column) in enumerate(fixations, 1):
        left, top = column - PATCH // 2 - 0.5, row - PATCH // 2 - 0.5
        # A wider white line below keeps the coloured one visible on any photograph.
        for colour, width in (("white", 2.2), (style.Z, 1.1)):
            lines = {"fill": False, "edgecolor": colour, "linewidth": width}
            axes.add_patch(Rectangle((left, top), PATCH, PATCH, **lines))
        draw_number(axes, max(left, 0) + 13, max(top, 0) + 13, number)
    crop(axes)


def draw_path(axes: Axes, fixations: np.ndarray) -> None:
    """Draw the saccades, and the discs that no later fixation falls in."""
    dashed = {"edgecolor": style.MUTED, "linewidth": 0.6, "linestyle": (0, (3, 2))}
    for row, column in fixations[:-1]:
        axes.add_patch(Circle((column, row), PATCH // 2, facecolor="none", **dashed))

    arrow = {
        "arrowstyle": "-|>",
        "color": style.Z,
        "linewidth": 1.3,
        "shrinkA": 0,
        "shrinkB": 5.5,
        "mutation_scale": 8,
    }
    for (row, column), (next_row, next_column) in itertools.pairwise(fixations):
        axes.annotate("", (next_column, next_row), (column, row), arrowprops=arrow)

    for number, (row, column) in enumerate(fixations, 1):
        draw_number(axes, column, row, number)
    crop(axes)


def crop(axes: Axes) -> None:
    """Cut off what is drawn beyond the image."""
    axes.set(xlim=(-0.5, SIZE - 0.5), ylim=(SIZE - 0.5, -0.5))


def draw_number(axes: Axes, x: float, y: float, number: int) -> None:
    """Draw a number on a dot."""
    axes.text(x, y, str(number), **BADGE)


def draw_film(figure: Figure, bottom: float, patches: np.ndarray, actions: np.ndarray) -> None:
    """Draw the patches in order, and between two the action as an arrow and in words."""
    # Beside the middle of the photograph, higher by the room for words.
    low = bottom + (WIDE - SMALL) / 2 + 0.12
    for k, patch in enumerate(patches):
        left = FILM + k * (SMALL + BETWEEN)
        axes = place(figure, left, low, SMALL)
        show(axes, patch)
        draw_number(axes, 11, 11, k + 1)
        if k < len(actions):
            draw_action(figure, left + SMALL + BETWEEN / 2, low, actions[k])


def draw_action(figure: Figure, middle: float, low: float, action: np.ndarray) -> None:
    """Draw an arrow to the next patch and write the action below it; places are in inches."""
    width, height = figure.get_size_inches()
    arrow = {
        "arrowstyle": "-|>",
        "color": style.MUTED,
        "linewidth": 0.9,
        "shrinkA": 0,
        "shrinkB": 0,
        "mutation_scale": 7,
    }
    # The arrow is in the gap between two patches, halfway up.
    across = (low + SMALL / 2) / height
    ends = ((middle - 0.07) / width, across), ((middle + 0.07) / width, across)
    in_figure = {"xycoords": "figure fraction", "textcoords": "figure fraction"}
    axes = figure.axes[-1]
    axes.annotate("", ends[1], ends[0], arrowprops=arrow, **in_figure)

    steps = zip(("row", "column"), action, strict=True)
    words = "\n".join(f"{name} {step:+.2f}".replace("-", "−") for name, step in steps)
    small = {"fontsize": 6.8, "color": style.MUTED, "linespacing": 1.35}
    figure.text(middle / width, (low - 0.08) / height, words, ha="center", va="top", **small)


if __name__ == "__main__":
    main()
