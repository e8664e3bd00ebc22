"""What each stage of the encoder tells, from the committed part `stages` of an evaluation."""

from collections.abc import Mapping

from committed import Committed, asked, measured
from seqjepa.report.runs import Variant
from seqjepa.report.tables import Value

# Tasks and metrics of columns, with their titles and the digits that are shown.
COLUMNS = {
    ("relative rotation", "r2"): ("rotation, R²", 3),
    ("class", "top1"): ("class, %", 1),
    ("relative floor_hue", "r2"): ("floor hue, R²", 3),
    ("relative light_hue", "r2"): ("light hue, R²", 3),
    ("relative light_direction", "r2"): ("light direction, R²", 3),
}
STAGES = {
    "stem": "stem",
    **{f"layer{number}": f"stage {number}" for number in (1, 2, 3)},
    "features": "stage 4: *z*",
}


def table(runs: Committed, names: Mapping[str, str]) -> str:
    """Return a table in Markdown: a row for each stage of each run that was asked.

    Args:
        runs: the committed ones.
        names: `experiment/run` of those that may be shown, with their labels.
    """
    titles = " | ".join(title for title, _ in COLUMNS.values())
    lines = [f"| run | after | {titles} |", "|---|---|" + "---:|" * len(COLUMNS)]
    for name, label in names.items():
        variant = runs.get(name)
        if variant is None or not asked(variant, "stages"):
            continue
        for stage, words in STAGES.items():
            cells = " | ".join(_cell(variant, stage, *column) for column in COLUMNS)
            lines.append(f"| {label if stage == 'stem' else ''} | {words} | {cells} |")
    return "\n".join(lines) + "\n"


def _cell(variant: Variant, stage: str, task: str, metric: str) -> str:
    views = 1 if task == "class" else 2
    values = measured(variant, "stages", stage, task, metric, views)
    _, digits = COLUMNS[task, metric]
    mean = Value.of(values).mean * (100 if metric == "top1" else 1)
    return f"{mean:.{digits}f}".replace("-", "−")
