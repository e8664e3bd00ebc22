"""Nearest draw_neighbours in the two representations: pictures of a few, figures over the whole
sample."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from seqjepa.report import style
from seqjepa.report.runs import Floats
from seqjepa.report.sample import Ints, Sample
from seqjepa.report.strips import show, to_images

NEIGHBOURS, QUERIES = 5, 4
TITLES = {"z": "Neighbours in z", "agg": "Neighbours in z_AGG"}


@dataclass(frozen=True)
class Nearness:
    """What the nearest draw_neighbours among other objects have in common with a query; NaN where the
    world does not tell.

    Attributes:
        same_class: share of the draw_neighbours that are of the query's class.
        angle: median angle in degrees between the query's rotation and a neighbour's.
    """

    same_class: float
    angle: float


def nearest(features: Floats, owner: Ints, queries: Ints) -> Ints:
    """[q, k] nearest draw_neighbours of some rows by cosine, among rows of other owners."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True).clip(1e-12)
    likeness = unit[queries] @ unit.T
    likeness[owner[queries][:, None] == owner[None]] = -np.inf
    return np.argsort(-likeness, axis=1, kind="stable")[:, :NEIGHBOURS]


def nearness(sample: Sample, representation: str) -> Nearness:
    """Over all the sample: of `z`, of `agg` (whose pose is that of its first view), or of `chance`,
    draw_neighbours in random features."""
    features, owner, labels, rotations = _rows(sample, representation)
    if representation == "chance":
        features = np.random.default_rng(0).normal(size=(len(owner), 64))
    queries = np.arange(0, len(owner), max(1, len(owner) // 1000))
    found = nearest(features, owner, queries)
    known = labels[queries] >= 0
    same = (labels[found] == labels[queries][:, None])[known]
    angle = (
        float(np.median(_angle(rotations[queries][:, None], rotations[found])))
        if rotations is not None
        else float("nan")
    )
    return Nearness(float(same.mean()) if known.any() else float("nan"), angle)


def draw_neighbours(sample: Sample, representation: str) -> Figure:
    """Queries, the first object of evenly spaced classes, each with its nearest draw_neighbours of other
    objects; the same class is framed."""
    features, owner, labels, rotations = _rows(sample, representation)
    objects = examples(sample, QUERIES)
    queries = np.array([int(np.flatnonzero(owner == i)[0]) for i in objects])
    images, colour = to_images(sample.batch.views), style.Z if representation == "z" else style.AGG
    height = 0.42 + 1.1 * len(objects)
    figure = Figure(figsize=(5.6, height))
    figure.text(
        0.005,
        1 - 0.08 / height,
        style.mathtext(TITLES[representation]),
        fontsize=10.5,
        fontweight="bold",
        va="top",
    )
    grid = figure.add_gridspec(
        len(objects), NEIGHBOURS + 2, width_ratios=[1, 0.12, *[1] * NEIGHBOURS]
    )
    grid.update(
        left=0.005,
        right=0.995,
        top=1 - 0.36 / height,
        bottom=0.2 / height,
        wspace=0.07,
        hspace=0.26,
    )
    for row, (query, found) in enumerate(
        zip(queries, nearest(features, owner, queries), strict=True)
    ):
        for column, item in enumerate([query, *found]):
            axes = figure.add_subplot(grid[row, column + (column > 0)])
            place = divmod(int(item), len(owner) // len(sample.labels))
            show(axes, images[place])
            text = sample.spec.classes[labels[item]].replace("_", " ") if labels[item] >= 0 else ""
            if column and representation == "z" and rotations is not None:
                text = f"{_shortened(text, 10)} {_angle(rotations[query], rotations[item]):.0f}°".strip()
            else:
                text = _shortened(text, 15)
            same = labels[item] == labels[query] >= 0
            axes.set_xlabel(
                text,
                fontsize=7.2,
                labelpad=2.5,
                color=style.INK if not column or same else style.MUTED,
            )
            if not column or same:
                axes.spines[:].set(color=style.INK if not column else colour, linewidth=1.8)
    return figure


def examples(sample: Sample, count: int) -> list[int]:
    """Places in the sample of the first object of each of some evenly spaced classes: not chosen by
    how they look."""
    classes = sample.classes or [-1]
    chosen = [
        classes[i] for i in np.unique(np.linspace(0, len(classes) - 1, count + 2).astype(int))
    ][-count:]
    return [int(np.flatnonzero(sample.labels == label)[0]) for label in chosen]


def _rows(sample: Sample, representation: str) -> tuple[Floats, Ints, Ints, Floats | None]:
    """Features, owner, label and rotation quaternion of the items that a representation compares:
    views for z, sequences for z_AGG."""
    count, length = sample.z.shape[:2]
    pose = sample.rotations
    if representation == "agg":
        return sample.agg, np.arange(count), sample.labels, None if pose is None else pose[:, 0]
    owner = np.repeat(np.arange(count), length)
    return (
        sample.z.reshape(count * length, -1),
        owner,
        sample.labels[owner],
        None if pose is None else pose.reshape(-1, 4),
    )


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _angle(one: Floats, other: Floats) -> Floats:
    """Degrees between rotations given as unit quaternions [..., 4]."""
    return np.asarray(np.degrees(2 * np.arccos(np.abs((one * other).sum(-1)).clip(0, 1))))
