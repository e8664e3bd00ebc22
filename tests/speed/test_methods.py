"""Costs of a view with each method: counts by hand, ratios, and the command."""

import json
import pkgutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seqjepa import cli, methods
from seqjepa.benchmark.contenders import contenders
from seqjepa.config import Experiment
from seqjepa.errors import ConfigError
from seqjepa.recipes import every_method
from seqjepa.recipes.shapes import shapes_tiny
from seqjepa.speed import methods as speed
from seqjepa.speed.cost import Cost, as_json, as_table

OWN = Path(__file__).parents[2] / "examples" / "own_method.py"


def experiments(*texts: str) -> dict[str, Experiment]:
    return {each.name: each.experiment for each in contenders(texts, shapes_tiny())}


def flops(text: str) -> int:
    (experiment,) = experiments(text).values()
    step = speed.TrainingStep(experiment)
    return speed.count_flops(step.method, step.batch)


def cost(**fields) -> Cost:
    known = {"method": "it", "predictions": 128, "views": 256, "mflops": 57.04, "time": 1.234}
    return Cost(**{**known, "precision": "fp32", **fields})


def test_flops_of_byol_are_those_worked_out_by_hand() -> None:
    """Its loss has no products of matrices, so that all of them are in layers."""
    # Convolutions of one view: the stem, the first stage, and three that each halve the image and
    # double the channels, so that they cost the same.
    stem = 2 * (3 * 3 * 3 * 16) * 16**2
    first = 4 * 2 * (3 * 3 * 16 * 16) * 16**2
    halved = 2 * (3 * 3 * 16 * 32 + 3 * (3 * 3 * 32 * 32) + 16 * 32) * 8**2
    encoder = stem + first + 3 * halved

    # 128 features; the projector's widths are 512, the predictor's are 128 and 512.
    projector = 2 * (128 * 512 + 512 * 512 + 512 * 512)
    predictor = 2 * (512 * 128 + 128 * 512)

    # Backward multiplies twice for each product, but nobody asks for the gradient of pixels. The
    # targets of both views are forward only.
    a_view = 3 * (encoder + projector + predictor) - stem + encoder + projector
    assert flops("byol:train.batch_size=2") == 4 * a_view


def test_attention_is_counted_too() -> None:
    """Half as many pairs in twice as many contexts change nothing else."""
    # Two products of [S, 512] and [512, S] in each of three layers, and four in backward.
    whole, half = (flops(f"context_ssl:pairs={k},train.batch_size=4") for k in (4, 2))
    assert whole - half == 3 * 6 * 2 * 512 * (8**2 - 2 * 4**2)


def test_every_method_of_the_package_has_its_number_of_predictions() -> None:
    names = {module.name for module in pkgutil.iter_modules(methods.__path__)}
    assert set(speed.PREDICTIONS) == names - {"base"}


def test_predictions_of_a_step_of_256_views() -> None:
    asked = ("byol", "conv_jepa", "simclr", "context_ssl", "vicreg_traj", *speed.MORE[:1])
    found = experiments(*asked, "seq_jepa:predict=last", "seq_jepa:predict=every", str(OWN))
    counted = [speed.count_predictions(experiment) for experiment in found.values()]
    assert counted == [256, 192, 128, 128, 85, 192, 64, 192, None]


def test_the_contenders_are_valid() -> None:
    found = experiments(speed.REFERENCE, *every_method(), *speed.MORE)
    assert speed.REFERENCE in every_method() and len(found) == len(every_method()) + 5
    assert {each.train.batch_size * each.train.num_views for each in found.values()} == {255, 256}


def test_costs_are_of_one_view_and_relative_to_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQJEPA_CACHE", str(tmp_path))
    monkeypatch.setattr(
        speed, "take_turns", lambda steps, rounds: [step() or 6.0 for step in steps]
    )
    small = (f"{text}train.batch_size=2" for text in ("vicreg_traj:", f"{OWN}:"))
    found = {**experiments(*small), speed.REFERENCE: experiments(speed.REFERENCE)[speed.REFERENCE]}
    train = replace(found[speed.REFERENCE].train, batch_size=2)
    found[speed.REFERENCE] = replace(found[speed.REFERENCE], train=train)

    # The same six seconds are spent on 6, 4 and 8 views.
    costs = speed.figures(found, rounds=1)
    assert [each.views for each in costs] == [6, 4, 8]
    assert [each.time for each in costs] == [8 / 6, 8 / 4, 1]
    assert [each.predictions for each in costs] == [2, None, 2]
    assert all(40 < each.mflops < 80 for each in costs)
    assert not list(tmp_path.iterdir()), "no world is rendered"


def test_a_step_moves_the_weights_and_the_target() -> None:
    (experiment,) = experiments("byol:train.batch_size=2").values()
    step = speed.TrainingStep(experiment)
    modules = (step.method.encoder, step.method.target_encoder)
    before = [[p.clone() for p in module.parameters()] for module in modules]
    step()
    step()
    for module, old in zip(modules, before, strict=True):
        assert not all(torch.equal(a, b) for a, b in zip(module.parameters(), old, strict=True))


def test_noise_has_the_shapes_and_the_actions_of_the_world() -> None:
    (experiment,) = experiments("simclr:train.batch_size=3").values()
    world = speed.noise_world(experiment)
    batch = next(world.loader("train", num_views=2, batch_size=3, seed=0))
    assert batch.views.shape == (3, 2, 3, 32, 32) and batch.views.dtype == torch.uint8
    assert torch.equal(batch.actions, world.spec.actions.along(batch.poses))
    assert batch.views.float().std() > 50 and batch.actions.std() > 0


def test_the_table_and_the_json_have_every_cost() -> None:
    costs = [cost(), cost(method="own", predictions=None)]
    assert costs[0].cells == ("it", "128", "57.0", "1.23") and costs[1].cells[1] == "–"
    assert as_table(costs, "title").row_count == 2

    data = json.loads(json.dumps(as_json(costs, {"cores": 2})))
    assert [Cost(**each) for each in data["figures"]] == costs and data["machine"] == {"cores": 2}


def test_the_command_measures_what_it_is_asked_for_and_the_reference(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def figures(chosen: dict[str, Experiment], rounds: int) -> list[Cost]:
        return [cost(method=name, time=float(rounds)) for name in chosen]

    monkeypatch.setattr(speed, "figures", figures)
    assert cli.run(["speed", "methods", "--methods", "sie", "--rounds", "3"]) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in (speed.REFERENCE, "sie", "3.00", "predictions"))

    assert cli.run(["speed", "methods", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["figures"]
    names = list(experiments(speed.REFERENCE, *every_method(), *speed.MORE))
    assert [each["method"] for each in found] == names and found[0]["precision"] == "fp32"


def test_mistakes_are_named() -> None:
    with pytest.raises(ConfigError, match="--rounds must be at least 1, got 0"):
        cli.run(["speed", "methods", "--rounds", "0", "--debug"])
    with pytest.raises(ConfigError, match="did you mean 'simclr'"):
        cli.run(["speed", "methods", "--methods", "simcrl", "--debug"])
