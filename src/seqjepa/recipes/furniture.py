"""Real meshes under the factors of 3DIEBench: what `make furniture` fetches and renders."""

from dataclasses import replace

from seqjepa.config import Experiment
from seqjepa.recipes.shapes import shapes_tiny
from seqjepa.worlds import threediebench as world


def furniture() -> Experiment:
    """The demo's small net on 429 pieces of furniture and other things of a house, of 20 classes.

    Command: seqjepa train furniture --run-dir runs/furniture
    """
    tiny = shapes_tiny()
    return replace(
        tiny,
        name="furniture",
        world=world.Config(path="data/furniture", image_size=64, views=24),
        train=replace(tiny.train, batch_size=32),
        evaluate=replace(tiny.evaluate, objects=None, encoded_views=24, draws=4),
    )
