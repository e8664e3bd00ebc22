"""Make the committed tables and figures again from the committed results: `make docs`.

It reads docs/results/EXPERIMENT/*.json (see scripts/experiments.py), docs/results/action_use.json
and neighbours.json, docs/results/gpu/*.json (scripts/gpu.sh), docs/curves and docs/speed/*.json. It
writes docs/results.md, docs/world_model.md, docs/benchmark.md and docs/methods/contrast.md from
templates beside this file, docs/claims.md, docs/speed.md, docs/figures/ and the table in README.md
between its two markers, and docs/gpu.md once there are results of a GPU. Some figures need a run's
weights: neighbours.py, imagination.py and explored.py draw them.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import claims
import conditioning
import costs
import gpu_page
import neighbours
import pixels
import predictors
import reliability
import speed
import stages
import tables
import world_models
from committed import DOCS, Committed
from seqjepa.config import from_json
from seqjepa.report import charts, style
from seqjepa.report.benchmark.entries import Entry, entries
from seqjepa.report.benchmark.pareto import draw_pareto
from seqjepa.report.benchmark.table import benchmark_table, markdown
from seqjepa.report.style import Picture, picture
from wrapping import wrap

PROGRAMS = Path(__file__).parent
README = DOCS.parent / "README.md"

# The contenders of docs/benchmark.md, as `seqjepa benchmark` names them; the demo has a name of its
# own, as its settings are many.
METHODS = ("byol", "simclr", "vicreg", "vicreg_traj", "sen", "equimod", "sie", "conditional_byol")
CONTENDERS = {
    "demo": "seq_jepa:demo",
    "demo_online": "seq_jepa:demo,target=online",
    "every": "seq_jepa:predict=every",
    "last": "seq_jepa:predict=last",
    "simclr_cold": "simclr:temperature=0.1",
    "simclr_cold_inverse": "simclr:temperature=0.1,inverse=5",
    "equimod_inverse": "equimod:inverse=5",
    **{name: name for name in (*METHODS, "conv_jepa", "supervised")},
}
# The curves of docs/figures/conditioning.png: names of runs, what they are called, their colours.
LONG = (("demo", "demo", style.AGG), ("every", "every", style.Z), ("last", "last", style.RANDOM))
IN_TIME = """
![R² of rotation while training](figures/conditioning.png)

*Runs of three million views while training, by the online probe.*
"""
DEMO = "the demo"
LONG_DEMO = "the demo, three million views"
EVERY = "cosine, every next view"
SUPERVISED = "*supervised, the ceiling*"
# The rows of tables, by the runs' names.
IN_README = {
    "equal_views/demo": "**the demo**",
    "equal_views/demo_online": "**the demo with online targets**",
    "long/demo": "**the demo's objective, three million views**",
    "equal_views/every": "the paper's loss, every next view predicted",
    "equal_views/last": "the paper's objective, the last view predicted",
    "equal_views/equimod": "EquiMod",
    "equal_views/supervised": SUPERVISED,
}
OBJECTIVES = {
    "demo": DEMO,
    "demo_online": "the demo with online targets",
    "demo_both": "the demo with actions in the aggregator, too",
    "every": EVERY,
    "last": "cosine, the last view (the paper)",
    "equimod": "EquiMod",
    "equimod_inverse": "EquiMod with inverse 5",
    "simclr_cold": "SimCLR at temperature 0.1",
    "simclr_cold_inverse": "SimCLR at temperature 0.1 with inverse 5",
    "vicreg": "VICReg",
    "supervised": SUPERVISED,
}
OTHER_PREDICTORS = {
    "sie": "SIE",
    "sen": "SEN",
    "conditional_byol": "Conditional BYOL",
    "conv_jepa": "Conv-JEPA",
}
MORE_VIEWS = {
    "equal_views/demo": f"{DEMO}, one million views",
    "long/demo": f"{DEMO}, three million",
    "equal_views/every": f"{EVERY}, one million",
    "long/every": f"{EVERY}, three million",
    "equal_views/last": "cosine, the last view (the paper), one million",
    "long/last": "cosine, the last view (the paper), three million",
    "equal_views/equimod": "EquiMod, one million",
    "long/equimod": "EquiMod, three million",
}
# Those that further parts of an evaluation may have asked.
ASKED = {
    "equal_views/last": "cosine, the last view (the paper)",
    "equal_views/demo": DEMO,
    "long/demo": LONG_DEMO,
}
# Columns of the tables of docs/world_model.md.
PLANNERS = {"equal_views/demo": "demo", "long/demo": "long", "equal_views/equimod": "EquiMod"}
GAZES = {
    "pixels/cliparts_last": "the paper's objective",
    "pixels/cliparts_demo": "the demo's",
}
DECODERS = {"equal_views/demo_seed0": "demo", "long/demo_seed0": "long"}
# The demo with fewer objects to learn from.
OBJECTS = {
    "equal_views/demo": "12,000",
    "equal_views/demo_1160": "1,160",
    "equal_views/demo_290": "290",
}
OPTIONS = {
    "every": f"{EVERY} (none of them)",
    "contrast": "contrast alone",
    "inverse": "inverse 5 alone",
    "present": "present alone",
    "film": "film alone",
    "demo": "all five (the demo)",
    "demo_online": "with online targets",
    "demo_online_no_actions": "with online targets, without actions",
    "demo_both": "with actions in the aggregator, too",
    "demo_no_actions": "without actions",
    "demo_no_contrast": "without contrast",
    "demo_no_inverse": "without inverse",
    "demo_no_present": "without present",
    "demo_no_film": "without film",
    "demo_others": "negatives: other objects only",
    "demo_own": "negatives: the own object only",
}


def main() -> None:
    runs = Committed.read()
    compared = contenders(runs)

    _fill("results", **results_tables(runs))
    _fill("methods/contrast", **objective_tables(runs))
    _fill("world_model", **world_model_tables(runs))
    _fill("benchmark", all=_compared(compared), costs=costs.table(), **length_tables(runs))
    (DOCS / "claims.md").write_text(claims.page(runs))
    (DOCS / "speed.md").write_text(speed.page())
    if reliability.RESULTS.exists():
        reliability.PAGE.write_text(reliability.page())
    if gpu_page.read():
        _fill("gpu", **gpu_page.parts())
    write_readme(tables.table(runs, IN_README))

    (DOCS / "figures").mkdir(exist_ok=True)
    with style.look():
        for drawn in pictures(runs, compared):
            (DOCS / "figures" / f"{drawn.name}.png").write_bytes(drawn.png)


def contenders(runs: Committed) -> list[Entry]:
    """Return the contenders of docs/benchmark.md at equal views."""
    found = {
        label: runs[f"equal_views/{name}"]
        for name, label in CONTENDERS.items()
        if f"equal_views/{name}" in runs
    }
    conditioned = {
        label: from_json(variant.runs[0].config).method.uses_actions
        for label, variant in found.items()
    }
    results = [
        (label, run.results)
        for label, variant in found.items()
        for run in variant.runs
        if run.results
    ]
    return entries(results, conditioned)


def results_tables(runs: Committed) -> dict[str, str]:
    """Return the tables of docs/results.md."""
    measure = {f"equal_views/{name}": OBJECTIVES[name] for name in claims.IN_BOTH}
    in_time = {
        f"equal_time/{name}": label
        for name, label in OBJECTIVES.items()
        if name not in claims.IN_BOTH
    }
    curves = any(name.startswith("long/") for name in runs)
    real = {name: runs[f"pixels/{name}"] for name in pixels.RUNS if f"pixels/{name}" in runs}
    return {
        "equal_time": tables.table(runs, measure | in_time, controls=False),
        "conditioning": conditioning.table(runs),
        "more_views": tables.table(runs, MORE_VIEWS, controls=False) + (IN_TIME if curves else ""),
        "predictors": predictors.table(
            runs,
            _at_equal_views(OBJECTIVES | OTHER_PREDICTORS)
            | {"long/demo": LONG_DEMO}
            | {name: f"{label}, in equal time" for name, label in in_time.items()},
        ),
        "path": predictors.path_table(runs, ASKED),
        "stages": stages.table(runs, ASKED),
        "objects": tables.table(runs, OBJECTS, controls=False, head="training objects"),
        "pixel_classes": pixels.class_table(real),
        "pixel_poses": pixels.pose_table(real),
    }


def objective_tables(runs: Committed) -> dict[str, str]:
    """Return the tables of docs/methods/contrast.md."""
    columns = (*tables.FIGURES, tables.UNSEEN)
    return {
        "objectives": tables.table(runs, _at_equal_views(OBJECTIVES), columns, head="objective"),
        "neighbours": neighbours.table(_at_equal_views(OBJECTIVES) | {"long/demo": LONG_DEMO}),
        "options": tables.table(runs, _at_equal_views(OPTIONS), columns, controls=False),
    }


def world_model_tables(runs: Committed) -> dict[str, str]:
    """Return the tables of docs/world_model.md."""
    return {
        "planning": world_models.planning_table(runs, PLANNERS, "rotation", "median_degrees"),
        "saccades": world_models.planning_table(runs, GAZES, "position", "median_pixels"),
        "decoders": world_models.decoder_table(DECODERS),
    }


def length_tables(runs: Committed) -> dict[str, str]:
    """Return the tables of sequence lengths in docs/benchmark.md."""
    found = {}
    for experiment in ("equal_views", "equal_sequences"):
        rows = {claims.of_length(experiment, m): f"M = {m}" for m in claims.LENGTHS}
        found[f"lengths_{experiment}"] = tables.table(runs, rows, controls=False)
    return found


def write_readme(table: str) -> None:
    """Write the table between README's two markers."""
    # The markers stay, so that the table can be replaced again.
    marked = r"(?s)(<!-- results -->\n).*?(<!-- end -->)"
    filled = re.sub(marked, lambda found: f"{found[1]}{table}{found[2]}", README.read_text())
    README.write_text(filled)


def pictures(runs: Committed, compared: list[Entry]) -> Iterator[Picture]:
    """Yield the pictures of docs/figures that are made from committed results."""
    demo, ceiling = runs["equal_views/demo"], runs.get("equal_views/supervised")
    by_views = charts.accuracy_by_views(demo, 29, ceiling=ceiling)
    yield picture("invariance", by_views, "accuracy against the number of views")

    by_features = charts.pose_by_features(demo, ceiling=ceiling)
    yield picture("equivariance", by_features, "R² of the change of pose between two views")

    if (pareto := draw_pareto(compared)) is not None:
        yield picture("benchmark", pareto, "accuracy of all methods against the R² of rotation")
    if (rotation := _rotation_in_time(runs)) is not None:
        yield picture("conditioning", rotation, "R² of rotation while training")
    yield from gpu_page.pictures(gpu_page.read())


def _at_equal_views(rows: dict[str, str]) -> dict[str, str]:
    return {f"equal_views/{name}": label for name, label in rows.items()}


def _fill(name: str, **parts: str) -> None:
    """Write a page from its template."""
    template = (PROGRAMS / f"{Path(name).name}.md.in").read_text()
    (DOCS / f"{name}.md").write_text(template.format(**parts))


def _compared(found: list[Entry]) -> str:
    """Return the contenders' table.

    Each contender links to the results of its first seed, which hold its config.
    """
    links = {label: f"results/equal_views/{name}_seed0.json" for name, label in CONTENDERS.items()}
    lines = markdown(benchmark_table(found), links).split("\n")
    return "\n".join(wrap(line) if line.startswith("- ") else line for line in lines)


def _rotation_in_time(runs: Committed) -> Figure | None:
    """Draw the online probe's R² against the views seen, with actions and without, of long runs.

    Each point is the mean of ten logged values.
    """
    title = "Rotation, from two views' z, while training"
    axis_labels = ("views seen, millions", "R² of the online probe")
    figure, axes = style.panel(title, *axis_labels, (5.6, 3.8))

    ends = []
    for name, label, colour in LONG:
        for suffix, told, dashes in (("", "", "-"), ("_no_actions", ", no actions", (0, (3, 2)))):
            if f"long/{name}{suffix}" not in runs:
                continue
            path = DOCS / "curves" / "long" / f"{name}{suffix}_seed0.json"
            curves = json.loads(path.read_text())

            # Single values are noisy. A last group of fewer than ten is left out.
            whole = len(curves["views_seen"]) // 10 * 10
            views = np.array(curves["views_seen"][:whole]).reshape(-1, 10)
            scores = np.array(curves["online/action_r2"][:whole]).reshape(-1, 10)
            x, y = views[:, -1] / 1e6, scores.mean(1)
            axes.plot(x, y, color=colour, linestyle=dashes)
            ends.append((float(x[-1]), float(y[-1]), f"{label}{told}", colour))

    if not ends:
        return None
    axes.set_ylim(0, None)
    style.place_labels(axes, ends)
    return figure


if __name__ == "__main__":
    main()
