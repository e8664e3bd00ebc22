from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from seqjepa.actions import ActionSpace, Group
from seqjepa.model import load
from seqjepa.report import charts, curves, maps, runs, sample, strips, style


def labelled(figure: Figure) -> bool:
    """Return True if the main axes of a plot have a title and labels."""
    main = figure.axes[0]
    upwards = main.get_ylabel() or main.get_yticklabels()
    return bool(main.get_title(loc="left") and main.get_xlabel() and upwards)


def test_axes_are_labelled(run_dir: Path) -> None:
    [variant] = runs.group([runs.read_run(run_dir)])
    model = load(run_dir)
    drawn = sample.draw(model, model.experiment.world.build())
    points, where = maps.mapped_views(drawn)
    with style.look():
        figures = [figure for _, figure in curves.training([variant])]
        figures += [charts.accuracy_by_views(variant, 3), charts.pose_by_features(variant)]
        figures.append(maps.map_by_class(points, drawn.labels[where[:, 0]], drawn, "z"))
        figures.append(maps.map_by_factor(points, where, maps.factors(drawn)[0], "z, by"))
    assert len(figures) > 10 and all(map(labelled, figures))
    assert figures[-1].axes[1].get_xlabel() == "x, °", (
        "the colour bar has the angle's name and unit"
    )
    units = [figure.axes[0].get_ylabel() for figure in figures]
    assert "top-1 accuracy, %" in units and "views per second" in units


def test_every_logged_figure_is_drawn_once(run_dir: Path) -> None:
    run = runs.read_run(run_dir)
    logged = dict(run.metrics)
    for key in ("entropy", "new/first", "new/second"):
        logged[key] = run.metrics["loss"]
    [variant] = runs.group([replace(run, metrics=logged)])
    shown = {panel.title: figure.axes[0] for panel, figure in curves.training([variant])}
    assert len(shown["Entropy"].lines) == 1 and len(shown["New"].lines) == 2
    expected = [key for key in logged if key not in ("step", "views_seen", "time/seconds")]
    assert sum(len(axes.lines) for axes in shown.values()) == len(expected)
    assert np.array_equal(shown["Loss"].lines[0].get_ydata(), run.metrics["loss"])
    assert np.array_equal(shown["Loss"].lines[0].get_xdata(), run.metrics["views_seen"])


def test_representations_keep_their_colours(run_dir: Path) -> None:
    [variant] = runs.group([runs.read_run(run_dir)])
    shown = {panel.title: figure.axes[0] for panel, figure in curves.training([variant])}
    for title in ("Spread of the features", "Effective rank", "Class, online probes"):
        assert {line.get_color() for line in shown[title].lines} == {"#0b62a8", "#d1570a"}, title
    colours = [line.get_color() for line in charts.accuracy_by_views(variant, 3).axes[0].lines]
    assert colours[:2] == ["#0b62a8", "#d1570a"]


def test_strips_show_views_and_actions(run_dir: Path) -> None:
    world = load(run_dir).experiment.world.build()
    batch = world.sequences("test", np.arange(2), 3, np.arange(2))
    figure = strips.draw_strips(batch, world.spec)
    assert len(figure.axes) == 2 * (3 + 2)
    assert [text.get_text() for text in figure.texts] == ["red", "green"]
    assert sum(len(axes.get_images()) for axes in figure.axes) == 6


def test_strips_without_actions_and_with_many(run_dir: Path) -> None:
    world = load(run_dir).experiment.world.build()
    heights = []
    for names in ((), ("light", "noise"), ("rotation", "light", "noise")):
        spec = replace(world.spec, actions=world.spec.factors.select(names))
        batch = world.sequences("test", np.arange(1), 5, np.arange(1))
        moved = replace(batch, actions=spec.actions.along(batch.poses))
        heights.append(strips.draw_strips(moved, spec).get_size_inches()[1])
    assert heights[0] == heights[1] < heights[2], "more words, more room"


def test_actions_in_words() -> None:
    space = ActionSpace(
        ("x", "y", "z", "hue", "floor_hue"),
        (
            Group(name="turn", dims=("x", "y", "z"), kind="euler"),
            Group(name="hue", dims=("hue",), kind="circular", period=1, scale=0.5),
            Group(name="floor", dims=("floor_hue",), scale=4),
        ),
    )
    start, end = torch.zeros(5), torch.tensor([0, 0, torch.pi / 2, 0.9, -2.0])
    assert strips.describe(space, space.between(start, end)) == [
        "rotate 90° about",
        "(0.0, 0.0, 1.0)",
        "hue −0.10",
        "floor hue −2.00",
    ]
    assert strips.describe(space.select(("hue",)), torch.zeros(1)) == ["hue +0.00"]


def test_globes_are_seen_from_the_camera_of_shapes() -> None:
    """The world's up is up in the picture, x to the left of a camera on the y side."""
    right, up, towards = strips.VIEWPOINT
    assert np.allclose(strips.VIEWPOINT @ strips.VIEWPOINT.T, np.eye(3))
    assert np.allclose(np.cross(right, up), towards), "right-handed"
    assert np.allclose(strips.VIEWPOINT @ [0, 0, 1], np.array([0, 1, 1]) / np.sqrt(2))
    assert np.allclose(strips.VIEWPOINT @ [1, 0, 0], [-1, 0, 0])
