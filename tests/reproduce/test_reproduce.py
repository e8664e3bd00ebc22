"""The command: no run is lost or done twice, what fails is named, and bad input costs nothing."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.small_scale import small
from seqjepa import cli
from seqjepa.errors import ConfigError, Interrupted, NonFiniteError
from seqjepa.files import acquire, release
from seqjepa.report import style
from seqjepa.reproduce import run as running
from seqjepa.reproduce.heat import draw_heat_map
from seqjepa.reproduce.jobs import plan
from seqjepa.reproduce.layout import Cell, Run, Table, Where
from seqjepa.reproduce.page import publish
from seqjepa.reproduce.plan import entries
from seqjepa.reproduce.results import Results
from seqjepa.reproduce.run import open_plan, reproduce
from seqjepa.reproduce.scales import PAPER
from seqjepa.reproduce.tables import KNOWN, find_tables

HERE = str(Path(__file__).parent)  # no data set
NAMES = [f"threediebench-{name}_seed0" for name in ("sie", "equimod", "seq_jepa-m1", "seq_jepa-m3")]


def go(out: Path, *tables: str, **options):
    """Reproduce tables at the small scale; return the outcome and the lines it said."""
    lines: list[str] = []
    outcome = reproduce(
        tables or ("table10",), out, small(), device="cpu", quiet=True, say=lines.append, **options
    )
    return outcome, lines


@pytest.fixture(scope="module", autouse=True)
def cached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQJEPA_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setitem(style.PARAMETERS, "savefig.dpi", 40)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Table 10, whose four runs are trained and asked about retrieval; tests copy it."""
    out = tmp_path_factory.mktemp("reproduce") / "out"
    outcome, lines = go(out)
    assert not outcome.failures and outcome.elsewhere == outcome.without_data == 0
    expected = [f"{number}/4 {name}" for number, name in enumerate(NAMES, 1)]
    assert [line.partition(": done in")[0] for line in lines] == expected
    return out


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "out")


def never(*arguments, **options) -> None:
    raise AssertionError("nothing is to be trained")


def states(out: Path, *tables: str) -> dict[str, str]:
    jobs = plan(find_tables(tables or ["table10"]), small(), out, {}, 1)
    return {job.folder.name: job.state for job in jobs}


# Runs


def test_runs_are_ordinary_run_folders(out: Path) -> None:
    for name in NAMES:
        folder = out / "runs" / name
        files = ("config.json", "world.json", "metrics.jsonl", "suite/retrieval.json")
        assert all((folder / file).exists() for file in files)
        assert not (folder / "results.json").exists(), "no table asked for probes"
    assert states(out) == dict.fromkeys(NAMES, "done")


def test_what_is_done_is_not_begun_again(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "train", never)
    monkeypatch.setattr(running, "evaluate_suite", never)
    outcome, lines = go(out)
    assert not outcome.failures and lines == [
        f"{number}/4 {name}: already done" for number, name in enumerate(NAMES, 1)
    ]


def test_what_is_begun_goes_on(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four runs one was trained and has damaged results, and one never came to be."""
    (out / "runs" / NAMES[1] / "suite" / "retrieval.json").write_text("{half")
    shutil.rmtree(out / "runs" / NAMES[3])
    before = states(out)
    assert [before[name] for name in NAMES] == ["done", "begun", "done", "missing"]

    real, trained = running.train, []

    def train(experiment, folder, **options):
        trained.append(folder.name)
        return real(experiment, folder, **options)

    monkeypatch.setattr(running, "train", train)
    outcome, _ = go(out)
    assert trained == [NAMES[3]] and not outcome.failures
    assert set(states(out).values()) == {"done"}


def test_an_interruption_ends_it_and_the_next_call_goes_on(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(out / "runs" / NAMES[2])
    shutil.rmtree(out / "runs" / NAMES[3])

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(running, "evaluate_suite", interrupted)
        with pytest.raises(Interrupted, match=f"stopped at {NAMES[2]}"):
            go(out)
    found = states(out)
    assert found[NAMES[2]] == "begun" and found[NAMES[3]] == "missing"
    go(out)
    assert set(states(out).values()) == {"done"}


def test_a_run_of_another_process_is_left_to_it(out: Path) -> None:
    folder = out / "runs" / NAMES[0]
    shutil.rmtree(folder / "suite")
    lock = acquire(folder, "--run-dir")
    try:
        outcome, lines = go(out)
    finally:
        release(folder, lock)
    assert outcome.elsewhere == 1 and not outcome.failures
    assert lines[0] == f"1/4 {NAMES[0]}: left to the process that is at it"


def test_another_table_adds_its_parts_to_shared_runs(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(
        KNOWN["table9"],
        lines=tuple(
            line for line in KNOWN["table9"].lines if line.label in ("SIE", "seq-JEPA (3, 3)")
        ),
    )
    monkeypatch.setitem(KNOWN, "table9", few)
    assert states(out, "table9") == {NAMES[0]: "begun", NAMES[3]: "begun"}
    monkeypatch.setattr(running, "train", never)
    outcome, _ = go(out, "table9")
    assert not outcome.failures and set(states(out, "table9").values()) == {"done"}

    text = (out / "table9.md").read_text()
    [row] = [line for line in text.splitlines() if line.startswith("| seq-JEPA (3, 3)")]
    results = json.loads((out / "runs" / NAMES[3] / "results.json").read_text())
    asked = ("model", "ood_rotation", "class", "sequence", 3)
    [value] = [
        record["value"]
        for record in results["records"]
        if tuple(record[key] for key in ("features", "split", "task", "input", "views")) == asked
    ]
    assert f"| {100 * value:.1f} (65.03) |" in row and "(−0.71)" in row and "(−0.211)" in row
    assert text.count("`--threediebench-ood PATH`") == 1
    assert "*pixels, 16x16*" in text and "*untrained features*" in text


def test_a_failing_run_is_a_line_and_the_rest_goes_on(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES[1:3]:
        shutil.rmtree(out / "runs" / name)
    real = running.train

    def train(experiment, folder, **options):
        if "equimod" in str(folder):
            folder.mkdir(parents=True)
            raise NonFiniteError("the loss is not finite")
        return real(experiment, folder, **options)

    monkeypatch.setattr(running, "train", train)
    outcome, lines = go(out)
    assert [str(error) for error in outcome.failures] == [f"{NAMES[1]}: the loss is not finite"]
    assert outcome.failures[0].exit_code == 5 and outcome.elsewhere == 0
    assert lines[1].endswith(": the loss is not finite") and ": done in" in lines[2]
    found = states(out)
    assert found[NAMES[1]] == "failed" and found[NAMES[2]] == "done"
    text = (out / "table10.md").read_text()
    assert f"`{NAMES[1]}` failed: the loss is not finite." in text
    assert "| EquiMod | – (0.136) |" in text

    # The same command tries again.
    monkeypatch.setattr(running, "train", real)
    assert not go(out)[0].failures and states(out)[NAMES[1]] == "done"


def test_a_failing_part_is_a_line_too(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(out / "runs" / NAMES[0] / "suite")
    from seqjepa.evaluation import suite

    def broken(subject):
        raise NonFiniteError("predictions are not finite")

    monkeypatch.setattr(suite, "PARTS", {**suite.PARTS, "retrieval": broken})
    outcome, lines = go(out)
    assert "no retrieval: predictions are not finite" in lines[0]
    assert len(outcome.failures) == 1 and states(out)[NAMES[0]] == "begun"


# Pages


def test_the_page_has_ours_beside_the_published(out: Path) -> None:
    text = (out / "table10.md").read_text()
    records = json.loads((out / "runs" / NAMES[3] / "suite/retrieval.json").read_text())["records"]
    mine = {
        (record["features"], record["views"], record["metric"]): record["value"]
        for record in records
    }
    cells = [
        f"{mine['model', 3, metric]:.3f} ({published})"
        for metric, published in (("mrr", 0.388), ("h@1", 0.273), ("h@5", 0.468))
    ]
    assert f"| seq-JEPA (3, 3) | {' | '.join(cells)} |" in text
    assert "Scale `tiny`: A look, not a result" in text and "n = 1 seed." in text
    index = (out / "index.md").read_text()
    assert "| [Table 10](table10.md) |" in index and "| 4 of 4 |" in index
    assert index.count("| done |") == 4


def test_heat_maps_are_drawn_beside_their_table(tmp_path: Path) -> None:
    run, place = Run("threediebench"), Where(("class",), metric="top1")
    picture = draw_heat_map("map", "title", [[50.0, None], [60.0, 70.0]], ["1", "2"])
    assert picture.png.startswith(b"\x89PNG") and "title" in picture.alt
    publish([KNOWN["figure8"]], [], Results(small(), tmp_path, 1))
    assert not list(tmp_path.glob("*.png")), "of nothing there is no picture"
    assert "| 5 | – (85.5) |" in (tmp_path / "figure8.md").read_text()
    assert Cell(run, place).runs == [run]


# Plans


def test_the_plan_counts_runs_and_names_missing_data(tmp_path: Path) -> None:
    def counted(tables: list[str], paths: dict[str, str]) -> dict[str, int]:
        found = [job.state for job in plan(find_tables(tables), PAPER, tmp_path, paths, 2)]
        return {state: found.count(state) for state in set(found)}

    assert counted(["table2"], {}) == {"no data": 108}
    assert counted(["table2"], {"cifar100": "there"}) == {"no data": 54, "missing": 54}
    jobs = plan(find_tables(["table9"]), PAPER, tmp_path, {"threediebench": "a"}, 1)
    assert {job.ood for job in jobs} == {""}, "the data out of distribution are not named"
    paths = {"threediebench": "a", "threediebench_ood": "b"}
    jobs = plan(find_tables(["table9"]), PAPER, tmp_path, paths, 1)
    assert {(job.ood, job.where) for job in jobs} == {("ood", (("ood_path", "b"),))}
    assert all(job.experiment.world.ood_path is None for job in jobs), "training does without"


def test_the_time_left_is_that_of_views_and_evaluations(out: Path) -> None:
    import torch

    shutil.rmtree(out / "runs" / NAMES[3])
    _, jobs = open_plan(["table10"], out, small(), {}, 1)
    found = entries(jobs, small(), torch.device("cpu"))
    assert [entry.seconds > 0 for entry in found] == [False, False, False, True]
    assert found[3].views == 2 * 4 * 4 and found[3].seconds > small().evaluation


# Bad input


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str]:
        code = cli.run(["reproduce", *arguments])
        assert not list(tmp_path.iterdir()), "nothing is written"
        return code, capsys.readouterr().err

    return command


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "name at least one table: table1"),
        (["tabel2", "--scale", "tiny"], 2, "unknown table 'tabel2', did you mean 'table2'"),
        (["table2", "--cifar100", "nowhere"], 3, "--cifar100: there is no nowhere"),
        (["table2", "--cifar100", HERE], 3, f"--cifar100: {HERE} is not CIFAR-100 as published"),
        (["table1", "--threediebench", HERE], 3, "--threediebench: "),
        (["table3", "--stl10-saliency", HERE], 3, "holds no saliency maps"),
        (["table2", "--cifar100", "x", "--scale", "tiny"], 2, "leave out --cifar100"),
        (["table2", "--steps", "5"], 2, "--steps is for --scale tiny"),
        (["table1", "--seeds", "0"], 2, "--seeds must be at least 1"),
        (["table1", "--scale", "huge"], 2, "huge"),
    ],
)
def test_bad_input(command, arguments: list[str], code: int, words: str) -> None:
    got, said = command(*arguments)
    assert got == code and words in said and said.count("\n") <= 2, said


def test_a_folder_of_other_settings(out: Path, tmp_path: Path) -> None:
    other = replace(small(), changes={**small().changes, "train.steps": 3})
    with pytest.raises(ConfigError, match=r"was made with changes .* choose another --out"):
        open_plan(["table10"], out, other, {}, 1)
    with pytest.raises(ConfigError, match="was made with scale tiny, now it is paper"):
        open_plan(["table10"], out, PAPER, {}, 1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match=r"and no reproduce\.json: choose another --out"):
        open_plan(["table10"], tmp_path / "full", small(), {}, 1)


def test_the_plan_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["reproduce", "table10", "--scale", "tiny", "--plan"]) == 0
    said = capsys.readouterr().out
    assert "4 runs, --scale tiny" in said and "missing 4" in said and "estimated" in said
    assert not list(tmp_path.iterdir())
    assert isinstance(KNOWN["table10"], Table)
