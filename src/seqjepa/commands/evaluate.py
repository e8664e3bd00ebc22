"""`seqjepa evaluate RUN_DIR`: ask a run questions about held-out objects.

It writes the run's results.json, and suite/NAME.json of each further part, and prints the figures
that matter most. About another world than the run's own (`--world`) it writes transfer/NAME.json.
With `--split val` all of these go to the folder val/ in the run's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from tyro.conf import UseAppendAction

from seqjepa.commands.options import parse, take_option, take_options, take_paths
from seqjepa.commands.other_world import find_world
from seqjepa.config import EvaluateConfig
from seqjepa.display import warn
from seqjepa.errors import ConfigError, SeqJepaError
from seqjepa.evaluation.protocol import Record
from seqjepa.evaluation.subject import NotApplicableError
from seqjepa.evaluation.suite import PROBES, Outcome, chosen_parts, evaluate_suite
from seqjepa.evaluation.transfer import transfer
from seqjepa.model import read_experiment
from seqjepa.recipes import load_code
from seqjepa.report import tables
from seqjepa.report.parts import part_table
from seqjepa.report.runs import TRANSFER, Run, Variant
from seqjepa.runs.folder import read_spec
from seqjepa.worlds.base import WorldConfig

PROBED = ("class", "relative", "individual")  # first words of tasks of probes
METRICS = {"top1": "top-1", "r2": "R²", "median_degrees": "median error"}

Question = tuple[str, str, str]  # task, input and metric
Answers = dict[str, str]  # by kind of features


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Options of the evaluation, and below them those of the probes.

    An option that is not given is as in the run's config.json, whatever default is named here.
    `--world.path NEW` reads the same data from where they are now; so do `--world.ood-path` and
    other paths of the run's world.

    `--world PATH_OR_RECIPE` asks the frozen model about another world: images in a folder, archive
    or published data set, arrays, 3DIEBench and its like, or the world of a recipe. Its options
    are then `--world.FIELD VALUE`, which `--world PATH_OR_RECIPE --help` lists; results go to
    transfer/NAME.json in the run's folder, and the run's own results stay.
    """

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Folder of the run."""
    split: Literal["test", "val"] = "test"
    """Held-out objects of the training distribution; val is for choosing settings. Results of test
    are in RUN_DIR, those of val in RUN_DIR/val. The splits out of distribution are always
    probed."""
    code: UseAppendAction[tuple[Path, ...]] = ()
    """A Python file of your own that defines the run's world or method; repeat it for several."""
    device: str | None = None
    """cpu, cuda, cuda:1 ...; default: CUDA where there is one."""
    suite: tuple[str, ...] = (PROBES,)
    """Questions: probes (class and factors of frozen features), retrieval (does the predictor find
    the view that an action leads to?), group (do predictions respect the group of actions?), path
    (do aggregates know how far the views have come?), planning (does the model find the action that
    leads to another view?), health (how many dimensions do features use, and what is near what?),
    stages (at which stage of the encoder are factors and class to be read?), or full for all."""
    quick: bool = False
    """Of the probes, ask only of the model's features, on the split alone, for the class and the
    factors that actions are made of: no controls, nothing out of distribution."""
    # It is frozen, so it may be a default.
    how: Annotated[EvaluateConfig, tyro.conf.arg(name="")] = EvaluateConfig()  # noqa: RUF009


@dataclass(frozen=True, kw_only=True)
class OtherWorld:
    """The other world that a run is asked about."""

    world: WorldConfig


@dataclass(frozen=True, kw_only=True)
class TransferOptions(EvaluateOptions):
    """Options of the evaluation, below them those of the probes and of the other world.

    An option that is not given is as in the run's config.json; so is the size of the other world's
    views. Its splits out of distribution are not probed, and `--quick` is for the run's own world.
    """

    other: Annotated[OtherWorld, tyro.conf.arg(name="")]


def main(arguments: list[str]) -> None:
    """Parse, evaluate and print."""
    prog = "seqjepa evaluate"
    other, arguments = take_option("--world", arguments)
    if other is not None:
        _ask_other(other, arguments)
        return
    paths, arguments = take_paths(arguments)
    options = parse(EvaluateOptions, arguments, prog=prog)
    for file in options.code:
        load_code(file)

    # Once more, with the run's own settings as defaults, now that it is known which run it is.
    default = replace(options, how=read_experiment(options.run_dir).evaluate)
    options = parse(EvaluateOptions, arguments, prog=prog, default=default)
    outcomes = evaluate_suite(
        options.run_dir,
        options.suite,
        split=options.split,
        config=options.how,
        device=options.device,
        quick=options.quick,
        paths=paths,
    )
    _show(outcomes, options)


def _ask_other(what: str, arguments: list[str]) -> None:
    """Parse, ask about another world and print; see `transfer.transfer`."""
    if not arguments or arguments[0].startswith("-"):
        raise ConfigError(f"name the run first: seqjepa evaluate RUN_DIR --world {what}")
    files, arguments = take_options("--code", arguments)
    for file in files:
        load_code(Path(file))

    # The run and what is asked decide which options there are: both come before these are read.
    run_dir = Path(arguments[0])
    experiment, trained = read_experiment(run_dir), read_spec(run_dir)
    world = OtherWorld(world=find_world(what, experiment, trained))
    default = TransferOptions(run_dir=run_dir, how=experiment.evaluate, other=world)
    prog = f"seqjepa evaluate RUN_DIR --world {what}"
    options = parse(TransferOptions, arguments, prog=prog, default=default)
    if options.quick:
        raise ConfigError("--quick is for the run's own world: leave it out, or leave out --world")

    path, results = transfer(
        options.run_dir,
        options.other.world,
        name=Path(what).expanduser().resolve().name,
        parts=options.suite,
        split=options.split,
        config=options.how,
        device=options.device,
    )
    console, probes, further = Console(), list[dict[str, Any]](), list[dict[str, Any]]()
    for record in results["records"]:
        (probes if record["task"].startswith(PROBED) else further).append(record)
    if probes:
        console.print(_table(probes, options.split))
    if further:
        console.print(_part_table(f"{TRANSFER}{path.stem}", further))
    for line in results["left_out"]:
        console.print(Text(line), soft_wrap=True)
    console.print(Text(f"done: {path}. {_next(options)}"), soft_wrap=True)


def _show(outcomes: Iterable[Outcome], options: EvaluateOptions) -> None:
    """Print what became of each part, as it comes; at the end, raise the first error."""
    console, written = Console(), list[str]()
    failed, skipped = list[SeqJepaError](), list[SeqJepaError]()
    for outcome in outcomes:
        if outcome.results is not None:
            records = outcome.results["records"]
            probes = outcome.name == PROBES
            table = _table(records, options.split) if probes else _part_table(outcome.name, records)
            console.print(table)
            written.append(str(outcome.path))
            continue

        # What a run cannot be asked is no failure, unless nothing else was to be asked.
        assert outcome.error is not None
        if isinstance(outcome.error, NotApplicableError):
            skipped.append(outcome.error)
            console.print(Text(f"{outcome.name}: left out, {outcome.error}"), soft_wrap=True)
            continue
        failed.append(outcome.error)
        if chosen_parts(options.suite) != [outcome.name]:
            warn(f"{outcome.name}: {outcome.error}")

    if written:
        console.print(Text(f"done: {', '.join(written)}. {_next(options)}"), soft_wrap=True)
    if failed:
        raise failed[0]
    if not written:
        raise skipped[0]


def _next(options: EvaluateOptions) -> str:
    """Return the command that shows the results."""
    split = " --split val" if options.split == "val" else ""
    return f"Next: seqjepa report {options.run_dir}{split} --out report"


def _part_table(name: str, records: Sequence[dict[str, Any]]) -> Table:
    """Return the results of a further part, as the report has them."""
    run = Run(Path(), {}, {}, None, parts={name: tuple(Record(**record) for record in records)})
    made = part_table(name, [Variant(name, (run,))])
    table = Table(box=box.SIMPLE_HEAD, title=Text(made.title))
    # Where the terminal is narrow, labels wrap and figures stay whole.
    table.add_column(made.length)
    for column in made.lengths:
        table.add_column(f"{column}", justify="right", no_wrap=True)
    for label, _, cells in made.rows:
        table.add_row(Text(label), *cells)
    return table


def _table(records: Sequence[dict[str, Any]], split: str) -> Table:
    """Return the results as a table: a row for each question, a column for each kind of features.

    The chosen split comes first; the columns are the model, its readouts and its controls.
    """
    kinds = list(dict.fromkeys(record["features"] for record in records))
    title = "frozen features, probed on held-out objects"
    # Names are the user's: what looks like markup in them is none.
    table = Table("split / task", "predicted from", "metric", title=title, box=box.SIMPLE_HEAD)
    for kind in kinds:
        table.add_column(Text(kind), justify="right")

    for name, questions in _answers(records, split).items():
        table.add_row(Text(name, style="bold"))
        for (task, source, metric), answers in questions.items():
            shown = [answers.get(kind, "") for kind in kinds]
            table.add_row(Text(f"  {task}"), source, metric, *shown)
    return table


def _answers(records: Sequence[dict[str, Any]], split: str) -> dict[str, dict[Question, Answers]]:
    """Return the figures to show by split, question and kind of features."""
    longest = dict[str, int]()
    for record in records:
        longest[record["split"]] = max(record["views"], longest.get(record["split"], 1))

    splits: dict[str, dict[Question, Answers]] = {split: {}}
    for record in records:
        name, metric = record["split"], record["metric"]
        # Sequences are shown at one length, though there are results at every length.
        whole = record["input"] in ("mean", "logits", "sequence")
        shown = not whole or record["views"] == min(tables.SHOWN_VIEWS, longest[name])
        if metric not in METRICS or not shown:
            continue

        asked = tables.Question(record["task"], record["input"], record["views"], metric)
        question = (record["task"], asked.input_label, METRICS[metric])
        answers = splits.setdefault(name, {}).setdefault(question, {})
        answers[record["features"]] = _shown(metric, record["value"])
    return splits


def _shown(metric: str, value: float) -> str:
    """Return a value in the form of its metric."""
    if metric == "top1":
        return f"{value:.1%}"
    return f"{value:.1f}°" if metric == "median_degrees" else f"{value:.3f}"
