"""The programs behind the pages, on a run of a few steps."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from seqjepa import evaluate, train
from seqjepa.config import EvaluateConfig
from seqjepa.nn import EncoderConfig
from seqjepa.recipes.shapes import shapes_demo

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "scripts" / "docs")]
import action_use  # noqa: E402
import experiments  # noqa: E402
import neighbours  # noqa: E402
import probe_budget  # noqa: E402


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an evaluated run of the demo's objective in a world of a few objects."""
    demo = shapes_demo()
    small = replace(
        demo,
        world=replace(demo.world, image_size=16, train_objects=700, test_objects=58, views=4),
        encoder=EncoderConfig(width=2, stem="compact"),
        train=replace(demo.train, steps=3, batch_size=8, log_every=1, precision="fp32"),
        evaluate=EvaluateConfig(objects=60, encoded_views=4, draws=1, views=2, max_steps=4),
    )
    folder = tmp_path_factory.mktemp("runs") / "equal_views" / "demo_seed0"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQJEPA_CACHE", str(tmp_path_factory.mktemp("cache")))
        train(small, folder, quiet=True, device="cpu")
        evaluate(folder, progress=False, device="cpu")
        yield folder


def test_the_use_of_actions(run_dir: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(action_use, "BATCHES", 1)
    monkeypatch.setattr(action_use, "SIZE", 16)
    out = tmp_path / "use.json"
    monkeypatch.setattr(sys, "argv", ["action_use", str(run_dir), "--out", str(out)])
    action_use.main()
    action_use.main()  # again: what is there is replaced

    written = json.loads(out.read_text())
    [(name, found)] = written["runs"].items()
    assert name == "equal_views/demo_seed0" and written["settings"]["batches"] == 1
    assert found["step"] == 3 and 0 < found["true"] < 2
    assert found["explained"] == pytest.approx(1 - found["true"] / found["others"])


def test_twice_the_budget(run_dir: Path) -> None:
    found = probe_budget.measure(run_dir)
    assert set(found) == {"relative rotation", "individual rotation"}
    for probe in found.values():
        assert probe["steps"] == 4 and probe["twice"] != probe["r2"]


def test_neighbours(run_dir: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(neighbours, "DOCS", tmp_path)
    monkeypatch.setattr(neighbours, "MEASURED", tmp_path / "neighbours.json")
    (tmp_path / "figures").mkdir()
    assert neighbours.table({}) == "*Not measured yet.*\n"
    monkeypatch.setattr(sys, "argv", ["neighbours", str(run_dir)])
    neighbours.main()
    for name in ("neighbours", "expected"):
        assert (tmp_path / "figures" / f"{name}.png").stat().st_size > 1000
    lines = neighbours.table({"equal_views/demo": "ours"}).splitlines()
    assert lines[2].startswith("| ours | 1 | ") and lines[3].startswith("| views drawn at random")


def test_a_run_of_an_experiment(run_dir: Path, tmp_path: Path, monkeypatch) -> None:
    """What train and evaluate leave is copied; a run whose results are there is finished."""
    commands = []

    class Done:
        returncode = 0

    def instead(command, **options) -> Done:
        commands.append(command)
        return Done()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(experiments, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(experiments.subprocess, "run", instead)
    (tmp_path / "runs" / "equal_views").mkdir(parents=True)
    (tmp_path / "runs" / "equal_views" / "demo_seed0").symlink_to(run_dir)

    assert experiments.run("equal_views", "demo", 0) == 0
    trained, evaluated = commands
    assert trained[3:5] == ["train", "shapes_demo"] and trained[-1] == "--resume"
    assert evaluated[3] == "evaluate" and evaluated[5:7] == ["--split", "test"]
    assert evaluated[-3:] == ["probes", "retrieval", "group"]
    copied = tmp_path / "docs" / "results" / "equal_views" / "demo_seed0.json"
    assert copied.read_bytes() == (run_dir / "results.json").read_bytes()
    experiments.keep_curves(run_dir, tmp_path / "docs" / "curves" / "demo.json")
    curves = json.loads((tmp_path / "docs" / "curves" / "demo.json").read_text())
    assert curves["views_seen"] == [32, 64, 96]

    assert experiments.run("equal_views", "demo", 0) == 0 and len(commands) == 2
