"""The contact sheet docs/figures/furniture.png: one public-domain mesh per class, in several views.

    .venv/bin/python docs/furniture.py data/debian/sweethome3d-furniture/usr/share/sweethome3d/furniture

The folder is what `make furniture` fetches. Only meshes of BlendSwap-CC-0.sh3f are drawn.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from seqjepa.report import style
from seqjepa.worlds.meshes.find import Model, find_models
from seqjepa.worlds.meshes.work import Task, draw
from seqjepa.worlds.scene import LATENTS, sample_latents

DOCS = Path(__file__).parent
VIEWS, SIZE = 5, 128
SHOWN = {
    "armchair": "modernArmchair",
    "bathroom": "toiletsUnit",
    "bed": "babyRockingBed",
    "bicycle": "motorbike",
    "cabinet": "drawersCabinet",
    "car": "peterbilt",
    "chair": "chairWithCushion",
    "kitchenware": "caffe_final",
    "lamp": "desklamp",
    "plant": "decorativePlant",
    "sofa": "winchesterSofa",
    "table": "tableWithTablecloth",
}


def main() -> None:
    found = find_models(Path(sys.argv[1]), DOCS.parent / "examples" / "furniture.csv").models
    public = {(model.category, Path(model.name).stem): model for model in found if "BlendSwap-CC-0" in model.file}
    with style.look():
        figure = Figure(figsize=(9.6, 0.5 * 1.13 * len(SHOWN)))
        ratios = [*[1.0] * VIEWS, 0.15, *[1.0] * VIEWS]  # two classes side by side, a gap between them
        axes = figure.subplots(len(SHOWN) // 2, 2 * VIEWS + 1, gridspec_kw={"wspace": 0.04, "hspace": 0.3, "width_ratios": ratios})
        for number, (category, name) in enumerate(SHOWN.items()):
            row = axes[number // 2, (VIEWS + 1) * (number % 2) :]
            row[0].set_title(category, loc="left", fontsize=9, fontweight="bold", pad=3)
            for axis, view in zip(row, _views(public[category, name], number), strict=False):
                axis.imshow(view)
                axis.set_axis_off()
        for axis in axes[:, VIEWS]:
            axis.set_axis_off()
        figure.savefig(DOCS / "figures" / "furniture.png", dpi=150, bbox_inches="tight", pad_inches=0.05)


def _views(model: Model, seed: int) -> np.ndarray:
    """Views [V, S, S, 3], the first upright and in an even light."""
    latents = sample_latents(np.random.default_rng(seed), VIEWS)
    latents[0] = [0, 0, 0.5, latents[0, LATENTS.index("floor_hue")], 0.5, 1.2, latents[0, -1]]
    views = draw(Task(model, latents, SIZE))
    if isinstance(views, str):
        raise SystemExit(views)
    return views


if __name__ == "__main__":
    main()
