"""Rows 15, 16 and 18 of the fault catalogue for sets of images: files that are missing, damaged or
dangerous, and damage to the cache."""

import io
import os
import signal
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faults.harness import Shell, digest, metrics
from fixtures.published import jpeg, png, write_stl10, write_tiny_imagenet
from seqjepa.store import cache as caching
from seqjepa.worlds.images import cached, published

RECIPE = Path(__file__).with_name("image_recipe.py")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Return the place of a cache of the test's own, for `use`."""
    return tmp_path / "cache"


def use(cache: Path, chunk: int = 8, seconds: float = 0) -> None:
    """Make the command's process use that cache, and decode images slowly, a few at a time."""
    os.environ["SEQJEPA_CACHE"] = str(cache)
    decode = published.decode

    def slow(data: bytes, name: str, size: int) -> np.ndarray:
        time.sleep(seconds)
        return decode(data, name, size)

    cached._chunk, published.decode = lambda size: chunk, slow


def pets(folder: Path) -> Path:
    """Write forty pictures of two classes."""
    for number in range(40):
        pixels = np.random.default_rng(number).integers(256, size=(24, 24, 3), dtype=np.uint8)
        suffix, write = ("png", png) if number % 3 else ("jpg", jpeg)
        path = folder / "ab"[number % 2] / f"{number:02d}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(write(pixels))
    return folder


def train(shell: Shell, cache: Path, run: Path, source: str, path: Path, seconds: float = 0):
    return shell.start(
        "train",
        RECIPE,
        "--run-dir",
        run,
        "--world.source",
        source,
        "--world.path",
        path,
        sabotage=partial(use, cache, 8, seconds),
    )


def bomb() -> bytes:
    """Return a small PNG that claims 20,000 x 20,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        length, check = len(data), zlib.crc32(kind + data)
        return struct.pack(">I", length) + kind + data + struct.pack(">I", check)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def spoiled(name: str, data: bytes | None) -> Callable[[Path], Path]:
    """Return a maker of forty pictures, of which one is replaced by `data` or cut."""

    def make(folder: Path) -> Path:
        path = pets(folder / "pets") / name
        path.write_bytes(path.read_bytes()[:200] if data is None else data)
        return folder / "pets"

    return make


def bad_tar(change: Callable[[tarfile.TarInfo], None]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with tarfile.open(folder / "pets.tar", "w") as archive:
            info = tarfile.TarInfo("a/1.png")
            change(info)
            archive.addfile(info)
        return folder / "pets.tar"

    return make


def link(info: tarfile.TarInfo) -> None:
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"


def zip_bomb(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "pets.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.png", bytes(8 << 20))
    return folder / "pets.zip"


def stl(folder: Path, last: int) -> Path:
    """Write STL-10 with four black images each, of which the last test image has that label."""
    pixels = dict.fromkeys(("unlabeled", "train", "test"), np.zeros((4, 96, 96, 3), np.uint8))
    labels = {"train": np.arange(4), "test": np.array([0, 1, 2, last])}
    return write_stl10(folder, pixels, labels)


def tiny(folder: Path, spoil: Callable[[Path], object]) -> Path:
    place = write_tiny_imagenet(folder)
    spoil(place)
    return place


BAD = {
    "no folder": ("folder", lambda folder: folder / "nothing", "there is no"),
    "an empty folder": ("folder", lambda folder: folder, "holds no JPEG or PNG images"),
    "half a split": (
        "folder",
        lambda folder: pets(folder / "more" / "train").parent,
        "expected train and at least one of val and test",
    ),
    "a cut image": (
        "folder",
        spoiled("a/04.png", None),
        "pets/a/04.png is no whole JPEG or PNG image",
    ),
    "an empty image": ("folder", spoiled("b/07.png", b""), "pets/b/07.png is empty"),
    "no image": (
        "folder",
        spoiled("b/03.jpg", b"<html>404</html>"),
        "pets/b/03.jpg is no whole JPEG or PNG image",
    ),
    "a bomb": (
        "folder",
        spoiled("b/05.png", bomb()),
        "pets/b/05.png claims more than 64,000,000 pixels",
    ),
    "a format that is not read": (
        "folder",
        lambda folder: with_gif(pets(folder / "pets")),
        "neither JPEG nor PNG",
    ),
    "a tar that climbs out": (
        "folder",
        bad_tar(lambda info: setattr(info, "name", "../../1.png")),
        "points outside the archive",
    ),
    "a tar from the root": (
        "folder",
        bad_tar(lambda info: setattr(info, "name", "/etc/1.png")),
        "points outside the archive",
    ),
    "a tar with a link": ("folder", bad_tar(link), "is a link or device, which is not followed"),
    "a zip of zeros": ("folder", zip_bomb, "beyond reason"),
    "a wrong label": (
        "stl10",
        partial(stl, last=10),
        "test_y.bin: image 3 has label 11, allowed are 1 to 10",
    ),
    "a missing file": (
        "tiny_imagenet",
        partial(tiny, spoil=lambda place: (place / "wnids.txt").unlink()),
        "lacks wnids.txt",
    ),
    "another data set": (
        "cifar100",
        lambda folder: pets(folder / "pets"),
        "holds no training images of CIFAR-100",
    ),
    "a source that is none": (
        "cifar10",
        lambda folder: folder,
        "unknown world.source 'cifar10', did you mean 'cifar100'?",
    ),
}


def with_gif(folder: Path) -> Path:
    (folder / "a" / "x.gif").write_bytes(b"GIF89a")
    return folder


@pytest.mark.parametrize("case", BAD)
def test_bad_images_are_one_message_and_no_run(
    shell: Shell, cache: Path, tmp_path: Path, case: str
) -> None:
    source, make, said = BAD[case]
    (tmp_path / "data").mkdir()
    path = make(tmp_path / "data")
    result = train(shell, cache, tmp_path / "run", source, path).wait()
    assert result.code == (2 if source == "cifar10" else 3) and said in result.output, result.output
    assert result.output.count("error: ") == 1 and "Traceback" not in result.output

    left = {file.name for file in tmp_path.iterdir()}
    assert left <= {"cache", "data"}, "no run folder"
    assert not list(cache.rglob("views.npy"))


def test_odd_images_are_fine(shell: Shell, cache: Path, tmp_path: Path) -> None:
    """Train on images with CMYK, gray, palette, 16 bits, transparency, or turned by EXIF."""
    folder = pets(tmp_path / "pets")
    pixels = np.random.default_rng(0).integers(256, size=(20, 30, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    deep = Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100)
    exif = Image.Exif()
    exif[0x0112] = 6

    for name, image, options in (
        ("cmyk.jpg", picture.convert("CMYK"), {}),
        ("gray.jpg", picture.convert("L"), {}),
        ("palette.png", picture.convert("P"), {"transparency": 3}),
        ("deep.png", deep, {}),
        ("clear.png", picture.convert("RGBA"), {}),
        ("turned.jpg", picture, {"exif": exif}),
    ):
        data = io.BytesIO()
        image.save(data, "PNG" if name.endswith("png") else "JPEG", **options)
        (folder / "a" / name).write_bytes(data.getvalue())

    result = train(shell, cache, tmp_path / "run", "folder", folder).wait()
    assert result.code == 0, result.output


def test_a_cache_killed_while_it_is_built_is_completed_and_the_run_the_same(
    shell: Shell, cache: Path, tmp_path: Path
) -> None:
    folder = pets(tmp_path / "pets")
    reference, run = tmp_path / "reference", tmp_path / "run"
    assert train(shell, tmp_path / "other cache", reference, "folder", folder).wait().code == 0

    def recorded(chunks: int) -> bool:
        records = cache.rglob("progress.json")
        return any(path.read_text().count('"') >= 2 * chunks for path in records)

    for chunks in (1, 3):
        child = train(shell, cache, run, "folder", folder, seconds=0.05)
        child.wait_for(partial(recorded, chunks))
        os.kill(child.pid, signal.SIGKILL)
        child.process.join()
        assert not list(cache.rglob("views.npy")) and not run.exists()

    result = train(shell, cache, run, "folder", folder).wait()
    assert result.code == 0 and metrics(run) == metrics(reference), result.output
    assert digest(run) == digest(reference)
    assert not list(cache.rglob("*.partial*")) and not list(cache.rglob("*.tmp"))


def test_a_flipped_byte_in_the_cache_is_found_and_the_run_the_same(
    shell: Shell, cache: Path, tmp_path: Path
) -> None:
    folder = pets(tmp_path / "pets")
    reference = tmp_path / "reference"
    assert train(shell, cache, reference, "folder", folder).wait().code == 0
    (views,) = cache.rglob("views.npy")
    whole = views.read_bytes()

    for number, place in enumerate((0, len(whole) // 2, len(whole) - 1)):
        views.write_bytes(whole[:place] + bytes([whole[place] ^ 128]) + whole[place + 1 :])
        run = tmp_path / f"run{number}"
        result = train(shell, cache, run, "folder", folder).wait()
        assert result.code == 0 and digest(run) == digest(reference), result.output
        assert views.read_bytes() == whole


def large(cache: Path) -> None:
    use(cache)
    caching.LARGE = 0


def test_a_flipped_byte_of_a_large_cache_ends_the_run_before_it_is_used(
    shell: Shell, cache: Path, tmp_path: Path
) -> None:
    folder = pets(tmp_path / "pets")
    command = ("train", RECIPE, "--world.path", folder, "--run-dir")
    sabotage = partial(large, cache)
    assert shell.run(*command, tmp_path / "first", sabotage=sabotage).code == 0

    # One byte of each of the forty images, 16 x 16 x 3 bytes at the end of the file.
    (views,) = cache.rglob("views.npy")
    data = bytearray(views.read_bytes())
    for place in range(len(data) - 40 * 768, len(data), 768):
        data[place + 5] ^= 1
    views.write_bytes(data)

    result = shell.run(*command, tmp_path / "second", sabotage=sabotage)
    said = "views.npy is damaged at object"
    assert result.code == 3 and said in result.output, result.output
    assert "delete the folder" in result.output
    assert not metrics(tmp_path / "second")


def test_data_check_says_what_is_wrong(shell: Shell, tmp_path: Path) -> None:
    folder = pets(tmp_path / "pets")
    good = shell.run("data", "check", folder)
    assert good.code == 0 and "folder of images" in good.output
    assert "40 images, 2 classes" in good.output

    # A data set that is known is not taken for just any images.
    tiny_imagenet = shell.run("data", "check", write_tiny_imagenet(tmp_path))
    assert tiny_imagenet.code == 3
    assert "holds 6 train images, published are 100,000" in tiny_imagenet.output
    assert "folder of images" not in tiny_imagenet.output

    (tmp_path / "empty").mkdir()
    assert shell.run("data", "check", tmp_path / "empty").code == 3
