"""Saccades over own images: any folder or archive of JPEGs and PNGs.

See `seqjepa.worlds.images.formats.folder`.
"""

from dataclasses import replace

from seqjepa.config import Experiment
from seqjepa.recipes.shapes import shapes_tiny
from seqjepa.worlds import saccades as world


def saccades() -> Experiment:
    """Five patches of 32 pixels of each image, in the demo's small net.

    The last four are predicted one after the other.

    Command: seqjepa train saccades --world.path FOLDER --run-dir runs/saccades
    """
    tiny = shapes_tiny()
    return replace(
        tiny,
        name="saccades",
        world=world.Config(source="folder", path="images"),
        train=replace(tiny.train, num_views=5),
        evaluate=replace(tiny.evaluate, draws=4),
    )
