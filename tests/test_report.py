import base64
import json
import re
import shutil
import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import signal_world
from seqjepa.actions import ActionSpace, Group
from seqjepa.config import TrainConfig
from seqjepa.errors import ConfigError, DataError
from seqjepa.evaluation import evaluate
from seqjepa.model import load
from seqjepa.report import charts, curves, maps, neighbours, page, report, runs, sample, strips, style, tables
from seqjepa.report.maps import umap
from seqjepa.training import train
from seqjepa.types import SequenceBatch

SECTIONS = ("sequences", "results", "maps", "neighbours", "training", "settings")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained and evaluated run; tests copy it before they change it."""
    experiment = replace(signal_world.recipe(), train=TrainConfig(steps=6, batch_size=8, num_views=3, log_every=2, checkpoint_every=6))
    folder = train(experiment, tmp_path_factory.mktemp("runs") / "first", quiet=True, device="cpu")
    evaluate(folder, progress=False, device="cpu")
    return folder


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Coarse pictures, and the first two features in place of UMAP, which compiles for ten seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(style.PARAMETERS, "savefig.dpi", 40)
        patch.setattr(maps, "umap", lambda features: features[:, :2])
        yield


@pytest.fixture(scope="module")
def written(run_dir: Path, quick: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report([run_dir], tmp_path_factory.mktemp("report") / "new" / "folder")


@pytest.fixture(scope="module")
def html(written: Path) -> str:
    return written.read_text(encoding="utf-8")


def copy(run_dir: Path, to: Path, change: Callable[[dict], None] = lambda config: None, shift: float = 0) -> Path:
    """A run folder with a changed config and shifted figures."""
    shutil.copytree(run_dir, to)
    config, results = (json.loads((to / name).read_text()) for name in ("config.json", "results.json"))
    change(config)
    for record in results["records"]:
        record["value"] += shift
    (to / "config.json").write_text(json.dumps(config))
    (to / "results.json").write_text(json.dumps(results))
    return to


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
    return [base64.b64decode(found) for found in re.findall(r'src="data:image/png;base64,([^"]+)"', text)]


# --- the page


def test_page_needs_nothing_but_itself(html: str) -> None:
    found = Page(html)
    for tag, attributes in found.tags:
        assert tag not in ("script", "link", "iframe", "object")
        for name in ("src", "href", "srcset", "poster", "data", "action"):
            assert attributes.get(name, "#").startswith(("data:image/png;base64,", "#")), (tag, attributes[name])
    assert "http://" not in html and "https://" not in html and "url(" not in html and "@import" not in html


def test_page_has_every_section_and_every_picture_a_text(html: str) -> None:
    found = Page(html)
    identifiers = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert identifiers == list(SECTIONS)
    assert {attributes["href"] for tag, attributes in found.tags if tag == "a"} == {f"#{name}" for name in SECTIONS}
    pictures = [attributes for tag, attributes in found.tags if tag == "img"]
    assert len(pictures) >= 1 + 2 + 3 + 2 + 6 and all(attributes["alt"] for attributes in pictures)
    assert "Not evaluated" not in html and "No pictures" not in html


def test_pictures_are_also_files(written: Path, html: str) -> None:
    assert written.name == "index.html"
    embedded = images(html)
    assert sorted(embedded) == sorted(path.read_bytes() for path in written.parent.glob("*.png"))
    assert {path.suffix for path in written.parent.iterdir()} == {".html", ".png"}


def test_the_same_runs_give_the_same_page(run_dir: Path, html: str, tmp_path: Path) -> None:
    assert report([run_dir], tmp_path).read_text(encoding="utf-8") == html


def test_page_tells_nothing_of_where_it_was_made(run_dir: Path, html: str) -> None:
    text = re.sub(r'src="data:[^"]+"', "", html)
    assert str(run_dir.parent) not in text and str(Path.home()) + "/" not in text


def test_table_shows_the_figures_of_results_json(run_dir: Path, html: str) -> None:
    records = json.loads((run_dir / "results.json").read_text())["records"]
    shown = {(r["task"], r["input"], r["views"], r["metric"], r["split"], r["features"]): r["value"] for r in records}
    splits, columns = ["test", "ood_class", "ood_light"], ["model", "random", "pixels"]
    table = next(rows for rows in Page(html).tables if "test" in rows[0])
    assert table[0] == ["", "test", "unseen class", "unseen light"]
    rows = {row[0]: row[1:] for row in table[2:] if len(row) > 1}
    questions = {
        "z of one view": ("class", "view", 1, "top1"),
        "mean of 4 views’ z": ("class", "mean", 4, "top1"),
        "zAGG of 4 views": ("class", "sequence", 4, "top1"),
    }
    for label, question in questions.items():
        expected = [shown.get((*question, split, column)) for split in splits for column in columns]
        assert rows[label] == ["–" if value is None else f"{100 * value:.1f}" for value in expected], label
    rotation = [row[1:] for row in table if row[0] == "rotation, median error, °"]
    for row, kind in zip(rotation, (("relative rotation", "pair", 2), ("individual rotation", "view", 1)), strict=True):
        assert row == [f"{shown[(*kind, 'median_degrees', split, column)]:.1f}" for split in splits for column in columns]
    [light, _] = [row[1:] for row in table if row[0] == "light, R²"]
    expected = [shown[("relative light", "pair", 2, "r2", split, column)] for split in splits for column in columns]
    assert light == [f"{value:.3f}".replace("-", "−") for value in expected]


def test_before_evaluation_the_rest_is_shown(run_dir: Path, tmp_path: Path) -> None:
    copy(run_dir, tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    text = report([tmp_path / "run"], tmp_path / "out").read_text(encoding="utf-8")
    assert "Not evaluated yet" in text and "seqjepa evaluate" in text and "online probe" in text
    assert len(images(text)) >= 1 + 3 + 2 + 6
    assert not list((tmp_path / "out").glob("*by_views*"))


def test_before_the_first_checkpoint_the_rest_is_shown(run_dir: Path, tmp_path: Path) -> None:
    copy(run_dir, tmp_path / "run", lambda config: config.update(name="<b>z&amp;"))
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    text = report([tmp_path / "run"], tmp_path / "out").read_text(encoding="utf-8")
    assert text.count("No pictures: ") == 3 and "no checkpoint" in text
    assert [attributes["id"] for _, attributes in Page(text).tags if "id" in attributes] == list(SECTIONS)
    assert "<b>z" not in text and "&lt;b&gt;z&amp;amp;" in text, "names are escaped"


def test_seeds_are_one_and_variants_stand_side_by_side(run_dir: Path, tmp_path: Path) -> None:
    def other(config: dict) -> None:
        config["method"]["predict"] = "every"

    seed = copy(run_dir, tmp_path / "seed", lambda config: config.update(seed=1), shift=0.0625)
    every = copy(run_dir, tmp_path / "every", other, shift=0.03125)
    text = report([run_dir, seed, every, run_dir], tmp_path / "out").read_text(encoding="utf-8")
    found = Page(text)
    head = next(rows for rows in found.tables if "test" in rows[0])[1]
    assert head == ["", "predict lastn = 2", "predict every", "random featuresn = 3", "raw pixelsn = 3"]
    records = json.loads((run_dir / "results.json").read_text())["records"]
    [value] = [r["value"] for r in records if (r["features"], r["split"], r["input"], r["task"]) == ("model", "test", "view", "class")]
    both = [100 * value, 100 * value + 6.25]
    row = next(row for rows in found.tables if "test" in rows[0] for row in rows if row[0] == "z of one view")
    assert row[1:3] == [f"{statistics.mean(both):.1f} ± {statistics.stdev(both):.1f}", f"{100 * value + 3.125:.1f}"]
    assert len(list((tmp_path / "out").glob("[12]_*_map_*.png"))) == 2 * 3, "maps of each variant"


def test_mathematics_is_set_and_the_rest_escaped() -> None:
    assert str(page.mathematics("z_AGG & <z>, rot z, fizz")) == "<i>z</i><sub>AGG</sub> &amp; &lt;<i>z</i>&gt;, rot <i>z</i>, fizz"


# --- bad input


def damage_metrics(folder: Path) -> None:
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 1}\n{"step": 2, "lo\n{"step": 3, "loss": 1}\n')


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda folder: (folder / "config.json").unlink(), ConfigError, "is no run folder"),
        (lambda folder: (folder / "config.json").write_text("{}"), DataError, "config.json has no"),
        (lambda folder: (folder / "config.json").write_text("[]"), DataError, "must hold a JSON object"),
        (lambda folder: (folder / "metrics.jsonl").unlink(), DataError, "metrics.jsonl is missing"),
        (lambda folder: (folder / "metrics.jsonl").write_text(""), DataError, "metrics.jsonl holds no step"),
        (damage_metrics, DataError, "metrics.jsonl, line 2 "),
        (lambda folder: (folder / "results.json").write_text("{"), DataError, "results.json is damaged"),
        (lambda folder: (folder / "results.json").write_text('{"format": 9}'), DataError, "has format 9, this version reads 1"),
        (lambda folder: (folder / "results.json").write_text('{"format": 1, "records": [{"a": 1}]}'), DataError, "evaluate the run again"),
    ],
)
def test_bad_run_folders(run_dir: Path, tmp_path: Path, change: Callable[[Path], None], error: type[Exception], words: str) -> None:
    folder = copy(run_dir, tmp_path / "run")
    change(folder)
    with pytest.raises(error, match=re.escape(words)) as caught:
        report([folder], tmp_path / "out")
    assert str(folder) in str(caught.value)
    assert not (tmp_path / "out").exists(), "nothing is written"


def test_no_runs_and_bad_places(run_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one run folder"):
        report([], tmp_path)
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match="choose another --out") as caught:
            report([run_dir], place)
        assert str(place) in str(caught.value)


def test_a_torn_last_line_and_steps_logged_twice(run_dir: Path, tmp_path: Path) -> None:
    folder = copy(run_dir, tmp_path / "run")
    lines = ['{"step": 2, "loss": 5}', '{"step": 4, "loss": 4, "time": {"seconds": 1}}', '{"step": 2, "loss": 3}', '{"step": 6, "lo']
    (folder / "metrics.jsonl").write_text("\n".join(lines))
    metrics = runs.read_run(folder).metrics
    assert metrics["step"].tolist() == [2, 4] and metrics["loss"].tolist() == [3, 4]
    assert np.array_equal(metrics["time/seconds"], [np.nan, 1], equal_nan=True)


# --- figures


def labelled(figure: Figure) -> bool:
    """Whether all axes of a plot say what they are; a colour bar needs one label only."""
    main = figure.axes[0]
    return bool(main.get_title(loc="left") and main.get_xlabel() and (main.get_ylabel() or main.get_yticklabels()))


def test_axes_are_labelled(run_dir: Path) -> None:
    [variant] = runs.group([runs.read_run(run_dir)])
    model = load(run_dir)
    drawn = sample.draw(model, model.experiment.world.build())
    points, where = maps.mapped_views(drawn)
    with style.look():
        figures = [figure for _, figure in curves.training([variant])]
        figures += [charts.accuracy_by_views(variant, 3), charts.pose_by_features(variant)]
        figures += [maps.map_by_class(points, drawn.labels[where[:, 0]], drawn, "z"), maps.map_by_factor(points, where, drawn, "z, by")]
    assert len(figures) > 10 and all(map(labelled, figures))
    assert figures[-1].axes[1].get_xlabel() == "z, °", "the colour bar has the angle's name and unit"
    units = [figure.axes[0].get_ylabel() for figure in figures]
    assert "top-1 accuracy, %" in units and "views per second" in units


def test_every_logged_figure_is_drawn_once(run_dir: Path) -> None:
    run = runs.read_run(run_dir)
    logged = {**run.metrics, "entropy": run.metrics["loss"], "new/first": run.metrics["loss"], "new/second": run.metrics["loss"]}
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
    figure = strips.strips(batch, world.spec)
    assert len(figure.axes) == 2 * (3 + 2)
    assert [text.get_text() for text in figure.texts] == ["red", "green"]
    assert sum(len(axes.get_images()) for axes in figure.axes) == 6


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
    assert strips.describe(space, space.between(start, end)) == ["rotate 90° about", "(0.0, 0.0, 1.0)", "hue −0.10", "floor hue −2.00"]
    assert strips.describe(space.select(("hue",)), torch.zeros(1)) == ["hue +0.00"]


def test_globes_are_seen_from_the_camera_of_shapes() -> None:
    """A right-handed view: the world's up is up in the picture, x to the left of a camera on the y side."""
    right, up, towards = strips.VIEWPOINT
    assert np.allclose(strips.VIEWPOINT @ strips.VIEWPOINT.T, np.eye(3)) and np.allclose(np.cross(right, up), towards)
    assert np.allclose(strips.VIEWPOINT @ [0, 0, 1], np.array([0, 1, 1]) / np.sqrt(2))
    assert np.allclose(strips.VIEWPOINT @ [1, 0, 0], [-1, 0, 0])


# --- nearest neighbours and maps


def a_sample(z: np.ndarray, labels: list[int], agg: np.ndarray, run_dir: Path) -> sample.Sample:
    spec = load(run_dir).spec
    count, length = z.shape[:2]
    poses = torch.rand(count, length, 5, generator=torch.Generator().manual_seed(0))
    views = torch.zeros(count, length, 3, 4, 4, dtype=torch.uint8)
    batch = SequenceBatch(views, spec.actions.along(poses), poses, torch.tensor(labels))
    return sample.Sample(spec, np.arange(count), batch, z, agg)


def test_nearest_are_those_of_other_objects() -> None:
    random = np.random.default_rng(0)
    features, owner = random.normal(size=(30, 8)), np.repeat(np.arange(10), 3)
    found = neighbours.nearest(features, owner, np.array([4, 29]))
    for query, items in zip((4, 29), found, strict=True):
        cosine = {i: features[i] @ features[query] / np.linalg.norm(features[i]) for i in range(30) if owner[i] != owner[query]}
        assert items.tolist() == sorted(cosine, key=lambda i: -cosine[i])[:5]


def test_nearness_of_class_and_rotation(run_dir: Path) -> None:
    labels = np.arange(60) % 3
    made = a_sample(np.random.default_rng(0).normal(size=(60, 2, 4)), labels.tolist(), np.eye(3)[labels], run_dir)
    assert neighbours.nearness(made, "agg").same_class == 1
    assert neighbours.nearness(made, "chance").same_class == pytest.approx(1 / 3, abs=0.1)
    rotations = made.rotations
    assert rotations is not None and rotations.shape == (60, 2, 4)
    posed = replace(made, z=np.concatenate([rotations, 1 - rotations**2], -1))
    assert neighbours.nearness(posed, "z").angle < 0.6 * neighbours.nearness(posed, "chance").angle


def test_unlabelled_objects(run_dir: Path) -> None:
    made = a_sample(np.random.default_rng(0).normal(size=(8, 2, 4)), [-1] * 8, np.random.default_rng(1).normal(size=(8, 4)), run_dir)
    assert np.isnan(neighbours.nearness(made, "z").same_class)
    assert neighbours.examples(made, 4) == [0] and maps.legend(made) == []
    assert len(neighbours.neighbours(made, "z").axes) == 6


def test_the_factor_that_colours_a_map(run_dir: Path) -> None:
    made = a_sample(np.zeros((4, 2, 4)), [0] * 4, np.zeros((4, 4)), run_dir)
    name, values, cyclic = maps.factor(made)
    assert (name, cyclic) == ("z, °", False)
    assert np.allclose(values, np.degrees(made.batch.poses[..., 2].numpy()))
    plain = replace(made.spec, factors=ActionSpace(made.spec.factors.pose, (signal_world.LIGHT,)))
    assert maps.factor(replace(made, spec=plain))[0] == "light"
    turned = Group(name="turn", dims=("x", "y", "z", "light"), kind="quaternion")
    name, values, cyclic = maps.factor(replace(made, spec=replace(made.spec, factors=ActionSpace(made.spec.factors.pose, (turned,)))))
    assert name == "rotation about z, °" and cyclic and values.shape == (4, 2)


def test_sampling_is_the_same_for_every_model_and_leaves_it_as_it_was(run_dir: Path) -> None:
    model = load(run_dir)
    world = model.experiment.world.build()
    before = {name: tensor.clone() for name, tensor in model.method.state_dict().items()}
    one, two = sample.draw(model, world), sample.draw(model, world)
    assert torch.equal(one.batch.views, two.batch.views) and np.array_equal(one.z, two.z) and np.array_equal(one.agg, two.agg)
    assert one.z.shape[:2] == (32, 5) and len(one.agg) == 32
    assert np.allclose(one.z[:3], model.encode(one.batch.views[:3]).numpy(), atol=1e-5)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.method.state_dict().items())


@pytest.mark.slow
def test_umap_keeps_clusters_together_and_is_repeatable() -> None:
    random = np.random.default_rng(0)
    features = np.repeat(10 * random.normal(size=(3, 16)), 30, 0) + random.normal(size=(90, 16))
    points = umap(features)
    groups = points.reshape(3, 30, 2)
    radius = np.linalg.norm(groups - groups.mean(1, keepdims=True), axis=-1).mean()
    centres = groups.mean(1)
    assert min(np.linalg.norm(centres[i] - centres[j]) for i, j in ((0, 1), (0, 2), (1, 2))) > 3 * radius
    assert np.array_equal(points, umap(features))


# --- words


def test_figures_in_words() -> None:
    assert tables.text(None, "r2") == "–"
    assert tables.text(tables.Value(0.876, float("nan"), 1), "top1") == "87.6"
    assert tables.text(tables.Value(-0.0126, 0.002, 3), "r2") == "−0.013 ± 0.002"
    assert tables.name_input(("class", "mean", 1, "top1")) == "mean of 1 view’s z"
    settings = {"1, 2,000": [1, 2000], "–": None, "yes": True, "1e-05": 1e-5, "none": []}
    assert [page.setting(value) for value in settings.values()] == list(settings)
