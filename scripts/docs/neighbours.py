"""Pictures of a run, neighbours.png and expected.png, and docs/results/neighbours.json.

    .venv/bin/python scripts/docs/neighbours.py runs/equal_views/demo_seed0 [RUN_DIR ...]

The first shows views of test objects with their nearest neighbours in the first run's z among the
views of other objects, the second what that run's predictor expects to see. The file has the median
angle to the neighbours' rotation, and the share of neighbours of the same class, in z and z_AGG of
every run and among views drawn at random. The runs' figures are added to it.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev

from committed import DOCS, RESULTS, by_run
from seqjepa import load
from seqjepa.model import Model
from seqjepa.report import imagined, neighbours, sample, style
from seqjepa.report.sample import Sample
from seqjepa.worlds.base import World

OBJECTS = 3  # in the picture of what is expected
MEASURED = RESULTS / "neighbours.json"


def main() -> None:
    # Runs that were measured before stay, since their weights may be gone.
    measured = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    for number, run_dir in enumerate(map(Path, sys.argv[1:])):
        model = load(run_dir)
        world = model.experiment.world.build()
        drawn = sample.draw(model, world)
        measured["/".join(run_dir.parts[-2:])] = {
            representation: asdict(neighbours.nearness(drawn, representation))
            for representation in ("z", "agg", "chance")
        }

        if number == 0:
            for name, figure in pictures(model, world, drawn).items():
                (DOCS / "figures" / f"{name}.png").write_bytes(figure)
    MEASURED.write_text(json.dumps(measured, indent=1) + "\n")


def pictures(model: Model, world: World, drawn: Sample) -> dict[str, bytes]:
    """Return the two pictures of a run as PNGs, by their names."""
    objects = drawn.index[neighbours.examples(drawn, OBJECTS)]
    with style.look():
        figures = {
            "neighbours": neighbours.draw_neighbours(drawn, "z"),
            "expected": imagined.draw_imagined(model, world, objects),
        }
        return {name: style.picture(name, figure, name).png for name, figure in figures.items()}


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
