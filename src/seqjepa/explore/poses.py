"""Poses as readers set and read them: a rotation to drag, dials in degrees and other units.

The rotation of a pose turns the object in front of a camera that stands still, as in 3DIEBench and
`shapes`. So each rotation has a direction, in the object's own frame, that the object is looked at
from, and a roll of the picture besides.
"""

import math
from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from seqjepa.actions import ActionSpace, Group
from seqjepa.world_model.manifold import errors, identity, steps_between

CAMERA = torch.tensor([0.0, math.sqrt(0.5), math.sqrt(0.5)])
"""Direction from the object to the camera: 45 degrees up, on the y side."""


@dataclass(frozen=True)
class Dial:
    """A column of the pose that is set by a slider.

    Attributes:
        column: its place in the pose.
        name: what it is.
        unit: of the slider.
        factor: from the pose's own unit to the slider's.
        low, high: ends of the slider.
    """

    column: int
    name: str
    unit: str
    factor: float
    low: float
    high: float


@dataclass(frozen=True)
class PoseSpace:
    """The part of poses that actions change.

    Attributes:
        actions: the world's.
        fixations: whether a pose is a place in an image, as shares of its side.
    """

    actions: ActionSpace
    fixations: bool

    @property
    def rotation(self) -> Group | None:
        """The first group of rotations, which is turned by hand; None if there is none."""
        return next((group for group in self.actions.groups if group.is_rotation), None)

    @property
    def turning(self) -> list[int]:
        """The columns of the pose that hold the rotation."""
        return self.actions.columns(self._turning)

    def quaternion(self, poses: Tensor) -> Tensor:
        """Return the rotation [..., 4] of poses [..., P], as x, y, z, w."""
        return self._turning.absolute(poses[..., self.turning])

    def turned(self, pose: Tensor, quaternions: Tensor) -> Tensor:
        """Return the pose [P] with other rotations [..., 4], [..., P]."""
        turn = quaternions
        if self._turning.kind == "euler":
            turn = roma.unitquat_to_euler("xyz", quaternions)
        poses = pose.expand(*quaternions.shape[:-1], -1).clone()
        poses[..., self.turning] = turn.to(poses)
        return poses

    def directions(self, poses: Tensor) -> Tensor:
        """Return where the object is looked at from, unit vectors [..., 3] in its own frame."""
        inverse = roma.quat_conjugation(self.quaternion(poses))
        found: Tensor = roma.quat_action(inverse, CAMERA.to(inverse).expand(*inverse.shape[:-1], 3))
        return found

    def dials(self, poses: Tensor) -> list[Dial]:
        """Return the dials, as far as poses [N, P] reach."""
        dials = []
        for group in self.actions.groups:
            if group.is_rotation:
                continue
            unit, factor = self._unit(group)
            for name, column in zip(group.dims, self.actions.columns(group), strict=True):
                ends = poses[:, column].aminmax()
                low, high = (0.0, 1.0) if self.fixations else (float(end) for end in ends)
                words = name.replace("_", " ")
                dials.append(Dial(column, words, unit, factor, low * factor, high * factor))
        return dials

    def distances(self, pose: Tensor, poses: Tensor) -> Tensor:
        """Return the lengths [N] of the steps from a pose [P] to others [N, P]."""
        actions = self.actions.between(pose.expand_as(poses), poses)
        steps = steps_between(self.actions, self._still(actions), actions)
        lengths: Tensor = steps.norm(dim=-1)
        return lengths

    def apart(self, pose: Tensor, other: Tensor) -> str:
        """Return in words how far a pose [P] is from another."""
        actions = self.actions.between(pose, other)
        found = errors(self.actions, self._still(actions), actions)
        words = []
        for group in self.actions.groups:
            unit, factor = ("°", 1.0) if group.is_rotation else self._unit(group)
            length = float(found[group.name]) * factor
            words.append(f"{length:.0f}{unit}" if unit else f"{group.name} {length:.2g}")
        return ", ".join(words)

    @property
    def _turning(self) -> Group:
        assert self.rotation is not None, "asked of worlds with rotations only"
        return self.rotation

    def _unit(self, group: Group) -> tuple[str, float]:
        """Return the unit that a group is shown in, and the factor to it."""
        if self.fixations:
            return " %", 100.0
        return ("°", 360 / group.period) if group.kind == "circular" else ("", 1.0)

    def _still(self, actions: Tensor) -> Tensor:
        return identity(self.actions).to(actions).expand_as(actions)


def sphere(number: int) -> Tensor:
    """Return unit vectors [number, 3], evenly spread: a Fibonacci lattice."""
    place = torch.arange(number) + 0.5
    height = 1 - 2 * place / number
    angle = place * math.pi * (3 - math.sqrt(5))
    radius = (1 - height.square()).sqrt()
    return torch.stack([radius * angle.cos(), radius * angle.sin(), height], -1)


def looking_from(directions: Tensor, rolls: int) -> Tensor:
    """Return rotations [M, rolls, 4] under which objects are looked at from directions [M, 3]."""
    # The shortest turn of the direction to the camera, then rolls of the picture.
    axis = torch.linalg.cross(directions, CAMERA.expand_as(directions))
    real = 1 + directions @ CAMERA
    # Opposite directions have no shortest turn: x is square to the camera's.
    opposite = real < 1e-6
    axis[opposite] = torch.tensor([1.0, 0.0, 0.0])
    turn = roma.quat_normalize(torch.cat([axis, real.clamp_min(0)[:, None]], -1))

    angles = torch.arange(rolls) * (2 * math.pi / rolls)
    roll = roma.rotvec_to_unitquat(angles[:, None] * CAMERA)
    quaternions: Tensor = roma.quat_product(
        roll.expand(len(turn), -1, -1), turn[:, None].expand(-1, rolls, -1)
    )
    return quaternions
