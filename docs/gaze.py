"""Make docs/figures/saccades.png: photographs, where saccades fall on them, and what is seen there.

    .venv/bin/python docs/gaze.py

The proportions are those of the recipe `stl10`, 32-pixel patches of 96-pixel images; the
photographs are shown three times as fine."""

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
from seqjepa.worlds.images.base import ImageSet, ImageSplit
from seqjepa.worlds.saccades import Config, Saccades
from seqjepa.worlds.views.saliency import spectral_residual

PHOTOS = {
    "astronaut": 0.42,
    "chelsea": 0.5,
    "rocket": 0.5,
}  # and where, from left or top, their middle is cut out
SIZE, PATCH, VIEWS = 288, 96, 5
EPOCH = 2  # of the draws shown
WIDE, SMALL = 1.72, 0.94  # inches of a photo and of a patch
GAP, BETWEEN, LINE = 0.1, 0.2, 0.14  # inches beside a photo, between patches, between rows
HEAT = LinearSegmentedColormap.from_list("saliency", ["#f7f9fb", "#8fb8dc", style.AGG, "#06264a"])
WIDTH = 2 * WIDE + 4 * GAP + VIEWS * SMALL + (VIEWS - 1) * BETWEEN + 0.02


def main() -> None:
    world = photographs()
    index = np.arange(len(PHOTOS))
    batch = world.sequences("train", index, VIEWS, draw_key(0, "train", EPOCH, index))
    maps = world.maps["train"](index).numpy() if world.maps else None
    images, patches = to_images(world.whole("train", index)), to_images(batch.views)
    with style.look():
        height = len(PHOTOS) * (WIDE + LINE) + 0.26 - LINE
        figure = Figure(figsize=(WIDTH, height))
        for row in range(len(PHOTOS)):
            bottom = height - 0.25 - (row + 1) * WIDE - row * LINE
            fixations = batch.poses[row].numpy() * SIZE
            photo = place(figure, 0, bottom, WIDE)
            show(photo, images[row])
            squares(photo, fixations)
            heat = place(figure, WIDE + GAP, bottom, WIDE)
            show(heat, HEAT((maps[row] / maps[row].max()) ** 0.5)[..., :3])
            path(heat, fixations)
            film(figure, 2 * WIDE + 4 * GAP, bottom, patches[row], batch.actions[row].numpy())
        titles = (
            (0, "where patches are cut"),
            (WIDE + GAP, "saliency and saccades"),
            (2 * WIDE + 4 * GAP, "what is seen, and the actions between"),
        )
        for left, title in titles:
            figure.text(
                left / WIDTH,
                1 - 0.15 / height,
                title,
                fontsize=9.5,
                fontweight="bold",
                va="baseline",
            )
        found = style.picture(
            "saccades",
            figure,
            "photographs with the path of fixations over their saliency, and the patches in order",
        )
    (Path(__file__).parent / "figures" / "saccades.png").write_bytes(found.png)


def photographs() -> Saccades:
    """A world over the photographs."""
    pixels = [
        ImageOps.fit(Image.fromarray(getattr(data, name)()), (SIZE, SIZE), centering=(at, at))
        for name, at in PHOTOS.items()
    ]
    split = ImageSplit(
        np.stack([np.asarray(image.convert("RGB")) for image in pixels]), np.arange(len(pixels))
    )
    images = ImageSet(
        dict.fromkeys(("train", "val", "test"), split), tuple(PHOTOS), (0.5,) * 3, (0.25,) * 3
    )
    maps = spectral_residual(torch.from_numpy(split.images).permute(0, 3, 1, 2))
    config = Config(path="", image_size=SIZE, patch_size=PATCH)
    return Saccades(
        config, config.outline(), images, dict.fromkeys(images.splits, lambda places: maps[places])
    )


def place(figure: Figure, left: float, bottom: float, side: float) -> Axes:
    """Square axes at a place given in inches."""
    width, height = figure.get_size_inches()
    return figure.add_axes((left / width, bottom / height, side / width, side / height))


def squares(axes: Axes, fixations: np.ndarray) -> None:
    """The outlines of the patches, numbered."""
    for number, (row, column) in enumerate(fixations, 1):
        corner = (column - PATCH // 2 - 0.5, row - PATCH // 2 - 0.5)
        for colour, width in (("white", 2.2), (style.Z, 1.1)):
            axes.add_patch(
                Rectangle(corner, PATCH, PATCH, fill=False, edgecolor=colour, linewidth=width)
            )
        badge(axes, max(corner[0], 0) + 13, max(corner[1], 0) + 13, number, 5.8)
    axes.set(xlim=(-0.5, SIZE - 0.5), ylim=(SIZE - 0.5, -0.5))


def path(axes: Axes, fixations: np.ndarray) -> None:
    """The way from fixation to fixation, and the discs that none of the later ones falls in."""
    for row, column in fixations[:-1]:
        axes.add_patch(
            Circle(
                (column, row),
                PATCH // 2,
                facecolor="none",
                edgecolor=style.MUTED,
                linewidth=0.6,
                linestyle=(0, (3, 2)),
            )
        )
    for (r, c), (to_r, to_c) in itertools.pairwise(fixations):
        arrow = {
            "arrowstyle": "-|>",
            "color": style.Z,
            "linewidth": 1.3,
            "shrinkA": 0,
            "shrinkB": 5.5,
            "mutation_scale": 8,
        }
        axes.annotate("", (to_c, to_r), (c, r), arrowprops=arrow)
    for number, (row, column) in enumerate(fixations, 1):
        badge(axes, column, row, number, 5.8)
    axes.set(xlim=(-0.5, SIZE - 0.5), ylim=(SIZE - 0.5, -0.5))


def badge(axes: Axes, x: float, y: float, number: int, size: float) -> None:
    """A number on a dot."""
    dot = {
        "boxstyle": "circle,pad=0.22",
        "facecolor": style.Z,
        "edgecolor": "white",
        "linewidth": 0.7,
    }
    axes.text(
        x,
        y,
        str(number),
        fontsize=size,
        color="white",
        fontweight="bold",
        ha="center",
        va="center",
        bbox=dot,
        zorder=5,
    )


def film(
    figure: Figure, left: float, bottom: float, patches: np.ndarray, actions: np.ndarray
) -> None:
    """The patches in order, and between two the action in words."""
    width, height = figure.get_size_inches()
    low = bottom + (WIDE - SMALL) / 2 + 0.12
    for k, patch in enumerate(patches):
        axes = place(figure, left + k * (SMALL + BETWEEN), low, SMALL)
        show(axes, patch)
        badge(axes, 11, 11, k + 1, 5.8)
        if k < len(actions):
            middle = left + (k + 1) * (SMALL + BETWEEN) - BETWEEN / 2
            ends = (
                ((middle - 0.07) / width, (low + SMALL / 2) / height),
                ((middle + 0.07) / width, (low + SMALL / 2) / height),
            )
            arrow = {
                "arrowstyle": "-|>",
                "color": style.MUTED,
                "linewidth": 0.9,
                "shrinkA": 0,
                "shrinkB": 0,
                "mutation_scale": 7,
            }
            axes.annotate(
                "",
                ends[1],
                ends[0],
                xycoords="figure fraction",
                textcoords="figure fraction",
                arrowprops=arrow,
            )
            words = "\n".join(
                f"{name} {step:+.2f}".replace("-", "−")
                for name, step in zip(("row", "column"), actions[k], strict=True)
            )
            figure.text(
                middle / width,
                (low - 0.08) / height,
                words,
                fontsize=6.8,
                color=style.MUTED,
                ha="center",
                va="top",
                linespacing=1.35,
            )


if __name__ == "__main__":
    main()
