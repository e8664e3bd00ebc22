"""The parts that objects are built from: boxes, balls and tubes, each in one of three paints.

Lengths are in arbitrary units: every object is centred and scaled at the end. x is to the side,
y to the front (towards the camera), z up.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from seqjepa.render.raycast import BALL, BOX, TUBE, Floats

MAIN, SECOND, ACCENT = 0, 1, 2
"""Paints: the body; its lesser parts, in a near tone; and parts that must stand out from the body,
in a contrasting tone."""

Vec = tuple[float, float, float]
X: Vec = (1.0, 0.0, 0.0)
Y: Vec = (0.0, 1.0, 0.0)
Z: Vec = (0.0, 0.0, 1.0)

# Signs of what an object has on two sides, or on four corners.
SIDES = (-1, 1)
CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))


@dataclass(frozen=True)
class Part:
    """One primitive.

    Attributes:
        kind: BOX, BALL or TUBE.
        centre: [3].
        axes: [3, 3], orthogonal half-axes in rows.
        taper: of a tube, 1 for others.
        paint: MAIN, SECOND or ACCENT.
    """

    kind: int
    centre: Floats
    axes: Floats
    taper: float
    paint: int


def box(centre: Vec, half: Vec, paint: int = MAIN) -> Part:
    """Return a box along the axes, given by its half-sizes."""
    return Part(BOX, np.array(centre), np.diag(half), 1.0, paint)


def ball(centre: Vec, half: Vec, paint: int = MAIN) -> Part:
    """Return an ellipsoid along the axes, given by its half-axes."""
    return Part(BALL, np.array(centre), np.diag(half), 1.0, paint)


def rod(start: Vec, end: Vec, radius: float, paint: int = MAIN, taper: float = 1.0) -> Part:
    """Return a tube between two points.

    Its radius at `end` is `taper` (0 to 1) times that at `start`.
    """
    half = np.array([[radius], [radius], [math.dist(start, end) / 2]])
    return Part(TUBE, _middle(start, end), _along(start, end) * half, taper, paint)


def bar(start: Vec, end: Vec, half_width: float, half_depth: float, paint: int = MAIN) -> Part:
    """Return a box between two points.

    `half_width` is sideways (level where that is possible), `half_depth` across.
    """
    half = np.array([[half_width], [half_depth], [math.dist(start, end) / 2]])
    return Part(BOX, _middle(start, end), _along(start, end) * half, 1.0, paint)


def disc(
    centre: Vec,
    radius: float,
    half_depth: float,
    axis: Vec = Z,
    paint: int = MAIN,
    taper: float = 1.0,
) -> Part:
    """Return a tube around `axis` (a unit vector): a wheel, a plate, a lid, a whole vessel."""
    (x, y, z), (ax, ay, az) = centre, axis
    start, end = (
        (x + s * half_depth * ax, y + s * half_depth * ay, z + s * half_depth * az) for s in SIDES
    )
    return rod(start, end, radius, paint, taper)


def tilted(part: Part, angle: float, axis: Vec = X) -> Part:
    """Return the part turned about its own centre, by `angle` radians about a unit vector."""
    # Rodrigues' formula: R = I + sin(angle) K + (1 - cos(angle)) K K, with K v = axis x v.
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return replace(part, axes=part.axes @ turn.T)


def _middle(start: Vec, end: Vec) -> Floats:
    return np.array([(a + b) / 2 for a, b in zip(start, end, strict=True)])


def _along(start: Vec, end: Vec) -> Floats:
    """Return an orthonormal frame in rows, the third along start -> end and the first level."""
    dx, dy, dz = ((b - a) / math.dist(start, end) for a, b in zip(start, end, strict=True))
    level = math.hypot(dx, dy)
    first = (dy / level, -dx / level, 0.0) if level > 1e-9 else (1.0, 0.0, 0.0)

    # The cross product of third and first.
    second = (
        dy * first[2] - dz * first[1],
        dz * first[0] - dx * first[2],
        dx * first[1] - dy * first[0],
    )
    return np.array([first, second, (dx, dy, dz)], np.float64)
