import base64
import itertools
import json
import re
import shutil
import statistics
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fixtures.run_copies import copy_run
from seqjepa.report import page, runs, tables, write_report

CONTROLLED = ("model", "random", "pixels")
SECTIONS = ("sequences", "results", "maps", "neighbours", "expected", "training", "settings")


@pytest.fixture(scope="module")
def written(run_dir: Path, quick: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report([run_dir], tmp_path_factory.mktemp("report") / "new" / "folder")


@pytest.fixture(scope="module")
def html(written: Path) -> str:
    return written.read_text(encoding="utf-8")


class Page(HTMLParser):
    """Attributes of all tags, ids, and the cells of every table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.cell = True

    def handle_endtag(self, tag: str) -> None:
        self.cell = self.cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.cell:
            self.tables[-1][-1][-1] += data


def images(text: str) -> list[bytes]:
    return [
        base64.b64decode(found)
        for found in re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    ]


def test_page_needs_nothing_but_itself(html: str) -> None:
    found = Page(html)
    for tag, attributes in found.tags:
        assert tag not in ("script", "link", "iframe", "object")
        for name in ("src", "href", "srcset", "poster", "data", "action"):
            address = attributes.get(name, "#")
            assert address.startswith(("data:image/png;base64,", "#")), (tag, address)
    for address in ("http://", "https://", "url(", "@import"):
        assert address not in html


def test_page_has_every_section_and_every_picture_a_text(html: str) -> None:
    found = Page(html)
    identifiers = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert identifiers == list(SECTIONS)
    assert {attributes["href"] for tag, attributes in found.tags if tag == "a"} == {
        f"#{name}" for name in SECTIONS
    }
    pictures = [attributes for tag, attributes in found.tags if tag == "img"]
    assert len(pictures) >= 1 + 2 + 3 + 2 + 6 and all(attributes["alt"] for attributes in pictures)
    assert "Not evaluated" not in html and "No pictures" not in html


def test_pictures_are_also_files(written: Path, html: str) -> None:
    assert written.name == "index.html"
    embedded = images(html)
    assert sorted(embedded) == sorted(path.read_bytes() for path in written.parent.glob("*.png"))
    assert {path.suffix for path in written.parent.iterdir()} == {".html", ".png"}


def test_the_same_runs_give_the_same_page(run_dir: Path, html: str, tmp_path: Path) -> None:
    assert write_report([run_dir], tmp_path).read_text(encoding="utf-8") == html


def test_page_tells_nothing_of_where_it_was_made(run_dir: Path, html: str) -> None:
    text = re.sub(r'src="data:[^"]+"', "", html)
    assert str(run_dir.parent) not in text and str(Path.home()) + "/" not in text


def test_table_shows_the_figures_of_results_json(run_dir: Path, html: str) -> None:
    records = json.loads((run_dir / "results.json").read_text())["records"]
    keys = ("task", "input", "views", "metric", "split", "features")
    figures = {tuple(record[key] for key in keys): record["value"] for record in records}
    columns = list(itertools.product(["test", "ood_class", "ood_light"], CONTROLLED))
    table = next(rows for rows in Page(html).tables if "test" in rows[0])
    assert table[0] == ["", "test", "unseen class", "unseen light"]

    rows = {row[0]: row[1:] for row in table[2:] if len(row) > 1}
    questions = {
        "z of one view": ("class", "view", 1, "top1"),
        "mean of 4 views’ z": ("class", "mean", 4, "top1"),
        "zAGG of 4 views": ("class", "sequence", 4, "top1"),
    }
    for label, question in questions.items():
        shares = [figures.get((*question, *column)) for column in columns]
        assert rows[label] == ["–" if x is None else f"{100 * x:.1f}" for x in shares], label

    shown = [row[1:] for row in table if row[0] == "rotation, median error, °"]
    for row, kind in zip(
        shown, (("relative rotation", "pair", 2), ("individual rotation", "view", 1)), strict=True
    ):
        degrees = [figures[(*kind, "median_degrees", *column)] for column in columns]
        assert row == [f"{x:.1f}" for x in degrees]

    [light, _] = [row[1:] for row in table if row[0] == "light, R²"]
    r2 = [figures[("relative light", "pair", 2, "r2", *column)] for column in columns]
    assert light == [f"{x:.3f}".replace("-", "−") for x in r2]


def test_before_evaluation_the_rest_is_shown(run_dir: Path, tmp_path: Path) -> None:
    copy_run(run_dir, tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    text = write_report([tmp_path / "run"], tmp_path / "out").read_text(encoding="utf-8")
    assert "Not evaluated yet" in text and "seqjepa evaluate" in text and "online probe" in text
    assert len(images(text)) >= 1 + 3 + 2 + 6
    assert not list((tmp_path / "out").glob("*by_views*"))


def test_before_the_first_checkpoint_the_rest_is_shown(run_dir: Path, tmp_path: Path) -> None:
    copy_run(run_dir, tmp_path / "run", lambda config: config.update(name="<b>z&amp;"))
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    text = write_report([tmp_path / "run"], tmp_path / "out").read_text(encoding="utf-8")
    assert text.count("No pictures: ") == 4 and "no checkpoint" in text
    assert [attributes["id"] for _, attributes in Page(text).tags if "id" in attributes] == list(
        SECTIONS
    )
    assert "<b>z" not in text and "&lt;b&gt;z&amp;amp;" in text, "names are escaped"


def test_seeds_are_one_and_variants_stand_side_by_side(run_dir: Path, tmp_path: Path) -> None:
    def other(config: dict) -> None:
        config["method"]["predict"] = "every"

    seed = copy_run(run_dir, tmp_path / "seed", lambda config: config.update(seed=1), shift=0.0625)
    every = copy_run(run_dir, tmp_path / "every", other, shift=0.03125)
    page = write_report([run_dir, seed, every, run_dir], tmp_path / "out")
    table = next(
        rows for rows in Page(page.read_text(encoding="utf-8")).tables if "test" in rows[0]
    )
    controls = [
        f"{name} · predict {which}"
        for name in ("untrained features", "pixels, 16x16")
        for which in ("lastn = 2", "every")
    ]
    assert table[1] == ["", "predict lastn = 2", "predict every", *controls]

    asked = {"features": "model", "split": "test", "input": "view", "task": "class"}
    records = json.loads((run_dir / "results.json").read_text())["records"]
    [value] = [r["value"] for r in records if asked.items() <= r.items()]
    both = [100 * value, 100 * value + 6.25]
    row = next(row for row in table if row[0] == "z of one view")
    assert row[1:3] == [
        f"{statistics.mean(both):.1f} ± {statistics.stdev(both):.1f}",
        f"{100 * value + 3.125:.1f}",
    ]

    assert len(list((tmp_path / "out").glob("[12]_*_map_*.png"))) == 2 * 3, "maps of each variant"
    names = {path.stem.removeprefix("training_") for path in page.parent.glob("training_*.png")}
    assert {"loss", "loss_last_view_only", "effective_rank_z", "effective_rank_z_agg"} < names


def test_variants_share_controls_that_are_the_same(run_dir: Path) -> None:
    run = runs.read_run(run_dir)
    both = [runs.Variant(label, (run,)) for label in ("one", "two")]
    columns = tables.results_columns(both)
    labels = ["one", "two", "untrained features", "pixels, 16x16"]
    assert [column.label for column in columns] == labels
    assert all(len(column.runs) == 1 for column in columns), "no second sample of a control"


def test_mathematics_is_set_and_the_rest_escaped() -> None:
    assert (
        str(page.mathematics("z_AGG & <z>, rot z, fizz"))
        == "<i>z</i><sub>AGG</sub> &amp; &lt;<i>z</i>&gt;, rot <i>z</i>, fizz"
    )


def test_figures_in_words() -> None:
    assert tables.text(None, "r2") == "–"
    assert tables.text(tables.Value(0.876, float("nan"), 1), "top1") == "87.6"
    assert tables.text(tables.Value(-0.0126, 0.002, 3), "r2") == "−0.013 ± 0.002"
    assert tables.Question("class", "mean", 1, "top1").input_label == "mean of 1 view’s z"
    settings = {"1, 2,000": [1, 2000], "–": None, "yes": True, "1e-05": 1e-5, "none": []}
    assert [page.setting(value) for value in settings.values()] == list(settings)
