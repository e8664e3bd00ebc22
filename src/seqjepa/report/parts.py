"""Tables of the further parts of an evaluation: `suite/NAME.json` of runs, `transfer/NAME.json`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqjepa.evaluation.protocol import Record
from seqjepa.report.runs import TRANSFER, Variant

# Of each part: its title, what its lengths are, and how to read it.
TITLES = {
    "retrieval": (
        "Retrieval by the predictor",
        "views observed",
        "From views and an action the next view is expected, and all views of the object are "
        "ranked by their likeness to that. MRR is the mean of 1 / rank, H@k the share of ranks up "
        "to k; PRE is the squared error of the rotation of the nearest of all views.",
    ),
    "group": (
        "The group of actions",
        "actions",
        "0 is exact, 1 as far off as another view of the object. An action that changes nothing "
        "should change nothing, one and its inverse neither, and two should do what their product "
        "does. A predictor that ignores actions obeys these three: the error of one step tells it "
        "apart. A rollout feeds predictions back.",
    ),
    "path": (
        "Path integration",
        "actions",
        "From z_AGG of the views seen and the last action, a head tells the direct action from the "
        "first view to the last: also without actions, without vision, and with the head that was "
        "trained on both. The product of the actions needs no learning.",
    ),
    "planning": (
        "Planning",
        "actions",
        "From one view the model is to bring another into view: median error of the action that it "
        "finds, or of the product of several, by searching what it imagines. The head reads the "
        "action from both views; the best of views goes to the known view that is nearest to the "
        "goal; chance is an action between random views.",
    ),
    "health": (
        "Health without labels",
        "views",
        "RankMe: effective rank. LiDAR: that of what tells objects apart. alpha: decay of "
        "the spectrum. knn: accuracy of a vote of the nearest training features.",
    ),
    "stages": (
        "What each stage of the encoder tells",
        "stage",
        "The same probes on the pooled maps of each stage: one view, or two for what is relative.",
    ),
}
BY_FEATURES = ("stages",)  # parts whose columns are features
# Of other worlds that runs were asked about.
OTHER = (
    "views",
    "The model is frozen; probes, few labels and neighbours are of this world, which it has never "
    "seen. The mean of five draws of the labelled objects is shown.",
)
SOURCES = {
    "view": "one view",
    "image": "whole image",
    "mean": "mean z",
    "logits": "mean logits",
    "sequence": "z_AGG",
    "pair": "two views",
}
HIDDEN = ("top1_std", "r2_global", "r2_nearest")  # metrics that are in the files alone
METRICS = {
    "top1": "top-1",
    **{f"h@{k}": f"H@{k}" for k in (1, 2, 5, 10)},
    "mrr": "MRR",
    "pre": "PRE",
    "r2": "R²",
    "median_degrees": "median error, °",
    "median_pixels": "median error, pixels",
    "median_error": "median error",
    "rankme": "RankMe",
    "lidar": "LiDAR",
    "knn": "kNN",
}
FEW = 8  # lengths in a table, at most


@dataclass(frozen=True)
class PartTable:
    """The figures of one part, of all variants.

    Attributes:
        title, note: what it is, and how to read it.
        length: what the columns are.
        lengths: these columns.
        rows: label, features, and a cell for each length.
    """

    title: str
    note: str
    length: str
    lengths: tuple[int | str, ...]
    rows: tuple[tuple[str, str, tuple[str, ...]], ...]


def part_tables(variants: Sequence[Variant]) -> list[PartTable]:
    """Return a table for each part that any run has been asked."""
    runs = [run for variant in variants for run in variant.runs]
    names = dict.fromkeys(name for run in runs for name in run.parts)
    return [part_table(name, variants) for name in names]


def part_table(name: str, variants: Sequence[Variant]) -> PartTable:
    """Return the table of one part."""
    title, length, note = TITLES.get(name, (name.capitalize(), "length", ""))
    if name.startswith(TRANSFER):
        title, (length, note) = f"Asked about {name.removeprefix(TRANSFER)}", OTHER
    by_features = name in BY_FEATURES

    figures: dict[tuple[str, str], dict[int | str, list[float]]] = {}
    for variant in variants:
        prefix = f"{variant.label} · " if len(variants) > 1 else ""
        for run in variant.runs:
            shown = (each for each in run.parts.get(name, ()) if each.metric not in HIDDEN)
            for record in shown:
                row = prefix + _label(name, record), "" if by_features else record.features
                column = record.features if by_features else record.views
                figures.setdefault(row, {}).setdefault(column, []).append(record.value)

    # Stages in their order; of many lengths, every fifth after the first few.
    columns = dict.fromkeys(column for row in figures.values() for column in row)
    lengths = [*columns] if by_features else sorted(columns, key=int)
    if len(lengths) > FEW:
        lengths = [views for views in lengths if int(views) <= 3 or int(views) % 5 == 0]
    rows = tuple(
        (*row, tuple(_cell(values.get(views, [])) for views in lengths))
        for row, values in figures.items()
    )
    return PartTable(title, note, length, tuple(lengths), rows)


def _label(part: str, record: Record) -> str:
    """Return task and metric in words, and features that are not the model's."""
    metric = METRICS.get(record.metric, record.metric)
    words = [metric] if record.task == part else [record.task, metric]
    if part.startswith(TRANSFER):
        words.insert(1, SOURCES.get(record.input, record.input))
    plain = record.features == "model" or part in BY_FEATURES
    features = "" if plain else f" ({record.features})"
    return ", ".join(words) + features


def _cell(values: Sequence[float]) -> str:
    if not values:
        return ""
    mean = f"{np.mean(values):.3f}"
    return f"{mean} ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else mean
