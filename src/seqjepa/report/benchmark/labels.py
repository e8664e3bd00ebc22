"""Places for names beside the marks of a crowded plot, each where it covers least. All in pixels.

Many places around each mark are tried. As a name's best place depends on those of the others, all
names choose again a few times.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

GAPS = (7.0, 12.0, 18.0, 26.0, 36.0, 48.0)  # points between a mark and the name beside it
DIRECTIONS = 16  # around a mark
LEADER = 12.0  # from this gap on a thin line leads from the name to its mark
MARK = 5.0  # points around the middle of a mark that no name may cover
ROUNDS = 4  # of choosing again, now that all others have their places

# Costs of a square pixel that is covered and of a pixel beyond the window; a point of gap costs 1.
COVERED, OUTSIDE = 5, 20

Floats = npt.NDArray[np.float64]  # boxes are [..., 4]: left, bottom, right, top


@dataclass(frozen=True)
class Spot:
    """A place for a name: its middle as seen from its mark, and the gap between both in points."""

    offset: Floats
    gap: float

    @property
    def leads(self) -> bool:
        """True if it is so far off that a line must lead to the mark."""
        return self.gap >= LEADER


def place(
    marks: Floats,
    sizes: Mapping[int, tuple[float, float]],
    obstacles: Floats,
    window: Floats,
    point: float,
) -> dict[int, Spot]:
    """Choose a place for each name.

    Args:
        marks: [N, 2], their middles.
        sizes: width and height of the names, by the number of their mark; not all have one.
        obstacles: [K, 4], boxes that names should not cover, such as lines; marks are not to be
            among them.
        window: [4], the box that names should stay in.
        point: a typographic point in pixels.
    """
    taken = np.concatenate([_around(marks, np.array((MARK, MARK)) * 2 * point), obstacles])
    spots: dict[int, Spot] = {}
    for _, i in itertools.product(range(ROUNDS), sizes):
        # Names that have not been placed yet cover nothing.
        others = [_boxes(marks[j], spot, sizes[j], point) for j, spot in spots.items() if j != i]
        covered = np.concatenate([taken, *others])

        offered = _offered(sizes[i], point)
        costs = []
        for spot in offered:
            boxes = _boxes(marks[i], spot, sizes[i], point)
            costs.append(_cost(boxes, spot.gap, covered, window))
        spots[i] = offered[int(np.argmin(costs))]
    return spots


def _offered(size: tuple[float, float], point: float) -> list[Spot]:
    """Return the places for a name of that size, from the nearest to the farthest."""
    angles = np.arange(DIRECTIONS) * math.pi / (DIRECTIONS // 2)
    directions = [np.array((math.cos(angle), math.sin(angle))) for angle in angles]
    return [
        Spot(direction * (np.array(size) / 2 + gap * point), gap)
        for gap in GAPS
        for direction in directions
    ]


def _boxes(mark: Floats, spot: Spot, size: tuple[float, float], point: float) -> Floats:
    """Return the boxes that a name at a spot covers: its own, and the steps of its leader."""
    name = _around(mark + spot.offset, np.array(size))
    if not spot.leads:
        return name[None]

    # The leader is a row of small boxes between the mark and the name.
    steps = mark + spot.offset * np.linspace(0, 1, 16)[:, None]
    beyond = np.abs(steps - mark).max(1) > MARK * point
    outside = (steps < name[:2]).any(1) | (steps > name[2:]).any(1)
    return np.concatenate([name[None], _around(steps[beyond & outside], np.array((2.0, 2.0)))])


def _around(middles: Floats, size: Floats) -> Floats:
    """Return boxes of that size around middles [..., 2]."""
    return np.concatenate([middles - size / 2, middles + size / 2], -1)


def _cost(boxes: Floats, gap: float, covered: Floats, window: Floats) -> float:
    """Return the cost of boxes [N, 4], of which the first is the name.

    It grows with the area of the boxes [M, 4] that they cover, with the distance by which the name
    leaves the window, and a little with the gap.
    """
    # Width and height [N, M, 2] of each overlap; negative where two boxes are apart.
    right_top = np.minimum(boxes[:, None, 2:], covered[:, 2:])
    left_bottom = np.maximum(boxes[:, None, :2], covered[:, :2])
    area = (right_top - left_bottom).clip(0).prod(-1).sum()

    name = boxes[0]
    beyond_left_bottom = np.maximum(window[:2] - name[:2], 0).sum()
    beyond_right_top = np.maximum(name[2:] - window[2:], 0).sum()
    return float(COVERED * area + OUTSIDE * (beyond_left_bottom + beyond_right_top) + gap)
