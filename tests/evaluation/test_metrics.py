"""Figures that probes are judged by, against values worked out independently."""

import math

import pytest
import roma
import torch
from torch import Tensor

from seqjepa.actions import Group
from seqjepa.evaluation.metrics import median_degrees, r2, r2_global, r2_nearest, top1

EULER = Group(name="rotation", dims=("x", "y", "z"), kind="euler")


def rotations(number: int, seed: int = 0) -> Tensor:
    """Draw Euler angles from 3DIEBench's range (methods: section 3.1.2)."""
    return (torch.rand(number, 3, generator=torch.Generator().manual_seed(seed)) - 0.5) * math.pi


def test_the_mean_predictor_scores_nothing() -> None:
    truth = EULER.absolute(rotations(1000))
    assert r2(truth, truth.mean(0).expand_as(truth)) == pytest.approx(0, abs=1e-9)
    assert r2(truth, truth) == 1


def test_global_r2_rewards_the_mean_predictor() -> None:
    """methods: section 4.3, 0.229 (relative, of either sign as published; ours has w >= 0) and
    0.461 (individual)."""
    start, end = (roma.euler_to_unitquat("xyz", rotations(200_000, seed)) for seed in (0, 1))
    relative = roma.quat_product(roma.quat_conjugation(start), end)
    for truth, score in ((relative, 0.229), (start, 0.461)):
        mean = truth.mean(0).expand_as(truth)
        assert r2_global(truth, mean) == pytest.approx(score, abs=0.005)


def test_the_opposite_quaternion_is_no_error() -> None:
    truth = EULER.absolute(rotations(1000))
    flipped = torch.where(torch.arange(1000)[:, None] % 3 == 0, -truth, truth)
    assert r2_nearest(truth, flipped) == r2_nearest(truth, -truth) == 1
    assert r2(truth, flipped) < 0

    # Every one of these lies on the mean's side, so that the mean predictor scores nothing still.
    mean = truth.mean(0).expand_as(truth)
    assert r2_nearest(truth, mean) == pytest.approx(0, abs=1e-9)


def test_nearest_r2_by_hand() -> None:
    """Turns about x; x varies around 0.3 by 0.3, w around 0.9 by 0.1."""
    truth = torch.tensor([[0.6, 0.0, 0.0, 0.8], [0.0, 0.0, 0.0, 1.0]])
    predicted = torch.tensor([[-0.5, 0.0, 0.0, -0.9], [0.1, 0.0, 0.0, 1.0]])
    # The first is 0.1 off -q in x and in w, the second 0.1 off q in x.
    by_hand = ((1 - 0.02 / 0.18) + (1 - 0.01 / 0.02)) / 2
    assert r2_nearest(truth, predicted) == pytest.approx(by_hand)
    # Away from the jump it is the paper's.
    assert r2_nearest(truth, truth * 0.9) == r2(truth, truth * 0.9)


def test_r2_is_averaged_over_dimensions() -> None:
    truth = torch.tensor([[0.0, 0.0], [2.0, 200.0]])
    predicted = torch.tensor([[0.0, 100.0], [2.0, 100.0]])
    assert r2(truth, predicted) == pytest.approx(0.5)
    around_one_mean = 1 - 20_000 / (50.5**2 * 2 + 48.5**2 + 149.5**2)
    assert r2_global(truth, predicted) == pytest.approx(around_one_mean)


def test_a_dimension_that_never_varies_does_not_count() -> None:
    noise = torch.randn(100, generator=torch.Generator().manual_seed(0))
    truth = torch.stack([noise, torch.zeros(100)], 1)
    assert r2(truth, truth.mean(0).expand_as(truth)) == pytest.approx(0)
    wrong = truth + torch.tensor([0.0, 1.0])
    assert r2(truth, wrong) == pytest.approx(1), "what is said of it does not count, either"
    assert math.isnan(r2(torch.zeros(3, 2), torch.zeros(3, 2)))


def test_angles_between_rotations() -> None:
    """Turns about z by hand; the sign and the length of a predicted quaternion do not matter."""
    half = torch.tensor([0.0, 10.0, 90.0]).deg2rad() / 2
    predicted = torch.stack([torch.zeros(3), torch.zeros(3), half.sin(), half.cos()], 1)
    truth = torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(3, 4)

    assert median_degrees(truth, predicted) == pytest.approx(10, abs=1e-4)
    assert median_degrees(truth, -7 * predicted) == pytest.approx(10, abs=1e-4)
    assert median_degrees(predicted, predicted) == pytest.approx(0, abs=1e-4)
    assert median_degrees(truth[:2], predicted[1:]) == pytest.approx(50, abs=1e-4)


def test_top1() -> None:
    logits = torch.tensor([[2.0, 1.0], [0.0, 0.1], [1.0, 0.0]])
    assert top1(torch.tensor([0, 1, 1]), logits) == pytest.approx(2 / 3)


def test_rotations_are_those_of_the_group() -> None:
    """The metric and the targets speak of the same quaternions, x y z w."""
    angles = rotations(10)
    turned = roma.unitquat_to_rotmat(EULER.absolute(angles))
    torch.testing.assert_close(turned, roma.euler_to_rotmat("xyz", angles))
