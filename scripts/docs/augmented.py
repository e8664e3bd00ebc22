"""Draw docs/figures/augmented.png: augmented views of photographs, and what was done to each view.

    .venv/bin/python scripts/docs/augmented.py

It needs scikit-image, which holds the photographs.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image, ImageOps
from skimage import data

from seqjepa.keys import draw_key
from seqjepa.report import style
from seqjepa.report.strips import show, to_images
from seqjepa.worlds.augmented import Config
from seqjepa.worlds.base import World
from seqjepa.worlds.images.image_set import ImageSet, ImageSplit
from seqjepa.worlds.views.policy import COLUMNS, JITTER

FIGURES = Path(__file__).parents[2] / "docs" / "figures"
NAMES = ("astronaut", "cat", "coffee")
SIZE, VIEWS = 192, 4
SEED = 1231  # its draw has all operations in it

# Inches: width of the figure, side of a picture, between two, below one, above all.
WIDTH, SIDE, GAP, WORDS, HEAD = 9.6, 1.72, 0.24, 0.72, 0.3

Parameters = dict[str, float]  # of one view, by name


def main() -> None:
    with style.look():
        mpl.rcParams["savefig.dpi"] = 110  # photographs make large files
        alt = "Photographs with crop boxes, and augmented views of them with their parameters"
        found = style.picture("augmented", draw(), alt)
    (FIGURES / f"{found.name}.png").write_bytes(found.png)


def draw() -> Figure:
    """Return a row for each photograph: the image with the boxes cut from it, and the views."""
    world = photographs()
    index = np.arange(len(NAMES))
    batch = world.sequences("train", index, VIEWS, draw_key(SEED, "train", 0, index))
    images, views = to_images(world.whole("train", index)), to_images(batch.views)

    row = SIDE + WORDS
    height = HEAD + len(NAMES) * row
    figure = Figure(figsize=(WIDTH, height))

    for i in index:
        bottom = (len(NAMES) - 1 - i) * row + WORDS
        poses = [dict(zip(COLUMNS, pose, strict=True)) for pose in batch.poses[i].tolist()]
        for place in range(VIEWS + 1):
            left = 0.02 + place * (SIDE + GAP)
            axes = figure.add_axes((left / WIDTH, bottom / height, SIDE / WIDTH, SIDE / height))
            if place == 0:
                show(axes, images[i])
                draw_boxes(axes, poses)
            else:
                show(axes, views[i, place - 1])
                describe(axes, poses[place - 1], style.VARIANTS[place - 1])
            if i == 0:
                write_head(axes, place)
    return figure


def photographs() -> World:
    """Return a world over three photographs."""
    photos = [Image.fromarray(photo) for photo in (data.astronaut(), data.chelsea(), data.coffee())]
    fitted = [ImageOps.fit(photo, (SIZE, SIZE), Image.Resampling.BICUBIC) for photo in photos]
    pixels = np.stack([np.asarray(photo) for photo in fitted])

    split = ImageSplit(pixels, np.arange(len(NAMES)))
    splits = dict.fromkeys(("train", "val", "test"), split)
    images = ImageSet(splits, NAMES, (0.5,) * 3, (0.25,) * 3)
    return Config(source="photographs", path="", image_size=SIZE).build_from(images)


def draw_boxes(axes: Axes, poses: list[Parameters]) -> None:
    """Draw each view's crop box in the view's colour."""
    for pose, view_colour in style.coloured(poses):
        corner = (pose["left"] - 0.5, pose["top"] - 0.5)
        # A wider white line below keeps the coloured one visible on any photograph.
        for colour, width in (("white", 2.4), (view_colour, 1.4)):
            lines = {"fill": False, "edgecolor": colour, "linewidth": width}
            axes.add_patch(Rectangle(corner, pose["width"], pose["height"], **lines))


def describe(axes: Axes, pose: Parameters, colour: str) -> None:
    """Frame a view in its colour and write its parameters below it."""
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=1.8)
    set_in = {"transform": axes.transAxes, "fontsize": 6.3, "va": "top", "linespacing": 1.35}
    axes.text(0, -0.04, "\n".join(words(pose)), **set_in)


def write_head(axes: Axes, place: int) -> None:
    """Write the head of a column."""
    heads = ["the image", *(f"view {number}" for number in range(1, VIEWS + 1))]
    heads[VIEWS] += ", to be predicted"
    set_in = {"transform": axes.transAxes, "fontsize": 9, "fontweight": "bold", "va": "bottom"}
    axes.text(0, 1.05, heads[place], **set_in)


def words(pose: Parameters) -> list[str]:
    """Describe the operations on a view, in the order in which they were applied."""
    top, left, height, width = (f"{pose[name]:.0f}" for name in COLUMNS[:4])
    mirrored = ", mirrored" if pose["flip"] else ""
    lines = [f"{height} × {width} from ({top}, {left}){mirrored}"]

    # A hue is shifted, the other three are scaled.
    neutral = {"brightness": 1, "contrast": 1, "saturation": 1, "hue": 0}
    if any(pose[name] != neutral[name] for name in JITTER):
        ordered = sorted(JITTER, key=lambda name: pose[f"{name}_place"])
        first, second, third, fourth = (
            f"{name} {pose[name]:+.2f}" if name == "hue" else f"{name} × {pose[name]:.2f}"
            for name in ordered
        )
        lines += [f"{first}, {second},".replace("-", "−"), f"{third}, {fourth}".replace("-", "−")]

    rest = [
        "grey" if pose["gray"] else "",
        f"blur σ = {pose['sigma']:.2f}" if pose["sigma"] else "",
        "solarized" if pose["solarize"] else "",
    ]
    return [*lines, ", ".join(filter(None, rest))]


if __name__ == "__main__":
    main()
