"""Real meshes under the factors of 3DIEBench: what `make furniture` fetches and renders."""

from dataclasses import replace

from seqjepa.config import Experiment
from seqjepa.recipes.shapes import shapes_tiny
from seqjepa.worlds import threediebench as world


def furniture() -> Experiment:
    """The demo's small net and settings, for twice as long, on real meshes.

    They are 424 pieces of furniture and other things of a house, of 20 classes; 296 are for
    training.

    Command: seqjepa train furniture --run-dir runs/furniture
    """
    tiny = shapes_tiny()
    evaluate = replace(tiny.evaluate, objects=None, encoded_views=96, draws=32)

    return replace(
        tiny,
        name="furniture",
        world=world.Config(path="data/furniture.pack", image_size=32, views=96),
        train=replace(tiny.train, steps=8000),
        evaluate=evaluate,
    )
