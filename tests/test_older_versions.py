"""Run folders, caches and packs of an earlier version: loaded, evaluated, resumed, read.

The files are in `tests/data`, in a folder for each version; its README says what is there.
"""

import hashlib
import json
import math
import shutil
from pathlib import Path

import pytest
import torch

import seqjepa
from seqjepa import cli
from seqjepa.benchmark.standings import read_finished
from seqjepa.config import from_json
from seqjepa.model import read_experiment
from seqjepa.report.runs import read_run
from seqjepa.store import cache
from seqjepa.worlds import shapes, threediebench
from seqjepa.worlds.base import World

VERSIONS = sorted(path.name for path in (Path(__file__).parent / "data").iterdir())


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a version's files, in the folder that their relative paths count from."""
    folder = tmp_path / "old"
    shutil.copytree(Path(__file__).parent / "data" / request.param, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SEQJEPA_CACHE", str(folder / "cache"))

    def refuse(*arguments: object) -> None:
        raise AssertionError("the cache is made anew")

    monkeypatch.setattr(cache, "_build", refuse)
    return folder


def read(path: Path) -> list[dict]:
    """Return the records of a metrics.jsonl, without what depends on the machine's speed."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "time"} for line in lines]


def first_batch(world: World, num_views: int) -> str:
    """Return the digest of the views of a batch."""
    batch = next(world.loader("train", num_views=num_views, batch_size=4, seed=0))
    return hashlib.sha256(batch.views.numpy().tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("run", ["arrays", "shapes"])
def test_a_model_loads(old: Path, run: str) -> None:
    model = seqjepa.load(old / "runs" / run)
    channels, height, width = model.spec.image_shape
    views = torch.zeros(2, channels, height, width, dtype=torch.uint8)
    assert model.encode(views).shape == (2, model.method.encoder.dim)
    assert model.step == {"arrays": 4, "shapes": 8}[run]


def test_a_run_is_resumed_as_it_would_have_been(old: Path) -> None:
    run = old / "runs" / "arrays"
    wanted = read(run / "metrics.jsonl")
    seqjepa.train(read_experiment(run), run, resume=True, quiet=True, device="cpu")

    # Not bit for bit: the processor may be another.
    resumed = read(run / "metrics.jsonl")
    assert [record["step"] for record in resumed] == list(range(1, 9))
    for new, known in zip(resumed, wanted, strict=True):
        assert new == pytest.approx(known, rel=1e-3, abs=1e-3)


def test_a_run_is_evaluated_from_its_cache(old: Path) -> None:
    run = old / "runs" / "shapes"
    known = json.loads((run / "results.json").read_text())
    results = seqjepa.evaluate(run, progress=False, device="cpu")
    assert results["changed_data"] == [] and results["data"] == known["data"]
    # The same questions are asked, and one more metric; the probes of that version stopped early.
    records = [record for record in results["records"] if record["metric"] != "r2_nearest"]
    assert len(records) == len(known["records"])
    for new, before in zip(records, known["records"], strict=True):
        assert before.keys() < new.keys() and math.isfinite(new["value"]) and new["steps"] >= 400
        assert all(new[key] == before[key] for key in before.keys() - {"value"})


def test_results_are_read_for_reports_and_measured_again_by_benchmarks(
    old: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("arrays", "shapes"):
        run = read_run(old / "runs" / name)
        assert run.results is not None and run.config == run.results["experiment"]
        assert "stopped early, as in version 0.1" in capfd.readouterr().err.replace("\n", " ")
        assert read_finished(run.folder) is None
        assert from_json(run.config) == read_experiment(run.folder)


def test_the_same_experiment_is_recognised(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--train.steps 8 --world.path arrays --run-dir runs/arrays"
    assert cli.run(["train", "arrays", *options.split()]) == 2
    changed = capsys.readouterr().err
    assert (
        "holds a run of another configuration" in changed and "train.batch_size: 8 there" in changed
    )
    assert "format" not in changed and "None there" not in changed


def test_a_cache_and_packs_are_read(old: Path) -> None:
    expected = json.loads((old / "expected.json").read_text())
    scenes = shapes.Config(image_size=16, train_objects=8, test_objects=4, views=4)
    raw, jpeg = (
        threediebench.Config(path=name, image_size=size, views=3, val_fraction=0.2)
        for name, size in (("views_raw.pack", 16), ("views_jpeg.pack", 32))
    )
    for name, config, views in (
        ("shapes", scenes, 2),
        ("views_raw.pack", raw, 3),
        ("views_jpeg.pack", jpeg, 3),
    ):
        world = config.build()
        assert world.spec.data == expected[name]["data"], name
        assert first_batch(world, views) == expected[name]["batch"], name
