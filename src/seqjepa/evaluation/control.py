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
from seqjepa.worlds.base import World, WorldSpec

# Training batches that the BatchNorm statistics come from.
CALIBRATION = 8


def random_control(
    experiment: Experiment, world: World, device: torch.device, trained: WorldSpec | None = None
) -> Method:
    """Return the experiment's method before training, drawn with another seed.

    It has the BatchNorm statistics of training batches.

    Args:
        experiment: that is evaluated.
        world: that the batches come from.
        device: where to put the method.
        trained: of the world that the experiment was trained on, if that is another one. Then the
            encoder alone sees the batches, since the rest may not fit their actions and labels.
    """
    seed = generator_for(experiment.seed, "random model").initial_seed() % 2**31
    control = build_method(replace(experiment, seed=seed), trained or world.spec).to(device).train()

    # A trained model's statistics fit its features. With initial ones the control would be worse
    # for that reason alone. No momentum means the plain mean over all batches.
    for module in control.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None

    # Another world may have fewer objects than a batch, and fewer views than a sequence.
    train = experiment.train
    batch_size, num_views = train.batch_size, train.num_views
    if trained is not None:
        batch_size = min(batch_size, world.size("train"))
        num_views = world.at_most(num_views, "train")
    batches = world.loader("train", num_views=num_views, batch_size=batch_size, seed=seed)

    # Dropout is seeded, and the caller's random numbers are left as they were.
    with fork_rng(device), torch.no_grad():
        torch.manual_seed(seed)
        for batch in itertools.islice(batches, CALIBRATION):
            for micro in batch.to(device).chunk(train.accumulate):
                if trained is None:
                    control(micro)
                else:
                    control.encoder(micro.views)
    return control
