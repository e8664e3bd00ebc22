"""Nearest neighbours in the two representations.

Pictures show those of a few queries, figures sum up the whole sample.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from seqjepa.report import style
from seqjepa.report.runs import Floats
from seqjepa.report.sample import Ints, Sample
from seqjepa.report.strips import show, to_images
from seqjepa.worlds.base import WorldSpec

NEIGHBOURS = 5
QUERIES = 4  # drawn
COMPARED = 1000  # least number of queries of the figures over the sample, where it is larger
TITLES = {"z": "Neighbours in z", "agg": "Neighbours in z_AGG"}


@dataclass(frozen=True)
class Nearness:
    """The likeness of a query and its nearest neighbours among other objects.

    A figure is NaN where the world does not know it.

    Attributes:
        same_class: share of the neighbours that are of the query's class.
        angle: median angle in degrees between the query's rotation and a neighbour's.
    """

    same_class: float
    angle: float


class Items(NamedTuple):
    """The items that a representation compares: views for z, sequences for z_AGG.

    Attributes:
        features: [n, D].
        owner: [n], the object of each, as its place in the sample.
        labels: [n], -1 where unknown.
        rotations: [n, 4] unit quaternions, or None.
    """

    features: Floats
    owner: Ints
    labels: Ints
    rotations: Floats | None


def unit(features: Floats) -> Floats:
    """Return features [n, D] scaled to unit length."""
    scaled: Floats = features / np.linalg.norm(features, axis=1, keepdims=True).clip(1e-12)
    return scaled


def nearest(features: Floats, owner: Ints, queries: Ints) -> Ints:
    """Return the [q, k] nearest neighbours of some rows by cosine, among rows of other owners.

    k is `NEIGHBOURS`, or what each has.
    """
    directions = unit(features)
    likeness = directions[queries] @ directions.T
    # Other views of the same object are no neighbours.
    likeness[owner[queries][:, None] == owner[None]] = -np.inf
    others = len(owner) - int(np.unique(owner, return_counts=True)[1].max())
    return np.argsort(-likeness, axis=1, kind="stable")[:, : min(NEIGHBOURS, others)]


def spaced(count: int) -> Ints:
    """Return evenly spaced indices of the items, `COMPARED` or up to twice as many."""
    return np.arange(0, count, max(1, count // COMPARED))


def nearness(sample: Sample, representation: str) -> Nearness:
    """Return the nearness over the whole sample.

    Args:
        sample: held-out objects.
        representation: `z`; `agg`, whose pose is that of its first view; or `chance`, the
            neighbours in features drawn at random.
    """
    features, owner, labels, rotations = _items(sample, representation)
    if representation == "chance":
        features = np.random.default_rng(0).normal(size=(len(owner), 64))
    queries = spaced(len(owner))
    found = nearest(features, owner, queries)

    # A query without a class says nothing about classes.
    known = labels[queries] >= 0
    same = (labels[found] == labels[queries][:, None])[known]
    same_class = float(same.mean()) if known.any() else float("nan")
    if rotations is None:
        return Nearness(same_class, float("nan"))
    angles = _angle(rotations[queries][:, None], rotations[found])
    return Nearness(same_class, float(np.median(angles)))


def between_degrees(spec: WorldSpec, one: Tensor, other: Tensor) -> float | None:
    """Return the angle between two poses by the world's first group of rotations, None without."""
    group = next((group for group in spec.factors.groups if group.is_rotation), None)
    if group is None:
        return None
    columns = spec.factors.columns(group)
    quaternions = [group.absolute(pose[columns].double()).numpy() for pose in (one, other)]
    return float(_angle(*quaternions))


def draw_neighbours(sample: Sample, representation: str) -> Figure:
    """Draw queries, each with its nearest neighbours of other objects; the same class is framed.

    A query is the first object of its class; the classes are evenly spaced.
    """
    items = _items(sample, representation)
    objects = examples(sample, QUERIES)
    queries = np.array([int(np.flatnonzero(items.owner == place)[0]) for place in objects])
    images = to_images(sample.batch.views)
    length = len(items.owner) // len(sample.labels)  # 1, or the views of an object

    # The query has a column of its own, set apart by an empty one.
    height = 0.42 + 1.1 * len(objects)
    figure = Figure(figsize=(5.6, height))
    title = style.mathtext(TITLES[representation])
    figure.text(0.005, 1 - 0.08 / height, title, fontsize=10.5, fontweight="bold", va="top")
    widths = [1, 0.12, *[1] * NEIGHBOURS]
    grid = figure.add_gridspec(len(objects), len(widths), width_ratios=widths)
    grid.update(
        left=0.005,
        right=0.995,
        top=1 - 0.36 / height,
        bottom=0.2 / height,
        wspace=0.07,
        hspace=0.26,
    )

    found = nearest(items.features, items.owner, queries)
    for row, query in enumerate(queries):
        for column, item in enumerate([query, *found[row]]):
            axes = figure.add_subplot(grid[row, column + (column > 0)])
            show(axes, images[divmod(int(item), length)])
            is_query = column == 0
            with_angle = not is_query and representation == "z"
            text = _caption(sample, items, query, item, with_angle=with_angle)
            same = items.labels[item] == items.labels[query] >= 0
            axes.set_xlabel(
                text,
                fontsize=7.2,
                labelpad=2.5,
                color=style.INK if is_query or same else style.MUTED,
                **style.AS_IT_IS,
            )
            if is_query:
                _frame(axes, style.INK)
            elif same:
                _frame(axes, style.Z if representation == "z" else style.AGG)
    return figure


def examples(sample: Sample, count: int) -> list[int]:
    """Return the places in the sample of the first objects of some evenly spaced classes.

    They are not chosen by how they look.
    """
    classes = sample.classes or [-1]
    spread = np.unique(np.linspace(0, len(classes) - 1, count + 2).astype(int))
    chosen = [classes[i] for i in spread][-count:]
    return [int(np.flatnonzero(sample.labels == label)[0]) for label in chosen]


def _items(sample: Sample, representation: str) -> Items:
    """Return the items that a representation compares."""
    count, length = sample.z.shape[:2]
    rotations = sample.rotations
    if representation == "agg":
        first = None if rotations is None else rotations[:, 0]
        return Items(sample.agg, np.arange(count), sample.labels, first)

    owner = np.repeat(np.arange(count), length)
    each = None if rotations is None else rotations.reshape(-1, 4)
    return Items(sample.z.reshape(count * length, -1), owner, sample.labels[owner], each)


def _caption(sample: Sample, items: Items, query: int, item: int, *, with_angle: bool) -> str:
    """Return an item's class, shortened to leave room for its angle from the query."""
    label = items.labels[item]
    name = sample.spec.classes[label] if label >= 0 else ""
    if not with_angle or items.rotations is None:
        return _shortened(name, 15)
    angle = _angle(items.rotations[query], items.rotations[item])
    return f"{_shortened(name, 10)} {angle:.0f}°".strip()


def _frame(axes: Axes, colour: str) -> None:
    axes.spines[:].set(color=colour, linewidth=1.8)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _angle(one: Floats, other: Floats) -> Floats:
    """Return the degrees between rotations given as unit quaternions [..., 4]."""
    # q and -q are the same rotation, hence the absolute value.
    return np.asarray(np.degrees(2 * np.arccos(np.abs((one * other).sum(-1)).clip(0, 1))))
