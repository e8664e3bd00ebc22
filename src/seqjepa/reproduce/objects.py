"""The tables on 3DIEBench but for costs and lengths: 1, 4, 7, 8, 9, 10 and 11."""

from dataclasses import replace

from seqjepa.reproduce import published
from seqjepa.reproduce.layout import (
    OOD,
    Cell,
    Line,
    Run,
    Table,
    Where,
    individual,
    relative,
    retrieved,
    top1,
)
from seqjepa.reproduce.runs import COLOUR, baseline, changed, conditioned, ours

DATA, HIGH = "threediebench", "threediebench_high"
# The whole context of 126 tokens is 63 pairs of views; see `methods/context_ssl.py`.
CONTEXT = "context of 63 pairs, rotation"
ROTATION = (relative("rotation"), individual("rotation"))
METRICS = ("mrr", "h@1", "h@5")
HEADS = ("top-1, %", "relative rotation, R²", "individual rotation, R²")
RETRIEVAL = ("MRR", "H@1", "H@5")
LENGTHS = "(M_train, M_val) are the views observed in training and in the test."


def _run(label: str, data: str = DATA) -> Run:
    """Return the run of a row by its label."""
    if label.startswith("ContextSSL"):
        return Run(data, "context_ssl", **conditioned(COLOUR, "colour"))
    if label.startswith("seq-JEPA"):
        return ours(data, _lengths(label)[0], "none" if "without" in label else "")
    return baseline(data, label)


def _lengths(label: str) -> tuple[int, int]:
    """Return M_train and M_val of a label that ends in them, (1, 1) of any other."""
    if not label.endswith(")"):
        return (1, 1)
    trained, tested = label.rpartition("(")[2].rstrip(")").split(", ")
    return int(trained), int(tested)


def _class(label: str, split: str = "test") -> Where:
    """Return the place of the accuracy: of z_AGG with seq-JEPA, else of one view."""
    if label.startswith("seq-JEPA"):
        return top1("sequence", _lengths(label)[1], split)
    return top1(split=split)


def _table1() -> Table:
    lines = []
    for label, numbers in published.TABLE1.items():
        places = [_class(label), *ROTATION]
        if label.startswith("ContextSSL"):
            places = [replace(where, features=CONTEXT) for where in places]
        lines.append(Line.of(label, _run(label), places, numbers))
    title = "3DIEBench, conditioned on rotation"
    notes = (
        LENGTHS,
        "The paper's (3, 3) is 86.14 % here and 85.3 % in figure 8 and table 12.",
        "ContextSSL is trained on rotation and colour as environments, as in its own paper, and "
        "read after 126 tokens of context; its published R² is its paper's global one.",
    )
    return Table("table1", title, "method", HEADS, tuple(lines), notes, controls=True)


def _table4() -> Table:
    runs = {
        "no actions": ours(DATA, 3, "none"),
        "not in the predictor": changed(DATA, 3, "aggregator_only", method__condition="aggregator"),
        "not in the aggregator": changed(DATA, 3, "predictor_only", method__condition="predictor"),
        "action width 128": ours(DATA, 3),
    }
    for width in (16, 64, 256):
        label = f"action_width{width}"
        runs[f"action width {width}"] = changed(DATA, 3, label, method__action_width=width)

    places = (top1("sequence", 5), relative("rotation"))
    lines = [
        Line.of(label, runs[label], places, numbers) for label, numbers in published.TABLE4.items()
    ]

    title = "3DIEBench: what the actions condition, M_train 3 and M_val 5"
    notes = ("The published spread is that of three seeds; `--seeds 3` gives ours.",)
    return Table("table4", title, "conditioning", HEADS[:2], tuple(lines), notes, controls=True)


def _table7() -> Table:
    colour = relative("floor_hue", "light_hue")
    lines = []
    for label, numbers in published.TABLE7.items():
        is_ours = label.startswith("seq-JEPA")
        run = ours(DATA, 4, "colour") if is_ours else baseline(DATA, label, "colour")
        lines.append(Line.of(label, run, (_class(label), relative("rotation"), colour), numbers))
    heads = ("top-1, %", "relative rotation, R²", "relative colour, R²")
    title = "3DIEBench, conditioned on rotation and colour"
    notes = (LENGTHS, "Ours of colour is the mean of floor and light, each as sine and cosine.")
    return Table("table7", title, "method", heads, tuple(lines), notes, controls=True)


def _table8() -> Table:
    lines = [
        Line.of(label, baseline(DATA, label), (top1(), *ROTATION), numbers)
        for label, numbers in published.TABLE8.items()
    ]
    title = "3DIEBench: baselines with a transformer as projector (+)"
    return Table("table8", title, "method", HEADS, tuple(lines), controls=True)


def _table9() -> Table:
    rotation = (relative("rotation", split=OOD), individual("rotation", split=OOD))
    lines = []
    for label, numbers in published.TABLE9.items():
        run, outside, inside = _run(label), _class(label, OOD), _class(label)
        top, change, *rest = numbers
        accuracy = (Cell(run, outside, top), Cell(run, outside, change, minus=inside))
        others = Line.of(label, run, rotation, rest).cells
        lines.append(Line(label, (*accuracy, *others)))

    notes = (
        LENGTHS,
        "At the paper's scale, figures of 3DIEBench-OOD need `--threediebench-ood PATH`.",
        "The change is of top-1, from the test split of table 1 to this one, in points.",
        "Runs are those of table 1. The rotations of 3DIEBench-OOD are those of training under "
        "other names (docs/data/threediebench.md): with canonical quaternions R² need not fall as "
        "in the paper.",
    )
    title = "3DIEBench-OOD"
    heads = (HEADS[0], "change from test", *HEADS[1:])
    return Table("table9", title, "method", heads, tuple(lines), notes, controls=True)


def _table10() -> Table:
    lines = []
    for label, numbers in published.TABLE10.items():
        places = [retrieved(metric, _lengths(label)[1]) for metric in METRICS]
        lines.append(Line.of(label, _run(label), places, numbers))
    title = "3DIEBench: retrieval of the next view by the predictor, held-out objects"
    return Table("table10", title, "method", RETRIEVAL, tuple(lines), (LENGTHS,))


def _table11() -> Table:
    lines = []
    for label, numbers in published.TABLE11.items():
        found = [retrieved(metric, _lengths(label)[1]) for metric in METRICS]
        places = (_class(label), *ROTATION, *found)
        lines.append(Line.of(label, _run(label, HIGH), places, numbers))
    title = "3DIEBench, high compute: 2,000 epochs, 256 px, batch 1,024"
    heads = (*HEADS, *RETRIEVAL)
    return Table("table11", title, "method", heads, tuple(lines), (LENGTHS,), controls=True)


TABLES = (_table1(), _table4(), _table7(), _table8(), _table9(), _table10(), _table11())
