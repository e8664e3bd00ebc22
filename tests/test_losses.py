"""Losses against closed forms."""

import math

import pytest
import torch

from seqjepa.losses import cosine_loss


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
    assert loss.shape == (2, 3) and loss.dtype == (dtype if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(loss, torch.zeros_like(loss), rtol=0, atol=1e-6)


def test_cosine_loss_of_nothing_is_one_and_finite():
    p = torch.zeros(1, 4, requires_grad=True)
    loss = cosine_loss(p, torch.ones(1, 4))
    loss.sum().backward()
    assert loss.item() == 1.0 and p.grad.isfinite().all()
