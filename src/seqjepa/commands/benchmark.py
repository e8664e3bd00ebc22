"""`seqjepa benchmark RECIPE --methods all --seeds 3`: compare methods side by side.

They have equal views, encoder, optimizer and steps.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from seqjepa.benchmark import benchmark
from seqjepa.commands.options import choose_recipe, parse
from seqjepa.config import Experiment
from seqjepa.errors import ConfigError
from seqjepa.recipes import every_method, recipe, recipes
from seqjepa.report.benchmark.table import BenchmarkTable

WIDTH = 240  # of the table where it goes into a file


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """Train and evaluate contenders in a recipe, and compare them in one table.

    Each contender is trained with several seeds. World, encoder, optimizer, steps and views per
    step are the recipe's for all contenders. Notes below the table say what differs.

    Each run has its folder in OUT. After every run OUT gets benchmark.md, benchmark.json and
    benchmark.png anew. If actions are of several groups of factors, the table has columns of each,
    and benchmark_GROUP.png is about each group but the first. --resume goes on after an
    interruption. Several processes with the same OUT (and --resume) share the work. Further methods
    and seeds are added.

    Options of the experiment change the recipe before methods take their places. The seed is set by
    --seeds.
    """

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    methods: tuple[str, ...] = ("all",)
    """Contenders: `all`, or names of methods or FILE.py of your own, each perhaps with changed
    settings: `seq_jepa:predict=every`, `seq_jepa:train.num_views=2,condition=none` (a key without a
    dot is a field of the method)."""
    seeds: int = 1
    """Number of runs of each contender, with seeds from 0 on."""
    out: Path | None = None
    """Folder of the benchmark; default runs/benchmark_NAME."""
    resume: bool = False
    """Go on with a benchmark, or share it with another process."""
    fail_on_collapse: bool = False
    """End a run when its representation collapses, instead of warning; the others go on."""
    device: str | None = None
    """cpu, cuda, cuda:1 ...; default: CUDA where there is one."""


def main(arguments: list[str]) -> None:
    """Parse, run, and print the table."""
    name, rest = choose_recipe(arguments, recipes(), prog="seqjepa benchmark")
    chosen = recipe(name)()
    default = BenchmarkOptions(experiment=chosen)
    options = parse(BenchmarkOptions, rest, prog=f"seqjepa benchmark {name}", default=default)
    if options.experiment.seed != chosen.seed:
        raise ConfigError(
            "--seed is for a single run: a benchmark has --seeds N, the seeds from 0 to N - 1"
        )

    contenders = list[str]()
    for method in options.methods:
        contenders += every_method() if method == "all" else [method]

    # Only a terminal has a width and wants to see progress.
    out = options.out or Path("runs") / f"benchmark_{options.experiment.name}"
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    outcome = benchmark(
        options.experiment,
        contenders,
        out,
        seeds=options.seeds,
        resume=options.resume,
        fail_on_collapse=options.fail_on_collapse,
        device=options.device,
        quiet=not sys.stderr.isatty(),
        say=lambda text: console.print(Text(text), soft_wrap=True),
    )

    console.print(_table(outcome.table, options.experiment.name))
    for note in outcome.table.notes:
        console.print(Text(note), style="dim")
    done = f"done: {out / 'benchmark.md'}"
    if outcome.elsewhere:
        done += f"; runs still with other processes: {outcome.elsewhere}. "
        done += "The one that ends last writes the whole table"
    sys.stdout.write(f"{done}\n")

    # The first failure sets the exit code, but only after the table.
    if outcome.failures:
        first, number = outcome.failures[0], len(outcome.failures)
        raise type(first)(f"{number} of the runs failed: {first}" if number > 1 else str(first))


def _table(table: BenchmarkTable, title: str) -> Table:
    """Return the table as on the page: readouts are indented, each column's best is bold."""
    drawn = Table(title=Text(f"benchmark: {title}"), box=box.SIMPLE_HEAD)
    for number, parts in enumerate(table.heads):
        drawn.add_column(Text("\n".join(parts)), justify="left" if number < 2 else "right")

    for line in table.lines:
        name = f"  {line.label}" if line.kind == "readout" else line.label
        label = Text(name, style="italic" if line.kind in ("control", "ceiling") else "")
        cells = [Text(cell.text, style="bold" if cell.best else "") for cell in line.cells]
        drawn.add_row(label, line.conditioned, *cells, line.views_seen, line.n)
    return drawn
