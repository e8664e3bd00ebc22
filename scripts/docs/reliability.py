"""The page docs/reliability.md, from docs/results/soak.json (scripts/soak.py)."""

import json
from pathlib import Path
from typing import Any

from wrapping import wrap

DOCS = Path(__file__).parents[2] / "docs"
RESULTS, PAGE = DOCS / "results" / "soak.json", DOCS / "reliability.md"
TEMPLATE = Path(__file__).with_suffix(".md.in")
# What a run holds, as the page calls it.
HELD = {
    "memory": "resident memory, MiB",
    "descriptors": "open files",
    "files": "files in the run folder",
    "checkpoints": "bytes of checkpoints",
}


def page(results: Path = RESULTS) -> str:
    """Return the page."""
    found = json.loads(results.read_text())
    about = found["environment"]
    intro = wrap(
        f"The figures below are of one go of {found['minutes']:.0f} minutes: seed {found['seed']}, "
        f"{found['cpu']}, torch {about['torch']}, {about['precision']}. "
        f"Of all tries, {len(found['failed']) or 'none'} failed."
    )
    return TEMPLATE.read_text().format(
        intro=intro,
        catalogue=_catalogue(found["catalogue"]),
        fuzz=_fuzz(found["fuzz"]),
        total=f"{sum(figures['tries'] for figures in found['fuzz'].values()):,}",
        steps=_steps(found["steps"]),
    )


def _catalogue(rows: list[dict[str, Any]]) -> str:
    lines = ["| fault | promise | tries | survived |", "|---|---|---:|---:|"]
    lines += [
        f"| {row['fault']} | {row['promise']} | {row['tries']} | {row['survived']} |"
        for row in rows
    ]
    return "\n".join(lines)


def _fuzz(figures: dict[str, dict[str, int]]) -> str:
    lines = ["| data sets | tries | survived |", "|---|---:|---:|"]
    lines += [
        f"| {name} | {found['tries']:,} | {found['survived']:,} |"
        for name, found in figures.items()
    ]
    return "\n".join(lines)


def _steps(found: dict[str, Any]) -> str:
    half = f"{found['steps'] // 2:,}"
    lines = [f"| at most | before step {half} | after |", "|---|---:|---:|"]
    lines += [
        f"| {title} | {found['first_half'][key]:,} | {found['last_half'][key]:,} |"
        for key, title in HELD.items()
    ]
    return "\n".join(lines)
