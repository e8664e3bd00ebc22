"""Sequences of views as film draw_strips, with the action that leads from each view to the next drawn
between them."""

import math
from collections.abc import Sequence

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

# Where globes are looked at from: the camera of shapes and 3DIEBench, on the y side and 45 degrees up. Rows: right, up, towards us.
VIEWPOINT = np.array(
    [[-1, 0, 0], [0, -math.sqrt(0.5), math.sqrt(0.5)], [0, math.sqrt(0.5), math.sqrt(0.5)]]
)


def draw_strips(batch: SequenceBatch, spec: WorldSpec) -> Figure:
    """One strip per sequence.

    Args:
        batch: a few sequences of 2 to about 6 views.
        spec: of the world they come from.
    """
    count, length = batch.views.shape[:2]
    side = WIDTH / (length + GAP * (length - 1))
    words = len(describe(spec.actions, batch.actions[0, 0])) * LINE
    foot = max(
        0.12, words + 0.1 - (_level(spec) - BELOW) * side
    )  # actions of many groups need more room than beside a view
    row = foot + side + HEAD
    figure = Figure(figsize=(WIDTH, count * row))
    images = to_images(batch.views)
    for i in range(count):
        bottom = (count - 1 - i) * row + foot
        for t in range(length):
            left = t * side * (1 + GAP)
            show(_place(figure, left, bottom, side, side), images[i, t])
            if t + 1 < length:
                between = _place(figure, left + side, bottom, GAP * side, side)
                _draw_action(between, spec, batch.poses[i, t], batch.actions[i, t])
        label = int(batch.labels[i])
        name = spec.classes[label] if label >= 0 else f"sequence {i + 1}"
        figure.text(
            0,
            (bottom + side + 0.06) / (count * row),
            name.replace("_", " "),
            fontsize=9.5,
            fontweight="bold",
            va="bottom",
        )
    return figure


def to_images(views: Tensor) -> Floats:
    """Views [..., C, H, W], uint8 or 0..1, as pictures [..., H, W, 3]; of other than three channels
    the first is shown in grey."""
    pixels = views.double() / 255 if views.dtype == torch.uint8 else views.double()
    colour = (
        pixels
        if views.shape[-3] == 3
        else pixels[..., :1, :, :].expand(*pixels.shape[:-3], 3, -1, -1)
    )
    return np.asarray(colour.movedim(-3, -1).clamp(0, 1).numpy(), dtype=np.float64)


def show(axes: Axes, image: Floats) -> None:
    """An image in a thin frame, without ticks."""
    axes.imshow(image, interpolation="lanczos" if image.shape[0] < 160 else "antialiased")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=True, color=style.RULE, linewidth=0.6)


def describe(space: ActionSpace, action: Tensor) -> list[str]:
    """An action in words, a line or two for each group: the angle and axis of a rotation,
    differences in the pose's own unit."""
    lines: list[str] = []
    for group, part in zip(
        space.groups, action.split([group.action_dim for group in space.groups], -1), strict=True
    ):
        if group.is_rotation:
            angle, axis = angle_axis(part)
            numbers = ", ".join(
                f"{round(x, 1) + 0:.1f}".replace("-", "−") for x in axis
            )  # + 0: no minus zero
            lines += [f"rotate {angle:.0f}° about", f"({numbers})"]
        else:
            steps = zip(group.dims, group.scales, part, strict=True)
            lines += [
                f"{dim.replace('_', ' ')} {_signed(float(x) * scale)}" for dim, scale, x in steps
            ]
    return lines


def angle_axis(quaternion: Tensor) -> tuple[float, Floats]:
    """The angle in degrees, 0 to 180, and the unit axis of a rotation; the z axis where the angle
    is zero."""
    vector = np.asarray(roma.unitquat_to_rotvec(quaternion.double()).numpy(), dtype=np.float64)
    angle = float(np.linalg.norm(vector))
    return math.degrees(angle), vector / angle if angle > 1e-9 else np.array([0.0, 0.0, 1.0])


def _signed(number: float) -> str:
    return f"{number:+.2f}".replace("-", "−")


def _place(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def _draw_action(axes: Axes, spec: WorldSpec, pose: Tensor, action: Tensor) -> None:
    """An arrow to the next view, below it the action in words, above it the globe of the first
    rotation if there is one."""
    axes.set(xlim=(0, GAP), ylim=(0, 1))
    axes.axis("off")
    lines = describe(spec.actions, action)
    widths = [group.action_dim for group in spec.actions.groups]
    parts = dict(
        zip((group.name for group in spec.actions.groups), action.split(widths, -1), strict=True)
    )
    turned = next((group for group in spec.actions.groups if group.is_rotation), None)
    level = _level(spec)
    _arrow(axes, (0.06, level), (GAP - 0.06, level), style.MUTED, 0.9)
    size = min(
        7.6, 7.6 * axes.get_window_extent().width / axes.figure.dpi / 0.95
    )  # two lines of an axis fill 0.95 inches
    axes.text(
        GAP / 2,
        level - BELOW,
        "\n".join(lines),
        fontsize=size,
        ha="center",
        va="top",
        linespacing=1.35,
    )
    if turned:
        start = _orientation(turned, pose[spec.actions.columns(turned)])
        angle, axis = angle_axis(parts[turned.name])
        globe(axes, (GAP / 2, 0.72), 0.2, start @ axis, angle)


def _level(spec: WorldSpec) -> float:
    """The height of the arrows, as a share of a view's: lower where a globe is above them."""
    return 0.4 if any(group.is_rotation for group in spec.actions.groups) else 0.5


def _orientation(group: Group, pose: Tensor) -> Floats:
    """The rotation matrix of a pose."""
    return np.asarray(
        roma.unitquat_to_rotmat(group.absolute(pose).double()).numpy(), dtype=np.float64
    )


def globe(
    axes: Axes, centre: tuple[float, float], radius: float, axis: Floats, angle: float
) -> None:
    """A ball with the axis it turns about and the arc, through so many degrees, that it turns.

    Args:
        axes: with equal scales.
        centre, radius: of the ball.
        axis: unit vector in the world's frame; the turn is right-handed about it.
        angle: in degrees.
    """
    seen = VIEWPOINT @ axis
    towards = (
        np.array([0.0, 0.0, 1.0]) - seen[2] * seen
    )  # the arc is drawn on the side of the ball that faces us
    if np.linalg.norm(towards) < 0.05:
        towards = np.array([0.0, 1.0, 0.0]) - seen[1] * seen
    first = towards / np.linalg.norm(towards)
    second = np.cross(seen, first)
    sweep = np.radians(np.linspace(-angle / 2, angle / 2, 60))
    around = np.linspace(0, 2 * np.pi, 90)
    arc, equator = (
        np.outer(np.cos(a), first) + np.outer(np.sin(a), second) for a in (sweep, around)
    )

    def place(points: Floats) -> Floats:
        return np.asarray(centre) + radius * points[:, :2]

    axes.add_patch(Circle(centre, radius, facecolor="#f4f6f8", edgecolor=style.RULE, linewidth=0.8))
    axes.plot(*place(equator[equator[:, 2] >= 0]).T, ".", color=style.RULE, markersize=0.8)
    axes.add_patch(
        Polygon(place(np.vstack([np.zeros(3), arc])), facecolor=style.Z, alpha=0.14, linewidth=0)
    )
    near, far = place(np.outer([0, 1.32], seen)), place(np.outer([0, -1.32], seen))
    front, back = (near, far) if seen[2] >= 0 else (far, near)
    axes.plot(*back.T, color=style.MUTED, linewidth=0.9, zorder=1 if seen[2] else 2)
    axes.plot(*front.T, color=style.MUTED, linewidth=0.9)
    axes.plot(*near[1], "o", color=style.INK, markersize=2.6)
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
    ends = (float(start[0]), float(start[1])), (float(end[0]), float(end[1]))
    axes.add_patch(
        FancyArrowPatch(
            *ends,
            arrowstyle="-|>",
            mutation_scale=8,
            color=colour,
            linewidth=width,
            shrinkA=0,
            shrinkB=0,
        )
    )


def factors_in_words(spec: WorldSpec) -> tuple[str, str]:
    """The names of the factor groups that make the actions, and of the others."""
    told = [group.name for group in spec.actions.groups]
    untold = [group.name for group in spec.factors.groups if group.name not in told]
    return ", ".join(told).replace("_", " "), ", ".join(untold).replace("_", " ")
