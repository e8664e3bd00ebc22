"""The run folder: one writer, one experiment, nothing overwritten."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from seqjepa import files
from seqjepa.actions import ActionSpace, Group
from seqjepa.config import EvaluateConfig, Experiment, OptimConfig, TrainConfig, from_json, to_json
from seqjepa.errors import ConfigError, DataError, DiskError, InUseError
from seqjepa.methods.seq_jepa import Config
from seqjepa.nn import EncoderConfig
from seqjepa.runs import checkpoint
from seqjepa.runs.folder import RunFolder, read_config, read_spec
from seqjepa.worlds.base import WorldConfig, WorldSpec

fcntl = pytest.importorskip("fcntl")  # the tests speak of locks as Unix has them


@dataclass(frozen=True, kw_only=True)
class NoWorld(WorldConfig):
    folder: str = "data"


EXPERIMENT = Experiment(
    name="test",
    method=Config(),
    world=NoWorld(),
    encoder=EncoderConfig(),
    optim=OptimConfig(),
    train=TrainConfig(),
    evaluate=EvaluateConfig(),
)
SPACE = ActionSpace(
    ("x", "y", "hue"),
    (
        Group(name="move", dims=("x", "y"), scale=2.0),
        Group(name="hue", dims=("hue",), kind="circular", period=1.0),
    ),
)
SPEC = WorldSpec(
    name="none",
    image_shape=(3, 8, 8),
    classes=("a", "b"),
    factors=SPACE,
    actions=SPACE.select(("move",)),
    splits=("train", "val", "test"),
    views_per_object=None,
    mean=(0.1, 0.2, 1 / 3),
    std=(0.5, 0.5, 0.5),
)


def begin(path: Path, experiment: Experiment = EXPERIMENT, *, resume: bool = False) -> RunFolder:
    return RunFolder.open(path, to_json(experiment), resume=resume)


def save(run: RunFolder, step: int) -> None:
    checkpoint.save(run.checkpoints, step, {"method": {"a": torch.zeros(1)}}, {})


def contents(path: Path) -> dict[str, bytes]:
    files = [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def log(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def test_a_new_folder_holds_the_config_and_no_lock_once_closed(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "deep" / "a"
    with begin(path) as run:
        assert (path / "lock").read_text().startswith(f"{os.getpid()} on ")
        assert run.checkpoints == path / "checkpoints"
    assert sorted(contents(path)) == ["config.json", "metrics.jsonl"]
    assert read_config(path) == json.loads(json.dumps(to_json(EXPERIMENT)))


def test_config_comes_back_as_the_experiment(tmp_path: Path) -> None:
    with begin(tmp_path):
        pass
    data = read_config(tmp_path)
    assert data["world"]["kind"] == __name__.rpartition(".")[2] and from_json(data) == EXPERIMENT


def test_the_path_of_the_home_folder_stays_out_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SECRET", "planted-secret")
    folder = str(tmp_path / "home" / "data")
    experiment = replace(EXPERIMENT, world=NoWorld(folder=folder))
    with begin(tmp_path / "run", experiment) as run:
        run.write_spec(SPEC)
        save(run, 1)
        everything = b"".join(contents(run.path).values())
    assert b"home" not in everything and b"planted-secret" not in everything
    assert read_config(run.path)["world"]["folder"] == folder
    with begin(run.path, experiment, resume=True):
        pass


def test_a_second_writer_is_told_who_is_first(tmp_path: Path) -> None:
    with begin(tmp_path):
        before = contents(tmp_path)
        with pytest.raises(ConfigError, match=f"in use by process {os.getpid()} on"):
            begin(tmp_path, resume=True)
        assert contents(tmp_path) == before
    with begin(tmp_path):
        pass


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    program = f"""
import fcntl, os, signal
lock = os.open({str(tmp_path / "lock")!r}, os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
os.write(lock, str(os.getpid()).encode())
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], timeout=30)
    assert (tmp_path / "lock").read_text()
    with begin(tmp_path):
        assert (tmp_path / "lock").read_text().startswith(f"{os.getpid()} on ")
    assert not (tmp_path / "lock").exists()


@pytest.mark.parametrize("blocked", [False, True])
def test_an_owner_may_leave_at_any_moment(
    blocked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let the owner's lock file vanish between two looks at it."""
    lock, exists, flock = tmp_path / "lock", Path.exists, fcntl.flock
    lock.write_text("77 on there\n")

    def leave(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        flock(descriptor, how)
        lock.unlink()
        if blocked:
            raise BlockingIOError

    monkeypatch.setattr(fcntl, "flock", leave)
    monkeypatch.setattr(Path, "exists", lambda path: path == lock or exists(path))
    if blocked:
        with pytest.raises(InUseError, match="in use by process 77 on there"):
            begin(tmp_path)
    else:
        with begin(tmp_path):
            pass


def test_another_config_is_refused_with_the_differing_keys(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        run.log({"step": 1})
    before = contents(tmp_path)
    other = replace(EXPERIMENT, seed=3, train=replace(EXPERIMENT.train, steps=11))
    for resume in (False, True):
        with pytest.raises(ConfigError) as error:
            begin(tmp_path, other, resume=resume)
        assert "train.steps: 10000 there, 11 here" in str(error.value)
        assert "seed: 0 there, 3 here" in str(error.value)
        assert contents(tmp_path) == before


def test_a_run_with_checkpoints_needs_resume(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        run.log({"step": 20})
        save(run, 20)
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match="already holds a run at step 20: --resume"):
        begin(tmp_path)
    assert contents(tmp_path) == before
    with begin(tmp_path, resume=True):
        pass
    assert contents(tmp_path) == before


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_that_died_before_its_first_checkpoint_starts_afresh(
    tmp_path: Path, resume: bool
) -> None:
    with begin(tmp_path) as run:
        run.log({"step": 1})
        (run.checkpoints / "step_00000002").mkdir(parents=True)
    with begin(tmp_path, resume=resume) as run:
        assert (tmp_path / "metrics.jsonl").read_bytes() == b""
        assert list(run.checkpoints.iterdir()) == []


def test_resume_in_a_new_folder_starts(tmp_path: Path) -> None:
    with begin(tmp_path / "new", resume=True) as run:
        assert run.metrics_position() == 0


@pytest.mark.parametrize("name", ["metrics.jsonl", "world.json", "checkpoints"])
def test_files_that_are_no_run_are_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("own")
    with pytest.raises(ConfigError, match=f"{name} but no config.json"):
        begin(tmp_path)
    assert contents(tmp_path) == {name: b"own"}


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_damaged_config_is_named_and_not_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json cannot be read"):
        begin(tmp_path)
    assert contents(tmp_path) == {"config.json": text.encode()}


def test_a_file_in_the_way_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(ConfigError, match=r"there is a file in the way.*--run-dir"):
            begin(path)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, ConfigError),
        (errno.EROFS, ConfigError),
        (errno.ENOSPC, DiskError),
        (errno.EIO, DiskError),
    ],
)
def test_a_folder_that_cannot_be_made_is_named(
    tmp_path: Path, number: int, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **settings: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", fail)
    with pytest.raises(kind, match=f"{tmp_path / 'run'}.*{os.strerror(number)}"):
        begin(tmp_path / "run")


def test_an_unwritable_folder_is_a_config_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # nothing is unwritable for root
    try:
        with pytest.raises(ConfigError, match=r"Permission denied\. Choose another --run-dir"):
            begin(tmp_path)
    finally:
        os.seteuid(user)


def test_a_full_disk_at_the_start_leaves_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(moment: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "at", fail)
    with pytest.raises(DiskError, match="No space left"):
        begin(tmp_path)
    assert contents(tmp_path) == {}


def test_resuming_cuts_lines_logged_after_the_checkpoint(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        run.log({"step": 1, "loss": 0.1})
        position = run.metrics_position()
        run.log({"step": 2, "loss": 0.2})
        save(run, 1)

    # As after a kill while a line was written.
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')

    with begin(tmp_path, resume=True) as run:
        run.truncate_metrics(position)
        run.log({"step": 2, "loss": 0.3})
    assert log(tmp_path) == [{"step": 1, "loss": 0.1}, {"step": 2, "loss": 0.3}]


def test_a_log_shorter_than_the_checkpoint_noted_keeps_its_whole_lines(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        run.log({"step": 1})
        save(run, 1)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"st')
    with begin(tmp_path, resume=True) as run:
        run.truncate_metrics(1000)
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1}\n'


def test_a_full_disk_costs_lines_of_the_log_and_one_warning(tmp_path: Path) -> None:
    path = tmp_path / "run"
    program = f"""
import resource, signal
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_FSIZE
import test_folder as t

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path, warnings = Path({str(path)!r}), []
with t.RunFolder.open(path, t.to_json(t.EXPERIMENT), resume=False, warn=warnings.append) as run:
    resource.setrlimit(RLIMIT_FSIZE, (50, RLIM_INFINITY))
    for step in range(20):
        run.log({{"step": step, "loss": 0.25}})
    resource.setrlimit(RLIMIT_FSIZE, (RLIM_INFINITY, RLIM_INFINITY))
    run.log({{"step": 20, "loss": 0.25}})

[warning] = warnings
assert "metrics.jsonl" in warning and "training goes on" in warning, warning
"""
    command, here = [sys.executable, "-c", program], Path(__file__).parent
    subprocess.run(command, timeout=60, check=True, cwd=here)
    assert [line["step"] for line in log(path)] == [0, 20]


def test_the_spec_comes_back(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        run.write_spec(SPEC)
        before = (tmp_path / "world.json").stat().st_mtime_ns
        run.write_spec(SPEC)
    assert (tmp_path / "world.json").stat().st_mtime_ns == before
    assert read_spec(tmp_path) == SPEC


def test_changed_data_is_refused(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        run.write_spec(SPEC)
        with pytest.raises(DataError, match=r"views_per_object: None there, 9 here"):
            run.write_spec(replace(SPEC, views_per_object=9))
    assert read_spec(tmp_path) == SPEC


def test_changed_contents_are_refused_unless_allowed(tmp_path: Path) -> None:
    """A digest shows the change; once allowed, the new data are the run's."""
    warnings: list[str] = []
    known = replace(SPEC, data={"train.views": "a", "train.labels": "b"})
    changed = replace(SPEC, data={"train.views": "a", "train.labels": "c"})
    with RunFolder.open(tmp_path, to_json(EXPERIMENT), resume=False, warn=warnings.append) as run:
        run.write_spec(known)

        with pytest.raises(DataError, match=r"data\.train\.labels: 'b' there, 'c' here") as error:
            run.write_spec(changed)
        assert "--allow-changed-data" in str(error.value)
        assert "train.views" not in str(error.value)
        assert read_spec(tmp_path) == known

        run.write_spec(changed, allow_changed=True)
        assert len(warnings) == 1 and "data.train.labels: 'b' there, 'c' here" in warnings[0]
        run.write_spec(changed)
    assert read_spec(tmp_path) == changed and len(warnings) == 1


def test_contents_count_where_both_are_known_and_then_statistics_do_not(tmp_path: Path) -> None:
    """Runs of older versions and worlds without digests resume.

    CPUs differ in the last bits of a mean.
    """
    known, path = replace(SPEC, data={"train": "a"}), tmp_path / "world.json"
    with begin(tmp_path) as run:
        # A run without digests goes on with them, but its statistics count.
        run.write_spec(SPEC)
        run.write_spec(known)
        with pytest.raises(DataError, match="mean"):
            run.write_spec(replace(known, mean=(0.2, 0.2, 0.2)))

        # The file of an older version lacks what was added since.
        old = json.loads(path.read_bytes())
        del old["data"], old["probe_split"]
        path.write_text(json.dumps(old))
        run.write_spec(known)

        # Where digests agree, another mean is no change.
        more = replace(known, views_per_object=9)
        run.write_spec(more, allow_changed=True)
        run.write_spec(replace(more, mean=(0.2, 0.2, 0.2)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "3",
        '{"factors": 3, "actions": 4}',
        '{"factors": {"pose": [], "groups": [{"dims": []}]}}',
    ],
)
def test_a_damaged_spec_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "world.json").write_text(text)
    with pytest.raises(ConfigError, match=r"world\.json"):
        read_spec(tmp_path)


def test_a_folder_that_is_no_run_says_so(tmp_path: Path) -> None:
    for read in (read_config, read_spec):
        with pytest.raises(ConfigError, match="is not the folder of a run"):
            read(tmp_path)
