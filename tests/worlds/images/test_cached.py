"""Images in the cache: a build that was killed goes on, what was damaged is made again, and nothing
is read twice."""

import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.published import png, tarred, zipped
from seqjepa.errors import DataError
from seqjepa.store import cache, fingerprint
from seqjepa.worlds import saccades
from seqjepa.worlds.images import cached, published
from seqjepa.worlds.images.formats.folder import SOURCE
from seqjepa.worlds.images.image_set import ImageSet, ImageSplit

PICTURES = np.random.default_rng(0).integers(256, size=(40, 12, 12, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, of small chunks."""
    monkeypatch.setenv("SEQJEPA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cached, "_chunk", lambda size: 8)
    return tmp_path / "cache"


@pytest.fixture(params=["folder", "zip", "tar.gz"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The pictures, in the order of their names."""
    folder = tmp_path / "pictures"
    for number, picture in enumerate(PICTURES):
        (folder / f"{number % 4}").mkdir(parents=True, exist_ok=True)
        (folder / f"{number % 4}" / f"{number:03d}.png").write_bytes(png(picture))
    if request.param == "folder":
        return folder
    if request.param == "zip":
        return zipped(folder, tmp_path / "p.zip")
    return tarred(folder, tmp_path / "p.tar.gz")


def open_set(place: Path) -> ImageSet:
    return SOURCE.open(place, 12, 0.25)


def right(found: ImageSet) -> bool:
    """Return whether every image of every split is the one of its name, with its label."""
    count = 0
    for split in found.splits.values():
        index = np.arange(len(split))
        numbers = [int(name.decode()[-7:-4]) for name in split.names[split.places(index)]]
        count += len(numbers)
        if not np.array_equal(split.pick(index), PICTURES[numbers]):
            return False
        if not np.array_equal(split.labels, np.array(numbers) % 4):
            return False
    return count == len(PICTURES)


def damage(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def only(root: Path, name: str) -> Path:
    (found,) = root.rglob(name)
    return found


def count_decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the name of every file decoded from now on."""
    names, decode = [], published.decode

    def note(data: bytes, name: str, size: int) -> np.ndarray:
        names.append(name)
        return decode(data, name, size)

    monkeypatch.setattr(published, "decode", note)
    return names


def test_once_decoded_the_files_are_not_read_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert right(open_set(place))
    names = count_decoded(monkeypatch)
    monkeypatch.setattr(
        "seqjepa.worlds.images.formats.folder.members", lambda _: pytest.fail("read again")
    )
    again = open_set(place)
    assert right(again) and names == [] and isinstance(again.splits["train"].images, np.memmap)


def test_splits_are_made_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_set(place)
    fractions, splits = [], SOURCE.splits

    def note(parts: dict[str, ImageSplit], fraction: float) -> dict[str, ImageSplit]:
        fractions.append(fraction)
        return splits(parts, fraction)

    monkeypatch.setattr(SOURCE, "splits", note)
    assert right(open_set(place)) and fractions == [0.25]


@pytest.mark.parametrize("where", [0, 200, -1])
def test_a_flipped_byte_is_found_and_the_images_decoded_anew(
    place: Path, root: Path, where: int
) -> None:
    open_set(place)
    damage(only(root, "views.npy"), where)
    assert right(open_set(place))


def test_a_damaged_index_is_made_anew_from_the_files(
    place: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_set(place)
    size = only(root, "index").stat().st_size
    names = count_decoded(monkeypatch)
    for where in range(0, size, size // 9):
        damage(only(root, "index"), where)
        assert right(open_set(place))

    for length in (0, 1, size // 2, size - 1):
        os.truncate(only(root, "index"), length)
        assert right(open_set(place))

    only(root, "index").unlink()
    assert right(open_set(place)) and names == [], "the pixels were whole"


def test_a_flipped_byte_of_a_large_set_is_found_when_its_image_is_read(
    place: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "LARGE", 0)
    assert right(open_set(place))
    damage(only(root, "views.npy"), -1)

    # The last byte is one of the last image, which is in just one split.
    last, damaged = len(PICTURES) - 1, 0
    for split in open_set(place).splits.values():
        places = split.places(np.arange(len(split)))
        split.pick(np.flatnonzero(places != last))
        for index in np.flatnonzero(places == last):
            damaged += 1
            said = rf"views\.npy is damaged at object {last}, view 0: delete the folder"
            with pytest.raises(DataError, match=said):
                split.pick(np.array([index]))
    assert damaged == 1


def _build_slowly(place: Path) -> None:
    decode = published.decode

    def slow(data: bytes, name: str, size: int) -> np.ndarray:
        time.sleep(0.02)
        return decode(data, name, size)

    published.decode = slow
    open_set(place)


def test_a_build_killed_at_any_moment_is_resumed(
    place: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = multiprocessing.get_context("fork")
    for chunks in (1, 3):
        child = context.Process(target=_build_slowly, args=(place,))
        child.start()
        while child.is_alive() and not any(
            path.read_text().count('"') >= 2 * chunks for path in root.rglob("progress.json")
        ):
            time.sleep(0.002)

        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert list(root.rglob("views.partial.npy")), "killed in the middle"

    # Three chunks of 8 are not decoded again.
    names = count_decoded(monkeypatch)
    assert right(open_set(place)) and len(names) <= len(PICTURES) - 24


def test_processes_that_open_a_set_for_the_first_time_at_once(
    place: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hold each back until all have come to the index, which only one of them may write."""
    context = multiprocessing.get_context("fork")
    together, measured = context.Barrier(3), context.Value("i", 0)
    make_tables, measure = cached.cached_tables, cached.statistics

    def build(*arguments, **options):
        tables = make_tables(*arguments, **options)
        together.wait(30)
        return tables

    def count(split):
        with measured.get_lock():
            measured.value += 1
        return measure(split)

    monkeypatch.setattr(cached, "cached_tables", build)
    monkeypatch.setattr(cached, "statistics", count)
    children = [context.Process(target=open_set, args=(place,)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0, 0] and measured.value == 1

    monkeypatch.undo()
    monkeypatch.setenv("SEQJEPA_CACHE", str(root))
    assert right(open_set(place)) and not list(root.rglob("*.tmp"))


def test_few_files_are_read_ahead(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put all files in one chunk, and count those that are read but not decoded yet."""
    monkeypatch.setattr(cached, "_chunk", lambda size: len(PICTURES))
    monkeypatch.setattr(published, "AHEAD", 3)
    read, made, most = published.Member.read, 0, 0
    asked, decode = 0, published.decode

    def note(self: published.Member, limit: int) -> bytes:
        nonlocal asked, most
        asked += 1
        most = max(most, asked - made)
        return read(self, limit)

    def slow(data: bytes, name: str, size: int) -> np.ndarray:
        nonlocal made
        time.sleep(0.005)
        pixels = decode(data, name, size)
        made += 1
        return pixels

    monkeypatch.setattr(published.Member, "read", note)
    monkeypatch.setattr(published, "decode", slow)
    assert right(open_set(place)) and asked == made == len(PICTURES) and most <= 4


def test_a_run_knows_every_pixel_of_its_images_and_a_copy_is_the_same(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make the set count as a large one, of which `fingerprint` reads only a sample."""
    for name in ("WHOLE", "PIECE", "PIECES"):
        monkeypatch.setattr(fingerprint, name, 1)

    def data(path: Path) -> dict[str, str]:
        return open_set(path).fill(saccades.Config(path="").outline()).data

    # A copy has other times, so it is decoded anew.
    before = data(place)
    copy = tmp_path / f"copy{place.suffix}"
    if place.is_dir():
        shutil.copytree(place, copy, copy_function=shutil.copyfile)
    else:
        shutil.copyfile(place, copy)
    assert data(copy) == before

    folder = tmp_path / "pictures"
    (folder / "1" / "021.png").write_bytes(png(255 - PICTURES[21]))
    if place != folder:
        (zipped if place.suffix == ".zip" else tarred)(folder, place)
    changed = {name for name, digest in data(place).items() if digest != before[name]}
    assert changed == {"train.images", "val.images", "test.images"}


def test_an_image_that_went_away_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, picture in enumerate(PICTURES):
        (folder / f"{number:03d}.png").write_bytes(png(picture))
    read = published.ImageFiles.__call__

    def remove(self: published.ImageFiles, start: int, stop: int) -> np.ndarray:
        (folder / "039.png").unlink(missing_ok=True)
        return read(self, start, stop)

    monkeypatch.setattr(published.ImageFiles, "__call__", remove)
    with pytest.raises(DataError, match="1 images went away while they were read"):
        open_set(folder)


def test_resized_stretches_and_leaves_alone() -> None:
    assert published.resized(PICTURES, 12) is PICTURES
    small = Image.fromarray(PICTURES[1]).resize((5, 5), Image.Resampling.BICUBIC)
    assert np.array_equal(published.resized(PICTURES[:2], 5)[1], np.asarray(small))
