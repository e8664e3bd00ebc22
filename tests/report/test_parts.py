"""Further parts of an evaluation on the page: what the predictor expects, and tables."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fixtures.contract import experiment
from fixtures.run_copies import copy_run
from seqjepa import cli
from seqjepa.errors import DataError
from seqjepa.evaluation.protocol import Record
from seqjepa.evaluation.suite import evaluate_suite
from seqjepa.keys import draw_key
from seqjepa.model import load
from seqjepa.report import imagined, write_report
from seqjepa.report.parts import part_tables
from seqjepa.report.runs import Run, Variant, read_run
from seqjepa.training.loop import train


def test_the_page_has_the_parts_that_were_asked(run_dir: Path, tmp_path: Path) -> None:
    run = copy_run(run_dir, tmp_path / "run")
    before = write_report([run], tmp_path / "before").read_text()
    assert "What the predictor expects" in before and "--suite full" in before
    assert "seqjepa decode RUN_DIR" in before

    outcomes = list(evaluate_suite(run, ["retrieval", "group"], progress=False, device="cpu"))
    assert all(outcome.results for outcome in outcomes)
    after = write_report([run], tmp_path / "after").read_text()
    for words in ("Retrieval by the predictor", "The group of actions", "H@1 (chance)", "rollout"):
        assert words in after and words not in before
    assert (tmp_path / "after" / "imagined.png").stat().st_size > 1000


def test_the_page_shows_what_the_decoder_draws(run_dir: Path, tmp_path: Path) -> None:
    run = copy_run(run_dir, tmp_path / "run")
    sizes = ["--objects", "8", "--views", "2", "--width", "2", "--steps", "2", "--batch-size", "4"]
    assert cli.run(["decode", str(run), *sizes]) == 0
    page = write_report([run], tmp_path / "after")
    assert "seqjepa decode RUN_DIR" not in page.read_text()
    assert "what is imagined of it" in page.read_text()
    assert (page.parent / "decoded.png").stat().st_size > 1000

    # Predictions that ignore actions are not drawn, and no decoder is asked for.
    blind = train(
        experiment("seq_jepa", condition="none"), tmp_path / "blind", quiet=True, device="cpu"
    )
    html = write_report([blind], tmp_path / "none").read_text()
    assert "do not depend on actions" in html and "seqjepa decode" not in html

    # A damaged one is a line.
    [path] = (run / "decoder").glob("*/decoder.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    html = write_report([run], tmp_path / "bad").read_text()
    assert "decoder.safetensors is damaged" in html and str(tmp_path) not in html


def test_a_damaged_part_is_a_line_and_the_exit_status(
    run_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = copy_run(run_dir, tmp_path / "run")
    (run / "suite").mkdir()
    (run / "suite" / "group.json").write_text("{")
    shutil.copy(run / "results.json", run / "suite" / "health.json")
    assert cli.run(["report", str(run), "--out", str(tmp_path / "out")]) == DataError.exit_code
    said = capfd.readouterr().err.replace("\n", " ")
    assert "index.html is written, but lacks a part:" in said and "group.json is damaged" in said

    page = (tmp_path / "out" / "index.html").read_text()
    [line] = [line for line in page.splitlines() if "group: left out" in line]
    assert "run/suite/group.json is damaged" in line and str(tmp_path) not in line
    assert "Health without labels" in page and "Results on held-out objects" in page


def variant(label: str, *values: dict[int, float]) -> Variant:
    """Return a variant whose seeds have these rollouts."""
    runs = [
        Run(
            Path(f"{label}{seed}"),
            {"seed": seed},
            {},
            None,
            parts={
                "group": tuple(
                    Record("model", "test", "rollout", "view", views, "mrr", value)
                    for views, value in by_length.items()
                )
            },
        )
        for seed, by_length in enumerate(values)
    ]
    return Variant(label, tuple(runs))


def test_seeds_are_summed_up_and_variants_have_rows() -> None:
    [table] = part_tables([variant("a", {1: 0.4, 2: 0.2}, {1: 0.6}), variant("b", {2: 0.1})])
    assert table.lengths == (1, 2)
    assert table.rows == (
        ("a · rollout, MRR", "model", ("0.500 ± 0.141", "0.200")),
        ("b · rollout, MRR", "model", ("", "0.100")),
    )


def test_other_worlds_have_a_table_each_by_what_was_read() -> None:
    records = tuple(
        Record("model", "test", "class, 5 labels", source, 1, metric, 0.5)
        for source in ("view", "sequence")
        for metric in ("top1", "top1_std")
    )
    run = Run(Path("a"), {"seed": 0}, {}, None, parts={"transfer/cliparts": records})
    [table] = part_tables([Variant("a", (run,))])
    assert table.title == "Asked about cliparts"
    assert [row[0] for row in table.rows] == [
        "class, 5 labels, one view, top-1",
        "class, 5 labels, z_AGG, top-1",
    ]


def test_what_is_asked_about_another_world_is_read(run_dir: Path, tmp_path: Path) -> None:
    run = copy_run(run_dir, tmp_path / "run")
    (run / "transfer").mkdir()
    shutil.copy(run / "results.json", run / "transfer" / "mine.json")
    assert read_run(run).parts["transfer/mine"] == read_run(run).records


def test_of_many_lengths_some_are_shown() -> None:
    [table] = part_tables([variant("a", dict.fromkeys(range(1, 16), 0.5))])
    assert table.lengths == (1, 2, 3, 5, 10, 15)
    assert table.rows[0][0] == "rollout, MRR"


def test_stages_are_the_columns() -> None:
    records = tuple(
        Record(stage, "test", "class", "view", 1, "top1", value)
        for stage, value in (("stem", 0.1), ("layer1", 0.2), ("features", 0.7))
    )
    run = Run(Path("run"), {"seed": 0}, {}, None, parts={"stages": records})
    [table] = part_tables([Variant("a", (run,))])
    assert table.lengths == ("stem", "layer1", "features")
    assert table.rows == (("class, top-1", "", ("0.100", "0.200", "0.700")),)


def test_an_exact_prediction_finds_the_view_that_comes(run_dir: Path) -> None:
    model = load(run_dir)
    world = model.experiment.world.build()
    index = np.arange(4)
    batch = world.sequences("test", index, 5, draw_key(0, "test", 0, index))

    method = SimpleNamespace(
        encoder=lambda views: views.flatten(2).double(),
        source=lambda features: features,
        target=lambda views: views.flatten(2).double(),
        predict=lambda sources, actions: batch.views[:, 1].flatten(1).double(),
    )
    found = imagined.nearest_views(replace(model, method=method), batch)
    assert found.shape == (4, 4) and (found[:, 0] == 1).all()

    # The right one alone is framed, and others say how far off they are.
    figure = imagined.draw_imagined(model, world, index)
    words = [axes.get_xlabel() for axes in figure.axes]
    assert words.count("right") <= len(index) and any("° off" in word for word in words)


def test_methods_without_a_predictor_say_so(tmp_path: Path) -> None:
    recipe = experiment("simclr")
    run = train(
        replace(recipe, train=replace(recipe.train, num_views=2)),
        tmp_path / "run",
        quiet=True,
        device="cpu",
    )
    page = write_report([run], tmp_path / "report")
    assert "predicts no views from actions" in page.read_text()
    assert not (page.parent / "imagined.png").exists()
