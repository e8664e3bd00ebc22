"""WorldModel: exact with an exact predictor, in line with a trained one, clear about mistakes."""

import math
from pathlib import Path

import pytest
import roma
import torch

from fixtures import signal_world
from fixtures.contract import experiment
from fixtures.toy_model import ROTATION, Exact, exact, show
from seqjepa import CrossEntropy, Gradient, State, WorldModel
from seqjepa.errors import ConfigError
from seqjepa.model import load
from seqjepa.training.loop import train
from seqjepa.world_model.manifold import compose, errors

PLANNERS = (CrossEntropy(rounds=24, elites=12), Gradient(steps=60))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    return train(experiment("seq_jepa", inverse=2.0), folder, quiet=True, device="cpu")


@pytest.fixture(scope="module")
def trained(run: Path) -> WorldModel:
    return WorldModel.load(run)


def poses(*shape: int) -> torch.Tensor:
    torch.manual_seed(0)
    return roma.random_unitquat(shape)


def batch(num_views: int = 4):
    world = signal_world.Config().build()
    return next(world.loader("test", num_views=num_views, batch_size=4, seed=0))


@pytest.mark.parametrize(
    ("horizon", "how"),
    [(1, {}), (1, {"both_ways": False}), (3, {}), (3, {"composed": False})],
)
@pytest.mark.parametrize("planner", PLANNERS, ids=lambda planner: type(planner).__name__)
def test_an_exact_model_finds_the_exact_action(planner, horizon: int, how) -> None:
    model, turns = exact(), poses(5, 2)
    state, goal = (model.observe(show(turns[:, view, None])) for view in (0, 1))
    plan = model.plan(state, goal, horizon=horizon, planner=planner, **how)
    assert plan.actions.shape == (5, horizon, 4)
    torch.testing.assert_close(plan.actions.norm(dim=-1), torch.ones(5, horizon))

    truth = ROTATION.between(turns[:, 0], turns[:, 1])
    off = errors(ROTATION, truth, compose(ROTATION, plan.actions))["rotation"]
    assert off.max() < 3, off  # degrees
    assert plan.costs.max() < 1e-2


def test_the_cost_of_a_plan_by_hand() -> None:
    """The only proposal turns by 90 degrees about z, and the goal is 0 degrees away."""
    model, still = exact(), torch.tensor([[0.0, 0, 0, 1]])
    quarter = torch.tensor([[0.0, 0, math.sqrt(0.5), math.sqrt(0.5)]])
    state = model.observe(show(still[:, None]))
    once = CrossEntropy(rounds=1, samples=2, elites=2)
    # The cosine of the identity and the quarter turn as matrices: trace / 3 = 1 / 3, either way.
    for both_ways in (True, False):
        plan = model.plan(state, state, planner=once, proposals=quarter, both_ways=both_ways)
        assert plan.costs.item() == pytest.approx(2 / 3, abs=1e-6)
    # Four of them are no turn.
    for composed in (True, False):
        plan = model.plan(
            state, state, horizon=4, planner=once, proposals=quarter, composed=composed
        )
        assert plan.costs.item() == pytest.approx(0, abs=1e-6)


def test_rollouts_of_an_exact_model_are_the_views() -> None:
    model, turns = exact(), poses(3, 5)
    views, moves = show(turns), ROTATION.along(turns)
    state = model.observe(views[:, :1])
    expected = model.target(views)
    found = model.rollout(state, moves[:, None])
    assert found.shape == (3, 1, 4, 9)
    torch.testing.assert_close(found[:, 0], expected[:, 1:], atol=1e-5, rtol=0)
    composed = model.rollout(state, moves[:, None], composed=True)
    torch.testing.assert_close(composed, found, atol=1e-5, rtol=0)

    # The same one by one, and the first step for every candidate.
    for step in range(4):
        candidates = moves[:, step : step + 1]
        torch.testing.assert_close(model.imagine(state, candidates)[:, 0], found[:, 0, step])
        state = model.advance(state, moves[:, step])
    torch.testing.assert_close(state.embedding, expected[:, -1], atol=1e-5, rtol=0)
    torch.testing.assert_close(state.actions, moves)


def test_candidates_for_all_are_those_for_each() -> None:
    model, turns = exact(), poses(3, 6)
    state, moves = model.observe(show(turns[:, :1])), turns[0]
    each = model.imagine(state, moves.expand(3, -1, -1))
    assert torch.equal(model.imagine(state, moves), each)
    assert torch.equal(model.imagine(state, moves.numpy()), each)
    assert torch.equal(model.rollout(state, moves[:, None])[:, :, 0], each)


def test_what_a_trained_model_imagines_is_its_prediction(trained: WorldModel) -> None:
    seen = batch()
    state = trained.observe(seen.views[:, :3], seen.actions[:, :2])
    found = trained.imagine(state, seen.actions[:, 2:])[:, 0]
    model = trained.model
    torch.testing.assert_close(found, model.predict(seen.views[:, :3], seen.actions))
    torch.testing.assert_close(trained.target(seen.views), model.target(seen.views))
    torch.testing.assert_close(state.embedding, model.target(seen.views[:, 2]))


def test_memory_goes_on_with_what_was_imagined(trained: WorldModel) -> None:
    seen, method = batch(), trained.method
    state = trained.observe(seen.views[:, :2], seen.actions[:, :1])
    found = trained.rollout(state, seen.actions[:, None, 1:])[:, 0]
    with torch.no_grad():
        sources = method.encoder(seen.views[:, :2])
        first = method.predict(sources, seen.actions[:, :2])
        length = sources[:, 1].norm(dim=-1, keepdim=True)
        again = first / first.norm(dim=-1, keepdim=True) * length
        second = method.predict(torch.cat([sources, again[:, None]], 1), seen.actions)
    torch.testing.assert_close(found, torch.stack([first, second], 1), atol=1e-5, rtol=1e-4)

    # Composed, it goes on from what was seen.
    found = trained.rollout(state, seen.actions[:, None, 1:], composed=True)[:, 0]
    direct = trained.space.between(seen.poses[:, 1], seen.poses[:, 3])
    with torch.no_grad():
        far = method.predict(sources, torch.stack([seen.actions[:, 0], direct], 1))
    torch.testing.assert_close(found, torch.stack([first, far], 1), atol=1e-5, rtol=1e-4)


def test_actions_are_read_by_the_models_own_head(trained: WorldModel) -> None:
    seen = batch()
    found = trained.infer_action(seen.views[:, 0], seen.views[:, 1])
    with torch.no_grad():
        read = trained.method.inverse(trained.method.encoder(seen.views[:, :2]))[:, 0]
    assert found.by == "inverse head"
    # The nearest unit quaternion to what the head says, with w of 0 or more.
    unit = read / read.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(found.actions, unit * unit[:, 3:].sign())
    searched = trained.infer_action(seen.views[:, 0], seen.views[:, 1], search=CrossEntropy())
    assert searched.by == "search"


def test_without_a_head_they_are_found_by_search() -> None:
    model, turns = exact(), poses(4, 2)
    found = model.infer_action(show(turns[:, 0]), show(turns[:, 1]), search=PLANNERS[1])
    truth = ROTATION.between(turns[:, 0], turns[:, 1])
    assert found.by == "search" and errors(ROTATION, truth, found.actions)["rotation"].max() < 3
    assert model.infer_action(show(turns[:, 0]), show(turns[:, 1])).by == "search"


def test_the_nearest_of_a_bank_by_an_independent_search() -> None:
    model = exact()
    asked, bank = torch.randn(2, 3, 9), torch.randn(40, 9)
    found = model.retrieve(asked, bank, k=4)
    cosines = torch.stack([(row * bank).sum(1) / (row.norm() * bank.norm(dim=1))
                           for row in asked.flatten(0, 1)])  # fmt: skip
    ordered = cosines.sort(1, descending=True)
    assert torch.equal(found.indices.flatten(0, 1), ordered.indices[:, :4])
    torch.testing.assert_close(found.distances.flatten(0, 1), 1 - ordered.values[:, :4])
    assert torch.equal(model.retrieve(asked[0, 0], bank, k=4).indices, found.indices[0, 0])


def test_embeddings_may_be_arrays_of_any_precision() -> None:
    model = exact()
    asked, bank = torch.randn(3, 9), torch.randn(5, 9)
    near, apart = model.retrieve(asked, bank, k=5), model.distance(asked[:, None], bank)
    # Each precision holds these numbers as they are, but half.
    for given, atol in ((asked.numpy(), 0), (asked.double(), 0), (asked.half(), 1e-2)):
        found = model.retrieve(given, bank.numpy(), k=5)
        torch.testing.assert_close(found.distances, near.distances, atol=atol, rtol=0)
        distances = model.distance(given[:, None], bank.numpy())
        torch.testing.assert_close(distances, apart, atol=atol, rtol=0)


def test_distances_know_lengths_where_the_loss_does() -> None:
    model = exact()
    one, other = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 3.0])
    assert model.distance(one, 2 * one).item() == pytest.approx(0, abs=1e-6)
    assert model.distance(one, other).item() == pytest.approx(1)
    model.method.scaled = True
    assert model.distance(one, other).item() == pytest.approx(5)  # (1 + 9) / 2
    found = model.retrieve(one[None], torch.stack([other, -one, 1.5 * one]), k=3)
    assert found.indices.tolist() == [[2, 1, 0]]
    torch.testing.assert_close(found.distances, torch.tensor([[0.125, 2, 5]]))


def test_nothing_of_the_model_changes_and_inference_mode_may_be_on(trained: WorldModel) -> None:
    before = {name: value.clone() for name, value in trained.method.state_dict().items()}
    seen = batch()
    with torch.inference_mode():
        state, goal = (trained.observe(seen.views[:, view : view + 1]) for view in (0, 1))
        found = trained.plan(state, goal, planner=Gradient(samples=8, starts=2, steps=3))
    state, goal = (trained.observe(seen.views[:, view : view + 1]) for view in (0, 1))
    again = trained.plan(state, goal, planner=Gradient(samples=8, starts=2, steps=3))
    assert torch.equal(found.actions, again.actions)
    assert all(torch.equal(value, before[k]) for k, value in trained.method.state_dict().items())
    assert all(parameter.grad is None for parameter in trained.method.parameters())


def test_runs_that_imagine_nothing(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SimCLR does not predict views from actions"):
        two = experiment("simclr")
        WorldModel.load(train(two, tmp_path / "simclr", quiet=True, device="cpu"))
    blind = train(
        experiment("seq_jepa", condition="none"), tmp_path / "a", quiet=True, device="cpu"
    )
    with pytest.raises(ConfigError, match="SeqJEPA do not depend on actions"):
        WorldModel.load(blind)
    with pytest.raises(ConfigError, match="is not the folder of a run"):
        WorldModel.load(tmp_path)
    method = Exact()
    method.ignores_actions = True
    with pytest.raises(ConfigError, match="Exact do not depend on actions"):
        exact(method)
    assert load(run).step == 4


STATE = State(torch.randn(2, 1, 9), torch.zeros(2, 0, 4), torch.randn(2, 9))
MOVES = torch.tensor([[[0.0, 0, 0, 1]]]).expand(2, 5, 4)
UINT8 = torch.zeros(2, 1, 3, 3, dtype=torch.uint8)  # views


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda m: m.imagine(STATE, MOVES[..., :3]),
            r"must be \[2, K, 4\] or \[K, 4\], got \[2, 5",
        ),
        (lambda m: m.imagine(STATE, MOVES[:1]), r"\[2, K, 4\] or \[K, 4\], got \[1, 5, 4\]"),
        (lambda m: m.imagine(STATE, MOVES[:, :0]), r"got \[2, 0, 4\]"),
        (lambda m: m.imagine(STATE, MOVES * math.nan), "actions hold NaN or infinity"),
        (lambda m: m.imagine(STATE, [MOVES]), "actions must be a tensor or a NumPy array"),
        (lambda m: m.rollout(STATE, MOVES[0]), r"\[2, K, L, 4\] or \[K, L, 4\], got \[5, 4\]"),
        (lambda m: m.advance(STATE, MOVES), r"actions must be \[2, 4\], got \[2, 5, 4\]"),
        (
            lambda m: m.plan(STATE, other(embedding=STATE.embedding[:, :5])),
            "goal must be as the st",
        ),
        (lambda m: m.plan(STATE, m.observe(show(poses(3, 1)))), r"\[2, 9\], got \[3, 9\]"),
        (lambda m: m.plan(STATE, STATE, horizon=0), "horizon must be at least 1, got 0"),
        (lambda m: m.plan(STATE, STATE, proposals=MOVES), r"proposals must be \[N, 4\], got"),
        (lambda m: m.plan(STATE, STATE, proposals=MOVES[0] * math.inf), "proposals hold NaN"),
        (lambda m: m.retrieve(STATE.embedding, torch.zeros(3, 8)), r"must be \[N, 9\].* \[3, 8\]"),
        (lambda m: m.retrieve(STATE.embedding, torch.zeros(3, 9), k=4), "k must be 1 to 3"),
        (
            lambda m: m.retrieve(STATE.embedding, UINT8),
            r"bank must be float .*uint8 \[2, 1, 3, 3\]: `target` makes",
        ),
        (lambda m: m.retrieve(STATE, STATE.embedding), "got a State: give its .embedding"),
        (lambda m: m.distance([1.0], STATE.embedding), r"got list: torch\.stack or"),
        (
            lambda m: m.distance(torch.zeros(2, 5, 9), torch.zeros(3, 9)),
            r"\[2, 5, 9\] and others \[3, 9\] must be equally wide and broadcast: others\[:, None",
        ),
        (lambda m: m.infer_action(show(poses(2)), show(poses(3))), "before and after must both"),
        (lambda m: m.observe(show(poses(2, 3))), r"go with actions \[2, 2, 4\]"),
        (lambda m: m.observe(show(poses(2))), r"\[B, T, C, H, W\], got \[2, 1, 3, 3\]: .*\[:, N"),
        (lambda m: m.observe(show(poses(2, 0))), r"\[B, T, C, H, W\], got \[2, 0, 1, 3, 3\]"),
        (lambda m: m.imagine(UINT8, MOVES), "state must be of type State, got Tensor: `observe`"),
        (lambda m: m.advance(UINT8.numpy(), MOVES), "must be of type State, got ndarray"),
        (lambda m: m.plan(UINT8, STATE), "state must be of type State, got Tensor: `observe`"),
        (lambda m: m.plan(STATE, STATE.embedding), "goal must be of type State, got Tensor"),
        (
            lambda m: m.plan(STATE, STATE, planner=CrossEntropy),
            r"planner must be of type Planner, got the class CrossEntropy: write CrossEntropy\(\)",
        ),
        (lambda m: m.action(rotation=[torch.zeros(3)] * 2), r"\[..., 3\], finite, and all in one"),
        (lambda m: WorldModel("runs/demo"), r"type Model, got str: WorldModel\.load\(RUN_DIR"),
        (lambda m: m.decode(STATE.embedding), "no decoder yet: train it, seqjepa decode"),
        (
            lambda m: other(actions=torch.zeros(2, 1, 4)),
            r"sources \[B, T, E\], actions \[B, T-1, A",
        ),
    ],
)
def test_mistakes(call, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        call(exact())
    assert "\n" not in str(error.value)


def other(**parts: torch.Tensor) -> State:
    return State(**{**vars(STATE), **parts})


def test_a_method_that_cannot_go_on_imagines_one_step() -> None:
    method = Exact()
    method.rolls_out = False
    model = exact(method)
    assert model.imagine(STATE, MOVES).shape == (2, 5, 9)
    for call in (
        lambda: model.rollout(STATE, MOVES[:, None]),
        lambda: model.plan(STATE, STATE, horizon=2, composed=False),
    ):
        with pytest.raises(ConfigError, match="cannot go on from what it predicts"):
            call()
