"""The paper's tables as data: their numbers, their runs at each scale, and where figures are."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.small_scale import small
from seqjepa.config import Experiment, from_json, to_json
from seqjepa.errors import ConfigError
from seqjepa.evaluation import few_labels
from seqjepa.evaluation.suite import PARTS, evaluate_suite
from seqjepa.evaluation.transfer import transfer
from seqjepa.model import build_method
from seqjepa.recipes import recipe
from seqjepa.reproduce import pictures
from seqjepa.reproduce.costs import count_gflops
from seqjepa.reproduce.jobs import require_fit
from seqjepa.reproduce.layout import GFLOPS, HOURS, PROBES, Cell, Table
from seqjepa.reproduce.objects import CONTEXT
from seqjepa.reproduce.results import recorded
from seqjepa.reproduce.runs import ours
from seqjepa.reproduce.scales import (
    DRAWN,
    PAPER,
    PICTURES,
    SCALES,
    TINY,
    build,
    elsewhere,
)
from seqjepa.reproduce.tables import KNOWN, find_tables, needed_parts
from seqjepa.speed.methods import CPU, noise_world
from seqjepa.speed.plain import one_batch
from seqjepa.training.loop import train

RUNS = needed_parts(find_tables(["all"]))


def printed(table: Table) -> dict[str, list]:
    """Return the published numbers of a table's rows, None where the paper has none."""
    return {
        line.label: [None if cell is None else cell.published for cell in line.cells]
        for line in table.lines
    }


def column(table: Table, number: int) -> list:
    return [numbers[number] for numbers in printed(table).values()]


# Numbers, typed again from the paper, column by column


def test_the_numbers_of_table_1() -> None:
    table = KNOWN["table1"]
    assert column(table, 0) == [
        82.9, 81.13, 80.48, 81.26, 83.43, 84.29, 77.49, 82.61, 80.4, 84.08, 85.31, 86.14, 87.41,
        86.05,
    ]  # fmt: skip
    assert column(table, 1) == [
        0.12, 0.35, 0.2, 0.27, 0.35, 0.32, 0.58, 0.31, 0.74, 0.65, 0.65, 0.71, 0.71, 0.29,
    ]  # fmt: skip
    assert column(table, 2) == [
        0.25, 0.54, 0.36, 0.43, 0.57, 0.55, 0.62, 0.47, 0.78, 0.69, 0.69, 0.74, 0.74, 0.37,
    ]  # fmt: skip


def test_the_numbers_of_table_12() -> None:
    table = KNOWN["table12"]
    assert column(table, 0) == [
        80.91, 84.88, 82.49, 74.88, 53.0, 56.23, 52.07, 46.31, 52.62, 54.92, 51.41, 32.84, 33.03,
        27.2, 24.74, 31.13, 31.85, 27.2, 61.38, 81.2, 79.29, 72.49,
    ]  # fmt: skip
    assert column(table, 1) == [
        81.61, 84.08, 81.72, 71.14, 51.6, 54.24, 53.07, 49.48, 52.06, 50.21, 48.69, 30.48, 32.34,
        30.57, 28.84, 30.89, 29.05, 28.83, 62.21, 71.45, 63.14, 68.95,
    ]  # fmt: skip
    assert column(table, 2) == [
        86.05, 85.34, 85.32, 75.97, 57.05, 52.9, 59.34, 57.6, 58.07, 57.2, 55.54, 35.03, 36.14,
        34.99, 33.78, 35.07, 34.27, 34.82, 69.06, 81.53, 76.93, 76.84,
    ]  # fmt: skip
    assert column(table, 3) == [
        87.36, 85.31, 87.41, 79.31, 58.37, 52.92, 60.35, 58.33, 59.32, 58.62, 56.72, 35.97, 37.07,
        35.56, 34.68, 35.69, 35.21, 35.79, 70.45, 83.44, 79.85, 77.97,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "row", "place", "number"),
    [
        ("table2", "SIE; crop", 6, 0.05),
        ("table2", "seq-JEPA, M 3; all", 3, 0.92),
        ("table3", "seq-JEPA without saliency and inhibition", 1, 0.88),
        ("table4", "action width 64", 0, (87.11, 0.2)),
        ("table6", "84 px", 5, 2.51),
        ("table10", "EquiMod", 1, 0.037),
        ("table11", "SimCLR", 3, None),
        ("figure6", "angular, no vision", 1, 0.27),
        ("figure8", "5", 2, 87.4),
        ("figure9", "8", 4, 85.2),
        ("figure10", "1", 9, 48.7),
        ("figure11", "3", 4, 35.1),
    ],
)
def test_a_number_stands_in_its_cell(name: str, row: str, place: int, number: object) -> None:
    assert printed(KNOWN[name])[row][place] == number


def test_heat_maps_and_tables_that_print_the_same_agree() -> None:
    """Figure 8's row of five views is table 12's, rounded."""
    heat, [line] = (
        printed(KNOWN["figure8"])["5"],
        [numbers for label, numbers in printed(KNOWN["table12"]).items() if "rotation; 3" in label],
    )
    assert heat[2] == round(line[3], 1)


@pytest.mark.parametrize("table", KNOWN.values(), ids=list(KNOWN))
def test_every_row_has_a_cell_or_a_gap_in_each_column(table: Table) -> None:
    assert table.lines and all(len(line.cells) == len(table.columns) for line in table.lines)
    labels = [line.label for line in table.lines]
    assert len(set(labels)) == len(labels)


# Runs


def test_the_number_of_runs() -> None:
    assert len(RUNS) == 122
    counts = {name: len(needed_parts([table])) for name, table in KNOWN.items()}
    assert counts["table1"] == 12 and counts["table2"] == 54 and counts["table4"] == 7
    assert counts["table6"] == 0, "nothing to train"
    assert counts["figure15"] == 1, "both patches are seen by one run"
    assert len({run.name for run in RUNS}) == len(RUNS), "each has a folder of its own"


def test_the_changes_of_table_9_are_those_from_table_1() -> None:
    inside = printed(KNOWN["table1"])
    for label, (outside, change, *_) in printed(KNOWN["table9"]).items():
        assert outside - inside[label][0] == pytest.approx(change), label


def test_tables_share_runs() -> None:
    first = needed_parts(find_tables(["table1"]))
    both = needed_parts(find_tables(["table1", "table9", "table10", "table5"]))
    assert set(first) == set(both) and first[ours("threediebench", 3)] == (PROBES,)
    assert both[ours("threediebench", 3)] == (PROBES, "retrieval")
    heat = needed_parts(find_tables(["figure8"]))
    assert len(heat) == 9 and ours("threediebench", 3) in heat, "five lengths, two axes, one shared"
    assert needed_parts(find_tables(["table5"]))[ours("threediebench", 1)] == ()


@pytest.mark.parametrize("scale", SCALES.values(), ids=list(SCALES))
def test_every_cell_can_be_filled(scale) -> None:
    """Each has data and a part of the evaluation that there is; all but operations need a run."""
    for table in KNOWN.values():
        for cell in table.cells:
            part = cell.where.part
            assert cell.where.world or part in (PROBES, *PARTS, HOURS, GFLOPS), (table.name, part)
            assert cell.sources <= scale.sources.keys() and bool(cell.runs) == (part != GFLOPS)


@pytest.mark.parametrize("scale", SCALES.values(), ids=list(SCALES))
def test_every_run_builds(scale) -> None:
    seen = {}
    for run in RUNS:
        experiment = build(run, scale, {}, seed=3)
        require_fit(experiment)
        assert experiment.seed == 3 and experiment.name == f"{scale.name}_{run.name}"
        assert from_json(to_json(experiment)) == experiment
        world, train = to_json(experiment)["world"], experiment.train
        assert "last" not in world or run.method == "seq_jepa" or world["last"] == world["observed"]
        if run.observed and not run.equal_views:
            assert train.num_views == run.observed + 1
        # No two runs are the same but for their names.
        settings = {k: v for k, v in to_json(experiment).items() if k != "name"}
        assert str(settings) not in seen, (run.name, seen[str(settings)])
        seen[str(settings)] = run.name


def of(name: str, scale=PAPER, paths=None) -> Experiment:
    [run] = [run for run in RUNS if run.name == name]
    return build(run, scale, paths or {})


def test_runs_have_the_papers_settings() -> None:
    ours_, theirs = of("threediebench-seq_jepa-m3"), of("threediebench-vicreg_traj")
    assert (ours_.train.batch_size, ours_.train.num_views) == (512, 4)
    assert (theirs.train.batch_size, theirs.train.num_views) == (512, 3)
    assert theirs.optim.lr_end == 1e-3 and ours_.optim.lr == 4e-4
    assert ours_.world.train_on_val and ours_.evaluate.protocol == "paper"

    equal = of("threediebench-seq_jepa-m1-equal_views").train
    assert equal.batch_size * equal.num_views == 2048
    high = of("threediebench_high-sie")
    assert high.world.image_size == 256 and high.train.batch_size == 1024
    assert high.train.steps * 1024 == 2000 * 41_920
    assert of("threediebench-simclr-transformer").method.projector.kind == "transformer"
    assert of("threediebench-seq_jepa-m3-aggregator_only").method.condition == "aggregator"
    assert of("threediebench-context_ssl-colour").optim.lr == 1e-4
    assert of("tiny_imagenet-sen-crop").world.actions == ("crop",)
    moved = of("stl10-conv_jepa-m4", paths={"stl10": "there", "stl10_saliency": "maps"})
    assert (moved.world.path, moved.world.saliency, moved.train.num_views) == ("there", "maps", 5)
    assert of("stl10-seq_jepa-m4-no_saliency").world.saliency == "uniform"


def test_the_tiny_scale_has_the_demos_net() -> None:
    tiny, demo = of("threediebench-seq_jepa-m3", TINY), recipe("shapes_tiny_last")()
    assert tiny.encoder == demo.encoder and tiny.method == replace(demo.method, action_width=128)
    assert of("threediebench_high-sie", TINY).train.batch_size == 128
    assert of("cifar100-byol", TINY, {PICTURES: "drawn"}).world.path == "drawn"


@pytest.mark.parametrize(("name", "near"), [("tabel1", "table1"), ("figure 8", "figure8")])
def test_an_unknown_table(name: str, near: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown table '{name}', did you mean '{near}'"):
        find_tables([name])
    with pytest.raises(ConfigError, match="name at least one table: table1, table2"):
        find_tables([])


def test_tables_come_in_the_papers_order_and_once() -> None:
    chosen = find_tables(["figure8", "table10", "table2", "table2"])
    assert [table.name for table in chosen] == ["table2", "table10", "figure8"]


# Figures


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """A run of each world, trained for two steps and asked everything."""
    out = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQJEPA_CACHE", str(out / "cache"))
        patch.setattr(few_labels, "FEWEST", 2)
        paths = {name: str(pictures.write_pictures(out, name, 60)) for name in DRAWN}
        found = {}
        for run, worlds in (
            (ours("threediebench", 3, "colour"), ()),
            (ours("cifar100", 2), ("stl10",)),
            (ours("stl10", 4), ("imagenet_32", "imagenet_84")),
        ):
            folder, experiment = out / run.name, build(run, small(), paths)
            train(experiment, folder, quiet=True, device="cpu")
            parts = [PROBES, "retrieval"] if run == ours("threediebench", 3, "colour") else [PROBES]
            outcomes = list(evaluate_suite(folder, parts, progress=False, device="cpu"))
            assert all(outcome.error is None for outcome in outcomes), outcomes
            for world in worlds:
                other = elsewhere(experiment, world, small(), paths).world
                transfer(folder, other, name=world, progress=False, device="cpu")
            found[run.name] = folder
        yield found


def stand_in(cell: Cell) -> str:
    """Return the run in whose results the figure of a cell is looked for."""
    assert cell.run is not None
    data = cell.run.data
    if data.startswith("threediebench"):
        return "threediebench-seq_jepa-m3-colour"
    return "stl10-seq_jepa-m4" if data == "stl10" else "cifar100-seq_jepa-m2"


@pytest.mark.parametrize("table", KNOWN.values(), ids=list(KNOWN))
def test_every_cell_finds_its_figure(table: Table, trained: dict[str, Path]) -> None:
    lost = []
    for cell in table.cells:
        if cell.where.part in (PROBES, "retrieval") or cell.where.world:
            split = TINY.split(cell.run, cell.where.split)
            where = cell.where
            # Its contexts are readouts of its own, see below.
            if where.features == CONTEXT:
                where = replace(where, features="model")
            value = recorded(trained[stand_in(cell)], where, split)
            if value is None:
                lost.append(cell.where)
            elif cell.where.percent:
                assert 0 <= value <= 100
    assert not lost


def test_context_ssl_has_the_readout_of_table_1() -> None:
    experiment = of("threediebench-context_ssl-colour", small())
    method = build_method(experiment, experiment.world.outline())
    train = replace(experiment.train, batch_size=method.context_size)
    batch = one_batch(
        replace(experiment, train=train), noise_world(replace(experiment, train=train)), CPU
    )
    assert CONTEXT in method.eval().readouts(batch)
    assert any(cell.where.features == CONTEXT for cell in KNOWN["table1"].cells)


def test_figures_are_in_the_papers_unit(trained: dict[str, Path]) -> None:
    folder = trained["stl10-seq_jepa-m4"]
    records = json.loads((folder / "results.json").read_text())["records"]
    [mine] = [
        record["value"]
        for record in records
        if (record["features"], record["task"], record["input"], record["views"])
        == ("model", "class", "sequence", 6)
    ]
    line = next(line for line in KNOWN["table3"].lines if "M_val 6" in line.label)
    cell = line.cells[0]
    assert recorded(folder, cell.where, "test") == 100 * mine
    assert recorded(folder, replace(cell.where, views=99), "test") is None


@pytest.mark.parametrize("place", range(6))
def test_operations_are_those_of_the_paper(place: int) -> None:
    cell = KNOWN["table6"].lines[1].cells[place]  # at 64 px, the quickest
    assert count_gflops(cell.where) == pytest.approx(cell.published, rel=0.02)
