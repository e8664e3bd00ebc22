"""Table 2, on hand-crafted augmentations, and table 12, z against z_AGG on all data sets."""

from seqjepa.reproduce import published
from seqjepa.reproduce.layout import Cell, Line, Run, Table, Where, relative, top1
from seqjepa.reproduce.runs import baseline, ours
from seqjepa.reproduce.saccades import ABLATIONS

SETS = {"CIFAR-100": "cifar100", "Tiny ImageNet": "tiny_imagenet"}
TESTED = 5  # views of z_AGG
ALL_SETS = {"3DIEBench": "threediebench", **SETS, "STL-10": "stl10"}
GROUPS = ("crop", "jitter", "blur")


def _table2() -> Table:
    lines = []
    for (about, label), numbers in published.TABLE2.items():
        cells: list[Cell] = []
        for place, data in enumerate(SETS.values()):
            run, accuracy = _row(data, about, label)
            places = (accuracy, *(relative(group) for group in GROUPS))
            mine = numbers[4 * place : 4 * place + 4]
            cells += [Cell(run, where, number) for where, number in zip(places, mine, strict=True)]
        lines.append(Line(f"{label}; {about}", tuple(cells)))

    heads = tuple(f"{name}, {head}" for name in SETS for head in ("top-1, %", *_heads()))
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


def _heads() -> list[str]:
    return [f"{group}, R²" for group in GROUPS]


def _table12() -> Table:
    abouts = {"rotation": "", "rotation and colour": "colour", "position": ""}
    lines = []
    for (name, about, observed), numbers in published.TABLE12.items():
        data = ALL_SETS[name]
        if about in ABLATIONS:
            run: Run = ABLATIONS[about]
        else:
            run = ours(data, observed, abouts.get(about, about))
        # The encoder sees whole images where views are made of them.
        z = top1() if data == "threediebench" else top1("image")
        places = (z, *(top1("sequence", tested) for tested in (1, 3, 5)))
        cells = [Cell(run, *each) for each in zip(places, numbers, strict=True)]
        lines.append(Line(f"{name}; {about}; {observed}", tuple(cells)))
    heads = ("z, top-1, %", *(f"z_AGG of {tested}, top-1, %" for tested in (1, 3, 5)))
    notes = ("z is of one view on 3DIEBench, of the whole image on the other sets.",)
    stub = "data; conditioned on; M_train"
    title = "z against z_AGG"
    return Table("table12", title, stub, heads, tuple(lines), notes)


TABLES = (_table2(), _table12())
