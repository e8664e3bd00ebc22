"""Neighbours in z: docs/figures/neighbours.png and docs/results/neighbours.json.

    .venv/bin/python scripts/docs/neighbours.py runs/equal_views/demo_seed0 [RUN_DIR ...]

The figure shows views of test objects with their nearest neighbours in the first run's z among the
views of other objects. The file has the median angle to the neighbours' rotation, and the share of
neighbours of the same class, in z and z_AGG of every run and among views drawn at random. The runs'
figures are added to it.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev

from committed import DOCS, RESULTS, by_run
from seqjepa import load
from seqjepa.report import neighbours, sample, style

MEASURED = RESULTS / "neighbours.json"


def main() -> None:
    # Runs that were measured before stay, since their weights may be gone.
    measured = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    for number, run_dir in enumerate(map(Path, sys.argv[1:])):
        model = load(run_dir)
        drawn = sample.draw(model, model.experiment.world.build())
        measured["/".join(run_dir.parts[-2:])] = {
            representation: asdict(neighbours.nearness(drawn, representation))
            for representation in ("z", "agg", "chance")
        }

        if number == 0:
            with style.look():
                figure = neighbours.draw_neighbours(drawn, "z")
                png = style.picture("neighbours", figure, "views and their neighbours in z").png
            (DOCS / "figures" / "neighbours.png").write_bytes(png)
    MEASURED.write_text(json.dumps(measured, indent=1) + "\n")


def table(rows: Mapping[str, str]) -> str:
    """Return a table in Markdown of the measured runs, the seeds of a run in one row.

    Args:
        rows: names of runs, `experiment/run`, with their labels.
    """
    if not MEASURED.exists():
        return "*Not measured yet.*\n"
    measured = json.loads(MEASURED.read_text())
    seeds = by_run(measured)

    lines = ["| objective | n | median angle, ° | of the same class, % |", "|---|---:|---:|---:|"]
    for name, label in rows.items():
        if found := seeds.get(name):
            lines.append(_row(label, [figures["z"] for figures in found]))
    # Drawn at random they are the same for all.
    lines.append(_row("views drawn at random", [next(iter(measured.values()))["chance"]]))
    return "\n".join(lines) + "\n"


def _row(label: str, found: Sequence[Mapping[str, float]]) -> str:
    cells = []
    for values in ([each["angle"] for each in found], [100 * each["same_class"] for each in found]):
        spread = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
        cells.append(f"{mean(values):.1f}{spread}")
    return f"| {label} | {len(found)} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
