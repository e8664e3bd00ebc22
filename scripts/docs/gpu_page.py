"""The page docs/gpu.md: curves and tables of docs/results/gpu/*.json (scripts/gpu.sh)."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import speed
import tables
from seqjepa.report import style
from seqjepa.report.runs import Run, read_results
from seqjepa.report.style import Picture, picture
from seqjepa.report.tables import text, value
from wrapping import wrap

FOLDER = Path(__file__).parents[2] / "docs" / "results" / "gpu"

# By the names of their files: label, colour and dashes. Dashed lines know no actions.
LINES = {
    "last": ("last view (paper)", style.VARIANTS[0], "-"),
    "last_no_actions": ("last view, no actions", style.VARIANTS[0], "--"),
    "every": ("every next view", style.VARIANTS[1], "-"),
    "ours": ("the demo’s objective", style.VARIANTS[2], "-"),
    "equimod": ("EquiMod", style.VARIANTS[3], "-"),
    "byol": ("BYOL", style.VARIANTS[3], "--"),
}
# By the names of the pictures: curve, title, axis, factor, and what is seen.
PANELS = {
    "gpu_rotation": (
        "online/action_r2",
        "Rotation, from two views’ z, while training",
        "R² of the online probe",
        1,
        "R² of rotation against the views seen",
    ),
    "gpu_class": (
        "online/class_view",
        "Class, from one view’s z, while training",
        "top-1 accuracy of the online probe, %",
        100,
        "accuracy against the views seen",
    ),
}

Results = Mapping[str, dict[str, Any]]


def read(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """Return what is there of each contender, by its name."""
    paths = {name: folder / f"{name}.json" for name in LINES}
    return {name: read_results(path) for name, path in paths.items() if path.exists()}


def parts(folder: Path = FOLDER) -> dict[str, str]:
    """Return the parts of the page; there are results."""
    found = read(folder)
    first = next(iter(found.values()))
    views = first["curves"]["views_seen"][-1]
    # The two calls may have been on different machines.
    devices = dict.fromkeys(results["trained"]["device"] for results in found.values())
    step = folder / "speed.json"
    return {
        "views": f"{views / 1e6:.1f} million",
        "device": " and one ".join(devices),
        "precision": first["trained"]["precision"],
        "steps": f"{first['step']:,}",
        "rising": rising(found),
        "table": table(found),
        "speed": speed.table("step --device cuda", step)
        if step.exists()
        else "*Not measured yet.*",
    }


def rising(found: Results) -> str:
    """Return a sentence for each probe that had not converged; empty if all had."""
    probes: dict[str, list[str]] = {}
    for name, results in found.items():
        for record in results["records"]:
            labels = probes.setdefault(f"{record['task']} from the {record['input']}", [])
            if record["rising"] and LINES[name][0] not in labels:
                labels.append(LINES[name][0])

    most = next(iter(found.values()))["experiment"]["evaluate"]["max_steps"]
    sentences = [
        f"The probe of {probe} was still improving after {most:,} steps, so its figures are too "
        f"low: {'; '.join(labels)}."
        for probe, labels in probes.items()
        if labels
    ]
    return wrap(" ".join(sentences))


def table(found: Results) -> str:
    """Return the figures of converged probes on test objects, a row for each contender."""
    heads = [*(column.title for column in tables.FIGURES), "views a second"]
    lines = [f"| objective | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]

    for name, results in found.items():
        run = Run(FOLDER / f"{name}.json", results["experiment"], {}, results)
        cells = [
            text(value([run], "model", results["split"], question), question.metric)
            for _, question, _ in tables.FIGURES
        ]
        speed_of_it = f"{results['training']['views_per_second']:,.0f}"
        link = f"[{LINES[name][0]}](results/gpu/{name}.json)"
        lines.append(f"| {link} | {' | '.join([*cells, speed_of_it])} |")
    return "\n".join(lines)


def pictures(found: Results) -> Iterator[Picture]:
    """Yield the curves of all contenders; nothing if there are none."""
    if not found:
        return
    for name, (key, title, axis, factor, seen) in PANELS.items():
        yield picture(name, _curves(found, key, title, axis, factor), seen)


def _curves(found: Results, key: str, title: str, axis: str, factor: float) -> Figure:
    """Draw the curve of each contender, which is named at its end."""
    figure, axes = style.panel(title, "views seen, millions", axis, (5.6, 3.7))
    ends = []
    for name, results in found.items():
        label, colour, dashes = LINES[name]
        x = np.array(results["curves"]["views_seen"]) / 1e6
        y = factor * np.array(results["curves"][key])
        axes.plot(x, y, dashes, color=colour)
        ends.append((float(x[-1]), float(y[-1]), label, colour))

    # The first values may be far below 0: only the ends have to be seen.
    axes.set_ylim(1.1 * min(0.0, *(y for _, y, _, _ in ends)), None)
    axes.set_xlim(0, max(x for x, _, _, _ in ends))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    style.place_labels(axes, ends)
    return figure
