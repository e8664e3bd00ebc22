"""Recipes for saccades on ImageNet-1k.

The paper only transfers to it: STL-10's model, frozen, and a linear probe (appendix, figure 15);
docs/data/saccades.md shows how. Training on it is our addition.

The published saliency (Hugging Face, Hafez/ImageNet1k-Saliency-Maps) has one file for each image:
--world.saliency FOLDER.
"""

from dataclasses import replace

from seqjepa.config import Experiment
from seqjepa.recipes.stl10 import stl10
from seqjepa.worlds import saccades as world


def imagenet() -> Experiment:
    """Patches of 32 pixels from images of 224, with the settings of `stl10`.

    It takes 100 epochs of batches of 512.

    Command: seqjepa train imagenet --world.path FOLDER --run-dir runs/imagenet

    Probes learn from 50,000 training images, one sequence of 8 patches of each: with the 50,000 for
    testing 1.6 GB of features and as much of z_AGG. From all of them (--evaluate.objects None) it
    would be 22 GB of each.

    The paper's result of transfer (DeepGaze, M = 1 .. 8): top-1 5.95 to 18.35 %.
    """
    base = stl10()
    images = world.Config(source="imagenet", path="imagenet", image_size=224, val_fraction=0.01)
    evaluate = replace(base.evaluate, objects=50_000, draws=1)
    return replace(
        base,
        name="imagenet",
        world=images,
        train=replace(base.train, steps=250_000),
        evaluate=evaluate,
    )


def imagenet_84() -> Experiment:
    """`imagenet` with patches of 84 pixels.

    Command: seqjepa train imagenet_84 --world.path FOLDER --run-dir runs/imagenet_84

    The paper's result of transfer (DeepGaze, M = 1 .. 8): top-1 10.70 to 22.98 %.
    """
    base = imagenet()
    assert isinstance(base.world, world.Config)
    return replace(base, name="imagenet_84", world=replace(base.world, patch_size=84))
