"""The training loop: its log, its trackers, and the state that it leaves alone."""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from fixtures import contract
from seqjepa import cli
from seqjepa.errors import ConfigError
from seqjepa.model import load
from seqjepa.runs import manifest
from seqjepa.training import trackers
from seqjepa.training.loop import train
from seqjepa.types import SequenceBatch
from seqjepa.worlds.base import World
from seqjepa.worlds.table import TableWorld


def short(name: str, **changes):
    experiment = contract.experiment(name)
    return replace(experiment, train=replace(experiment.train, steps=2, **changes))


def test_logged_terms_are_of_all_micro_batches_and_a_failing_tracker_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run, seen = tmp_path / "run", []
    forked: list[Any] = []
    fork_rng = torch.random.fork_rng

    def watched(devices: Any = None) -> Any:
        forked.append(devices)
        return fork_rng(devices)

    def fails(record: Mapping[str, Any]) -> None:
        raise OSError(28, "No space left on device")

    def notes(record: Mapping[str, Any]) -> None:
        seen.append(record["step"])

    monkeypatch.setattr(torch.random, "fork_rng", watched)
    train(
        short("vicreg", accumulate=2),
        run,
        quiet=True,
        device="cpu",
        trackers=[lambda path: fails, lambda path: notes],
    )

    # The terms of the log make up its loss.
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        loss = 10 * line["invariance"] + 10 * line["variance"] + line["covariance"]
        assert line["loss"] == pytest.approx(loss, rel=1e-5)

    # Both trackers were called, one of them once.
    assert seen == [1, 2] == [line["step"] for line in lines]
    warning = "a tracker cannot write (No space left on device): training goes on without it"
    assert capfd.readouterr().err.count(warning) == 1

    # A run on the CPU touches no GPU's state.
    assert forked and all(devices == [] for devices in forked)
    environment = load(run).environment
    assert environment["device"] == "cpu" and environment["precision"] == "fp32"


def test_views_that_are_kept_change_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logs = []
    for name in ("stored", "kept"):
        run = train(
            short("simclr"), tmp_path / name, quiet=True, device="cpu", keep_views=name == "kept"
        )
        lines = (run / "metrics.jsonl").read_text().splitlines()
        logs.append([json.loads(line) | {"time": None} for line in lines])
    assert logs[0] == logs[1] and "not kept" not in capfd.readouterr().err


def test_a_world_that_keeps_no_views_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(TableWorld, "keep_views", World.keep_views)
    train(short("simclr"), tmp_path / "run", quiet=True, device="cpu", keep_views=True)
    assert "the training views are not kept on the device" in capfd.readouterr().err


class Cut(BaseException):
    """An end without notice, as by a kill."""


def test_a_world_that_draws_from_torch_is_resumed_exactly_and_asked_for_no_batch_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, sequences = [], TableWorld.sequences

    def noisy(self: TableWorld, split: str, *rest: Any) -> SequenceBatch:
        batch = sequences(self, split, *rest)
        asked.append(split)
        return replace(batch, views=torch.rand_like(batch.views.float()))

    def draws(record: Mapping[str, Any]) -> None:
        torch.rand(1)

    def cuts(record: Mapping[str, Any]) -> None:
        # The checkpoint of step 2 is there, and the batch of step 4 is made already.
        if record["step"] == 3:
            raise Cut

    monkeypatch.setattr(TableWorld, "sequences", noisy)
    experiment, runs = contract.experiment("seq_jepa"), (tmp_path / "whole", tmp_path / "cut")
    train(experiment, runs[0], quiet=True, device="cpu", trackers=[lambda path: draws])
    assert len(asked) == 1 + experiment.train.steps, "one to size the probe, then one for each step"

    with pytest.raises(Cut):
        train(experiment, runs[1], quiet=True, device="cpu", trackers=[lambda path: cuts])
    train(experiment, runs[1], quiet=True, device="cpu", resume=True)

    # The logs end with the same figures, to the last bit.
    ends = [json.loads((run / "metrics.jsonl").read_text().splitlines()[-1]) for run in runs]
    assert len({json.dumps(line | {"time": None}) for line in ends}) == 1


def test_health_is_logged_on_demand_and_changes_nothing_else(tmp_path: Path) -> None:
    experiment = contract.experiment("seq_jepa")
    watched = replace(experiment, train=replace(experiment.train, health=True))
    runs = {name: tmp_path / name for name in ("plain", "whole", "cut")}
    train(experiment, runs["plain"], quiet=True, device="cpu")
    for name in ("whole", "cut"):
        train(watched, runs[name], quiet=True, device="cpu")

    # As if it had been interrupted after the checkpoint of step 2, with more in the log.
    (runs["cut"] / "checkpoints" / "step_00000004" / "manifest.json").unlink()
    train(watched, runs["cut"], resume=True, quiet=True, device="cpu")

    logs, weights = {}, {}
    for name, run in runs.items():
        lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
        logs[name] = [line | {"time": None} for line in lines]
        [path] = (run / "checkpoints" / "step_00000004").glob("method.safetensors")
        weights[name] = path.read_bytes()
    assert logs["whole"] == logs["cut"]
    assert weights["plain"] == weights["whole"] == weights["cut"]

    assert len(logs["whole"]) == 4
    for plain, line in zip(logs["plain"], logs["whole"], strict=True):
        added = {"health/lidar", "health/alpha"}
        assert line.keys() - plain.keys() == added
        assert {key: line[key] for key in plain} == plain
        assert 1 < line["health/lidar"] < 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"experiment": "shapes_demo"},
            r"Experiment, got str: seqjepa\.recipe\(NAME\)\(\) makes one",
        ),
        ({"experiment": contract.experiment}, "of type Experiment, got function"),
        (
            {"experiment": short("simclr", log_every=2.0)},
            r"'train\.log_every' must be int, got 2\.0",
        ),
        ({"experiment": replace(short("simclr"), method="byol")}, "'method' must be an object"),
        ({"trackers": ["wandb"]}, r"trackers must be functions, .* got \('wandb',\)"),
    ],
)
def test_other_arguments_are_refused_before_anything_is_written(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    given = {"experiment": short("simclr"), "device": "cpu", "quiet": True, **changes}
    with pytest.raises(ConfigError, match=message):
        train(run_dir=tmp_path / "run", **given)
    assert not any(tmp_path.iterdir())


def test_a_resumed_run_says_what_it_computed_with_before() -> None:
    before = manifest.environment({"device": "cpu", "precision": "bf16"})
    now = manifest.environment({"device": "GPU", "precision": "fp32"})
    assert manifest.changes(before, before) == []
    assert manifest.changes({}, now) == [], "of what was not noted nothing can be said"
    assert manifest.changes(before, now) == [
        "device: cpu there, GPU here",
        "precision: bf16 there, fp32 here",
    ]


@pytest.mark.parametrize(
    ("name", "module"), [("tensorboard", "torch.utils.tensorboard"), ("wandb", "wandb")]
)
def test_a_tracker_that_is_not_installed_is_refused_before_anything_is_written(
    name: str,
    module: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match="pip install"):
        trackers.TRACKERS[name]()
    monkeypatch.chdir(tmp_path)
    assert cli.run(["train", "shapes_tiny", "--track", name]) == 2
    assert f"seqjepa[{name}]" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_folders_of_one_name_are_different_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[dict[str, Any]] = []
    client = ModuleType("wandb")
    client.init = lambda **options: begun.append(options)
    monkeypatch.setitem(sys.modules, "wandb", client)
    for folder in ("a/demo", "b/demo", "a/demo"):
        trackers.wandb()(tmp_path / folder)
    first, second, again = (options["id"] for options in begun)
    assert first == again != second and {options["name"] for options in begun} == {"demo"}
