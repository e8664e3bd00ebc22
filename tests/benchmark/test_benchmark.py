"""A benchmark: its contenders, its refusals, its table, and that no run is lost or done twice."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev

import pytest

from fixtures import contract, signal_world
from seqjepa import cli
from seqjepa.benchmark import benchmark
from seqjepa.benchmark.contenders import contenders
from seqjepa.benchmark.standings import note_failure
from seqjepa.benchmark.summary import publish
from seqjepa.config import EvaluateConfig, Experiment, TrainConfig, to_json
from seqjepa.errors import ConfigError, DataError, Interrupted, NonFiniteError, Stopped
from seqjepa.methods import vicreg
from seqjepa.recipes import every_method, with_views
from seqjepa.recipes.shapes import shapes_tiny
from seqjepa.report import style
from seqjepa.runs.folder import RunFolder
from seqjepa.training.loop import train
from seqjepa.worlds.base import World, WorldConfig

PAIR = ("seq_jepa:predict=every", "vicreg")
FOLDERS = (
    "seq_jepa_predict_every_seed0",
    "vicreg_seed0",
    "seq_jepa_predict_every_seed1",
    "vicreg_seed1",
)
SIGNAL = str(Path(signal_world.__file__))


@dataclass(frozen=True, kw_only=True)
class PathWorld(WorldConfig):
    """The world, as if from files."""

    path: str = ""

    def build(self) -> World:
        return signal_world.Config(objects=24).build()


def recipe(**world) -> Experiment:
    """Two steps, and probes that learn next to nothing."""
    short = EvaluateConfig(views=3, draws=1, max_steps=4)
    return replace(
        signal_world.recipe(), world=signal_world.Config(objects=24, **world), evaluate=short
    )


def bench(out: Path, methods=PAIR, experiment: Experiment | None = None, **options):
    """Run a benchmark of the pair; return its outcome and the lines it said."""
    lines: list[str] = []
    outcome = benchmark(
        experiment or recipe(), methods, out, device="cpu", quiet=True, say=lines.append, **options
    )
    return outcome, lines


@pytest.fixture(scope="module", autouse=True)
def coarse() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(style.PARAMETERS, "savefig.dpi", 40)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark of two contenders and two seeds; tests copy it before they change it."""
    out = tmp_path_factory.mktemp("benchmark") / "out"
    outcome, lines = bench(out, seeds=2)
    assert not outcome.failures and outcome.elsewhere == 0
    ours = "seq_jepa:predict=every"
    assert [line.partition(": done in")[0] for line in lines] == [
        f"1/4 {ours}, seed 0",
        "2/4 vicreg, seed 0",
        f"3/4 {ours}, seed 1",
        "4/4 vicreg, seed 1",
    ]
    return out


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "out")


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def figure(folder: Path, task: str, source: str, views: int, metric: str) -> float:
    asked = {
        "features": "model",
        "split": "test",
        "task": task,
        "input": source,
        "views": views,
        "metric": metric,
    }
    [value] = [r["value"] for r in results(folder)["records"] if asked.items() <= r.items()]
    return value


def times(out: Path) -> dict[Path, int]:
    """Return the times at which the files of the runs were last written."""
    return {path: path.stat().st_mtime_ns for path in out.glob("*_seed*/**/*") if path.is_file()}


# Contenders


def test_a_contender_is_a_method_with_the_recipes_other_settings() -> None:
    base = shapes_tiny()
    own, plain, changed = contenders(
        ["seq_jepa:predict=last", "vicreg", "seq_jepa:train.num_views=2,condition=none"], base
    )
    assert [c.name for c in (own, plain, changed)] == [
        "seq_jepa:predict=last",
        "vicreg",
        "seq_jepa:train.num_views=2,condition=none",
    ]
    assert own.experiment.method == replace(base.method, predict="last")
    assert own.experiment.name == "shapes_tiny_seq_jepa:predict=last"
    assert replace(own.experiment, method=base.method, name=base.name) == base
    assert plain.experiment.method == vicreg.Config()
    assert plain.experiment.train == replace(base.train, num_views=2, batch_size=128)
    assert plain.experiment.optim == base.optim
    assert plain.experiment.world == base.world
    assert plain.experiment.encoder == base.encoder
    assert changed.experiment.method == replace(base.method, condition="none")
    assert changed.experiment.train == replace(base.train, num_views=2, batch_size=128)


def test_values_are_json_or_words() -> None:
    settings = (
        'world.actions=["rotation","light_hue"]',
        "dropout=0.25",
        "ema_buffers=true",
        "evaluate.objects=null",
        'condition="none"',
    )
    [found] = contenders([f"seq_jepa:{','.join(settings)}"], shapes_tiny())
    experiment, method = found.experiment, found.experiment.method
    assert experiment.world.actions == ("rotation", "light_hue")
    assert experiment.evaluate.objects is None
    assert (method.dropout, method.ema_buffers, method.condition) == (0.25, True, "none")


def test_views_per_step_stay_equal() -> None:
    train = TrainConfig(batch_size=64, num_views=4)
    for num_views, batch_size in ((2, 128), (3, 85), (4, 64), (8, 32)):
        changed = with_views(train, num_views)
        assert (changed.num_views, changed.batch_size) == (num_views, batch_size)
    micro = with_views(replace(train, accumulate=8), 3)
    assert micro.batch_size == 80, "a multiple of the micro-batches"
    for before, after in ((80, 128), (64, 128), (8, 16)):
        whole = with_views(replace(train, batch_size=before), 2, 64)
        assert whole.batch_size == after, "whole contexts, if there is one"
    assert with_views(replace(train, batch_size=160, accumulate=2), 2, 64).batch_size == 256
    for found in contenders([*every_method(), "seq_jepa:train.num_views=8"], shapes_tiny()):
        chosen = found.experiment.train
        assert 0 <= 256 - chosen.batch_size * chosen.num_views < chosen.num_views, found.name
    [own_size] = contenders(["seq_jepa:train.num_views=2,train.batch_size=16"], shapes_tiny())
    assert (own_size.experiment.train.batch_size, own_size.experiment.train.num_views) == (16, 2)


def test_all_is_every_self_supervised_method_of_the_package() -> None:
    names = every_method()
    assert {name.partition(":")[0] for name in names} == {*contract.NAMES} - {"supervised"}
    assert {"seq_jepa:predict=last", "seq_jepa:predict=every"} < set(names)
    assert len(names) == len(contract.NAMES)
    found = contenders([*names, *names], shapes_tiny())
    assert [c.name for c in found] == names
    conditioned = {c.name for c in found if c.experiment.method.uses_actions}
    assert set(names) - conditioned == {"byol", "simclr", "vicreg", "vicreg_traj"}
    [blind] = contenders(["seq_jepa:condition=none"], shapes_tiny())
    assert not blind.experiment.method.uses_actions


def test_a_method_of_ones_own(tmp_path: Path) -> None:
    shutil.copy(vicreg.__file__, tmp_path / "bench_own.py")
    own = f"{tmp_path}/bench_own.py"
    first, second = contenders([own, f"{own}:variance=5"], recipe())
    assert (first.name, second.name) == ("bench_own", "bench_own:variance=5")
    assert second.experiment.method.variance == 5
    assert to_json(first.experiment)["method"]["kind"] == "bench_own"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vicrg", "contender 'vicrg': unknown method 'vicrg', did you mean 'vicreg'?"),
        ("none.py", "contender 'none.py': no such file: none.py"),
        ("vicreg:varance=1", "unknown key 'method.varance', did you mean 'method.variance'?"),
        ("vicreg:train.stepps=1", "unknown key 'train.stepps', did you mean 'train.steps'?"),
        ("vicreg:trian.steps=1", "unknown key 'trian', did you mean 'train'?"),
        ("vicreg:train.steps.now=1", "key 'train.steps' must be int, got {'now': 1}"),
        ("vicreg:train.steps=many", "key 'train.steps' must be int, got 'many'"),
        ("vicreg:train.steps=0", "train.steps must be at least 1, got 0"),
        ("vicreg:variance=-1", "method.variance must be finite and at least 0, got -1"),
        (
            "seq_jepa:predict=lst",
            "unknown value of key 'method.predict': 'lst', did you mean 'last'?",
        ),
        ("seq_jepa:train.num_views=two", "key 'train.num_views' must be int, got 'two'"),
        ("vicreg:", "'' is no setting: write METHOD:key=value,key=value"),
        ("vicreg:variance", "'variance' is no setting"),
    ],
)
def test_a_mistake_in_a_contender_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        contenders([text], recipe())
    assert str(caught.value).startswith(f"contender {text!r}: ") and message in str(caught.value)


def test_contenders_that_would_share_a_folder_are_refused() -> None:
    with pytest.raises(ConfigError, match="would share a folder"):
        contenders(["vicreg:variance=1", "vicreg:variance= 1"], recipe())


# Runs


def test_a_benchmark_ends_with_table_data_and_figure(finished: Path) -> None:
    assert sorted(path.name for path in finished.iterdir()) == sorted(
        [*FOLDERS, "benchmark.json", "benchmark.md", "benchmark.png", "lock"]
    )
    assert (finished / "benchmark.png").read_bytes().startswith(b"\x89PNG")
    data = json.loads((finished / "benchmark.json").read_text())
    assert (data["recipe"], data["groups"], data["views"], data["split"]) == (
        "signal",
        ["rotation"],
        3,
        "test",
    )
    first, second = data["contenders"]
    assert [(c["name"], c["method"], c["conditioned"], c["n"]) for c in (first, second)] == [
        ("vicreg", "vicreg", False, 2),
        ("seq_jepa:predict=every", "seq_jepa", True, 2),
    ]
    assert [(c["steps"], c["views_seen"]) for c in (first, second)] == [(2, 48), (2, 48)]
    assert first["parameters"] > 0 and first["training_seconds"]["mean"] > 0
    assert first["runs"][0]["machine"]["device"] == "cpu"
    for contender in (first, second):
        folders = [finished / Path(run["results"]).parent for run in contender["runs"]]
        for key, question in {
            "top1_mean": ("class", "mean", 3, "top1"),
            "relative_rotation_r2": ("relative rotation", "pair", 2, "r2"),
        }.items():
            values = [figure(folder, *question) for folder in folders]
            assert contender["figures"][key] == {
                "values": values,
                "mean": mean(values),
                "std": stdev(values),
            }
        assert [results(folder)["seed"] for folder in folders] == [0, 1]
        assert all((finished / run["config"]).is_file() for run in contender["runs"])
    assert ("top1_sequence" in first["figures"], "top1_sequence" in second["figures"]) == (
        False,
        True,
    )
    page = (finished / "benchmark.md").read_text()
    assert (
        "| [vicreg](vicreg_seed0/config.json) | – |" in page
        and "24 views per step, 48 in all" in page
    )


def test_each_group_of_actions_is_shown(out: Path) -> None:
    for name in FOLDERS:
        spec = json.loads((out / name / "world.json").read_text())
        spec["actions"] = spec["factors"]
        (out / name / "world.json").write_text(json.dumps(spec))
    table = publish(out, "signal")
    shown = [column.title for column in table.columns if column.title[0].startswith("relative")]
    assert shown == [
        ("relative rotation", "R²"),
        ("relative light", "R²"),
        ("relative noise", "R²"),
        ("relative rotation", "median error, °"),
    ]
    assert (out / "benchmark_light.png").read_bytes() != (out / "benchmark.png").read_bytes()


def test_a_benchmark_that_is_there_is_not_begun_again(out: Path) -> None:
    before = times(out)
    with pytest.raises(
        ConfigError, match="already holds seq_jepa_predict_every_seed0 and 3 other runs: --resume"
    ):
        bench(out, seeds=2)
    _, lines = bench(out, seeds=2, resume=True)
    assert [line.partition(": ")[2] for line in lines if "vicreg" in line] == ["already done"] * 2
    assert times(out) == before


def test_what_a_kill_left_is_completed(out: Path) -> None:
    before = {name: results(out / name)["records"] for name in FOLDERS}
    (out / FOLDERS[1] / "results.json").unlink()
    (out / FOLDERS[2] / "results.json").unlink()
    [manifest] = (out / FOLDERS[2] / "checkpoints").glob("*/manifest.json")
    manifest.unlink()
    shutil.rmtree(out / FOLDERS[3])
    trained = times(out / FOLDERS[1])
    outcome, lines = bench(out, seeds=2, resume=True)
    assert [line.rpartition(": ")[2].partition(" in")[0] for line in lines] == [
        "already done",
        "done",
        "done",
        "done",
    ]
    assert {name: results(out / name)["records"] for name in FOLDERS} == before
    assert times(out / FOLDERS[1]) == trained and [line.n for line in outcome.table.lines[:2]] == [
        "2",
        "2",
    ]


def test_a_run_of_another_process_is_left_to_it(out: Path) -> None:
    locked = out / FOLDERS[1]
    (locked / "results.json").unlink()
    [contender] = contenders(["vicreg"], recipe())
    with RunFolder.open(locked, to_json(contender.experiment), resume=True):
        outcome, lines = bench(out, seeds=2, resume=True)
    assert (
        lines[1] == "2/4 vicreg, seed 0: left to the process that is at it"
        and outcome.elsewhere == 1
    )
    assert [(line.label, line.n) for line in outcome.table.lines[:2]] == [
        ("vicreg", "1"),
        ("seq_jepa:predict=every", "2"),
    ]


def test_contenders_and_seeds_add_up(out: Path) -> None:
    outcome, _ = bench(out, methods=["simclr"], resume=True)
    assert [(line.label, line.n) for line in outcome.table.lines[:3]] == [
        ("simclr", "1"),
        ("vicreg", "2"),
        ("seq_jepa:predict=every", "2"),
    ]


def test_other_settings_or_recipes_do_not_mix(out: Path) -> None:
    longer = replace(recipe(), train=replace(recipe().train, steps=3))
    with pytest.raises(
        ConfigError,
        match=r"another configuration; choose another --out or undo:\n"
        r"  train.steps: 2 there, 3 here",
    ):
        bench(out, experiment=longer, resume=True)
    shutil.rmtree(out / FOLDERS[1])
    with pytest.raises(
        ConfigError,
        match=r"vicreg_seed1 has run with other settings; choose another --out or undo:\n"
        r"  train.steps: 2 there",
    ):
        bench(out, ["vicreg"], experiment=longer)
    with pytest.raises(
        ConfigError, match="is a run of 'signal_seq_jepa:predict=every' and no contender on 'other'"
    ):
        bench(out, ["simclr"], experiment=replace(recipe(), name="other"))
    assert not (out / FOLDERS[1]).exists()


def other_digests(folder: Path) -> None:
    """Change the folder as if the run had been made with other pixels."""
    spec = json.loads((folder / "world.json").read_text())
    (folder / "world.json").write_text(
        json.dumps(spec | {"data": spec["data"] | {"test.views": "others"}})
    )


def test_runs_on_other_data_do_not_mix(out: Path) -> None:
    for name in FOLDERS:
        other_digests(out / name)
    with pytest.raises(
        DataError,
        match=r"the data is not what .*_seed\d was run on; "
        r"restore it, or choose another --out:\n  data.test.vi",
    ):
        bench(out, ["simclr"], resume=True)
    assert not (out / "simclr_seed0").exists()
    for name in FOLDERS[1:]:
        shutil.rmtree(out / name)
    (out / FOLDERS[0] / "results.json").unlink()
    with pytest.raises(
        DataError,
        match=r"the data is not what .*_seed0 was begun with; "
        r"restore it, or choose another --out:\n  data.test",
    ):
        bench(out, resume=True)


def test_a_table_of_runs_on_different_data_is_not_written(out: Path) -> None:
    other_digests(out / FOLDERS[1])
    with pytest.raises(
        DataError, match=r"the data of .*vicreg_seed\d is not what .*_seed\d was run on"
    ):
        bench(out, seeds=2, resume=True)


def test_data_that_change_between_runs_end_the_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "seqjepa.benchmark.train", lambda *args, **options: other_digests(train(*args, **options))
    )
    with pytest.raises(DataError, match=r"the data is not what .*predict_every_seed0 was run on"):
        bench(tmp_path / "out")
    assert not (tmp_path / "out" / "vicreg_seed0").exists()


def test_the_home_folders_path_stays_out_of_results(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    experiment = replace(recipe(), world=PathWorld(path="/home/somebody/data"))
    note_failure(out / FOLDERS[1], experiment, "why")
    assert "somebody" not in (out / FOLDERS[1] / "failed.json").read_text()
    home = out.parent / "home"
    bench(home, ["vicreg"], experiment=experiment)
    assert "somebody" not in (home / "vicreg_seed0" / "results.json").read_text()
    monkeypatch.setenv("HOME", "/home/else")
    moved = replace(experiment, world=replace(experiment.world, path="/home/else/data"))
    _, lines = bench(home, ["vicreg"], experiment=moved, resume=True)
    assert lines == ["1/1 vicreg, seed 0: already done"]


@pytest.mark.parametrize(
    ("file", "text"), [("results.json", '{"format": 1}'), ("failed.json", "{}")]
)
def test_damaged_results_are_named(out: Path, file: str, text: str) -> None:
    (out / FOLDERS[1] / "results.json").unlink()
    (out / FOLDERS[1] / file).write_text(text)
    with pytest.raises(DataError, match=rf"vicreg_seed0/{file} has no .*: "):
        bench(out, seeds=2, resume=True)


def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    crowded = replace(recipe(), train=replace(recipe().train, batch_size=20))
    cases: list[tuple[Experiment, str, type[Exception], str]] = [
        (
            recipe(views=2),
            "vicreg_traj",
            ConfigError,
            "contender 'vicreg_traj': vicreg_traj reads 3 views of an object",
        ),
        (recipe(), "context_ssl", ConfigError, "contender 'context_ssl': .* multiple"),
        (recipe(), "vicreg:train.num_views=3", ConfigError, "set train.num_views to 2, got 3"),
        (recipe(), "seq_jepa:heads=5", ConfigError, "multiple of method.heads = 5"),
        (
            crowded,
            "vicreg",
            DataError,
            "contender 'vicreg': .* 24 objects, fewer than a batch of 30",
        ),
        (shapes_tiny(), "seq_jepa:world.actions=[]", ConfigError, "name some in world.actions"),
        (shapes_tiny(), "seq_jepa:train.num_views=17", DataError, "17 views asked for"),
    ]
    for experiment, contender, kind, message in cases:
        with pytest.raises(kind, match=message):
            bench(tmp_path / "out", [contender], experiment=experiment)
    for methods, seeds, message in (
        ([], 1, "at least one contender"),
        (PAIR, 0, "--seeds must be at least 1, got 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            bench(tmp_path / "out", methods, seeds=seeds)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"there is a file in the way\. Choose another --out"):
        bench(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_contender_that_diverges_does_not_lose_the_others(out: Path) -> None:
    wild = "simclr:optim.lr=1e30"
    outcome, lines = bench(out, [wild, *PAIR], resume=True)
    [error] = outcome.failures
    assert isinstance(error, NonFiniteError)
    assert str(error).startswith(f"{wild}, seed 0: ") and "not finite" in str(error)
    assert lines[0].startswith(f"1/3 {wild}, seed 0: failed after")
    assert lines[2] == "3/3 vicreg, seed 0: already done"
    found = {line.label: line.n for line in outcome.table.lines}
    assert found[wild] == "0 (1 failed)" and found["vicreg"] == "2" and outcome.elsewhere == 0
    again, _ = bench(out, ["vicreg"], resume=True)
    assert again.table.notes[-1].startswith(f"Failed: {wild}, seed 0: ") and not again.failures


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [(Stopped("saved"), Stopped, "saved"), (KeyboardInterrupt(), Interrupted, "--resume")],
)
def test_a_signal_ends_the_benchmark(
    raised, expected, message, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args, **options):
        raise raised

    monkeypatch.setattr("seqjepa.benchmark.train", stop)
    with pytest.raises(expected, match=message):
        bench(tmp_path / "out")
    assert not (tmp_path / "out").exists()


# The command


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        short = ("--evaluate.views=2", "--evaluate.max-steps=1", "--evaluate.draws=1")
        return cli.run(["benchmark", SIGNAL, *arguments, *short]), *capsys.readouterr()

    return run


def test_the_command(run, tmp_path: Path) -> None:
    methods = ("--methods", "vicreg", "simclr:optim.lr=1e30")
    code, said, warned = run(*methods, "--world.objects", "24", "--train.log-every=1")
    assert code == 5
    assert "warning: vicreg, seed 0: probes were still improving" in warned
    assert "--evaluate.max-steps 2" in warned and " --max-steps" not in warned
    for text in (
        "2/2 simclr:optim.lr=1e30, seed 0: failed",
        "done: runs/benchmark_signal/benchmark.md",
        "0 (1 failed)",
        "pixels, 16x16",
    ):
        assert text in said
    assert (tmp_path / "runs/benchmark_signal/benchmark.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--methods", "vicrg"],
            "contender 'vicrg': unknown method 'vicrg', did you mean 'vicreg'?",
        ),
        (["--seed", "3"], "--seed is for a single run"),
        (["--method", "vicreg"], "unknown option --method, did you mean --methods?"),
        (["--seeds", "0"], "--seeds must be at least 1, got 0"),
    ],
)
def test_mistakes_in_the_command(run, tmp_path: Path, arguments: list[str], message: str) -> None:
    code, said, error = run(*arguments)
    assert code == 2 and not said and message in error and not any(tmp_path.iterdir())
