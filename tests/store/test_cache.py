"""The cache of rendered views: built once and whole, whatever happens to builder or disk."""

import json
import multiprocessing
import os
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from seqjepa.errors import DataError, DiskError
from seqjepa.store import cache
from seqjepa.store.cache import Plan, cache_root, cached_tables
from seqjepa.store.table import ViewTable

OBJECTS, VIEWS, SHAPE = 40, 3, (4, 5, 3)
KEY = {"version": 1, "size": 4}


def pixels(start: int, stop: int) -> np.ndarray:
    chance = np.random.default_rng(0)
    return chance.integers(256, size=(OBJECTS, VIEWS, *SHAPE), dtype=np.uint8)[start:stop]


def plan(render=pixels, objects=OBJECTS) -> Plan:
    poses, labels = np.zeros((objects, VIEWS, 2), np.float32), np.zeros(objects, np.int64)
    return Plan(poses, labels, SHAPE, render)


def counted(calls: list[int]):
    """A renderer that notes where it was asked to begin."""

    def render(start: int, stop: int) -> np.ndarray:
        calls.append(start)
        return pixels(start, stop)

    return render


def build(calls: list[int] | None = None, key=KEY) -> np.ndarray:
    counting = plan(counted([] if calls is None else calls))
    return cached_tables("test", key, {"train": counting})["train"].views


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, of small chunks."""
    monkeypatch.setenv("SEQJEPA_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "CHUNK", 8)
    return tmp_path


def only(root: Path, pattern: str) -> Path:
    (found,) = root.glob(pattern)
    return found


def test_views_are_rendered_once_and_mapped(root: Path) -> None:
    calls: list[int] = []
    assert np.array_equal(build(calls), pixels(0, OBJECTS)) and calls == [0, 8, 16, 24, 32]
    again = build(calls)
    assert isinstance(again, np.memmap) and np.array_equal(again, pixels(0, OBJECTS))
    assert len(calls) == 5

    names = {path.name for path in root.rglob("*") if path.is_file()}
    assert names == {"lock", "key.json", "views.npy", "manifest.json"}
    assert json.loads(only(root, "*/key.json").read_text()) == KEY


def test_another_key_is_another_cache(root: Path) -> None:
    calls: list[int] = []
    build(calls)
    build(calls, KEY | {"version": 2})
    assert len(calls) == 10 and len(list(root.glob("test-*"))) == 2


def test_where_caches_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQJEPA_CACHE", "here")
    monkeypatch.setenv("XDG_CACHE_HOME", "there")
    assert cache_root() == Path("here")
    monkeypatch.delenv("SEQJEPA_CACHE")
    assert cache_root() == Path("there/seqjepa")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_root() == Path("/home/someone/.cache/seqjepa")


@pytest.mark.parametrize("place", [0, 200, -1])
def test_a_flipped_byte_is_found_and_rendered_anew(root: Path, place: int) -> None:
    build()
    views = only(root, "*/train/views.npy")
    data = bytearray(views.read_bytes())
    data[place] ^= 1
    views.write_bytes(data)
    calls: list[int] = []
    assert np.array_equal(build(calls), pixels(0, OBJECTS)) and len(calls) == 5


@pytest.mark.parametrize("name", ["views.npy", "manifest.json"])
@pytest.mark.parametrize("length", [None, 0, 20])
def test_a_missing_or_cut_file_is_rendered_anew(root: Path, name: str, length: int | None) -> None:
    build()
    path = only(root, f"*/train/{name}")
    if length is None:
        path.unlink()
    else:
        os.truncate(path, length)
    assert np.array_equal(build(), pixels(0, OBJECTS))


def test_only_the_damaged_split_is_rendered_anew(root: Path) -> None:
    calls: dict[str, list[int]] = {"train": [], "val": []}
    plans = {split: plan(counted(starts)) for split, starts in calls.items()}
    cached_tables("test", KEY, plans)
    os.truncate(only(root, "*/val/views.npy"), 100)
    cached_tables("test", KEY, plans)
    assert {split: len(starts) for split, starts in calls.items()} == {"train": 5, "val": 10}


class Killed(BaseException):
    """The builder's end."""


def interrupted(after: int) -> None:
    """A build that ends in the chunk that begins at an object."""

    def render(start: int, stop: int) -> np.ndarray:
        if start == after:
            raise Killed
        return pixels(start, stop)

    with pytest.raises(Killed):
        cached_tables("test", KEY, {"train": plan(render)})


def test_an_interrupted_build_goes_on_where_it_was() -> None:
    interrupted(24)
    calls: list[int] = []
    assert np.array_equal(build(calls), pixels(0, OBJECTS)) and calls == [24, 32]


def test_what_came_after_the_last_record_is_cut_off(root: Path) -> None:
    interrupted(24)
    with only(root, "*/train/views.partial.npy").open("ab") as file:
        file.write(b"half a chunk")
    calls: list[int] = []
    assert np.array_equal(build(calls), pixels(0, OBJECTS)) and calls == [24, 32]


def test_a_chunk_damaged_since_is_rendered_again(root: Path) -> None:
    interrupted(24)
    partial = only(root, "*/train/views.partial.npy")
    data = bytearray(partial.read_bytes())
    data[len(data) // 2] ^= 1  # in the second of three chunks
    partial.write_bytes(data)
    calls: list[int] = []
    assert np.array_equal(build(calls), pixels(0, OBJECTS)) and calls == [8, 16, 24, 32]


@pytest.mark.parametrize("name", ["views.partial.npy", "progress.json"])
@pytest.mark.parametrize("length", [None, 0, 30])
def test_a_build_with_half_its_files_begins_anew(root: Path, name: str, length: int | None) -> None:
    interrupted(24)
    path = only(root, f"*/train/{name}")
    if length is None:
        path.unlink()
    else:
        os.truncate(path, length)
    calls: list[int] = []
    assert np.array_equal(build(calls), pixels(0, OBJECTS)) and calls == [0, 8, 16, 24, 32]


def test_a_build_killed_before_its_last_rename_needs_no_rendering(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def kill(self: Path, target: Path) -> Path:
        if self.name == "views.partial.npy":
            raise Killed
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", kill)
        with pytest.raises(Killed):
            cached_tables("test", KEY, {"train": plan(objects=37)})  # the last chunk is short

    calls: list[int] = []
    table = cached_tables("test", KEY, {"train": plan(counted(calls), 37)})["train"]
    assert np.array_equal(table.views, pixels(0, 37)) and calls == []


@pytest.mark.parametrize("most", [cache.LARGE, 0])
@pytest.mark.parametrize("name", ["views.partial.npy", "progress.json"])
def test_a_build_killed_after_its_last_chunk_needs_no_rendering(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    """Kills before and after the last rename find all that vouches for the views on the disk."""
    monkeypatch.setattr(cache, "LARGE", most)
    method = "replace" if name == "views.partial.npy" else "unlink"
    original = getattr(Path, method)

    def kill(self: Path, *arguments: Path, **options: bool) -> object:
        if self.name == name:
            raise Killed
        return original(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, method, kill)
        with pytest.raises(Killed):
            build()
    assert only(root, "*/train/manifest.json").exists()
    calls: list[int] = []
    assert np.array_equal(build(calls), pixels(0, OBJECTS)) and calls == []


def test_a_finished_cache_is_opened_without_a_lock(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build()
    monkeypatch.setattr(cache, "locked", lambda *arguments: pytest.fail("nothing is to be built"))
    assert np.array_equal(build(), pixels(0, OBJECTS))


def test_waiting_for_a_builder_is_announced(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    context = multiprocessing.get_context("fork")
    child = context.Process(target=_build_slowly, args=(0.1, root / "count"))
    child.start()
    while not (root / "count").exists():
        time.sleep(0.005)
    build()
    child.join(30)
    (folder,) = root.glob("test-*")
    assert f"waiting for another process: rendering test in {folder}\n" in capfd.readouterr().err


def _build_slowly(seconds: float, count: Path) -> None:
    def render(start: int, stop: int) -> np.ndarray:
        with count.open("a") as file:
            file.write(f"{start}\n")
        time.sleep(seconds)
        return pixels(start, stop)

    cache.CHUNK = 8
    views = cached_tables("test", KEY, {"train": plan(render)})["train"].views
    assert np.array_equal(views, pixels(0, OBJECTS))


def test_a_build_killed_at_any_moment_is_resumed(root: Path) -> None:
    context = multiprocessing.get_context("fork")

    def recorded() -> int:
        records = [json.loads(path.read_text()) for path in root.glob("*/train/progress.json")]
        return max(map(len, records), default=0)

    for chunks in range(1, 5):
        child = context.Process(target=_build_slowly, args=(0.05, root / "count"))
        child.start()
        while child.is_alive() and recorded() < chunks:
            time.sleep(0.005)
        time.sleep(0.01 * chunks)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    calls: list[int] = []
    assert np.array_equal(build(calls), pixels(0, OBJECTS)) and len(calls) <= 1


def test_of_several_builders_one_builds(root: Path) -> None:
    count, context = root / "count", multiprocessing.get_context("fork")
    children = [context.Process(target=_build_slowly, args=(0.02, count)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(30)
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert count.read_text().split() == ["0", "8", "16", "24", "32"]


def test_a_full_disk_is_one_line_and_the_build_resumed(root: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        with pytest.raises(DiskError, match="SEQJEPA_CACHE") as caught:
            build()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(root) in str(caught.value) and "\n" not in str(caught.value)
    calls: list[int] = []
    assert np.array_equal(build(calls), pixels(0, OBJECTS)) and calls[0] > 0


def test_a_folder_that_cannot_be_made(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "file").touch()
    monkeypatch.setenv("SEQJEPA_CACHE", str(root / "file"))
    with pytest.raises(DiskError, match="SEQJEPA_CACHE"):
        build()


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table counts as too large to verify as a whole."""
    monkeypatch.setattr(cache, "LARGE", 0)


def table() -> ViewTable:
    return cached_tables("test", KEY, {"train": plan()})["train"]


def test_views_of_a_large_table_are_verified_when_they_are_read(root: Path, large: None) -> None:
    build()
    names = {path.name for path in only(root, "*/train").iterdir()}
    assert names == {"views.npy", "sums.npy", "manifest.json"}

    # Damage object 17, view 2.
    views = only(root, "*/train/views.npy")
    data = bytearray(views.read_bytes())
    size = int(np.prod(SHAPE))
    data[len(data) - size * VIEWS * OBJECTS + size * (VIEWS * 17 + 2) + 5] ^= 64
    views.write_bytes(data)

    found, everything = table(), np.arange(OBJECTS)
    assert np.array_equal(found.images(everything, np.array([[0, 1]])), pixels(0, OBJECTS)[:, :2])
    message = r"train/views\.npy is damaged at object 17, view 2: delete the folder"
    for _ in ("first", "again"):
        with pytest.raises(DataError, match=message):
            found.images(np.array([16, 17]), np.array([[0, 1], [1, 2]]))

    # A table of some objects names the damaged one by its place in the file.
    rows = np.array([3, 17])
    chosen = ViewTable(found.views, found.poses[:2], found.labels[:2], rows, found.checksums)
    with pytest.raises(DataError, match="object 17, view 2"):
        chosen.images(np.array([1]), np.array([[2]]))


def test_a_large_table_is_not_read_when_it_is_opened(
    large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    build()
    verify, read = cache.file_sha256, []
    monkeypatch.setattr(cache, "file_sha256", lambda path: read.append(path.name) or verify(path))
    build()
    assert read == ["sums.npy"]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("views.npy", 40),
        ("sums.npy", 40),
        ("sums.npy", -1),
        ("views.npy", None),
        ("sums.npy", None),
    ],
)
def test_header_size_and_sums_of_a_large_table_are_verified(
    root: Path, large: None, name: str, place: int | None
) -> None:
    build()
    path = only(root, f"*/train/{name}")
    data = bytearray(path.read_bytes())
    if place is not None:
        data[place] ^= 1
    path.write_bytes(data if place is not None else data[:-1])
    calls: list[int] = []
    assert np.array_equal(build(calls), pixels(0, OBJECTS)) and len(calls) == 5


def test_a_resumed_build_has_all_sums(large: None) -> None:
    interrupted(24)
    found = table().images(np.arange(OBJECTS), np.arange(VIEWS)[None])
    assert np.array_equal(found, pixels(0, OBJECTS))


def test_what_does_not_fit_on_the_disk_is_not_begun(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = cache.shutil.disk_usage(root)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    calls: list[int] = []
    with pytest.raises(
        DiskError, match=r"they need 0\.0 GB, 0\.0 GB are free\. Free space or set SEQJEPA_CACHE"
    ):
        build(calls)
    assert not calls
