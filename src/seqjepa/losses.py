"""Losses: pure functions of tensors."""

import torch
import torch.nn.functional as F
from torch import Tensor


def cosine_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """One minus the cosine similarity along the last axis, without reduction (seq-JEPA, eq. 5).

    Args:
        predicted: [..., D].
        target: [..., D]; pass it detached.

    Returns:
        [...], in fp32 at least, whatever the inputs' precision.
    """
    return 1 - F.cosine_similarity(_precise(predicted), _precise(target), dim=-1)


def _precise(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
