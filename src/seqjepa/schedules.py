"""Learning rate and EMA momentum as pure functions of the step; no other code decides them."""

import math


def warmup_cosine(
    step: int, *, total: int, warmup: int, start: float, peak: float, end: float
) -> float:
    """Return the value at a step: a linear warm-up, then a cosine (seq-JEPA, section 3.2).

    It goes from `start` to `peak` over `warmup` steps, then along half a cosine to `end`, which the
    last step reaches.

    Args:
        step: 0 .. total - 1.
        total: number of steps of the run.
        warmup: number of those that warm up.
        start, peak, end: the three values.
    """
    if step < warmup:
        return start + (peak - start) * step / warmup
    # A decay of a single step has nothing to divide by.
    angle = math.pi * (step - warmup) / max(total - 1 - warmup, 1)
    return end + (peak - end) * (1 + math.cos(angle)) / 2


def ema_momentum(progress: float, base: float) -> float:
    """Return the momentum: from `base` to 1 along half a cosine.

    It is `base` at the start (progress 0) and 1 at the end (progress 1) (BYOL, section 3.2;
    seq-JEPA, section 3.2).
    """
    return 1 - (1 - base) * (1 + math.cos(math.pi * progress)) / 2
