"""Recipes on Tiny ImageNet with parametrised augmentation; what is said of `cifar100` holds here,
too (seq-JEPA, section 4 and table 2).
"""

from dataclasses import replace

from seqjepa.config import Experiment
from seqjepa.nn import EncoderConfig
from seqjepa.recipes import for_baselines
from seqjepa.recipes.cifar100 import BATCH, EPOCHS, MEAN, STD, cifar100
from seqjepa.worlds import augmented as world

IMAGES = 100_000
WORLD = world.Config(source="tiny_imagenet", path="data/tiny-imagenet-200", image_size=64)


def tiny_imagenet() -> Experiment:
    """The paper's setting: `cifar100` at 64 px with ImageNet's stem.

    Command: seqjepa train tiny_imagenet --world.path DATA --run-dir runs/tiny_imagenet
    """
    base = cifar100()
    train = replace(base.train, steps=EPOCHS * IMAGES // BATCH)
    return replace(
        base, name="tiny_imagenet", world=WORLD, encoder=EncoderConfig(stem="imagenet"), train=train
    )


def tiny_imagenet_paper() -> Experiment:
    """`tiny_imagenet` as the paper's text has it: pixels normalised by CIFAR-10's statistics, where
    the released code has the set's own; nothing held out.

    Command: seqjepa train tiny_imagenet_paper --world.path DATA --run-dir runs/tiny_imagenet_paper
    """
    return replace(
        tiny_imagenet(),
        name="tiny_imagenet_paper",
        world=replace(WORLD, val_fraction=0.0, mean=MEAN, std=STD),
    )


def tiny_imagenet_baseline() -> Experiment:
    """`tiny_imagenet` for the paper's baselines, as `cifar100_baseline`.

    Command: seqjepa train tiny_imagenet_baseline --method byol --world.path DATA --run-dir
        runs/tiny_byol
    """
    return for_baselines(replace(tiny_imagenet(), world=replace(WORLD, last=WORLD.observed)))
