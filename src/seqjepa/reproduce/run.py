"""The experiment behind tables: train and evaluate what is missing, and write the pages."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from seqjepa.benchmark.standings import FAILED, note_failure
from seqjepa.config import to_json
from seqjepa.display import edited, silenced, status
from seqjepa.errors import ConfigError, Interrupted, InUseError, SeqJepaError, Stopped
from seqjepa.evaluation.suite import evaluate_suite
from seqjepa.evaluation.transfer import transfer
from seqjepa.files import LOCK, disk_errors, json_bytes, write_atomically
from seqjepa.report.runs import TRANSFER, read_object
from seqjepa.report.words import duration
from seqjepa.reproduce.jobs import Job, State, part_path, plan, require_startable
from seqjepa.reproduce.layout import Table
from seqjepa.reproduce.page import publish, publish_index
from seqjepa.reproduce.pictures import write_pictures
from seqjepa.reproduce.results import Results
from seqjepa.reproduce.scales import DRAWN, Paths, Scale
from seqjepa.reproduce.tables import find_tables
from seqjepa.runs.folder import RunFolder
from seqjepa.training.loop import train

SETTINGS = "reproduce.json"
STILL_RISING = "probes were still improving"  # begins a warning of `evaluation.evaluate`
Device = str | torch.device | None


@dataclass(frozen=True)
class Outcome:
    """The end of a call.

    Attributes:
        tables: that have been written.
        failures: what ended runs of this process, and parts of their evaluation.
        elsewhere: number of runs that are still with other processes.
        without_data: number of runs whose data were not named.
    """

    tables: tuple[Table, ...]
    failures: tuple[SeqJepaError, ...]
    elsewhere: int
    without_data: int


def open_plan(
    names: Sequence[str], out: Path, scale: Scale, paths: Paths, seeds: int
) -> tuple[list[Table], list[Job]]:
    """Return tables and their runs, after every check that writes nothing.

    Raises:
        ConfigError: if a table is unknown, or the folder holds other things.
    """
    tables = find_tables(names)
    _require_settings(out, scale)
    drawn = {name: str(out.absolute() / name) for name in DRAWN}
    jobs = plan(tables, scale, out, {**paths, **drawn}, seeds)
    require_startable(jobs)
    return tables, jobs


def reproduce(
    names: Sequence[str],
    out: str | Path,
    scale: Scale,
    *,
    paths: Paths | None = None,
    seeds: int = 1,
    device: Device = None,
    quiet: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Train and evaluate the runs of tables, as far as that has not been done, and write pages.

    Each run is a run folder OUT/runs/NAME. OUT/TABLE.md is written again after each of its runs,
    and OUT/index.md lists them all. The same call goes on after an interruption, and several
    processes share the work.

    Args:
        names: of tables, or `all`.
        out: the folder of it all.
        scale: how large the runs are.
        paths: of data, by the name of their option; runs without theirs are left out.
        seeds: number of seeds, from 0 on.
        device: default: CUDA where there is one, else the CPU.
        quiet: no progress on the terminal.
        say: called with a line of text when a run has ended.

    Raises:
        ConfigError: before anything is written.
        Stopped, Interrupted: at SIGTERM or SIGINT, with the state saved.
    """
    out = Path(out)
    tables, jobs = open_plan(names, out, scale, paths or {}, seeds)
    with disk_errors(f"cannot write to {out}"):
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / SETTINGS, json_bytes(_settings(scale)))
    with silenced(quiet):
        _draw_pictures(tables, scale, out)

    failures: dict[Job, list[SeqJepaError]] = {}
    results = Results(scale, out, seeds)
    for number, job in enumerate(jobs, 1):
        before = job.state
        ended, failures[job] = _end(job, before, device=device, quiet=quiet)
        say(f"{number}/{len(jobs)} {job}: {ended}")
        # Tables can be read while the next runs go on.
        if before not in ("done", "no data") and number < len(jobs):
            own = [table for table in tables if any(job.run in cell.runs for cell in table.cells)]
            publish(own, jobs, results)

    publish(tables, jobs, results)
    publish_index(tables, jobs, results)
    states = {job: job.state for job in jobs}
    left = [job for job, state in states.items() if state in ("missing", "begun")]
    return Outcome(
        tuple(tables),
        tuple(error for job in jobs for error in failures[job]),
        sum(not failures[job] for job in left),
        list(states.values()).count("no data"),
    )


def _draw_pictures(tables: Sequence[Table], scale: Scale, out: Path) -> None:
    """Draw the pictures that the runs of tables are trained on, if they are."""
    sources = {source for table in tables for cell in table.cells for source in cell.sources}
    needed = {scale.sources[source].data for source in sources}
    for name in DRAWN:
        if name in needed:
            write_pictures(out, name)


def _end(job: Job, state: State, *, device: Device, quiet: bool) -> tuple[str, list[SeqJepaError]]:
    """Bring a run to its end; return its outcome in words, and the errors."""
    if state == "done":
        return "already done", []
    if state == "no data":
        return f"left out, name its data: {' '.join(job.options)}", []

    began = time.perf_counter()
    try:
        failed = _complete(job, device=device, quiet=quiet)
    except InUseError:
        return "left to the process that is at it", []
    except (Stopped, Interrupted):
        raise
    except KeyboardInterrupt:
        # Training answers a signal itself; this one came before or after it.
        raise Interrupted(f"stopped at {job}: what was trained is saved, run it again") from None
    except SeqJepaError as error:
        # The other runs go on.
        note_failure(job.folder, job.experiment, str(error))
        ended = f"failed after {duration(time.perf_counter() - began)}: {error}"
        return ended, [type(error)(f"{job}: {error}")]

    ended = f"done in {duration(time.perf_counter() - began)}"
    texts = [f"no {part}: {error}" for part, error in failed.items()]
    if options := job.options:
        texts.append(f"for the rest name its data: {' '.join(options)}")
    named = [type(error)(f"{job}, {part}: {error}") for part, error in failed.items()]
    return "; ".join([ended, *texts]), named


def _complete(job: Job, *, device: Device, quiet: bool) -> dict[str, SeqJepaError]:
    """Train and evaluate a run, as far as that has not been done; return the parts that failed."""

    def told(message: str) -> str | None:
        # At the tiny scale no probe converges, which its pages say.
        return None if message.startswith(STILL_RISING) else message

    if not job.trained:
        train(job.experiment, job.folder, resume=True, device=device, quiet=quiet)

    # With the folder open, no other process evaluates the run meanwhile.
    failed: dict[str, SeqJepaError] = {}
    with RunFolder.open(job.folder, to_json(job.experiment), resume=True):
        if job.missing_parts:
            with edited(told), silenced(quiet), status(f"{job}: evaluating ..."):
                failed |= _ask(job, device)
        note = job.folder / FAILED
        with disk_errors(f"cannot remove {note}"):
            note.unlink(missing_ok=True)
    return failed


def _ask(job: Job, device: Device) -> dict[str, SeqJepaError]:
    """Ask a trained run what is missing, as far as data are named; return the parts that failed."""
    unnamed = dict(job.unnamed)
    parts = [part for part in job.missing_parts if part not in unnamed]
    others = {part: other for part, other in job.others if part in parts}
    failed: dict[str, SeqJepaError] = {}
    if own := [part for part in parts if part not in others]:
        paths = dict(job.where)
        outcomes = evaluate_suite(job.folder, own, device=device, progress=False, paths=paths)
        failed |= {each.name: each.error for each in outcomes if each.error is not None}

    for part, other in others.items():
        # Under this name nothing else is kept: what is there is damaged, or of other settings.
        path = part_path(job.folder, part)
        with disk_errors(f"cannot remove {path}"):
            path.unlink(missing_ok=True)
        try:
            transfer(
                job.folder,
                other.world,
                name=part.removeprefix(TRANSFER),
                config=other.evaluate,
                progress=False,
                device=device,
            )
        except SeqJepaError as error:
            failed[part] = error
    return failed


def _settings(scale: Scale) -> dict[str, object]:
    """Return the settings that all runs of a folder share, as JSON data."""
    return {"scale": scale.name, "changes": dict(scale.changes)}


def _require_settings(out: Path, scale: Scale) -> None:
    """Raise a ConfigError if the folder holds other things, or runs of other settings."""
    if not out.exists():
        return
    if not out.is_dir():
        raise ConfigError(f"{out} is a file: choose another --out")

    note, own = out / SETTINGS, _settings(scale)
    if not note.exists():
        if others := sorted(path.name for path in out.iterdir() if path.name != LOCK):
            raise ConfigError(
                f"{out} holds {others[0]} and no {SETTINGS}: choose another --out, or an empty one"
            )
        return

    found = read_object(note)
    if changed := [name for name in own if found.get(name) != own[name]]:
        name = changed[0]
        raise ConfigError(
            f"{out} was made with {name} {found.get(name)}, now it is {own[name]}: "
            "choose another --out, or the options of before"
        )
