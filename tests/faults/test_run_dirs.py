"""Rows 4, 5 and 22 of the fault catalogue: run folders, full disks and the environment.

A run folder may be unusable, in use or another run's.
"""

import os
import shutil
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from faults import sabotage
from faults.harness import TINY, Shell, contents, digest, logged, metrics, steps


def test_a_file_in_the_way(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("own")
    result = shell.train(path)
    assert result.code == 2 and str(path) in result.output and "--run-dir" in result.output
    assert result.output.count("\n") == 1
    assert path.read_text() == "own"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_folder_that_nobody_can_write_to(shell: Shell) -> None:
    result = shell.train(Path("/proc/run"))
    assert result.code == 2 and "/proc/run" in result.output and result.output.count("\n") == 1


def test_missing_parents_are_made(shell: Shell, reference: Path, tmp_path: Path) -> None:
    assert shell.train(tmp_path / "a" / "b" / "c").code == 0
    assert digest(tmp_path / "a" / "b" / "c") == digest(reference)


def test_the_second_of_two_writers_is_refused_and_a_dead_ones_folder_taken_over(
    shell: Shell, reference: Path, tmp_path: Path
) -> None:
    run, slow = tmp_path / "run", partial(sabotage.slow_step, 600.0, 6)
    first = shell.start("train", TINY, "--run-dir", run, sabotage=slow)
    first.wait_for(lambda: logged(run) == 5)
    before = contents(run)

    second = shell.train(run, "--resume")
    assert second.code == 2 and str(first.pid) in second.output and second.output.count("\n") == 1
    assert contents(run) == before

    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert (run / "lock").exists()
    assert shell.train(run, "--resume").code == 0
    assert digest(run) == digest(reference) and not (run / "lock").exists()


@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_another_config_is_refused_with_its_keys(
    shell: Shell, reference: Path, resume: list[str]
) -> None:
    before = contents(reference)
    result = shell.train(reference, "--seed", "3", "--encoder.width", "8", *resume)
    assert result.code == 2, result.output
    assert "seed: 0 there, 3 here" in result.output
    assert "encoder.width: 4 there, 8 here" in result.output
    assert contents(reference) == before


def test_a_finished_run_is_not_begun_again(shell: Shell, reference: Path) -> None:
    before = contents(reference)
    refused = shell.train(reference)
    assert refused.code == 2 and "step 12" in refused.output and "--resume" in refused.output
    assert shell.train(reference, "--resume").code == 0
    assert contents(reference) == before


def test_a_full_disk_during_a_save(shell: Shell, reference: Path, tmp_path: Path) -> None:
    # The eleventh file is within the second checkpoint.
    run, full = tmp_path / "run", partial(sabotage.full_disk_at_moment, "after temporary file", 11)
    result = shell.train(run, sabotage=full)
    assert result.code == 74, result.output
    assert "step_00000008" in result.output and "bytes" in result.output
    assert "Traceback" not in result.output

    assert steps(run) == [4]
    assert shell.train(run, "--resume").code == 0
    assert digest(run) == digest(reference)


def test_a_disk_full_for_the_log_only(shell: Shell, reference: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = shell.train(run, sabotage=partial(sabotage.full_log, 700))
    assert result.code == 0 and result.output.count("warning") == 1, result.output
    assert "metrics.jsonl" in result.output
    assert digest(run) == digest(reference)
    assert 0 < len(metrics(run)) < 12 and metrics(run) == metrics(reference)[: len(metrics(run))]


def test_nothing_of_the_environment_gets_in(shell: Shell, tmp_path: Path) -> None:
    home, run = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    recipe = shutil.copy(TINY, home / "tiny.py")
    planted = partial(sabotage.environment, HOME=str(home), TOKEN="planted-secret")
    result = shell.run("train", recipe, "--run-dir", run, sabotage=planted)
    assert result.code == 0, result.output

    everything = b"".join(contents(run).values())
    assert b"planted-secret" not in everything and str(home).encode() not in everything
