import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import roma
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from torch import Tensor, nn

from seqjepa.actions import Group
from seqjepa.evaluation import probes
from seqjepa.evaluation.probes import (
    Inputs,
    Training,
    classes,
    concatenated,
    each,
    fit,
    generator,
    median_degrees,
    r2,
    r2_global,
    running_mean,
    top1,
    values,
)

EULER = Group(name="rotation", dims=("x", "y", "z"), kind="euler")
SHORT = Training(epochs=30, batch_size=256, lr=1e-2, cosine=True)  # what a small budget asks for


def rotations(number: int, seed: int = 0) -> Tensor:
    """Euler angles from 3DIEBench's range (methods: section 3.1.2)."""
    return (torch.rand(number, 3, generator=torch.Generator().manual_seed(seed)) - 0.5) * math.pi


def blobs(number: int, seed: int, spread: float = 2.5) -> tuple[Tensor, Tensor]:
    """Ten overlapping classes in 32 dimensions of very different scales, about 0.8 of which a
    linear probe tells; three views each."""
    chance = np.random.default_rng(seed)
    centers, scales = np.random.default_rng(99).normal(size=(10, 32)), np.logspace(-3, 2, 32)
    labels = chance.integers(10, size=number)
    views = (
        centers[labels][:, None] + spread * chance.normal(size=(number, 3, 32)) * 0.6 + 3
    ) * scales
    return torch.from_numpy(views).float(), torch.from_numpy(labels)


def test_the_mean_predictor_scores_nothing() -> None:
    truth = EULER.absolute(rotations(1000))
    assert r2(truth, truth.mean(0).expand_as(truth)) == pytest.approx(0, abs=1e-9)
    assert r2(truth, truth) == 1


def test_global_r2_rewards_the_mean_predictor() -> None:
    """methods: section 4.3, 0.229 (relative, of either sign as published; ours has w >= 0) and
    0.461 (individual)."""
    start, end = (roma.euler_to_unitquat("xyz", rotations(200_000, seed)) for seed in (0, 1))
    relative, individual = roma.quat_product(roma.quat_conjugation(start), end), start
    assert r2_global(relative, relative.mean(0).expand_as(relative)) == pytest.approx(
        0.229, abs=0.005
    )
    assert r2_global(individual, individual.mean(0).expand_as(individual)) == pytest.approx(
        0.461, abs=0.005
    )


def test_r2_is_averaged_over_dimensions() -> None:
    truth = torch.tensor([[0.0, 0.0], [2.0, 200.0]])
    told = torch.tensor([[0.0, 100.0], [2.0, 100.0]])
    assert r2(truth, told) == pytest.approx(0.5)
    assert r2_global(truth, told) == pytest.approx(1 - 20_000 / (50.5**2 * 2 + 48.5**2 + 149.5**2))


def test_angles_between_rotations() -> None:
    """By hand: turns about z; the sign and the length of a predicted quaternion do not matter."""
    degrees = torch.tensor([0.0, 10.0, 90.0])
    told = torch.stack(
        [
            torch.zeros(3),
            torch.zeros(3),
            (degrees.deg2rad() / 2).sin(),
            (degrees.deg2rad() / 2).cos(),
        ],
        1,
    )
    truth = torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(3, 4)
    assert median_degrees(truth, told) == pytest.approx(10, abs=1e-4)
    assert median_degrees(truth, -7 * told) == pytest.approx(10, abs=1e-4)
    assert median_degrees(told, told) == pytest.approx(0, abs=1e-4)
    assert median_degrees(truth[:2], told[1:]) == pytest.approx(50, abs=1e-4)


def test_top1() -> None:
    assert top1(
        torch.tensor([0, 1, 1]), torch.tensor([[2.0, 1.0], [0.0, 0.1], [1.0, 0.0]])
    ) == pytest.approx(2 / 3)


def test_heads_are_trained_as_if_alone() -> None:
    """Against plain `nn.Linear`s, one for each head, on the same batches."""
    views, labels = blobs(300, 0)
    inputs = Inputs(views, 3, running_mean)
    training = Training(epochs=2, batch_size=64, lr=1e-2, cosine=False)
    trained = fit(inputs, lambda _: labels, classes(labels), training, generator(0, "test"))

    chance = generator(0, "test")
    start = probes._initial(inputs, classes(labels), (), chance)
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
                optimizer.zero_grad()
                nn.functional.cross_entropy(
                    head((mean_view - start.mean[0, m]) / start.std[0, m]), labels[part]
                ).backward()
                optimizer.step()
    for m, head in enumerate(heads):
        torch.testing.assert_close(
            trained.layers[0][0][m].T, head.weight.data, rtol=1e-4, atol=1e-5
        )


def test_short_linear_probes_are_converged() -> None:
    """Within 1.5 points of scikit-learn's logistic regression, whatever the features' scales."""
    (views, labels), (held_out, truth) = blobs(4000, 0), blobs(4000, 1)
    probe = fit(
        Inputs(views, 1, concatenated), lambda _: labels, classes(labels), SHORT, generator(0)
    )
    mine = top1(
        truth,
        probe.predict(Inputs(held_out, 1, concatenated), torch.zeros(4000, 1, dtype=torch.int64))[
            :, 0
        ],
    )
    spread, center = torch.std_mean(views.flatten(0, 1), 0)
    oracle = LogisticRegression(max_iter=1000).fit(
        ((views - center) / spread).flatten(0, 1), labels.repeat_interleave(3)
    )
    assert mine == pytest.approx(oracle.score((held_out[:, 0] - center) / spread, truth), abs=0.015)
    assert mine > 0.6


def test_short_linear_regressions_are_converged() -> None:
    """Within 0.01 of least squares, for targets of very different scales."""
    chance = torch.Generator().manual_seed(0)
    views = torch.randn(3000, 2, 16, generator=chance)
    planted = torch.randn(16, 3, generator=chance)
    truth = (views @ planted + 3 * torch.randn(3000, 2, 3, generator=chance)) * torch.tensor(
        [0.01, 1.0, 100.0]
    ) + 5

    def targets(choice: Tensor) -> Tensor:
        return truth[torch.arange(3000)[:, None], choice][:, 0]

    inputs, first = Inputs(views, 1, concatenated), torch.zeros(3000, 1, dtype=torch.int64)
    probe = fit(inputs, targets, values(targets(first)), SHORT, generator(0))
    oracle = LinearRegression().fit(views.flatten(0, 1), truth.flatten(0, 1))
    expected = r2(truth[:, 0], torch.from_numpy(oracle.predict(views[:, 0])))
    assert r2(truth[:, 0], probe.predict(inputs, first)[:, 0]) == pytest.approx(expected, abs=0.01)


def test_mlp_finds_a_planted_rotation() -> None:
    """The relative rotation of two views, which no linear probe can tell from the two."""
    angles = rotations(1500 * 8).view(1500, 8, 3)
    views = EULER.absolute(angles) @ torch.randn(4, 16, generator=generator(1))

    def targets(choice: Tensor) -> Tensor:
        picked = angles[torch.arange(1500)[:, None], choice]
        return EULER.between(picked[:, 0], picked[:, 1])

    inputs = Inputs(views[:1200], 2, concatenated)
    training = Training(hidden=(64, 64), epochs=60, batch_size=64, lr=3e-3, cosine=True)
    choice = Inputs(views, 2, concatenated).fixed(1)[0]
    objective = values(targets(choice))
    told = {}
    for hidden in ((), (64, 64)):
        training = Training(hidden=hidden, epochs=60, batch_size=64, lr=3e-3, cosine=True)
        probe = fit(
            inputs,
            lambda choice: targets(torch.cat([choice, choice[:300]]))[:1200],
            objective,
            training,
            generator(0),
        )
        told[hidden] = probe.predict(Inputs(views, 2, concatenated), choice)[1200:, 0]
    truth = targets(choice)[1200:]
    assert r2(truth, told[64, 64]) > 0.85
    assert median_degrees(truth, told[64, 64]) < 15
    assert r2(truth, told[()]) < 0.7


def test_without_information_probes_guess() -> None:
    chance = torch.Generator().manual_seed(0)
    labels = torch.arange(1000) % 5
    train, test = (
        Inputs(torch.randn(1000, 4, 8, generator=chance), 1, concatenated) for _ in range(2)
    )
    probe = fit(train, lambda _: labels, classes(labels), SHORT, generator(0))
    accuracy = np.mean(
        [top1(labels, probe.predict(test, choice)[:, 0]) for choice in test.fixed(4)]
    )
    assert accuracy == pytest.approx(0.2, abs=0.03)
    factors = torch.randn(1000, 2, generator=chance)
    regression = fit(train, lambda _: factors, values(factors), SHORT, generator(0))
    assert r2(factors, regression.predict(test, test.fixed(1)[0])[:, 0]) == pytest.approx(
        0, abs=0.03
    )


def test_constant_features_and_constant_targets_do_no_harm() -> None:
    labels = torch.arange(64) % 2
    inputs = Inputs(torch.full((64, 2, 3), 7.0), 1, concatenated)
    probe = fit(inputs, lambda _: labels, classes(labels), SHORT, generator(0))
    assert bool(torch.isfinite(probe.predict(inputs, inputs.fixed(1)[0])).all())
    same = torch.full((64, 1), 3.0)
    told = fit(inputs, lambda _: same, values(same), SHORT, generator(0)).predict(
        inputs, inputs.fixed(1)[0]
    )
    assert torch.equal(told[:, 0], same)


def test_probes_depend_on_nothing_but_their_generator() -> None:
    views, labels = blobs(200, 0)
    inputs = Inputs(views, 1, concatenated)
    chance = torch.get_rng_state()
    first, again, other = (
        fit(inputs, lambda _: labels, classes(labels), SHORT, generator(seed, "a")).layers[0][0]
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), chance)
    seeds = {
        generator(seed, *purpose).initial_seed()
        for seed, purpose in itertools.product((0, 1), ((), ("a",), ("a", "b")))
    }
    assert len(seeds) == 6


def test_inputs_pick_different_rows() -> None:
    inputs = Inputs(torch.arange(20.0).view(2, 5, 2), 3, concatenated)
    choice = inputs.draw(torch.Generator().manual_seed(0))
    assert all(len(set(row)) == 3 for row in choice.tolist())
    picked = inputs(torch.tensor([1]), choice[1:])
    assert picked.tolist() == [
        [[10.0 + 2 * row + column for row in choice[1].tolist() for column in (0, 1)]]
    ]


def test_ways_to_combine_rows() -> None:
    rows = torch.tensor([[[1.0, 2.0], [3.0, 6.0]]])
    assert concatenated(rows).tolist() == [[[1, 2, 3, 6]]]
    assert running_mean(rows).tolist() == [[[1, 2], [2, 4]]]
    assert each(rows[:, None]).tolist() == rows.tolist()


def test_rotations_are_those_of_the_group() -> None:
    """The metric and the targets speak of the same quaternions, x y z w."""
    angles = rotations(10)
    turned = roma.unitquat_to_rotmat(EULER.absolute(angles))
    torch.testing.assert_close(turned, roma.euler_to_rotmat("xyz", angles))


def test_where_the_order_means_something_rows_are_beginnings_of_sequences() -> None:
    inputs = Inputs(torch.zeros(5000, 12, 1), 2, concatenated, sequence_length=4)
    drawn = inputs.draw(generator(0))
    firsts, counts = drawn[:, 0].unique(return_counts=True)
    assert (
        firsts.tolist() == [0, 4, 8]
        and counts.min() > 1500
        and torch.equal(drawn[:, 1], drawn[:, 0] + 1)
    )
    assert [choice[0].tolist() for choice in inputs.fixed(8)] == [[0, 1], [4, 5], [8, 9]]
    one = replace(inputs, picks=1)
    assert len(one.draw(generator(0)).unique()) == 12 and len(one.fixed(8)) == 12, (
        "of one view, every one"
    )


def test_inputs_for_fewer_heads_are_for_the_first() -> None:
    views, labels = blobs(300, 0)
    probe = fit(
        Inputs(views, 3, running_mean), lambda _: labels, classes(labels), SHORT, generator(0)
    )
    inputs = Inputs(views, 2, running_mean)
    choice = inputs.fixed(1)[0]
    whole = probe.predict(Inputs(views, 3, running_mean), torch.cat([choice, choice[:, :1]], 1))
    assert torch.equal(probe.predict(inputs, choice), whole[:, :2])
