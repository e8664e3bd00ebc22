"""The tiny recipe on views of objects in files.

seqjepa train tests/faults/views.py --world.path FOLDER
"""

from dataclasses import replace

from faults import tiny
from seqjepa.config import Experiment
from seqjepa.worlds import threediebench


def recipe() -> Experiment:
    """Return an experiment of two steps."""
    base = tiny.recipe()
    return replace(
        base,
        world=threediebench.Config(path="data", image_size=16, views=3),
        train=replace(base.train, steps=2, checkpoint_every=2, batch_size=4),
    )
