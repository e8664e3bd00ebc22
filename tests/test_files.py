"""Files that are whole or not there, whoever else writes them."""

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
            others.append(in_another_process(lambda: write_atomically(path, b"theirs")))
            assert path.read_bytes() == b"theirs"

    monkeypatch.setattr(files, "at", meanwhile)
    write_atomically(path, b"mine")
    assert (
        others == [None, 0] and path.read_bytes() == b"mine" and list(tmp_path.iterdir()) == [path]
    )


def test_what_a_killed_write_left_is_cleared_away_by_the_next_and_what_another_file_needs_is_not(
    tmp_path: Path,
) -> None:
    def killed() -> None:
        files.at = lambda moment: os._exit(9)
        write_atomically(tmp_path / "file", b"half")

    assert in_another_process(killed) == 9
    (left,) = tmp_path.iterdir()
    alive = left.with_name(
        f"{left.name.removesuffix('.tmp').rpartition('.')[0]}.{os.getppid()}.tmp"
    )
    alive.touch()
    write_atomically(tmp_path / "other", b"whole")
    assert len(list(tmp_path.iterdir())) == 3
    write_atomically(tmp_path / "file", b"whole")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "file", tmp_path / "other", alive])


def test_who_waits_for_a_lock_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
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
