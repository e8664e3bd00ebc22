"""Maps of the two representations: UMAP, coloured by class and by a factor of the pose."""

import atexit
import shutil
import tempfile
from dataclasses import dataclass
from typing import Any

import matplotlib.patheffects as effects
import numba
import numpy as np
import roma
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from seqjepa.report import style
from seqjepa.report.neighbours import nearest, spaced, unit
from seqjepa.report.runs import Floats
from seqjepa.report.sample import Ints, Sample

POINTS = 2000
FEWEST = 5  # points of a map


@dataclass(frozen=True)
class Factor:
    """A column of the pose.

    Attributes:
        name: what varies.
        unit: of the values, empty if they have none.
        values: [N, M].
        period: after which it repeats; None if it does not.
    """

    name: str
    unit: str
    values: Floats
    period: float | None

    @property
    def cyclic(self) -> bool:
        """True if the ends of its range meet."""
        return self.period is not None and float(np.ptp(self.values)) > 0.9 * self.period

    def distance(self, one: Floats, other: Floats) -> Floats:
        """Return the distances between values, the short way round."""
        apart = np.abs(one - other)
        return apart if self.period is None else np.minimum(apart, self.period - apart)


def why_not(features: Floats) -> str:
    """Return why features [n, D] cannot be mapped, empty if they can."""
    count, dimensions = features.shape
    if count < FEWEST or dimensions < 2:
        return f"a map needs {FEWEST} points of 2 dimensions, there are {count} of {dimensions}"
    return "all features point the same way" if unit(features).std(0).max() < 1e-6 else ""


def umap(features: Floats) -> Floats:
    """Map features [n, D] to a plane, [n, 2], by UMAP with cosine distance.

    The same features give the same map (McInnes, Healy, Melville 2018).
    """
    mapper = _find_umap()(
        n_neighbors=min(15, len(features) - 1),
        min_dist=0.15,
        metric="cosine",
        init="pca",
        n_epochs=200,
        random_state=0,
        n_jobs=1,
    )
    return np.asarray(mapper.fit_transform(features.astype(np.float32)), dtype=np.float64)


def _find_umap() -> Any:
    """Import UMAP, which compiles for seconds."""
    try:
        from umap import UMAP
    except RuntimeError:
        # It cannot keep what it compiles beside its files nor in a home folder.
        numba.config.CACHE_DIR = tempfile.mkdtemp(prefix="seqjepa-")  # type: ignore[attr-defined]
        atexit.register(shutil.rmtree, numba.config.CACHE_DIR, ignore_errors=True)  # type: ignore[attr-defined]
        from umap import UMAP
    return UMAP


def mapped_views(sample: Sample) -> tuple[Floats, Ints]:
    """Return the map of z, and the (object, view) [n, 2] of its points."""
    count, length = sample.z.shape[:2]
    # Each object gives equally many views, as many as there is room for.
    kept = max(1, min(length, POINTS // count))
    grid = np.meshgrid(np.arange(count), np.arange(kept), indexing="ij")
    where = np.stack(grid, -1).reshape(-1, 2)
    return umap(sample.z[where[:, 0], where[:, 1]]), where


def map_by_class(points: Floats, labels: Ints, sample: Sample, title: str) -> Figure:
    """Draw a map coloured by class, with names where there is room."""
    figure, axes = _map(title, points)
    spots = []
    for name, colour, marker, label in legend(sample):
        own = points[labels == label]
        axes.scatter(
            own[:, 0], own[:, 1], s=11, color=colour, marker=marker, linewidths=0, alpha=0.8
        )
        if len(own):
            # A name stands where its class is densest: at the point nearest to the others.
            distance = np.median(np.linalg.norm(own[:, None] - own[None], axis=-1), 1)
            densest = int(np.argmin(distance))
            spots.append((float(distance[densest]), own[densest], name))

    # The most compact classes are named first.
    _write_names(figure, sorted(spots, key=lambda spot: spot[0]))
    return figure


def map_by_factor(points: Floats, where: Ints, shown: Factor, title: str) -> Figure:
    """Draw the map of z coloured by a factor of the pose."""
    # The colour bar needs height: the map itself is as large as the others.
    figure, axes = _map(f"{title} {shown.name}", points, (4.4, 4.72))
    values = shown.values[where[:, 0], where[:, 1]]
    colours = "twilight_shifted" if shown.cyclic else "viridis"
    dots = axes.scatter(points[:, 0], points[:, 1], c=values, s=11, cmap=colours, linewidths=0)

    bar = figure.colorbar(dots, ax=axes, location="bottom", aspect=40, pad=0.03, shrink=0.9)
    bar.set_label(", ".join(filter(None, (shown.name, shown.unit))), **style.AS_IT_IS)
    bar.outline.set_visible(False)
    return figure


def best_ordered(sample: Sample) -> Factor | None:
    """Return the one of `factors` that neighbours in z agree on most; None if there are none."""
    count, length = sample.z.shape[:2]
    known = factors(sample)
    # A single object has no neighbours.
    if not known or count < 2:
        return known[0] if known else None
    z = sample.z.reshape(count * length, -1)
    queries = spaced(len(z))
    found = nearest(z, np.repeat(np.arange(count), length), queries)

    def disagreement(factor: Factor) -> float:
        """Return the mean distance to the neighbours, relative to that of any two views."""
        values = factor.values.reshape(-1)
        near = factor.distance(values[queries, None], values[found])
        any_two = factor.distance(values[:, None], values[queries])
        return float(near.mean() / any_two.mean()) if any_two.any() else np.inf

    return min(known, key=disagreement)


def factors(sample: Sample) -> list[Factor]:
    """Return the angles in degrees of the world's first rotation.

    Without a rotation, return the columns of its first group of factors, if it has one.
    """
    space = sample.spec.factors
    if not space.groups:
        return []
    group = next((group for group in space.groups if group.is_rotation), space.groups[0])
    poses = sample.batch.poses[..., space.columns(group)].double()
    names = [dim.replace("_", " ") for dim in group.dims]

    if group.kind == "quaternion":
        # Four numbers on a sphere order nothing by themselves: show three angles.
        angles = roma.unitquat_to_euler("xyz", group.absolute(poses).flatten(0, 1))
        poses = angles.unflatten(0, poses.shape[:2])
        names = [f"rotation about {axis}" for axis in "xyz"]

    columns = [poses[..., i].numpy() for i in range(len(names))]
    if group.is_rotation:
        return [
            Factor(name, "°", np.degrees(column), 360.0)
            for name, column in zip(names, columns, strict=True)
        ]
    period = group.period if group.kind == "circular" else None
    return [Factor(name, "", column, period) for name, column in zip(names, columns, strict=True)]


def legend(sample: Sample) -> list[tuple[str, str, str, int]]:
    """Return name, colour, marker and label of each class that occurs.

    Colour and marker together tell up to 36 classes apart.
    """
    # All colours are used with one marker before the next marker comes.
    markers = list(style.MARKERS)
    shown = []
    for i, label in enumerate(sample.classes):
        shown.append(
            (sample.spec.classes[label], style.CLASSES[i % 12], markers[i // 12 % 3], label)
        )
    return shown


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
    """Write names (spread, place, text), the first ones first, wherever they cover no other."""
    axes = figure.axes[0]
    taken: list[Bbox] = []
    # Extents are known only once the layout is.
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
            **style.AS_IT_IS,
        )
        label.set_path_effects([effects.withStroke(linewidth=2.2, foreground=style.PAPER)])

        box = label.get_window_extent().padded(2)
        inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
        if inside and not any(box.overlaps(other) for other in taken):
            taken.append(box)
        else:
            label.remove()
