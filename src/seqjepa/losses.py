"""Losses: pure functions of tensors."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def cosine_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Return one minus the cosine similarity along the last axis, unreduced (seq-JEPA, eq. 5).

    Args:
        predicted: [..., D].
        target: [..., D]; pass it detached.

    Returns:
        [...], in fp32 at least, whatever the inputs' precision.
    """
    return 1 - F.cosine_similarity(precise(predicted), precise(target), dim=-1)


def nt_xent(
    first: Tensor, second: Tensor, temperature: float, *, least_cosine: float = -1.0
) -> Tensor:
    """Return the normalised temperature-scaled cross-entropy (SimCLR, eq. 1).

    It is the mean over all 2B anchors. Each row is to pick its partner among the 2B - 1 other rows
    of both tensors by cosine similarity.

    Args:
        first, second: [B, D], row i of one is the positive of row i of the other. Under several
            ranks: of the global batch.
        temperature: tau.
        least_cosine: smaller similarities count as this (ContextSSL's release: 1e-7).
    """
    rows = F.normalize(precise(torch.cat([first, second])), dim=-1)
    # Autocast would multiply in bf16.
    with torch.autocast(rows.device.type, enabled=False):
        logits = (rows @ rows.T).clamp_min(least_cosine) / temperature
    # No row is its own partner; row i and row i + B, modulo 2B, are partners.
    itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    partner = torch.arange(len(rows), device=rows.device).roll(len(first))
    return F.cross_entropy(logits.masked_fill(itself, -torch.inf), partner)


def contrast_loss(
    predicted: Tensor,
    targets: Tensor,
    temperature: float,
    negatives: Literal["all", "others", "own"] = "all",
    start: int = 0,
) -> Tensor:
    """Return the cross-entropy of picking each prediction's own view by cosine, unreduced.

    This is InfoNCE (van den Oord et al. 2018, eq. 4) with cosines over the temperature as scores.

    Args:
        predicted: [B, P, D], of the last P views of each object.
        targets: [N, T, D], of all views of all objects; pass them detached. Under several ranks: of
            the global batch.
        temperature: tau.
        negatives: the views to tell a prediction's own view from: `all` others, only those of the
            `others`, the other objects, or only the other views of its `own` object.
        start: the first of the B objects among the N.

    Returns:
        [B, P], in fp32 at least.
    """
    size, last, views = *predicted.shape[:2], targets.shape[1]
    rows = F.normalize(precise(predicted), dim=-1).flatten(0, 1)
    columns = F.normalize(precise(targets), dim=-1).flatten(0, 1)
    # Autocast would multiply in bf16.
    with torch.autocast(rows.device.type, enabled=False):
        logits = rows @ columns.T / temperature

    # Row b P + p belongs to object start + b, and predicts its view T - P + p.
    objects = torch.arange(start, start + size, device=rows.device).repeat_interleave(last)
    seen = torch.arange(views - last, views, device=rows.device).repeat(size)
    own = objects * views + seen
    if negatives != "all":
        same = objects[:, None] == torch.arange(len(columns), device=rows.device) // views
        hidden = same if negatives == "others" else ~same
        logits = logits.masked_fill(hidden.scatter(1, own[:, None], False), -torch.inf)
    losses = F.cross_entropy(logits, own, reduction="none")
    return losses.view(size, last)


def variance_hinge(rows: Tensor) -> Tensor:
    """Return the mean amount by which standard deviations of [B, D] fall short of 1.

    This is VICReg's eqs. 1 and 2 with gamma 1 and epsilon 1e-4.
    """
    return F.relu(1 - (precise(rows).var(0) + 1e-4).sqrt()).mean()


def covariance_penalty(rows: Tensor) -> Tensor:
    """Return the sum of squared covariances between different dimensions of [B, D], over D.

    This is VICReg's eqs. 3 and 4.
    """
    centred = precise(rows) - precise(rows).mean(0)
    # Autocast would multiply in bf16.
    with torch.autocast(rows.device.type, enabled=False):
        covariance = centred.T @ centred / (len(rows) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / rows.shape[1]


def mean_squared_error(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean over all elements of [..., D] (VICReg, eq. 5, over D as in its code)."""
    return F.mse_loss(precise(first), precise(second))


def vicreg_terms(first: Tensor, second: Tensor) -> dict[str, Tensor]:
    """Return `invariance`, `variance` and `covariance` of projections [B, D].

    `variance` is half the sum of the two tensors', as in VICReg's code.
    """
    return {
        "invariance": mean_squared_error(first, second),
        "variance": (variance_hinge(first) + variance_hinge(second)) / 2,
        "covariance": covariance_penalty(first) + covariance_penalty(second),
    }


def trajectory_loss(before: Tensor, centre: Tensor, after: Tensor) -> Tensor:
    """Return minus the cosine between the two legs of a trajectory (VICReg-Traj).

    The trajectory is on the unit sphere. Both legs are tangents at its centre.

    Args:
        before, centre, after: [B, D], of three views; normalised here.
    """
    left, middle, right = (F.normalize(precise(x), dim=-1) for x in (before, centre, after))

    def tangent(leg: Tensor) -> Tensor:
        return leg - (leg * middle).sum(-1, keepdim=True) * middle

    return -F.cosine_similarity(tangent(middle - left), tangent(right - middle), dim=-1).mean()


def precise(x: Tensor) -> Tensor:
    """Return a tensor in fp32 at least: sums over many elements need it."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
