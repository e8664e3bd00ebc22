"""Two figures of public-domain meshes: docs/figures/furniture.png, one of each class in several
views, and furniture_actions.png, sequences of views with the rotations between them.

    .venv/bin/python docs/furniture.py
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

DOCS = Path(__file__).parent
VIEWS, SIZE = 5, 128
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
    found = find_models(Path(sys.argv[1]), DOCS.parent / "examples" / "furniture.csv").models
    public = {
        (model.category, Path(model.name).stem): model
        for model in found
        if "BlendSwap-CC-0" in model.file
    }
    models = {category: public[category, name] for category, name in SHOWN.items()}
    with style.look():
        for name, figure in (
            ("furniture", sheet(models)),
            ("furniture_actions", sequences(models)),
        ):
            figure.savefig(
                DOCS / "figures" / f"{name}.png", dpi=150, bbox_inches="tight", pad_inches=0.05
            )


def sheet(models: dict[str, MeshFile]) -> Figure:
    """All of them, two classes side by side, a gap between them."""
    figure = Figure(figsize=(9.6, 0.5 * 1.13 * len(models)))
    ratios = [*[1.0] * VIEWS, 0.15, *[1.0] * VIEWS]
    axes = figure.subplots(
        len(models) // 2,
        2 * VIEWS + 1,
        gridspec_kw={"wspace": 0.04, "hspace": 0.3, "width_ratios": ratios},
    )
    for number, (category, model) in enumerate(models.items()):
        row = axes[number // 2, (VIEWS + 1) * (number % 2) :]
        row[0].set_title(category, loc="left", fontsize=9, fontweight="bold", pad=3)
        for axis, view in zip(row, _views(model, _latents(number)), strict=False):
            axis.imshow(view)
            axis.set_axis_off()
    for axis in axes[:, VIEWS]:
        axis.set_axis_off()
    return figure


def sequences(models: dict[str, MeshFile]) -> Figure:
    """Four views of some."""
    latents = np.stack([_latents(seed)[: VIEWS - 1] for seed in range(len(IN_SEQUENCE))])
    views = np.stack(
        [_views(models[name], of) for name, of in zip(IN_SEQUENCE, latents, strict=True)]
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
    poses = torch.from_numpy(latents)
    pixels = torch.from_numpy(views).movedim(-1, -3)
    return draw_strips(
        SequenceBatch(pixels, spec.actions.along(poses), poses, torch.arange(len(IN_SEQUENCE))),
        spec,
    )


def _latents(seed: int) -> np.ndarray:
    """Of VIEWS views, the first upright and in an even light."""
    latents = sample_latents(np.random.default_rng(seed), VIEWS)
    latents[0] = [0, 0, 0.5, latents[0, LATENTS.index("floor_hue")], 0.5, 1.2, latents[0, -1]]
    return latents


def _views(model: MeshFile, latents: np.ndarray) -> np.ndarray:
    """Views [V, S, S, 3]."""
    views = draw(Task(model, latents, SIZE))
    if isinstance(views, str):
        raise SystemExit(views)
    return views


if __name__ == "__main__":
    main()
