"""Two calls of scripts/gpu.py: what they leave out, go on with and write; and what is drawn."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from seqjepa.config import from_json
from seqjepa.model import require_fit
from seqjepa.report import style
from seqjepa.worlds import shapes as world

ROOT = Path(__file__).parents[1]
for folder in ("scripts", "scripts/docs"):
    sys.path.insert(0, str(ROOT / folder))
import gpu  # noqa: E402
import gpu_contenders  # noqa: E402
import gpu_page  # noqa: E402

Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Call:
    """Return a call of the script, in which each contender takes 100 seconds of a clock's."""
    monkeypatch.setenv("SEQJEPA_CACHE", str(tmp_path / "cache"))
    real, skipped = gpu.now, [0.0]
    evaluate, measure = gpu.evaluate, gpu.Call.measure

    def slow(*arguments: Any, **options: Any) -> Any:
        # The short go that is measured has a config of its own.
        skipped[0] += 0 if "config" in options else 100
        return evaluate(*arguments, **options)

    def measured(self: gpu.Call, name: str, folder: Path) -> gpu.Cost:
        assert measure(self, name, folder).step > 0
        return gpu.Cost(100, 1e-6)

    monkeypatch.setattr(gpu, "now", lambda: real() + skipped[0])
    monkeypatch.setattr(gpu, "evaluate", slow)
    monkeypatch.setattr(gpu.Call, "measure", measured)

    def run(budget: float, step: Callable[..., Any]) -> tuple[int, str]:
        monkeypatch.setattr(gpu.subprocess, "run", step)
        with monkeypatch.context() as once:
            once.setattr(world.Config, "build", world.Config.build)
            options = ["--tiny", "--out", str(tmp_path / "out"), "--budget", str(budget)]
            code = gpu.main(options)
            assert world.Config.build.cache_info().misses == 1, "one world for all contenders"
        return code, capfd.readouterr().out

    return run


def too_slow(command: list[str], *, timeout: float, **_: Any) -> None:
    raise subprocess.TimeoutExpired(command, timeout)


def quick(command: list[str], **_: Any) -> Any:
    assert command[2:5] == ["seqjepa.cli", "speed", "step"]
    return SimpleNamespace(stdout=(ROOT / "docs" / "speed" / "step.json").read_bytes())


@pytest.mark.slow
def test_two_calls(call: Call, tmp_path: Path) -> None:
    """The first leaves out what does not fit, and the second goes on where it ended."""
    out = tmp_path / "out"
    code, said = call(400, too_slow)
    plan = (out / "plan.json").read_bytes()
    assert code == 0 and "left out: speed: not done after" in said
    assert "done: equimod, last, ours\n" in said
    for name in ("last_no_actions", "every", "byol"):
        assert f"left out: {name}: needs 10" in said, said

    code, said = call(400, quick)
    assert code == 0 and "done: byol, every, last_no_actions, speed\n" in said
    assert "left out" not in said and "equimod" not in said
    assert (out / "plan.json").read_bytes() == plan
    found = gpu_page.read(out)
    assert set(found) == set(gpu_contenders.CONTENDERS)

    # All have seen equally many views, of one world; each says what it was.
    for name, results in found.items():
        experiment = from_json(results["experiment"])
        train, curves = experiment.train, results["curves"]
        assert curves["views_seen"][-1] == 24 * 64
        assert train.steps * train.batch_size * train.num_views == 24 * 64
        assert all(len(curve) == len(curves["views_seen"]) for curve in curves.values())
        assert experiment.name == f"gpu_{name}" and results["versions"]["torch"]
        assert {record["split"] for record in results["records"]} == {"test"}

    # What was written is drawn.
    parts = gpu_page.parts(out)
    assert len(parts["table"].splitlines()) == 2 + len(found)
    assert parts["speed"].startswith("`seqjepa speed step")
    (ROOT / "scripts" / "docs" / "gpu.md.in").read_text().format(**parts)
    with style.look():
        drawn = list(gpu_page.pictures(found))
    assert [picture.name for picture in drawn] == ["gpu_rotation", "gpu_class"]


@pytest.mark.slow
def test_a_budget_that_holds_nothing(call: Call) -> None:
    code, said = call(50, too_slow)
    assert code == 1 and "done: nothing" in said and said.count("left out: ") == 7


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    assert gpu_page.read(tmp_path) == {} and list(gpu_page.pictures({})) == []


@pytest.mark.parametrize("size", [gpu_contenders.full, gpu_contenders.tiny])
def test_contenders_share_all_but_the_method(size: Callable[[], gpu_contenders.Setting]) -> None:
    recipe = size().recipe
    for name in gpu_contenders.CONTENDERS:
        found = gpu_contenders.contender(recipe, name)
        require_fit(found)
        same = ("world", "encoder", "optim", "evaluate", "seed")
        assert all(getattr(found, part) == getattr(recipe, part) for part in same)
        views = found.train.batch_size * found.train.num_views
        assert views == recipe.train.batch_size * recipe.train.num_views


def test_the_most_steps_that_fit() -> None:
    cost = partial(gpu.Cost, 10.0)
    # Two in each call: 100 - 2 (10 + 5) = 70 seconds for steps of 1 s each.
    assert gpu.most_steps([cost(1.0)] * 4, 5, 100, 100) == 35
    # A slow one is alone; the others share the second call.
    assert gpu.most_steps([cost(3.0), cost(1.0), cost(1.0)], 5, 100, 100) == 28
    assert gpu.most_steps([cost(1.0)], 5, 10, 10) == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_shell_script_says_what_is_missing(tmp_path: Path) -> None:
    command = ["bash", ROOT / "scripts" / "gpu.sh", "--out", tmp_path / "out"]
    python = os.environ | {"PYTHON": sys.executable}
    done = subprocess.run(command, capture_output=True, text=True, env=python)
    assert done.returncode == 1 and done.stderr == "gpu.sh: torch finds no CUDA device\n"
    assert not (tmp_path / "out").exists()
