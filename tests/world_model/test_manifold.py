"""Steps among actions, against scipy's rotations and by hand."""

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from seqjepa.actions import ActionSpace, Group
from seqjepa.errors import ConfigError
from seqjepa.world_model import manifold

HUE = Group(name="hue", dims=("hue",), kind="circular", scale=0.25, period=1.0)
PLACE = Group(name="place", dims=("row", "column"), scale=(2.0, 4.0))
TURN = Group(name="turn", dims=tuple("xyzw"), kind="quaternion")
SPACE = ActionSpace(("hue", "x", "y", "z", "w", "row", "column"), (HUE, TURN, PLACE))


def actions(number: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    rest = manifold.uniform(SPACE.select(("hue", "turn")), number, generator)
    return torch.cat([rest, torch.randn(number, 2, generator=generator)], 1).double()


def test_moves_of_rotations_are_those_of_scipy() -> None:
    start, step = actions(50, 0), torch.randn(50, manifold.step_dim(SPACE)).double()
    moved = manifold.move(SPACE, start, step)
    turns = Rotation.from_quat(start[:, 1:5]) * Rotation.from_rotvec(step[:, 1:4])
    angles = (turns.inv() * Rotation.from_quat(moved[:, 1:5])).magnitude()
    assert angles.max() < 1e-9
    torch.testing.assert_close(moved[:, 1:5].norm(dim=-1), torch.ones(50).double())
    assert (moved[:, 4] >= 0).all()


def test_differences_add_and_hues_stay_within_half_a_turn() -> None:
    start = torch.tensor([[1.6, 0, 0, 0, 1, 0.5, -1]])
    step = torch.tensor([[1.0, 0, 0, 0, 0.25, 3]])
    # A hue of 2.6 steps of a quarter turn is 0.65 turns, that is -0.35 turns or -1.4 steps.
    expected = torch.tensor([[-1.4, 0, 0, 0, 1, 0.75, 2]])
    torch.testing.assert_close(manifold.move(SPACE, start, step), expected)


def test_steps_between_lead_there_and_inverses_lead_back() -> None:
    start, end = actions(50, 1), actions(50, 2)
    step = manifold.steps_between(SPACE, start, end)
    torch.testing.assert_close(manifold.move(SPACE, start, step), end, atol=1e-6, rtol=1e-6)

    undone = torch.stack([start, manifold.inverse(SPACE, start)], 1)
    still = manifold.identity(SPACE).double().expand(50, -1)
    torch.testing.assert_close(manifold.compose(SPACE, undone), still, atol=1e-6, rtol=0)


def test_an_action_is_made_of_changes_in_the_poses_own_unit() -> None:
    made = manifold.action(SPACE, {"turn": [[0, 0, math.pi / 2], [0, 0, 0]], "place": [3, -2]})
    half = math.sqrt(0.5)
    expected = [[0, 0, 0, half, half, 1.5, -0.5], [0, 0, 0, 0, 1, 1.5, -0.5]]
    torch.testing.assert_close(made, torch.tensor(expected))
    poses = torch.tensor([[0.1, 0, 0, 0, 1, 5, 6], [0.1, 0, 0, half, half, 8, 4]])
    torch.testing.assert_close(SPACE.along(poses)[0], made[0], atol=1e-6, rtol=0)
    assert torch.equal(manifold.action(SPACE, {}), manifold.identity(SPACE))

    for changes, message in (
        ({"turns": [0, 0, 1]}, "unknown action group 'turns', did you mean 'turn'"),
        ({"turn": [0, 0, 0, 1]}, r"'turn' must be \[..., 3\], finite, got \[0.0, 0.0, 0.0, 1.0\]"),
        ({"hue": [math.nan]}, r"'hue' must be \[..., 1\], finite"),
        ({"hue": 0.5}, r"'hue' must be \[..., 1\], finite, got 0.5"),
    ):
        with pytest.raises(ConfigError, match=message):
            manifold.action(SPACE, changes)


def test_steps_have_gradients_at_zero() -> None:
    start = actions(3, 0)
    step = torch.zeros(3, manifold.step_dim(SPACE), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: manifold.move(SPACE, start, s), step + 1e-3)
    manifold.move(SPACE, start, step).sum().backward()
    assert torch.isfinite(step.grad).all()


def test_the_nearest_action_is_a_unit_quaternion_with_w_not_negative() -> None:
    vector = torch.tensor([[2.6, 0, 0, 3, -4, 7, 8]])
    expected = torch.tensor([[-1.4, 0, 0, -0.6, 0.8, 7, 8]])
    torch.testing.assert_close(manifold.nearest(SPACE, vector), expected)


def test_errors_are_in_degrees_and_in_the_poses_unit() -> None:
    half = math.radians(45)
    truth = torch.tensor([[0.0, 0, 0, 0, 1, 0, 0]])
    found = torch.tensor([[1.0, math.sin(half), 0, 0, math.cos(half), 1.5, 1]])
    errors = manifold.errors(SPACE, truth, found)
    assert errors["turn"].item() == pytest.approx(90, abs=1e-4)
    assert errors["hue"].item() == pytest.approx(0.25)
    assert errors["place"].item() == pytest.approx(5)  # 3 rows and 4 columns


def test_uniform_rotations_are_as_far_as_chance_has_it() -> None:
    turns = manifold.uniform(SPACE.select(("turn",)), 20_000, torch.Generator().manual_seed(0))
    angles = Rotation.from_quat(turns).magnitude()
    # The mean angle of a uniform rotation is pi / 2 + 2 / pi.
    assert angles.mean() == pytest.approx(math.pi / 2 + 2 / math.pi, abs=0.01)


def test_differences_have_no_bounds_to_draw_from() -> None:
    with pytest.raises(ConfigError, match=r"group 'place' have no bounds .* give proposals"):
        manifold.uniform(SPACE, 4, torch.Generator())
