"""docs/speed.md: what `seqjepa speed` found, each figure beside what is promised of it and the
plain reference of the same run.

Written by `make docs` from docs/speed/*.json, the output of `seqjepa speed NAME --json`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqjepa.speed.figure import Amount, Figure

FOLDER = Path(__file__).parent / "speed"
NAMES = {
    "render": "Rendering",
    "step": "A training step",
    "load": "Loading",
    "augment": "Augmentations",
    "saccades": "Saccades",
    "start": "Starting",
}
INTRODUCTION = """# Speed

What `seqjepa speed` measures: this package and a plain reference take turns in one run, most of it on one core, and the least of each
counts. So ratios can be compared between machines; amounts hardly can.
"""


def page() -> str:
    """The page, in Markdown."""
    return "\n".join([INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    for name, title in NAMES.items():
        path = FOLDER / f"{name}.json"
        if not path.exists():
            yield f"## {title}\n\n*Not measured yet.*\n"
            continue
        found = json.loads(path.read_text())
        yield f"## {title}\n\n`seqjepa speed {name}`, {_machine(found['machine'])}.\n"
        yield "| | figure | promised | kept | ours | plain |\n|---|---|---|---|---|---|"
        yield from map(_row, found["figures"])
        yield ""


def _row(data: dict[str, Any]) -> str:
    holds = data.pop("holds")
    amounts = {key: Amount(**data.pop(key)) for key in ("value", "ours", "plain")}
    figure = Figure(**amounts, **data)
    kept = {True: "yes", False: "**no**", None: ""}[holds]
    return f"| {figure.what} | **{figure.value}** | {figure.promised} | {kept} | {figure.ours} | {figure.plain} |"


def _machine(machine: dict[str, Any]) -> str:
    versions = ", ".join(
        f"{name} {machine[name]}" for name in ("seqjepa", "torch", "numpy", "numba")
    )
    return f"{machine['cores']} cores with {machine['cpu']}, load {machine['load']:.1f}; {versions}"
