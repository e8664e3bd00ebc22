"""Rows 6, 7 and 8 of the fault catalogue: damaged, malicious and foreign checkpoints."""

import json
import os
import pickle
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from faults import sabotage
from faults.harness import Shell, contents, digest, metrics, steps
from fixtures.malice import Malice
from seqjepa.files import json_bytes, sha256

NEWEST, OLDER = "step_00000010", "step_00000008"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that was stopped after step 10."""
    folder = tmp_path_factory.mktemp("stopped")
    result = Shell(folder).train(
        folder / "run", sabotage=partial(sabotage.send_at_step, signal.SIGTERM, 10)
    )
    assert result.code == 75 and steps(folder / "run") == [8, 10], result.output
    return folder / "run"


@pytest.fixture
def run(stopped: Path, tmp_path: Path) -> Path:
    """Return a copy of it, to be damaged."""
    shutil.copytree(stopped, tmp_path / "run")
    return tmp_path / "run"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // 3] ^= 4
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "empty": lambda path: os.truncate(path, 0),
    "one byte short": lambda path: os.truncate(path, path.stat().st_size - 1),
    "a flipped bit": flip,
    "missing": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    "name",
    ["method.safetensors", "optimizer.safetensors", "probe_optimizer.safetensors", "state.json"],
)
def test_resume_falls_back_to_the_newest_whole_checkpoint_and_says_so(
    shell: Shell, reference: Path, run: Path, name: str, damage: str
) -> None:
    path = run / "checkpoints" / NEWEST / name
    DAMAGE[damage](path)
    result = shell.train(run, "--resume")
    assert result.code == 0, result.output
    assert str(path) in result.output and "step 8" in result.output
    assert digest(run) == digest(reference) and metrics(run) == metrics(reference)
    assert steps(run) == [8, 12]


@pytest.mark.parametrize("damage", DAMAGE)
def test_without_a_whole_checkpoint_training_does_not_start(
    shell: Shell, run: Path, damage: str
) -> None:
    paths = [run / "checkpoints" / name / "method.safetensors" for name in (NEWEST, OLDER)]
    for path in paths:
        DAMAGE[damage](path)
    before = contents(run)

    result = shell.train(run, "--resume")
    assert result.code == 4 and all(str(path) in result.output for path in paths), result.output
    assert "Traceback" not in result.output
    assert contents(run) == before


def vouch(folder: Path, **changes: object) -> None:
    """Make a manifest vouch for the files as they now are."""
    path = folder / "manifest.json"
    body = json.loads(path.read_bytes()) | changes
    del body["sha256"]
    for name in body["files"]:
        data = (folder / name).read_bytes()
        body["files"][name] = {"bytes": len(data), "sha256": sha256(data)}
    path.write_bytes(json_bytes(body | {"sha256": sha256(json_bytes(body))}))


def test_a_newer_format_says_which_version_it_needs(shell: Shell, run: Path) -> None:
    vouch(run / "checkpoints" / NEWEST, format=2, environment={"seqjepa": "9.8.7"})
    before = contents(run)
    result = shell.train(run, "--resume")
    assert result.code == 4 and "seqjepa 9.8.7" in result.output and result.output.count("\n") == 1
    assert contents(run) == before


@pytest.mark.parametrize(
    "write",
    [
        lambda path, malice: path.write_bytes(pickle.dumps(malice)),
        lambda path, malice: torch.save(malice, path),
    ],
    ids=["plain", "zipped"],
)
def test_a_pickle_called_safetensors_does_not_run(
    shell: Shell, run: Path, tmp_path: Path, write: Callable[[Path, Malice], None]
) -> None:
    paths = [run / "checkpoints" / name / "method.safetensors" for name in (NEWEST, OLDER)]
    for path in paths:
        write(path, Malice(tmp_path / "marker"))
        vouch(path.parent)
    result = shell.train(run, "--resume")
    assert result.code == 4 and all(str(path) in result.output for path in paths)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("options", "saved_with", "expected"),
    [
        (
            ["--encoder.width", "8"],
            [],
            [
                "mis-shaped: ",
                "encoder.backbone.conv1.weight (float32 [4, 3, 3, 3], not float32 [8, 3, 3, 3])",
            ],
        ),
        (["--method.layers", "2"], [], ["12 missing: aggregator.layers.1."]),
        ([], ["--method.layers", "2"], ["12 unexpected: aggregator.layers.1."]),
    ],
)
def test_a_checkpoint_of_another_architecture_lists_the_keys(
    shell: Shell, tmp_path: Path, options: list[str], saved_with: list[str], expected: list[str]
) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    stop = partial(sabotage.send_at_step, signal.SIGTERM, 1)
    assert shell.train(run, *options, sabotage=stop).code == 75
    assert shell.train(other, *saved_with, sabotage=stop).code == 75

    shutil.rmtree(run / "checkpoints")
    shutil.copytree(other / "checkpoints", run / "checkpoints")
    before = contents(run)

    result = shell.train(run, *options, "--resume")
    assert result.code == 4 and all(text in result.output for text in expected), result.output
    assert contents(run) == before
