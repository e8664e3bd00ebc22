"""Row 9 of the fault catalogue: a run that is cut at any step and resumed ends in the same bits."""

import signal
from functools import partial
from pathlib import Path

import pytest

from faults import sabotage
from faults.harness import Shell, digest, metrics, steps

EVERY = ["--train.accumulate=2", "--method.predict=every", "--train.log-every=5"]


@pytest.fixture(scope="module")
def uncut(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the uninterrupted run of each precision."""
    folder = tmp_path_factory.mktemp("uncut")
    for precision in ("fp32", "bf16"):
        assert Shell(folder).train(folder / precision, "--train.precision", precision).code == 0
    assert digest(folder / "fp32") != digest(folder / "bf16")
    return {precision: folder / precision for precision in ("fp32", "bf16")}


@pytest.mark.parametrize("step", range(1, 12))
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_cut_at_every_step(
    shell: Shell, uncut: dict[str, Path], tmp_path: Path, precision: str, step: int
) -> None:
    run, stop = tmp_path / "run", partial(sabotage.send_at_step, signal.SIGTERM, step)
    cut = shell.train(run, "--train.precision", precision, sabotage=stop)
    assert cut.code == 75 and steps(run)[-1] == step

    resumed = shell.train(run, "--train.precision", precision, "--resume")
    assert resumed.code == 0 and "bit-exact" not in resumed.output, resumed.output
    assert digest(run) == digest(uncut[precision]) and metrics(run) == metrics(uncut[precision])


@pytest.mark.slow
def test_cut_after_each_step_with_accumulation_and_means_over_several_steps_in_the_log(
    shell: Shell, tmp_path: Path
) -> None:
    uncut, run = tmp_path / "uncut", tmp_path / "cut"
    assert shell.train(uncut, *EVERY).code == 0

    for step in range(1, 12):
        stop = partial(sabotage.send_at_step, signal.SIGTERM, step)
        cut = shell.train(run, *EVERY, "--resume", sabotage=stop)
        assert cut.code == 75 and steps(run)[-1] == step, cut.output
    assert shell.train(run, *EVERY, "--resume").code == 0

    assert digest(run) == digest(uncut) and metrics(run) == metrics(uncut)
    assert [line["step"] for line in metrics(run)] == [5, 10, 12]


def test_another_number_of_threads_is_warned_of(shell: Shell, tmp_path: Path) -> None:
    run, stop = tmp_path / "run", partial(sabotage.send_at_step, signal.SIGTERM, 5)
    assert shell.train(run, sabotage=stop).code == 75
    result = shell.train(run, "--resume", sabotage=partial(sabotage.threads, 2))
    assert result.code == 0 and "not bit-exact" in result.output, result.output
    assert "threads: 1 there, 2 here" in result.output
