"""Pictures of what a model imagines, drawn by its decoder, beside the views that come."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqjepa.keys import draw_key
from seqjepa.report import style
from seqjepa.report.sample import Ints
from seqjepa.report.strips import describe, place_axes, show, to_images
from seqjepa.world_model.decoding import as_drawn
from seqjepa.world_model.model import WorldModel
from seqjepa.worlds.base import World

ACTIONS = 3  # actions that are shown of each object, at most
ROWS = ("what comes", "imagined", "at best")
SIDE, GAP, LABEL, HEAD, FOOT = 1.05, 0.08, 0.95, 0.5, 0.1  # inches


def draw_decoded(model: WorldModel, world: World, index: Ints) -> Figure:
    """Draw a block for each object: the view that is seen, and columns of actions from it.

    A column has the view that comes, with the factors that the decoder fixes as it draws them; the
    decoder's picture of what the model imagines; and its picture of the embedding of the view that
    comes: the best that it can draw.

    Args:
        model: with a decoder.
        world: with actions.
        index: [B], objects of split `test`.
    """
    actions = world.at_most(ACTIONS + 1, "test") - 1
    batch = world.sequences("test", index, actions + 1, draw_key(0, "test", 0, index))
    start, after, poses = batch.views[:, :1], batch.views[:, 1:], batch.poses
    moves = model.space.between(poses[:, :1].expand(-1, actions, -1), poses[:, 1:])
    imagined = model.imagine(model.observe(start), moves)
    assert model.decoder is not None, "asked of models with a decoder only"
    rows = (
        as_drawn(world, "test", index, batch, model.decoder.layout.fixed)[:, 1:],
        model.decode(imagined).cpu(),
        model.decode(model.target(after)).cpu(),
    )

    block = (actions + 1) * (SIDE + GAP) + 0.25
    width, height = LABEL + len(index) * block, HEAD + len(ROWS) * (SIDE + GAP) + FOOT
    figure = Figure(figsize=(width, height))

    for place in range(len(index)):
        left = LABEL + place * block
        axes = _place(figure, left, 0)
        show(axes, to_images(start[place, 0]))
        axes.set_title("seen", fontsize=8, pad=4, fontweight="normal")
        for column in range(actions):
            across = left + (column + 1) * (SIDE + GAP)
            words = describe(model.space, moves[place, column])
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
    bottom = float(figure.get_size_inches()[1]) - HEAD - row * (SIDE + GAP) - SIDE
    return place_axes(figure, left, bottom, SIDE, SIDE)
