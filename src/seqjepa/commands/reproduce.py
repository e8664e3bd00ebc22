"""`seqjepa reproduce TABLE ...`: the whole experiment behind a table of the paper."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from seqjepa.commands.options import parse
from seqjepa.devices import find_device
from seqjepa.errors import ConfigError, DataError
from seqjepa.report.words import amount, duration
from seqjepa.reproduce.plan import Entry, entries
from seqjepa.reproduce.run import open_plan, reproduce
from seqjepa.reproduce.scales import SCALES, Scale
from seqjepa.worlds.images.base import find_source
from seqjepa.worlds.saccades import Config as Saccades
from seqjepa.worlds.threediebench import open_store

WIDTH = 160  # of the plan where it goes into a file


@dataclass(frozen=True, kw_only=True)
class ReproduceOptions:
    """Train and evaluate what tables and figures of the paper need, and write them beside ours.

    TABLE is table1 to table12, figure6 to figure11, figure15, or all.

    Each run has its folder in OUT/runs, and tables share runs. OUT/TABLE.md has ours beside the
    published figures, OUT/index.md lists everything. The same command goes on after an
    interruption. Several processes with the same OUT share the work.
    """

    tables: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Tables and figures of the paper."""
    scale: Literal["paper", "tiny"] = "paper"
    """paper: the paper's setting. tiny: minutes, for a look, on drawn pictures."""
    plan: bool = False
    """Only print the runs, how long they will take here, and the data they need."""
    out: Path | None = None
    """Folder of it all; default runs/reproduce_SCALE."""
    seeds: int = 1
    """Number of runs of each kind, with seeds from 0 on."""
    steps: int | None = None
    """Optimizer steps of each run of --scale tiny, 100 by default."""
    threediebench: Path | None = None
    """3DIEBench, as published or packed."""
    threediebench_ood: Path | None = None
    """3DIEBench-OOD, for table 9."""
    cifar100: Path | None = None
    """CIFAR-100, as published."""
    tiny_imagenet: Path | None = None
    """Tiny ImageNet, as published."""
    stl10: Path | None = None
    """STL-10, as published."""
    stl10_saliency: Path | None = None
    """Published saliency maps of STL-10; without, the built-in saliency is used."""
    imagenet: Path | None = None
    """ImageNet-1k, as published, for figure 15."""
    imagenet_saliency: Path | None = None
    """Published saliency maps of ImageNet; without, the built-in saliency is used."""
    device: str | None = None
    """cpu, cuda, cuda:1 ...; default: CUDA where there is one."""


DATA = ("threediebench", "threediebench_ood", "cifar100", "tiny_imagenet", "stl10", "imagenet")
SALIENCY = ("stl10_saliency", "imagenet_saliency")


def main(arguments: list[str]) -> None:
    """Parse, run, and print what became of each run."""
    options = parse(ReproduceOptions, arguments, prog="seqjepa reproduce")
    scale = _scale(options)
    paths = require_data(options)
    out = options.out or Path("runs") / f"reproduce_{scale.name}"
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    if options.plan:
        _print_plan(options, out, scale, paths, console)
        return

    outcome = reproduce(
        options.tables,
        out,
        scale,
        paths=paths,
        seeds=options.seeds,
        device=options.device,
        quiet=not sys.stderr.isatty(),
        say=lambda text: console.print(Text(text), soft_wrap=True),
    )
    done = f"done: {out / 'index.md'}"
    if outcome.without_data:
        done += f"; runs without data: {outcome.without_data}"
    if outcome.elsewhere:
        done += f"; runs still with other processes: {outcome.elsewhere}. "
        done += "The one that ends last writes the whole tables"
    sys.stdout.write(f"{done}\n")

    # The first failure sets the exit code, but only after the tables.
    if outcome.failures:
        first, number = outcome.failures[0], len(outcome.failures)
        raise type(first)(f"{number} failed: {first}" if number > 1 else str(first))


def _scale(options: ReproduceOptions) -> Scale:
    """Return the scale that the options ask for."""
    scale = SCALES[options.scale]
    named = [name for name in (*DATA, *SALIENCY) if getattr(options, name) is not None]
    if options.scale == "tiny" and named:
        raise ConfigError(
            f"--scale tiny draws its own data: leave out --{named[0].replace('_', '-')}, "
            "or --scale paper"
        )
    if options.steps is None:
        return scale
    if options.scale == "paper":
        raise ConfigError("--steps is for --scale tiny: the paper's numbers of steps are fixed")
    return replace(scale, changes={**scale.changes, "train.steps": options.steps})


def require_data(options: ReproduceOptions) -> dict[str, str]:
    """Return the paths of the data that are named, by option.

    Raises:
        ConfigError, DataError: if something is not there, or of another format.
    """
    found = {}
    for field in fields(options):
        path = getattr(options, field.name)
        if field.name not in (*DATA, *SALIENCY) or path is None:
            continue
        option, place = f"--{field.name.replace('_', '-')}", Path(path).expanduser()
        if not place.exists():
            raise DataError(f"{option}: there is no {place}")
        _require_format(field.name, option, place)
        found[field.name] = str(place)
    return found


def _require_format(name: str, option: str, place: Path) -> None:
    """Raise an error if data are in another format than their option's."""
    if name.startswith("threediebench"):
        try:
            open_store(str(place), option, unlisted=name.endswith("ood"))
        except DataError as error:
            raise DataError(f"{option}: {error}") from error
        return
    if name in SALIENCY:
        report = Saccades.inspect(place)
        if report is None:
            raise DataError(f"{option}: {place} holds no saliency maps")
        return
    source = find_source(name)
    if not source.recognises(source.locate(place)):
        raise DataError(
            f"{option}: {place} is not {source.title} as published; "
            f"`seqjepa data check {place}` says what it is"
        )


def _print_plan(
    options: ReproduceOptions, out: Path, scale: Scale, paths: Mapping[str, str], console: Console
) -> None:
    """Print the runs, their states and times, and the data that are needed."""
    tables, jobs = open_plan(options.tables, out, scale, paths, options.seeds)
    device = find_device(options.device)
    planned = entries(jobs, scale, device)

    drawn = Table(title=Text(f"{len(jobs)} runs, --scale {scale.name}"), box=box.SIMPLE_HEAD)
    for head in ("run", "tables", "state"):
        drawn.add_column(head)
    for head in ("views", "time left, estimated"):
        drawn.add_column(head, justify="right")
    for entry in planned:
        run = entry.job.run
        names = [table.name for table in tables if any(run in cell.runs for cell in table.cells)]
        left = duration(entry.seconds) if entry.state != "done" else ""
        drawn.add_row(str(entry.job), " ".join(names), entry.state, amount(entry.views), left)
    console.print(drawn)

    for line in _summary(planned, str(device)):
        console.print(Text(line), soft_wrap=True)


def _summary(planned: Sequence[Entry], device: str) -> list[str]:
    """Return the plan's totals and the data that it lacks, as lines."""
    states = ("done", "begun", "missing", "failed", "no data")
    counts = {state: sum(entry.state == state for entry in planned) for state in states}
    lines = [", ".join(f"{state} {count}" for state, count in counts.items() if count)]

    ready = sum(entry.seconds for entry in planned if entry.state != "no data")
    every = sum(entry.seconds for entry in planned)
    total = f"time left on {device}, estimated from a few steps: {duration(ready)}"
    lines.append(total + (f"; {duration(every)} with all data" if every > ready else ""))

    needed = Counter(option for entry in planned for option in entry.job.options)
    lines += [f"data: {option} for {n} runs (docs/data.md)" for option, n in needed.items()]
    return lines
