"""A benchmark: contenders trained and evaluated with several seeds, and all of their results in one
table and figure.

Each run has a folder of its own in the benchmark's; whoever is killed goes on there, and several
processes share the work."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from seqjepa.benchmark.jobs import Job, plan, refuse, refuse_changed_data
from seqjepa.benchmark.standings import FAILED, note_failure, publish
from seqjepa.config import Experiment, to_json
from seqjepa.errors import CollapseError, DiskError, Interrupted, InUseError, NonFiniteError
from seqjepa.evaluation.evaluate import evaluate
from seqjepa.report.benchmark.table import Table
from seqjepa.report.headline import duration
from seqjepa.runs.folder import RunFolder
from seqjepa.training.loop import train

__all__ = ["Outcome", "benchmark"]


@dataclass(frozen=True)
class Outcome:
    """How a benchmark ended.

    Attributes:
        table: of all results in the benchmark's folder.
        failures: what ended runs here: NaN, infinities, or collapse where that was to end them.
        elsewhere: how many runs are still with other processes.
    """

    table: Table
    failures: tuple[NonFiniteError | CollapseError, ...]
    elsewhere: int


def benchmark(
    experiment: Experiment,
    contenders: Sequence[str],
    out: str | Path,
    *,
    seeds: int = 1,
    resume: bool = False,
    fail_on_collapse: bool = False,
    device: str | torch.device | None = None,
    quiet: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Train and evaluate every contender with every seed, or what is left of that, and write the
    table of all results.

    Runs go seed by seed, so that a benchmark that is cut short compares as many contenders as it
    can. The table, `benchmark.md` with `benchmark.json` and `benchmark.png`, is of all results in
    the folder, and written again after each run.

    Args:
        experiment: the recipe that contenders change.
        contenders: as `seqjepa.benchmark.contenders` reads them.
        out: the benchmark's folder.
        seeds: how many, from 0 on.
        resume: go on with the runs that are there, those that failed too, and leave those that
            another process is at to it.
        fail_on_collapse: end a run when its representation collapses, instead of warning.
        device: default: CUDA where there is one, else the CPU.
        quiet: no progress on the terminal.
        say: is told how each run ended.

    Raises:
        ConfigError, DataError: before anything is trained, if a contender, its folder or its data
            do not fit.
        DataError: before a run, if the data have changed since.
        Stopped, Interrupted: at SIGTERM or SIGINT while training, with the state saved.
    """
    folder = Path(out)
    planned = plan(experiment, contenders, folder, seeds)
    refuse(planned, folder, experiment.name, resume=resume, device=device, warn=say)
    failures: dict[int, NonFiniteError | CollapseError] = {}
    for number, job in enumerate(planned, 1):
        began, ended = time.perf_counter(), "already done"
        try:
            if not job.done:
                refuse_changed_data(job, folder, experiment.name)
                _run(job, fail_on_collapse=fail_on_collapse, device=device, quiet=quiet)
                ended = f"done in {duration(time.perf_counter() - began)}"
        except InUseError:
            ended = "left to the process that is at it"
        except (NonFiniteError, CollapseError) as error:
            note_failure(job.folder, job.experiment, str(error))
            failures[number] = type(error)(f"{job}: {error}")
            ended = f"failed after {duration(time.perf_counter() - began)}: {error}"
        except KeyboardInterrupt:
            raise Interrupted(
                f"stopped at {job}: what was trained is saved, go on with --resume"
            ) from None
        say(f"{number}/{len(planned)} {job}: {ended}")
        if ended.startswith(("done", "failed")) and number < len(planned):
            publish(folder, experiment.name)
    elsewhere = sum(not job.done and not (job.folder / FAILED).exists() for job in planned)
    return Outcome(publish(folder, experiment.name, say), tuple(failures.values()), elsewhere)


def _run(
    job: Job, *, fail_on_collapse: bool, device: str | torch.device | None, quiet: bool
) -> None:
    """What is left of a run."""
    train(
        job.experiment,
        job.folder,
        resume=True,
        fail_on_collapse=fail_on_collapse,
        device=device,
        quiet=quiet,
    )
    with RunFolder.open(
        job.folder, to_json(job.experiment), resume=True
    ):  # nobody else evaluates it meanwhile
        if not job.done:
            with Console(stderr=True, quiet=quiet).status(f"{job}: evaluating ..."):
                evaluate(job.folder, device=device, progress=False)
        try:
            (job.folder / FAILED).unlink(missing_ok=True)
        except OSError as error:
            raise DiskError(
                f"cannot remove {job.folder / FAILED}: {error.strerror or error}"
            ) from error
