"""Rows 11 and 12 of the fault catalogue: divergence and collapse.

NaN and infinity stop a run before they do harm; collapse is reported.
"""

import math
import signal
from functools import partial
from pathlib import Path

import pytest

from faults import sabotage
from faults.harness import Shell, digest, metrics, steps

POISONS = {
    "NaN pixel": partial(sabotage.poison_pixel_at_step, math.nan, 7),
    "infinite pixel": partial(sabotage.poison_pixel_at_step, math.inf, 7),
    "NaN gradient": partial(sabotage.poison_gradient_at_step, math.nan, 7),
    "infinite gradient": partial(sabotage.poison_gradient_at_step, -math.inf, 7),
}


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a healthy run that was stopped after step 6."""
    folder = tmp_path_factory.mktemp("six")
    stop = partial(sabotage.send_at_step, signal.SIGTERM, 6)
    assert Shell(folder).train(folder / "run", sabotage=stop).code == 75
    return folder / "run"


@pytest.mark.parametrize("poison", POISONS)
def test_the_state_before_the_poisoned_step_is_saved(
    shell: Shell, reference: Path, six: Path, tmp_path: Path, poison: str
) -> None:
    run = tmp_path / "run"
    result = shell.train(run, sabotage=POISONS[poison])
    assert result.code == 5, result.output
    assert "step 7" in result.output and "Traceback" not in result.output
    assert steps(run)[-1] == 6 and digest(run) == digest(six)
    assert metrics(run) == metrics(reference)[:6]
    assert shell.train(run, "--resume").code == 0
    assert digest(run) == digest(reference)


def test_collapse_is_reported_and_by_default_only_that(shell: Shell, tmp_path: Path) -> None:
    result = shell.train(tmp_path / "run", sabotage=sabotage.constant_encoder)
    assert result.code == 0 and result.output.count("collapsed") == 1, result.output


@pytest.mark.slow
def test_collapse_can_end_the_run_within_200_steps_however_rarely_it_logs(
    shell: Shell, tmp_path: Path
) -> None:
    options = ["--train.steps=300", "--train.log-every=1000", "--train.checkpoint-every=1000"]
    result = shell.train(
        tmp_path / "run", *options, "--fail-on-collapse", sabotage=sabotage.constant_encoder
    )
    assert result.code == 6, result.output
    assert "collapsed" in result.output and "Traceback" not in result.output
    assert steps(tmp_path / "run")[-1] <= 200


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_a_healthy_run_is_never_called_collapsed(shell: Shell, tmp_path: Path, seed: str) -> None:
    options = ["--seed", seed, "--train.steps", "60", "--fail-on-collapse"]
    result = shell.train(tmp_path / "run", *options)
    assert result.code == 0 and "collapsed" not in result.output, result.output
