"""Maps of the two representations: UMAP, coloured by class and by a factor of the pose."""

from dataclasses import dataclass

import matplotlib.patheffects as effects
import numpy as np
import roma
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from seqjepa.report import style
from seqjepa.report.neighbours import nearest
from seqjepa.report.runs import Floats
from seqjepa.report.sample import Ints, Sample

POINTS = 2000


@dataclass(frozen=True)
class Factor:
    """A column of the pose.

    Attributes:
        name, unit: of it.
        values: [N, M].
        period: after which it repeats; None if it does not.
    """

    name: str
    unit: str
    values: Floats
    period: float | None

    @property
    def cyclic(self) -> bool:
        """Whether the ends of its range meet."""
        return self.period is not None and float(np.ptp(self.values)) > 0.9 * self.period

    def distance(self, one: Floats, other: Floats) -> Floats:
        """How far apart values are."""
        apart = np.abs(one - other)
        return apart if self.period is None else np.minimum(apart, self.period - apart)


def umap(features: Floats) -> Floats:
    """Features [n, D] on a plane, [n, 2], by cosine distance (McInnes, Healy, Melville 2018); the
    same features give the same map."""
    from umap import UMAP

    near = min(15, len(features) - 1)
    mapper = UMAP(
        n_neighbors=near,
        min_dist=0.15,
        metric="cosine",
        init="pca",
        n_epochs=200,
        random_state=0,
        n_jobs=1,
    )
    return np.asarray(mapper.fit_transform(features.astype(np.float32)), dtype=np.float64)


def mapped_views(sample: Sample) -> tuple[Floats, Ints]:
    """The map of z, and the (object, view) [n, 2] of its points."""
    count, length = sample.z.shape[:2]
    kept = max(1, min(length, POINTS // count))
    where = np.stack(np.meshgrid(np.arange(count), np.arange(kept), indexing="ij"), -1).reshape(
        -1, 2
    )
    return umap(sample.z[where[:, 0], where[:, 1]]), where


def map_by_class(points: Floats, labels: Ints, sample: Sample, title: str) -> Figure:
    """A map coloured by class; names stand where a class is densest, as far as there is room."""
    figure, axes = _map(title, points)
    spots = []
    for name, colour, marker, label in legend(sample):
        mine = points[labels == label]
        axes.scatter(
            mine[:, 0], mine[:, 1], s=11, color=colour, marker=marker, linewidths=0, alpha=0.8
        )
        if len(mine):
            distance = np.linalg.norm(mine[:, None] - mine[None], axis=-1)
            densest = int(np.argmin(np.median(distance, 1)))
            spots.append((float(np.median(distance[densest])), mine[densest], name))
    _write_names(figure, sorted(spots, key=lambda spot: spot[0]))
    return figure


def map_by_factor(points: Floats, where: Ints, shown: Factor, title: str) -> Figure:
    """The map of z coloured by a factor of the pose."""
    figure, axes = _map(
        f"{title} {shown.name}", points, (4.4, 4.72)
    )  # the map itself is as large as the others
    shade, colours = (
        shown.values[where[:, 0], where[:, 1]],
        "twilight_shifted" if shown.cyclic else "viridis",
    )
    dots = axes.scatter(points[:, 0], points[:, 1], c=shade, s=11, cmap=colours, linewidths=0)
    label = style.mathtext(", ".join(filter(None, (shown.name, shown.unit))))
    bar = figure.colorbar(
        dots, ax=axes, location="bottom", aspect=40, pad=0.03, shrink=0.9, label=label
    )
    bar.outline.set_visible(False)
    return figure


def best_ordered(sample: Sample) -> Factor:
    """Of the angles of the world's first rotation, or else of its first factors, the one that
    neighbours in z agree on most."""
    z, owner = (
        sample.z.reshape(-1, sample.z.shape[-1]),
        np.repeat(np.arange(len(sample.z)), sample.z.shape[1]),
    )
    queries = np.arange(0, len(z), max(1, len(z) // 1000))
    found = nearest(z, owner, queries)

    def disagreement(factor: Factor) -> float:
        """Mean distance to the neighbours, relative to that of two views at random."""
        values = factor.values.reshape(-1)
        near, any_two = (
            factor.distance(values[queries, None], values[found]),
            factor.distance(values[:, None], values[queries]),
        )
        return float(near.mean() / any_two.mean())

    return min(factors(sample), key=disagreement)


def factors(sample: Sample) -> list[Factor]:
    """The angles in degrees of the world's first rotation, else the columns of its first group of
    factors."""
    space = sample.spec.factors
    group = next((g for g in space.groups if g.is_rotation), space.groups[0])
    poses = sample.batch.poses[..., space.columns(group)].double()
    names = [dim.replace("_", " ") for dim in group.dims]
    if group.kind == "quaternion":
        poses = roma.unitquat_to_euler("xyz", group.absolute(poses).flatten(0, 1)).unflatten(
            0, poses.shape[:2]
        )
        names = [f"rotation about {axis}" for axis in "xyz"]
    if group.is_rotation:
        return [
            Factor(name, "°", np.degrees(poses[..., i].numpy()), 360.0)
            for i, name in enumerate(names)
        ]
    period = group.period if group.kind == "circular" else None
    return [Factor(name, "", poses[..., i].numpy(), period) for i, name in enumerate(names)]


def legend(sample: Sample) -> list[tuple[str, str, str, int]]:
    """(name, colour, marker, label) of each class that occurs; colour and marker together name up
    to 36 of them."""
    shapes = list(style.MARKERS)
    return [
        (
            sample.spec.classes[label].replace("_", " "),
            style.CLASSES[i % 12],
            shapes[i // 12 % 3],
            label,
        )
        for i, label in enumerate(sample.classes)
    ]


def _map(
    title: str, points: Floats, size: tuple[float, float] = style.SQUARE
) -> tuple[Figure, Axes]:
    figure, axes = style.panel(title, "UMAP 1", "UMAP 2", size)
    axes.grid(visible=False)
    axes.set(xticks=[], yticks=[])
    low, high = points.min(0), points.max(0)
    room = 0.07 * (high - low).max()  # for names at the rim
    axes.set(xlim=(low[0] - room, high[0] + room), ylim=(low[1] - room, high[1] + room))
    return figure, axes


def _write_names(figure: Figure, spots: list[tuple[float, Floats, str]]) -> None:
    """Names (spread, place, text), the first ones first, wherever they cover no other."""
    axes = figure.axes[0]
    taken: list[Bbox] = []
    figure.draw_without_rendering()
    for _, place, name in spots:
        label = axes.annotate(
            name,
            tuple(place),
            (0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            fontweight="bold",
        )
        label.set_path_effects([effects.withStroke(linewidth=2.2, foreground=style.PAPER)])
        box = label.get_window_extent().padded(2)
        if (
            any(box.overlaps(other) for other in taken)
            or box.x0 < axes.bbox.x0
            or box.x1 > axes.bbox.x1
        ):
            label.remove()
        else:
            taken.append(box)
