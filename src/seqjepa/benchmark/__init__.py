"""A benchmark: contenders trained and evaluated with several seeds, and a table of all results.

Each run has its own folder in the benchmark's. A killed run resumes there; several processes may
share the work.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from seqjepa.benchmark.jobs import Job, plan, require_startable, require_unchanged_data
from seqjepa.benchmark.standings import FAILED, note_failure
from seqjepa.benchmark.summary import publish
from seqjepa.config import Experiment, to_json
from seqjepa.display import edited, silenced, status
from seqjepa.errors import CollapseError, Interrupted, InUseError, NonFiniteError
from seqjepa.evaluation.evaluate import evaluate
from seqjepa.files import disk_errors
from seqjepa.report.benchmark.table import BenchmarkTable
from seqjepa.report.words import duration
from seqjepa.runs.folder import RunFolder
from seqjepa.training.loop import train

__all__ = ["Outcome", "benchmark"]


@dataclass(frozen=True)
class Outcome:
    """The end of a benchmark.

    Attributes:
        table: of all results in the benchmark's folder.
        failures: what ended runs of this process: NaN, infinities, or collapse with
            `fail_on_collapse`.
        elsewhere: number of runs that are still with other processes.
    """

    table: BenchmarkTable
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
    """Train and evaluate every contender with every seed, and write the table of all results.

    Runs go seed by seed, so that a benchmark that is cut short compares as many contenders as it
    can. The table, `benchmark.md` with `benchmark.json` and figures, is of all results in the
    folder, and written again after each run (`summary.publish`).

    Args:
        experiment: the recipe that contenders change.
        contenders: as `seqjepa.benchmark.contenders` reads them.
        out: the benchmark's folder.
        seeds: number of seeds, from 0 on.
        resume: go on with existing runs, those that failed too; runs of other processes are left
            to them.
        fail_on_collapse: end a run when its representation collapses, instead of warning.
        device: default: CUDA where there is one, else the CPU.
        quiet: no progress on the terminal.
        say: called with a line of text when a run has ended.

    Raises:
        ConfigError, DataError: before anything is trained, if a contender, its folder or its data
            do not fit.
        DataError: before a run, if the data have changed since.
        Stopped, Interrupted: at SIGTERM or SIGINT while training, with the state saved.
    """
    folder = Path(out)
    planned = plan(experiment, contenders, folder, seeds)
    require_startable(planned, folder, experiment.name, resume=resume, device=device, warn=say)

    failures: list[NonFiniteError | CollapseError] = []
    for number, job in enumerate(planned, 1):
        began = time.perf_counter()
        has_new_result = True
        try:
            if job.done:
                ended, has_new_result = "already done", False
            else:
                require_unchanged_data(job, folder, experiment.name)
                _complete(job, fail_on_collapse=fail_on_collapse, device=device, quiet=quiet)
                ended = f"done in {duration(time.perf_counter() - began)}"
        except InUseError:
            ended, has_new_result = "left to the process that is at it", False
        except (NonFiniteError, CollapseError) as error:
            # The other contenders go on.
            note_failure(job.folder, job.experiment, str(error))
            failures.append(type(error)(f"{job}: {error}"))
            ended = f"failed after {duration(time.perf_counter() - began)}: {error}"
        except KeyboardInterrupt:
            # Training answers a signal itself; this one came before or after it.
            raise Interrupted(
                f"stopped at {job}: what was trained is saved, go on with --resume"
            ) from None

        say(f"{number}/{len(planned)} {job}: {ended}")
        # The table can be read while the next runs go on; the last one is written below.
        if has_new_result and number < len(planned):
            publish(folder, experiment.name)

    elsewhere = sum(not job.done and not (job.folder / FAILED).exists() for job in planned)
    return Outcome(publish(folder, experiment.name, say), tuple(failures), elsewhere)


def _complete(
    job: Job, *, fail_on_collapse: bool, device: str | torch.device | None, quiet: bool
) -> None:
    """Train and evaluate a run, as far as that has not been done."""

    def told(message: str) -> str:
        # The option has another name in a benchmark.
        return f"{job}: {message}".replace("--max-steps", "--evaluate.max-steps")

    train(
        job.experiment,
        job.folder,
        resume=True,
        fail_on_collapse=fail_on_collapse,
        device=device,
        quiet=quiet,
    )

    # With the folder open, no other process evaluates the run meanwhile.
    with RunFolder.open(job.folder, to_json(job.experiment), resume=True):
        if not job.done:
            with edited(told), silenced(quiet), status(f"{job}: evaluating ..."):
                evaluate(job.folder, device=device, progress=False)
        failed = job.folder / FAILED
        with disk_errors(f"cannot remove {failed}"):
            failed.unlink(missing_ok=True)
