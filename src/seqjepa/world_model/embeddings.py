"""Embeddings that a caller gives: the distances between them, and the nearest of a bank.

Distances are 1 - cosine, or the mean squared difference where lengths mean something (*scaled*).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.errors import ConfigError
from seqjepa.model import as_tensor
from seqjepa.world_model.state import Neighbours, State

ROWS = 1024  # of embeddings that are looked for in a bank at once


def embeddings_of(name: str, value: Any, device: torch.device) -> Tensor:
    """Return embeddings [..., F] as float32 on a device.

    Raises:
        ConfigError: if they are anything else, as far as that shows.
    """
    if isinstance(value, State):
        raise ConfigError(f"{name} must be a tensor [..., F], got a State: give its .embedding")
    found = as_tensor(name, value)
    if not found.ndim or not found.is_floating_point():
        raise ConfigError(
            f"{name} must be float [..., F], got {found.dtype} {list(found.shape)}: `target` makes "
            "embeddings of views, `imagine` of actions"
        )
    return found.to(device, torch.float32)


def distances(embeddings: Tensor, others: Tensor, *, scaled: bool) -> Tensor:
    """Return the distances [...] between embeddings [..., F] that broadcast.

    Raises:
        ConfigError: if they do not.
    """
    try:
        first, second = torch.broadcast_tensors(embeddings, others)
    except RuntimeError as error:
        raise ConfigError(
            f"embeddings {list(embeddings.shape)} and others {list(others.shape)} must be equally "
            "wide and broadcast: others[:, None] puts in an axis that they lack"
        ) from error
    found: Tensor
    if scaled:
        found = (first - second).square().mean(-1)
    else:
        found = 1 - F.cosine_similarity(first, second, dim=-1)
    return found


def nearest_entries(embeddings: Tensor, bank: Tensor, k: int, *, scaled: bool) -> Neighbours:
    """Return the k entries of a bank [N, F] that are nearest to embeddings [..., F].

    Raises:
        ConfigError: if they are of different widths, or the bank has fewer than k entries.
    """
    width = embeddings.shape[-1]
    if bank.ndim != 2 or bank.shape[1] != width:
        raise ConfigError(
            f"the bank must be [N, {width}], as wide as the embeddings {list(embeddings.shape)}, "
            f"got {list(bank.shape)}: `target` makes both of views"
        )
    if not 1 <= k <= len(bank):
        raise ConfigError(f"k must be 1 to {len(bank)}, the entries of the bank, got {k}")

    parts = embeddings.reshape(-1, width).split(ROWS)
    found = [_to_all(part, bank, scaled).topk(k, largest=False) for part in parts]
    shape = (*embeddings.shape[:-1], k)
    return Neighbours(
        torch.cat([part.indices for part in found]).view(shape),
        torch.cat([part.values for part in found]).view(shape),
    )


def _to_all(embeddings: Tensor, others: Tensor, scaled: bool) -> Tensor:
    """Return the distances [n, N] of embeddings [n, F] to all of others [N, F]."""
    # By matrix products: differences [n, N, F] may not fit into memory.
    if scaled:
        return torch.cdist(embeddings, others).square() / others.shape[1]
    return 1 - F.normalize(embeddings, dim=-1) @ F.normalize(others, dim=-1).T
