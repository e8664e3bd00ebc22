"""docs/figures/imagination.png: what a run's model imagines, drawn by its decoder.

    .venv/bin/python scripts/docs/imagination.py runs/long/demo_seed0 runs/equal_views/demo_seed0

Run `seqjepa decode` on the runs first. The picture is of the first. The objects are test objects of
evenly spaced classes, not chosen by how they look. What was measured of the decoders is copied to
docs/results/decoders.
"""

import shutil
import sys
from pathlib import Path

import numpy as np

from committed import DOCS, RESULTS
from seqjepa import WorldModel
from seqjepa.report import style
from seqjepa.report.decoded import draw_decoded

OBJECTS = 3


def main() -> None:
    runs = [Path(argument) for argument in sys.argv[1:]]
    for run in runs:
        [state] = (run / "decoder").glob("*/state.json")
        kept = RESULTS / "decoders" / run.parent.name / f"{run.name}.json"
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(state, kept)

    model = WorldModel.load(runs[0])
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
