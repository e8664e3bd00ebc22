"""Where names stand beside marks in a crowded plot: for each the place, of many around its mark,
where it covers least. All in pixels."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

GAPS = (7.0, 12.0, 18.0, 26.0, 36.0, 48.0)  # points between a mark and the name beside it
LEADER = 12.0  # from this gap on a thin line leads from the name to its mark
MARK = 5.0  # points around the middle of a mark that no name may cover
ROUNDS = 4  # of choosing again, now that all others have their places

Floats = npt.NDArray[np.float64]  # boxes are [..., 4]: left, bottom, right, top


@dataclass(frozen=True)
class Spot:
    """A place for a name: its middle as seen from its mark, and the gap between both in points."""

    offset: Floats
    gap: float

    @property
    def leads(self) -> bool:
        """Whether it is so far off that a line must lead to the mark."""
        return self.gap >= LEADER


def place(
    marks: Floats,
    sizes: Mapping[int, tuple[float, float]],
    obstacles: Floats,
    window: Floats,
    point: float,
) -> dict[int, Spot]:
    """A place for each name.

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
        others = [_boxes(marks[j], spot, sizes[j], point) for j, spot in spots.items() if j != i]
        covered = np.concatenate([taken, *others])
        offered = _offered(sizes[i], point)
        costs = [
            _cost(_boxes(marks[i], spot, sizes[i], point), spot.gap, covered, window)
            for spot in offered
        ]
        spots[i] = offered[int(np.argmin(costs))]
    return spots


def _offered(size: tuple[float, float], point: float) -> list[Spot]:
    """The places for a name of that size, from the nearest to the farthest."""
    around = [np.array((math.cos(angle), math.sin(angle))) for angle in np.arange(16) * math.pi / 8]
    return [
        Spot(direction * (np.array(size) / 2 + gap * point), gap)
        for gap in GAPS
        for direction in around
    ]


def _boxes(mark: Floats, spot: Spot, size: tuple[float, float], point: float) -> Floats:
    """What a name there covers: itself and, in small steps, the line that leads to its mark."""
    name = _around(mark + spot.offset, np.array(size))
    if not spot.leads:
        return name[None]
    steps = mark + spot.offset * np.linspace(0, 1, 16)[:, None]
    beyond = np.abs(steps - mark).max(1) > MARK * point
    outside = (steps < name[:2]).any(1) | (steps > name[2:]).any(1)
    return np.concatenate([name[None], _around(steps[beyond & outside], np.array((2.0, 2.0)))])


def _around(middles: Floats, size: Floats) -> Floats:
    """Boxes of that size around middles [..., 2]."""
    return np.concatenate([middles - size / 2, middles + size / 2], -1)


def _cost(boxes: Floats, gap: float, covered: Floats, window: Floats) -> float:
    """How much boxes [N, 4] cover of others [M, 4] and how far the first, the name, leaves the
    window; then, how far off it is."""
    shared = np.minimum(boxes[:, None, 2:], covered[:, 2:]) - np.maximum(
        boxes[:, None, :2], covered[:, :2]
    )
    outside = (
        np.maximum(window[:2] - boxes[0, :2], 0).sum()
        + np.maximum(boxes[0, 2:] - window[2:], 0).sum()
    )
    return float(5 * shared.clip(0).prod(-1).sum() + 20 * outside + gap)
