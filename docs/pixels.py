"""The section on real pixels in docs/results.md: what the runs of `scripts/experiments.py pixels`
tell, beside the controls."""

from collections.abc import Sequence

from seqjepa.report.runs import Run
from seqjepa.report.tables import text, value

RUNS = {  # the experiment's name, what it is called here, classes, and the groups that it tells
    "cliparts": ("fixations on cliparts", 22, ("position",)),
    "digits": ("crops and jitter of digits", 10, ("crop", "jitter")),
    "furniture": ("rotations of furniture", 20, ("rotation", "floor_hue", "light_hue")),
}
KINDS = {"model": "*z*", "random": "untrained *z*", "pixels": "pixels"}


def tables(found: dict[str, Sequence[Run]]) -> dict[str, str]:
    """Two tables in Markdown, `pixel_classes` and `pixel_poses`, of the runs by their names in
    `RUNS`."""
    return {"pixel_classes": _classes(found), "pixel_poses": _poses(found)}


def _classes(found: dict[str, Sequence[Run]]) -> str:
    columns = {
        "*z* of one view": ("model", "view", 1),
        "mean of 5 views' *z*": ("model", "mean", 5),
        "z_AGG of 5 views": ("model", "sequence", 5),
        "untrained: mean of 5": ("random", "mean", 5),
        "untrained: z_AGG of 5": ("random", "sequence", 5),
        "raw pixels: mean of 5": ("pixels", "mean", 5),
    }
    lines = [
        "| top-1, % | classes | " + " | ".join(columns) + " |",
        "|---|---:|" + "---:|" * len(columns),
    ]
    for name, (title, classes, _) in RUNS.items():
        cells = [
            text(value(found[name], kind, "test", ("class", source, m, "top1")), "top1")
            for kind, source, m in columns.values()
        ]
        lines.append(f"| {title} | {classes} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _poses(found: dict[str, Sequence[Run]]) -> str:
    asked = [("pair", "relative", "pair", 2), ("view", "individual", "view", 1)]
    heads = [f"{what}: {kind}" for what, *_ in asked for kind in KINDS.values()]
    lines = ["| R² | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for name, (title, _, groups) in RUNS.items():
        for group in groups:
            questions = [
                (kind, (f"{task} {group}", source, views, "r2"))
                for _, task, source, views in asked
                for kind in KINDS
            ]
            cells = [
                text(value(found[name], kind, "test", question), "r2")
                for kind, question in questions
            ]
            lines.append(f"| {group.replace('_', ' ')} ({title}) | " + " | ".join(cells) + " |")
    return "\n".join(lines)
