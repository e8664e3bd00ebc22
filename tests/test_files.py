"""Files that are whole or not there, whatever other processes write."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from seqjepa import files
from seqjepa.files import locked, write_atomically


def in_another_process(work) -> int:
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(30)
    return child.exitcode


@pytest.mark.parametrize("moment", ["after temporary file", "before rename"])
def test_two_processes_that_write_the_same_file_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    path, others = tmp_path / "file", []

    def meanwhile(now: str) -> None:
        if now == moment and not others:
            others.append(None)
            others.append(in_another_process(lambda: write_atomically(path, b"other")))
            assert path.read_bytes() == b"other"

    monkeypatch.setattr(files, "at", meanwhile)
    write_atomically(path, b"own")
    assert others == [None, 0]
    assert path.read_bytes() == b"own" and list(tmp_path.iterdir()) == [path]


def test_the_next_write_clears_away_what_a_killed_one_left_and_nothing_else(
    tmp_path: Path,
) -> None:
    def killed() -> None:
        files.at = lambda moment: os._exit(9)
        write_atomically(tmp_path / "file", b"half")

    assert in_another_process(killed) == 9
    (left,) = tmp_path.iterdir()

    # The temporary file of a process that lives.
    machine = left.name.removesuffix(".tmp").rpartition(".")[0]
    alive = left.with_name(f"{machine}.{os.getppid()}.tmp")
    alive.touch()

    write_atomically(tmp_path / "other", b"whole")
    assert len(list(tmp_path.iterdir())) == 3
    write_atomically(tmp_path / "file", b"whole")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "file", tmp_path / "other", alive])


def test_waiting_for_a_lock_is_announced(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def hold() -> None:
        with locked(tmp_path):
            (tmp_path / "held").touch()
            time.sleep(0.3)

    child = multiprocessing.get_context("fork").Process(target=hold)
    child.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.005)
    with locked(tmp_path, "waiting for another process"):
        pass
    with locked(tmp_path, "not now"):
        pass
    child.join(30)
    assert capfd.readouterr().err == "waiting for another process\n"
