"""Poses as they are set and read: directions, rolls, dials and words."""

import math

import pytest
import roma
import torch

from seqjepa.actions import ActionSpace, Group
from seqjepa.explore.poses import CAMERA, PoseSpace, looking_from, sphere

EULER = Group(name="rotation", dims=("x", "y", "z"), kind="euler")
HUE = Group(name="hue", dims=("hue",), kind="circular")
LIGHT = Group(name="light", dims=("light_theta",), scale=0.5)
SPACE = PoseSpace(ActionSpace(("hue", "x", "y", "z", "light_theta"), (EULER, HUE, LIGHT)), False)


def test_directions_are_evenly_spread():
    points = sphere(200)
    torch.testing.assert_close(points.norm(dim=-1), torch.ones(200))
    assert points.mean(0).norm() < 0.01
    apart = torch.cdist(points, points) + 9 * torch.eye(200)
    assert apart.amin() > 0.15 and apart.amin(1).amax() < 0.3


def test_rotations_look_from_their_direction():
    """R d = camera; rolls of a direction differ by equal turns about the camera's axis."""
    directions = torch.cat([sphere(50), CAMERA[None], -CAMERA[None]])
    found = looking_from(directions, 4)
    matrices = roma.unitquat_to_rotmat(found)
    seen = torch.einsum("mrij,mj->mri", matrices, directions)
    torch.testing.assert_close(seen, CAMERA.expand_as(seen), atol=2e-3, rtol=0)
    turns = matrices[:, 1:] @ matrices[:, :-1].transpose(-1, -2)
    angles = roma.rotmat_to_rotvec(turns)
    torch.testing.assert_close(angles, (CAMERA * math.pi / 2).expand_as(angles), atol=2e-3, rtol=0)


def test_a_turned_pose_has_the_rotation_and_nothing_else_changed():
    pose = torch.tensor([0.25, 0.1, -0.2, 0.3, 0.7])
    quaternions = roma.random_unitquat(6)
    turned = SPACE.turned(pose, quaternions)
    assert torch.equal(turned[:, [0, 4]], pose[[0, 4]].expand(6, 2))
    agree = (SPACE.quaternion(turned) * quaternions).sum(-1).abs()
    torch.testing.assert_close(agree, torch.ones(6), atol=1e-5, rtol=0)

    # d = R^T camera, by hand.
    by_hand = roma.unitquat_to_rotmat(quaternions).transpose(-1, -2) @ CAMERA
    torch.testing.assert_close(SPACE.directions(turned), by_hand, atol=1e-5, rtol=0)


def test_dials_are_in_degrees_or_the_poses_own_unit():
    poses = torch.tensor([[0.0, 0, 0, 0, 0.1], [0.5, 1, 1, 1, 0.6]])
    hue, light = SPACE.dials(poses)
    assert (hue.name, hue.unit, hue.column) == ("hue", "°", 0)
    assert (hue.low, hue.high, hue.factor) == (0, 180, 360)
    assert (light.name, light.unit, light.column) == ("light theta", "", 4)
    assert (light.low, light.high) == pytest.approx((0.1, 0.6))

    position = ActionSpace(("row", "column"), (Group(name="position", dims=("row", "column")),))
    row, column = PoseSpace(position, fixations=True).dials(torch.full((1, 2), 0.5))
    assert (row.unit, row.low, row.high) == (" %", 0, 100) and column.column == 1


def test_how_far_poses_are_apart():
    pose = torch.tensor([0.9, 0.0, 0, 0, 0.1])
    other = torch.tensor([0.1, math.pi / 2, 0, 0, 0.6])
    assert SPACE.apart(pose, other) == "90°, 72°, light 0.5"
    # Radians, turns and differences over their scale.
    length = math.hypot(math.pi / 2, 0.2, 1.0)
    found = SPACE.distances(pose, torch.stack([pose, other]))
    torch.testing.assert_close(found, torch.tensor([0.0, length]), atol=1e-5, rtol=1e-5)
