"""Probes, against plain PyTorch, scikit-learn and planted answers."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from torch import Tensor, nn

from seqjepa.actions import Group
from seqjepa.evaluation import probes
from seqjepa.evaluation.metrics import median_degrees, r2, top1
from seqjepa.evaluation.probes import (
    Inputs,
    Probe,
    Training,
    classification,
    concatenated,
    fit,
    generator_for,
    per_prefix,
    regression,
    running_mean,
)

EULER = Group(name="rotation", dims=("x", "y", "z"), kind="euler")
SHORT = Training(epochs=30, batch_size=256, lr=1e-2, cosine=True)  # what a small budget asks for


def blobs(number: int, seed: int, spread: float = 2.5) -> tuple[Tensor, Tensor]:
    """Draw ten overlapping classes in 32 dimensions of very different scales, about 0.8 of which a
    linear probe finds; three views each."""
    chance = np.random.default_rng(seed)
    centers, scales = np.random.default_rng(99).normal(size=(10, 32)), np.logspace(-3, 2, 32)
    labels = chance.integers(10, size=number)
    noise = spread * chance.normal(size=(number, 3, 32)) * 0.6
    views = (centers[labels][:, None] + noise + 3) * scales
    return torch.from_numpy(views).float(), torch.from_numpy(labels)


def fit_classes(
    inputs: Inputs,
    labels: Tensor,
    training: Training = SHORT,
    generator: torch.Generator | None = None,
) -> Probe:
    generator = generator or generator_for(0)
    return fit(inputs, lambda _: labels, classification(labels), training, generator)


def test_heads_are_trained_as_if_alone() -> None:
    """Against plain `nn.Linear`s, one for each head, on the same batches."""
    views, labels = blobs(300, 0)
    inputs = Inputs(views, 3, running_mean)
    training = Training(epochs=2, batch_size=64, lr=1e-2, cosine=False)
    trained = fit_classes(inputs, labels, training, generator_for(0, "test"))

    chance = generator_for(0, "test")
    start = probes._initial(inputs, classification(labels), (), chance)
    (weight, bias), *_ = start.layers
    heads = [nn.Linear(32, 10) for _ in range(3)]
    for m, head in enumerate(heads):
        head.weight.data, head.bias.data = weight[m].T.detach().clone(), bias[m, 0].detach().clone()
    optimizers = [torch.optim.Adam(head.parameters(), lr=1e-2) for head in heads]
    for _ in range(2):
        choice = inputs.draw(chance)
        for part in torch.randperm(300, generator=chance).split(64):
            for m, (head, optimizer) in enumerate(zip(heads, optimizers, strict=True)):
                mean_view = views[part[:, None], choice[part, : m + 1]].mean(1)
                logits = head((mean_view - start.mean[0, m]) / start.std[0, m])
                optimizer.zero_grad()
                nn.functional.cross_entropy(logits, labels[part]).backward()
                optimizer.step()

    for m, head in enumerate(heads):
        found = trained.layers[0][0][m].T
        torch.testing.assert_close(found, head.weight.data, rtol=1e-4, atol=1e-5)


def test_short_linear_probes_are_converged() -> None:
    """Within 1.5 points of scikit-learn's logistic regression, whatever the features' scales."""
    (views, labels), (held_out, truth) = blobs(4000, 0), blobs(4000, 1)
    probe = fit_classes(Inputs(views, 1, concatenated), labels)
    first = torch.zeros(4000, 1, dtype=torch.int64)
    score = top1(truth, probe.predict(Inputs(held_out, 1, concatenated), first)[:, 0])

    spread, center = torch.std_mean(views.flatten(0, 1), 0)
    rows = ((views - center) / spread).flatten(0, 1)
    oracle = LogisticRegression(max_iter=1000).fit(rows, labels.repeat_interleave(3))
    expected = oracle.score((held_out[:, 0] - center) / spread, truth)
    assert score == pytest.approx(expected, abs=0.015)
    assert score > 0.6


def test_short_linear_regressions_are_converged() -> None:
    """Within 0.01 of least squares, for targets of very different scales."""
    chance = torch.Generator().manual_seed(0)
    views = torch.randn(3000, 2, 16, generator=chance)
    planted = torch.randn(16, 3, generator=chance)
    noise = 3 * torch.randn(3000, 2, 3, generator=chance)
    truth = (views @ planted + noise) * torch.tensor([0.01, 1.0, 100.0]) + 5

    def targets(choice: Tensor) -> Tensor:
        return truth[torch.arange(3000)[:, None], choice][:, 0]

    inputs, first = Inputs(views, 1, concatenated), torch.zeros(3000, 1, dtype=torch.int64)
    probe = fit(inputs, targets, regression(targets(first)), SHORT, generator_for(0))
    oracle = LinearRegression().fit(views.flatten(0, 1), truth.flatten(0, 1))
    expected = r2(truth[:, 0], torch.from_numpy(oracle.predict(views[:, 0])))
    assert r2(truth[:, 0], probe.predict(inputs, first)[:, 0]) == pytest.approx(expected, abs=0.01)


def test_mlp_finds_a_planted_rotation() -> None:
    """The relative rotation of two views, which no linear probe can predict from the two."""
    chance = torch.Generator().manual_seed(0)
    angles = ((torch.rand(1500 * 8, 3, generator=chance) - 0.5) * math.pi).view(1500, 8, 3)
    views = EULER.absolute(angles) @ torch.randn(4, 16, generator=generator_for(1))

    def targets(choice: Tensor) -> Tensor:
        picked = angles[torch.arange(len(choice))[:, None], choice]
        return EULER.between(picked[:, 0], picked[:, 1])

    everything, train = Inputs(views, 2, concatenated), Inputs(views[:1200], 2, concatenated)
    choice = everything.test_choices(1)[0]
    truth = targets(choice)
    predicted = {}
    for hidden in ((), (64, 64)):
        training = Training(hidden=hidden, epochs=60, batch_size=64, lr=3e-3, cosine=True)
        probe = fit(train, targets, regression(truth), training, generator_for(0))
        predicted[hidden] = probe.predict(everything, choice)[1200:, 0]

    assert r2(truth[1200:], predicted[64, 64]) > 0.85
    assert median_degrees(truth[1200:], predicted[64, 64]) < 15
    assert r2(truth[1200:], predicted[()]) < 0.7


def test_without_information_probes_guess() -> None:
    chance = torch.Generator().manual_seed(0)
    labels = torch.arange(1000) % 5
    noise = [torch.randn(1000, 4, 8, generator=chance) for _ in range(2)]
    train, test = (Inputs(values, 1, concatenated) for values in noise)

    probe = fit_classes(train, labels)
    scores = [top1(labels, probe.predict(test, choice)[:, 0]) for choice in test.test_choices(4)]
    assert np.mean(scores) == pytest.approx(0.2, abs=0.03)

    factors = torch.randn(1000, 2, generator=chance)
    probe = fit(train, lambda _: factors, regression(factors), SHORT, generator_for(0))
    predicted = probe.predict(test, test.test_choices(1)[0])[:, 0]
    assert r2(factors, predicted) == pytest.approx(0, abs=0.03)


def test_constant_features_and_constant_targets_do_no_harm() -> None:
    labels = torch.arange(64) % 2
    inputs = Inputs(torch.full((64, 2, 3), 7.0), 1, concatenated)
    choice = inputs.test_choices(1)[0]
    assert bool(torch.isfinite(fit_classes(inputs, labels).predict(inputs, choice)).all())

    same = torch.full((64, 1), 3.0)
    probe = fit(inputs, lambda _: same, regression(same), SHORT, generator_for(0))
    assert torch.equal(probe.predict(inputs, choice)[:, 0], same)


def test_probes_depend_on_nothing_but_their_generator() -> None:
    views, labels = blobs(200, 0)
    inputs = Inputs(views, 1, concatenated)
    chance = torch.get_rng_state()
    first, again, other = (
        fit_classes(inputs, labels, SHORT, generator_for(seed, "a")).layers[0][0]
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), chance)

    purposes = itertools.product((0, 1), ((), ("a",), ("a", "b")))
    seeds = {generator_for(seed, *purpose).initial_seed() for seed, purpose in purposes}
    assert len(seeds) == 6


def test_inputs_pick_different_rows() -> None:
    inputs = Inputs(torch.arange(20.0).view(2, 5, 2), 3, concatenated)
    choice = inputs.draw(torch.Generator().manual_seed(0))
    assert all(len(set(row)) == 3 for row in choice.tolist())
    picked = inputs(torch.tensor([1]), choice[1:])
    expected = [10.0 + 2 * row + column for row in choice[1].tolist() for column in (0, 1)]
    assert picked.tolist() == [[expected]]


def test_ways_to_combine_rows() -> None:
    rows = torch.tensor([[[1.0, 2.0], [3.0, 6.0]]])
    assert concatenated(rows).tolist() == [[[1, 2, 3, 6]]]
    assert running_mean(rows).tolist() == [[[1, 2], [2, 4]]]
    assert per_prefix(rows[:, None]).tolist() == rows.tolist()


def test_where_the_order_means_something_rows_are_beginnings_of_sequences() -> None:
    inputs = Inputs(torch.zeros(5000, 12, 1), 2, concatenated, sequence_length=4)
    drawn = inputs.draw(generator_for(0))
    starts, counts = drawn[:, 0].unique(return_counts=True)
    assert starts.tolist() == [0, 4, 8] and counts.min() > 1500
    assert torch.equal(drawn[:, 1], drawn[:, 0] + 1)
    assert [choice[0].tolist() for choice in inputs.test_choices(8)] == [[0, 1], [4, 5], [8, 9]]

    one = replace(inputs, picks=1)
    assert len(one.draw(generator_for(0)).unique()) == 12, "of one view, every one"
    assert len(one.test_choices(8)) == 12


def test_inputs_for_fewer_heads_are_for_the_first() -> None:
    views, labels = blobs(300, 0)
    three, two = Inputs(views, 3, running_mean), Inputs(views, 2, running_mean)
    probe = fit_classes(three, labels)
    choice = two.test_choices(1)[0]
    whole = probe.predict(three, torch.cat([choice, choice[:, :1]], 1))
    assert torch.equal(probe.predict(two, choice), whole[:, :2])
