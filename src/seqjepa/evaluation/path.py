"""Path integration: do the views seen say how far they have come? (seq-JEPA, appendix B.9)

From views x_1 .. x_M, the actions between them and the action a_M to one more view, a head predicts
the direct action x_1 -> x_{M+1}. It reads z_AGG of the M views and the method's embedding of a_M.
For M = 1 the direct action is a_1 itself. Rotations are predicted by MLPs, differences by linear
heads, one for each M, sized and trained as the protocol's probes but for smaller batches.
`Record.views` is M, and `Record.features`:

    model                    z_AGG and the embedding of a_M
    no actions               all embeddings of actions are zeros, a_M's too; head trained so
    no vision                the features of all views are zeros; head trained so
    no actions, head kept    the inputs of `no actions`, read by the head of `model`
    no vision, head kept     the inputs of `no vision`, read by the head of `model`
    product of actions       the quaternions a_1 a_2 .. a_M of a rotation: exact, nothing learned
    sum of actions           a_1 + .. + a_M, circular factors wrapped: exact for all but rotations,
                             of which it is the unit quaternion along the sum of quaternions

An aggregator that gets no actions may know of earlier ones by sight alone. Of each object, at most
eight sequences are read, for training and for testing: what sight tells takes many to learn.
Where the order of views means something, they are the beginnings of those that were drawn.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.actions import ActionSpace, Group
from seqjepa.evaluation.factor_probes import parts
from seqjepa.evaluation.features import FeatureTable, aggregate
from seqjepa.evaluation.fitting import Fit, Training, fit
from seqjepa.evaluation.metrics import median_degrees, r2
from seqjepa.evaluation.probes import Inputs, concatenated, generator_for, regression
from seqjepa.evaluation.protocol import Record, make_records
from seqjepa.evaluation.subject import NotApplicableError, Subject

LONGEST = 7  # views M, at most `evaluate.views` and as far as sequences have one more
# Sequences in a batch, as in the paper: there are 21 heads for each rotation, and with the
# protocol's 1024 each takes nearly three times as long.
BATCH = 256
SEQUENCES = 8  # of each object


@dataclass(frozen=True)
class Ablation:
    """The inputs that heads read.

    Attributes:
        name: see the module's docstring.
        actions, vision: whether these are among it.
    """

    name: str
    actions: bool = True
    vision: bool = True


WHOLE = Ablation("model")
ABLATIONS = (Ablation("no actions", actions=False), Ablation("no vision", vision=False))


@dataclass(frozen=True)
class Paths:
    """Sequences of M + 1 views of all objects of a split.

    Attributes:
        table: the features and poses of their views.
        orders: [K, M + 1], the sequences as indices of views, the same for all objects.
    """

    table: FeatureTable
    orders: Tensor

    def actions(self, space: ActionSpace) -> Tensor:
        """Return the actions [N, K, M, A] from view to view, float64."""
        return space.along(self._poses)

    def direct(self, space: ActionSpace) -> Tensor:
        """Return the actions [N, K, M, A] from the first view to each later one, float64."""
        first, later = self._poses[:, :, :1], self._poses[:, :, 1:]
        return space.between(first.expand_as(later), later)

    @property
    def _poses(self) -> Tensor:
        # Less rounding, or a turn of nearly 180 degrees becomes the opposite quaternion.
        return self.table.poses[:, self.orders].double()


def path(subject: Subject) -> list[Record]:
    """Return the figures of heads, of their ablations, and of what needs no learning.

    Raises:
        NotApplicableError: if the method does not aggregate views, it or the world knows no
            actions, or sequences have no second view.
    """
    _require(subject)
    experiment, space = subject.experiment, subject.world.spec.actions
    tables = subject.tables(subject.method)
    available = min(table.longest for table in tables.values())
    observed = min(LONGEST, experiment.evaluate.views, available - 1)
    if not observed:
        raise NotApplicableError("sequences of one view have no path: raise evaluate.views")
    paths = {
        name: Paths(table, table.orders(observed + 1, SEQUENCES)) for name, table in tables.items()
    }

    records = ceilings(paths[subject.split], space, subject.split)
    kept: dict[tuple[str, ...], list[Fit]] = {}
    for ablation in (WHOLE, *ABLATIONS):
        inputs = {name: read(subject, some, ablation) for name, some in paths.items()}
        for part, training in parts(subject.protocol(), space):
            truths = {name: some.direct(part).float() for name, some in paths.items()}
            heads = fit_heads(inputs["train"], truths["train"], part, training, experiment.seed)
            tested = inputs[subject.split], truths[subject.split], part, subject.split
            records += score(ablation.name, heads, *tested)

            # The heads of WHOLE are kept: they read the inputs of each ablation, too.
            names = tuple(group.name for group in part.groups)
            if ablation is WHOLE:
                kept[names] = heads
                continue
            records += score(f"{ablation.name}, head kept", kept[names], *tested)
    return records


def _require(subject: Subject) -> None:
    """Raise a NotApplicableError if nothing is aggregated, or there are no actions."""
    name, spec = type(subject.method).__name__, subject.world.spec
    if not subject.method.aggregates:
        raise NotApplicableError(f"{name} does not aggregate views")
    if not spec.actions.groups:
        raise NotApplicableError(f"the world {spec.name!r} has no actions")
    if not subject.experiment.method.uses_actions:
        raise NotApplicableError(f"this {name} is not conditioned on actions")


def read(subject: Subject, paths: Paths, ablation: Ablation) -> Tensor:
    """Return what the head for each M reads, [N, K, M, S + W].

    It is z_AGG of the first M views, beside the embedding of the action after them.
    """
    method, space = subject.method, subject.world.spec.actions
    table, bf16 = paths.table, subject.bf16
    if not ablation.vision:
        table = replace(table, views=table.views.new_zeros(1).expand_as(table.views))
    aggregated = aggregate(
        method, table, space, paths.orders[:, :-1], known=ablation.actions, bf16=bf16
    )

    moves = paths.actions(space).float()
    with subject.inference():
        embedded = method.embed_actions(moves.flatten(0, 1)).float().unflatten(0, moves.shape[:2])
    # A copy, since heads cannot be trained on tensors of inference mode.
    return torch.cat([aggregated, embedded * ablation.actions], -1)


def fit_heads(
    inputs: Tensor, truth: Tensor, space: ActionSpace, training: Training, seed: int
) -> list[Fit]:
    """Return a trained head for each M.

    Args:
        inputs: [N, K, M, S + W], of training objects.
        truth: [N, K, M, A], their direct actions.
        space: groups of these actions.
        training: of a head.
        seed: of the heads.
    """
    purpose = ("path", *(group.name for group in space.groups))
    training = replace(training, batch_size=BATCH)
    return [
        _fit_head(
            inputs[:, :, views - 1],
            truth[:, :, views - 1],
            training,
            generator_for(seed, *purpose, str(views)),
        )
        for views in range(1, inputs.shape[2] + 1)
    ]


def _fit_head(values: Tensor, truth: Tensor, training: Training, generator: torch.Generator) -> Fit:
    """Return a head trained on inputs [N, K, S + W] and direct actions [N, K, A]."""
    rows = torch.arange(len(values), device=values.device)

    def targets(choice: Tensor) -> Tensor:
        return truth[rows, choice[:, 0]]

    inputs, objective = Inputs(values, 1, concatenated), regression(truth.flatten(0, 1))
    return fit(inputs, targets, objective, training, generator)


def score(
    features: str,
    heads: Sequence[Fit],
    inputs: Tensor,
    truth: Tensor,
    space: ActionSpace,
    split: str,
) -> list[Record]:
    """Return the figures of the heads on a split; see `fit_heads` for inputs and truth."""
    widths = [group.action_dim for group in space.groups]
    records = []
    for views, head in enumerate(heads, 1):
        values, wanted = inputs[:, :, views - 1], truth[:, :, views - 1]
        # All sequences of all objects, one after the other.
        rows = Inputs(values.flatten(0, 1)[:, None], 1, concatenated)
        predicted = head.probe.predict(rows, rows.test_choices(1)[0])[:, 0]
        by_group = zip(
            space.groups,
            wanted.flatten(0, 1).split(widths, 1),
            predicted.split(widths, 1),
            strict=True,
        )
        for group, own, found in by_group:
            about = (features, split, f"path {group.name}", "sequence", views)
            records += make_records(*about, _figures(group, own, found), head)
    return records


def ceilings(paths: Paths, space: ActionSpace, split: str) -> list[Record]:
    """Return the figures of the sum of actions, and of the product of rotations."""
    records = []
    for group in space.groups:
        own = space.select((group.name,))
        moves, truth = paths.actions(own), paths.direct(own)
        for views in range(1, moves.shape[2] + 1):
            first = moves[:, :, :views].flatten(0, 1)
            composed = group.compose(first)
            found = {"sum of actions": composed}
            if group.is_rotation:
                unit = F.normalize(first.sum(1), dim=-1)
                found = {"product of actions": composed, "sum of actions": unit}

            wanted = truth[:, :, views - 1].flatten(0, 1)
            for name, direct in found.items():
                about = (name, split, f"path {group.name}", "sequence", views)
                records += make_records(*about, _figures(group, wanted, direct))
    return records


def _figures(group: Group, truth: Tensor, predicted: Tensor) -> dict[str, float]:
    """Return the figures of direct actions [n, A] by metric; none if nothing of them varies."""
    figures = {"r2": r2(truth, predicted)}
    if math.isnan(figures["r2"]):
        return {}
    if group.is_rotation:
        figures["median_degrees"] = median_degrees(truth, predicted)
    return figures
