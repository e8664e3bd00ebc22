"""The table of what a view costs in docs/benchmark.md, from docs/speed/methods.json."""

import json
from pathlib import Path

from seqjepa.speed.cost import Cost

COSTS = Path(__file__).parents[2] / "docs" / "speed" / "methods.json"
HEADS = ("method", "predictions per step", "FLOPs per view, millions", "time per view, ratio")


def table(path: Path = COSTS) -> str:
    """Return the table in Markdown, from the output of `seqjepa speed methods --json`."""
    if not path.exists():
        return "*Not measured yet.*"

    costs = [Cost(**data) for data in json.loads(path.read_text())["figures"]]
    lines = [f"| {' | '.join(HEADS)} |", "|---|---:|---:|---:|"]
    for cost in costs:
        method, *cells = cost.cells
        lines.append(f"| `{method}` | {' | '.join(cells)} |")

    # Ratios differ between precisions.
    precisions = sorted({cost.precision for cost in costs})
    return "\n".join([*lines, "", f"Times are in {' and '.join(precisions)}."])
