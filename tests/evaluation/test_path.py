"""Path integration: targets, ceilings, heads and what they lose without actions or vision."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from fixtures import signal_world
from fixtures.contract import experiment
from fixtures.toys import toy_subject, value
from seqjepa.actions import ActionSpace, Group
from seqjepa.evaluation import path, suite
from seqjepa.evaluation.features import FeatureTable
from seqjepa.evaluation.path import ABLATIONS, Ablation, Paths, ceilings, read
from seqjepa.evaluation.subject import NotApplicableError, Subject
from seqjepa.methods.base import Method
from seqjepa.model import build_method
from seqjepa.training.loop import train

TURN = Group(name="turn", dims=("a", "b", "c"), kind="euler")
HUE = Group(name="hue", dims=("hue",), kind="circular", scale=0.5)
PLACE = Group(name="place", dims=("row", "column"), scale=(2.0, 1.0))
SPACE = ActionSpace(("a", "b", "c", "hue", "row", "column"), (TURN, HUE, PLACE))
LINE = ActionSpace(("x",), (Group(name="line", dims=("x",)),))


class Toy(Method):
    """Of the way so far: what the actions say, beside what the views, which are poses, show."""

    aggregates = True

    def __init__(self) -> None:
        super().__init__(SimpleNamespace(dim=4))
        self.anywhere = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[Tensor] = []

    def forward(self, batch):
        raise NotImplementedError

    def aggregate(self, features: Tensor, actions: Tensor) -> Tensor:
        self.seen.append(features)
        return torch.cat([actions.sum(1), features[:, -1] - features[:, 0]], -1)


def toy(space: ActionSpace, method: Method | None = None, **settings) -> Subject:
    """Return a subject that is asked about sequences of up to 3 views."""
    return toy_subject(method or Toy(), space, **{"views": 3, "draws": 2} | settings)


def table(poses: Tensor, **changes) -> FeatureTable:
    """Return a table whose features are the poses [N, V, P]."""
    return FeatureTable(poses, poses, torch.zeros(len(poses), dtype=torch.int64), **changes)


def figure(records, features: str, views: int, metric: str = "r2", **about: str) -> float:
    return value(records, features=features, views=views, metric=metric, **about)


def test_targets_by_an_independent_slow_computation() -> None:
    random = np.random.default_rng(0)
    poses = random.uniform(-3, 3, (4, 6, 6)).astype(np.float32)
    orders = torch.tensor([[0, 1, 2, 3], [5, 4, 1, 0]])
    paths = Paths(table(torch.from_numpy(poses)), orders)
    found = paths.direct(SPACE)
    assert found.shape == (4, 2, 3, 4 + 1 + 2)

    for n in range(4):
        for k, order in enumerate(orders.tolist()):
            begin = poses[n, order[0]].astype(np.float64)
            for m in range(3):
                end = poses[n, order[m + 1]].astype(np.float64)
                start, turned = (
                    Rotation.from_euler("xyz", pose[:3]).as_matrix() for pose in (begin, end)
                )
                quaternion = Rotation.from_matrix(start.T @ turned).as_quat(canonical=True)
                hue = (end[3] - begin[3]) % 1
                hue = (hue - 1 if hue > 0.5 else hue) / 0.5
                place = (end[4:] - begin[4:]) / [2, 1]
                wanted = [*quaternion, hue, *place]
                np.testing.assert_allclose(found[n, k, m], wanted, atol=1e-9)


def test_ceilings_are_exact() -> None:
    torch.manual_seed(0)
    poses = 6 * torch.rand(50, 8, 6) - 3
    orders = torch.stack([torch.arange(8), torch.arange(8).flip(0)])
    records = ceilings(Paths(table(poses), orders), SPACE, "test")
    for views in range(1, 8):
        exact = {"path turn": "product of actions", "path hue": "sum of actions"}
        for task, name in (exact | {"path place": "sum of actions"}).items():
            assert figure(records, name, views, task=task) == pytest.approx(1, abs=1e-9)
        product = figure(records, "product of actions", views, "median_degrees")
        assert product == pytest.approx(0, abs=1e-9)
    # The sum of quaternions is exact for a single one only.
    assert figure(records, "sum of actions", 1, "median_degrees") == pytest.approx(0, abs=1e-5)
    assert figure(records, "sum of actions", 7, "median_degrees") > 30
    assert figure(records, "sum of actions", 7, task="path turn") < 0.8


def test_the_sum_of_quaternions_by_hand() -> None:
    """Two turns of 60 degrees about one axis make 120; their sum points along 60."""
    angles = torch.tensor([[0.0, 60.0, 120.0], [0.0, 40.0, 80.0]]).deg2rad()
    poses = torch.stack([torch.zeros(2, 3), torch.zeros(2, 3), angles], -1)
    space = ActionSpace(("a", "b", "c"), (TURN,))
    records = ceilings(Paths(table(poses), torch.tensor([[0, 1, 2]])), space, "test")
    off = figure(records, "sum of actions", 2, "median_degrees")
    assert off == pytest.approx((60 + 40) / 2, abs=1e-3)


def test_a_sum_of_actions_and_what_it_loses(monkeypatch) -> None:
    """Views lie at independent places of variance 1 on a line, M = 2.

    The way is a_1 + a_2, of variance 2. Known are a_1 from the sum of actions, a_1 once more by
    sight, and a_2, the embedding; a linear head gives half its weight to each a_1. Without actions
    a_1 is left and a_2 = x_3 - x_2 is guessed from x_2 - x_1 to be -a_1 / 2: R2 is 1/4, kept or
    not. Without vision all is known to a head that was trained so; the one kept misses a_1 / 2 of
    variance 1/2: R2 is 3/4.
    """
    torch.manual_seed(0)
    tables = {"train": table(torch.randn(4000, 3, 1)), "test": table(torch.randn(4000, 3, 1))}
    monkeypatch.setattr(Subject, "tables", lambda subject, method: tables)
    records = path.path(toy(LINE))
    wanted = {
        "model": (1, 1),
        "no actions": (0, 1 / 4),
        "no actions, head kept": (0, 1 / 4),
        "no vision": (1, 1),
        "no vision, head kept": (1, 3 / 4),
        "sum of actions": (1, 1),
    }
    assert {record.features for record in records} == set(wanted)
    assert {record.metric for record in records} == {"r2"}
    for features, figures in wanted.items():
        for views, share in enumerate(figures, 1):
            assert figure(records, features, views) == pytest.approx(share, abs=0.03), features
    heads = [record for record in records if record.features != "sum of actions"]
    assert all(record.steps >= 400 and record.rising is False for record in heads)


def test_sequences_whose_order_means_something_are_those_drawn(monkeypatch) -> None:
    """Two sequences of 4 fixations; no part of one is read but its beginning."""
    method = Toy()
    steps = torch.tensor([0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0])
    poses = (steps + torch.rand(20, 1))[..., None]
    tables = {name: table(poses, sequence_length=4) for name in ("train", "test")}
    monkeypatch.setattr(Subject, "tables", lambda subject, method: tables)
    records = path.path(toy(LINE, method, views=8, max_steps=4))
    assert {record.views for record in records} == {1, 2, 3}, "M + 1 of a sequence's 4 views"
    beginnings = {round(float(row[0] - row[0] % 1)) for seen in method.seen for row in seen}
    assert beginnings == {0, 10}


def asked(run: Path, **settings) -> suite.Outcome:
    [outcome] = suite.evaluate_suite(run, ["path"], progress=False, device="cpu", **settings)
    return outcome


def test_every_head_and_ceiling_has_a_figure_for_every_length(copied: Path) -> None:
    assert asked(copied).error is None
    records = json.loads((copied / "suite" / "path.json").read_bytes())["records"]
    about = ("features", "task", "views", "metric")
    found = {tuple(record[key] for key in about) for record in records}
    # Two ceilings, three heads and two that read less; M = 1 .. 4, what the recipe aggregates.
    assert len(found) == len(records) == (2 + 3 + 2) * 4 * 2
    assert {(r["task"], r["input"], r["split"]) for r in records} == {
        ("path rotation", "sequence", "test")
    }


def test_the_only_action_is_the_direct_one(tmp_path: Path) -> None:
    recipe = signal_world.recipe()
    thorough = replace(recipe.evaluate, max_steps=3000, draws=8)
    recipe = replace(recipe, world=signal_world.Config(objects=600, views=3), evaluate=thorough)
    run = train(recipe, tmp_path / "run", quiet=True, device="cpu")
    shortest = replace(thorough, views=1)
    records = suite.evaluate_suite(run, ["path"], progress=False, device="cpu", config=shortest)
    figures = {
        record["features"]: record["value"]
        for outcome in records
        for record in outcome.results["records"]
        if record["metric"] == "r2"
    }
    assert figures["model"] > 0.99 and figures["no vision"] > 0.99
    assert figures["no actions"] < 0.6, "only the first view is known"
    assert figures["product of actions"] == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("condition", ["both", "aggregator", "predictor"])
def test_ablated_inputs_are_those_of_zeroed_embeddings_and_features(condition: str) -> None:
    recipe = experiment("seq_jepa", condition=condition)
    spec = recipe.world.build().spec
    method = build_method(recipe, spec).eval()
    torch.manual_seed(0)
    poses, features = torch.rand(3, 5, 5), torch.randn(3, 5, method.encoder.dim)
    paths = Paths(replace(table(poses), views=features), torch.tensor([[0, 2, 1, 4]]))
    subject = toy(spec.actions, method)

    whole = read(subject, paths, Ablation("model"))
    blind, unseen = (read(subject, paths, ablation) for ablation in ABLATIONS)
    views, moves = features[:, [0, 2, 1]], spec.actions.along(poses[:, [0, 2, 1, 4]])
    embedded = method.embed_actions(moves).detach()

    def wanted(views: Tensor, embedded: Tensor) -> Tensor:
        # All lengths in one masked pass, as in training.
        with torch.no_grad():
            z_agg = method._aggregate(views, embedded, [1, 2, 3])
        return torch.cat([z_agg, embedded], -1)[:, None]

    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(whole, wanted(views, embedded), **close)
    torch.testing.assert_close(blind, wanted(views, 0 * embedded), **close)
    torch.testing.assert_close(unseen, wanted(0 * views, embedded), **close)


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [
        ("simclr", {}, "SimCLR does not aggregate views"),
        ("seq_jepa", {"condition": "none"}, "not conditioned on actions"),
    ],
)
def test_what_a_run_cannot_be_asked(name: str, changes: dict, why: str, tmp_path: Path) -> None:
    recipe = experiment(name, **changes)
    num_views = 2 if name == "simclr" else 3
    short = replace(recipe, train=replace(recipe.train, steps=2, num_views=num_views))
    outcome = asked(train(short, tmp_path / "run", quiet=True, device="cpu"))
    assert isinstance(outcome.error, NotApplicableError) and why in str(outcome.error)


def test_a_world_without_actions() -> None:
    with pytest.raises(NotApplicableError, match="the world 'toy' has no actions"):
        path.path(toy(ActionSpace((), ())))


def test_sequences_of_one_view(monkeypatch) -> None:
    tables = {name: table(torch.rand(9, 4, 1), sequence_length=1) for name in ("train", "test")}
    monkeypatch.setattr(Subject, "tables", lambda subject, method: tables)
    with pytest.raises(NotApplicableError, match=r"raise evaluate\.views"):
        path.path(toy(LINE, views=1))
