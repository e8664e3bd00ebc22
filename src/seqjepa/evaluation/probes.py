"""Linear and MLP probes on cached features (seq-JEPA, appendix A.2).

Deviation: inputs, and the outputs of regressions, are standardised by the training split's mean and
standard deviation. For a linear probe that is only another parametrisation, but it makes Adam's one
learning rate fit any scale: all features and factors are probed equally well.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.evaluation.features import windows

# Largest number of training inputs that mean and standard deviation are taken from.
STATISTICS = 8192
# Objects whose outputs are predicted at once.
OBJECTS = 4096

Combine = Callable[[Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
Targets = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Inputs:
    """Inputs of probes: rows of a cached table, and a function that makes inputs of them.

    H heads are trained side by side, each on an input of its own.

    For example values [N, 50, D], picks 2 and `concatenated`: pairs of an object's 50 views, as
    inputs [B, 1, 2D] of a single head.

    Attributes:
        values: [N, K, ...], K rows cached for each of N objects: its views' features, or its
            sequences'.
        picks: number of different rows of an object that make an input.
        combine: picked rows [B, picks, ...] to inputs [B, H, W] of H heads.
        sequence_length: see `FeatureTable.sequence_length`; if given, several rows are the
            beginning of a sequence.
    """

    values: Tensor
    picks: int
    combine: Combine
    sequence_length: int | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __call__(self, index: Tensor, choice: Tensor) -> Tensor:
        """Return the inputs [B, H, W] of objects `index` [B] by their rows `choice` [B, picks]."""
        return self.combine(self.values[index[:, None], choice])

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw rows of each object, [N, picks] int64.

        They are any rows in random order, or the beginning of one sequence.
        """
        objects, rows = self.values.shape[:2]
        if self.sequence_length is None or self.picks == 1:
            # The largest of random numbers are a random choice without repetition.
            choice = torch.rand(objects, rows, generator=generator).topk(self.picks, 1).indices
        else:
            sequences = rows // self.sequence_length
            sequence = torch.randint(sequences, (objects, 1), generator=generator)
            choice = sequence * self.sequence_length + torch.arange(self.picks)
        return choice.to(self.values.device)

    def test_choices(self, rounds: int) -> list[Tensor]:
        """Return choices [N, picks] for testing, the same for all kinds of features.

        Args:
            rounds: number of choices; they are fewer if K is smaller (see `features.windows`).
        """
        rows = windows(self.values.shape[1], self.picks, rounds, self.sequence_length)
        return [row.expand(len(self), -1) for row in rows.to(self.values.device)]


def concatenated(rows: Tensor) -> Tensor:
    """Return the input of one head, which reads all picked rows.

    Rows [B, picks, D] become [B, 1, picks D].
    """
    return rows.flatten(1)[:, None]


def running_mean(rows: Tensor) -> Tensor:
    """Return the inputs of a head for each M = 1 .. picks.

    The head reads the mean of the first M rows. Rows [B, picks, D] become [B, picks, D].
    """
    # (x_1 + ... + x_M) / M
    return rows.cumsum(1) / torch.arange(1, rows.shape[1] + 1, device=rows.device)[:, None]


def per_prefix(rows: Tensor) -> Tensor:
    """Return the inputs of a head for each prefix of a cached sequence.

    Rows [B, 1, M, S] become [B, M, S].
    """
    return rows[:, 0]


@dataclass(frozen=True)
class Objective:
    """The quantity that probes learn to predict.

    Attributes:
        loss: of outputs [B, H, out] against targets [B, ...], summed over heads.
        shift, scale: [out]; an output is shift + scale * last layer.
    """

    loss: Loss
    shift: Tensor
    scale: Tensor


def classification(labels: Tensor) -> Objective:
    """Return the objective of logits for the classes 0 .. the largest of the labels [N]."""
    zeros = torch.zeros(int(labels.max()) + 1, device=labels.device)
    return Objective(cross_entropy, zeros, torch.ones_like(zeros))


def regression(truth: Tensor) -> Objective:
    """Return the objective of numbers with the mean and spread of these [N, out]."""
    std, mean = torch.std_mean(truth, 0, correction=0)
    return Objective(squared_error, mean, std)


def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of logits [B, H, C] for labels [B]: mean over the batch, sum over heads."""
    # The mean over all B H rows is the mean over heads as well: times H, it is their sum.
    heads = outputs.shape[1]
    return F.cross_entropy(outputs.flatten(0, 1), labels.repeat_interleave(heads)) * heads


def squared_error(outputs: Tensor, truth: Tensor) -> Tensor:
    """Return the loss of predictions [B, H, out] for targets [B, out].

    It is the mean over batch and dimensions, and the sum over heads.
    """
    return (outputs - truth[:, None]).square().mean((0, 2)).sum()


@dataclass(frozen=True, kw_only=True)
class Training:
    """Settings that probes are trained with, by Adam.

    Attributes:
        hidden: widths of the hidden layers (ReLU); none for a linear probe.
        epochs: passes over the objects, rows picked anew in each.
        batch_size: objects per step.
        lr: learning rate.
        cosine: let it fall to 0 along half a cosine.
    """

    hidden: tuple[int, ...] = ()
    epochs: int
    batch_size: int
    lr: float
    cosine: bool


@dataclass(frozen=True)
class Probe:
    """H trained probes of one shape, side by side.

    Attributes:
        mean, std: [1, H, W], of the training inputs.
        objective: of their training.
        layers: (weight [H, in, out], bias [H, 1, out]) of each layer.
    """

    mean: Tensor
    std: Tensor
    objective: Objective
    layers: tuple[tuple[Tensor, Tensor], ...]

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the outputs [B, H, out] for inputs [B, H, W]."""
        # [H, B, W]: a layer of all heads is one batched product.
        x = ((inputs - self.mean) / self.std).transpose(0, 1)
        for number, (weight, bias) in enumerate(self.layers):
            x = torch.baddbmm(bias, x.relu() if number else x, weight)
        return self.objective.shift + self.objective.scale * x.transpose(0, 1)

    def take(self, heads: int) -> Self:
        """Return the first of the probes."""
        layers = tuple((weight[:heads], bias[:heads]) for weight, bias in self.layers)
        return replace(self, mean=self.mean[:, :heads], std=self.std[:, :heads], layers=layers)

    @torch.inference_mode()
    def predict(self, inputs: Inputs, choice: Tensor) -> Tensor:
        """Return the outputs [N, H, out] for every object, by rows `choice` [N, picks].

        If the inputs are for fewer heads, the outputs are those of the first probes.
        """
        index = torch.arange(len(inputs), device=choice.device)
        # Only the inputs know how many heads they are for; one object shows it.
        heads = inputs(index[:1], choice[:1]).shape[1]
        probe = self.take(heads)
        return torch.cat([probe(inputs(part, choice[part])) for part in index.split(OBJECTS)])


def fit(
    inputs: Inputs,
    targets: Targets,
    objective: Objective,
    training: Training,
    generator: torch.Generator,
) -> Probe:
    """Train probes side by side.

    The heads share batches and nothing else, so each comes out as if it had been trained alone.

    Args:
        inputs: of the training split.
        targets: function from the rows picked of each object [N, picks] to its targets [N, ...].
        objective: `classification` or `regression` of the training split's targets.
        training: the settings.
        generator: of initial weights, order and picks; on the CPU.
    """
    device, size = inputs.values.device, len(inputs)
    probe = _initial(inputs, objective, training.hidden, generator)
    parameters = [parameter for layer in probe.layers for parameter in layer]
    optimizer = torch.optim.Adam(parameters, lr=training.lr, fused=True)

    step, total = 0, training.epochs * math.ceil(size / training.batch_size)
    for _ in range(training.epochs):
        choice = inputs.draw(generator)
        truth = targets(choice)
        order = torch.randperm(size, generator=generator).to(device)
        for part in order.split(training.batch_size):
            if training.cosine:
                lr = training.lr * (1 + math.cos(math.pi * step / total)) / 2
                optimizer.param_groups[0]["lr"] = lr
            # The sum over heads has each head's own gradient: no weight is shared.
            loss = objective.loss(probe(inputs(part, choice[part])), truth[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1

    layers = tuple((weight.detach(), bias.detach()) for weight, bias in probe.layers)
    return replace(probe, layers=layers)


def _initial(
    inputs: Inputs, objective: Objective, hidden: tuple[int, ...], generator: torch.Generator
) -> Probe:
    """Return untrained probes."""
    device = inputs.values.device
    some = torch.randperm(len(inputs), generator=generator)[:STATISTICS].to(device)
    sample = inputs(some, inputs.draw(generator)[some])
    std, mean = torch.std_mean(sample, 0, correction=0, keepdim=True)
    # A constant input becomes 0, not NaN.
    std = torch.where(std > 0, std, 1)

    # Hidden layers start from `nn.Linear`'s distribution, weight and bias from U(-b, b) with
    # b = 1 / sqrt(in); the last one starts from 0, so that a probe first predicts the objective's
    # shift for every input: the mean of a regression's targets, equal logits of all classes.
    heads, width = mean.shape[1:]
    widths = [width, *hidden, len(objective.scale)]
    bounds = [fan_in**-0.5 for fan_in in widths[:-2]] + [0.0]

    def uniform(rows: int, columns: int, bound: float) -> Tensor:
        # Drawn on the CPU, so that the numbers are the same on every device.
        numbers = torch.empty(heads, rows, columns).uniform_(-bound, bound, generator=generator)
        return numbers.to(device).requires_grad_()

    layers = tuple(
        (uniform(fan_in, fan_out, bound), uniform(1, fan_out, bound))
        for (fan_in, fan_out), bound in zip(itertools.pairwise(widths), bounds, strict=True)
    )
    return Probe(mean, std, objective, layers)


def generator_for(seed: int, *purpose: str) -> torch.Generator:
    """Return a random generator of its own for each purpose of a seed."""
    words = "/".join(purpose).encode()
    state = np.random.SeedSequence([seed, *words]).generate_state(1, np.uint64)[0]
    # One bit less, so that every seed is also a positive signed integer.
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))
