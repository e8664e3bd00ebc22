"""The tables on real pixels in docs/results.md, of the runs of `scripts/experiments.py pixels`."""

from collections.abc import Mapping

from seqjepa.report.runs import Variant
from seqjepa.report.tables import CONTROLS, Question, text, value

# An experiment's name, what it is called on the page, its classes, and the groups of its factors.
FACTORS = ("rotation", "floor_hue", "light_hue")
RUNS = {
    "cliparts": ("fixations on cliparts", 22, ("position",)),
    "cliparts_demo": ("the same, the demo's objective", 22, ("position",)),
    "cliparts_last": ("fixations on cliparts, the last one predicted", 22, ("position",)),
    "cliparts_last_no_inhibition": (
        "the last one, no inhibition of return",
        22,
        ("position",),
    ),
    "cliparts_last_unguided": (
        "the last one, no saliency or inhibition",
        22,
        ("position",),
    ),
    "digits": ("crops and jitter of digits", 10, ("crop", "jitter")),
    "digits_demo": ("the same, the demo's objective", 10, ("crop", "jitter")),
    "furniture": ("rotations of furniture", 20, FACTORS),
    "furniture_demo": ("the same, the demo's objective", 20, FACTORS),
    "furniture_supervised": ("the same, supervised", 20, FACTORS),
}
KINDS = {"model": "*z*", "random": "untrained *z*", "pixels": "pixels"}


def class_table(found: Mapping[str, Variant]) -> str:
    """Return the accuracies in Markdown, a row for each experiment in `RUNS` that has been run."""
    columns = {
        "*z* of one view": ("model", "view", 1),
        "mean of 5 views' *z*": ("model", "mean", 5),
        "z_AGG of 5 views": ("model", "sequence", 5),
        "untrained: mean of 5": ("random", "mean", 5),
        "untrained: z_AGG of 5": ("random", "sequence", 5),
        f"{CONTROLS['pixels']}: mean of 5": ("pixels", "mean", 5),
    }
    lines = [
        f"| top-1, % | classes | {' | '.join(columns)} |",
        "|---|---:|" + "---:|" * len(columns),
    ]

    for name, (title, classes, _) in RUNS.items():
        if name not in found:
            continue
        cells = [
            _cell(found[name], features, Question("class", source, views, "top1"))
            for features, source, views in columns.values()
        ]
        lines.append(f"| {title} | {classes} | {' | '.join(cells)} |")
    return "\n".join(lines)


def pose_table(found: Mapping[str, Variant]) -> str:
    """Return the R² of actions and poses in Markdown, a row for each group of each experiment."""
    # Two views have a change between them, one view has a value of its own.
    asked = [("pair", "relative", "pair", 2), ("view", "individual", "view", 1)]
    heads = [f"{what}: {kind}" for what, *_ in asked for kind in KINDS.values()]
    lines = [f"| R² | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]

    for name, (title, _, groups) in RUNS.items():
        if name not in found:
            continue
        for group in groups:
            cells = [
                _cell(found[name], features, Question(f"{task} {group}", source, views, "r2"))
                for _, task, source, views in asked
                for features in KINDS
            ]
            lines.append(f"| {group.replace('_', ' ')} ({title}) | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(variant: Variant, features: str, question: Question) -> str:
    return text(value(variant.runs, features, "test", question), question.metric)
