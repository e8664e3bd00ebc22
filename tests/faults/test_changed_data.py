"""Row 10 of the fault catalogue: changed data stop a resumed run, and evaluation warns of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from faults.harness import TINY, Shell, contents, metrics, steps

OPTIONS = {
    "train.steps": 2,
    "train.batch-size": 4,
    "train.num-views": 3,
    "train.log-every": 1,
    "train.checkpoint-every": 1,
    "encoder.width": 2,
    "method.action-width": 8,
    "method.heads": 2,
    "method.layers": 1,
    "method.predictor-width": 8,
}
SMALL = [f"--{name}={value}" for name, value in OPTIONS.items()]


def write(folder: Path) -> None:
    chance = np.random.default_rng(0)
    folder.mkdir()
    np.save(folder / "views.npy", chance.integers(0, 256, (20, 4, 16, 16, 3), np.uint8))
    np.save(folder / "poses.npy", chance.uniform(-1, 1, (20, 4, 1)))
    np.save(folder / "labels.npy", np.arange(20) % 2)
    factors = {"pose": ["x"], "groups": [{"name": "x", "dims": ["x"]}]}
    (folder / "world.json").write_text(json.dumps(factors))


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a folder of arrays, and a run on it that was cut after the first of its two steps."""
    folder = tmp_path_factory.mktemp("changed")
    write(folder / "data")
    result = Shell(folder).run(
        "train", "arrays", "--world.path", folder / "data", "--run-dir", folder / "run", *SMALL
    )
    assert result.code == 0, result.output
    (folder / "run" / "checkpoints" / "step_00000002" / "manifest.json").unlink()
    return folder / "data", folder / "run"


def test_a_resumed_run_knows_its_data(shell: Shell, begun: tuple[Path, Path]) -> None:
    data, run = begun
    resume = ("train", "arrays", "--world.path", data, "--run-dir", run, *SMALL, "--resume")

    def untouched() -> dict[str, bytes]:
        # What the interrupted save left is swept away.
        return {name: data for name, data in contents(run).items() if "step_00000002" not in name}

    before = untouched()
    for name in ("labels", "poses", "views"):
        array = np.load(data / f"{name}.npy")
        np.save(data / f"{name}.npy", array[::-1])
        refused = shell.run(*resume)
        assert refused.code == 3 and f"data.train.{name}: " in refused.output, refused
        assert "--allow-changed-data" in refused.output, refused
        assert "Traceback" not in refused.output and "data.train.rows" not in refused.output
        assert untouched() == before
        np.save(data / f"{name}.npy", array)

    np.save(data / "labels.npy", 1 - np.load(data / "labels.npy"))
    allowed = shell.run(*resume, "--allow-changed-data")
    assert allowed.code == 0 and "warning: the data is not what the run" in allowed.output
    assert "data.train.labels: " in allowed.output
    assert steps(run) == [1, 2] and [line["step"] for line in metrics(run)] == [1, 2]

    again = shell.run(*resume)
    assert again.code == 0 and "warning" not in again.output, "from now on these are its data"


def test_evaluating_on_changed_data_is_warned_of(shell: Shell, tmp_path: Path) -> None:
    """The pixels are others than those that the run remembers; figures come all the same."""
    run = tmp_path / "run"
    assert shell.train(run, "--train.steps", "1").code == 0

    # Probes that are stopped early are warned of.
    same = shell.run("evaluate", run, "--code", TINY, "--max-steps", "5000")
    assert same.code == 0 and "warning" not in same.output

    spec = json.loads((run / "world.json").read_bytes())
    spec["data"]["test.views"] = "others"
    (run / "world.json").write_text(json.dumps(spec))
    changed = shell.run("evaluate", run, "--code", TINY)
    assert changed.code == 0 and "warning: the data is not what the run" in changed.output
    assert "data.test.views: " in changed.output
    [noted] = json.loads((run / "results.json").read_bytes())["changed_data"]
    assert noted.startswith("data.test.views: ")
