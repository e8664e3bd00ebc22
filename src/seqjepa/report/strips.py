"""Sequences of views as film strips, with the actions drawn between the views."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import roma
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, Polygon
from torch import Tensor

from seqjepa.actions import ActionSpace, Group
from seqjepa.report import style
from seqjepa.report.runs import Floats
from seqjepa.types import SequenceBatch
from seqjepa.worlds.base import WorldSpec

WIDTH = 9.4  # inches
HEAD = 0.26  # inches above a strip, for the class's name
GAP = 0.8  # between two views, as a share of a view's width
BELOW = 0.07  # from an arrow to the words below it, as a share of a view's height
LINE = 0.16  # inches that a line of words takes
FOOT = 0.12  # inches below a strip, at least
WORDS = 7.6  # points, the size of the words
WORDS_WIDTH = 0.95  # inches that two lines of an axis fill in that size

# The camera that looks at globes is that of shapes and 3DIEBench, on the y side and 45 degrees up.
# Rows: right, up, towards us.
VIEWPOINT = np.array(
    [[-1, 0, 0], [0, -math.sqrt(0.5), math.sqrt(0.5)], [0, math.sqrt(0.5), math.sqrt(0.5)]]
)


def draw_strips(batch: SequenceBatch, spec: WorldSpec) -> Figure:
    """Draw one strip per sequence.

    Args:
        batch: a few sequences of 2 to about 6 views.
        spec: of the world they come from.
    """
    count, length = batch.views.shape[:2]
    side = WIDTH / (length + GAP * (length - 1))

    # The words of actions of many groups need more room than there is beside a view.
    words = len(describe(spec.actions, batch.actions[0, 0])) * LINE
    foot = max(FOOT, words + 0.1 - (_level(spec) - BELOW) * side)
    row = foot + side + HEAD

    figure = Figure(figsize=(WIDTH, count * row))
    images = to_images(batch.views)
    for i in range(count):
        bottom = (count - 1 - i) * row + foot
        for t in range(length):
            left = t * side * (1 + GAP)
            show(place_axes(figure, left, bottom, side, side), images[i, t])
            if t + 1 < length:
                between = place_axes(figure, left + side, bottom, GAP * side, side)
                draw_action(between, spec, batch.poses[i, t], batch.actions[i, t])

        label = int(batch.labels[i])
        name = spec.classes[label] if label >= 0 else f"sequence {i + 1}"
        height = (bottom + side + 0.06) / (count * row)
        look: Any = {"fontsize": 9.5, "fontweight": "bold", "va": "bottom", **style.AS_IT_IS}
        figure.text(0, height, name, **look)
    return figure


def to_images(views: Tensor) -> Floats:
    """Return views [..., C, H, W], uint8 or 0..1, as images [..., H, W, 3] of 0..1.

    Of views without three channels the first channel is shown in grey.
    """
    pixels = views.double() / 255 if views.dtype == torch.uint8 else views.double()
    if views.shape[-3] != 3:
        pixels = pixels[..., :1, :, :].expand(*pixels.shape[:-3], 3, -1, -1)
    return np.asarray(pixels.movedim(-3, -1).clamp(0, 1).numpy(), dtype=np.float64)


def place_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add axes to a figure at a place in inches from its lower left corner."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def show(axes: Axes, image: Floats) -> None:
    """Show an image in a thin frame, without ticks."""
    axes.imshow(image, interpolation="lanczos" if image.shape[0] < 160 else "antialiased")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=True, color=style.RULE, linewidth=0.6)


def describe(space: ActionSpace, action: Tensor) -> list[str]:
    """Return an action in words, one line or more for each group.

    A rotation is its angle and axis; other groups are differences in the pose's own unit.
    """
    parts = action.split([group.action_dim for group in space.groups], -1)
    lines: list[str] = []
    for group, part in zip(space.groups, parts, strict=True):
        if group.is_rotation:
            angle, axis = angle_axis(part)
            # Adding zero turns minus zero into zero.
            numbers = [f"{round(x, 1) + 0:.1f}".replace("-", "−") for x in axis]
            lines += [f"rotate {angle:.0f}° about", f"({', '.join(numbers)})"]
        else:
            for dim, scale, x in zip(group.dims, group.scales, part, strict=True):
                lines.append(f"{dim.replace('_', ' ')} {_signed(float(x) * scale)}")
    return lines


def angle_axis(quaternion: Tensor) -> tuple[float, Floats]:
    """Return the angle in degrees, 0 to 180, and the unit axis of a rotation.

    Where the angle is zero, the axis is z.
    """
    vector = np.asarray(roma.unitquat_to_rotvec(quaternion.double()).numpy(), dtype=np.float64)
    angle = float(np.linalg.norm(vector))
    return math.degrees(angle), vector / angle if angle > 1e-9 else np.array([0.0, 0.0, 1.0])


def factors_in_words(spec: WorldSpec) -> tuple[str, str]:
    """Return the names of the factor groups that make the actions, and of the others."""
    acted = [group.name for group in spec.actions.groups]
    others = [group.name for group in spec.factors.groups if group.name not in acted]
    return ", ".join(acted), ", ".join(others)


def _signed(number: float) -> str:
    return f"{number:+.2f}".replace("-", "−")


def draw_action(axes: Axes, spec: WorldSpec, pose: Tensor, action: Tensor) -> None:
    """Draw an arrow to the next view, the action in words below it, and a globe above it.

    The globe shows the first rotation, if there is one.
    """
    # A unit is as long across as upwards, so that globes are round.
    extent = axes.get_window_extent()
    across = round(extent.width / extent.height, 3)
    axes.set(xlim=(0, across), ylim=(0, 1))
    axes.axis("off")
    level = _level(spec)
    _arrow(axes, (0.06, level), (across - 0.06, level), style.MUTED, 0.9)

    width = extent.width / axes.figure.dpi
    axes.text(
        across / 2,
        level - BELOW,
        "\n".join(describe(spec.actions, action)),
        fontsize=min(WORDS, WORDS * width / WORDS_WIDTH),
        ha="center",
        va="top",
        linespacing=1.35,
        **style.AS_IT_IS,
    )

    groups = spec.actions.groups
    parts = action.split([group.action_dim for group in groups], -1)
    for group, part in zip(groups, parts, strict=True):
        if group.is_rotation:
            start = _orientation(group, pose[spec.actions.columns(group)])
            angle, axis = angle_axis(part)
            # The axis of the action is in the object's frame, that of the globe in the world's.
            globe(axes, (across / 2, 0.72), 0.2, start @ axis, angle)
            break


def _level(spec: WorldSpec) -> float:
    """Return the height of the arrows, as a share of a view's: lower with a globe above them."""
    return 0.4 if any(group.is_rotation for group in spec.actions.groups) else 0.5


def _orientation(group: Group, pose: Tensor) -> Floats:
    """Return the rotation matrix of a pose."""
    matrix = roma.unitquat_to_rotmat(group.absolute(pose).double())
    return np.asarray(matrix.numpy(), dtype=np.float64)


def globe(
    axes: Axes, centre: tuple[float, float], radius: float, axis: Floats, angle: float
) -> None:
    """Draw a ball, the axis it turns about and the arc through which it turns.

    Args:
        axes: with equal scales.
        centre: of the ball.
        radius: of the ball.
        axis: unit vector in the world's frame; the turn is right-handed about it.
        angle: in degrees.
    """
    seen = VIEWPOINT @ axis

    # `first` and `second` span the equator's plane. The arc's middle is `first`, the direction in
    # that plane that faces us most; if we look along the axis, the upward one.
    towards = np.array([0.0, 0.0, 1.0]) - seen[2] * seen
    if np.linalg.norm(towards) < 0.05:
        towards = np.array([0.0, 1.0, 0.0]) - seen[1] * seen
    first = towards / np.linalg.norm(towards)
    second = np.cross(seen, first)

    def circle(turns: Floats) -> Floats:
        return np.asarray(np.outer(np.cos(turns), first) + np.outer(np.sin(turns), second))

    def place(points: Floats) -> Floats:
        return np.asarray(centre) + radius * points[:, :2]

    # The ball, the half of its equator that faces us, and the sector of the turn.
    equator = circle(np.linspace(0, 2 * np.pi, 90))
    arc = circle(np.radians(np.linspace(-angle / 2, angle / 2, 60)))
    sector = place(np.vstack([np.zeros(3), arc]))
    axes.add_patch(Circle(centre, radius, facecolor="#f4f6f8", edgecolor=style.RULE, linewidth=0.8))
    axes.plot(*place(equator[equator[:, 2] >= 0]).T, ".", color=style.RULE, markersize=0.8)
    axes.add_patch(Polygon(sector, facecolor=style.Z, alpha=0.14, linewidth=0))

    # The axis, whose far half goes behind the ball, with a dot at its head.
    head, tail = place(np.outer([0, 1.32], seen)), place(np.outer([0, -1.32], seen))
    front, back = (head, tail) if seen[2] >= 0 else (tail, head)
    axes.plot(*back.T, color=style.MUTED, linewidth=0.9, zorder=1 if seen[2] else 2)
    axes.plot(*front.T, color=style.MUTED, linewidth=0.9)
    axes.plot(*head[1], "o", color=style.INK, markersize=2.6)

    path = place(arc)
    axes.plot(*path.T, color=style.Z, linewidth=1.5)
    _arrow(axes, path[-6], path[-1], style.Z, 0)


def _arrow(
    axes: Axes,
    start: Sequence[float] | Floats,
    end: Sequence[float] | Floats,
    colour: str,
    width: float,
) -> None:
    arrow = FancyArrowPatch(
        (float(start[0]), float(start[1])),
        (float(end[0]), float(end[1])),
        arrowstyle="-|>",
        mutation_scale=8,
        color=colour,
        linewidth=width,
        shrinkA=0,
        shrinkB=0,
    )
    axes.add_patch(arrow)
