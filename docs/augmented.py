"""Draw docs/figures/augmented.png: sequences of augmented views of photographs, and what was done
to each view.

Command: python docs/augmented.py (needs scikit-image, which holds the photographs)
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image, ImageOps
from skimage import data

from seqjepa.keys import draw_key
from seqjepa.report import style
from seqjepa.report.strips import show, to_images
from seqjepa.worlds.augmented import Config
from seqjepa.worlds.images.base import ImageSet, ImageSplit
from seqjepa.worlds.views.policy import COLUMNS, JITTER

SIZE, VIEWS, SEED = 192, 4, 1231  # a draw with all operations in it
WIDTH, SIDE, GAP, WORDS, HEAD = (
    9.6,
    1.72,
    0.24,
    0.72,
    0.3,
)  # inches: of the figure, a picture, between two, below one, above all


def figure() -> Figure:
    """One row per photograph: the image with the boxes that are cut out of it, and the views."""
    photos = [Image.fromarray(photo) for photo in (data.astronaut(), data.chelsea(), data.coffee())]
    pixels = np.stack(
        [
            np.asarray(ImageOps.fit(photo, (SIZE, SIZE), Image.Resampling.BICUBIC))
            for photo in photos
        ]
    )
    split = ImageSplit(pixels, np.arange(len(pixels)))
    images = ImageSet(
        dict.fromkeys(("train", "val", "test"), split),
        ("astronaut", "cat", "coffee"),
        (0.5,) * 3,
        (0.25,) * 3,
    )
    world = Config(source="photographs", path="", image_size=SIZE).over(images)
    index = np.arange(len(pixels))
    batch = world.sequences("train", index, VIEWS, draw_key(SEED, "train", 0, index))
    row, whole, views = SIDE + WORDS, to_images(world.whole("train", index)), to_images(batch.views)
    height = HEAD + len(index) * row
    drawn = Figure(figsize=(WIDTH, height))
    for i in index:
        bottom = (len(index) - 1 - i) * row + WORDS
        for place in range(VIEWS + 1):
            left = 0.02 + place * (SIDE + GAP)
            axes = drawn.add_axes((left / WIDTH, bottom / height, SIDE / WIDTH, SIDE / height))
            show(axes, whole[i] if place == 0 else views[i, place - 1])
            for number in range(VIEWS) if place == 0 else ():
                box = dict(zip(COLUMNS, batch.poses[i, number].tolist(), strict=True))
                corner = (box["left"] - 0.5, box["top"] - 0.5)
                colour = style.VARIANTS[number]
                axes.add_patch(
                    Rectangle(
                        corner,
                        box["width"],
                        box["height"],
                        fill=False,
                        edgecolor="white",
                        linewidth=2.4,
                    )
                )
                axes.add_patch(
                    Rectangle(
                        corner,
                        box["width"],
                        box["height"],
                        fill=False,
                        edgecolor=colour,
                        linewidth=1.4,
                    )
                )
            if place:
                for spine in axes.spines.values():
                    spine.set(color=style.VARIANTS[place - 1], linewidth=1.8)
                told = dict(zip(COLUMNS, batch.poses[i, place - 1].tolist(), strict=True))
                axes.text(
                    0,
                    -0.04,
                    "\n".join(words(told)),
                    transform=axes.transAxes,
                    fontsize=6.3,
                    va="top",
                    linespacing=1.35,
                )
            if i == 0:
                head = (
                    "the image",
                    *(f"view {number}" for number in range(1, VIEWS)),
                    f"view {VIEWS}, to be predicted",
                )[place]
                axes.text(
                    0,
                    1.05,
                    head,
                    transform=axes.transAxes,
                    fontsize=9,
                    fontweight="bold",
                    va="bottom",
                )
    return drawn


def words(told: dict[str, float]) -> list[str]:
    """What was done to a view, in the order in which it was done."""
    top, left, height, width = (f"{told[name]:.0f}" for name in COLUMNS[:4])
    lines = [f"{height} × {width} from ({top}, {left})" + (", mirrored" if told["flip"] else "")]
    changes = {
        name: f"{name} {told[name]:+.2f}" if name == "hue" else f"{name} × {told[name]:.2f}"
        for name in JITTER
    }
    first, second, third, fourth = (
        changes[name] for name in sorted(JITTER, key=lambda name: told[f"{name}_place"])
    )
    if any(told[name] != neutral for name, neutral in zip(JITTER, (1, 1, 1, 0), strict=True)):
        lines += [f"{first}, {second},".replace("-", "−"), f"{third}, {fourth}".replace("-", "−")]
    rest = [
        "grey" if told["gray"] else "",
        f"blur σ = {told['sigma']:.2f}" if told["sigma"] else "",
        "solarized" if told["solarize"] else "",
    ]
    return [*lines, ", ".join(filter(None, rest))]


if __name__ == "__main__":
    with style.look():
        mpl.rcParams["savefig.dpi"] = 110  # photographs make large files
        found = style.picture(
            "augmented",
            figure(),
            "Photographs with crop boxes, and augmented views of them with their parameters",
        )
    (Path(__file__).parent / "figures" / f"{found.name}.png").write_bytes(found.png)
