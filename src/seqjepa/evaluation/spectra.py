"""Measures of features that need no labels, from their spectra: RankMe, LiDAR and alpha-ReQ."""

import torch
from torch import Tensor

# LiDAR's delta, in squared units of the features.
DELTA = 1e-4
# Ranks of the eigenvalues that a power law is fitted to: the largest few follow none.
FIRST, LAST = 3, 100
# Eigenvalues below this share of the largest are rounding.
ROUNDING = 1e-10


@torch.no_grad()
def rankme(features: Tensor) -> Tensor:
    """Return the effective rank of features [..., D] (Garrido et al., RankMe, 2023, eq. 1).

    It is exp of the entropy of the normalised singular values.
    """
    return _effective_rank(_singular_values(features))


@torch.no_grad()
def lidar(features: Tensor) -> Tensor:
    """Return the effective rank of what tells objects apart (Thilak et al., LiDAR, 2023, eq. 1).

    It is exp of the entropy of the normalised eigenvalues of

        Sigma_w^-1/2 Sigma_b Sigma_w^-1/2

    with Sigma_b the covariance of the objects' means, and Sigma_w that of views around the mean of
    their object, plus delta on its diagonal. It is below the number of objects.

    Args:
        features: [N, Q, D], Q samples of each of N objects, which stand for classes.

    Returns:
        The rank; NaN of a single sample of each object, which has no spread.
    """
    if features.shape[1] < 2:
        return torch.tensor(torch.nan)
    samples = features.double()
    means = samples.mean(1)
    within, between = _covariance(samples - means[:, None]), _covariance(means - means.mean(0))

    # In the axes of Sigma_w its root is a number for each axis.
    spreads, axes = torch.linalg.eigh(within)
    root = (spreads.clamp_min(0) + DELTA).rsqrt()
    values = torch.linalg.eigvalsh(root[:, None] * (axes.T @ between @ axes) * root)
    return _effective_rank(values.clamp_min(0))


@torch.no_grad()
def alpha(features: Tensor) -> Tensor:
    """Return the decay of the eigenspectrum of features [..., D] (Agrawal et al., alpha-ReQ, 2022).

    Eigenvalue i of the covariance is about i^-alpha: alpha is the slope of a line through the
    points (log i, -log eigenvalue), by least squares over i = 3 .. 100, or as far as eigenvalues
    are more than rounding. It is NaN if these are fewer than two.
    """
    values = _singular_values(features).double().square()
    kept = values[values > ROUNDING * values[0]][FIRST - 1 : LAST]
    if len(kept) < 2:
        return torch.tensor(torch.nan)
    x = torch.arange(FIRST, FIRST + len(kept), device=kept.device).double().log()
    x = x - x.mean()
    decay: Tensor = -(x * kept.log()).sum() / x.square().sum()
    return decay


MEASURES = {"rankme": rankme, "lidar": lidar, "alpha": alpha}


def _singular_values(features: Tensor) -> Tensor:
    """Return the singular values of features [..., D] around their mean, the largest first."""
    flat = features.float().flatten(0, -2)
    # Unlike in RankMe's paper the mean goes first: features after a ReLU share a large one, beside
    # which a collapsed representation and a healthy one have the same rank.
    values: Tensor = torch.linalg.svdvals(flat - flat.mean(0))
    return values


def _effective_rank(values: Tensor) -> Tensor:
    """Return exp of the entropy of values that are not negative, as shares of their sum."""
    share = values / values.sum().clamp_min(1e-12) + 1e-7
    return torch.exp(-(share * share.log()).sum())


def _covariance(deviations: Tensor) -> Tensor:
    """Return the covariance [D, D] of deviations [..., D] from a mean."""
    flat = deviations.flatten(0, -2)
    return flat.T @ flat / len(flat)
