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
    """A cache of the test's own, which the commands are told of."""
    return tmp_path / "cache"


def use(cache: Path, chunk: int = 8, seconds: float = 0) -> None:
    """In the command's process: that cache, images decoded a few at a time and not too quickly."""
    os.environ["SEQJEPA_CACHE"] = str(cache)
    decode = published.decode

    def slow(data: bytes, name: str, size: int) -> np.ndarray:
        time.sleep(seconds)
        return decode(data, name, size)

    cached._chunk, published.decode = lambda size: chunk, slow


def pets(folder: Path) -> Path:
    """Forty pictures of two classes."""
    for number in range(40):
        (folder / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(256, size=(24, 24, 3), dtype=np.uint8)
        (folder / "ab"[number % 2] / f"{number:02d}.{'png' if number % 3 else 'jpg'}").write_bytes(
            png(pixels) if number % 3 else jpeg(pixels)
        )
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
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def spoiled(name: str, data: bytes | None) -> Callable[[Path], Path]:
    """Forty pictures, one of them replaced."""

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


def stl(folder: Path, **labels: int) -> Path:
    pixels = {
        origin: np.zeros((4, 96, 96, 3), np.uint8) for origin in ("unlabeled", "train", "test")
    }
    return write_stl10(
        folder, pixels, {"train": np.arange(4), "test": np.array([0, 1, 2, labels.get("last", 3)])}
    )


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
    assert not (tmp_path / "run").exists() and {file.name for file in tmp_path.iterdir()} <= {
        "cache",
        "data",
    }
    assert not list(cache.rglob("views.npy"))


def test_odd_images_are_fine(shell: Shell, cache: Path, tmp_path: Path) -> None:
    """CMYK, gray, palette, 16 bits, transparent, turned by EXIF."""
    folder = pets(tmp_path / "pets")
    picture = Image.fromarray(
        np.random.default_rng(0).integers(256, size=(20, 30, 3), dtype=np.uint8)
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, image, options in (
        ("cmyk.jpg", picture.convert("CMYK"), {}),
        ("gray.jpg", picture.convert("L"), {}),
        ("palette.png", picture.convert("P"), {"transparency": 3}),
        ("deep.png", Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100), {}),
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
    assert (
        train(shell, tmp_path / "reference cache", tmp_path / "reference", "folder", folder)
        .wait()
        .code
        == 0
    )
    for chunks in (1, 3):
        child = train(shell, cache, tmp_path / "run", "folder", folder, seconds=0.05)
        child.wait_for(
            lambda chunks=chunks: any(
                path.read_text().count('"') >= 2 * chunks for path in cache.rglob("progress.json")
            )
        )
        os.kill(child.pid, signal.SIGKILL)
        child.process.join()
        assert not list(cache.rglob("views.npy")) and not (tmp_path / "run").exists()
    result = train(shell, cache, tmp_path / "run", "folder", folder).wait()
    assert result.code == 0 and metrics(tmp_path / "run") == metrics(tmp_path / "reference"), (
        result.output
    )
    assert digest(tmp_path / "run") == digest(tmp_path / "reference")
    assert not list(cache.rglob("*.partial*")) and not list(cache.rglob("*.tmp"))


def test_a_flipped_byte_in_the_cache_is_found_and_the_run_the_same(
    shell: Shell, cache: Path, tmp_path: Path
) -> None:
    folder = pets(tmp_path / "pets")
    assert train(shell, cache, tmp_path / "reference", "folder", folder).wait().code == 0
    (views,) = cache.rglob("views.npy")
    whole = views.read_bytes()
    for number, place in enumerate((0, len(whole) // 2, len(whole) - 1)):
        views.write_bytes(whole[:place] + bytes([whole[place] ^ 128]) + whole[place + 1 :])
        result = train(shell, cache, tmp_path / f"run{number}", "folder", folder).wait()
        assert result.code == 0 and digest(tmp_path / f"run{number}") == digest(
            tmp_path / "reference"
        ), result.output
        assert views.read_bytes() == whole


def large(cache: Path) -> None:
    use(cache)
    caching.LARGE = 0


def test_a_flipped_byte_of_a_large_cache_ends_the_run_before_it_is_used(
    shell: Shell, cache: Path, tmp_path: Path
) -> None:
    folder = pets(tmp_path / "pets")
    arguments = ("train", RECIPE, "--world.path", folder)
    assert (
        shell.run(*arguments, "--run-dir", tmp_path / "first", sabotage=partial(large, cache)).code
        == 0
    )
    (views,) = cache.rglob("views.npy")
    data = bytearray(views.read_bytes())
    for place in range(len(data) - 40 * 768, len(data), 768):
        data[place + 5] ^= 1
    views.write_bytes(data)
    result = shell.run(*arguments, "--run-dir", tmp_path / "second", sabotage=partial(large, cache))
    assert (
        result.code == 3
        and "views.npy is damaged at object" in result.output
        and "delete the folder" in result.output
    ), result.output
    assert not metrics(tmp_path / "second")


def test_data_check_says_what_is_wrong(shell: Shell, tmp_path: Path) -> None:
    folder = pets(tmp_path / "pets")
    good = shell.run("data", "check", folder)
    assert (
        good.code == 0
        and "folder of images" in good.output
        and "40 images, 2 classes" in good.output
    )
    tiny_imagenet = shell.run("data", "check", write_tiny_imagenet(tmp_path))
    assert (
        tiny_imagenet.code == 3
        and "holds 6 train images, published are 100,000" in tiny_imagenet.output
    )
    assert "folder of images" not in tiny_imagenet.output, (
        "what is known as something else is not taken for just images"
    )
    (tmp_path / "empty").mkdir()
    assert shell.run("data", "check", tmp_path / "empty").code == 3
