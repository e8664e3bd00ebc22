"""Whether a representation collapses while it is learned."""

import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.distributed import gather
from seqjepa.types import Representation

COLLAPSED = 0.05  # feature_std below this is collapse: a constant encoder gives under 1e-2, healthy ones stay above 0.3 from the first step


@torch.no_grad()
def feature_std(features: Tensor) -> Tensor:
    """Spread of L2-normalised features [..., D]: standard deviation over all samples, mean over
    dimensions, times sqrt(D).

    1 where directions are uniform on the sphere, 0 where all features point the same way.
    """
    flat = F.normalize(features.float().flatten(0, -2), dim=-1)
    spread: Tensor = flat.std(0, correction=0).mean() * flat.shape[-1] ** 0.5
    return spread


@torch.no_grad()
def rankme(features: Tensor) -> Tensor:
    """Effective rank of features [..., D]: exp of the entropy of the normalised singular values
    (Garrido et al., RankMe, 2023, eq. 1).

    The mean is removed first, unlike in the paper: features after a ReLU share a large mean, which
        hides collapse and health alike.
    """
    flat = features.float().flatten(0, -2)
    values = torch.linalg.svdvals(flat - flat.mean(0))
    share = values / values.sum().clamp_min(1e-12) + 1e-7
    return torch.exp(-(share * share.log()).sum())


def health(representation: Representation) -> dict[str, float]:
    """The collapse figures of both representations, of all ranks' samples, for the log."""
    parts = {
        "z": gather(representation.views.float()),
        "agg": gather(representation.sequence.float()),
    }
    stds = {f"{name}_std": feature_std(features).item() for name, features in parts.items()}
    return stds | {f"{name}_rankme": rankme(features).item() for name, features in parts.items()}


def collapse_message(representation: Representation) -> str | None:
    """What to tell a user whose representation has collapsed; None while it has not. All ranks'
    samples count: all say the same."""
    for name, features in (("views", representation.views), ("sequences", representation.sequence)):
        if (spread := feature_std(gather(features.float())).item()) < COLLAPSED:
            return (
                f"the representation of {name} has collapsed: std of normalised features {spread:.1e} (healthy: above 0.1). "
                "Try a lower optim.lr or a longer optim.warmup; with an EMA target, a higher method.ema_momentum"
            )
    return None
