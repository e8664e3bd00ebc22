"""Own data in a folder of arrays (see `seqjepa.worlds.arrays`), without writing code."""

from dataclasses import replace

from seqjepa.config import Experiment
from seqjepa.recipes.shapes import shapes_tiny
from seqjepa.worlds import arrays as world


def arrays() -> Experiment:
    """The demo's settings on the data in a folder.

    Every one of them is an option of the command line.

    Command: seqjepa train arrays --world.path FOLDER --run-dir runs/own
    """
    return replace(shapes_tiny(), name="arrays", world=world.Config(path="data"))
