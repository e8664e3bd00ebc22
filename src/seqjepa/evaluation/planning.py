"""Planning: does the model find the action that leads from one view to another?

Of each object, the model sees one view, and the goal is another. A plan is a sequence of L actions,
searched for by what the model imagines (`world_model.planning`); its exact product is compared with
the true action from the one view to the other. `Record.views` is L, and `Record.features`:

    cross-entropy, gradient   plans by these searches, of 1 and of 3 actions
    gradient, one way         of 1 action, where the way back from the goal does not count
    gradient, rolled out      of 3 actions, each imagined from the view that was imagined before
    inverse head              the action that the method's own head reads from both views
    action probe              the action that probes read from z of both views, learned as the
                              evaluation's probes of what changes between two views
    best of views             the action to that one of the object's other views whose embedding is
                              nearest to the goal's
    chance                    an action between two random views of another object

Each figure is a median over objects: `median_degrees` of a rotation, `median_pixels` of the way
between fixations, `median_error` of other groups in the pose's own unit. Proposals are actions
between views of training objects. The settings of the searches were chosen on `val`.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from seqjepa.actions import Group
from seqjepa.display import progress
from seqjepa.errors import ConfigError
from seqjepa.evaluation.factor_probes import RELATIVE, learn, parts
from seqjepa.evaluation.features import extract
from seqjepa.evaluation.fitting import Fit
from seqjepa.evaluation.probes import concatenated
from seqjepa.evaluation.protocol import Record, make_records
from seqjepa.evaluation.sampling import choose_samplings
from seqjepa.evaluation.subject import NotApplicableError, Subject
from seqjepa.keys import draw_key
from seqjepa.types import SequenceBatch
from seqjepa.world_model.manifold import compose, errors, nearest
from seqjepa.world_model.model import WorldModel
from seqjepa.world_model.planning import CrossEntropy, Gradient, Planner

OBJECTS = 200  # spread evenly over the split
VIEWS = 16  # of each object, at most: the two that are asked about, and those to choose from
PROPOSED = 512  # training objects whose actions are proposals
HORIZONS = (1, 3)
PART = 25  # objects that are planned for side by side
PLANNERS: dict[str, Planner] = {"cross-entropy": CrossEntropy(), "gradient": Gradient()}


def planning(subject: Subject) -> list[Record]:
    """Return the errors of plans and of what they are compared with.

    Raises:
        NotApplicableError: if predictions do not depend on actions, or objects have one view.
    """
    space = subject.world.spec.actions
    try:
        model = WorldModel(subject.model)
    except ConfigError as error:
        raise NotApplicableError(str(error)) from error
    batch, proposals = _views(subject), _proposals(subject).to(subject.device)
    truth = space.between(batch.poses[:, 0], batch.poses[:, 1]).to(subject.device)

    found = {("chance", 1): _chance(proposals, len(truth), subject.experiment.seed)}
    if batch.views.shape[1] > 2:
        found["best of views", 1] = _best_of_views(model, batch)
    if model.method.inverse is not None:
        found["inverse head", 1] = model.infer_action(batch.views[:, 0], batch.views[:, 1]).actions
    found["action probe", 1], fits = _probed(subject, batch)
    for name, planner in PLANNERS.items():
        for horizon in HORIZONS:
            found[name, horizon] = _plans(model, batch, proposals, planner, horizon)
    planner, longest = PLANNERS["gradient"], HORIZONS[-1]
    one_way = _plans(model, batch, proposals, planner, 1, both_ways=False)
    found["gradient, one way", 1] = one_way
    if model.method.rolls_out:
        rolled = _plans(model, batch, proposals, planner, longest, composed=False)
        found["gradient, rolled out", longest] = rolled

    return _records(subject, truth, found, fits)


def _records(
    subject: Subject,
    truth: Tensor,
    found: Mapping[tuple[str, int], Tensor],
    fits: Mapping[str, Fit],
) -> list[Record]:
    """Return the median errors of actions [B, A], which are known by features and horizon.

    `fits` are the action probes, by group.
    """
    world, space = subject.world, subject.world.spec.actions
    pixels = world.whole(subject.split, np.arange(1))
    side = None if pixels is None else pixels.shape[-1]

    records = list[Record]()
    for (features, horizon), actions in found.items():
        off = errors(space, truth, actions)
        probed = features == "action probe"
        for group in space.groups:
            metric, unit = _unit(group, side)
            figures = {metric: float(off[group.name].median()) * unit}
            source, fit = ("pair", fits[group.name]) if probed else ("view", None)
            about = (features, subject.split, f"planning {group.name}", source, horizon)
            records += make_records(*about, figures, fit)
    return records


def _views(subject: Subject) -> SequenceBatch:
    """Return the views of the objects that are asked about, from a state to a goal and others."""
    world, split = subject.world, subject.split
    available = world.at_most(VIEWS, split)
    if available < 2:
        raise NotApplicableError(f"objects of split {split!r} have one view: there is no goal")
    world.require(split, available)
    number = min(OBJECTS, world.size(split))
    index = np.linspace(0, world.size(split) - 1, number).round().astype(np.int64)
    key = draw_key(subject.experiment.seed, split, 0, index)
    return world.sequences(split, index, available, key)


def _proposals(subject: Subject) -> Tensor:
    """Return actions [N, A] between views of training objects."""
    world = subject.world
    index = np.arange(min(PROPOSED, world.size("train")))
    views = world.at_most(VIEWS // 4, "train")
    key = draw_key(subject.experiment.seed, "train", 0, index)
    return world.sequences("train", index, views, key).actions.flatten(0, 1)


def _plans(
    model: WorldModel,
    batch: SequenceBatch,
    proposals: Tensor,
    planner: Planner,
    horizon: int,
    **how: bool,
) -> Tensor:
    """Return the product [B, A] of each object's planned actions; see `WorldModel.plan`."""
    plans = []
    # The first view of an object is the state, the second the goal.
    parts = zip(batch.views[:, :1].split(PART), batch.views[:, 1:2].split(PART), strict=True)

    with progress(f"plans of {horizon}", len(batch) / PART) as done:
        for seed, (start, goal) in enumerate(parts):
            found = model.plan(
                model.observe(start),
                model.observe(goal),
                horizon=horizon,
                planner=planner,
                proposals=proposals,
                seed=seed,
                **how,
            )
            plans.append(compose(model.space, found.actions))
            done(1)
    return torch.cat(plans)


def _probed(subject: Subject, batch: SequenceBatch) -> tuple[Tensor, dict[str, Fit]]:
    """Return the actions [B, A] that probes read from the first two views of each object.

    Also return the probe of each group.
    """
    world, space = subject.world, subject.world.spec.actions
    splits = {"train": world.spec.probe_split}
    sampling = choose_samplings(subject.experiment, world, splits)["train"]
    with subject.stages("training views"):
        table = extract(subject.method, world, splits["train"], sampling, bf16=subject.bf16)
        with subject.inference():
            z = subject.method.encoder(batch.views[:, :2].to(subject.device)).float()

    protocol = subject.protocol()
    columns, fits = dict[str, Tensor](), dict[str, Fit]()
    with subject.stages("action probes"):
        for part, training in parts(protocol, space):
            found = learn(protocol, RELATIVE, table, part, training)
            with torch.inference_mode():
                read = found.probe(concatenated(z))[:, 0]
            names = [group.name for group in part.groups]
            widths = [group.action_dim for group in part.groups]
            columns |= zip(names, read.split(widths, 1), strict=True)
            fits |= dict.fromkeys(names, found)
    return nearest(space, torch.cat([columns[group.name] for group in space.groups], 1)), fits


def _best_of_views(model: WorldModel, batch: SequenceBatch) -> Tensor:
    """Return the actions [B, A] to the other views that are nearest to the goals."""
    distances = model.distance(model.target(batch.views[:, 2:]), model.target(batch.views[:, 1:2]))
    chosen = 2 + distances.argmin(1).cpu()
    poses = batch.poses[torch.arange(len(batch)), chosen]
    return model.space.between(batch.poses[:, 0], poses).to(distances.device)


def _chance(proposals: Tensor, number: int, seed: int) -> Tensor:
    """Draw an action for each object."""
    generator = torch.Generator().manual_seed(seed)
    return proposals[torch.randint(len(proposals), (number,), generator=generator)]


def _unit(group: Group, side: int | None) -> tuple[str, float]:
    """Return the metric of a group's errors, and their factor.

    Fixations are shares of the image's side, which has `side` pixels.
    """
    if group.is_rotation:
        return "median_degrees", 1.0
    if side is not None and group.dims == ("row", "column"):
        return "median_pixels", float(side)
    return "median_error", 1.0
