"""Collapse of a representation: its two figures, and a watch over them while it is learned.

Figures are those of all ranks' samples, so that every rank comes to the same verdict.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.distributed import gather
from seqjepa.evaluation.spectra import alpha, lidar, rankme
from seqjepa.types import StepOutput

# A constant encoder has a spread under 1e-2; healthy ones stay above 0.3 from the first step.
COLLAPSED = 0.05
# Predictions begin near the mean of what they predict, so their spread says little, and is not in
# the log; but if all are the same, nothing is learned.
PREDICTION, SAME = "prediction", 1e-3


@torch.no_grad()
def feature_std(features: Tensor) -> Tensor:
    """Return the spread of L2-normalised features [..., D].

    It is the standard deviation over all samples, averaged over dimensions, times sqrt(D): 1 where
    directions are uniform on the sphere, 0 where all features point the same way.
    """
    flat = F.normalize(features.float().flatten(0, -2), dim=-1)
    spread: Tensor = flat.std(0, correction=0).mean() * flat.shape[-1] ** 0.5
    return spread


def health(output: StepOutput) -> dict[str, float]:
    """Return spread and effective rank of both representations, for the log.

    Of what the loss compares it is the spread alone: a rank of thousands of dimensions takes long.
    """
    parts = {
        "z": gather(output.representation.views.float()),
        "agg": gather(output.representation.sequence.float()),
    }
    stds = {f"{name}_std": feature_std(features).item() for name, features in parts.items()}
    for name, rows in output.compared.items():
        if name == PREDICTION:
            continue
        stds[f"{name}_std"] = feature_std(gather(rows.float())).item()
    return stds | {f"{name}_rankme": rankme(features).item() for name, features in parts.items()}


def spectra(output: StepOutput) -> dict[str, float]:
    """Return what `train.health` asks for of the views' features in a batch, for the log.

    They are `health/lidar` and `health/alpha`, as far as they are defined; RankMe is the log's
    `z_rankme`. Those of a batch are lower than those of a split that `evaluate --suite health`
    tells: no rank is larger than the number of views, nor LiDAR's than that of objects.
    """
    features = gather(output.representation.views.float())
    found = {"health/lidar": lidar(features).item(), "health/alpha": alpha(features).item()}
    return {name: value for name, value in found.items() if not math.isnan(value)}


class CollapseWatch:
    """Warns of a collapsed representation, once for each collapse.

    Args:
        warn: prints a warning.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.warn = warn
        self.collapsed_looks = 0  # in a row

    def look(self, step: int, output: StepOutput) -> str | None:
        """Return what is wrong, with its remedy, if a collapse has just been found, else None.

        Args:
            step: optimizer steps done, for the message.
            output: of the step.
        """
        message = collapse_message(output)
        self.collapsed_looks = self.collapsed_looks + 1 if message else 0

        # One odd batch is no collapse; what has been said once need not be said again.
        if self.collapsed_looks != 2:
            return None
        self.warn(f"step {step}: {message}")
        return f"step {step}: {message}"


def collapse_message(output: StepOutput) -> str | None:
    """Return what has collapsed and the remedy, or None while nothing has."""
    parts = {
        "the representation of views": (output.representation.views, COLLAPSED),
        "the representation of sequences": (output.representation.sequence, COLLAPSED),
    }
    # The features may be well while their head has nothing left to compare.
    for name, rows in output.compared.items():
        least = SAME if name == PREDICTION else COLLAPSED
        parts[f"the {name.replace('_', ' ')} that the loss compares"] = (rows, least)

    for name, (features, least) in parts.items():
        spread = feature_std(gather(features.float())).item()
        if spread < least:
            return (
                f"{name} has collapsed: std of normalised features {spread:.1e} (healthy: above "
                "0.1). Try a lower optim.lr or a longer optim.warmup; with an EMA target, a higher "
                "method.ema_momentum"
            )
    return None
