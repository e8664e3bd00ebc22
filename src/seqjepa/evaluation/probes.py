"""Linear and MLP probes on cached features (seq-JEPA, appendix A.2).

Deviation: inputs, and the outputs and errors of regressions, are standardised by the training
split's mean and standard deviation. It makes Adam's one learning rate fit any scale: all features
and factors are probed equally well. The error is then one minus R2, the figure that is reported.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
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
        orders: [K, picks]; if given, rows are picked as one of these. Otherwise they are any.
    """

    values: Tensor
    picks: int
    combine: Combine
    orders: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __call__(self, index: Tensor, choice: Tensor) -> Tensor:
        """Return the inputs [B, H, W] of objects `index` [B] by their rows `choice` [B, picks]."""
        return self.combine(self.values[index[:, None], choice])

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw rows of each object, [N, picks] int64.

        They are any rows in random order, or one of the `orders`.
        """
        objects, rows = self.values.shape[:2]
        if self.orders is None:
            # The largest of random numbers are a random choice without repetition.
            choice = torch.rand(objects, rows, generator=generator).topk(self.picks, 1).indices
        else:
            choice = self.orders[torch.randint(len(self.orders), (objects,), generator=generator)]
        return choice.to(self.values.device)

    def test_choices(self, rounds: int) -> list[Tensor]:
        """Return choices [N, picks] for testing, the same for all kinds of features.

        Args:
            rounds: number of choices if rows are any, fewer if K is smaller (see
                `features.windows`). Of `orders`, all are returned.
        """
        orders = self.orders
        if orders is None:
            orders = windows(self.values.shape[1], self.picks, rounds)
        return [order.expand(len(self), -1) for order in orders.to(self.values.device)]


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
    # What never varies is predicted exactly, in any unit.
    unit = torch.where(std > 0, std, 1)
    return Objective(partial(squared_error, unit=unit), mean, std)


def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of logits [B, H, C] for labels [B]: mean over the batch, sum over heads."""
    # The mean over all B H rows is the mean over heads as well: times H, it is their sum.
    heads = outputs.shape[1]
    return F.cross_entropy(outputs.flatten(0, 1), labels.repeat_interleave(heads)) * heads


def squared_error(outputs: Tensor, truth: Tensor, unit: Tensor) -> Tensor:
    """Return the loss of predictions [B, H, out] for targets [B, out], in units [out].

    It is the mean over batch and dimensions, and the sum over heads.
    """
    return ((outputs - truth[:, None]) / unit).square().mean((0, 2)).sum()


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


def untrained(
    inputs: Inputs, objective: Objective, hidden: tuple[int, ...], generator: torch.Generator
) -> Probe:
    """Return probes before training, which predict the objective's shift.

    Args:
        inputs: of the training split.
        objective: of the training split's targets.
        hidden: widths of the hidden layers (ReLU); none for linear probes.
        generator: of initial weights, and of the rows that mean and spread are taken from.
    """
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
