"""Poses and the actions between them, made by named groups of factors.

A *pose* holds the absolute factors of one view (angles, hues, crop box ...), an *action* what takes
one view's pose to the next's. Each group has its own way of making an action.
"""

import functools
import math
from dataclasses import dataclass
from typing import Literal, get_args

import roma
import torch
from torch import Tensor

from seqjepa.errors import ConfigError, unknown

Kind = Literal["difference", "circular", "euler", "quaternion"]
NAMES = 'a tuple of names, such as ("x", "y")'


@dataclass(frozen=True, kw_only=True)
class Group:
    """A named group of pose dimensions and the way they make an action.

    Attributes:
        name: the group's name in configs and result tables.
        dims: the pose's column names, in order.
        kind: `difference` (next minus this, divided by `scale`); `circular` (the same wrapped to
            half a period either way); `euler` (three angles in radians, R = Rz Ry Rx, that is
            extrinsic xyz) and `quaternion` (x, y, z, w), whose action is the unit quaternion of
            R_i^-1 R_{i+1} with w >= 0 (methods: seq-JEPA, section 3.1; SIE).
        scale: a fixed divisor of the group's differences, or one for each dim, so that actions are
            of order one.
        period: one turn of a `circular` group, in the pose's unit.
    """

    name: str
    dims: tuple[str, ...]
    kind: Kind = "difference"
    scale: float | tuple[float, ...] = 1.0
    period: float = 1.0

    def __post_init__(self) -> None:
        where = f"pose group {self.name!r}"
        if self.kind not in get_args(Kind):
            raise ConfigError(unknown(f"kind of {where}:", self.kind, get_args(Kind)))

        _require(f"dims of {where}", self.dims, str, NAMES)
        dims = list(self.dims)
        expected = {"euler": 3, "quaternion": 4}.get(self.kind, len(dims))
        if not dims or len(dims) != expected:
            needed = f"{expected or 'some'} dims"
            raise ConfigError(f"{where} of kind {self.kind!r} needs {needed}, got {dims}")

        if not all(0 < divisor < math.inf for divisor in (*self.scales, self.period)):
            got = f"{self.scale} and {self.period}"
            raise ConfigError(f"{where}: scale and period must be positive, got {got}")
        if len(self.scales) != len(dims):
            wanted = f"give one scale, or one for each of {dims}"
            raise ConfigError(f"{where}: {wanted}, got {list(self.scales)}")

    @property
    def scales(self) -> tuple[float, ...]:
        """Return the divisor of each dim."""
        if isinstance(self.scale, tuple | list):
            return tuple(self.scale)
        return (self.scale,) * len(self.dims)

    @property
    def is_rotation(self) -> bool:
        """Return whether actions are unit quaternions."""
        return self.kind in ("euler", "quaternion")

    @property
    def action_dim(self) -> int:
        """Return the width of the group's actions."""
        return 4 if self.is_rotation else len(self.dims)

    @property
    def absolute_dim(self) -> int:
        """Return the width of the targets of `absolute`."""
        if self.is_rotation:
            return 4
        return 2 * len(self.dims) if self.kind == "circular" else len(self.dims)

    def between(self, start: Tensor, end: Tensor) -> Tensor:
        """Return the action [..., action_dim] from pose `start` [..., len(dims)] to pose `end`."""
        if self.is_rotation:
            # R_i^-1 R_{i+1}: the turn as seen from the first view's own frame.
            inverse = roma.quat_conjugation(self._quaternion(start))
            return canonical(roma.quat_product(inverse, self._quaternion(end)))

        step = self._short_way(end - start)
        return step / step.new_tensor(self.scales)

    def compose(self, actions: Tensor) -> Tensor:
        """Return the action [..., action_dim] that T actions [..., T, action_dim] make in turn.

        It is the product of quaternions, else the sum. T is at least 1.
        """
        if self.is_rotation:
            # (R_1^-1 R_2) (R_2^-1 R_3) = R_1^-1 R_3
            first, *others = actions.unbind(-2)
            return canonical(functools.reduce(roma.quat_product, others, first))
        scales = actions.new_tensor(self.scales)
        return self._short_way(actions.sum(-2) * scales) / scales

    def absolute(self, pose: Tensor) -> Tensor:
        """Return a view's own pose as a regression target.

        It is the canonical quaternion, (sin, cos) of a circular factor, else the value over
        `scale`.
        """
        if self.is_rotation:
            return canonical(self._quaternion(pose))
        if self.kind == "circular":
            angle = pose * (2 * torch.pi / self.period)
            return torch.cat([angle.sin(), angle.cos()], -1)
        return pose / pose.new_tensor(self.scales)

    def _short_way(self, step: Tensor) -> Tensor:
        """Return a change of the pose; that of a circular factor within half a period."""
        if self.kind != "circular":
            return step
        return torch.remainder(step + self.period / 2, self.period) - self.period / 2

    def _quaternion(self, pose: Tensor) -> Tensor:
        euler = self.kind == "euler"
        quaternion: Tensor
        quaternion = roma.euler_to_unitquat("xyz", pose) if euler else roma.quat_normalize(pose)
        return quaternion


def canonical(quaternion: Tensor) -> Tensor:
    """Return the one of q and -q (the same rotation) whose last number, w, is not negative."""
    return torch.where(quaternion[..., 3:] < 0, -quaternion, quaternion)


@dataclass(frozen=True)
class ActionSpace:
    """Named groups that partition (a part of) a pose vector.

    Attributes:
        pose: names of all columns of the pose, in order.
        groups: the groups; each takes its columns from the pose by name. No two share a column, and
            a column may be in none: then it is neither an action nor probed.
    """

    pose: tuple[str, ...]
    groups: tuple[Group, ...]

    def __post_init__(self) -> None:
        _require("pose columns", self.pose, str, NAMES)
        _require("pose groups", self.groups, Group, "a tuple of Group(name=..., dims=...)")
        if len(set(self.pose)) != len(self.pose):
            raise ConfigError(f"pose columns must have different names, got {list(self.pose)}")
        names = [group.name for group in self.groups]
        if len(set(names)) != len(names):
            raise ConfigError(f"pose groups must have different names, got {names}")

        group_of: dict[str, str] = {}
        for group in self.groups:
            for dim in group.dims:
                if dim not in self.pose:
                    column = f"pose column of group {group.name!r}:"
                    raise ConfigError(unknown(column, dim, self.pose))
                if dim in group_of:
                    raise ConfigError(
                        f"pose column {dim!r} is in group {group_of[dim]!r} and again in "
                        f"{group.name!r}: leave it out of one, or repeat it under another name"
                    )
                group_of[dim] = group.name

    @property
    def action_dim(self) -> int:
        """Return the width A of the joint action."""
        return sum(group.action_dim for group in self.groups)

    def columns(self, group: Group) -> list[int]:
        """Return the places of the group's dims in the pose."""
        return [self.pose.index(dim) for dim in group.dims]

    def between(self, start: Tensor, end: Tensor) -> Tensor:
        """Return the actions [..., A] from poses `start` [..., P] to `end`, group after group.

        Raises:
            ConfigError: if they are no tensors, or have other columns than the space.
        """
        self._require_poses(start)
        self._require_poses(end)

        # An empty part first, so that a space of no groups has actions of width 0.
        parts = [start[..., :0]]
        for group in self.groups:
            columns = self.columns(group)
            parts.append(group.between(start[..., columns], end[..., columns]))
        return torch.cat(parts, -1)

    def absolute(self, poses: Tensor) -> Tensor:
        """Return poses [..., P] as regression targets, group after group (see `Group.absolute`)."""
        self._require_poses(poses)
        parts = [group.absolute(poses[..., self.columns(group)]) for group in self.groups]
        return torch.cat([poses[..., :0], *parts], -1)

    def along(self, poses: Tensor) -> Tensor:
        """Return the actions [..., T-1, A] along a sequence of poses [..., T, P].

        Raises:
            ConfigError: see `between`.
        """
        self._require_poses(poses)
        return self.between(poses[..., :-1, :], poses[..., 1:, :])

    def select(self, names: tuple[str, ...]) -> "ActionSpace":
        """Return the space of the named groups only, in the order given.

        Raises:
            ConfigError: if a name is unknown, or these are no names.
        """
        _require("names of groups", names, str, NAMES)
        known = {group.name: group for group in self.groups}
        for name in names:
            if name not in known:
                raise ConfigError(unknown("action group", name, known))
        return ActionSpace(self.pose, tuple(known[name] for name in names))

    def _require_poses(self, poses: object) -> None:
        """Raise a ConfigError unless poses are a tensor [..., P]."""
        if isinstance(poses, Tensor) and poses.shape[-1:] == (len(self.pose),):
            return
        got = list(poses.shape) if isinstance(poses, Tensor) else type(poses).__name__
        raise ConfigError(
            f"poses must be a tensor [..., {len(self.pose)}] with the columns "
            f"{', '.join(self.pose)}, got {got}"
        )


def _require(what: str, values: object, kind: type, wanted: str) -> None:
    """Raise a ConfigError unless these are a tuple of that kind; code of one's own may err."""
    if not isinstance(values, tuple | list) or not all(isinstance(each, kind) for each in values):
        raise ConfigError(f"{what} must be {wanted}, got {values!r}")
