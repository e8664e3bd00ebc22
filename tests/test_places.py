"""Places that cannot be written, and systems that lack what Unix has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqjepa import files
from seqjepa.errors import DiskError
from seqjepa.runs.config_file import expanded, portable
from seqjepa.store.cache import cache_root

ROOT = Path(__file__).parents[1]


def python(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, with the library."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=250,
    )


def test_without_a_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", none)
    for name in ("SEQJEPA_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    config = {"world": {"path": "/a/b"}, "seed": 1}
    assert portable(config) == config == expanded(config)
    with pytest.raises(DiskError, match="set SEQJEPA_CACHE"):
        cache_root()
    monkeypatch.setenv("SEQJEPA_CACHE", "/c")
    assert cache_root() == Path("/c")


def test_pictures_are_drawn_where_compiled_code_cannot_be_kept() -> None:
    program = """
from numba.core import caching
base = getattr(caching, "CacheImpl", None) or caching._CacheImpl
base._locator_classes = []  # none finds a place
from seqjepa.render import kernels
print(type(kernels.draw).__name__)
"""
    result = python(program)
    assert result.returncode == 0 and "Dispatcher" in result.stdout, result.stderr


@pytest.mark.posix
def test_a_system_without_locks_of_unix_goes_on(tmp_path: Path) -> None:
    program = f"""
import sys, warnings
sys.modules["fcntl"] = None
warnings.simplefilter("ignore")
from pathlib import Path
from seqjepa import cli, files
folder = Path({str(tmp_path)!r})
files.release(folder, files.acquire(folder, "--out"))
with files.locked(folder):
    print(cli.run(["data", "check", {str(ROOT / "tests/data/0.1.0/arrays")!r}]))
"""
    result = python(program)
    assert result.returncode == 0 and result.stdout.endswith("0\n"), result.stderr


def test_what_windows_does_in_another_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "WINDOWS", True)
    monkeypatch.setattr(files, "OWNER", 1)
    files.sync(tmp_path / "is not opened")
    assert files._is_alive(2**22 + 1), "there is no asking"

    first = files.acquire(tmp_path, "--out")
    assert (tmp_path / "lock").read_bytes()[1:].startswith(f"{os.getpid()} on ".encode())
    with pytest.raises(files.InUseError, match=f"in use by process {os.getpid()} on"):
        files.acquire(tmp_path, "--out")
    files.release(tmp_path, first)
    files.release(tmp_path, files.acquire(tmp_path, "--out"))

    (tmp_path / "bytes").write_bytes(b"0123456789")
    monkeypatch.delattr(os, "pread")
    with (tmp_path / "bytes").open("rb", buffering=0) as file:
        assert files.read_at(file, 3, 4) == b"456" and files.read_at(file, 2, 0) == b"01"
