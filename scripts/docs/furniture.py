"""Two figures of public-domain meshes: furniture.png and furniture_actions.png.

Both are drawn into docs/figures. The first shows one mesh of each class in several views. The
second shows sequences of views with the rotations between them.

    .venv/bin/python scripts/docs/furniture.py \
        data/debian/sweethome3d-furniture/usr/share/sweethome3d/furniture

The folder is what `make furniture` fetches. Only meshes of BlendSwap-CC-0.sh3f are drawn.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from seqjepa.render.meshes.collection import MeshFile, find_models
from seqjepa.render.meshes.workers import Task, draw
from seqjepa.render.scene import FACTORS, LATENTS, sample_latents
from seqjepa.report import style
from seqjepa.report.strips import draw_strips
from seqjepa.types import SequenceBatch
from seqjepa.worlds.base import WorldSpec

ROOT = Path(__file__).parents[2]
LABELS = ROOT / "examples" / "furniture.csv"
FIGURES = ROOT / "docs" / "figures"
VIEWS, SIZE = 5, 128

# Which mesh stands for a class, and which classes are shown as sequences.
SHOWN = {
    "animal": "teddyBear",
    "armchair": "modernArmchair",
    "bathroom": "toiletsUnit",
    "bed": "babyRockingBed",
    "cabinet": "drawersCabinet",
    "chair": "chairWithCushion",
    "clothing": "bootie",
    "kitchenware": "caffe_final",
    "lamp": "desklamp",
    "plant": "decorativePlant",
    "sofa": "winchesterSofa",
    "table": "tableWithTablecloth",
}
IN_SEQUENCE = ("animal", "chair", "kitchenware")


def main() -> None:
    meshes = public_domain(Path(sys.argv[1]))
    close = {"dpi": 150, "bbox_inches": "tight", "pad_inches": 0.05}
    with style.look():
        draw_sheet(meshes).savefig(FIGURES / "furniture.png", **close)
        draw_sequences(meshes).savefig(FIGURES / "furniture_actions.png", **close)


def public_domain(folder: Path) -> dict[str, MeshFile]:
    """Return the mesh that is shown of each class."""
    # The package's other files are CC BY.
    found = {
        (mesh.category, Path(mesh.name).stem): mesh
        for mesh in find_models(folder, LABELS).models
        if "BlendSwap-CC-0" in mesh.file
    }
    return {category: found[category, name] for category, name in SHOWN.items()}


def draw_sheet(meshes: dict[str, MeshFile]) -> Figure:
    """Draw several views of each mesh, two classes side by side."""
    figure = Figure(figsize=(9.6, 0.5 * 1.13 * len(meshes)))
    gap = 0.15  # an empty column between the two classes
    widths = [*[1.0] * VIEWS, gap, *[1.0] * VIEWS]
    spacing = {"wspace": 0.04, "hspace": 0.3, "width_ratios": widths}
    axes = figure.subplots(len(meshes) // 2, len(widths), gridspec_kw=spacing)

    for number, (category, mesh) in enumerate(meshes.items()):
        first = (VIEWS + 1) * (number % 2)
        row = axes[number // 2, first : first + VIEWS]
        row[0].set_title(category, loc="left", fontsize=9, fontweight="bold", pad=3)
        for axis, view in zip(row, render(mesh, latents(number)), strict=True):
            axis.imshow(view)
    for axis in axes.flat:
        axis.set_axis_off()
    return figure


def draw_sequences(meshes: dict[str, MeshFile]) -> Figure:
    """Draw four views each of some meshes, with the rotations between them."""
    poses = np.stack([latents(seed)[: VIEWS - 1] for seed in range(len(IN_SEQUENCE))])
    views = np.stack(
        [render(meshes[name], pose) for name, pose in zip(IN_SEQUENCE, poses, strict=True)]
    )

    spec = WorldSpec(
        name="furniture",
        image_shape=(3, SIZE, SIZE),
        classes=IN_SEQUENCE,
        factors=FACTORS,
        actions=FACTORS.select(("rotation",)),
        splits=("train", "val", "test"),
        views_per_object=None,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
    )
    factors = torch.from_numpy(poses)
    batch = SequenceBatch(
        views=torch.from_numpy(views).movedim(-1, -3),
        actions=spec.actions.along(factors),
        poses=factors,
        labels=torch.arange(len(IN_SEQUENCE)),
    )
    return draw_strips(batch, spec)


def latents(seed: int) -> np.ndarray:
    """Draw the latents of VIEWS views. The first view is upright and in an even light."""
    drawn = sample_latents(np.random.default_rng(seed), VIEWS)
    drawn[0] = [0, 0, 0.5, drawn[0, LATENTS.index("floor_hue")], 0.5, 1.2, drawn[0, -1]]
    return drawn


def render(mesh: MeshFile, views: np.ndarray) -> np.ndarray:
    """Return a picture [V, S, S, 3] for each view's latents."""
    found = draw(Task(mesh, views, SIZE))
    if isinstance(found, str):  # why the mesh cannot be drawn
        raise SystemExit(found)
    return found


if __name__ == "__main__":
    main()
