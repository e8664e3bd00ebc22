"""Losses: pure functions of tensors."""

import torch.nn.functional as F
from torch import Tensor


def cosine_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """One minus the cosine similarity along the last axis, without reduction (seq-JEPA, eq. 5).

    Args:
        predicted: [..., D].
        target: [..., D]; pass it detached.

    Returns:
        [...], in fp32 whatever the inputs' precision.
    """
    return 1 - F.cosine_similarity(predicted.float(), target.float(), dim=-1)
