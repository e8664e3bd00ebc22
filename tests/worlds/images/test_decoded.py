"""Bad files are named all at once, and what was decoded is kept when files change."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from fixtures.published import png, tarred, zipped
from seqjepa.errors import DataError
from seqjepa.worlds.images import cached, published
from seqjepa.worlds.images.formats.folder import SOURCE

PICTURES = np.random.default_rng(0).integers(256, size=(30, 12, 12, 3), dtype=np.uint8)
BAD = {3: b"", 7: b"GIF89a", 12: png(PICTURES[12])[:100], 29: b"BM"}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached, "_chunk", lambda size: 8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirty pictures, of which four are bad."""
    folder = tmp_path / "pictures"
    for number, picture in enumerate(PICTURES):
        path = folder / f"{number % 3}" / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(BAD.get(number, png(picture)))
    return folder


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were decoded."""
    names, decode = [], published.decode

    def note(data: bytes, name: str, size: int) -> np.ndarray:
        names.append(Path(name).name)
        return decode(data, name, size)

    monkeypatch.setattr(published, "decode", note)
    return names


def pixels(place: Path) -> dict[int, np.ndarray]:
    found = {}
    for split in SOURCE.open(place, 12, 0.1).splits.values():
        index = np.arange(len(split))
        names = split.names[split.places(index)]
        for name, image in zip(names, split.pick(index), strict=True):
            found[int(name.decode()[-7:-4])] = image
    return found


def refused(place: Path) -> str:
    with pytest.raises(DataError) as caught:
        SOURCE.open(place, 12, 0.1)
    return str(caught.value)


@pytest.mark.parametrize("form", ["folder", "zip", "tar.gz"])
def test_all_bad_files_are_named_and_listed(folder: Path, tmp_path: Path, form: str) -> None:
    pack = zipped if form == "zip" else tarred
    place = folder if form == "folder" else pack(folder, tmp_path / f"p.{form}")
    first, *lines = refused(place).splitlines()
    assert first.startswith("4 of 30 images cannot be read: get the files again or leave them out.")
    assert len(lines) == 4 and all(str(place) in line for line in lines)

    kept = Path(first.rpartition(" listed in ")[2]).read_text().splitlines()
    assert {Path(line.split("\t")[0]).name for line in kept} == {
        "003.png",
        "007.png",
        "012.png",
        "029.png",
    }


def test_the_first_twenty_are_named_and_all_are_listed(folder: Path) -> None:
    for path in list(folder.rglob("*.png"))[:24]:
        path.write_bytes(b"")
    first, *lines = refused(folder).splitlines()
    total = int(first.split()[0])
    assert 24 <= total <= 28 and len(lines) == 21 and lines[-1] == f"  and {total - 20} more"
    assert len(Path(first.rpartition(" listed in ")[2]).read_text().splitlines()) == total


def test_removing_bad_files_one_by_one_decodes_nothing_again(
    folder: Path, decoded: list[str]
) -> None:
    refused(folder)
    decoded.clear()
    for number in sorted(BAD):
        (folder / f"{number % 3}" / f"{number:03d}.png").unlink()
        if number != max(BAD):
            refused(folder)
    found = pixels(folder)
    assert sorted(found) == sorted(set(range(30)) - set(BAD))
    assert all(np.array_equal(found[number], PICTURES[number]) for number in found)
    assert set(decoded) <= {"007.png", "012.png", "029.png"}, "only bad ones are tried again"


def test_mending_decodes_only_what_was_mended(folder: Path, decoded: list[str]) -> None:
    refused(folder)
    decoded.clear()
    for number in BAD:
        (folder / f"{number % 3}" / f"{number:03d}.png").write_bytes(png(PICTURES[number]))
    found = pixels(folder)
    assert all(np.array_equal(found[number], PICTURES[number]) for number in range(30))
    assert sorted(decoded) == ["003.png", "007.png", "012.png", "029.png"]


def test_a_file_that_can_be_read_now_is_read_though_its_time_is_the_same(
    folder: Path, cache: Path, decoded: list[str]
) -> None:
    """As after a disk was mounted again: names, sizes and times are as before."""
    for number in set(BAD) - {3}:
        (folder / f"{number % 3}" / f"{number:03d}.png").unlink()
    path, whole = folder / "0" / "003.png", png(PICTURES[3])
    path.write_bytes(bytes(len(whole)))
    os.utime(path, ns=(1, 1))
    assert "003.png is no whole" in refused(folder)

    decoded.clear()
    path.write_bytes(whole)
    os.utime(path, ns=(1, 1))
    assert np.array_equal(pixels(folder)[3], PICTURES[3])
    assert decoded == ["003.png"] and len(list(cache.glob("folder-*"))) == 1
    assert not list(cache.rglob("*.earlier"))


def test_a_copy_or_an_archive_of_known_images_is_not_decoded(
    folder: Path, tmp_path: Path, decoded: list[str]
) -> None:
    for number in BAD:
        (folder / f"{number % 3}" / f"{number:03d}.png").unlink()
    before = pixels(folder)
    decoded.clear()
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, copy_function=shutil.copyfile)
    for place in (copy, zipped(folder, tmp_path / "p.zip"), tarred(folder, tmp_path / "p.tar")):
        found = pixels(place)
        assert found.keys() == before.keys()
        assert all(np.array_equal(found[number], before[number]) for number in found)
    assert decoded == []


def test_damaged_pixels_of_an_earlier_cache_are_not_taken_over(
    folder: Path, cache: Path, decoded: list[str]
) -> None:
    refused(folder)
    [unfinished] = cache.rglob("views.partial.npy")
    data = bytearray(unfinished.read_bytes())
    data[-12 * 12 * 3 - 1 :] = bytes(12 * 12 * 3 + 1)
    unfinished.write_bytes(data)
    decoded.clear()
    for number in BAD:
        (folder / f"{number % 3}" / f"{number:03d}.png").unlink()
    found = pixels(folder)
    assert all(np.array_equal(found[number], PICTURES[number]) for number in found)
    assert len(decoded) == 1


def test_an_index_of_an_earlier_version_is_made_anew_of_the_same_pixels(
    folder: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in BAD:
        (folder / f"{number % 3}" / f"{number:03d}.png").unlink()
    before = pixels(folder)
    decoded.clear()
    monkeypatch.setattr(type(SOURCE), "version", SOURCE.version + 1)
    found = pixels(folder)
    assert decoded == [] and found.keys() == before.keys()
    assert all(np.array_equal(found[number], before[number]) for number in found)
