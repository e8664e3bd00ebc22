"""Two figures of worlds that need no data: shapes.png and arrays.png, drawn into docs/figures.

Each shows sequences of views with the actions between them. The arrays are those that
examples/own_arrays.py writes.

    .venv/bin/python scripts/docs/samples.py
"""

import os
import tempfile
from pathlib import Path

import numpy as np

from seqjepa.keys import draw_key
from seqjepa.recipes import load_code
from seqjepa.report import style
from seqjepa.report.strips import draw_strips
from seqjepa.worlds import arrays, shapes
from seqjepa.worlds.base import World

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "docs" / "figures"
VIEWS = 4  # of a sequence
# Objects whose sequences are shown.
SHAPES = (0, 7, 12)
DIGITS = (3, 4, 8)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SEQJEPA_CACHE"] = f"{folder}/cache"
        drawn = shapes.Config(image_size=128, train_objects=29, test_objects=1, views=VIEWS)
        save("shapes", drawn.build(), SHAPES)

        load_code(ROOT / "examples" / "own_arrays.py").main(Path(folder), objects=60, views=VIEWS)
        save("arrays", arrays.Config(path=folder).build(), DIGITS)


def save(name: str, world: World, objects: tuple[int, ...]) -> None:
    """Draw a sequence of each of some training objects."""
    index = np.array(objects)
    batch = world.sequences("train", index, VIEWS, draw_key(0, "train", index, index))
    with style.look():
        figure = draw_strips(batch, world.spec)
        figure.savefig(FIGURES / f"{name}.png", dpi=150, bbox_inches="tight", pad_inches=0.05)


if __name__ == "__main__":
    main()
