"""Recipes for predictive learning across saccades on STL-10 (seq-JEPA, section 3.3 and table 3).

Bring `stl10_binary.tar.gz`.

The paper's saliency is DeepGaze IIE's; its maps are published (Hugging Face, Hafez/salmap-stl10):
--world.saliency FOLDER. Without, the built-in spectral residual is used. The ablations of table 3
are options:

- without saliency and inhibition of return: --world.saliency uniform --world.inhibition none
- without inhibition of return: --world.inhibition none
- without actions: --method.condition none
"""

from dataclasses import replace

from seqjepa.config import EvaluateConfig, Experiment, OptimConfig, TrainConfig
from seqjepa.methods import conv_jepa, seq_jepa
from seqjepa.nn import EncoderConfig
from seqjepa.recipes import CONSTANT
from seqjepa.worlds import saccades as world


def stl10() -> Experiment:
    """The paper's setting: M = 4 patches of 32 pixels and a fifth to predict.

    They are from 96-pixel images; CIFAR stem, 2,000 epochs with batches of 512.

    Command: seqjepa train stl10 --world.path stl10_binary.tar.gz --run-dir runs/stl10

    The paper's result (DeepGaze): top-1 of z_AGG of four patches 83.44 %, of six 84.12 %; R2 of
    relative position 0.80.
    """
    return Experiment(
        name="stl10",
        method=seq_jepa.Config(),
        world=world.Config(source="stl10", path="stl10_binary.tar.gz", val_fraction=0.0),
        encoder=EncoderConfig(stem="cifar"),
        optim=OptimConfig(warmup=0.01),
        train=TrainConfig(steps=390_625, num_views=5),
        evaluate=EvaluateConfig(),
    )


def stl10_release() -> Experiment:
    """`stl10` with the inhibition of return of the authors' release.

    It is a square of 33 pixels in place of a disc.

    Command: seqjepa train stl10_release --world.path stl10_binary.tar.gz --run-dir
        runs/stl10_release

    The release also cuts patches at the transposed fixation, which only weakens the saliency, and
    never inhibits where saliency is off.
    """
    paper = stl10()
    assert isinstance(paper.world, world.Config)
    return replace(paper, name="stl10_release", world=replace(paper.world, inhibition="square"))


def stl10_baseline() -> Experiment:
    """Conv-JEPA on the same patches, with the paper's settings of baselines.

    These are Adam at a constant 1e-3.

    Command: seqjepa train stl10_baseline --world.path stl10_binary.tar.gz --run-dir
        runs/stl10_conv_jepa

    The paper's result (DeepGaze): top-1 80.04 %; R2 of relative position 0.80.
    """
    return replace(stl10(), name="stl10_baseline", method=conv_jepa.Config(), optim=CONSTANT)
