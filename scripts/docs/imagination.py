"""docs/figures/imagination.png: what a run's model imagines, drawn by its decoder.

    .venv/bin/python scripts/docs/imagination.py runs/long/demo_seed0

Run `seqjepa decode` on the run first. The objects are test objects of evenly spaced classes, not
chosen by how they look.
"""

import sys
from pathlib import Path

import numpy as np

from committed import DOCS
from seqjepa import WorldModel
from seqjepa.report import style
from seqjepa.report.decoded import draw_decoded

OBJECTS = 3


def main() -> None:
    model = WorldModel.load(Path(sys.argv[1]))
    world = model.model.experiment.world.build()
    # Classes take turns among objects.
    index = np.linspace(0, len(world.spec.classes) - 1, OBJECTS + 2).astype(np.int64)[1:-1]
    with style.look():
        figure = draw_decoded(model, world, index)
        (DOCS / "figures" / "imagination.png").write_bytes(
            style.picture("imagination", figure, "imagination").png
        )


if __name__ == "__main__":
    main()
