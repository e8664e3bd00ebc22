"""Maps of the two representations: UMAP, coloured by class and by a factor of the pose."""

import matplotlib.patheffects as effects
import numpy as np
import roma
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from seqjepa.report import style
from seqjepa.report.runs import Floats
from seqjepa.report.sample import Ints, Sample

POINTS = 2000


def umap(features: Floats) -> Floats:
    """Features [n, D] on a plane, [n, 2], by cosine distance (McInnes, Healy, Melville 2018); the same features give the same map."""
    from umap import UMAP

    near = min(15, len(features) - 1)
    mapper = UMAP(n_neighbors=near, min_dist=0.15, metric="cosine", init="pca", n_epochs=200, random_state=0, n_jobs=1)
    return np.asarray(mapper.fit_transform(features.astype(np.float32)), dtype=np.float64)


def mapped_views(sample: Sample) -> tuple[Floats, Ints]:
    """The map of z, and the (object, view) [n, 2] of its points."""
    count, length = sample.z.shape[:2]
    kept = max(1, min(length, POINTS // count))
    where = np.stack(np.meshgrid(np.arange(count), np.arange(kept), indexing="ij"), -1).reshape(-1, 2)
    return umap(sample.z[where[:, 0], where[:, 1]]), where


def map_by_class(points: Floats, labels: Ints, sample: Sample, title: str) -> Figure:
    """A map coloured by class; names stand where a class is densest, as far as there is room."""
    figure, axes = _map(title, points)
    spots = []
    for name, colour, marker, label in legend(sample):
        mine = points[labels == label]
        axes.scatter(mine[:, 0], mine[:, 1], s=11, color=colour, marker=marker, linewidths=0, alpha=0.8)
        if len(mine):
            distance = np.linalg.norm(mine[:, None] - mine[None], axis=-1)
            densest = int(np.argmin(np.median(distance, 1)))
            spots.append((float(np.median(distance[densest])), mine[densest], name))
    _write_names(figure, sorted(spots, key=lambda spot: spot[0]))
    return figure


def map_by_factor(points: Floats, where: Ints, sample: Sample, title: str) -> Figure:
    """The map of z coloured by the last angle of the first rotation of the world, else by its first factor."""
    name, values, cyclic = factor(sample)
    figure, axes = _map(f"{title} {name.partition(',')[0]}", points, (4.4, 4.72))  # the map itself is as large as the others
    shade = values[where[:, 0], where[:, 1]]
    dots = axes.scatter(points[:, 0], points[:, 1], c=shade, s=11, cmap="twilight_shifted" if cyclic else "viridis", linewidths=0)
    bar = figure.colorbar(dots, ax=axes, location="bottom", aspect=40, pad=0.03, shrink=0.9, label=name)
    bar.outline.set_visible(False)
    return figure


def factor(sample: Sample) -> tuple[str, Floats, bool]:
    """The factor that colours a map: its name with unit, [N, M] values, and whether its ends meet."""
    space = sample.spec.factors
    group = next((g for g in space.groups if g.is_rotation), space.groups[0])
    poses = sample.batch.poses[..., space.columns(group)].double()
    if group.kind == "quaternion":
        angles = roma.unitquat_to_euler("xyz", group.absolute(poses).flatten(0, 1), degrees=True)
        return "rotation about z, °", angles[:, 2].reshape(poses.shape[:2]).numpy(), True
    values = poses[..., -1].numpy() if group.is_rotation else poses[..., 0].numpy()
    if group.is_rotation:
        return f"{group.dims[-1].replace('_', ' ')}, °", np.degrees(values), float(np.ptp(values)) > 1.75 * np.pi
    return group.dims[0].replace("_", " "), values, group.kind == "circular"


def legend(sample: Sample) -> list[tuple[str, str, str, int]]:
    """(name, colour, marker, label) of each class that occurs; colour and marker together name up to 36 of them."""
    shapes = list(style.MARKERS)
    return [
        (sample.spec.classes[label].replace("_", " "), style.CLASSES[i % 12], shapes[i // 12 % 3], label)
        for i, label in enumerate(sample.classes)
    ]


def _map(title: str, points: Floats, size: tuple[float, float] = style.SQUARE) -> tuple[Figure, Axes]:
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
        label = axes.annotate(name, tuple(place), (0, 5), textcoords="offset points", ha="center", fontsize=7.5, fontweight="bold")
        label.set_path_effects([effects.withStroke(linewidth=2.2, foreground=style.PAPER)])
        box = label.get_window_extent().padded(2)
        if any(box.overlaps(other) for other in taken) or box.x0 < axes.bbox.x0 or box.x1 > axes.bbox.x1:
            label.remove()
        else:
            taken.append(box)
