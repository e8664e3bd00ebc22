"""Row 3 of the fault catalogue: SIGTERM and SIGINT lose nothing."""

import os
import random
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from faults import sabotage
from faults.harness import TINY, Shell, digest, logged, metrics, steps


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
@pytest.mark.parametrize("seed", range(3))
def test_a_signal_saves_at_the_end_of_the_step(
    shell: Shell, reference: Path, tmp_path: Path, number: int, code: int, seed: int
) -> None:
    run, step = tmp_path / "run", random.Random(f"{number} {seed}").randrange(1, 10)

    # On a busy machine the signal would come after the last step but for the pause.
    pause = partial(sabotage.slow_step, 2.0, 10)
    child = shell.start("train", TINY, "--run-dir", run, sabotage=pause)
    child.wait_for(lambda: logged(run) >= step)
    os.kill(child.pid, number)

    result = child.wait()
    assert result.code == code, result.output
    assert steps(run)[-1] == logged(run) < 12
    assert f"saved at step {logged(run)}" in result.output
    assert "--resume" in result.output and "Traceback" not in result.output

    assert shell.train(run, "--resume").code == 0
    assert digest(run) == digest(reference) and metrics(run) == metrics(reference)


def test_a_second_interrupt_stops_at_once(shell: Shell, reference: Path, tmp_path: Path) -> None:
    run, slow = tmp_path / "run", partial(sabotage.slow_step, 600.0, 6)
    child = shell.start("train", TINY, "--run-dir", run, sabotage=slow)
    child.wait_for(lambda: "slow step 6" in child.output.read_text())

    # The first interrupt waits for the end of the step.
    os.kill(child.pid, signal.SIGINT)
    time.sleep(0.3)
    assert child.process.is_alive()

    os.kill(child.pid, signal.SIGINT)
    result = child.wait(30)
    assert result.code == 130 and "Traceback" not in result.output
    assert steps(run) == [4]

    assert shell.train(run, "--resume").code == 0
    assert digest(run) == digest(reference) and metrics(run) == metrics(reference)
