"""The command line as a user meets it: help, versions and mistakes.

A mistake costs a line to read and leaves nothing behind."""

import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import pytest
import torch
import tyro
from rich.console import Console

from seqjepa import cli, model, recipes
from seqjepa.commands import evaluate
from seqjepa.commands.options import choose, parse
from seqjepa.commands.train import TrainOptions
from seqjepa.config import from_json
from seqjepa.errors import ConfigError
from seqjepa.evaluation.protocol import Record
from seqjepa.model import read_experiment
from seqjepa.recipes.shapes import shapes_baseline
from seqjepa.runs.config_file import load_config
from seqjepa.training.loop import set_lr

TINY = str(Path(__file__).parent / "faults" / "tiny.py")


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and an empty cache beside it."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("SEQJEPA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "140")
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    def run(*arguments: str) -> Result:
        try:
            code = cli.run(list(arguments))
        except SystemExit as end:
            code = int(end.code or 0)
        return Result(code, *capsys.readouterr())

    return run


def test_help_takes_less_than_two_seconds() -> None:
    """P9, in CPU time, as the tests share the machine; nothing heavy is imported."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "seqjepa.cli", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2
    assert all(f"  {command} " in done.stdout for command in cli.COMMANDS)
    heavy = ("torch", "numpy", "numba", "rich", "tyro")
    assert not [name for name in heavy if f"| {name}\n" in done.stderr]


def test_commands_about_data_begin_without_torch() -> None:
    program = "import sys, seqjepa.commands.data; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_the_installed_command() -> None:
    command = Path(sys.executable).with_name("seqjepa")
    assert command.exists() or shutil.which("seqjepa")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"seqjepa {version('seqjepa')}\n"


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_help(run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.code == 0 and "usage: seqjepa COMMAND" in result.out and not result.err
    assert "--version" in result.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--help"], ["shapes_tiny", "FILE.py"]),
        (
            ["train", "shapes_tiny", "--method", "sie", "--help"],
            ["--method.equivariance", "--method.projector.widths"],
        ),
        (
            ["train", "shapes_tiny", "--help"],
            ["--train.steps", "--method.predict", "--world.image-size", "--resume", "--seed"],
        ),
        (["evaluate", "--help"], ["--split", "--code", "--protocol", "--max-steps"]),
        (["report", "--help"], ["usage: seqjepa report ", "--out", "--code"]),
        (["reproduce", "--help"], ["table1 to table12", "--scale", "--plan", "--threediebench"]),
        (["data", "--help"], ["render"]),
        (["data", "render", "--help"], ["shapes", "meshes"]),
        (
            ["data", "render", "meshes", "--help"],
            ["PATH", "--out", "--labels", "--views", "--strict"],
        ),
        (["data", "render", "shapes", "--help"], ["--out", "--quality", "--image-size"]),
        (["speed", "--help"], ["render", "step", "load"]),
        (["speed", "step", "--help"], ["--json", "--device"]),
        (["speed", "methods", "--help"], ["--json", "--rounds", "--methods"]),
    ],
)
def test_every_command_helps(run, arguments: list[str], words: list[str]) -> None:
    result = run(*arguments)
    assert result.code == 0 and not result.err
    assert [word for word in words if word not in result.out] == []


MISTAKES = {
    "command": (["trian"], "unknown command 'trian', did you mean 'train'?"),
    "renamed": (["bench", "step"], "`seqjepa bench` is now `seqjepa speed`"),
    "recipe": (["train", "shapes_tny"], "unknown recipe 'shapes_tny', did you mean 'shapes_tiny'?"),
    "no recipe": (["train"], "name a recipe first"),
    "data": (["train", "."], ". is a folder, no recipe. For arrays, seqjepa train arrays --world"),
    "option first": (["train", "--seed", "1"], "name a recipe first"),
    "file": (["train", "none.py"], "no such file: none.py"),
    "key": (
        ["train", "shapes_tiny", "--train.stepps", "3"],
        "unknown option --train.stepps, did you mean --train.steps?",
    ),
    "nested key": (
        ["train", "shapes_tiny", "--method.moment", "3"],
        "unknown option --method.moment, did you mean --method.ema-momentum?",
    ),
    "key=value": (
        ["train", "shapes_tiny", "--sede=3"],
        "unknown option --sede, did you mean --seed?",
    ),
    "far from all": (
        ["train", "shapes_tiny", "--gpu", "1"],
        "unknown option --gpu. seqjepa train shapes_tiny --help lists the options",
    ),
    "no such key": (
        ["train", "shapes_tiny", "--zzzzzzzz", "3"],
        "unknown option --zzzzzzzz. seqjepa train shapes_tiny --help",
    ),
    "stray word": (["train", "shapes_tiny", "stray"], "unrecognized options: stray"),
    "type": (
        ["train", "shapes_tiny", "--train.steps", "abc"],
        "--train.steps: invalid literal for int() with base 10: 'abc'",
    ),
    "choice": (
        ["train", "shapes_tiny", "--method.predict", "lst"],
        "'lst' for argument '--method.predict'. Expected one of ('last', 'every')",
    ),
    "no value": (
        ["train", "shapes_tiny", "--train.steps"],
        "missing value for argument '--train.steps'",
    ),
    "range": (
        ["train", "shapes_tiny", "--train.steps", "0"],
        "train.steps must be at least 1, got 0",
    ),
    "momentum": (
        ["train", "shapes_tiny", "--method.ema-momentum", "1.2"],
        "method.ema_momentum must lie in 0..1, got 1.2",
    ),
    "image size": (
        ["train", "shapes_tiny", "--world.image-size", "1"],
        "world.image_size must be at least 8, got 1",
    ),
    "action": (
        ["train", "shapes_tiny", "--world.actions", "rotatoin"],
        "unknown action group 'rotatoin', did you mean 'rotation'?",
    ),
    "heads": (
        ["train", "shapes_tiny", "--method.heads", "7"],
        "must be a multiple of method.heads = 7",
    ),
    "one view": (
        ["train", "shapes_tiny", "--train.num-views", "1"],
        "train.num_views must be at least 2, got 1",
    ),
    "method": (
        ["train", "shapes_tiny", "--method", "simcrl"],
        "unknown method 'simcrl', did you mean 'simclr'?",
    ),
    "method's file": (["train", "shapes_tiny", "--method", "none.py"], "no such file: none.py"),
    "pairs": (
        ["train", "shapes_tiny", "--method", "context_ssl", "--train.batch-size", "100"],
        "train.batch_size / train.accumulate (/ ranks) "
        "must be a multiple of method.pairs = 64, got 100",
    ),
    "no method": (["train", "shapes_tiny", "--method", "--seed", "1"], "--method needs a value"),
    "two methods": (
        ["train", "shapes_tiny", "--method", "sie", "--method=byol"],
        "--method is given 2 times: give it once",
    ),
    "other method's key": (
        ["train", "shapes_tiny", "--method", "simclr", "--method.predict", "last"],
        "unknown option --method.predict",
    ),
    "too many views": (
        ["train", "shapes_tiny", "--method", "sie", "--train.num-views", "4"],
        "sie reads 2 views of a sequence: set train.num_views to 2, got 4",
    ),
    "too short a world": (
        ["train", "shapes_tiny", "--method", "vicreg_traj", "--world.views", "2"],
        "vicreg_traj reads 3 views of an object, those of world 'shapes' have 2",
    ),
    "no actions": (
        ["train", "shapes_tiny", "--method=sen", "--world.actions"],
        "sen reads actions and the world has none: name some in world.actions, or choose another",
    ),
    "no actions to read": (
        [
            "train",
            "shapes_tiny",
            "--method.condition",
            "none",
            "--method.inverse",
            "1",
            "--world.actions",
        ],
        "seq_jepa reads actions and the world has none: name some in world.actions, or set "
        "method.condition to none and method.inverse to 0",
    ),
    "no actions to read from a baseline": (
        ["train", "shapes_tiny", "--method", "simclr", "--method.inverse", "1", "--world.actions"],
        "simclr reads actions and the world has none: name some in world.actions, or set "
        "method.inverse to 0",
    ),
    "no action observed": (
        ["train", "shapes_tiny", "--method.inverse", "1", "--train.num-views", "2"],
        "no action between observed views: use 3 or more, or method.inverse = 0",
    ),
    "weight": (
        ["train", "shapes_tiny", "--method.inverse", "-1"],
        "method.inverse must be finite and at least 0, got -1.0",
    ),
    "a baseline's weight": (
        ["train", "shapes_tiny", "--method", "equimod", "--method.inverse", "-1"],
        "method.inverse must be finite and at least 0, got -1.0",
    ),
    "temperature": (
        ["train", "shapes_tiny", "--method.temperature", "0"],
        "method.temperature must be finite and above 0, got 0",
    ),
    "film": (
        [
            "train",
            "shapes_tiny",
            "--method.conditioning",
            "film",
            "--method.condition",
            "aggregator",
        ],
        "method.conditioning film needs condition both or predictor, got aggregator",
    ),
    "warm-up": (
        ["train", "shapes_tiny", "--optim.lr", "1e-6"],
        "the warm-up would lead downwards, from optim.lr_start 1e-05 to optim.lr 1e-06: set "
        "optim.lr_start to at most 1e-06, or optim.warmup to 0",
    ),
    "a contender's warm-up": (
        ["benchmark", "shapes_tiny", "--methods", "sie:optim.lr=1e-6", "--out", "there"],
        "contender 'sie:optim.lr=1e-6': the warm-up would lead downwards",
    ),
    "tracker": (
        ["train", "shapes_tiny", "--track", "tensorbord"],
        "'tensorbord' for argument '--track'",
    ),
    "no run": (
        ["evaluate", "nothing"],
        "nothing is not the folder of a run: it has no config.json",
    ),
    "no folder": (["evaluate"], "missing from seqjepa evaluate"),
    "split": (
        ["evaluate", "nothing", "--split", "tset"],
        "'tset' for argument '--split'. Expected one of ('test', 'val')",
    ),
    "probes": (
        ["evaluate", "nothing", "--max-steps", "0"],
        "evaluate.max_steps must be finite and above 0, got 0",
    ),
    "protocol": (
        ["evaluate", "nothing", "--protocol", "papers"],
        "'papers' for argument '--protocol'. Expected one of ('converged', 'paper')",
    ),
    "code": (["evaluate", "nothing", "--code", "none.py"], "no such file: none.py"),
    "no code": (["evaluate", "nothing", "--world", "shapes", "--code"], "--code needs a value"),
    "no out": (["report", "nothing"], "--out"),
    "no run to report": (["report", "nothing", "--out", "page"], "nothing"),
    "data action": (["data", "rendr"], "unknown action 'rendr', did you mean 'render'?"),
    "data world": (
        ["data", "render", "shpes", "--out", "there"],
        "unknown world 'shpes', did you mean 'shapes'?",
    ),
    "quality": (
        ["data", "render", "shapes", "--out", "there", "--quality", "101"],
        "quality must lie in 1..100, got 101",
    ),
    "measurement": (["speed", "stpe"], "unknown measurement 'stpe', did you mean 'step'?"),
    "rounds": (["speed", "load", "--rounds", "0"], "--rounds must be at least 1, got 0"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_cure_and_leaves_nothing(
    run, elsewhere: Path, name: str
) -> None:
    arguments, message = MISTAKES[name]
    result = run(*arguments)
    assert result.code == 2 and not result.out
    assert result.err.startswith("error: ") and message in result.err
    assert result.err.count("\n") <= 2 and "Traceback" not in result.err and len(result.err) < 800
    assert [path for path in elsewhere.rglob("*") if path.name != "work"] == []


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "nothing"],
        ["evaluate", "nothing", "--world", "shapes_tiny"],
        ["report", "nothing", "--out", "page"],
        ["decode", "nothing"],
        ["export", "nothing", "--format", "safetensors"],
        ["explore", "nothing"],
    ],
    ids=" ".join,
)
def test_a_world_and_a_method_of_ones_own_may_lie_in_two_files(run, command: list[str]) -> None:
    # The first of them is the one that would be forgotten.
    result = run(*command, "--code", "none.py", "--code", TINY)
    assert result.code == 2 and "no such file: none.py" in result.err


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("no_recipe", ("return Experiment(", "Experiment("), "function that returns an Experiment"),
        ("no_test", ('"val", "test")', '"val", "ood")'), "unknown split 'test'"),
        (
            "empty_test",
            ("spec, tables)", "spec, tables | {'test': Config(objects=0)._table(0)})"),
            "split 'test' of world 'tiny' has 0 objects: add some",
        ),
    ],
)
def test_a_file_of_ones_own_that_cannot_be_trained_and_evaluated_leaves_nothing(
    run, elsewhere: Path, name: str, change: tuple[str, str], message: str
) -> None:
    Path(f"{name}.py").write_text(Path(TINY).read_text().replace(*change))
    result = run("train", f"{name}.py", "--run-dir", "run", "--train.steps", "1")
    assert result.code in (2, 3) and message in result.err
    assert not Path("run").exists()


@pytest.mark.parametrize("negatives", ["all", "others"])
def test_contrast_with_one_object_on_each_rank_is_refused(
    run, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, negatives: str
) -> None:
    monkeypatch.setattr(model, "world_size", lambda: 2)
    contrast = ["--method.loss", "contrast", "--method.negatives", negatives]
    result = run("train", "shapes_tiny", *contrast, "--train.batch-size", "2")
    assert result.code == 2 and not result.out
    assert "train.batch_size must give each rank and micro-batch 2 or more, got 1" in result.err
    assert [path for path in elsewhere.rglob("*") if path.name != "work"] == []


def test_what_does_not_fit_the_world_or_the_run_folder_is_told_before_the_world_is_rendered(
    run, elsewhere: Path
) -> None:
    assert (run("train", TINY, "--run-dir", "run")).code == 0
    Path("file").touch()
    in_the_way = "cannot be the run folder: there is a file in the way"
    for arguments, code, message in (
        (["--train.num-views", "17"], 3, "17 views asked for, objects of world 'shapes' have 16"),
        (["--run-dir", "run"], 2, "run holds a run of another configuration"),
        (["--run-dir", "file"], 2, f"file {in_the_way}"),
        (["--run-dir", "file/below"], 2, f"file/below {in_the_way}"),
    ):
        result = run("train", "shapes_tiny", *arguments)
        assert result.code == code and message in result.err
    assert not (elsewhere / "cache").exists()


def test_a_mistake_ends_a_process_within_ten_seconds_without_traceback(elsewhere: Path) -> None:
    """R9, in CPU time."""
    before, began = os.times(), time.monotonic()
    command = [sys.executable, "-m", "seqjepa.cli", "train", "shapes_tiny", "--optim.lrr", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)
    after = os.times()
    assert done.returncode == 2 and not done.stdout
    assert done.stderr == (
        "error: unknown option --optim.lrr, did you mean --optim.lr? "
        "seqjepa train shapes_tiny --help lists the options\n"
    )
    seconds = after.children_user - before.children_user
    assert seconds < 10, f"{time.monotonic() - began} s on the clock"
    assert [path for path in elsewhere.rglob("*") if path.name != "work"] == []


@pytest.mark.parametrize("arguments", [["--help"], ["train", "shapes_tiny", "--help"]])
def test_who_reads_only_the_beginning_gets_no_traceback(arguments: list[str]) -> None:
    """`seqjepa ... | head`: the reader closes the pipe before all is written."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "seqjepa.cli", *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=250,
    )
    os.close(writer)
    assert done.stderr == "" and done.returncode == 128 + signal.SIGPIPE


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(ConfigError, match="did you mean --seed"):
        cli.run(["train", "shapes_tiny", "--sed", "1", "--debug"])


def test_a_run_from_training_to_report(run, elsewhere: Path) -> None:
    """Everything a user types, on a world and a recipe of their own."""
    options = ["--seed", "1", "--train.steps=8", "--train.batch_size", "4"]
    trained = run("train", TINY, "--run-dir", "run", *options)
    assert trained.code == 0 and "Next: seqjepa evaluate run" in trained.out

    evaluated = run("evaluate", "run", "--code", TINY, "--split", "val")
    assert evaluated.code == 0, evaluated.err
    assert Path("run/val/results.json").exists() and not Path("run/results.json").exists()
    for words in (
        "z_AGG of 3 views",
        "z of two views",
        "relative phase",
        "top-1",
        "R²",
        "random",
        "pixels",
        "Next: seqjepa report run --split val",
    ):
        assert words in evaluated.out

    # Options that are not given are the run's own.
    again = run("evaluate", "run", "--code", TINY, "--views", "2", "--max-steps", "5")
    assert again.code == 0
    assert "z_AGG of 2 views" in again.out and "z_AGG of 3 views" not in again.out
    results = json.loads(Path("run/results.json").read_bytes())
    probed = from_json(load_config(results["experiment"], Path("results.json"))).evaluate
    own = read_experiment(Path("run")).evaluate
    assert probed == replace(own, views=2, max_steps=5)

    reported = run("report", "run", "--out", "page", "--code", TINY)
    assert reported.code == 0 and "page/index.html" in reported.out
    assert Path("page/index.html").exists()
    on_val = run("report", "run", "--split", "val", "--out", "on_val", "--code", TINY)
    assert on_val.code == 0 and "mean of 3 views" in Path("on_val/index.html").read_text()
    assert "mean of 3 views" not in Path("page/index.html").read_text()


def test_figures_of_a_part_are_whole_on_a_narrow_terminal() -> None:
    record = Record("no vision, head kept", "test", "path position", "sequence", 1, "r2", -0.987)
    records = [asdict(replace(record, views=views)) for views in range(1, 8)]
    console = Console(width=80, file=io.StringIO())
    console.print(evaluate._part_table("path", records))
    assert console.file.getvalue().count("-0.987") == 7


def test_data_render(run, elsewhere: Path) -> None:
    sizes = ["--image-size=16", "--train-objects=2", "--test-objects=1", "--views=2"]
    result = run("data", "render", "shapes", "--out", "files", *sizes)
    assert result.code == 0 and "done: files" in result.out
    assert len(list(Path("files").glob("*/*/*.jpg"))) == (2 + 5) * 2


@dataclass(frozen=True, kw_only=True)
class Inner:
    """Options in another group."""

    depth_here: int = 1
    ratio: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Middle:
    """Options that hold others."""

    width: int = 4
    inner: Inner = Inner()


@dataclass(frozen=True, kw_only=True)
class Options:
    """Like those of `train`."""

    middle: Annotated[Middle, tyro.conf.arg(name="")] = Middle()
    fast: bool = False
    names: tuple[str, ...] = ()


def test_parse_takes_names_with_dashes_underscores_and_equals_signs() -> None:
    wanted = Options(
        middle=Middle(width=8, inner=Inner(depth_here=-2, ratio=1e-3)), fast=True, names=("a", "b")
    )
    spaced, underscored = ["--inner.depth-here", "-2"], ["--inner.depth_here", "-2"]
    for depth in (spaced, underscored, ["--inner.depth-here=-2"]):
        arguments = ["--width", "8", *depth, "--inner.ratio=1e-3", "--fast", "--names", "a", "b"]
        assert parse(Options, arguments, prog="test", default=Options()) == wanted


def test_parse_keeps_the_defaults_it_is_given() -> None:
    default = Options(middle=Middle(width=9), names=("c",))
    assert parse(Options, [], prog="test", default=default) == default


@pytest.mark.parametrize("default", [False, True])
def test_parse_turns_flags_on_and_off_whatever_their_default(default: bool) -> None:
    for argument, wanted in (("--fast", True), ("--no-fast", False)):
        assert parse(Options, [argument], prog="test", default=Options(fast=default)).fast is wanted


def test_choose() -> None:
    assert choose("recipe", ["a", "--x"], ["a", "b"], prog="test") == ("a", ["--x"])
    assert choose("recipe", ["my/own.py"], ["a"], prog="test", also=".py") == ("my/own.py", [])
    with pytest.raises(ConfigError, match=r"unknown recipe 'my/own.py'\. Known: a"):
        choose("recipe", ["my/own.py"], ["a"], prog="test")
    with pytest.raises(
        ConfigError, match=r"name a recipe first: test RECIPE \[OPTIONS\]\. Known: a, b"
    ):
        choose("recipe", [], ["a", "b"], prog="test")


def test_no_command_of_a_recipe_warms_up_downwards() -> None:
    """Those in the docstring of the baselines' recipe change method and optimizer."""
    text = " ".join((recipes.recipe("shapes_baseline").__doc__ or "").split())
    commands = re.findall(r"- (\w+) ((?:--[\w.-]+ [\d.e-]+ ?)+)", text)
    assert {name for name, _ in commands} == {"vicreg_traj", "conv_jepa", "context_ssl"}
    for name, options in commands:
        default = TrainOptions(experiment=recipes.with_method(shapes_baseline(), name))
        arguments = options.strip().rstrip(".;").split()
        chosen = parse(TrainOptions, arguments, prog="seqjepa train", default=default).experiment
        chosen.optim.require_rise()
        steps = range(0, chosen.train.steps, 97)
        optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)])
        rates = [set_lr(optimizer, chosen.optim, step, chosen.train.steps) for step in steps]
        assert max(rates) <= chosen.optim.lr, name
