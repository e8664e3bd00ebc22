"""What conditioning on actions does: the table in docs/results.md.

Runs with and without actions stand side by side, with the share of the loss that actions explain
(scripts/action_use.py).
"""

import json

from committed import RESULTS, Committed
from evidence import AGG, ROTATION, VIEW, difference, figure, views_seen
from seqjepa.report.tables import text

OBJECTIVES = {
    "last": "the last view (the paper)",
    "every": "every next view",
    "demo": "the demo's",
}
HEAD = (
    "| objective | views | n | relative R², actions | without | difference "
    "| z, actions, % | without | z_AGG of five, actions, % | without | loss explained |"
)


def table(runs: Committed) -> str:
    """Return the table in Markdown."""
    lines = [HEAD, "|---|---:|---:|" + "---:|" * 8]
    shares = _shares()
    for experiment in ("equal_views", "long"):
        for name, label in OBJECTIVES.items():
            sighted, blind = f"{experiment}/{name}", f"{experiment}/{name}_no_actions"
            if sighted not in runs or blind not in runs:
                continue
            pair = (runs[sighted], runs[blind])
            n = "/".join(dict.fromkeys(str(len(each.runs)) for each in pair))

            turns = [figure(each, ROTATION) for each in pair]
            cells = [label, views_seen(pair[0]), n, *(text(each, "r2") for each in turns)]
            cells.append(difference(*turns))
            cells += [text(figure(v, asked), "top1") for asked in (VIEW, AGG) for v in pair]
            share = shares.get(sighted)
            cells.append("–" if share is None else f"{100 * share:.0f} %")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n" if len(lines) > 2 else "*Not measured yet.*\n"


def _shares() -> dict[str, float]:
    """Return the share of the loss that actions explain, the mean over a run's seeds."""
    path = RESULTS / "action_use.json"
    if not path.exists():
        return {}
    found: dict[str, list[float]] = {}
    for name, measured in json.loads(path.read_text())["runs"].items():
        found.setdefault(name.rpartition("_seed")[0], []).append(measured["explained"])
    return {name: sum(shares) / len(shares) for name, shares in found.items()}
