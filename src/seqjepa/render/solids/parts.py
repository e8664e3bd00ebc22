"""The parts that objects are built from: boxes, balls and tubes, each painted with one of an
object's three colours.

Lengths are in arbitrary units: every object is centred and scaled at the end. x is to the side, y
    to the front (towards the camera), z up.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from seqjepa.render.raycast import BALL, BOX, TUBE, Floats

MAIN, SECOND, ACCENT = 0, 1, 2
"""Paints: the body, its lesser parts (a near tone), and what has to be told from the body (a contrasting tone)."""

Vec = tuple[float, float, float]
X: Vec = (1.0, 0.0, 0.0)
Y: Vec = (0.0, 1.0, 0.0)
Z: Vec = (0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Part:
    """One primitive: its kind (BOX, BALL, TUBE), centre [3], orthogonal half-axes [3, 3] in rows,
    taper (TUBE only) and paint.
    """

    kind: int
    centre: Floats
    axes: Floats
    taper: float
    paint: int


def box(centre: Vec, half: Vec, paint: int = MAIN) -> Part:
    """A box along the axes, given by its half-sizes."""
    return Part(BOX, np.array(centre), np.diag(half), 1.0, paint)


def ball(centre: Vec, half: Vec, paint: int = MAIN) -> Part:
    """An ellipsoid along the axes, given by its half-axes."""
    return Part(BALL, np.array(centre), np.diag(half), 1.0, paint)


def rod(start: Vec, end: Vec, radius: float, paint: int = MAIN, taper: float = 1.0) -> Part:
    """A tube between two points; its radius at `end` is `taper` (0 to 1) times that at `start`."""
    frame = _along(start, end)
    return Part(
        TUBE,
        _middle(start, end),
        frame * np.array([[radius], [radius], [math.dist(start, end) / 2]]),
        taper,
        paint,
    )


def bar(start: Vec, end: Vec, half_width: float, half_depth: float, paint: int = MAIN) -> Part:
    """A box between two points: half as wide as `half_width` sideways (level where that is
    possible), and `half_depth` across.
    """
    frame = _along(start, end)
    return Part(
        BOX,
        _middle(start, end),
        frame * np.array([[half_width], [half_depth], [math.dist(start, end) / 2]]),
        1.0,
        paint,
    )


def disc(
    centre: Vec,
    radius: float,
    half_depth: float,
    axis: Vec = Z,
    paint: int = MAIN,
    taper: float = 1.0,
) -> Part:
    """A tube around `axis` (a unit vector): wheels, plates, lids, whole vessels."""
    start, end = (
        (
            centre[0] + s * half_depth * axis[0],
            centre[1] + s * half_depth * axis[1],
            centre[2] + s * half_depth * axis[2],
        )
        for s in (-1, 1)
    )
    return rod(start, end, radius, paint, taper)


def tilted(part: Part, angle: float, axis: Vec = X) -> Part:
    """The part turned about its own centre, by `angle` radians about a unit vector."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return replace(part, axes=part.axes @ turn.T)


def _middle(start: Vec, end: Vec) -> Floats:
    return np.array([(a + b) / 2 for a, b in zip(start, end, strict=True)])


def _along(start: Vec, end: Vec) -> Floats:
    """An orthonormal frame in rows, the third along start -> end and the first level."""
    dx, dy, dz = ((b - a) / math.dist(start, end) for a, b in zip(start, end, strict=True))
    level = math.hypot(dx, dy)
    first = (dy / level, -dx / level, 0.0) if level > 1e-9 else (1.0, 0.0, 0.0)
    second = (
        dy * first[2] - dz * first[1],
        dz * first[0] - dx * first[2],
        dx * first[1] - dy * first[0],
    )
    return np.array([first, second, (dx, dy, dz)], np.float64)
