"""Make the committed tables and figures again from the committed results: `make docs`.

It reads docs/results/*.json (one results.json per run, see scripts/experiments.py),
docs/results/benchmark/*.json (those of `seqjepa benchmark`), docs/results/objectives/*.json,
docs/curves/*.json, docs/speed/*.json and docs/results/gpu/*.json (scripts/gpu.sh). It writes
docs/results.md, docs/benchmark.md and docs/methods/contrast.md from the templates beside this file,
docs/claims.md, docs/speed.md, docs/figures/ and the table in README.md between its two markers, and
docs/gpu.md once there are results of a GPU.
The sequences in docs/figures/sequences.png are rendered.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import claims
import gpu_page
import objectives
import pixels
import speed
from evidence import contender
from seqjepa.config import from_json
from seqjepa.keys import draw_key
from seqjepa.recipes.shapes import shapes_tiny
from seqjepa.report import charts, style
from seqjepa.report.benchmark.entries import Entry, entries
from seqjepa.report.benchmark.pareto import draw_pareto
from seqjepa.report.benchmark.table import benchmark_table, markdown
from seqjepa.report.runs import Run, Variant, group, read_results
from seqjepa.report.strips import draw_strips
from seqjepa.report.style import Picture, picture
from seqjepa.report.tables import Question, text, value
from wrapping import wrap

PROGRAMS = Path(__file__).parent
DOCS = PROGRAMS.parents[1] / "docs"
README = DOCS.parent / "README.md"
SEQUENCES = [6, 13, 17, 24]  # test objects in docs/figures/sequences.png


@dataclass(frozen=True)
class TableRow:
    """A row of a table of results.

    Attributes:
        name: its head.
        question: what was measured.
        features: on which features: `model`, `random` (untrained) or `pixels`.
        split: on which split.
        in_readme: whether the short table in README has it, too.
    """

    name: str
    question: Question
    features: str = "model"
    split: str = "test"
    in_readme: bool = False


def _accuracy(name: str, source: str, views: int, features: str = "model") -> TableRow:
    # README shows one view, the mean of five and z_AGG of five, the last also untrained.
    in_readme = (source, views) in (("view", 1), ("mean", 5), ("sequence", 5))
    question = Question("class", source, views, "top1")
    return TableRow(f"{name}, M = {views}", question, features, in_readme=in_readme)


def _relative(
    name: str,
    factor: str = "rotation",
    metric: str = "r2",
    features: str = "model",
    split: str = "test",
) -> TableRow:
    # README shows rotation on objects of the training distribution, beside both controls.
    in_readme = factor == "rotation" and split == "test"
    question = Question(f"relative {factor}", "pair", 2, metric)
    return TableRow(f"relative {name}", question, features, split, in_readme)


def _individual(name: str, metric: str) -> TableRow:
    question = Question("individual rotation", "view", 1, metric)
    return TableRow(f"individual {name}", question, in_readme=True)


ROWS = (
    _accuracy("*z* of one view", "view", 1),
    _accuracy("mean of *z*", "mean", 5),
    _accuracy("z_AGG", "sequence", 1),
    _accuracy("z_AGG", "sequence", 3),
    _accuracy("z_AGG", "sequence", 5),
    _accuracy("z_AGG", "sequence", 8),
    _accuracy("untrained z_AGG", "sequence", 5, features="random"),
    _relative("rotation, R²"),
    _relative("rotation, median error (°)", metric="median_degrees"),
    _individual("rotation, R²", "r2"),
    _individual("rotation, median error (°)", "median_degrees"),
    _relative("floor hue, R²", factor="floor_hue"),
    _relative("light hue, R²", factor="light_hue"),
    _relative("rotation, R², unseen rotations", split="ood_rotation"),
    _relative("rotation, R², unseen classes", split="ood_class"),
    _relative("rotation, R², unseen colours", split="ood_colour"),
    _relative("rotation, R², untrained *z*", features="random"),
    _relative("rotation, R², raw pixels", features="pixels"),
)


def main() -> None:
    every = variant("every next view", "shapes_tiny_seed*")
    last = variant("last view (paper)", "shapes_tiny_last_seed*")
    compared, by_length = benchmark()

    write_results(every, last)
    _fill("methods/contrast", objectives=objectives.table(variant))
    _fill("benchmark", all=_compared(compared), lengths=_compared(by_length))
    (DOCS / "claims.md").write_text(claims.page(group(committed())))
    (DOCS / "speed.md").write_text(speed.page())
    if gpu_page.read():
        _fill("gpu", **gpu_page.parts())
    demo = variant("the demo", "objectives/demo_seed*")
    write_readme(
        demo,
        variant("the paper's cosine loss", "objectives/every_seed*"),
        variant("EquiMod", "objectives/equimod_seed*"),
    )

    (DOCS / "figures").mkdir(exist_ok=True)
    with style.look():
        for drawn in pictures(demo, compared):
            (DOCS / "figures" / f"{drawn.name}.png").write_bytes(drawn.png)


def runs(pattern: str) -> list[Run]:
    """Return the committed results whose file in docs/results matches."""
    found = []
    for path in sorted((DOCS / "results").glob(f"{pattern}.json")):
        results = read_results(path)
        found.append(Run(path, results["experiment"], {}, results))
    return found


def variant(label: str, pattern: str) -> Variant:
    """Return the committed results that match as the seeds of one variant."""
    return Variant(label, tuple(runs(pattern)))


def committed() -> list[Run]:
    """Return all committed results.

    A run that belongs to the demo and to the benchmark is counted once, with the demo.
    """
    # Settings leave out the name, in which the two differ.
    demo = runs("*")
    counted = [(run.settings, run.seed) for run in demo]
    others = [run for run in runs("benchmark/*") if (run.settings, run.seed) not in counted]
    return demo + others


def benchmark() -> tuple[list[Entry], list[Entry]]:
    """Return the contenders at one sequence length, and seq-JEPA's at several lengths.

    The demo's recipe is one of the contenders.
    """
    found = [("seq_jepa:predict=every", run) for run in runs("shapes_tiny_seed*")]
    others = [run for run in committed() if run.folder.parent.name == "benchmark"]
    found += [(contender(run), run) for run in others]
    conditioned = {name: from_json(run.config).method.uses_actions for name, run in found}

    # The paper's objective, whose sequences have the recipe's length, stands in both tables.
    other_lengths = {name for name in conditioned if "num_views" in name}
    lengths = other_lengths | {"seq_jepa:predict=last"}

    def chosen(names: set[str]) -> list[Entry]:
        results = [(name, run.results) for name, run in found if name in names and run.results]
        return entries(results, conditioned)

    return chosen(set(conditioned) - other_lengths), chosen(lengths)


def write_results(every: Variant, last: Variant) -> None:
    """Write docs/results.md."""
    conditioning = [variant("actions", "small"), variant("no actions", "small_unconditioned")]
    real = {name: runs(name) for name in pixels.RUNS}
    _fill(
        "results",
        objective=results_table([every, last], ROWS),
        conditioning=results_table(conditioning, ROWS),
        pixel_classes=pixels.class_table(real),
        pixel_poses=pixels.pose_table(real),
    )


def write_readme(*variants: Variant) -> None:
    """Write the table between README's two markers."""
    short = results_table(variants, [row for row in ROWS if row.in_readme])
    # The markers stay, so that the table can be replaced again.
    marked = r"(?s)(<!-- results -->\n).*?(<!-- end -->)"
    filled = re.sub(marked, lambda found: f"{found[1]}{short}{found[2]}", README.read_text())
    README.write_text(filled)


def results_table(variants: Sequence[Variant], rows: Sequence[TableRow]) -> str:
    """Return a table in Markdown, one column for each variant that has runs."""
    known = [variant for variant in variants if variant.runs]
    if not known:
        return "*Not measured yet.*\n"

    heads = [f"{v.label} (n = {len(v.runs)}, {_steps(v)} steps)" for v in known]
    lines = [f"| | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
    for row in rows:
        cells = " | ".join(_cell(v, row) for v in known)
        lines.append(f"| {row.name} | {cells} |")
    return "\n".join(lines) + "\n"


def pictures(demo: Variant, compared: list[Entry]) -> Iterator[Picture]:
    """Yield the pictures of docs/figures that are made from committed results."""
    yield picture("sequences", _sequences(), "views of objects and the rotations between them")

    by_views = charts.accuracy_by_views(demo, 29, top=100)
    yield picture("invariance", by_views, "accuracy against the number of views")

    by_features = charts.pose_by_features(demo)
    yield picture("equivariance", by_features, "R² of the change of pose between two views")

    if (pareto := draw_pareto(compared)) is not None:
        yield picture("benchmark", pareto, "accuracy of all methods against the R² of rotation")
    if (rotation := _rotation_in_time()) is not None:
        yield picture("conditioning", rotation, "R² of rotation while training")
    yield from gpu_page.pictures(gpu_page.read())


def _fill(name: str, **parts: str) -> None:
    """Write a page from its template."""
    template = (PROGRAMS / f"{Path(name).name}.md.in").read_text()
    (DOCS / f"{name}.md").write_text(template.format(**parts))


def _compared(found: list[Entry]) -> str:
    """Return the contenders' table.

    Each contender links to the results of its first seed, which hold its config.
    """
    if not found:
        return "*Not measured yet.*"

    # Reversed, so that of several seeds the first one is kept.
    first = {contender(run): run.folder for run in reversed(runs("benchmark/*"))}
    first["seq_jepa:predict=every"] = DOCS / "results" / "shapes_tiny_seed0.json"
    links = {name: path.relative_to(DOCS).as_posix() for name, path in first.items()}

    lines = markdown(benchmark_table(found), links).split("\n")
    return "\n".join(wrap(line) if line.startswith("- ") else line for line in lines)


def _steps(variant: Variant) -> str:
    results = variant.runs[0].results or {}
    return f"{results['step']:,}"


def _cell(variant: Variant, row: TableRow) -> str:
    """Return mean ± standard deviation over seeds; accuracies in per cent."""
    return text(value(variant.runs, row.features, row.split, row.question), row.question.metric)


def _rotation_in_time() -> Figure | None:
    """Draw the online probe's R² against the views seen, with actions and without.

    Each point is the mean of ten logged values.
    """
    title = "Rotation, from two views' z, while training"
    axis_labels = ("views seen, millions", "R² of the online probe")
    figure, axes = style.panel(title, *axis_labels, (5.0, 3.5))

    ends = []
    shown = (("small", "actions", style.Z), ("small_unconditioned", "no actions", style.RANDOM))
    for name, label, colour in shown:
        path = DOCS / "curves" / f"{name}.json"
        if not path.exists():
            return None
        curves = json.loads(path.read_text())

        # Single values are noisy. A last group of fewer than ten is left out.
        whole = len(curves["views_seen"]) // 10 * 10
        views = np.array(curves["views_seen"][:whole]).reshape(-1, 10)
        scores = np.array(curves["online/action_r2"][:whole]).reshape(-1, 10)

        x, y = views[:, -1] / 1e6, scores.mean(1)
        axes.plot(x, y, color=colour)
        ends.append((float(x[-1]), float(y[-1]), label, colour))

    axes.set_ylim(0, None)
    style.place_labels(axes, ends)
    return figure


def _sequences() -> Figure:
    """Draw sequences of the demo's world, larger than the demo's views."""
    config = replace(shapes_tiny().world, image_size=128, train_objects=1, test_objects=29, views=4)
    world = config.build()
    index = np.array(SEQUENCES)
    return draw_strips(world.sequences("test", index, 4, draw_key(0, "test", 0, index)), world.spec)


if __name__ == "__main__":
    main()
