"""Rows 1 and 2 of the fault catalogue: kill -9 at any moment, then --resume.

The run ends in the same bits, leaves no litter and does at most one interval again.
"""

import random
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from faults import sabotage
from faults.harness import TINY, Shell, digest, files, logged, metrics, steps

INTERVAL = 4  # the tiny recipe's checkpoint_every


def assert_as_if_nothing_had_happened(run: Path, reference: Path) -> None:
    assert digest(run) == digest(reference)
    assert metrics(run) == metrics(reference)
    assert files(run) == files(reference)


@pytest.mark.slow
def test_killed_30_times_at_random_moments(shell: Shell, reference: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    assert shell.train(tmp_path / "timed").code == 0
    whole = time.monotonic() - began

    chance, kills, runs = random.Random(0), 0, 0
    while kills < 30:
        run, code = tmp_path / f"run_{runs}", -1
        runs += 1

        # Killed again and again, until it comes to its end.
        while code != 0:
            child = shell.start("train", TINY, "--run-dir", run, "--resume")
            child.process.join(chance.uniform(0.1, 1.1) * whole)
            if child.process.is_alive():
                child.process.kill()
                kills += 1
            result = child.wait()
            code = result.code
            assert code in (0, -9) and "warning" not in result.output, result.output
            assert logged(run) - max(steps(run), default=0) <= INTERVAL
        assert_as_if_nothing_had_happened(run, reference)


WRITES = ("after temporary file", "before rename", "after rename")
# config.json and world.json come before the first checkpoint. Each checkpoint is four files of
# tensors, the state and the manifest.
FIRST_SAVE, FILES = 3, 6


@pytest.mark.parametrize(
    ("moment", "occurrence"),
    [
        *[(moment, 1) for moment in WRITES],
        *[(moment, FIRST_SAVE) for moment in WRITES],
        *[(moment, FIRST_SAVE + FILES - 1) for moment in WRITES],
        *[(moment, FIRST_SAVE + FILES + 2) for moment in WRITES],
        *[(moment, FIRST_SAVE + 3 * FILES - 1) for moment in WRITES],
        *[("before manifest", save) for save in (1, 2, 3)],
        ("while removing the old one", 1),
    ],
)
def test_killed_inside_a_save(
    shell: Shell, reference: Path, tmp_path: Path, moment: str, occurrence: int
) -> None:
    run, kill = tmp_path / "run", partial(sabotage.kill_at_moment, moment, occurrence)
    killed = shell.train(run, sabotage=kill)
    assert killed.code == -9, killed.output
    assert logged(run) - max(steps(run), default=0) <= INTERVAL

    resumed = shell.train(run, "--resume")
    assert resumed.code == 0 and "warning" not in resumed.output, resumed.output
    assert_as_if_nothing_had_happened(run, reference)


@pytest.mark.slow
def test_killed_as_a_user_would_run_it(reference: Path, tmp_path: Path) -> None:
    """Do without the server that all other tests fork their commands from."""
    run = tmp_path / "run"
    options = ["--run-dir", str(run), "--resume"]
    command = [sys.executable, "-m", "seqjepa.cli", "train", TINY, *options]

    first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while logged(run) < 5 and time.monotonic() < until:
        time.sleep(0.005)
    first.kill()
    assert first.wait(120) == -9

    second = subprocess.run(command, timeout=120, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert_as_if_nothing_had_happened(run, reference)
