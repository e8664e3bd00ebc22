"""Training of probes, against plain PyTorch, scikit-learn and planted answers."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from torch import Tensor, nn

from fixtures.blobs import blobs
from seqjepa.actions import Group
from seqjepa.evaluation.fitting import Fit, Training, fit
from seqjepa.evaluation.metrics import median_degrees, r2, top1
from seqjepa.evaluation.probes import (
    Inputs,
    classification,
    concatenated,
    generator_for,
    regression,
    running_mean,
    untrained,
)

EULER = Group(name="rotation", dims=("x", "y", "z"), kind="euler")
LINEAR = Training(batch_size=1024, lr=1e-2, beta2=0.95, tolerance=0.005)
MLP = Training(hidden=(64, 64), batch_size=256, lr=4e-3, beta2=0.95)


def fit_classes(inputs: Inputs, labels: Tensor, training: Training = LINEAR, seed: int = 0) -> Fit:
    return fit(inputs, lambda _: labels, classification(labels), training, generator_for(seed))


def wave(number: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw inputs [N, 1, 8] and a known smooth function of them that is far from linear."""
    x = torch.randn(number, 1, 8, generator=generator_for(seed))
    y = torch.sin(x[:, 0, :2]) * x[:, 0, 2:4] + x[:, 0, 4:6]
    return x, y


def test_heads_are_trained_as_if_alone() -> None:
    """Against plain `nn.Linear`s, one for each head, on the same batches."""
    views, labels = blobs(300, 0)
    inputs = Inputs(views, 3, running_mean)
    training = Training(passes=2, batch_size=64, lr=1e-2)
    trained = fit_classes(inputs, labels, training)
    assert (trained.steps, trained.rising) == (10, None)

    chance = generator_for(0)
    start = untrained(inputs, classification(labels), (), chance)
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
        found = trained.probe.layers[0][0][m].T
        torch.testing.assert_close(found, head.weight.data, rtol=1e-4, atol=1e-5)


def test_few_objects_are_not_learned_by_heart() -> None:
    """Few objects, wide inputs: after fifty steps a probe is worse than one that guesses."""
    chance = generator_for(0)

    def draw(number: int) -> tuple[Tensor, Tensor]:
        labels = torch.arange(number) % 10
        signal = 4 * nn.functional.one_hot(labels, 400)
        return signal + torch.randn(number, 400, generator=chance), labels

    (rows, labels), (held_out, truth) = draw(200), draw(2000)
    late = replace(LINEAR, passes=50)  # of one batch
    losses, scores = [], []
    for training in (LINEAR, late):
        probe = fit_classes(Inputs(rows[:, None], 1, concatenated), labels, training).probe
        logits = probe(held_out[:, None])
        losses.append(float(nn.functional.cross_entropy(logits[:, 0], truth)))
        scores.append(top1(truth, logits[:, 0]))
    assert losses[0] < math.log(10) < losses[1]
    assert scores[0] > 0.125


def test_linear_probes_converge() -> None:
    """Within 1.5 points of scikit-learn's logistic regression, whatever the features' scales."""
    (views, labels), (held_out, truth) = blobs(4000, 0), blobs(4000, 1)
    probe = fit_classes(Inputs(views, 1, concatenated), labels).probe
    first = torch.zeros(4000, 1, dtype=torch.int64)
    score = top1(truth, probe.predict(Inputs(held_out, 1, concatenated), first)[:, 0])

    spread, center = torch.std_mean(views.flatten(0, 1), 0)
    rows = ((views - center) / spread).flatten(0, 1)
    oracle = LogisticRegression(max_iter=1000).fit(rows, labels.repeat_interleave(3))
    expected = oracle.score((held_out[:, 0] - center) / spread, truth)
    assert score == pytest.approx(expected, abs=0.015)
    assert score > 0.6


def test_linear_regressions_converge() -> None:
    """Within 0.01 of least squares, for targets of very different scales."""
    chance = torch.Generator().manual_seed(0)
    views = torch.randn(3000, 2, 16, generator=chance)
    planted = torch.randn(16, 3, generator=chance)
    noise = 3 * torch.randn(3000, 2, 3, generator=chance)
    truth = (views @ planted + noise) * torch.tensor([0.01, 1.0, 100.0]) + 5

    def targets(choice: Tensor) -> Tensor:
        return truth[torch.arange(3000)[:, None], choice][:, 0]

    inputs, first = Inputs(views, 1, concatenated), torch.zeros(3000, 1, dtype=torch.int64)
    probe = fit(inputs, targets, regression(targets(first)), LINEAR, generator_for(0)).probe
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
        training = replace(MLP, hidden=hidden)
        found = fit(train, targets, regression(truth), training, generator_for(0))
        predicted[hidden] = found.probe.predict(everything, choice)[1200:, 0]

    assert r2(truth[1200:], predicted[64, 64]) > 0.85
    assert median_degrees(truth[1200:], predicted[64, 64]) < 15
    assert r2(truth[1200:], predicted[()]) < 0.7


def test_without_information_probes_guess() -> None:
    chance = torch.Generator().manual_seed(0)
    labels = torch.arange(1000) % 5
    noise = [torch.randn(1000, 4, 8, generator=chance) for _ in range(2)]
    train, test = (Inputs(values, 1, concatenated) for values in noise)

    probe = fit_classes(train, labels).probe
    scores = [top1(labels, probe.predict(test, choice)[:, 0]) for choice in test.test_choices(4)]
    assert np.mean(scores) == pytest.approx(0.2, abs=0.03)

    factors = torch.randn(1000, 2, generator=chance)
    probe = fit(train, lambda _: factors, regression(factors), LINEAR, generator_for(0)).probe
    predicted = probe.predict(test, test.test_choices(1)[0])[:, 0]
    assert r2(factors, predicted) == pytest.approx(0, abs=0.03)


def test_constant_features_and_constant_targets_do_no_harm() -> None:
    labels = torch.arange(64) % 2
    inputs = Inputs(torch.full((64, 2, 3), 7.0), 1, concatenated)
    choice = inputs.test_choices(1)[0]
    assert bool(torch.isfinite(fit_classes(inputs, labels).probe.predict(inputs, choice)).all())

    same = torch.full((64, 1), 3.0)
    probe = fit(inputs, lambda _: same, regression(same), LINEAR, generator_for(0)).probe
    assert torch.equal(probe.predict(inputs, choice)[:, 0], same)


def test_probes_depend_on_nothing_but_their_generator() -> None:
    views, labels = blobs(200, 0)
    inputs = Inputs(views, 1, concatenated)
    chance = torch.get_rng_state()
    first, again, other = (
        fit_classes(inputs, labels, seed=seed).probe.layers[0][0] for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), chance)

    purposes = itertools.product((0, 1), ((), ("a",), ("a", "b")))
    seeds = {generator_for(seed, *purpose).initial_seed() for seed, purpose in purposes}
    assert len(seeds) == 6


def test_a_probe_reaches_what_ten_times_its_steps_reach() -> None:
    """For a known function, R2 is within 5 % of what ten times as many steps would find."""
    (inputs, truth), (held_out, answer) = wave(3000, 0), wave(1000, 1)
    train, test = Inputs(inputs, 1, concatenated), Inputs(held_out, 1, concatenated)

    def learn(training: Training) -> tuple[float, Fit]:
        found = fit(train, lambda _: truth, regression(truth), training, generator_for(0))
        return r2(answer, found.probe.predict(test, test.test_choices(1)[0])[:, 0]), found

    score, found = learn(MLP)
    assert found.rising is False and found.steps < MLP.max_steps
    much, longer = learn(replace(MLP, tolerance=-math.inf, max_steps=10 * found.steps))
    assert longer.steps == 10 * found.steps
    assert score >= 0.95 * much and much > 0.8

    # A cap that comes too early shows in the score, and is said.
    little, short = learn(replace(MLP, max_steps=found.steps // 10))
    assert short.steps == found.steps // 10 and short.rising is True
    assert little < 0.95 * much


def test_the_best_weights_are_kept() -> None:
    """Few objects are learned by heart; what is returned is from before."""
    inputs, truth = wave(100, 0)
    truth = truth + 2 * torch.randn(truth.shape, generator=generator_for(2))
    held_out, answer = wave(2000, 1)
    test = Inputs(held_out, 1, concatenated)
    choice = test.test_choices(1)[0]
    objective = regression(truth)
    scores = []
    for training in (MLP, replace(MLP, passes=2000, batch_size=80)):
        found = fit(
            Inputs(inputs, 1, concatenated), lambda _: truth, objective, training, generator_for(0)
        )
        scores.append(r2(answer, found.probe.predict(test, choice)[:, 0]))
    assert scores[0] > scores[1]
    assert scores[0] > -0.2


@pytest.mark.parametrize("objects", [1, 2, 5])
def test_a_handful_of_objects(objects: int) -> None:
    values, labels = torch.randn(objects, 2, 3), torch.arange(objects)
    found = fit_classes(Inputs(values, 1, concatenated), labels)
    weight, bias = found.probe.layers[0]
    assert bool(torch.isfinite(weight).all()) and bool(torch.isfinite(bias).all())


def test_bf16_changes_little() -> None:
    (inputs, truth), (held_out, answer) = wave(2000, 0), wave(2000, 1)
    train, test = Inputs(inputs, 1, concatenated), Inputs(held_out, 1, concatenated)
    scores, bias = [], []
    for bf16 in (False, True):
        training = replace(MLP, max_steps=600, bf16=bf16)
        found = fit(train, lambda _: truth, regression(truth), training, generator_for(0))
        scores.append(r2(answer, found.probe.predict(test, test.test_choices(1)[0])[:, 0]))
        bias.append(found.probe.layers[0][1])
    assert bias[1].dtype == torch.float32 and not torch.equal(*bias)
    assert scores[1] == pytest.approx(scores[0], abs=0.03)
