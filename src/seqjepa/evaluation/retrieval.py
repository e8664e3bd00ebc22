"""Retrieval by the predictor: does it find the view that an action leads to? (SIE, section 4.2)

For every view of an object, its target is predicted from a context of M views of the same object
and the action to it, and all the object's views are ranked by their cosine to the prediction. Equal
cosines share the mean of their ranks, so that a collapsed model is no better than chance.

    mrr    mean of 1 / rank
    h@k    share of ranks of k or less
    pre    mean of (1 - <q, q'>^2), with the quaternion q of the view asked for, q' of the nearest
           view of all objects

As in SIE, a context ends in the object's first view, which is itself one of the views asked for,
by the action that changes nothing. Longer contexts (not in SIE) begin with other views, which are
candidates, too, but are not asked for. `chance` is what random ranks would give.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.actions import ActionSpace
from seqjepa.evaluation.bank import Bank, read_bank
from seqjepa.evaluation.protocol import Record, make_records
from seqjepa.evaluation.subject import Subject

CONTEXTS = (1, 2, 3, 4, 5)  # views M
HITS = (1, 2, 5, 10)
SEARCHED = 8192  # predictions that are compared with the views of all objects, at most
ROWS = 4096  # of predictions in a pass


def retrieval(subject: Subject) -> list[Record]:
    """Return the figures of retrieval within each object and, for `pre`, among all objects.

    Raises:
        NotApplicableError: if the method has no predictor, or the world no actions.
    """
    bank = read_bank(subject)
    views = bank.targets.shape[1]
    longest = min(max(CONTEXTS), views - 1) if subject.method.remembers else 1

    records = list[Record]()
    for observed in CONTEXTS[:longest]:
        predicted = predict_targets(subject, bank, observed)
        scores = score(ranks_within(predicted, bank.targets))
        scores |= nearest_errors(subject.world.spec.actions, bank, predicted)

        source = "sequence" if observed > 1 else "view"
        about = (subject.split, "retrieval", source, observed)
        records += make_records("model", *about, scores)
        records += make_records("chance", *about, chance(views))
    return records


def predict_targets(subject: Subject, bank: Bank, observed: int) -> Tensor:
    """Return predictions [N, V - M + 1, F] of views, each from the same context of M views.

    The context of an object is its last M - 1 views, then its first; the views asked for are all
    but those last ones, in their order.
    """
    method, space = subject.method, subject.world.spec.actions
    sources, targets, poses = bank.sources, bank.targets, bank.poses
    views = targets.shape[1]
    context = [*range(views - observed + 1, views), 0]
    asked = torch.arange(views - observed + 1, device=targets.device)

    # Actions within the context [N, M - 1, A], and from its end to each view [N, V', A].
    inner = space.along(poses[:, context])
    outer = space.between(poses[:, :1].expand(-1, len(asked), -1), poses[:, asked])
    found = torch.empty(len(bank), len(asked), targets.shape[-1], device=targets.device)
    for rows in torch.arange(len(bank)).split(max(1, ROWS // len(asked))):
        shown = sources[rows][:, context].repeat_interleave(len(asked), 0)
        before = inner[rows].repeat_interleave(len(asked), 0)
        moves = torch.cat([before, outer[rows].flatten(0, 1)[:, None]], 1)
        with subject.inference():
            made = method.predict(shown, moves).float()
        found[rows] = made.unflatten(0, (len(rows), len(asked)))
    return found


def ranks_within(predicted: Tensor, targets: Tensor) -> Tensor:
    """Return the rank of each asked view among its object's views, from 1; ties share the mean.

    Args:
        predicted: [N, V', F], of the first V' views.
        targets: [N, V, F].
    """
    cosines = F.normalize(predicted, dim=-1) @ F.normalize(targets, dim=-1).transpose(1, 2)
    own = cosines.diagonal(dim1=1, dim2=2)[..., None]
    better, equal = (cosines > own).sum(-1), (cosines == own).sum(-1)
    return better + (equal + 1) / 2


def score(ranks: Tensor) -> dict[str, float]:
    """Return the metrics of ranks from 1."""
    hits = {f"h@{k}": float((ranks <= k).double().mean()) for k in HITS}
    return {"mrr": float((1 / ranks.double()).mean())} | hits


def chance(views: int) -> dict[str, float]:
    """Return the metrics of random ranks among a number of views."""
    return score(torch.arange(1, views + 1))


def nearest_errors(space: ActionSpace, bank: Bank, predicted: Tensor) -> dict[str, float]:
    """Return `pre` of the nearest of all views; nothing if no group is a rotation."""
    rotations = [group for group in space.groups if group.is_rotation]
    if not rotations:
        return {}

    # Predictions spread evenly over objects and views.
    every = predicted.flatten(0, 1)
    chosen = torch.linspace(0, len(every) - 1, min(len(every), SEARCHED)).long()
    objects, views = chosen // predicted.shape[1], chosen % predicted.shape[1]
    everywhere = F.normalize(bank.targets.flatten(0, 1), dim=-1)
    nearest = torch.cat(
        [(F.normalize(part, dim=-1) @ everywhere.T).argmax(-1) for part in every[chosen].split(512)]
    )
    errors = {}
    for group in rotations:
        own = group.absolute(bank.poses[..., space.columns(group)])
        error = 1 - (own[objects, views] * own.flatten(0, 1)[nearest]).sum(-1).square()
        name = "pre" if len(rotations) == 1 else f"pre {group.name}"
        errors[name] = float(error.double().mean())
    return errors
