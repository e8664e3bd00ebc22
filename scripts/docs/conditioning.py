"""What conditioning on actions does: the table in docs/results.md.

Runs with and without actions stand side by side, with the share of the loss that actions explain
(scripts/action_use.py).
"""

import json
from collections.abc import Iterator

from committed import RESULTS, Committed, by_run
from evidence import AGG, ROTATION, VIEW, difference, figure, views_seen
from seqjepa.report.runs import Variant
from seqjepa.report.tables import text

OBJECTIVES = {
    "last": "the last view predicted (the paper)",
    "every": "every next view predicted",
    "demo": "the demo's objective",
    "demo_both": "the demo's with actions in the aggregator, too",
}
# Without actions the two objectives of the demo are one.
BLIND = {"demo_both": "demo_no_actions"}
HEAD = (
    "| objective | views | n | relative R², actions | without | difference "
    "| z, actions, % | without | z_AGG of five, actions, % | without | loss explained |"
)


def table(runs: Committed) -> str:
    """Return the table in Markdown."""
    lines = [HEAD, "|---|---:|---:|" + "---:|" * 8]
    shares = _shares()
    for experiment, name, pair in pairs(runs):
        n = "/".join(dict.fromkeys(str(len(each.runs)) for each in pair))
        turns = [figure(each, ROTATION) for each in pair]
        cells = [OBJECTIVES[name], views_seen(pair[0]), n, *(text(each, "r2") for each in turns)]
        cells.append(difference(*turns))

        cells += [text(figure(v, asked), "top1") for asked in (VIEW, AGG) for v in pair]
        share = shares.get(f"{experiment}/{name}")
        cells.append("–" if share is None else f"{100 * share:.0f} %")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n" if len(lines) > 2 else "*Not measured yet.*\n"


def pairs(runs: Committed) -> Iterator[tuple[str, str, tuple[Variant, Variant]]]:
    """Yield experiment and objective of runs with actions and without; the longest come last."""
    for experiment in ("equal_views", "long"):
        for name in OBJECTIVES:
            blind = f"{experiment}/{BLIND.get(name, f'{name}_no_actions')}"
            sighted = f"{experiment}/{name}"
            if sighted in runs and blind in runs:
                yield experiment, name, (runs[sighted], runs[blind])


def _shares() -> dict[str, float]:
    """Return the share of the loss that actions explain, the mean over a run's seeds."""
    path = RESULTS / "action_use.json"
    if not path.exists():
        return {}
    measured = {
        name: figures["explained"] for name, figures in json.loads(path.read_text())["runs"].items()
    }
    return {name: sum(shares) / len(shares) for name, shares in by_run(measured).items()}
