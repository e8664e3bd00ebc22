"""The group of actions: do predictions respect it?

World Models as Group Actions (arXiv 2605.24578) asks it of videos; here it is asked of embeddings.
The world's actions form a group: some action changes nothing, each has an inverse, and two make a
third. A predictor T(e, a) of embeddings that is a group action has, with e the embedding of a view,

    one step      T(e, a) = that of the view that action a leads to
    identity      T(e, 1) = e
    inverse       T(T(e, a), a^-1) = e
    composition   T(T(e, a), b) = T(e, a b)
    rollout       T(.. T(T(e, a_1), a_2) .., a_k) = that of the view after k actions

Each error is the mean of 1 - cos between both sides, over the same between two random views of an
object: 0 is exact, 1 as far off as another view. The mean over all views is taken off each side
first, since a contrast of cosines leaves an offset that all share to chance. Rollouts are also
ranked, as in `retrieval`: `mrr` is that of the view after k actions among the object's.

A predictor that ignores actions and returns e obeys identity, inverse and composition: `one step`
tells it apart. The actions are those between an object's views in random order, exact by the
poses. Predictions start from a single view, and go on from what was predicted (`Method.advance`).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.evaluation.bank import Bank, read_bank
from seqjepa.evaluation.protocol import Record, make_records
from seqjepa.evaluation.retrieval import ROWS, ranks_within, score
from seqjepa.evaluation.subject import Subject

LONGEST = 20  # actions of a rollout, at most


def group(subject: Subject) -> list[Record]:
    """Return the error of each law; those of repeated predictions where a method has them.

    Raises:
        NotApplicableError: if the method has no predictor, or the world no actions.
    """
    bank = read_bank(subject)
    steps = min(LONGEST, bank.targets.shape[1] - 1)
    laws = law_errors(subject, bank)
    drift = rollout(subject, bank, steps) if subject.method.rolls_out else []

    records = make_records("model", subject.split, "group", "view", 1, laws)
    for step, scores in enumerate(drift, 1):
        records += make_records("model", subject.split, "rollout", "view", step, scores)
    return records


def law_errors(subject: Subject, bank: Bank) -> dict[str, float]:
    """Return the error of each law, by its name."""
    space, sources, targets = subject.world.spec.actions, bank.sources, bank.targets

    # Every view with the one and the two after it, the first again after the last.
    poses, after, later = (bank.poses.roll(-shift, 1) for shift in range(3))
    step, still = space.between(poses, after), space.between(poses, poses)
    sides = {
        "one step": (_predict(subject, sources, step), targets.roll(-1, 1)),
        "identity": (_predict(subject, sources, still), targets),
    }
    if subject.method.rolls_out:
        moved = _advance(subject, sources, step)
        back = _predict(subject, moved, space.between(after, poses))
        onward = _predict(subject, moved, space.between(after, later))
        direct = _predict(subject, sources, space.between(poses, later))
        sides |= {"inverse": (back, targets), "composition": (onward, direct)}
    scale = _spread(targets)
    return {name: _distance(*pair) / scale for name, pair in sides.items()}


def rollout(subject: Subject, bank: Bank, steps: int) -> list[dict[str, float]]:
    """Return error and `mrr` after 1 .. `steps` actions from each object's first view."""
    moves, scale = subject.world.spec.actions.along(bank.poses), _spread(bank.targets)
    state, found = bank.sources[:, :1], []
    for step in range(steps):
        action, reached = moves[:, step : step + 1], step + 1
        predicted = _predict(subject, state, action)
        # The view that is asked for comes first among its object's.
        targets = bank.targets.roll(-reached, 1)
        error = _distance(predicted, targets[:, :1]) / scale
        found.append({"error": error, "mrr": score(ranks_within(predicted, targets))["mrr"]})
        state = _advance(subject, state, action)
    return found


def _predict(subject: Subject, sources: Tensor, actions: Tensor) -> Tensor:
    """Return predictions [N, V, F] from single sources [N, V, E], each by its action [N, V, A]."""
    return _in_parts(
        subject, lambda e, a: subject.method.predict(e[:, None], a[:, None]), sources, actions
    )


def _advance(subject: Subject, sources: Tensor, actions: Tensor) -> Tensor:
    """Return the sources [N, V, E] that predictions are, as `_predict`."""
    method = subject.method

    def step(e: Tensor, a: Tensor) -> Tensor:
        return method.advance(e[:, None], method.predict(e[:, None], a[:, None]))

    return _in_parts(subject, step, sources, actions)


def _in_parts(
    subject: Subject, step: Callable[[Tensor, Tensor], Tensor], sources: Tensor, actions: Tensor
) -> Tensor:
    """Return a step's outputs [N, V, ...] from sources and actions [N, V, ...], in parts."""
    parts = zip(sources.flatten(0, 1).split(ROWS), actions.flatten(0, 1).split(ROWS), strict=True)
    with subject.inference():
        made = torch.cat([step(some, moves).float() for some, moves in parts])
    found: Tensor = made.unflatten(0, sources.shape[:2])
    return found


def _distance(left: Tensor, right: Tensor) -> float:
    """Return the mean of 1 - cos between rows [N, V, F], the mean row of each side taken off."""
    one, other = (side - side.flatten(0, 1).mean(0) for side in (left, right))
    return float((1 - F.cosine_similarity(one, other, dim=-1)).double().mean())


def _spread(targets: Tensor) -> float:
    """Return the distance between two views of an object."""
    return _distance(targets, targets.roll(-1, 1))
