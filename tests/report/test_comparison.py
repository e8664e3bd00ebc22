"""Several variants on one page: each has its colour in every plot, and controls are grey."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from fixtures.run_copies import copy_run
from seqjepa.report import comparison, curves, style, write_report
from seqjepa.report.runs import Variant, group, read_run
from seqjepa.report.tables import Question, value

LABELS = ("_first", "$second$", "third")


@pytest.fixture
def variants(run_dir: Path) -> list[Variant]:
    """Return variants whose figures differ, controls' excepted."""
    [variant] = group([read_run(run_dir)])
    [run] = variant.runs
    found = []
    for number, label in enumerate(LABELS):
        records = [
            record | {"value": record["value"] - 0.01 * number * (record["features"] == "model")}
            for record in run.results["records"]
        ]
        changed = replace(run, results={**run.results, "records": records})
        found.append(Variant(label, (changed,)))
    return found


def legend(figure: Figure) -> list[str]:
    [found] = figure.legends
    return [text.get_text() for text in found.get_texts()]


def drawn(axes: Axes, colour: str) -> list[list[float]]:
    """Return the heights of the lines of a colour."""
    return [line.get_ydata().tolist() for line in axes.lines if to_hex(line.get_color()) == colour]


def test_training_curves_and_results_have_the_same_colours(variants: list[Variant]) -> None:
    with style.look():
        for _, figure in curves.training(variants):
            [axes] = figure.axes
            assert [line.get_color() for line in axes.lines] == list(style.VARIANTS[:3])

        figure = comparison.accuracy_by_views(variants, 3)
        [axes] = figure.axes
        for variant, colour in zip(variants, style.VARIANTS, strict=False):
            wanted = [
                [
                    100 * value(variant.runs, "model", "test", asked).mean
                    for asked in (Question("class", source, m, "top1") for m in (1, 2, 3, 4))
                ]
                for source in ("sequence", "mean")
            ]
            assert drawn(axes, colour) == wanted, variant.label
        # Controls that are the same are drawn once.
        assert len(drawn(axes, style.RANDOM)) == 2
        words = ["z_AGG", "mean of z", "untrained features", "guessing"]
        assert legend(figure) == [*LABELS, "", *map(style.mathtext, words)]


def test_marks_of_a_variant_stand_above_each_other_and_controls_in_grey(
    variants: list[Variant],
) -> None:
    with style.look():
        figure = comparison.pose_by_features(variants)
    [axes] = figure.axes
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == ["noise", "light", "rotation"]
    for row, task in enumerate(rows):
        asked = Question(f"relative {task}", "pair", 2, "r2")
        shown = [
            (to_hex(mark.lines[0].get_color()), *mark.lines[0].get_xydata()[0])
            for mark in axes.containers
            if round(mark.lines[0].get_ydata()[0]) == row
        ]
        shown.sort(key=lambda each: -each[2])
        assert [colour for colour, *_ in shown] == [*style.VARIANTS[:3], *[style.RANDOM] * 2]
        means = [value(variant.runs, "model", "test", asked).mean for variant in variants]
        means += [value(variants[0].runs, f, "test", asked).mean for f in ("random", "pixels")]
        assert [x for _, x, _ in shown] == pytest.approx(means), task
    assert legend(figure)[:3] == list(LABELS)


def test_long_names_stand_above_the_other_words_and_controls_may_be_missing(
    variants: list[Variant],
) -> None:
    [run] = variants[0].runs
    records = [record for record in run.results["records"] if record["features"] == "model"]
    alone = replace(run, results={**run.results, "records": records})
    named = [Variant(label * 9, (alone,)) for label in LABELS]
    with style.look():
        accuracy = comparison.accuracy_by_views(named, None)
        pose = comparison.pose_by_features(named)
    names = [label * 9 for label in LABELS]
    assert legend(accuracy) == [*names, *map(style.mathtext, ["z_AGG", "mean of z"])]
    assert legend(pose) == names
    assert accuracy.legends[0]._ncols == 1


def test_a_page_marks_variants_with_their_colours(run_dir: Path, tmp_path: Path) -> None:
    def other(config: dict) -> None:
        config["method"]["predict"] = "every"

    every = copy_run(run_dir, tmp_path / "every", other, shift=0.03125)
    page = write_report([run_dir, every], tmp_path / "out").read_text(encoding="utf-8")
    for label, colour in zip(("predict last", "predict every"), style.VARIANTS, strict=False):
        dots = re.findall(rf'background: (#\w+)"></b>(?:<b>)?{label}', page)
        assert set(dots) == {colour} and len(dots) > 1 + 3, "at the top, of columns, of headings"
    plots = {path.name for path in (tmp_path / "out").glob("*_by_*.png")}
    assert plots == {"accuracy_by_views.png", "pose_by_features.png"}
