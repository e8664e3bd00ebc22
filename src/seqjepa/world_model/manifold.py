"""The manifold of actions, group after group: unit quaternions, circles and lines.

A search moves from an action by a *step* in its tangent space: a rotation vector in radians, or a
difference in the action's own unit. The action moves by the product with what the step stands for,
so it stays an action: a unit quaternion keeps its length, a circular factor its period.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import roma
import torch
from torch import Tensor

from seqjepa.actions import ActionSpace, Group, canonical
from seqjepa.errors import ConfigError

GroupMap = Callable[..., Tensor]


def step_dim(space: ActionSpace) -> int:
    """Return the width D of steps."""
    return sum(_step_width(group) for group in space.groups)


def move(space: ActionSpace, actions: Tensor, steps: Tensor) -> Tensor:
    """Return the actions [..., A] that steps [..., D] lead to, from actions [..., A]."""

    def moved(group: Group, action: Tensor, step: Tensor) -> Tensor:
        turn = roma.rotvec_to_unitquat(step) if group.is_rotation else step
        return group.compose(torch.stack([action, turn], -2))

    widths = [_step_width(group) for group in space.groups]
    return _by_group(space, moved, actions, steps.split(widths, -1))


def steps_between(space: ActionSpace, start: Tensor, end: Tensor) -> Tensor:
    """Return the steps [..., D] from actions [..., A] to others: the inverse of `move`."""

    def step(group: Group, start: Tensor, end: Tensor) -> Tensor:
        step = group.compose(torch.stack([_inverse(group, start), end], -2))
        vector: Tensor = roma.unitquat_to_rotvec(step) if group.is_rotation else step
        return vector

    return _by_group(space, step, start, split(space, end))


def compose(space: ActionSpace, actions: Tensor) -> Tensor:
    """Return the action [..., A] that L actions [..., L, A] make in turn."""
    return _by_group(space, Group.compose, actions)


def identity(space: ActionSpace) -> Tensor:
    """Return the action [A] that changes nothing."""
    none = torch.zeros(space.action_dim)
    for group, part in zip(space.groups, split(space, none), strict=True):
        part[-1] = float(group.is_rotation)  # the quaternion (0, 0, 0, 1)
    return none


def action(space: ActionSpace, changes: Mapping[str, Any]) -> Tensor:
    """Return the actions [..., A] that change some groups by so much, and the others not at all.

    Args:
        space: of the actions.
        changes: by group. A rotation is a rotation vector [..., 3], its axis times its angle in
            radians, in the object's own frame; others are differences [..., dims] in the pose's own
            unit. Leading axes broadcast.

    Raises:
        ConfigError: if a group is unknown, or a change is of another width or not finite.
    """
    known = {group.name: group for group in space.select(tuple(changes)).groups}
    steps = {group.name: torch.zeros(_step_width(group)) for group in space.groups}
    for name, change in changes.items():
        width = len(steps[name])
        wanted = f"the change of group {name!r} must be [..., {width}], finite"
        try:
            values = torch.as_tensor(change, dtype=torch.float32, device="cpu")
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{wanted}, and all in one tensor or list: {error}") from error
        if not values.ndim or values.shape[-1] != width or not torch.isfinite(values).all():
            got = values.tolist() if values.numel() < 8 else list(values.shape)
            raise ConfigError(f"{wanted}, got {got}")
        group = known[name]
        steps[name] = values if group.is_rotation else values / torch.tensor(group.scales)

    leading = torch.broadcast_shapes(*(step.shape[:-1] for step in steps.values()))
    step = torch.cat([step.expand(*leading, -1) for step in steps.values()], -1)
    return move(space, identity(space).expand(*leading, -1), step)


def inverse(space: ActionSpace, actions: Tensor) -> Tensor:
    """Return the actions [..., A] that undo actions [..., A]."""
    return _by_group(space, _inverse, actions)


def nearest(space: ActionSpace, vectors: Tensor) -> Tensor:
    """Return the actions [..., A] nearest to any vectors [..., A], such as a head's outputs."""

    def project(group: Group, vector: Tensor) -> Tensor:
        if group.is_rotation:
            return canonical(roma.quat_normalize(vector))
        return group.compose(vector[..., None, :])

    return _by_group(space, project, vectors)


def uniform(space: ActionSpace, number: int, generator: torch.Generator) -> Tensor:
    """Draw actions [number, A], all equally likely: any rotation, any turn of a circular factor.

    Raises:
        ConfigError: if a group is of differences, which have no bounds.
    """
    parts = []
    for group in space.groups:
        if group.kind == "difference":
            raise ConfigError(
                f"actions of group {group.name!r} have no bounds to draw them from: give "
                "proposals, such as the actions between random views"
            )
        if group.is_rotation:
            gaussian = torch.randn(number, 4, generator=generator)
            parts.append(canonical(roma.quat_normalize(gaussian)))
        else:
            turns = torch.rand(number, len(group.dims), generator=generator) - 0.5
            parts.append(turns * group.period / torch.tensor(group.scales))
    return torch.cat(parts, -1)


def errors(space: ActionSpace, truth: Tensor, found: Tensor) -> dict[str, Tensor]:
    """Return how far actions [..., A] are from the true ones, by group.

    The error [...] of a rotation is an angle in degrees, that of other groups the Euclidean length
    of the difference in the pose's own unit.
    """
    widths = [_step_width(group) for group in space.groups]
    steps = steps_between(space, truth, found).split(widths, -1)
    lengths = {}
    for group, step in zip(space.groups, steps, strict=True):
        if group.is_rotation:
            lengths[group.name] = step.norm(dim=-1) * (180 / math.pi)
        else:
            lengths[group.name] = (step * step.new_tensor(group.scales)).norm(dim=-1)
    return lengths


def split(space: ActionSpace, actions: Tensor) -> tuple[Tensor, ...]:
    """Return each group's columns of actions [..., A]."""
    return tuple(actions.split([group.action_dim for group in space.groups], -1))


def _by_group(
    space: ActionSpace, function: GroupMap, actions: Tensor, *others: tuple[Tensor, ...]
) -> Tensor:
    """Apply a function to each group's columns of actions, and of others that are split."""
    columns = zip(space.groups, split(space, actions), *others, strict=True)
    return torch.cat([function(*parts) for parts in columns], -1)


def _step_width(group: Group) -> int:
    return 3 if group.is_rotation else len(group.dims)


def _inverse(group: Group, action: Tensor) -> Tensor:
    undone: Tensor = roma.quat_conjugation(action) if group.is_rotation else -action
    return undone
