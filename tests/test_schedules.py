"""Learning rate and EMA momentum at the points that the paper names."""

import math
from itertools import pairwise

import pytest

from seqjepa.config import OptimConfig
from seqjepa.schedules import ema_momentum, warmup_cosine

PAPER = {"start": 1e-5, "peak": 4e-4, "end": 1e-5}


def test_learning_rate_of_the_paper():
    """Section 3.2: 20 of 1000 epochs from 1e-5 to 4e-4, then a cosine to 1e-5, here at 82 steps per
    epoch."""
    rates = [warmup_cosine(step, total=82_000, warmup=1_640, **PAPER) for step in range(82_000)]
    assert rates[0] == 1e-5
    assert rates[820] == pytest.approx((1e-5 + 4e-4) / 2)
    assert rates[1640] == max(rates) == 4e-4
    assert rates[1640 + (81_999 - 1640) // 2] == pytest.approx((1e-5 + 4e-4) / 2, rel=1e-4)
    assert rates[-1] == pytest.approx(1e-5), "the cosine acts to the last step"
    assert all(a < b for a, b in pairwise(rates[:1641]))
    assert all(a > b for a, b in pairwise(rates[1640:]))


@pytest.mark.parametrize("total", [1, 2, 3, 7, 1000])
def test_any_length_and_warmup_is_finite_and_in_range(total):
    for warmup in range(min(total, 5)):
        rates = [warmup_cosine(step, total=total, warmup=warmup, **PAPER) for step in range(total)]
        assert all(1e-5 <= rate <= 4e-4 and math.isfinite(rate) for rate in rates)
        # Unless no step is left for the decay.
        assert rates[-1] == pytest.approx(1e-5) or warmup >= total - 1


def test_defaults_are_the_papers():
    config = OptimConfig()
    assert (config.lr, config.lr_start, config.lr_end) == (4e-4, 1e-5, 1e-5)
    assert (config.warmup, config.weight_decay) == (20 / 1000, 1e-3)


def test_ema_momentum_of_the_paper():
    """tau(0) = .996, tau(K) = 1 (section 3.2); the values between as in the fact sheet."""
    assert ema_momentum(0.0, 0.996) == 0.996
    assert ema_momentum(1.0, 0.996) == 1.0
    assert ema_momentum(0.5, 0.996) == pytest.approx(0.998, abs=1e-12)
    assert ema_momentum(0.9, 0.996) == pytest.approx(0.99990, abs=5e-6)
    values = [ema_momentum(step / 100, 0.99) for step in range(101)]
    assert values == sorted(values)
