"""The part `planning` of an evaluation: with an exact model, and of a run."""

import json
import math
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fixtures.contract import experiment
from fixtures.toy_model import exact, show
from fixtures.toy_world import LitWorld, ToyWorld
from seqjepa.actions import Group
from seqjepa.config import EvaluateConfig
from seqjepa.display import Stages
from seqjepa.evaluation import planning
from seqjepa.evaluation.protocol import Protocol
from seqjepa.evaluation.suite import evaluate_suite
from seqjepa.training.loop import train
from seqjepa.types import SequenceBatch
from seqjepa.world_model.manifold import errors
from seqjepa.world_model.model import WorldModel
from seqjepa.world_model.planning import CrossEntropy, Gradient
from seqjepa.worlds.base import World

QUICK = {"cross-entropy": CrossEntropy(rounds=20, elites=12), "gradient": Gradient(steps=40)}


def figures(records) -> dict[tuple[str, int], float]:
    assert {record.task for record in records} == {"planning rotation"}
    assert {record.metric for record in records} == {"median_degrees"}
    return {(record.features, record.views): record.value for record in records}


def asked(model: WorldModel, world: World) -> SimpleNamespace:
    """Return as much of a `Subject` as planning needs."""
    return SimpleNamespace(
        model=model.model,
        method=model.method,
        world=world,
        split="test",
        device=torch.device("cpu"),
        bf16=False,
        experiment=SimpleNamespace(seed=0, evaluate=EvaluateConfig()),
        stages=Stages(False),
        inference=nullcontext,
        protocol=lambda: Protocol("model", EvaluateConfig(), 0, model.method.encoder.dim),
    )


def test_an_exact_model_plans_exactly(monkeypatch) -> None:
    monkeypatch.setattr(planning, "PLANNERS", QUICK)
    subject = asked(exact(), ToyWorld(objects=200, views=4))
    found = figures(planning.planning(subject))
    searched = {key for key in found if key[0].startswith(("cross", "gradient"))}
    assert searched == {
        *((name, length) for name in QUICK for length in (1, 3)),
        ("gradient, one way", 1),
        ("gradient, rolled out", 3),
    }
    assert all(found[key] < 3 for key in searched), found
    # Rotations of two matrices are learned roughly, from two hundred objects.
    assert 1 < found["action probe", 1] < 0.7 * found["chance", 1]

    # By hand: the angles between the goals, and of the other views those nearest to them.
    batch = subject.world.sequences("test", np.arange(200), 4, None)
    cosines = (show(batch.poses[:, 2:]) * 2 - 1).flatten(2) @ (
        show(batch.poses[:, 1]) * 2 - 1
    ).flatten(1)[..., None]
    nearest = batch.poses[torch.arange(200), 2 + cosines[..., 0].argmax(1)]
    angles = 2 * (nearest * batch.poses[:, 1]).sum(-1).abs().clamp(max=1).acos()
    expected = math.degrees(angles.median())
    assert found["best of views", 1] == pytest.approx(expected, abs=0.1)
    assert found["chance", 1] > 40


class Shown(LitWorld):
    """Its views are as bright as it renders them."""

    def sequences(self, split: str, index, num_views: int, key) -> SequenceBatch:
        batch = super().sequences(split, index, num_views, key)
        return replace(batch, views=self.render(split, index, batch.poses))


def test_probes_read_each_group_of_actions() -> None:
    """A difference by a linear probe, which comes first here, and a rotation by an MLP."""
    world = Shown(("brightness", "rotation"), objects=300, views=4)
    subject = asked(exact(spec=world.spec), world)
    batch = world.sequences("test", np.arange(300), 2, None)
    read, fits = planning._probed(subject, batch)

    assert {name: len(fit.probe.layers) for name, fit in fits.items()} == {
        "brightness": 1,
        "rotation": 3,
    }
    truth = batch.actions[:, 0]
    off = errors(world.spec.actions, truth, read)
    assert off["brightness"].median() < 0.3 * truth[:, 0].abs().median()
    assert off["rotation"].median() < 80  # of 130 by chance


def test_a_run_is_asked_and_one_without_a_predictor_is_not(tmp_path: Path, monkeypatch) -> None:
    quick = {"cross-entropy": CrossEntropy(samples=8, elites=2, rounds=2),
             "gradient": Gradient(samples=4, starts=2, steps=2)}  # fmt: skip
    monkeypatch.setattr(planning, "PLANNERS", quick)
    made = train(experiment("seq_jepa", inverse=2.0), tmp_path / "run", quiet=True, device="cpu")
    values = []
    for _ in range(2):
        [outcome] = evaluate_suite(made, ["planning"], progress=False, device="cpu")
        assert outcome.error is None
        values.append(json.loads((made / "suite" / "planning.json").read_bytes())["records"])
    assert values[0] == values[1]
    named = {(record["features"], record["input"], record["views"]) for record in values[0]}
    assert {("inverse head", "view", 1), ("action probe", "pair", 1)} < named
    steps = {record["features"]: record["steps"] for record in values[0]}
    assert steps["action probe"] > 0 and steps["inverse head"] is None

    for name, fields, why in (
        ("simclr", {}, "SimCLR does not predict views"),
        ("seq_jepa", {"condition": "none"}, "SeqJEPA do not depend on actions"),
    ):
        run = train(experiment(name, **fields), tmp_path / name, quiet=True, device="cpu")
        [outcome] = evaluate_suite(run, ["planning"], progress=False, device="cpu")
        assert type(outcome.error).__name__ == "NotApplicableError" and why in str(outcome.error)


def test_units_of_errors() -> None:
    place = Group(name="position", dims=("row", "column"))
    turn, light = Group(name="turn", dims=tuple("xyz"), kind="euler"), Group(name="l", dims=("l",))
    assert planning._unit(turn, 96) == ("median_degrees", 1)
    assert planning._unit(place, 96) == ("median_pixels", 96)
    assert planning._unit(place, None) == ("median_error", 1)
    assert planning._unit(light, 96) == ("median_error", 1)
