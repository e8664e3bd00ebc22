"""The table and the figure of a benchmark, from results made by hand."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from seqjepa.benchmark.contenders import contenders
from seqjepa.config import Experiment, to_json
from seqjepa.evaluation.features import PIXELS
from seqjepa.recipes import every_method
from seqjepa.recipes.shapes import shapes_tiny
from seqjepa.report import style
from seqjepa.report.benchmark.entries import Entry, entries, figures_of_merit, shown_views
from seqjepa.report.benchmark.pareto import draw_pareto, pareto
from seqjepa.report.benchmark.table import benchmark_table, line_as_json, markdown
from seqjepa.report.tables import CONTROLS, Question
from seqjepa.worlds import arrays

# Accuracy of a view, mean, logits and z_AGG; R² relative and individual; degrees.
Figures = tuple[float, float, float, float | None, float, float, float]
NUMBERS: Mapping[str, Figures] = {"model": (0.5, 0.5, 0.5, None, 0.1, 0.1, 90.0)}


def results(experiment: Experiment, figures: Mapping[str, Figures], views: int = 8) -> dict:
    """Return the data of a results.json; means of other than five views are worth nothing."""
    records = []
    for features, numbers in figures.items():
        for question, value in answers(numbers, views).items():
            for split, worth in (("test", 1.0), ("ood_class", 0.1)):
                record = {"features": features, "split": split, "value": value * worth}
                records.append(record | question._asdict())
    return {
        "experiment": to_json(experiment),
        "step": experiment.train.steps,
        "split": "test",
        "records": records,
    }


def answers(numbers: Figures, views: int) -> dict[Question, float]:
    """Return the figures of one kind of features by their questions."""
    view, mean, logits, aggregate, relative, individual, degrees = numbers
    found = {Question("class", "view", 1, "top1"): view}
    for name, value in (("mean", mean), ("logits", logits), ("sequence", aggregate)):
        if value is not None:
            for m in range(1, views + 1):
                found[Question("class", name, m, "top1")] = value * (m == 5)
    return found | {
        Question("relative rotation", "pair", 2, "r2"): relative,
        Question("individual rotation", "view", 1, "r2"): individual,
        Question("relative rotation", "pair", 2, "median_degrees"): degrees,
        Question("relative light", "pair", 2, "r2"): 0.5,
    }


@pytest.fixture(scope="module")
def three() -> list[Entry]:
    """Two seeds of an aggregating method, a method with readouts, one of fewer views; a failure."""
    base = replace(shapes_tiny(), evaluate=replace(shapes_tiny().evaluate, max_steps=9))
    names = ["seq_jepa:predict=every", "sie:optim.lr=0.01", "vicreg_traj", "sen"]
    every, sie, traj, sen = (found.experiment for found in contenders(names, base))
    controls = {
        "random": (0.1, 0.14, 0.13, None, 0.003, -0.0004, 99.0),
        "pixels": (0.12, 0.15, 0.14, None, 0.067, 0.9, 50.0),
    }
    with_agg = controls | {"random": (0.1, 0.14, 0.13, 0.145, 0.003, -0.0004, 99.0)}

    first = {"model": (0.64, 0.89, 0.90, 0.92, 0.14, 0.3, 92.0)}
    second = {"model": (0.66, 0.91, 0.90, 0.93, 0.16, 0.3, 90.0)}
    halves = {
        "model": (0.6, 0.8, 0.79, None, 0.12, 0.31, 91.5),
        "equivariant half": (0.4, 0.6, 0.59, None, 0.2, 0.29, 85.0),
    }
    fewer = {"model": (0.7, 0.8, 0.79, None, 0.05, 0.1, 95.0)}
    given = [
        ("seq_jepa", results(replace(every, seed=1), second | with_agg)),
        ("seq_jepa", results(every, first | with_agg)),
        ("sie", results(sie, halves | controls)),
        ("vicreg_traj", results(traj, fewer | controls)),
    ]

    conditioned = {
        "seq_jepa": True,
        "sie": True,
        "sen": sen.method.uses_actions,
        "vicreg_traj": False,
    }
    return entries(given, conditioned, {"sen": ["seed 0: the loss (nan) is not finite at step 7"]})


HEAD = (
    "| method | conditioned on | z of one view, top-1, % | mean of 5 views’ z, top-1, % "
    "| mean of 5 views’ logits, top-1, % | z_AGG of 5 views, top-1, % | relative rotation, R² "
    "| individual rotation, R² | relative rotation, median error, ° | views seen | n |"
)
PAGE = f"""\
{HEAD}
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|
| vicreg_traj | – | **70.0** | 80.0 | 79.0 | – | 0.050 | 0.100 | 95.0 | 1.02 million | 1 |
| sen | actions | – | – | – | – | – | – | – | – | 0 (1 failed) |
| [sie](sie_seed0/config.json) | actions | 60.0 | 80.0 | 79.0 | – | 0.120 | **0.310** | 91.5 \
| 1.02 million | 1 |
| &emsp;equivariant half |  | 40.0 | 60.0 | 59.0 | – | **0.200** | 0.290 | **85.0** |  |  |
| seq_jepa | actions | 65.0 ± 1.4 | **90.0 ± 1.4** | **90.0 ± 0.0** | 92.5 ± 0.7 \
| 0.150 ± 0.014 | 0.300 ± 0.000 | 91.0 ± 1.4 | 1.02 million | 2 |
| *untrained features* |  | 10.0 | 14.0 | 13.0 | 14.5 ± 0.0 | 0.003 | −0.000 | 99.0 |  | 1–2 |
| *pixels, 16x16* |  | 12.0 | 15.0 | 14.0 | – | 0.067 | 0.900 | 50.0 |  | 1 |

- Mean ± standard deviation over n seeds. In bold the best of each column; controls do not \
compete, they are the first contender's that has them.
- Equal for all, but for the exceptions below: 4,000 optimizer steps; 256 views per step, \
1,024,000 in all; encoder (name resnet18, stem compact, width 16); optimizer and schedule \
(lr_end 0.0003, lr_start 1e-05, warmup 0.03, weight_decay 0.001); accumulate 1, precision auto; \
world (actions rotation, image_size 32, kind shapes, render_seed 0, test_objects 1000, \
train_objects 12000, translation 0.0, views 16); probes.
- Except vicreg_traj: 85 × 3 = 255 instead of 256 views per step.
- Except sie: optim.lr 0.01 instead of 0.001.
- Not the method's defaults in seq_jepa: action_width 64 instead of 128; dropout 0.0 instead of \
0.1; ema_momentum 0.9 instead of 0.996; predict every instead of last.
- Failed: sen, seed 0: the loss (nan) is not finite at step 7
"""


def test_in_markdown(three: list[Entry]) -> None:
    assert markdown(benchmark_table(three), {"sie": "sie_seed0/config.json"}) == PAGE


def test_one_seed_has_no_spread_and_one_contender_no_best(three: list[Entry]) -> None:
    page = markdown(benchmark_table(three[:1]))
    assert "| vicreg_traj | – | 70.0 | 80.0 | 79.0 | 0.050 |" in page
    assert "- One seed." in page and "Equal for all: 4,000" in page
    assert "Except" not in page and "±" not in page
    assert "z_AGG" not in page, "a column that nobody has is left out"


def test_who_did_not_learn_is_said(three: list[Entry]) -> None:
    controls = {"random": (0.1, 0.14, 0.13, None, 0.05, 0.01, 99.0)}
    worse = {"model": (0.09, 0.5, 0.5, None, 0.04, 0.1, 90.0)} | controls
    better = {"model": (0.09, 0.5, 0.5, None, 0.06, 0.1, 90.0)} | controls
    given = [("simclr", results(shapes_tiny(), worse)), ("vicreg", results(shapes_tiny(), better))]
    page = markdown(benchmark_table(entries(given, {"simclr": False, "vicreg": False})))
    note = "Did not learn in this recipe, z being no better than untrained features: simclr."
    assert f"- {note}\n" in page
    assert "Did not learn" not in PAGE, "R² alone is enough"


def test_settings_of_several_methods_are_told_together() -> None:
    chosen = contenders(["byol", "sen", "equimod", "vicreg"], shapes_tiny())
    given = [(found.name, results(found.experiment, NUMBERS)) for found in chosen]
    table = benchmark_table(entries(given, {name: True for name, _ in given}))
    assert [note for note in table.notes if note.startswith("Not the")] == [
        "Not the method's defaults in byol: ema_momentum 0.9 instead of 0.996.",
        "Not the method's defaults in equimod, sen: action_width 64 instead of 128.",
    ]


def test_the_supervised_ceiling_does_not_compete(three: list[Entry]) -> None:
    [taught] = contenders(["supervised:classes=29"], shapes_tiny())
    numbers = {"model": (0.99, 0.99, 0.99, None, 0.9, 0.9, 9.0)}
    given = [
        ("supervised", results(taught.experiment, numbers)),
        *((entry.name, run.results) for entry in three for run in entry.runs),
    ]
    conditioned = {"seq_jepa": True, "sie": True, "vicreg_traj": False, "supervised": False}
    found = entries(given, conditioned)
    assert [entry.name for entry in found][-1] == "supervised"

    page = markdown(benchmark_table(found), {"supervised": "x.json"})
    line = "| *[supervised](x.json)* | – | 99.0 | 99.0 | 99.0 | – | 0.900 | 0.900 | 9.0 |"
    assert line in page and "| **70.0** |" in page, "the best are those of the others"
    assert "- supervised learns from labels and actions" in page and "learns" not in PAGE

    # In the figure it is a line across each axis, inside the limits, and no mark.
    axes = draw(found).figure.axes[0]
    across, up = [line.get_xydata()[0] for line in axes.lines if line.get_linestyle() == ":"]
    assert (across[0], up[1]) == (0.9, 99.0)
    assert axes.get_xlim()[1] > 0.9 and axes.get_ylim()[1] > 99


def test_precision_is_what_was_computed_in_where_results_know_it() -> None:
    precisions = {"byol": "fp32", "sen": "bf16", "simclr": "bf16"}
    given = {}
    for found in contenders(precisions, shapes_tiny()):
        trained = {"trained": {"precision": precisions[found.name]}}
        given[found.name] = results(found.experiment, NUMBERS) | trained
    notes = benchmark_table(entries(given.items(), dict.fromkeys(given, True))).notes
    assert "Except byol: train.precision fp32 instead of bf16." in notes
    alone = benchmark_table(entries([("sen", given["sen"])], {"sen": True})).notes
    assert "precision bf16" in alone[1] and "auto" not in alone[1]


def test_all_is_not_called_none() -> None:
    experiment = replace(shapes_tiny(), world=arrays.Config(path="data"))
    found = entries([("vicreg", results(experiment, NUMBERS))], {"vicreg": True})
    assert "world (actions all," in benchmark_table(found).notes[1]


def test_numbers_of_json(three: list[Entry]) -> None:
    [*_, seq_jepa], heads = three, figures_of_merit(three)
    assert [head.key for head in heads][:2] == ["top1_view", "top1_mean"]
    found = line_as_json([seq_jepa], "model", heads)
    assert found["top1_mean"] == {
        "values": [0.89, 0.91],
        "mean": 0.9,
        "std": pytest.approx(0.02 / 2**0.5),
    }, "in the seeds' order"
    assert line_as_json(three, "random", heads)["top1_sequence"]["values"] == [0.145, 0.145], (
        "of the first contender that has it"
    )
    one_seed = line_as_json([three[0]], "model", heads)
    assert one_seed["top1_view"]["std"] is None and "top1_sequence" not in one_seed


def test_views_are_as_many_as_all_contenders_have() -> None:
    for views, expected in (([8, 8], 5), ([8, 3], 3), ([2], 2)):
        given = [(str(i), results(shapes_tiny(), NUMBERS, m)) for i, m in enumerate(views)]
        assert shown_views(entries(given, {"0": True, "1": True})) == expected
    assert shown_views([]) == 1


def test_each_group_of_factors_has_its_columns(three: list[Entry]) -> None:
    heads = figures_of_merit(three, ["rotation", "light"])
    assert [head.title for head in heads][4:] == [
        ("relative rotation", "R²"),
        ("relative light", "R²"),
        ("individual rotation", "R²"),
        ("relative rotation", "median error, °"),
    ]
    assert len({head.key for head in heads}) == len(heads)
    row = next(line for line in benchmark_table(three, ["light"]).lines if line.label == "sie")
    assert row.cells[-1].text == "0.500"


def test_the_pareto_front() -> None:
    points = [(0.1, 0.9), (0.2, 0.8), (0.15, 0.7), (0.2, 0.5), (0.05, 0.9), (0.3, 0.1)]
    assert pareto(points) == [0, 1, 5]
    assert pareto([(0.1, 0.5), (0.1, 0.5)]) in ([0], [1]) and pareto([]) == []


@dataclass(frozen=True)
class Drawn:
    """A figure in the report's style, and the boxes of the names in it."""

    figure: Figure
    names: dict[str, tuple[float, float, float, float]]


def draw(found: list[Entry]) -> Drawn:
    with style.look():
        figure = draw_pareto(found)
        assert figure is not None
        # Names take their places.
        figure.draw_without_rendering()
        texts = [child for child in figure.axes[0].get_children() if isinstance(child, Annotation)]
        # The extent of an annotation holds its arrow too, that of its text does not.
        boxes = [super(Annotation, text).get_window_extent().extents for text in texts]
        names = [text.get_text() for text in texts]
        return Drawn(figure, dict(zip(names, boxes, strict=True)))


@pytest.fixture(scope="module")
def crowd() -> Iterator[list[Entry]]:
    """Every method, many of them close to each other, three seeds each."""
    random, given, conditioned = np.random.default_rng(0), [], {}
    names = [*every_method(), "seq_jepa:predict=every,condition=none"]
    for contender in contenders(names, shapes_tiny()):
        conditioned[contender.name] = contender.experiment.method.uses_actions
        aggregates = contender.name.startswith("seq_jepa")
        expected = [0.05 + 0.05 * conditioned[contender.name], 0.8 + 0.1 * aggregates]
        middle = random.normal(expected, 0.01)
        for seed in range(3):
            r2, top1 = random.normal(middle, 0.004)
            numbers = {"model": (0.5, top1, top1, top1 if aggregates else None, r2, 0.1, 90.0)}
            if contender.name == "sie":
                numbers["equivariant half"] = (0.3, top1 - 0.2, 0.4, None, r2 + 0.1, 0.2, 80.0)
                numbers["invariant half"] = (0.3, top1 - 0.1, 0.4, None, r2 - 0.1, 0.2, 80.0)
            experiment = replace(contender.experiment, seed=seed)
            given.append((contender.name, results(experiment, numbers)))
    yield entries(given, conditioned)


def test_names_in_the_figure_cover_nothing_of_each_other(crowd: list[Entry]) -> None:
    drawn = draw(crowd)
    assert len(drawn.names) == len(crowd) + 1, "and of the readouts those on the front"
    assert "sie · equivariant half" in drawn.names
    assert "seq_jepa · predict=every, condition=none" in drawn.names
    for (one, a), (other, b) in itertools.combinations(drawn.names.items(), 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], f"{one} and {other}"
    left, bottom, right, top = drawn.figure.axes[0].get_window_extent().extents
    assert all(
        left <= box[0] and bottom <= box[1] and box[2] <= right and box[3] <= top
        for box in drawn.names.values()
    )


def test_long_names_are_shortened_in_the_figure() -> None:
    name = "context_ssl:optim.lr=1e-4,optim.warmup=0.01,optim.lr_end=0"
    [contender] = contenders([name], shapes_tiny())
    numbers = {"model": (0.5, 0.6, 0.7, None, 0.1, 0.1, 90.0)}
    drawn = draw(entries([(name, results(contender.experiment, numbers))], {name: True}))
    assert list(drawn.names) == ["context_ssl · optim.lr=1e-4, optim.warmup=0.01, …"]


def test_the_figure_says_what_it_shows(three: list[Entry]) -> None:
    axes = draw(three).figure.axes[0]
    assert "R² of relative rotation" in axes.get_xlabel()
    assert "top-1 from 5 views, %" in axes.get_ylabel()
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words[:2] == ["not conditioned on actions", "conditioned on actions"]
    assert words[-1] == "Pareto front"
    marks = {line.get_color(): line for line in axes.lines if len(line.get_xdata()) == 1}
    assert set(marks) == {style.RANDOM, style.Z, style.AGG}
    assert (marks[style.AGG].get_xdata()[0], marks[style.AGG].get_ydata()[0]) == (
        pytest.approx(0.15),
        pytest.approx(92.5),
    )


def test_who_did_not_learn_does_not_stretch_the_axes(three: list[Entry]) -> None:
    numbers = {
        "model": (0.09, 0.1, 0.1, None, 0.01, 0.1, 90.0),
        "random": (0.1, 0.14, 0.13, None, 0.05, 0.01, 99.0),
    }
    lost = entries([("simclr", results(shapes_tiny(), numbers))], {"simclr": False})
    axes = draw([*three, *lost]).figure.axes[0]
    texts = [text.get_text() for text in axes.texts]
    assert axes.get_ylim()[0] > 50 and "off the axes, did not learn: simclr" in texts
    assert draw(lost).figure.axes[0].get_ylim()[0] < 10, "unless there is nobody else"


def test_the_legends_readout_looks_like_those_drawn(three: list[Entry]) -> None:
    axes = draw(three).figure.axes[0]
    legend = axes.get_legend()
    words = [text.get_text() for text in legend.get_texts()]
    shown = legend.get_lines()[words.index("their other readouts")]
    [readout] = [
        line
        for line in axes.lines
        if len(line.get_xdata()) == 1 and line.get_xdata()[0] == pytest.approx(0.2)
    ]
    for look in ("get_marker", "get_markersize", "get_alpha"):
        assert getattr(shown, look)() == getattr(readout, look)()


def test_names_beside_lines_spread_around_where_they_belong() -> None:
    ends = [(0, 0.5, "a", "k"), (0, 0.5, "b", "k"), (0, 0.9, "c", "k"), (0, -0.2, "d", "k")]
    with style.look():
        _, axes = style.panel("", "", "")
        axes.set_ylim(0, 1)
        style.place_labels(axes, ends, gap=0.1)
        heights = {text.get_text(): text.xy[1] for text in axes.texts}
    assert heights == pytest.approx({"a": 0.45, "b": 0.55, "c": 0.9, "d": 0.0})


def test_without_classes_or_poses_there_is_no_figure(three: list[Entry]) -> None:
    assert draw_pareto(three, "nothing") is None and draw_pareto([]) is None


def test_the_control_of_pixels_is_called_by_its_size() -> None:
    assert CONTROLS["pixels"] == f"pixels, {PIXELS}x{PIXELS}"
