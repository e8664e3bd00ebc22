"""`seqjepa speed methods`: what a training view costs with each method.

A benchmark compares methods after equal views. A view does not cost them the same: they differ in
heads, in how many networks see it, and in how many predictions are made of it. Views are noise
here, since what they show changes no cost.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from seqjepa.config import Experiment, kind
from seqjepa.devices import place
from seqjepa.methods.base import Method
from seqjepa.speed.cost import Cost
from seqjepa.speed.plain import BareStep
from seqjepa.speed.timing import one_thread, take_turns
from seqjepa.training.state import build_optimizer
from seqjepa.types import SequenceBatch
from seqjepa.worlds.table import TableWorld, ViewTable

CPU = torch.device("cpu")

REFERENCE = "seq_jepa:predict=last"
"""Contender whose time per view is 1: the paper's objective."""

DEMO = (
    "seq_jepa:predict=every,loss=contrast,inverse=5,present=true,condition=predictor,"
    "conditioning=film"
)
"""Contender with the demo's objective."""

MORE = (
    DEMO,
    f"{DEMO},target=online",
    "simclr:temperature=0.1",
    "simclr:temperature=0.1,inverse=5",
    "equimod:inverse=5",
)
"""Contenders beside every method with its defaults: the demo's objective, and its controls."""

PREDICTIONS: Mapping[str, Callable[[Any, int], int]] = {
    "byol": lambda config, views: 2,  # each view predicts the other
    "conditional_byol": lambda config, views: 1,
    "context_ssl": lambda config, views: 1,
    "conv_jepa": lambda config, views: views - 1,  # each observed view predicts the last
    "equimod": lambda config, views: 1,
    "sen": lambda config, views: 1,
    "seq_jepa": lambda config, views: views - 1 if config.predict == "every" else 1,
    "sie": lambda config, views: 1,
    "supervised": lambda config, views: 2,  # the class of each view
    "simclr": lambda config, views: 1,
    "vicreg": lambda config, views: 1,
    "vicreg_traj": lambda config, views: 1,  # a triple
}
"""Number of predictions, or of compared pairs, that a method's loss makes of one sequence.

It is a function of the method's config and the views of a sequence. A pair counts once, however
many terms compare it. Terms that regress actions or poses add none.
"""


def figures(experiments: Mapping[str, Experiment], rounds: int = 40) -> list[Cost]:
    """Measure the cost of a training view in each experiment.

    Args:
        experiments: by the contender's name, REFERENCE among them. Their worlds need an outline.
        rounds: number of times that the experiments take turns; the least time of each counts.
    """
    with one_thread():
        steps = {name: TrainingStep(experiment) for name, experiment in experiments.items()}
        mflops = {name: count_flops(step.method, step.batch) / 1e6 for name, step in steps.items()}
        taken = take_turns(list(steps.values()), rounds)

    per_view = {
        name: seconds / step.views
        for (name, step), seconds in zip(steps.items(), taken, strict=True)
    }
    return [
        Cost(
            method=name,
            predictions=count_predictions(experiments[name]),
            views=step.views,
            mflops=mflops[name] / step.views,
            time=per_view[name] / per_view[REFERENCE],
            precision=place(experiments[name].train.precision, CPU)["precision"],
        )
        for name, step in steps.items()
    ]


class TrainingStep:
    """A whole training step of a method, again and again on one batch of noise.

    It is forward and backward in the experiment's precision, the optimizer's step and what follows
    it. Data, probes and the log are left out: they are not the method's.

    Attributes:
        views: of the batch.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.bare = BareStep(experiment, noise_world(experiment), CPU)
        self.method, self.batch = self.bare.method, self.bare.batch
        self.optimizer = build_optimizer(self.method, experiment.optim)
        self.views = self.batch.views.shape[:2].numel()

    def __call__(self) -> None:
        """Make a step."""
        self.bare()
        self.optimizer.step()
        self.method.after_step(0.5)  # it costs the same anywhere in a run


def noise_world(experiment: Experiment) -> TableWorld:
    """Return a world of one batch: noise at random poses, as the experiment's world describes it.

    Nothing is rendered.
    """
    spec, train = experiment.world.outline(), experiment.train
    assert spec is not None
    channels, height, width = spec.image_shape

    rng, shape = np.random.default_rng(0), (train.batch_size, train.num_views)
    views = rng.integers(0, 256, (*shape, height, width, channels), np.uint8)
    poses = rng.uniform(-1, 1, (*shape, len(spec.factors.pose))).astype(np.float32)
    table = ViewTable(views, poses, np.zeros(train.batch_size, np.int64))
    return TableWorld(spec, {"train": table})


def count_flops(method: Method, batch: SequenceBatch) -> int:
    """Return the floating-point operations of forward and backward on a batch, in fp32.

    Counted are matrix products and convolutions, a multiply-add as two; not what is done element by
    element, nor the optimizer. A frozen target network has a forward only.
    """
    # Only PyTorch's plain attention is made of products that are counted on a CPU.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        method(batch).loss.backward()
    return int(counter.get_total_flops())


def count_predictions(experiment: Experiment) -> int | None:
    """Return the number of predictions, or of compared pairs, of a step; see PREDICTIONS.

    None for a method of one's own.
    """
    method, train = experiment.method, experiment.train
    count = PREDICTIONS.get(kind(type(method)))
    return None if count is None else count(method, train.num_views) * train.batch_size
