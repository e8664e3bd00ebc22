"""Row 19 of the fault catalogue, and row 11 on two ranks: several processes train as one, and none
outlives another.

There are no loader workers: each rank makes its own batches, so "a worker killed" is a rank killed.
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
    "--train.steps",
    "4",
    "--train.checkpoint-every",
    "2",
    "--train.precision",
    "fp32",
    "--train.accumulate",
    "2",
]
# Dropout differs from rank to rank, and Adam magnifies rounding.
EXACT = [*SHORT, *["--train.batch-size", "16", "--method.dropout", "0", "--optim.lr", "1e-4"]]


def digest(run: Path, step: int) -> str:
    """Of one checkpoint."""
    return checkpoint.digest(checkpoint.committed(run / "checkpoints")[step])


def assert_close(run: Path, other: Path) -> None:
    """The losses are the same to 1e-5. The others less: Adam moves by lr even what has a gradient
    by rounding only."""
    lines = list(zip(metrics(run), metrics(other), strict=True))
    assert len(lines) == 4
    for mine, theirs in lines:
        assert mine["loss"] == pytest.approx(theirs["loss"], abs=1e-5, rel=0)
        assert mine == pytest.approx(theirs, abs=1e-2, rel=1e-2)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    folder = tmp_path_factory.mktemp("alone")
    assert Shell(folder).train(folder / "run", *EXACT).code == 0
    return folder / "run"


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of two ranks, with dropout, never interrupted."""
    folder = tmp_path_factory.mktemp("together")
    first, second = Shell(folder).train_ranks(folder / "run", *SHORT)
    assert first.code == second.code == 0, first.output + second.output
    assert (
        "step 4/4" in first.output and first.output.count("done: ") == 1 and second.output == ""
    ), "the first speaks for all"
    return folder / "run"


@pytest.mark.parametrize("before", [1, 2])
def test_ranks_come_and_go_and_it_is_the_run_of_one_process(
    shell: Shell, alone: Path, tmp_path: Path, before: int
) -> None:
    """1 -> 2 and 2 -> 1 ranks on resume; of two ranks one is told to stop, and both do. Same
    samples in the same order, same losses."""
    run, stop = tmp_path / "run", partial(sabotage.send_at_step, signal.SIGTERM, 2)
    if before == 1:
        assert shell.train(run, *EXACT, sabotage=stop).code == 75
        results = shell.train_ranks(run, *EXACT, "--resume")
    else:
        assert [cut.code for cut in shell.train_ranks(run, *EXACT, sabotage={1: stop})] == [75, 75]
        results = [shell.train(run, *EXACT, "--resume")]
    assert [result.code for result in results] == [0] * len(results), results
    assert (
        f"world_size: {before} there, {3 - before} here" in results[0].output
        and "not bit-exact" in results[0].output
    )
    assert_close(run, alone)


def test_interrupted_on_one_rank_and_resumed_on_two_it_ends_in_the_same_bits(
    shell: Shell, together: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    cut = shell.train_ranks(
        run, *SHORT, sabotage={0: partial(sabotage.send_at_step, signal.SIGINT, 3)}
    )
    assert [result.code for result in cut] == [130, 130] and steps(run)[-1] == 3, cut
    resumed = shell.train_ranks(run, *SHORT, "--resume")
    assert [result.code for result in resumed] == [0, 0] and "bit-exact" not in resumed[0].output, (
        resumed
    )
    assert digest(run, 4) == digest(together, 4) and metrics(run) == metrics(together)


@pytest.mark.slow
def test_three_ranks_end_in_the_same_bits_too(shell: Shell, tmp_path: Path) -> None:
    """A sum of three depends on its order, one of two does not."""
    options = (*SHORT, "--train.batch-size", "12")
    uncut = shell.train_ranks(tmp_path / "uncut", *options, number=3)
    cut = shell.train_ranks(
        tmp_path / "cut",
        *options,
        number=3,
        sabotage={2: partial(sabotage.send_at_step, signal.SIGTERM, 2)},
    )
    resumed = shell.train_ranks(tmp_path / "cut", *options, "--resume", number=3)
    assert [[result.code for result in results] for results in (uncut, cut, resumed)] == [
        [0] * 3,
        [75] * 3,
        [0] * 3,
    ]
    assert digest(tmp_path / "cut", 4) == digest(tmp_path / "uncut", 4)


@pytest.mark.parametrize(
    "poison", [sabotage.poison_pixel_at_step, sabotage.poison_gradient_at_step]
)
def test_a_nan_on_one_rank_stops_both_before_it_does_harm(
    shell: Shell, together: Path, tmp_path: Path, poison
) -> None:
    run = tmp_path / "run"
    step = (
        3 if poison is sabotage.poison_pixel_at_step else 5
    )  # of two micro-batches a step, the fifth is the third step's
    results = shell.train_ranks(run, *SHORT, sabotage={1: partial(poison, float("nan"), step)})
    assert [result.code for result in results] == [5, 5] and all(
        "at step 3" in result.output for result in results
    ), results
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
    assert (
        survivor.code == 7
        and "another of the 2 ranks has ended" in survivor.output
        and "--resume" in survivor.output
    ), survivor
    assert (
        "Traceback" not in survivor.output
        and steps(run) == [2]
        and digest(run, 2) == digest(together, 2)
    )


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
    assert (
        result.code == 7 and "silent for 20 s" in result.output and time.monotonic() - began < 40
    ), result
    os.kill(second.pid, signal.SIGCONT)
    assert second.wait(60).code == 7


def test_a_rank_that_never_comes(shell: Shell, tmp_path: Path) -> None:
    alone = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    result = shell.train(
        tmp_path / "run", "--rank-timeout", "2", sabotage=partial(sabotage.environment, **alone)
    )
    assert (
        result.code == 7 and "silent for 2 s" in result.output and not (tmp_path / "run").exists()
    ), result


def test_ranks_with_different_configs_or_data(shell: Shell, tmp_path: Path) -> None:
    run = tmp_path / "run"
    other = partial(_with, "--seed", "3")
    for which, message in (
        (other, "configuration than rank 0 (there)"),
        (sabotage.other_pixels, "data than rank 0 (there)"),
    ):
        results = shell.train_ranks(run, *SHORT, sabotage={1: which})
        assert [result.code for result in results] == [2, 2] and all(
            message in result.output for result in results
        ), results
        assert ("seed: 0 there, 3 here" if which is other else "train.views: ") in results[0].output
        assert not run.exists()


def test_what_several_ranks_cannot_do_is_said(shell: Shell, tmp_path: Path) -> None:
    uneven = shell.train_ranks(tmp_path / "run", *SHORT, "--train.batch-size", "10")
    assert [result.code for result in uneven] == [2, 2]
    assert (
        "error: rank 1: train.batch_size" in uneven[1].output
        and "a multiple of train.accumulate x ranks = 2 x 2, got 10" in uneven[1].output
    )
    lost = shell.train(
        tmp_path / "run", sabotage=partial(sabotage.environment, RANK="0", WORLD_SIZE="2")
    )
    assert lost.code == 2 and "MASTER_ADDR" in lost.output and "start with torchrun" in lost.output
    other = shell.run(
        "evaluate",
        tmp_path / "run",
        sabotage=partial(sabotage.environment, RANK="0", WORLD_SIZE="2"),
    )
    assert other.code == 2 and "start `seqjepa evaluate` without torchrun" in other.output
    hasty = shell.train(tmp_path / "run", "--rank-timeout", "0")
    assert hasty.code == 2 and "--rank-timeout must be positive, got 0" in hasty.output
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_torchrun(alone: Path, tmp_path: Path) -> None:
    """The real launcher."""
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "seqjepa.cli",
        "train",
        TINY,
    ]
    done = subprocess.run(
        [*launch, "--run-dir", tmp_path / "run", *EXACT],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0 and done.stdout.count("done: ") == 1, done.stderr
    assert_close(tmp_path / "run", alone)


def _with(*arguments: str) -> None:
    """More arguments to this rank's command than to the others'."""
    from seqjepa import cli

    original = cli.main
    cli.main = lambda given: original([*given, *arguments])
