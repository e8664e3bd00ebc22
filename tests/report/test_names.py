"""Names of the user's appear exactly as they are, whatever they would mean as markup."""

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text

from fixtures import signal_world
from seqjepa import cli
from seqjepa.model import load
from seqjepa.report import album, curves, maps, neighbours, sample, strips, style, write_report
from seqjepa.report.benchmark.table import exact
from seqjepa.report.runs import group, read_run
from seqjepa.training.loop import train
from seqjepa.worlds.arrays import Config

CLASSES = (r"Ca$$h", r"$2 coin $", r"US$ / C$", r"a_b^2\frac", "[bold]x[/]", "<b>|`z`</b>", ":cat:")
GROUP = "my_group $x$ [red]"
RUN = "r_1 $a$ [bold] <i>"


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run whose every name looks like markup."""
    folder, chance = tmp_path_factory.mktemp("named"), np.random.default_rng(0)
    count = 8 * len(CLASSES)
    data = folder / "data $1$ [b]"
    data.mkdir()
    np.save(data / "views.npy", chance.integers(0, 256, (count, 4, 16, 16, 3), np.uint8))
    np.save(data / "poses.npy", chance.uniform(-1, 1, (count, 4, 2)))
    np.save(data / "labels.npy", np.arange(count) % len(CLASSES))
    groups = [{"name": GROUP, "dims": ["x$", "y$"]}]
    world = {"pose": ["x$", "y$"], "groups": groups, "classes": CLASSES}
    (data / "world.json").write_text(json.dumps(world))

    recipe = replace(signal_world.recipe(), name=RUN, world=Config(path=str(data)))
    return train(recipe, folder / RUN, quiet=True, device="cpu")


def drawn(figure: object) -> list[str]:
    """Return all texts of a figure that are drawn as they are or hold no mathematics."""
    return [
        text.get_text()
        for text in figure.findobj(Text)
        if not text.get_parse_math() or text.get_text().replace(r"\$", "").count("$") < 2
    ]


def test_figures(named: Path) -> None:
    model = load(named)
    world = model.experiment.world.build()
    found = sample.draw(model, world)
    present = [CLASSES[label] for label in found.classes]
    with style.look():
        batch = world.sequences("test", found.index[:3], 3, np.arange(3))
        strip = strips.draw_strips(batch, world.spec)
        texts = drawn(strip)
        assert [text.get_text() for text in strip.texts] == [CLASSES[i] for i in batch.labels]
        assert all(text.get_text() in texts for text in strip.texts)
        assert any(text.startswith("x$ ") for text in texts)

        queries = neighbours.draw_neighbours(found, "z")
        axes = [axes.get_xlabel() for axes in queries.axes[:1]]
        assert axes[0] in present
        points = found.agg[:, :2]
        by_class = maps.map_by_class(points, found.labels, found, "classes")
        by_factor = maps.map_by_factor(
            found.z[:, 0, :2],
            np.array([(i, 0) for i in range(len(points))]),
            maps.factors(found)[0],
            "z by",
        )
        assert "x$" in drawn(by_factor)
        for number, figure in enumerate((queries, by_class, by_factor)):
            assert style.picture(str(number), figure, "").png


def test_names_in_legends_begin_with_anything(named: Path, tmp_path: Path) -> None:
    [variant] = group([read_run(named)])
    others = [replace(variant, label=label) for label in ("_a", "$b$", "[z]")]
    with style.look():
        for _, figure in curves.training(others):
            legend = figure.axes[0].get_legend()
            if legend is not None:
                assert [text.get_text() for text in legend.get_texts()] == ["_a", "$b$", "[z]"]
                assert all(not text.get_parse_math() for text in legend.get_texts())
                assert style.picture("a", figure, "").png


def test_the_page_and_the_terminal(
    named: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.run(["evaluate", str(named), "--max-steps", "20"]) == 0
    said = capsys.readouterr()
    assert f"relative {GROUP}" in said.out and str(named) in said.out

    html = write_report([named], tmp_path / "out").read_text(encoding="utf-8")
    text = unescape(re.sub(r"</?(i|sub)>", "", html))
    for name in (*CLASSES[:1], GROUP, RUN):
        assert name in text, name
    legend = unescape(" ".join(re.findall(r'class="legend">(.*?)</ul>', html)))
    made = load(named)
    shown = sample.draw(made, made.experiment.world.build()).classes
    assert shown and all(f"</b>{CLASSES[label]}</li>" in legend for label in shown)


def test_markdown_shows_every_character() -> None:
    assert exact("seq_jepa:predict=last [2, 2]") == "seq_jepa:predict=last [2, 2]"
    assert exact(r"a|b `c` *d* _e_ <f> $g$ \h") == r"a\|b \`c\` \*d\* \_e\_ \<f> \$g\$ \\h"
    assert exact("[a](b)") == r"[a\](b)"
    assert album.COMPARED, "imported for its look"
