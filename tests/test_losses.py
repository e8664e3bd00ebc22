"""Losses against closed forms."""

import math

import pytest
import torch

from seqjepa.losses import (
    contrast_loss,
    cosine_loss,
    covariance_penalty,
    mean_squared_error,
    nt_xent,
    trajectory_loss,
    variance_hinge,
)


def test_cosine_loss_of_known_angles():
    """Equation 5: 1 - cos, whatever the lengths."""
    angles = torch.tensor([0.0, 30.0, 90.0, 120.0, 180.0]).deg2rad()
    predicted = 3 * torch.stack([angles.cos(), angles.sin()], -1)
    target = torch.tensor([0.5, 0.0]).expand(5, 2)
    expected = torch.tensor([0.0, 1 - math.sqrt(3) / 2, 1.0, 1.5, 2.0])
    torch.testing.assert_close(cosine_loss(predicted, target), expected, rtol=0, atol=1e-6)


def test_cosine_loss_gradient():
    """d/dp of 1 - p.t / |p||t|, and by finite differences."""
    p = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    t = torch.randn(3, 4, dtype=torch.float64)
    cosine_loss(p, t).sum().backward()
    length, unit = p.detach().norm(dim=-1, keepdim=True), t / t.norm(dim=-1, keepdim=True)
    expected = -(unit - (unit * p.detach()).sum(-1, keepdim=True) * p.detach() / length**2) / length
    torch.testing.assert_close(p.grad, expected)
    assert torch.autograd.gradcheck(lambda x: cosine_loss(x, t), p)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_cosine_loss_is_never_half_precision(dtype):
    x = torch.randn(2, 3, 5).to(dtype)
    loss = cosine_loss(x, x)
    assert loss.shape == (2, 3)
    assert loss.dtype == (dtype if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(loss, torch.zeros_like(loss), rtol=0, atol=1e-6)


def test_cosine_loss_of_nothing_is_one_and_finite():
    p = torch.zeros(1, 4, requires_grad=True)
    loss = cosine_loss(p, torch.ones(1, 4))
    loss.sum().backward()
    assert loss.item() == 1.0 and p.grad.isfinite().all()


def test_nt_xent_by_hand():
    """Identical pairs, orthogonal negatives, B = 2, tau = 0.5: ln(1 + 2 e^-2)."""
    rows = torch.eye(2)
    loss = nt_xent(rows, rows, 0.5).item()
    assert loss == pytest.approx(math.log(1 + 2 * math.exp(-2)), abs=1e-6)
    assert loss == pytest.approx(0.2395, abs=1e-4)
    scaled = nt_xent(3 * rows, 0.1 * rows, 0.5).item()
    assert scaled == pytest.approx(0.2395, abs=1e-4), "length does not matter"

    # The partner's cosine is 0, those of the strangers are 1 and 0.
    swapped = nt_xent(rows, rows.flip(0), 0.5).item()
    assert swapped == pytest.approx(math.log(2 + math.exp(2)), abs=1e-6)
    opposite = nt_xent(rows[:1], -rows[:1], 0.5, least_cosine=1e-7).item()
    assert opposite == pytest.approx(0, abs=1e-6), "the partner is alone"

    ones = torch.ones(2, 1)
    clamped = nt_xent(ones, -ones, 1.0, least_cosine=0.0).item()
    assert clamped == pytest.approx(math.log(2 + math.e), abs=1e-6), "cosine -1 counts as 0"


@pytest.mark.parametrize(("negatives", "strangers"), [("all", 5), ("others", 3), ("own", 2)])
def test_contrast_by_hand(negatives, strangers):
    """Two objects of three orthogonal views, tau = 0.5: ln(1 + n e^-2) for n negatives."""
    targets = torch.eye(6).view(2, 3, 6)
    loss = contrast_loss(3 * targets[:, 1:], 0.1 * targets, 0.5, negatives)
    right = torch.full((2, 2), math.log(1 + strangers * math.exp(-2)))
    torch.testing.assert_close(loss, right)

    # The second object alone, as on the second of two ranks.
    second = contrast_loss(targets[1:, 2:], targets, 0.5, negatives, start=1)
    torch.testing.assert_close(second, right[1:, 1:])

    # A prediction of nothing sees all candidates at the same distance.
    nothing = contrast_loss(torch.zeros(2, 1, 6), targets, 0.5, negatives)
    torch.testing.assert_close(nothing, torch.full((2, 1), math.log(1 + strangers)))

    # The first view of the own object instead, and one of the other object.
    own = contrast_loss(targets[:, :1], targets, 0.5, negatives)
    other = contrast_loss(targets.flip(0)[:, 2:], targets, 0.5, negatives)
    for found, seen in ((own, negatives != "others"), (other, negatives != "own")):
        expected = math.log(strangers + 1 - seen + seen * math.exp(2))
        torch.testing.assert_close(found, torch.full((2, 1), expected))


def test_vicreg_terms_by_hand():
    wide = torch.tensor([[3.0, 3.0], [-3.0, 3.0], [3.0, -3.0], [-3.0, -3.0]])
    assert variance_hinge(wide).item() == 0, "every std above 1"
    assert covariance_penalty(wide).item() == 0, "no correlation"
    still = variance_hinge(torch.ones(4, 3)).item()
    assert still == pytest.approx(1 - 0.01), "sqrt(1e-4) of 1 is missing"

    # Variance 2, covariance 2 in both off-diagonal places, over 2 dimensions.
    line = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    assert covariance_penalty(line).item() == pytest.approx(4)
    assert mean_squared_error(line, -line).item() == 4

    before, centre = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]])
    onward, back = torch.tensor([[0.0, 1.0]]), torch.tensor([[5.0, 0.0]])
    assert trajectory_loss(before, centre, onward).item() == pytest.approx(-1)
    assert trajectory_loss(before, centre, back).item() == pytest.approx(1)


@pytest.mark.parametrize(
    "loss", [nt_xent, contrast_loss, covariance_penalty, variance_hinge, mean_squared_error]
)
def test_half_precision_is_summed_in_single(loss):
    a, b = torch.randn(2, 8, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    arguments = {
        nt_xent: (a, b, 0.1),
        contrast_loss: (a[:, None], b.view(8, 1, 4), 0.1),
        mean_squared_error: (a, b),
    }.get(loss, (a,))
    single = [x.float() if isinstance(x, torch.Tensor) else x for x in arguments]
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found = loss(*arguments)
        assert found.dtype == torch.float32 and torch.equal(found, loss(*single))
