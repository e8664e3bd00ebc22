"""The control without training: a random model that is compared with the trained one fairly."""

import itertools
from dataclasses import replace

import torch
from torch import nn

from seqjepa.config import Experiment
from seqjepa.devices import fork_rng
from seqjepa.evaluation.probes import generator_for
from seqjepa.methods.base import Method
from seqjepa.model import build_method
from seqjepa.worlds.base import World

# Training batches that the BatchNorm statistics come from.
CALIBRATION = 8


def random_control(experiment: Experiment, world: World, device: torch.device) -> Method:
    """Return the experiment's method before training, drawn with another seed.

    It has the BatchNorm statistics of training batches.
    """
    seed = generator_for(experiment.seed, "random model").initial_seed() % 2**31
    control = build_method(replace(experiment, seed=seed), world.spec).to(device).train()

    # A trained model's statistics fit its features. With initial ones the control would be worse
    # for that reason alone. No momentum means the plain mean over all batches.
    for module in control.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None

    train = experiment.train
    batches = world.loader(
        "train", num_views=train.num_views, batch_size=train.batch_size, seed=seed
    )
    # Dropout is seeded, and the caller's random numbers are left as they were.
    with fork_rng(device), torch.no_grad():
        torch.manual_seed(seed)
        for batch in itertools.islice(batches, CALIBRATION):
            for micro in batch.to(device).chunk(train.accumulate):
                control(micro)
    return control
