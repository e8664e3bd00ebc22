"""The page docs/speed.md: each figure beside what is promised of it and its plain reference.

Written by `make docs` from docs/speed/*.json, the output of `seqjepa speed NAME --json`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqjepa.speed.figure import Amount, Figure
from wrapping import wrap

FOLDER = Path(__file__).parents[2] / "docs" / "speed"
NAMES = {
    "render": "Rendering",
    "step": "A training step",
    "load": "Loading",
    "augment": "Augmentations",
    "saccades": "Saccades",
    "start": "Starting",
}
INTRODUCTION = """# Speed

`seqjepa speed` measures this package beside a plain reference. The two take turns in one run, most
of it on one core, and the shortest time of each counts. Ratios can therefore be compared between
machines; amounts hardly can. A step on a GPU stands [on the GPU's page](gpu.md#a-training-step).
"""
METHODS = """## Methods

`seqjepa speed methods` measures what a training view costs with each method. Its table stands
[beside the benchmark](benchmark.md#what-a-view-costs), which compares methods after equal views.
"""


def page() -> str:
    """Return the page, in Markdown."""
    return "\n".join([INTRODUCTION, *_sections(), METHODS])


def _sections() -> Iterator[str]:
    for name, title in NAMES.items():
        path = FOLDER / f"{name}.json"
        if not path.exists():
            yield f"## {title}\n\n*Not measured yet.*\n"
            continue

        yield f"## {title}\n\n{table(name, path)}\n"


def table(name: str, path: Path) -> str:
    """Return the figures of a measurement in Markdown, under the command and the machine."""
    found = json.loads(path.read_text())
    measured = wrap(f"`seqjepa speed {name}`, {_machine(found['machine'])}.")
    head = "| | figure | promised | kept | ours | plain |\n|---|---|---|---|---|---|"
    return "\n".join([f"{measured}\n", head, *map(_row, found["figures"])])


def _row(data: dict[str, Any]) -> str:
    holds = data.pop("holds")
    amounts = {key: Amount(**data.pop(key)) for key in ("value", "ours", "plain")}
    figure = Figure(**amounts, **data)
    kept = {True: "yes", False: "**no**", None: ""}[holds]
    cells = (figure.what, f"**{figure.value}**", figure.promised, kept, figure.ours, figure.plain)
    return f"| {' | '.join(map(str, cells))} |"


def _machine(machine: dict[str, Any]) -> str:
    packages = ("seqjepa", "torch", "numpy", "numba")
    versions = ", ".join(f"{name} {machine[name]}" for name in packages)
    gpu = f"{machine['gpu']}, " if machine["gpu"] else ""
    cores = f"{machine['cores']} cores with {machine['cpu']}, load {machine['load']:.1f}"
    return f"{gpu}{cores}; {versions}"
