"""The table of objectives in docs/methods/contrast.md, from docs/results/objectives/*.json."""

from collections.abc import Callable

from seqjepa.report.runs import Variant
from seqjepa.report.tables import Question, text, value

# By the beginning of their files' names: what is compared.
OBJECTIVES = {
    "demo": "contrast, inverse 5, present, film (the demo)",
    "no_actions": "the same without actions in aggregator and predictor",
    "every": "cosine, every next view",
    "last": "cosine, the last view (the paper)",
    "equimod_inverse": "EquiMod with inverse 5",
    "equimod": "EquiMod",
    "simclr_inverse": "SimCLR at temperature 0.1 with inverse 5",
    "simclr": "SimCLR at temperature 0.1",
    "vicreg": "VICReg",
}

# What was measured, and on which split if not on test.
RELATIVE = Question("relative rotation", "pair", 2, "r2")
COLUMNS = {
    "z": (Question("class", "view", 1, "top1"), ""),
    "mean of five": (Question("class", "mean", 5, "top1"), ""),
    "z_AGG of five": (Question("class", "sequence", 5, "top1"), ""),
    "relative R²": (RELATIVE, ""),
    "degrees": (Question("relative rotation", "pair", 2, "median_degrees"), ""),
    "individual R²": (Question("individual rotation", "view", 1, "r2"), ""),
    "degrees ": (Question("individual rotation", "view", 1, "median_degrees"), ""),
    "relative R², unseen classes": (RELATIVE, "ood_class"),
}


def table(variant: Callable[[str, str], Variant]) -> str:
    """Return the table in Markdown.

    Args:
        variant: returns the committed runs of a label and a pattern of files.
    """
    lines = [f"| objective | n | {' | '.join(COLUMNS)} |", "|---|" + "---:|" * (len(COLUMNS) + 1)]
    first: Variant | None = None
    for name, label in OBJECTIVES.items():
        found = variant(label, f"objectives/{name}_seed*")
        if found.runs:
            first = first or found
            lines.append(_row(found, "model", label))
    if first is None:
        return "*Not measured yet.*\n"

    # Both controls are the same for all: the data's and the architecture's.
    for features, label in (("random", "untrained"), ("pixels", "pixels, 16x16")):
        lines.append(_row(first, features, label))
    return "\n".join(lines) + "\n"


def _row(found: Variant, features: str, label: str) -> str:
    cells = [
        text(value(found.runs, features, split or found.split, question), question.metric)
        for question, split in COLUMNS.values()
    ]
    return f"| {label} | {len(found.runs)} | {' | '.join(cells)} |"
