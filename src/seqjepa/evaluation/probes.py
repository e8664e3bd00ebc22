"""Linear and MLP probes on cached features (seq-JEPA, appendix A.2), and the figures they are
judged by.

Deviation: inputs, and the outputs of regressions, are standardised by the training split's mean and
    standard deviation. For a linear probe
that is only another parametrisation, but it makes Adam's one learning rate fit any scale: all
features and factors are probed equally well."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import roma
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score, r2_score
from torch import Tensor

from seqjepa.evaluation.features import windows

STATISTICS = 8192  # training inputs that mean and standard deviation are taken from, at most

Combine = Callable[[Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
Targets = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Inputs:
    """What probes read: rows of a cached table, and how rows make inputs. H heads are trained side
    by side, each on an input of its own.

    Attributes:
        values: [N, K, ...], K rows cached for each of N objects: its views' features, or its
            sequences'.
        picks: how many different rows of an object make an input.
        combine: picked rows [B, picks, ...] to inputs [B, H, W] of H heads.
        sequence_length: see `FeatureTable.sequence_length`: where it is given, several rows are the
            beginning of a sequence.
    """

    values: Tensor
    picks: int
    combine: Combine
    sequence_length: int | None = None

    def __len__(self) -> int:
        return len(self.values)

    def draw(self, generator: torch.Generator) -> Tensor:
        """[N, picks] int64: for each object rows picked at random, in random order; or the
        beginning of a sequence picked at random."""
        if self.sequence_length is not None and self.picks > 1:
            sequence = torch.randint(
                self.values.shape[1] // self.sequence_length, (len(self), 1), generator=generator
            )
            return (sequence * self.sequence_length + torch.arange(self.picks)).to(
                self.values.device
            )
        noise = torch.rand(self.values.shape[:2], generator=generator)
        return noise.topk(self.picks, 1).indices.to(self.values.device)

    def fixed(self, rounds: int) -> list[Tensor]:
        """So many choices [N, picks] for testing, the same for all kinds of features (see
        `features.windows`); fewer if K is smaller."""
        chosen = windows(self.values.shape[1], self.picks, rounds, self.sequence_length).to(
            self.values.device
        )
        return [row.expand(len(self), -1) for row in chosen]

    def __call__(self, index: Tensor, choice: Tensor) -> Tensor:
        """The inputs [B, H, W] of objects `index` [B] by their rows `choice` [B, picks]."""
        return self.combine(self.values[index[:, None], choice])


def concatenated(rows: Tensor) -> Tensor:
    """One head, which reads all picked rows: [B, picks, D] to [B, 1, picks D]."""
    return rows.flatten(1)[:, None]


def running_mean(rows: Tensor) -> Tensor:
    """A head for each M = 1 .. picks, which reads the mean of the first M rows: [B, picks, D] to
    [B, picks, D]."""
    return rows.cumsum(1) / torch.arange(1, rows.shape[1] + 1, device=rows.device)[:, None]


def each(rows: Tensor) -> Tensor:
    """A head for each M of a cached sequence [B, 1, M, S]: [B, M, S]."""
    return rows[:, 0]


@dataclass(frozen=True)
class Objective:
    """What probes learn to tell.

    Attributes:
        loss: of outputs [B, H, out] against targets [B, ...], summed over heads.
        shift, scale: [out]; an output is shift + scale * what the last layer says.
    """

    loss: Loss
    shift: Tensor
    scale: Tensor


def classes(labels: Tensor) -> Objective:
    """Logits of the classes 0 .. the largest of these labels [N]."""
    number = int(labels.max()) + 1
    return Objective(
        cross_entropy,
        torch.zeros(number, device=labels.device),
        torch.ones(number, device=labels.device),
    )


def values(truth: Tensor) -> Objective:
    """Numbers with such mean and spread as these [N, out]."""
    std, mean = torch.std_mean(truth, 0, correction=0)
    return Objective(squared_error, mean, std)


def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """Of logits [B, H, C] against labels [B]: mean over the batch, sum over heads."""
    heads = outputs.shape[1]
    return F.cross_entropy(outputs.flatten(0, 1), labels.repeat_interleave(heads)) * heads


def squared_error(outputs: Tensor, truth: Tensor) -> Tensor:
    """Of predictions [B, H, out] against targets [B, out]: mean over batch and dimensions, sum over
    heads."""
    return (outputs - truth[:, None]).square().mean((0, 2)).sum()


@dataclass(frozen=True, kw_only=True)
class Training:
    """How probes are trained, with Adam.

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
        objective: what they tell.
        layers: (weight [H, in, out], bias [H, 1, out]) of each layer.
    """

    mean: Tensor
    std: Tensor
    objective: Objective
    layers: tuple[tuple[Tensor, Tensor], ...]

    def __call__(self, inputs: Tensor) -> Tensor:
        """[B, H, W] to [B, H, out]."""
        x = ((inputs - self.mean) / self.std).transpose(0, 1)
        for number, (weight, bias) in enumerate(self.layers):
            x = torch.baddbmm(bias, x.relu() if number else x, weight)
        return self.objective.shift + self.objective.scale * x.transpose(0, 1)

    def first(self, heads: int) -> Self:
        """So many of the probes."""
        layers = tuple((weight[:heads], bias[:heads]) for weight, bias in self.layers)
        return replace(self, mean=self.mean[:, :heads], std=self.std[:, :heads], layers=layers)

    @torch.inference_mode()
    def predict(self, inputs: Inputs, choice: Tensor) -> Tensor:
        """The outputs [N, H, out] for every object, by rows `choice` [N, picks]; of fewer probes if
        the inputs are for fewer."""
        index = torch.arange(len(inputs), device=choice.device)
        probe = self.first(inputs(index[:1], choice[:1]).shape[1])
        return torch.cat([probe(inputs(part, choice[part])) for part in index.split(4096)])


def fit(
    inputs: Inputs,
    targets: Targets,
    objective: Objective,
    training: Training,
    generator: torch.Generator,
) -> Probe:
    """Train probes. The heads share batches and nothing else, so each comes out as if it had been
    trained alone.

    Args:
        inputs: of the training split.
        targets: what is to be told of each object [N, ...] by the rows picked of it [N, picks].
        objective: `classes` or `values` of the training split's targets.
        training: how.
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
        for part in torch.randperm(size, generator=generator).to(device).split(training.batch_size):
            if training.cosine:
                optimizer.param_groups[0]["lr"] = (
                    training.lr * (1 + math.cos(math.pi * step / total)) / 2
                )
            error = objective.loss(probe(inputs(part, choice[part])), truth[part])
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            step += 1
    return replace(
        probe, layers=tuple((weight.detach(), bias.detach()) for weight, bias in probe.layers)
    )


def _initial(
    inputs: Inputs, objective: Objective, hidden: tuple[int, ...], generator: torch.Generator
) -> Probe:
    """Untrained probes: `nn.Linear`'s distribution U(+-1/sqrt(in)) in hidden layers, 0 in the last,
    so that they tell nothing yet."""
    device = inputs.values.device
    some = torch.randperm(len(inputs), generator=generator)[:STATISTICS].to(device)
    std, mean = torch.std_mean(
        inputs(some, inputs.draw(generator)[some]), 0, correction=0, keepdim=True
    )
    heads, *widths = *mean.shape[1:], *hidden, len(objective.scale)

    def uniform(rows: int, out: int, bound: float) -> Tensor:
        return (
            torch.empty(heads, rows, out)
            .uniform_(-bound, bound, generator=generator)
            .to(device)
            .requires_grad_()
        )

    bounds = [fan_in**-0.5 for fan_in in widths[:-2]] + [0.0]
    sizes = zip(itertools.pairwise(widths), bounds, strict=True)
    layers = tuple(
        (uniform(fan_in, out, bound), uniform(1, out, bound)) for (fan_in, out), bound in sizes
    )
    return Probe(mean, torch.where(std > 0, std, 1), objective, layers)


def generator(seed: int, *purpose: str) -> torch.Generator:
    """A random generator of its own for each purpose of a seed."""
    words = "/".join(purpose).encode()
    state = np.random.SeedSequence([seed, *words]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def top1(truth: Tensor, logits: Tensor) -> float:
    """Share of samples [n] whose largest of the logits [n, C] is the label's."""
    return float(accuracy_score(truth.cpu().numpy(), logits.argmax(-1).cpu().numpy()))


def r2(truth: Tensor, predicted: Tensor) -> float:
    """The paper's R2 for [n, d]: each dimension's, averaged (scikit-learn's uniform average). The
    mean predictor scores 0."""
    return float(
        r2_score(
            truth.cpu().double().numpy(),
            predicted.cpu().double().numpy(),
            multioutput="uniform_average",
        )
    )


def r2_global(truth: Tensor, predicted: Tensor) -> float:
    """SIE's and ContextSSL's R2 for [n, d]: around one mean over samples and dimensions. The mean
    predictor scores more than 0."""
    return r2(truth.reshape(-1, 1), predicted.reshape(-1, 1))


def median_degrees(truth: Tensor, predicted: Tensor) -> float:
    """Median angle between true unit quaternions [n, 4] and predicted ones of any length; q and -q
    are the same rotation."""
    angles = roma.unitquat_geodesic_distance(
        truth.double(), F.normalize(predicted.double(), dim=-1)
    )
    return float(np.degrees(np.median(angles.cpu().numpy())))
