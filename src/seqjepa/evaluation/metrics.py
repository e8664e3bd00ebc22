"""Figures that probes are judged by."""

import math

import numpy as np
import roma
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score, r2_score
from torch import Tensor


def top1(truth: Tensor, logits: Tensor) -> float:
    """Return the share of samples [n] whose largest of the logits [n, C] is the label's."""
    return float(accuracy_score(truth.cpu().numpy(), logits.argmax(-1).cpu().numpy()))


def r2(truth: Tensor, predicted: Tensor) -> float:
    """Return the paper's R2 for [n, d]: that of each dimension that varies, averaged.

    It is scikit-learn's uniform average. The mean predictor scores 0. The figure is NaN where no
    dimension varies.
    """
    # 1 - sum of (truth - prediction)^2 / sum of (truth - its mean)^2, for which a dimension that
    # never varies would count as predicted without a fault.
    varies = (truth != truth[:1]).any(0)
    if not varies.any():
        return math.nan
    true_values = truth[:, varies].cpu().double().numpy()
    predictions = predicted[:, varies].cpu().double().numpy()
    return float(r2_score(true_values, predictions, multioutput="uniform_average"))


def r2_nearest(truth: Tensor, predicted: Tensor) -> float:
    """Return `r2` of quaternions [n, 4], each against the nearer of q and -q, the same rotation.

    Targets jump from q to -q where a turn passes 180 degrees; a prediction beyond the jump is no
    error here. The spread that errors are compared with is that of the truths as they are.
    """
    # A prediction is as far from -q as the opposite prediction is from q.
    opposite = (truth * predicted).sum(-1, keepdim=True) < 0
    return r2(truth, torch.where(opposite, -predicted, predicted))


def r2_global(truth: Tensor, predicted: Tensor) -> float:
    """Return SIE's and ContextSSL's R2 for [n, d]: around one mean for all numbers.

    That mean is over samples and dimensions. The mean predictor scores more than 0.
    """
    return r2(truth.reshape(-1, 1), predicted.reshape(-1, 1))


def median_degrees(truth: Tensor, predicted: Tensor) -> float:
    """Return the median angle between true and predicted rotations, in degrees.

    The true ones are unit quaternions [n, 4]. The predicted ones may have any length. q and -q are
    the same rotation.
    """
    # The angle of the rotation that is left: 2 arccos |<q, p>|.
    unit = F.normalize(predicted.double(), dim=-1)
    angles = roma.unitquat_geodesic_distance(truth.double(), unit)
    return float(np.degrees(np.median(angles.cpu().numpy())))
