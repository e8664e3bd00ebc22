"""Pictures of the views that are nearest to what the predictor expects."""

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from seqjepa.keys import draw_key
from seqjepa.model import Model
from seqjepa.report import style
from seqjepa.report.neighbours import between_degrees
from seqjepa.report.sample import Ints
from seqjepa.report.strips import draw_action, place_axes, show, to_images
from seqjepa.types import SequenceBatch
from seqjepa.worlds.base import World

CANDIDATES = 50  # views of an object, at most
NEAREST = 4  # of them that are shown
# In inches: a view, the room for an action, the gap before the nearest views, and above and below.
SIDE, ACTION, GAP, HEAD, FOOT = 1.15, 1.05, 0.3, 0.34, 0.24


def draw_imagined(model: Model, world: World, index: Ints) -> Figure:
    """Draw a row for each object: a view, an action, the view that it leads to, and the nearest.

    The nearest views are those of the object whose targets have the largest cosines to what the
    predictor expects after the action. The right one is framed.

    Args:
        model: whose method predicts.
        world: with actions.
        index: objects of split `test`.
    """
    views = world.at_most(CANDIDATES, "test")
    batch = world.sequences("test", index, views, draw_key(0, "test", 0, index))
    found = nearest_views(model, batch)

    width = 2 * SIDE + ACTION + GAP + NEAREST * SIDE * 1.05
    row = HEAD + SIDE + FOOT
    figure = Figure(figsize=(width, len(index) * row))
    images = to_images(batch.views)
    for number in range(len(index)):
        bottom = (len(index) - 1 - number) * row + FOOT
        label = int(batch.labels[number])
        name = world.spec.classes[label] if label >= 0 else f"object {number + 1}"
        show(axes := place_axes(figure, 0, bottom, SIDE, SIDE), images[number, 0])
        axes.set_title(name, fontsize=9.5, pad=4, **style.AS_IT_IS)

        moving = place_axes(figure, SIDE, bottom, ACTION, SIDE)
        draw_action(moving, world.spec, batch.poses[number, 0], batch.actions[number, 0])

        show(axes := place_axes(figure, SIDE + ACTION, bottom, SIDE, SIDE), images[number, 1])
        axes.set_title("what comes" if number == 0 else "", fontsize=9.5, pad=4)
        for place, view in enumerate(found[number]):
            left = 2 * SIDE + ACTION + GAP + place * SIDE * 1.05
            show(axes := place_axes(figure, left, bottom, SIDE, SIDE), images[number, view])
            if number == 0 and place == 0:
                axes.set_title("nearest to what is expected", fontsize=9.5, pad=4)
            _caption(axes, world, batch, number, int(view))
    return figure


def nearest_views(model: Model, batch: SequenceBatch) -> Ints:
    """Return the views [B, 4] of each object that are nearest to what is expected as the second.

    It is expected from the first view and the action to the second; both are candidates, too.
    """
    method = model.method
    with torch.inference_mode():
        source = method.source(method.encoder(batch.views[:, :1]))
        predicted = method.predict(source, batch.actions[:, :1])
        targets = method.target(batch.views)
    cosines: Tensor = F.cosine_similarity(predicted[:, None], targets, dim=-1)
    nearest = cosines.topk(min(NEAREST, cosines.shape[1])).indices
    return np.asarray(nearest.numpy(), dtype=np.int64)


def _caption(axes: Axes, world: World, batch: SequenceBatch, number: int, view: int) -> None:
    """Frame the right view, and say by how many degrees another is turned from it."""
    right = view == 1
    if right:
        axes.spines[:].set(color=style.Z, linewidth=2.2)
    degrees = between_degrees(world.spec, batch.poses[number, 1], batch.poses[number, view])
    text = "right" if right else ("" if degrees is None else f"{degrees:.0f}° off")
    if view == 0:
        text = f"{text}, as before" if text else "the view before"
    colour = style.Z if right else style.MUTED
    axes.set_xlabel(text, fontsize=7.6, labelpad=2.5, color=colour)
