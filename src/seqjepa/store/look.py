"""Findings of `seqjepa data check` in classes, views of objects, and the factors between them."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from seqjepa.actions import ActionSpace, Group
from seqjepa.reading.findings import (
    Finding,
    Levels,
    Look,
    Sample,
    counted,
    doubt,
    listed,
    plural,
)
from seqjepa.store.table import ViewTable
from seqjepa.types import Indices

SEEN = 256  # objects of a table whose views and factors are looked at
SHIFTS = 8  # distances between views whose actions are looked at
SHOWN = 6  # views of an object that a sample shows


def class_counts(classes: Sequence[str], labels: Indices) -> dict[str, int]:
    """Return the number of images of each class that has any."""
    found, numbers = np.unique(labels[labels >= 0], return_counts=True)
    return {classes[label]: int(number) for label, number in zip(found, numbers, strict=True)}


def class_doubts(
    classes: Sequence[str], labels: Mapping[str, Indices], noun: str = "image"
) -> list[str]:
    """Return sentences that warn of classes that are alone, missing, or too small to be split.

    Args:
        classes: their names.
        labels: of each split, -1 where unknown; without `train` of all that is still to be split.
        noun: a word for what has them.
    """
    found = []
    if len(classes) == 1:
        found.append(f"all {noun}s are of one class, {classes[0]}: there is nothing to tell apart")

    counts = class_counts(classes, np.concatenate(list(labels.values())))
    if empty := [name for name in classes if name not in counts]:
        cure = "number classes from 0 without gaps, or leave out names"
        found.append(f"{plural(len(empty), 'class')} without any {noun}: {listed(empty)}; {cure}")
    lone = [name for name, number in counts.items() if number == 1]
    if lone and "train" not in labels:
        found.append(f"classes of one {noun}, which only one split can have: {listed(lone)}")

    known = set(labels.get("train", np.zeros(0, np.int64)).tolist()) - {-1}
    for split, numbers in labels.items():
        own = set(numbers.tolist()) - {-1}
        if split == "train" or not known:
            continue
        if not own:
            found.append(f"no {noun} of split {split} has a class")
            continue

        if lacking := sorted(known - own):
            names = listed(classes[label] for label in lacking)
            found.append(f"split {split} lacks {plural(len(lacking), 'class')} of train: {names}")
        if new := sorted(own - known):
            images = int(np.isin(numbers, new).sum())
            names = listed(classes[label] for label in new)
            found.append(
                f"split {split} has {plural(len(new), 'class')} that train lacks, so that "
                f"{images:,} of its {plural(len(numbers), noun)} cannot be told: {names}"
            )
    return found


def table_findings(
    tables: Mapping[str, ViewTable], classes: Sequence[str], look: Look
) -> Iterator[Finding | Sample]:
    """Yield findings about the classes and views of tables, by split, and samples if asked for."""
    labels = {split: table.labels for split, table in tables.items()}
    for split, found in labels.items():
        if counts := class_counts(classes, found):
            which = f" of split {split}" if len(tables) > 1 else ""
            yield Finding(True, f"classes{which}: {counted(counts)}")
    if classes:
        for message in class_doubts(classes, labels, "object"):
            yield doubt(message)

    levels = Levels()
    for split, table in tables.items():
        for place in sample_places(len(table.labels), SEEN):
            [views] = table.images(np.array([place]), np.array([[0]]))
            levels.see(views[0], f"a view of object {place} of {split}")
    for message in levels.doubts():
        yield doubt(message)

    if look.samples:
        yield from draw_views(next(iter(tables.values())), classes)


def draw_views(table: ViewTable, classes: Sequence[str]) -> Iterator[Sample]:
    """Yield the first views of three objects, spread evenly."""
    shown = np.arange(min(SHOWN, table.views.shape[1]))[None]
    for place in sample_places(len(table.labels)):
        [views] = table.images(np.array([place]), shown)
        label = int(table.labels[place])
        name = f", {classes[label]}" if label >= 0 else ""
        yield Sample(tuple(views), f"object {place}{name}")


def some_poses(table: ViewTable) -> npt.NDArray[np.float32]:
    """Return the poses [N', V, P] of some objects, spread evenly."""
    some = np.array(sample_places(len(table.labels), SEEN), np.int64)
    views = np.arange(table.poses.shape[1])
    return np.asarray(table.poses[some[:, None], views[None]], np.float32)


def factor_findings(space: ActionSpace, poses: npt.NDArray[np.float32]) -> Iterator[Finding]:
    """Yield a finding for each group of factors, and one for columns that are in none.

    Args:
        space: the groups.
        poses: [N, V, P], finite, of N objects with at least two views each.
    """
    used = {dim for group in space.groups for dim in group.dims}
    if unused := [column for column in space.pose if column not in used]:
        yield doubt(f"in no group, so unknown to actions and probes: pose columns {listed(unused)}")

    for group in space.groups:
        own = torch.from_numpy(poses[..., space.columns(group)].astype(np.float64))
        low, high = own.amin((0, 1)).tolist(), own.amax((0, 1)).tolist()
        ranges = listed(
            f"{dim} {least:.3g} to {most:.3g}"
            for dim, least, most in zip(group.dims, low, high, strict=True)
        )
        # Sequences draw their views at random, so not only neighbours are compared.
        shifts = sample_places(own.shape[1] - 1, SHIFTS)
        ways = [group.between(own, own.roll(-1 - shift, 1)) for shift in shifts]
        actions = torch.cat(ways, 1)
        yield Finding(True, f"{group.name} ({group.kind}): {ranges}; {_spread(group, actions)}")

        if float((actions - actions[:1, :1]).abs().max()) == 0:
            yield doubt(f"all actions of {group.name} are the same: nothing can be learned of them")


def _spread(group: Group, actions: torch.Tensor) -> str:
    """Return the spread of actions [N, W, A] in words."""
    if group.is_rotation:
        # The real part of the unit quaternion of a turn by an angle is cos(angle / 2).
        turns = 2 * torch.acos(actions[..., 3].clamp(-1, 1)) * 180 / math.pi
        return f"turns between views of {turns.min():.0f} to {turns.max():.0f} degrees"
    spread = actions.flatten(0, 1).std(0, correction=0).tolist()
    return f"actions with a standard deviation of {listed(f'{value:.3g}' for value in spread)}"


def sample_places(total: int, number: int = 3) -> list[int]:
    """Return places of a few things that stand for all, in the middle of equal shares."""
    middles = (np.arange(number) + 0.5) * total / number
    return np.unique(middles.astype(np.int64)).tolist() if total else []
