"""What world models do: the errors of plans and inferred actions, and what decoders draw."""

import json
from collections.abc import Mapping

from committed import RESULTS, Committed, asked, measured
from seqjepa.report.runs import Variant
from seqjepa.report.tables import Value

# How an action is found: `Record.features` and the number of actions, and words for it.
FOUND = {
    ("chance", 1): "chance: an action between random views",
    ("inverse head", 1): "the run's own inverse head, from both views",
    ("action probe", 1): "a probe of both views' *z*",
    ("cross-entropy", 1): "cross-entropy method",
    ("cross-entropy", 3): "the same, three actions composed",
    ("gradient", 1): "gradient on the manifold",
    ("gradient", 3): "the same, three actions composed",
    ("gradient, one way", 1): "gradient, without the way back",
    ("gradient, rolled out", 3): "gradient, three actions rolled out",
    ("best of views", 1): "*the nearest of the object's other views, their poses known*",
}
DRAWN = {
    "imagined": "the imagined view",
    "embedding": "the view's own embedding",
    "mean view": "the mean training view",
    "nearest view": "the nearest training view",
}


def planning_table(runs: Committed, columns: Mapping[str, str], group: str, metric: str) -> str:
    """Return a table in Markdown of median errors of actions, a column for each run.

    Args:
        runs: the committed ones.
        columns: `experiment/run` of those that may be shown, with their titles.
        group: of the actions.
        metric: `median_degrees` or `median_pixels`.
    """
    counts = {name: asked(runs[name], "planning") for name in columns if name in runs}
    shown = {name: f"{columns[name]} (n = {n})" for name, n in counts.items() if n}
    lines = [_row("how the action is found", *shown.values()), "|---|" + "---:|" * len(shown)]
    for (features, actions), words in FOUND.items():
        about = (features, f"planning {group}", metric, actions)
        cells = [_error(runs[name], *about) for name in shown]
        if any(cells):
            lines.append(_row(words, *cells))
    return "\n".join(lines) + "\n"


def decoder_table(columns: Mapping[str, str]) -> str:
    """Return a table in Markdown of what decoders draw, in dB.

    Args:
        columns: names of decoders, `experiment/run_seedS`, with their titles.
    """
    figures = {
        name: json.loads((RESULTS / "decoders" / f"{name}.json").read_bytes())["figures"]
        for name in columns
    }
    lines = [_row("what is drawn", *columns.values()), "|---|" + "---:|" * len(columns)]
    lines += [
        _row(words, *(f"{figures[name][drawn]['psnr']:.1f}" for name in columns))
        for drawn, words in DRAWN.items()
    ]
    return "\n".join(lines) + "\n"


def _error(variant: Variant, features: str, task: str, metric: str, actions: int) -> str:
    values = measured(variant, "planning", features, task, metric, actions)
    if not values:
        return ""
    found = Value.of(values)
    return f"{found.mean:.1f} ± {found.spread:.1f}" if found.n > 1 else f"{found.mean:.1f}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
