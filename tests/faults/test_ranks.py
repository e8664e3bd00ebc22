"""Row 19 of the fault catalogue, and row 11 on two ranks: several processes train as one.

None outlives another. There are no loader workers: each rank makes its own batches, so "a worker
killed" is a rank killed.
"""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from faults import sabotage
from faults.harness import TINY, Shell, metrics, steps
from seqjepa.runs import checkpoint

SHORT = [
    "--train.steps=4",
    "--train.checkpoint-every=2",
    "--train.precision=fp32",
    "--train.accumulate=2",
]
# Dropout differs from rank to rank, and Adam magnifies rounding.
EXACT = [*SHORT, "--train.batch-size=16", "--method.dropout=0", "--optim.lr=1e-4"]


def digest(run: Path, step: int) -> str:
    """Return the hash of one checkpoint."""
    return checkpoint.digest(checkpoint.committed(run / "checkpoints")[step])


def assert_close(run: Path, other: Path) -> None:
    """Check that two runs' logs agree: losses to 1e-5, other figures to 1e-2.

    Adam moves even a weight whose gradient is mere rounding by lr, so the others agree less.
    """
    lines = list(zip(metrics(run), metrics(other), strict=True))
    assert len(lines) == 4
    for line, expected in lines:
        assert line["loss"] == pytest.approx(expected["loss"], abs=1e-5, rel=0)
        assert line == pytest.approx(expected, abs=1e-2, rel=1e-2)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run of one process."""
    folder = tmp_path_factory.mktemp("alone")
    assert Shell(folder).train(folder / "run", *EXACT).code == 0
    return folder / "run"


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run of two ranks, with dropout, never interrupted."""
    folder = tmp_path_factory.mktemp("together")
    first, second = Shell(folder).train_ranks(folder / "run", *SHORT)
    assert first.code == second.code == 0, first.output + second.output

    # The first rank speaks for all.
    assert "step 4/4" in first.output and first.output.count("done: ") == 1
    assert second.output == ""
    return folder / "run"


@pytest.mark.parametrize("before", [1, 2])
def test_ranks_come_and_go_and_it_is_the_run_of_one_process(
    shell: Shell, alone: Path, tmp_path: Path, before: int
) -> None:
    """Resume from 1 to 2 ranks and from 2 to 1: same samples in the same order, same losses.

    Of two ranks one is told to stop, and both do.
    """
    run, stop = tmp_path / "run", partial(sabotage.send_at_step, signal.SIGTERM, 2)
    if before == 1:
        assert shell.train(run, *EXACT, sabotage=stop).code == 75
        results = shell.train_ranks(run, *EXACT, "--resume")
    else:
        assert [cut.code for cut in shell.train_ranks(run, *EXACT, sabotage={1: stop})] == [75, 75]
        results = [shell.train(run, *EXACT, "--resume")]

    assert [result.code for result in results] == [0] * len(results), results
    assert f"world_size: {before} there, {3 - before} here" in results[0].output
    assert "not bit-exact" in results[0].output
    assert_close(run, alone)


def test_interrupted_on_one_rank_and_resumed_on_two_it_ends_in_the_same_bits(
    shell: Shell, together: Path, tmp_path: Path
) -> None:
    run, stop = tmp_path / "run", partial(sabotage.send_at_step, signal.SIGINT, 3)
    cut = shell.train_ranks(run, *SHORT, sabotage={0: stop})
    assert [result.code for result in cut] == [130, 130], cut
    assert steps(run)[-1] == 3

    resumed = shell.train_ranks(run, *SHORT, "--resume")
    assert [result.code for result in resumed] == [0, 0], resumed
    assert "bit-exact" not in resumed[0].output
    assert digest(run, 4) == digest(together, 4) and metrics(run) == metrics(together)


@pytest.mark.slow
def test_three_ranks_end_in_the_same_bits_too(shell: Shell, tmp_path: Path) -> None:
    """Sums of three numbers depend on their order, sums of two do not."""
    options = (*SHORT, "--train.batch-size=12")
    whole, run = tmp_path / "uncut", tmp_path / "cut"
    stop = {2: partial(sabotage.send_at_step, signal.SIGTERM, 2)}

    uncut = shell.train_ranks(whole, *options, number=3)
    cut = shell.train_ranks(run, *options, number=3, sabotage=stop)
    resumed = shell.train_ranks(run, *options, "--resume", number=3)

    for results, code in ((uncut, 0), (cut, 75), (resumed, 0)):
        assert [result.code for result in results] == [code] * 3, results
    assert digest(run, 4) == digest(whole, 4)


@pytest.mark.parametrize(
    "poison", [sabotage.poison_pixel_at_step, sabotage.poison_gradient_at_step]
)
def test_a_nan_on_one_rank_stops_both_before_it_does_harm(
    shell: Shell, together: Path, tmp_path: Path, poison
) -> None:
    # A gradient is poisoned in a micro-batch; of two a step, the fifth is the third step's.
    run, step = tmp_path / "run", 3 if poison is sabotage.poison_pixel_at_step else 5
    results = shell.train_ranks(run, *SHORT, sabotage={1: partial(poison, float("nan"), step)})

    assert [result.code for result in results] == [5, 5], results
    assert all("at step 3" in result.output for result in results), results
    assert steps(run)[-1] == 2 and digest(run, 2) == digest(together, 2)
    assert metrics(run) == metrics(together)[:2]


@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_killed_ends_the_other(
    shell: Shell, together: Path, tmp_path: Path, victim: int
) -> None:
    run = tmp_path / "run"
    slow = partial(sabotage.slow_step, 600.0, 3)
    children = shell.start_ranks("train", TINY, "--run-dir", run, *SHORT, sabotage={victim: slow})
    children[victim].wait_for(lambda: "slow step 3" in children[victim].output.read_text())
    os.kill(children[victim].pid, signal.SIGKILL)

    survivor = children[1 - victim].wait(60)
    assert survivor.code == 7, survivor
    assert "another of the 2 ranks has ended" in survivor.output
    assert "--resume" in survivor.output and "Traceback" not in survivor.output
    assert steps(run) == [2] and digest(run, 2) == digest(together, 2)


def test_a_stalled_rank_ends_both_within_the_time_out(shell: Shell, tmp_path: Path) -> None:
    run = tmp_path / "run"
    slow = partial(sabotage.slow_step, 5.0, 3)
    first, second = shell.start_ranks(
        "train", TINY, "--run-dir", run, *SHORT, "--rank-timeout", "20", sabotage={1: slow}
    )
    second.wait_for(lambda: "slow step 3" in second.output.read_text())
    os.kill(second.pid, signal.SIGSTOP)

    began = time.monotonic()
    result = first.wait(60)
    assert result.code == 7 and "silent for 20 s" in result.output, result
    assert time.monotonic() - began < 40

    os.kill(second.pid, signal.SIGCONT)
    assert second.wait(60).code == 7


def test_a_rank_that_never_comes(shell: Shell, tmp_path: Path) -> None:
    variables = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    alone = partial(sabotage.environment, **variables)
    result = shell.train(tmp_path / "run", "--rank-timeout", "2", sabotage=alone)
    assert result.code == 7 and "silent for 2 s" in result.output, result
    assert not (tmp_path / "run").exists()


def test_ranks_with_different_configs_or_data(shell: Shell, tmp_path: Path) -> None:
    run = tmp_path / "run"
    other = partial(_with, "--seed", "3")
    for which, message, difference in (
        (other, "configuration than rank 0 (there)", "seed: 0 there, 3 here"),
        (sabotage.other_pixels, "data than rank 0 (there)", "train.views: "),
    ):
        results = shell.train_ranks(run, *SHORT, sabotage={1: which})
        assert [result.code for result in results] == [2, 2], results
        assert all(message in result.output for result in results), results
        assert difference in results[0].output
        assert not run.exists()


def test_what_several_ranks_cannot_do_is_said(shell: Shell, tmp_path: Path) -> None:
    run, as_rank = tmp_path / "run", partial(sabotage.environment, RANK="0", WORLD_SIZE="2")

    uneven = shell.train_ranks(run, *SHORT, "--train.batch-size", "10")
    assert [result.code for result in uneven] == [2, 2]
    assert "error: rank 1: train.batch_size" in uneven[1].output
    assert "a multiple of train.accumulate x ranks = 2 x 2, got 10" in uneven[1].output

    lost = shell.train(run, sabotage=as_rank)
    assert lost.code == 2 and "MASTER_ADDR" in lost.output and "start with torchrun" in lost.output

    other = shell.run("evaluate", run, sabotage=as_rank)
    assert other.code == 2 and "start `seqjepa evaluate` without torchrun" in other.output

    hasty = shell.train(run, "--rank-timeout", "0")
    assert hasty.code == 2 and "--rank-timeout must be positive, got 0" in hasty.output
    assert not run.exists()


@pytest.mark.slow
def test_torchrun(alone: Path, tmp_path: Path) -> None:
    """Train with the real launcher."""
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    command = ("-m", "seqjepa.cli", "train", TINY, "--run-dir", str(tmp_path / "run"), *EXACT)
    done = subprocess.run([*launcher, *command], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0 and done.stdout.count("done: ") == 1, done.stderr
    assert_close(tmp_path / "run", alone)


def _with(*arguments: str) -> None:
    """Give this rank's command more arguments than the others'."""
    from seqjepa import cli

    original = cli.main
    cli.main = lambda given: original([*given, *arguments])
