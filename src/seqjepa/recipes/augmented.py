"""Augmentations of own images: any folder or archive of JPEGs and PNGs.

See `seqjepa.worlds.images.formats.folder`.
"""

from dataclasses import replace

from seqjepa.config import Experiment
from seqjepa.recipes.shapes import shapes_tiny
from seqjepa.worlds import augmented as world


def augmented() -> Experiment:
    """Four views of 32 pixels of each image, in the demo's small net.

    The last three are predicted one after the other.

    Command: seqjepa train augmented --world.path FOLDER --run-dir runs/augmented
    """
    return replace(
        shapes_tiny(),
        name="augmented",
        world=world.Config(source="folder", path="images", val_fraction=0.1),
    )
