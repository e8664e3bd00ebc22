"""Poses and the actions between them: named groups of factors, each with its own way of making an
action.

A *pose* holds the absolute factors of one view (angles, hues, crop box ...), an *action* what takes
one view's pose to the next's."""

import math
from dataclasses import dataclass
from typing import Literal

import roma
import torch
from torch import Tensor

from seqjepa.errors import ConfigError, unknown

Kind = Literal["difference", "circular", "euler", "quaternion"]


@dataclass(frozen=True, kw_only=True)
class Group:
    """A named group of pose dimensions and the way they make an action.

    Attributes:
        name: what the group is called in configs and result tables.
        dims: the pose's column names, in order.
        kind: `difference` (next minus this, divided by `scale`); `circular` (the same wrapped to
            half a period either way); `euler` (three angles in radians, R = Rz Ry Rx, that is
            extrinsic xyz) and `quaternion` (x, y, z, w), whose action is the unit quaternion of
            R_i^-1 R_{i+1} with w >= 0 (methods: seq-JEPA, section 3.1; SIE).
        scale: a fixed divisor of the group's differences, or one for each dim, so that actions are
            of order one.
        period: of `circular` groups, in the pose's unit.
    """

    name: str
    dims: tuple[str, ...]
    kind: Kind = "difference"
    scale: float | tuple[float, ...] = 1.0
    period: float = 1.0

    def __post_init__(self) -> None:
        expected = {"euler": 3, "quaternion": 4}.get(self.kind, len(self.dims))
        if self.kind not in ("difference", "circular", "euler", "quaternion"):
            raise ConfigError(
                unknown(
                    f"kind of pose group {self.name!r}:",
                    self.kind,
                    ("difference", "circular", "euler", "quaternion"),
                )
            )
        if not self.dims or len(self.dims) != expected:
            raise ConfigError(
                f"pose group {self.name!r} of kind {self.kind!r} needs {expected or 'some'} dims, got {list(self.dims)}"
            )
        if not all(0 < x < math.inf for x in (*self.scales, self.period)):
            raise ConfigError(
                f"pose group {self.name!r}: scale and period must be positive, got {self.scale} and {self.period}"
            )
        if len(self.scales) != len(self.dims):
            raise ConfigError(
                f"pose group {self.name!r}: give one scale, or one for each of {list(self.dims)}, got {list(self.scales)}"
            )

    @property
    def scales(self) -> tuple[float, ...]:
        """The divisor of each dim."""
        return self.scale if isinstance(self.scale, tuple) else (self.scale,) * len(self.dims)

    @property
    def is_rotation(self) -> bool:
        """Whether actions are unit quaternions."""
        return self.kind in ("euler", "quaternion")

    @property
    def action_dim(self) -> int:
        """Width of the group's actions."""
        return 4 if self.is_rotation else len(self.dims)

    @property
    def absolute_dim(self) -> int:
        """Width of what `absolute` gives."""
        return 4 if self.is_rotation else len(self.dims) * (2 if self.kind == "circular" else 1)

    def between(self, start: Tensor, end: Tensor) -> Tensor:
        """The action [..., action_dim] that takes pose `start` [..., len(dims)] to pose `end`."""
        if self.is_rotation:
            return canonical(
                roma.quat_product(
                    roma.quat_conjugation(self._quaternion(start)), self._quaternion(end)
                )
            )
        step = end - start
        if self.kind == "circular":
            step = torch.remainder(step + self.period / 2, self.period) - self.period / 2
        return step / step.new_tensor(self.scales)

    def absolute(self, pose: Tensor) -> Tensor:
        """A view's own pose as a regression target: canonical quaternion, (sin, cos) of a circular
        factor, else the value over `scale`."""
        if self.is_rotation:
            return canonical(self._quaternion(pose))
        if self.kind == "circular":
            angle = pose * (2 * torch.pi / self.period)
            return torch.cat([angle.sin(), angle.cos()], -1)
        return pose / pose.new_tensor(self.scales)

    def _quaternion(self, pose: Tensor) -> Tensor:
        quaternion: Tensor = (
            roma.euler_to_unitquat("xyz", pose)
            if self.kind == "euler"
            else roma.quat_normalize(pose)
        )
        return quaternion


def canonical(quaternion: Tensor) -> Tensor:
    """The one of q and -q (the same rotation) whose w, the last of four, is not negative."""
    return torch.where(quaternion[..., 3:] < 0, -quaternion, quaternion)


@dataclass(frozen=True)
class ActionSpace:
    """Named groups that partition (a part of) a pose vector.

    Attributes:
        pose: names of all the pose's columns, in order.
        groups: the groups; each takes its columns from the pose by name.
    """

    pose: tuple[str, ...]
    groups: tuple[Group, ...]

    def __post_init__(self) -> None:
        if len(set(self.pose)) != len(self.pose):
            raise ConfigError(f"pose columns must have different names, got {list(self.pose)}")
        for group in self.groups:
            for dim in group.dims:
                if dim not in self.pose:
                    raise ConfigError(
                        unknown(f"pose column of group {group.name!r}:", dim, self.pose)
                    )
        names = [group.name for group in self.groups]
        if len(set(names)) != len(names):
            raise ConfigError(f"pose groups must have different names, got {names}")

    @property
    def action_dim(self) -> int:
        """Width A of the joint action."""
        return sum(group.action_dim for group in self.groups)

    def columns(self, group: Group) -> list[int]:
        """Where the group's dims stand in the pose."""
        return [self.pose.index(dim) for dim in group.dims]

    def between(self, start: Tensor, end: Tensor) -> Tensor:
        """Actions [..., A] that take poses `start` [..., P] to poses `end` [..., P], group after
        group."""
        parts = [start[..., :0]]  # the action of no groups
        for group in self.groups:
            columns = self.columns(group)
            parts.append(group.between(start[..., columns], end[..., columns]))
        return torch.cat(parts, -1)

    def absolute(self, poses: Tensor) -> Tensor:
        """Poses [..., P] as regression targets, group after group (see `Group.absolute`)."""
        return torch.cat(
            [
                poses[..., :0],
                *(group.absolute(poses[..., self.columns(group)]) for group in self.groups),
            ],
            -1,
        )

    def along(self, poses: Tensor) -> Tensor:
        """Actions [..., T-1, A] along a sequence of poses [..., T, P]."""
        return self.between(poses[..., :-1, :], poses[..., 1:, :])

    def select(self, names: tuple[str, ...]) -> "ActionSpace":
        """The space of the named groups only, in the order given.

        Raises:
            ConfigError: if a name is unknown.
        """
        known = {group.name: group for group in self.groups}
        for name in names:
            if name not in known:
                raise ConfigError(unknown("action group", name, known))
        return ActionSpace(self.pose, tuple(known[name] for name in names))
