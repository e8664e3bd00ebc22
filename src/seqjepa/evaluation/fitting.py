"""Training of probes: until they have converged, or for as long as the paper trains them.

A probe that is stopped early tells less than the features hold, and how much less differs from
method to method. So a tenth of the training objects is held out to see when a probe has converged:
when the second half of its steps has brought next to nothing. Beyond the paper, the weights are
averaged along the way, which takes out the noise of the last steps.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from seqjepa.evaluation.probes import Inputs, Objective, Probe, Targets, untrained

# Objects held out: a tenth, at most MOST. A handful would tell nothing, so of few objects it is
# more, up to ENOUGH. Each counts with DRAWS draws of its rows.
MOST, ENOUGH, DRAWS = 1000, 50, 4
# Steps at which a probe is looked at first, and the ratio of steps between two later looks. Probes
# of few objects can be at their best after a few steps: they soon know those by heart.
FIRST_LOOKS, LOOKS = (3, 6, 12, 25, 50), 1.1
# Steps that every probe takes.
FEWEST = 400
# Steps over which the learning rate rises.
WARMUP = 200
# An average of weights reaches back over about a tenth of the steps (Shamir and Zhang, ICML 2013,
# polynomial-decay averaging with eta = 9).
ETA = 9


@dataclass(frozen=True, kw_only=True)
class Training:
    """Settings that probes are trained with, by Adam.

    Attributes:
        hidden: widths of the hidden layers (ReLU); none for a linear probe.
        batch_size: objects per step.
        lr: learning rate.
        beta2: of Adam, decay of the second moment.
        passes: over the objects, rows picked anew in each; None: until the probe has converged.
        tolerance: a probe has converged if the second half of its steps has raised the explained
            share of the held-out loss by less than this.
        max_steps: where a probe that has not converged is stopped.
        bf16: autocast the steps; predictions are always in fp32.
    """

    hidden: tuple[int, ...] = ()
    batch_size: int
    lr: float
    beta2: float = 0.999
    passes: int | None = None
    tolerance: float = 0.01
    max_steps: int = 30_000
    bf16: bool = False


@dataclass(frozen=True)
class Fit:
    """Trained probes, and how long they took.

    Attributes:
        probe: H probes side by side.
        steps: of Adam.
        rising: whether they were still improving when they were stopped; None if not measured.
    """

    probe: Probe
    steps: int
    rising: bool | None


def fit(
    inputs: Inputs,
    targets: Targets,
    objective: Objective,
    training: Training,
    generator: torch.Generator,
    scaled_by: Inputs | None = None,
) -> Fit:
    """Train probes side by side.

    The heads share batches and nothing else, so each comes out as if it had been trained alone for
    as many steps.

    Args:
        inputs: of the training split.
        targets: function from the rows picked of each object [N, picks] to its targets [N, ...].
        objective: `classification` or `regression` of the training split's targets.
        training: the settings.
        generator: of initial weights, order and picks; on the CPU.
        scaled_by: inputs whose mean and spread scale those of the probe, where the training split's
            are few; None for the training split's own.
    """
    like = inputs if scaled_by is None else scaled_by
    probe = untrained(like, objective, training.hidden, generator)
    learner = _Learner(probe, training)
    if training.passes is None:
        return _converge(learner, inputs, targets, generator)

    steps = training.passes * math.ceil(len(inputs) / training.batch_size)
    everything = torch.arange(len(inputs))
    batches = _batches(inputs, targets, everything, training.batch_size, generator)
    for part, choice, truth in itertools.islice(batches, steps):
        learner.step(inputs(part, choice), truth, training.lr)
    return Fit(learner.latest(), steps, None)


def _converge(
    learner: "_Learner", inputs: Inputs, targets: Targets, generator: torch.Generator
) -> Fit:
    """Train until the probe no longer improves on objects that it does not learn from."""
    training = learner.training
    held, learned = _split(len(inputs), generator)
    held = held.to(inputs.values.device)
    rows = [(choice[held], targets(choice)[held]) for choice in inputs.test_choices(DRAWS)]

    progress, best = _Progress(learner.loss(inputs, held, rows)), learner.average()
    batches = _batches(inputs, targets, learned, training.batch_size, generator)
    look = FIRST_LOOKS[0]
    for part, choice, truth in itertools.islice(batches, training.max_steps):
        warm = min(1, (learner.steps + 1) / WARMUP)
        learner.step(inputs(part, choice), truth, training.lr * warm)
        if learner.steps < min(look, training.max_steps):
            continue

        # Looks grow rarer, so that they cost little however long it takes.
        later = (step for step in FIRST_LOOKS if step > look)
        look = next(later, math.ceil(learner.steps * LOOKS))
        if progress.add(learner.steps, learner.loss(inputs, held, rows)):
            best = learner.average()
        if learner.steps >= FEWEST and progress.gain() < training.tolerance:
            break
    return Fit(best, learner.steps, rising=progress.gain() >= training.tolerance)


def _split(objects: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the objects that are held out, and those that are learned from."""
    order = torch.randperm(objects, generator=generator)
    if objects == 1:
        return order, order
    size = max(1, min(objects // 10, MOST), min(objects // 5, ENOUGH))
    return order[:size], order[size:]


def _batches(
    inputs: Inputs, targets: Targets, objects: Tensor, batch_size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield batches of objects without end: their indices [B], rows [B, picks] and targets."""
    device = inputs.values.device
    while True:
        choice = inputs.draw(generator)
        truth = targets(choice)
        order = objects[torch.randperm(len(objects), generator=generator)].to(device)
        for part in order.split(batch_size):
            yield part, choice[part], truth[part]


@dataclass
class _Progress:
    """The share of the held-out loss that a probe has explained, along its training.

    Attributes:
        first: the loss before training, of a constant prediction.
        shares: the largest share so far, by step.
    """

    first: float
    shares: dict[int, float] = field(default_factory=lambda: {0: 0.0})

    def add(self, step: int, loss: float) -> bool:
        """Note the loss at a step; return whether it is the lowest yet."""
        share = 1 - loss / self.first if self.first else 0.0
        best = max(self.shares.values())
        self.shares[step] = max(share, best)
        return share > best

    def gain(self) -> float:
        """Return what the second half of the steps has brought."""
        last = max(self.shares)
        earlier = max(step for step in self.shares if step <= last / 2)
        return self.shares[last] - self.shares[earlier]


class _Learner:
    """Probes in training, and the average of their weights."""

    def __init__(self, probe: Probe, training: Training) -> None:
        self.probe, self.training, self.steps = probe, training, 0
        self.weights = [weight for layer in probe.layers for weight in layer]
        self.averaged = [weight.detach().clone() for weight in self.weights]
        self.optimizer = torch.optim.Adam(
            self.weights, lr=training.lr, betas=(0.9, training.beta2), fused=True
        )

    def step(self, inputs: Tensor, truth: Tensor, lr: float) -> None:
        """Learn from a batch."""
        self.optimizer.param_groups[0]["lr"] = lr
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.training.bf16):
            outputs = self.probe(inputs)
        # The sum over heads has each head's own gradient: no weight is shared.
        loss = self.probe.objective.loss(outputs, truth)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

        self.steps += 1
        if self.training.passes is None:
            share = (ETA + 1) / (self.steps + ETA)
            torch._foreach_lerp_(self.averaged, [w.detach() for w in self.weights], share)

    @torch.inference_mode()
    def loss(self, inputs: Inputs, objects: Tensor, rows: list[tuple[Tensor, Tensor]]) -> float:
        """Return the loss of the averaged probe on objects [n] by their rows and targets."""
        probe = self._with(self.averaged)
        losses = [
            probe.objective.loss(probe(inputs(objects, choice)), truth) for choice, truth in rows
        ]
        return float(torch.stack(losses).mean())

    def average(self) -> Probe:
        """Return a copy of the probe with averaged weights."""
        return self._with([weight.clone() for weight in self.averaged])

    def latest(self) -> Probe:
        """Return the probe with its weights as they are."""
        return self._with([weight.detach() for weight in self.weights])

    def _with(self, weights: list[Tensor]) -> Probe:
        layers = tuple(zip(weights[::2], weights[1::2], strict=True))
        return replace(self.probe, layers=layers)
