"""Searches: costs with a known least, and what they must keep to."""

import pytest
import torch
from torch import Tensor

from seqjepa.actions import ActionSpace, Group
from seqjepa.errors import ConfigError
from seqjepa.world_model import manifold
from seqjepa.world_model.planning import CrossEntropy, Gradient, Planner, Problem

PLANE = ActionSpace(("row", "column"), (Group(name="place", dims=("row", "column")),))
TURN = ActionSpace(tuple("xyzw"), (Group(name="turn", dims=tuple("xyzw"), kind="quaternion"),))
PLANNERS = (CrossEntropy(rounds=10), Gradient(steps=60))


def problem(space: ActionSpace, aims: Tensor, proposals: Tensor, seed: int = 0) -> Problem:
    """Return searches [B] for actions whose product is an aim [B, A]; L is 2."""

    def cost(actions: Tensor) -> Tensor:
        found = manifold.compose(space, actions)
        return (found - aims[:, None]).square().sum(-1)

    generator = torch.Generator().manual_seed(seed)
    return Problem(space, cost, proposals, (len(aims), 2), generator)


@pytest.mark.parametrize("planner", PLANNERS, ids=lambda planner: type(planner).__name__)
def test_two_ways_add_up_to_the_aim(planner: Planner) -> None:
    aims = torch.tensor([[0.9, -0.3], [0.0, 0.0], [-1.2, 1.0]])
    proposals = torch.rand(500, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
    actions, costs = planner.search(problem(PLANE, aims, proposals))
    assert actions.shape == (3, 2, 2)
    torch.testing.assert_close(actions.sum(1), aims, atol=0.05, rtol=0)
    torch.testing.assert_close(costs, (actions.sum(1) - aims).square().sum(-1))


@pytest.mark.parametrize("planner", PLANNERS, ids=lambda planner: type(planner).__name__)
def test_differences_stay_within_the_proposals(planner: Planner) -> None:
    proposals = torch.rand(500, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
    actions, _ = planner.search(problem(PLANE, torch.tensor([[5.0, 0.0]]), proposals))
    low, high = proposals.amin(0), proposals.amax(0)
    assert (actions >= low).all() and (actions <= high).all()
    torch.testing.assert_close(actions[0, :, 0], high[:1].expand(2), atol=0.05, rtol=0)


@pytest.mark.parametrize("planner", PLANNERS, ids=lambda planner: type(planner).__name__)
def test_quaternions_stay_unit_and_seeds_decide(planner: Planner) -> None:
    generator = torch.Generator().manual_seed(2)
    aims, proposals = (manifold.uniform(TURN, number, generator) for number in (4, 500))
    actions, costs = planner.search(problem(TURN, aims, proposals))
    torch.testing.assert_close(actions.norm(dim=-1), torch.ones(4, 2))
    assert costs.max() < 0.01

    again, _ = planner.search(problem(TURN, aims, proposals))
    other, _ = planner.search(problem(TURN, aims, proposals, seed=1))
    assert torch.equal(actions, again) and not torch.equal(actions, other)


def test_one_round_is_the_best_of_what_was_drawn() -> None:
    proposals = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    aims = torch.tensor([[1.0, 1.0]])
    actions, costs = CrossEntropy(rounds=1, samples=200).search(problem(PLANE, aims, proposals))
    assert {tuple(action.tolist()) for action in actions[0]} == {(1.0, 0.0), (0.0, 1.0)}
    assert costs.tolist() == [0.0]


@pytest.mark.parametrize("planner", PLANNERS, ids=lambda planner: type(planner).__name__)
def test_switches_are_no_continuous_actions(planner: Planner) -> None:
    flips = torch.randint(-1, 2, (300, 2), generator=torch.Generator().manual_seed(0)).float()
    with pytest.raises(
        ConfigError, match=r"'place' take only 3 values .* CrossEntropy\(rounds=1\)"
    ):
        planner.search(problem(PLANE, torch.zeros(1, 2), flips))


@pytest.mark.parametrize("planner", PLANNERS, ids=lambda planner: type(planner).__name__)
def test_places_of_a_grid_are_continuous_actions(planner: Planner) -> None:
    """Fixations are pixels of an image: they take few values, and all between them make sense."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(-64, 65, (3000, 2), generator=generator) / 64
    aims = torch.tensor([[0.305, -0.52]])
    actions, _ = planner.search(problem(PLANE, aims, pixels))
    torch.testing.assert_close(actions.sum(1), aims, atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CrossEntropy(samples=1), "planner.samples must be at least 2"),
        (lambda: CrossEntropy(rounds=0), "planner.rounds must be at least 1"),
        (lambda: CrossEntropy(samples=8, elites=9), "elites 9 must be no more than .* 8"),
        (lambda: Gradient(lr=0), "planner.lr must be finite and above 0"),
        (lambda: Gradient(samples=4, starts=5), "starts 5 must be no more than .* 4"),
    ],
)
def test_settings_that_cannot_be(make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
