"""Actions between poses: rotations against scipy, circles, standardisation."""

import functools
import math

import numpy as np
import pytest
import roma
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from seqjepa.actions import ActionSpace, Group, canonical
from seqjepa.errors import ConfigError

EULER = Group(name="rotation", dims=("x", "y", "z"), kind="euler")
QUATERNION = Group(name="orientation", dims=("qx", "qy", "qz", "qw"), kind="quaternion")


def angles(size: int, limit: float = math.pi / 2) -> torch.Tensor:
    return (
        2 * torch.rand(size, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) - 1
    ) * limit


def scipy_canonical(rotation: Rotation) -> np.ndarray:
    return rotation.as_quat(canonical=True)  # x, y, z, w with w >= 0


@pytest.mark.parametrize("limit", [math.pi / 2, math.pi])
def test_euler_actions_are_scipys(limit):
    """R = Rz Ry Rx, extrinsic xyz; the action is R_i^-1 R_{i+1} in the order x, y, z, w with w >=
    0."""
    start, end = angles(500, limit), angles(500, limit).flip(0)
    before, after = Rotation.from_euler("xyz", start), Rotation.from_euler("xyz", end)
    action = EULER.between(start, end)
    np.testing.assert_allclose(action, scipy_canonical(before.inv() * after), atol=1e-12)
    np.testing.assert_allclose(EULER.absolute(start), scipy_canonical(before), atol=1e-12)
    assert (action[:, 3] >= 0).all()
    np.testing.assert_allclose(
        (before * Rotation.from_quat(action)).as_matrix(), after.as_matrix(), atol=1e-12
    )


def test_a_space_of_no_groups_has_actions_and_targets_of_no_width():
    space, poses = ActionSpace(("x", "y", "z"), ()), torch.rand(5, 4, 3)
    assert space.action_dim == 0
    assert space.absolute(poses).shape == (5, 4, 0)
    assert space.along(poses).shape == (5, 3, 0)


def test_euler_matrix_is_rz_ry_rx():
    x, y, z = angles(1)[0].tolist()
    rx = np.array([[1, 0, 0], [0, math.cos(x), -math.sin(x)], [0, math.sin(x), math.cos(x)]])
    ry = np.array([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    rz = np.array([[math.cos(z), -math.sin(z), 0], [math.sin(z), math.cos(z), 0], [0, 0, 1]])
    quaternion = EULER.absolute(torch.tensor([[x, y, z]], dtype=torch.float64))
    np.testing.assert_allclose(
        Rotation.from_quat(quaternion[0]).as_matrix(), rz @ ry @ rx, atol=1e-12
    )


def test_quaternion_actions_are_scipys():
    """Quaternions of any length and sign."""
    generator = torch.Generator().manual_seed(3)
    start, end = (torch.randn(500, 4, dtype=torch.float64, generator=generator) for _ in range(2))
    expected = scipy_canonical(Rotation.from_quat(start).inv() * Rotation.from_quat(end))
    np.testing.assert_allclose(QUATERNION.between(start, end), expected, atol=1e-12)
    np.testing.assert_allclose(QUATERNION.between(-3 * start, end), expected, atol=1e-12)
    np.testing.assert_allclose(
        QUATERNION.absolute(start), scipy_canonical(Rotation.from_quat(start)), atol=1e-12
    )


def test_single_precision_is_enough():
    start, end = angles(500), angles(500).flip(0)
    torch.testing.assert_close(
        EULER.between(start.float(), end.float()).double(),
        EULER.between(start, end),
        rtol=0,
        atol=1e-6,
    )


def test_alias_of_a_rotation_is_the_same_rotation():
    """R(x, y, z) = R(x + pi, pi - y, z + pi): why the published out-of-distribution set is none
    (methods.md 3.1.4)."""
    triple, other = angles(500), angles(500).flip(0)
    alias = torch.stack(
        [triple[:, 0] + math.pi, math.pi - triple[:, 1], triple[:, 2] + math.pi], -1
    )
    torch.testing.assert_close(EULER.absolute(alias), EULER.absolute(triple), rtol=0, atol=1e-12)
    torch.testing.assert_close(
        EULER.between(other, alias), EULER.between(other, triple), rtol=0, atol=1e-12
    )


def test_statistics_of_3diebench_rotations():
    """Uniform cubes of angles: single rotations have w >= 0 anyway, relative ones have variances
    .209, .209, .208 (methods.md 3.1.3)."""
    generator = torch.Generator().manual_seed(4)
    start, end = (
        (2 * torch.rand(200_000, 3, generator=generator) - 1) * math.pi / 2 for _ in range(2)
    )
    action = EULER.between(start, end)
    assert (roma.euler_to_unitquat("xyz", start)[:, 3] >= 0).all()
    torch.testing.assert_close(action.norm(dim=-1), torch.ones(200_000), rtol=0, atol=1e-6)
    torch.testing.assert_close(action[:, :3].mean(0), torch.zeros(3), rtol=0, atol=5e-3)
    torch.testing.assert_close(
        (action**2)[:, :3].mean(0), torch.tensor([0.209, 0.209, 0.208]), rtol=0, atol=3e-3
    )


def test_canonical_quaternions():
    q = torch.tensor([[0.5, -0.5, 0.5, -0.5], [0.5, -0.5, 0.5, 0.5], [1.0, 0.0, 0.0, 0.0]])
    expected = torch.tensor([[-0.5, 0.5, -0.5, 0.5], [0.5, -0.5, 0.5, 0.5], [1.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(canonical(q), expected, rtol=0, atol=0)


def test_differences_are_scaled():
    group = Group(name="crop", dims=("row", "height"), scale=32.0)
    start, end = torch.tensor([[4.0, 16.0]]), torch.tensor([[20.0, 8.0]])
    torch.testing.assert_close(group.between(start, end), torch.tensor([[0.5, -0.25]]))
    torch.testing.assert_close(group.absolute(start), torch.tensor([[0.125, 0.5]]))


@given(start=st.floats(-720, 720), turn=st.floats(-179, 179), turns=st.integers(-3, 3))
def test_circular_differences_take_the_short_way(start, turn, turns):
    """A turn of less than half a period is found again, wherever it began and however often it went
    round."""
    group = Group(name="angle", dims=("degrees",), kind="circular", period=360.0, scale=180.0)
    begin = torch.tensor([start], dtype=torch.float64)
    found = group.between(begin, begin + turn + 360 * turns)
    assert found.item() == pytest.approx(turn / 180, abs=1e-9)
    torch.testing.assert_close(
        group.absolute(begin), group.absolute(begin + 360 * turns), rtol=0, atol=1e-9
    )


def test_actions_in_turn_make_the_direct_one():
    """Three quarter turns about z are one back; hues go round; differences add up."""
    quarter = torch.tensor([0.0, 0.0, 0.5, 0.5]).sqrt()
    found = QUATERNION.compose(quarter.expand(3, 4))
    torch.testing.assert_close(found, quarter * torch.tensor([1.0, 1.0, -1.0, 1.0]))
    # About x, then about the turned y: in the other order it is another turn.
    about_x, about_y = torch.eye(4)[0], torch.eye(4)[1]
    half = (about_x + torch.eye(4)[3]) / 2**0.5
    other = QUATERNION.compose(torch.stack([half, about_y]))
    torch.testing.assert_close(other, torch.tensor([0.0, 0.5, 0.5, 0.0]).sqrt())

    hue = Group(name="hue", dims=("hue",), kind="circular", scale=0.5)
    torch.testing.assert_close(hue.compose(torch.tensor([[0.8], [0.8]])), torch.tensor([-0.4]))
    crop = Group(name="crop", dims=("row",), scale=32.0)
    assert crop.compose(torch.tensor([[0.5], [0.75]])) == 1.25


def test_each_dim_may_have_its_scale():
    group = Group(name="crop", dims=("row", "height"), scale=(32.0, 4.0))
    start, end = torch.tensor([1.0, 2.0]), torch.tensor([17.0, 8.0])
    assert torch.equal(group.between(start, end), torch.tensor([0.5, 1.5]))
    assert torch.equal(group.absolute(end), torch.tensor([17 / 32, 2]))
    assert Group(name="crop", dims=["row", "height"], scale=[32.0, 4.0]).scales == group.scales
    with pytest.raises(
        ConfigError,
        match=r"give one scale, or one for each of \['row', 'height'\], got \[1.0, 2.0, 3.0\]",
    ):
        Group(name="crop", dims=("row", "height"), scale=(1.0, 2.0, 3.0))


def test_circular_target_is_a_point_on_the_circle():
    group = Group(name="hue", dims=("a", "b"), kind="circular")
    point = group.absolute(torch.tensor([[0.25, 0.5]]))
    torch.testing.assert_close(point, torch.tensor([[1.0, 0.0, 0.0, -1.0]]), rtol=0, atol=1e-6)


SPACE = ActionSpace(
    ("x", "y", "z", "hue", "row"),
    (
        EULER,
        Group(name="hue", dims=("hue",), kind="circular"),
        Group(name="place", dims=("row",), scale=8.0),
    ),
)


def test_space_joins_its_groups_in_order():
    poses = torch.cat([angles(6).view(2, 3, 3), torch.rand(2, 3, 2, dtype=torch.float64)], -1)
    actions = SPACE.along(poses)
    assert SPACE.action_dim == 6 and actions.shape == (2, 2, 6)
    for t in (0, 1):
        torch.testing.assert_close(actions[:, t], SPACE.between(poses[:, t], poses[:, t + 1]))
        torch.testing.assert_close(
            actions[:, t, :4], EULER.between(poses[:, t, :3], poses[:, t + 1, :3])
        )
        torch.testing.assert_close(actions[:, t, 5], (poses[:, t + 1, 4] - poses[:, t, 4]) / 8)
    assert SPACE.along(poses[:, :1]).shape == (2, 0, 6)


def test_selection_keeps_the_pose_and_the_order_asked_for():
    chosen = SPACE.select(("place", "rotation"))
    assert chosen.pose == SPACE.pose and chosen.action_dim == 5
    poses = torch.rand(4, 2, 5)
    torch.testing.assert_close(chosen.along(poses)[..., 1:], SPACE.along(poses)[..., :4])
    assert SPACE.select(()).along(poses).shape == (4, 1, 0)


def test_bad_groups_and_names_are_refused():
    with pytest.raises(ConfigError, match="action group 'rotatoin', did you mean 'rotation'"):
        SPACE.select(("rotatoin",))
    with pytest.raises(ConfigError, match="column of group 'hue': 'hu', did you mean 'hue'"):
        ActionSpace(("hue",), (Group(name="hue", dims=("hu",)),))
    with pytest.raises(ConfigError, match="different names"):
        ActionSpace(("hue",), (Group(name="hue", dims=("hue",)), Group(name="hue", dims=("hue",))))
    with pytest.raises(ConfigError, match="pose columns must have different names"):
        ActionSpace(("hue", "hue"), ())

    with pytest.raises(ConfigError, match="'hue' is in group 'a' and again in 'b': leave it out"):
        ActionSpace(("hue",), tuple(Group(name=name, dims=("hue",)) for name in "ab"))

    with pytest.raises(ConfigError, match="kind 'euler' needs 3 dims"):
        Group(name="r", dims=("x", "y"), kind="euler")
    with pytest.raises(ConfigError, match="needs some dims"):
        Group(name="r", dims=())
    with pytest.raises(ConfigError, match="'circle', did you mean 'circular'"):
        Group(name="r", dims=("x",), kind="circle")
    for bad in ({"scale": 0.0}, {"period": -1.0}, {"scale": math.nan}, {"period": math.inf}):
        with pytest.raises(ConfigError, match="positive"):
            Group(name="r", dims=("x",), **bad)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Group(name="r", dims=slice(0, 2)), "dims of pose group 'r' .* got slice"),
        (lambda: Group(name="r", dims=(0, 1)), r"names, such as .* got \(0, 1\)"),
        (lambda: Group(name="r", dims="xy"), "names, such as .* got 'xy'"),
        (lambda: ActionSpace(2, ()), "pose columns must be a tuple of names.* got 2"),
        (lambda: ActionSpace(("x",), Group(name="r", dims=("x",))), "groups must be a tuple of Gr"),
        (lambda: ActionSpace(("x",), {"r": ("x",)}), "groups must be a tuple of Group"),
        (lambda: SPACE.select("rotation"), "names of groups must be .* got 'rotation'"),
        (lambda: SPACE.select((0,)), r"names of groups must be .* got \(0,\)"),
    ],
)
def test_names_and_groups_of_another_kind_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    ("poses", "got"),
    [
        (torch.zeros(5, 4), r"\[5, 4\]"),
        (torch.zeros(5, 2), r"\[5, 2\]"),
        (torch.zeros(()), r"\[\]"),
        ([[0.0, 0.0, 0.0]], "list"),
        (np.zeros((5, 3), np.float32), "ndarray"),
    ],
)
def test_poses_of_other_columns_are_refused(poses, got):
    space = ActionSpace(("x", "y", "z"), (EULER,))
    message = rf"a tensor \[..., 3\] with the columns x, y, z, got {got}"
    end = functools.partial(space.between, torch.zeros(5, 3))
    for ask in (space.absolute, space.along, end):
        with pytest.raises(ConfigError, match=message):
            ask(poses)
