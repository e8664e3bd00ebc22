"""`seqjepa evaluate RUN_DIR`: probes a run on held-out objects, writes its results.json and prints
the figures that matter most.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from seqjepa.commands.options import parse
from seqjepa.config import EvaluateConfig
from seqjepa.evaluation.evaluate import evaluate
from seqjepa.model import read_experiment
from seqjepa.recipes import load_code
from seqjepa.report.tables import INPUTS, SHOWN_VIEWS

METRICS = {"top1": "top-1", "r2": "R²", "median_degrees": "median error"}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to evaluate, and below that how; what is not given is as in the run's config.json,
    whatever default is named here.
    """

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Folder of the run."""
    split: Literal["test", "val"] = "test"
    """Held-out objects of the training distribution; val is for choosing settings. The splits out
    of distribution are always probed."""
    code: Path | None = None
    """A Python file of your own that defines the run's world or method."""
    device: str | None = None
    """cpu, cuda, cuda:1 ...; default: CUDA where there is one."""
    how: Annotated[EvaluateConfig, tyro.conf.arg(name="")] = EvaluateConfig()  # noqa: RUF009 (it is frozen)


def main(arguments: list[str]) -> None:
    """Parse, evaluate and print."""
    options = parse(Options, arguments, prog="seqjepa evaluate")
    if options.code is not None:
        load_code(options.code)
    trained = read_experiment(options.run_dir).evaluate
    options = parse(
        Options, arguments, prog="seqjepa evaluate", default=replace(options, how=trained)
    )
    results = evaluate(
        options.run_dir, split=options.split, config=options.how, device=options.device
    )
    console = Console()
    console.print(_table(results["records"], options.split))
    console.print(
        f"done: {options.run_dir / 'results.json'}. Next: seqjepa report {options.run_dir} --out report",
        soft_wrap=True,
    )


def _table(records: Sequence[dict[str, Any]], split: str) -> Table:
    """One row for each question to the features of the trained model, beside those of its readouts
    and controls; the split first.
    """
    longest: dict[str, int] = {}
    for record in records:
        longest[record["split"]] = max(record["views"], longest.get(record["split"], 1))
    splits: dict[str, dict[tuple[str, ...], dict[str, str]]] = {split: {}}
    for record in records:
        whole = record["input"] in ("mean", "logits", "sequence")
        if record["metric"] not in METRICS or (
            whole and record["views"] != min(SHOWN_VIEWS, longest[record["split"]])
        ):
            continue
        question = (
            record["task"],
            INPUTS[record["input"]].format(record["views"]),
            METRICS[record["metric"]],
        )
        answers = splits.setdefault(record["split"], {}).setdefault(question, {})
        answers[record["features"]] = _shown(record["metric"], record["value"])
    table = Table(
        "split / task",
        "told from",
        "metric",
        title="frozen features, probed on held-out objects",
        box=box.SIMPLE_HEAD,
    )
    kinds = list(dict.fromkeys(record["features"] for record in records))
    for features in kinds:
        table.add_column(features, justify="right")
    for name, questions in splits.items():
        table.add_row(f"[bold]{name}[/]")
        for (task, told_from, metric), answers in questions.items():
            table.add_row(
                f"  {task}", told_from, metric, *(answers.get(features, "") for features in kinds)
            )
    return table


def _shown(metric: str, value: float) -> str:
    if metric == "top1":
        return f"{value:.1%}"
    return f"{value:.1f}°" if metric == "median_degrees" else f"{value:.3f}"
