"""Make the committed tables and figures again from the committed results: `make docs`.

Reads docs/results/*.json (one results.json per run, see scripts/experiments.py) and
docs/results/benchmark/*.json (those of `seqjepa benchmark`) and docs/speed/*.json, writes
docs/results.md, docs/benchmark.md, docs/claims.md, docs/speed.md, docs/figures/ and the table in
README.md between its two markers. The sequences in docs/figures/sequences.png are rendered."""

import json
import re
from dataclasses import replace
from pathlib import Path

import claims
import numpy as np
import pixels
from matplotlib.figure import Figure

import speed
from seqjepa.config import from_json
from seqjepa.keys import draw_key
from seqjepa.recipes.shapes import shapes_tiny
from seqjepa.report import charts, style
from seqjepa.report.benchmark.entries import Entry, entries
from seqjepa.report.benchmark.pareto import draw_pareto
from seqjepa.report.benchmark.table import benchmark_table, markdown
from seqjepa.report.runs import Run, Variant, group
from seqjepa.report.strips import draw_strips
from seqjepa.report.style import Picture, picture
from seqjepa.report.tables import text, value

DOCS = Path(__file__).parent
SHOWN = [6, 13, 17, 24]  # of the sequences drawn, those in the picture

Question = tuple[str, str, str, int, str, str]  # features, task, input, views, metric, split
CLASS = [(f"{name}, M = {m}", (f, "class", i, m, "top1", "test")) for f, i, m, name in (
    ("model", "view", 1, "*z* of one view"),
    ("model", "mean", 5, "mean of *z*"),
    ("model", "sequence", 1, "z_AGG"),
    ("model", "sequence", 3, "z_AGG"),
    ("model", "sequence", 5, "z_AGG"),
    ("model", "sequence", 8, "z_AGG"),
    ("random", "sequence", 5, "untrained z_AGG"),
)]  # fmt: skip
POSE = [(name, (f, task, i, m, metric, split)) for name, f, task, i, m, metric, split in (
    ("relative rotation, R²", "model", "relative rotation", "pair", 2, "r2", "test"),
    ("relative rotation, median error (°)", "model", "relative rotation", "pair", 2, "median_degrees", "test"),
    ("individual rotation, R²", "model", "individual rotation", "view", 1, "r2", "test"),
    ("relative floor hue, R²", "model", "relative floor_hue", "pair", 2, "r2", "test"),
    ("relative light hue, R²", "model", "relative light_hue", "pair", 2, "r2", "test"),
    ("relative rotation, R², unseen rotations", "model", "relative rotation", "pair", 2, "r2", "ood_rotation"),
    ("relative rotation, R², unseen classes", "model", "relative rotation", "pair", 2, "r2", "ood_class"),
    ("relative rotation, R², unseen colours", "model", "relative rotation", "pair", 2, "r2", "ood_colour"),
    ("relative rotation, R², untrained *z*", "random", "relative rotation", "pair", 2, "r2", "test"),
    ("relative rotation, R², raw pixels", "pixels", "relative rotation", "pair", 2, "r2", "test"),
)]  # fmt: skip


def main() -> None:
    every, last = (
        _variant("every next view", "shapes_tiny_seed*"),
        _variant("last view (paper)", "shapes_tiny_last_seed*"),
    )
    sighted, blind = _variant("actions", "small"), _variant("no actions", "small_unconditioned")
    tables = {
        "objective": _table([every, last], CLASS + POSE),
        "conditioning": _table([sighted, blind], CLASS + POSE),
    }
    tables |= pixels.tables({name: runs(name) for name in pixels.RUNS})
    (DOCS / "results.md").write_text((DOCS / "results.md.in").read_text().format(**tables))
    compared, by_length = benchmark()
    (DOCS / "benchmark.md").write_text(
        (DOCS / "benchmark.md.in")
        .read_text()
        .format(all=_compared(compared), lengths=_compared(by_length))
    )
    (DOCS / "claims.md").write_text(claims.page(group(committed())))
    (DOCS / "speed.md").write_text(speed.page())
    readme = DOCS.parent / "README.md"
    table = _table(
        [every, last], [CLASS[i] for i in (0, 1, 4, 6)] + [POSE[i] for i in (0, 1, 8, 9)]
    )
    readme.write_text(
        re.sub(
            r"(?s)(<!-- results -->\n).*?(<!-- end -->)",
            lambda m: f"{m[1]}{table}{m[2]}",
            readme.read_text(),
        )
    )
    with style.look():
        pictures = [
            picture("sequences", _sequences(), "views of objects and the rotations between them"),
            picture(
                "invariance",
                charts.accuracy_by_views(every, 29, top=100),
                "accuracy against the number of views",
            ),
            picture(
                "equivariance",
                charts.pose_by_features(every),
                "what two views' z tell of the change of pose",
            ),
        ]
        if (figure := draw_pareto(compared)) is not None:
            pictures.append(
                picture("benchmark", figure, "accuracy of all methods against the R² of rotation")
            )
        if (figure := _rotation_in_time()) is not None:
            pictures.append(
                picture(
                    "conditioning",
                    figure,
                    "what two views' z tell of their rotation, while training, with and without actions",
                )
            )
    for p in pictures:
        _write(p)


def runs(pattern: str) -> list[Run]:
    """The committed results whose file in docs/results matches."""
    found = [
        (path, json.loads(path.read_text()))
        for path in sorted((DOCS / "results").glob(f"{pattern}.json"))
    ]
    return [Run(path, data["experiment"], {}, data) for path, data in found]


def committed() -> list[Run]:
    """All committed results. A run that is there as the demo's and as the benchmark's counts once,
    as the demo's."""
    found = runs("*")
    there = [(run.settings, run.seed) for run in found]
    return found + [run for run in runs("benchmark/*") if (run.settings, run.seed) not in there]


def benchmark() -> tuple[list[Entry], list[Entry]]:
    """The contenders on sequences of equal length, and seq-JEPA's on sequences of several. The
    demo's recipe is one of the contenders."""
    demo = [("seq_jepa:predict=every", run) for run in runs("shapes_tiny_seed*")]
    others = [run for run in committed() if run.folder.parent.name == "benchmark"]
    found = demo + [(claims.contender(run), run) for run in others]
    conditioned = {name: from_json(run.config).method.uses_actions for name, run in found}
    lengths = {name for name, _ in found if "num_views" in name} | {"seq_jepa:predict=last"}
    chosen = (
        [(name, run) for name, run in found if "num_views" not in name],
        [(name, run) for name, run in found if name in lengths],
    )
    compared, by_length = (
        entries([(name, run.results) for name, run in part if run.results], conditioned)
        for part in chosen
    )
    return compared, by_length


def _compared(found: list[Entry]) -> str:
    """Their table; each links to the results of its first seed, which hold its config."""
    first = {claims.contender(run): run.folder for run in reversed(runs("benchmark/*"))}
    first["seq_jepa:predict=every"] = DOCS / "results" / "shapes_tiny_seed0.json"
    links = {name: path.relative_to(DOCS).as_posix() for name, path in first.items()}
    return markdown(benchmark_table(found), links) if found else "*Not measured yet.*"


def _variant(label: str, pattern: str) -> Variant:
    return Variant(label, tuple(runs(pattern)))


def _table(variants: list[Variant], rows: list[tuple[str, Question]]) -> str:
    variants = [variant for variant in variants if variant.runs]
    if not variants:
        return "*Not measured yet.*\n"
    heads = [
        f"{v.label} (n = {len(v.runs)}, {v.runs[0].results['step']:,} steps)" for v in variants
    ]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    lines += [
        f"| {name} | " + " | ".join(_cell(v, question) for v in variants) + " |"
        for name, question in rows
    ]
    return "\n".join(lines) + "\n"


def _cell(variant: Variant, question: Question) -> str:
    """Mean ± standard deviation over seeds; accuracies in per cent."""
    features, task, source, views, metric, split = question
    return text(value(variant.runs, features, split, (task, source, views, metric)), metric)


def _rotation_in_time() -> Figure | None:
    """The online probe's R² against the views seen, with actions and without; each point is the
    mean of ten logged ones."""
    figure, axes = style.panel(
        "Rotation, from two views' z, while training",
        "views seen, millions",
        "R² of the online probe",
        (5.0, 3.5),
    )
    ends = []
    for name, label, colour in (
        ("small", "actions", style.Z),
        ("small_unconditioned", "no actions", style.RANDOM),
    ):
        path = DOCS / "curves" / f"{name}.json"
        if not path.exists():
            return None
        curves = json.loads(path.read_text())
        whole = len(curves["views_seen"]) // 10 * 10
        views, scores = (
            np.array(curves[key][:whole]).reshape(-1, 10)
            for key in ("views_seen", "online/action_r2")
        )
        x, y = views[:, -1] / 1e6, scores.mean(1)
        axes.plot(x, y, color=colour)
        ends.append((float(x[-1]), float(y[-1]), label, colour))
    axes.set_ylim(0, None)
    style.place_labels(axes, ends)
    return figure


def _sequences():
    config = replace(shapes_tiny().world, image_size=128, train_objects=1, test_objects=29, views=4)
    world = config.build()
    index = np.array(SHOWN)
    return draw_strips(world.sequences("test", index, 4, draw_key(0, "test", 0, index)), world.spec)


def _write(p: Picture) -> None:
    (DOCS / "figures").mkdir(exist_ok=True)
    (DOCS / "figures" / f"{p.name}.png").write_bytes(p.png)


if __name__ == "__main__":
    main()
