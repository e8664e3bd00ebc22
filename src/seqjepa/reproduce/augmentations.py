"""Table 2, on hand-crafted augmentations, and table 12, z against z_AGG on all data sets."""

from seqjepa.reproduce import published
from seqjepa.reproduce.layout import Cell, Line, Run, Table, Where, relative, top1
from seqjepa.reproduce.runs import AUGMENTATIONS, DATA_SETS, baseline, ours
from seqjepa.reproduce.saccades import ABLATIONS

SETS = ("CIFAR-100", "Tiny ImageNet")
TESTED = 5  # views of z_AGG


def _table2() -> Table:
    lines = []
    for (about, label), numbers in published.TABLE2.items():
        cells: list[Cell | None] = []
        for place, name in enumerate(SETS):
            run, accuracy = _row(DATA_SETS[name], about, label)
            places = (accuracy, *(relative(group) for group in AUGMENTATIONS))
            cells += Line.of(label, run, places, numbers[4 * place : 4 * place + 4]).cells
        lines.append(Line(f"{label}; {about}", tuple(cells)))

    metrics = ("top-1, %", *(f"{group}, R²" for group in AUGMENTATIONS))
    heads = tuple(f"{name}, {metric}" for name in SETS for metric in metrics)
    notes = (
        "Behind each method stands what it is conditioned on.",
        f"seq-JEPA's accuracy is of z_AGG of {TESTED} views, the others' of the whole image.",
    )
    title = "Hand-crafted augmentations"
    stub = "method; conditioned on"
    return Table("table2", title, stub, heads, tuple(lines), notes, controls=True)


def _row(data: str, about: str, label: str) -> tuple[Run, Where]:
    """Return the run of a row on a data set, and the place of its accuracy."""
    if label.startswith("seq-JEPA"):
        return ours(data, int(label[-1]), about), top1("sequence", TESTED)
    return baseline(data, label, "" if about == "–" else about), top1("image")


def _table12() -> Table:
    abouts = {"rotation": "", "rotation and colour": "colour", "position": ""}
    lines = []
    for (name, about, observed), numbers in published.TABLE12.items():
        data = DATA_SETS[name]
        run = ABLATIONS.get(about) or ours(data, observed, abouts.get(about, about))
        # The encoder sees whole images where views are made of them.
        z = top1() if data == "threediebench" else top1("image")
        places = (z, *(top1("sequence", tested) for tested in (1, 3, 5)))
        lines.append(Line.of(f"{name}; {about}; {observed}", run, places, numbers))

    heads = ("z, top-1, %", *(f"z_AGG of {tested}, top-1, %" for tested in (1, 3, 5)))
    notes = ("z is of one view on 3DIEBench, of the whole image on the other sets.",)
    stub = "data; conditioned on; M_train"
    title = "z against z_AGG"
    return Table("table12", title, stub, heads, tuple(lines), notes)


TABLES = (_table2(), _table12())
