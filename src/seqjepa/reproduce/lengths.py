"""Figures 6 to 11: by the number of views observed in training and in the test."""

from collections.abc import Sequence

from seqjepa.reproduce import published
from seqjepa.reproduce.layout import Cell, Grid, Line, Run, Table, Where, relative, top1
from seqjepa.reproduce.runs import AUGMENTATIONS, DATA_SETS, ours

TESTED = range(1, 9)
EQUAL = (
    "Runs under `equal sequences` have the same number of sequences in a step, so that longer ones "
    "see more views, as in the paper; under `equal views`, the number of sequences is lower the "
    "longer they are. At the recipe's own M_train both are the same run."
)


def _heat_map(
    name: str, title: str, data: str, numbers: Sequence[Sequence[float]], trained: Sequence[int]
) -> Table:
    """Return a figure of accuracies of z_AGG, with a second set of runs at equal views."""
    runs, heads = [ours(data, m) for m in trained], [f"M_train {m}" for m in trained]
    # Behind the runs conditioned on all are those on single groups, where the figure has them.
    if len(numbers[0]) > len(trained):
        runs += [ours(data, m, group) for group in AUGMENTATIONS for m in (2, 3)]
        heads = [f"all, {head}" for head in heads]
        heads += [f"{group}, M_train {m}" for group in AUGMENTATIONS for m in (2, 3)]
    equal = [ours(data, m, equal_views=True) for m in trained]

    lines = []
    for tested, row in zip(TESTED, numbers, strict=True):
        where = top1("sequence", tested)
        cells = [Cell(run, where, number) for run, number in zip(runs, row, strict=True)]
        cells += [Cell(run, where) for run in equal]
        lines.append(Line(f"{tested}", tuple(cells)))

    columns = (*heads, *(f"equal views, M_train {m}" for m in trained))
    ticks = tuple(head.replace("M_train ", "") for head in heads)
    end = len(runs)
    grids = (
        Grid(name, "equal sequences", (0, end), ticks),
        Grid(f"{name}_equal_views", "equal views", (end, len(columns)), ticks[: len(trained)]),
    )
    notes = (EQUAL, "Heads without `equal views` are of equal sequences.")
    return Table(name, f"{title}: top-1 of z_AGG, %", "M_val", columns, tuple(lines), notes, grids)


def _figure6() -> Table:
    runs = {"visual": ours("stl10", 4), "angular": ours("threediebench", 3)}
    groups = {"visual": "position", "angular": "rotation"}
    lines = []
    for (kind, inputs), numbers in published.FIGURE6.items():
        task, features = (f"path {groups[kind]}",), "model" if inputs == "whole" else inputs
        places = [Where(task, "sequence", m, features=features, part="path") for m in range(1, 8)]
        lines.append(Line.of(f"{kind}, {inputs}", runs[kind], places, numbers))

    heads = tuple(f"M_val {m}" for m in range(1, 8))
    notes = ("Visual is on STL-10 (position), angular on 3DIEBench (rotation).",)
    title = "Path integration: R² of the way from the first view to the next"
    return Table("figure6", title, "inputs", heads, tuple(lines), notes)


def _figure7() -> Table:
    lines = [
        _by_training(f"{label}: R²", relative(label.rpartition(", ")[2]), numbers)
        for label, numbers in published.FIGURE7_R2.items()
    ]
    lines += [
        _by_training(f"{label}: top-1 of z_AGG of 5, %", top1("sequence", 5), numbers)
        for label, numbers in published.FIGURE7_TRAIN.items()
    ]

    trained = {"3DIEBench": 3, "STL-10": 4, "CIFAR-100": 2, "Tiny ImageNet": 2}
    for label, numbers in published.FIGURE7_TEST.items():
        run = ours(DATA_SETS[label], trained[label])
        places = [top1("sequence", m) for m in TESTED]
        row = f"{label}, M_train {trained[label]}: top-1 of z_AGG of M_val, %"
        lines.append(Line.of(row, run, places, numbers))

    heads = tuple(f"M {m}" for m in TESTED)
    notes = ("M is M_train, in the last four rows M_val.",)
    title = "R² and accuracy by the number of views"
    return Table("figure7", title, "figure", heads, tuple(lines), notes)


def _by_training(label: str, where: Where, numbers: Sequence[float]) -> Line:
    """Return a row over M_train."""
    data = DATA_SETS[label.partition(":")[0].partition(",")[0]]
    runs: list[Run] = [ours(data, m) for m in range(1, len(numbers) + 1)]
    cells = [Cell(run, where, number) for run, number in zip(runs, numbers, strict=True)]
    return Line(label, (*cells, *[None] * (len(TESTED) - len(cells))))


TABLES = (
    _figure6(),
    _figure7(),
    _heat_map("figure8", "3DIEBench", "threediebench", published.FIGURE8, range(1, 6)),
    _heat_map("figure9", "STL-10", "stl10", published.FIGURE9, range(1, 6)),
    _heat_map("figure10", "CIFAR-100", "cifar100", published.FIGURE10, range(1, 5)),
    _heat_map("figure11", "Tiny ImageNet", "tiny_imagenet", published.FIGURE11, range(1, 5)),
)
