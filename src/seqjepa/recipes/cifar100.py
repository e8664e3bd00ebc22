"""Recipes on CIFAR-100 with parametrised augmentation (seq-JEPA, section 4 and table 2).

The content of actions is an option: `--world.actions crop`, `jitter`, `blur`, or several of them;
the default is all three. So is the number M of observed views: `--train.num-views` is M + 1. The
paper's table has M = 2 with crops, 3 with jitter or blur, 1 to 3 with all.
"""

from dataclasses import replace

from seqjepa.config import EvaluateConfig, Experiment, OptimConfig, TrainConfig
from seqjepa.methods import seq_jepa
from seqjepa.nn import EncoderConfig
from seqjepa.recipes import for_baselines
from seqjepa.worlds import augmented as world

EPOCHS, IMAGES, BATCH = 2000, 50_000, 512
# CIFAR-10's, which the paper names for both data sets.
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.261)
WORLD = world.Config(source="cifar100", path="data/cifar100", image_size=32)


def cifar100() -> Experiment:
    """The paper's training, with the released code's augmentation.

    ResNet-18 with CIFAR's stem, batch 512, three observed views, 2,000 epochs; actions are crop,
    jitter and blur.

    Command: seqjepa train cifar100 --world.path DATA --run-dir runs/cifar100

    One thousand training images (`world.val_fraction`) are held out for choosing settings, where
    the paper trains on all. Probes see 16 cached views of each image.
    """
    return Experiment(
        name="cifar100",
        method=seq_jepa.Config(),
        world=WORLD,
        encoder=EncoderConfig(stem="cifar"),
        optim=OptimConfig(warmup=20 / EPOCHS),
        train=TrainConfig(steps=EPOCHS * IMAGES // BATCH, batch_size=BATCH, num_views=4),
        evaluate=EvaluateConfig(encoded_views=16),
    )


def cifar100_paper() -> Experiment:
    """`cifar100` as the paper's text has it.

    Pixels are normalised by CIFAR-10's statistics and the saturation is that of EquiMod's CIFAR
    augmentation, 0.4, where the released code has the set's own and 0.2; nothing is held out.

    Command: seqjepa train cifar100_paper --world.path DATA --run-dir runs/cifar100_paper
    """
    observed, last = (replace(policy, saturation=0.4) for policy in (WORLD.observed, WORLD.last))
    config = replace(WORLD, val_fraction=0.0, observed=observed, last=last, mean=MEAN, std=STD)
    return replace(cifar100(), name="cifar100_paper", world=config)


def cifar100_baseline() -> Experiment:
    """`cifar100` for the paper's baselines: two views, Adam at a constant 1e-3.

    Both views follow the policy of observed ones, as do those that the released code gives to its
    baselines.

    Command: seqjepa train cifar100_baseline --method byol --world.path DATA --run-dir
        runs/cifar100_byol
    """
    return for_baselines(replace(cifar100(), world=replace(WORLD, last=WORLD.observed)))
