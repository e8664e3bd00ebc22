"""docs/figures/imagination.png: what a run's model imagines, drawn by its decoder.

    .venv/bin/python scripts/docs/imagination.py runs/equal_views/demo_seed0

Run `seqjepa decode` on the run first. The objects are test objects of evenly spaced classes, not
chosen by how they look.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from committed import DOCS
from seqjepa import WorldModel
from seqjepa.keys import draw_key
from seqjepa.report import style
from seqjepa.report.strips import describe, show, to_images
from seqjepa.types import Indices
from seqjepa.worlds.base import World

TURNS = 3  # actions that are shown of each object
OBJECTS = 3
ROWS = ("what comes", "imagined", "the best it\ncan draw")
SIDE, GAP, LABEL, HEAD, FOOT = 1.05, 0.08, 1.05, 0.5, 0.1  # inches


def main() -> None:
    model = WorldModel.load(Path(sys.argv[1]))
    world = model.model.experiment.world.build()
    # Classes take turns among objects.
    index = np.linspace(0, len(world.spec.classes) - 1, OBJECTS + 2).astype(np.int64)[1:-1]
    with style.look():
        figure = draw_imagination(model, world, index)
        (DOCS / "figures" / "imagination.png").write_bytes(
            style.picture("imagination", figure, "imagination").png
        )


def draw_imagination(model: WorldModel, world: World, index: Indices) -> Figure:
    """Draw a block for each object: the view that is seen, and columns of actions from it.

    A column has the view that comes, the decoder's picture of what the model imagines, and its
    picture of the embedding of the view that comes: the best that it can draw.

    Args:
        model: with a decoder.
        world: with actions.
        index: objects of split `test`.
    """
    batch = world.sequences("test", index, TURNS + 1, draw_key(0, "test", 0, index))
    start, after = batch.views[:, :1], batch.views[:, 1:]
    moves = world.spec.actions.between(batch.poses[:, :1].expand(-1, TURNS, -1), batch.poses[:, 1:])
    imagined = model.imagine(model.observe(start), moves)
    rows = (after, model.decode(imagined).cpu(), model.decode(model.target(after)).cpu())

    block = (TURNS + 1) * (SIDE + GAP) + 0.25
    width, height = LABEL + len(index) * block, HEAD + len(ROWS) * (SIDE + GAP) + FOOT
    figure = Figure(figsize=(width, height))
    for place in range(len(index)):
        left = LABEL + place * block
        axes = _place(figure, left, 0)
        show(axes, to_images(start[place, 0]))
        axes.set_title("seen", fontsize=8, pad=4, fontweight="normal")
        for column in range(TURNS):
            across = left + (column + 1) * (SIDE + GAP)
            words = describe(world.spec.actions, moves[place, column])
            for row, views in enumerate(rows):
                axes = _place(figure, across, row)
                show(axes, to_images(views[place, column]))
                if row == 0:
                    look = {"fontsize": 7, "fontweight": "normal", **style.AS_IT_IS}
                    axes.set_title("\n".join(words), pad=4, **look)
    for row, name in enumerate(ROWS):
        middle = HEAD + row * (SIDE + GAP) + SIDE / 2
        figure.text(0.003, 1 - middle / height, name, fontsize=9, va="center")
    return figure


def _place(figure: Figure, left: float, row: int) -> Axes:
    """Add square axes at a place in inches and a row from the top."""
    across, up = figure.get_size_inches()
    bottom = up - HEAD - row * (SIDE + GAP) - SIDE
    return figure.add_axes((left / across, bottom / up, SIDE / across, SIDE / up))


if __name__ == "__main__":
    main()
