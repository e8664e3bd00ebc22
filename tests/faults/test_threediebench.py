"""Rows 15 and 18 of the fault catalogue for 3DIEBench.

Bad files fail before training with one message; a killed pack goes on.
"""

import io
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faults import sabotage
from faults.harness import Shell, contents
from fixtures.view_files import places, write
from seqjepa.errors import DataError
from seqjepa.worlds.threediebench import Config

RECIPE = Path(__file__).with_name("views.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "data", train=7, val=2, views=3)


def bomb() -> bytes:
    """Return a PNG of a few bytes that claims 20,000 x 20,000 pixels."""
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0),
        b"IDAT": zlib.compress(b""),
        b"IEND": b"",
    }
    png = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks.items():
        png += struct.pack(">I", len(data)) + name + data
        png += struct.pack(">I", zlib.crc32(name + data))
    return png


def pickled() -> bytes:
    """Return seven numbers that only pickle can read."""
    data = io.BytesIO()
    np.lib.format.write_array(data, np.array([0.5] * 7, dtype=object), allow_pickle=True)
    return data.getvalue()


def npy(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, array)
    return data.getvalue()


Change = Callable[[bytes], bytes | None]
WRONG: dict[str, tuple[str, Change, str]] = {
    "no split files": (
        "train_images.npy",
        lambda _: None,
        "has no train_images.npy: copy train_images.npy",
    ),
    "no labels": ("train_labels.npy", lambda _: None, "train_labels.npy is missing: get it again"),
    "labels out of range": (
        "val_labels.npy",
        lambda _: npy(np.array([0, 77])),
        "has label 77, but of other objects class 03001627 has label 1",
    ),
    "image missing": (
        "image_1.jpg",
        lambda _: None,
        "image_1.jpg is missing: get it again, or set world.views",
    ),
    "image truncated": (
        "image_1.jpg",
        lambda good: good[: len(good) // 2],
        "image_1.jpg is no whole JPEG or PNG image",
    ),
    "image without bytes": (
        "image_1.jpg",
        lambda _: b"",
        "image_1.jpg is empty: get the file again",
    ),
    "not an image": (
        "image_1.jpg",
        lambda _: b"%PDF-1.4 " * 99,
        "image_1.jpg is no whole JPEG or PNG image",
    ),
    "bomb": ("image_1.jpg", lambda _: bomb(), "400000000 pixels"),
    "latent missing": ("latent_1.npy", lambda _: None, "latent_1.npy is missing: get it again"),
    "latent truncated": (
        "latent_1.npy",
        lambda good: good[:-1],
        "latent_1.npy is no whole .npy file of 7 or 10 numbers",
    ),
    "latent of another shape": ("latent_1.npy", lambda _: npy(np.zeros(9)), "must hold 7 floats"),
    "first latent of another shape": (
        "latent_0.npy",
        lambda _: npy(np.zeros(8)),
        "light_hue), or 10 with",
    ),
    "latent NaN": (
        "latent_1.npy",
        lambda _: npy(np.full(7, np.nan)),
        "latent_1.npy holds a factor that is not finite",
    ),
    "latent beyond float32": (
        "latent_1.npy",
        lambda _: npy(np.full(7, 1e300)),
        "latent_1.npy holds a factor that is not finite",
    ),
    "latent pickled": (
        "latent_1.npy",
        lambda _: pickled(),
        "latent_1.npy is no whole .npy file of 7 or 10 numbers",
    ),
    "latents of 3DIEBench-T among others": (
        "latent_1.npy",
        lambda _: npy(np.zeros(10)),
        "latent_1.npy holds 10 factors, ",
    ),
}


def damage(folder: Path, name: str, change: Change) -> None:
    """Change a file, or take it away; an image or latent of every object, so that `val` has one."""
    paths = [folder / name]
    if name.startswith(("image_", "latent_")):
        paths = [folder / place / name for place in places(folder, "train")]
    for path in paths:
        changed = change(path.read_bytes())
        if changed is None:
            path.unlink()
        else:
            path.write_bytes(changed)


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_message_and_nothing_written(folder: Path, case: str) -> None:
    """Commands build the world first, see below; not every case needs a process of its own."""
    name, change, message = WRONG[case]
    damage(folder, name, change)
    with pytest.raises(DataError) as caught:
        Config(path=str(folder), image_size=16, views=3).build()
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("case", ["labels out of range", "image truncated", "latent pickled"])
def test_commands_end_with_that_message(
    shell: Shell, folder: Path, tmp_path: Path, case: str
) -> None:
    name, change, message = WRONG[case]
    damage(folder, name, change)
    for command in (
        ("train", RECIPE, "--world.path", folder, "--run-dir", tmp_path / "run"),
        ("data", "pack", folder, "--out", tmp_path / "run", "--views", "3"),
    ):
        result = shell.run(*command)
        assert result.code == 3 and message in result.output and result.output.count("\n") == 1, (
            result.output
        )
        assert not (tmp_path / "run").exists()
    assert shell.run("data", "check", folder).code == 3


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (
            ["--world.path", "nowhere"],
            3,
            "world.path: there is no folder nowhere; it must be 3DIEBench's, or ",
        ),
        (
            ["--world.views", "5"],
            3,
            "is missing: get it again, or set world.views to what every object has",
        ),
        (["--world.ood-path", "nowhere"], 3, "world.ood_path: there is no folder nowhere"),
        (["--world.actions", "rotatoin"], 2, "did you mean 'rotation'?"),
        (["--world.image-size", "512"], 2, "world.image_size is 512"),
    ],
)
def test_options_that_do_not_fit_the_files(
    shell: Shell, folder: Path, tmp_path: Path, options: list[str], code: int, message: str
) -> None:
    path = [] if "--world.path" in options else ["--world.path", str(folder)]
    result = shell.run("train", RECIPE, "--run-dir", tmp_path / "run", *path, *options)
    assert result.code == code and message in result.output and result.output.count("\n") == 1, (
        result.output
    )
    assert not (tmp_path / "run").exists()


def test_empty_folder(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    result = shell.run(
        "train", RECIPE, "--run-dir", tmp_path / "run", "--world.path", tmp_path / "data"
    )
    assert result.code == 3 and "data has no split files: copy train_images.npy" in result.output


@pytest.mark.parametrize(
    ("mode", "kind"), [("CMYK", "JPEG"), ("L", "JPEG"), ("P", "PNG"), ("I;16", "PNG")]
)
def test_unusual_images_are_read(folder: Path, mode: str, kind: str) -> None:
    image = Image.new("RGB", (256, 256), (200, 200, 200))
    odd = Image.new("I;16", (256, 256), 200 * 257) if mode == "I;16" else image.convert(mode)
    data = io.BytesIO()
    odd.save(data, kind)
    damage(folder, "image_1.jpg", lambda _: data.getvalue())
    world = Config(path=str(folder), image_size=16, views=3).build()
    views = world.tables["train"].views[np.array([[0]]), np.array([[1]])]
    assert abs(views.astype(int) - 200).max() <= 2


def test_a_pack_killed_at_any_moment_goes_on(shell: Shell, folder: Path, tmp_path: Path) -> None:
    """After kill -9 at one moment after another, the bytes are those of an undisturbed pack."""
    command = ("data", "pack", folder, "--views", "3", "--size", "32", "--out")
    whole, out = tmp_path / "whole", tmp_path / "killed"
    assert shell.run(*command, whole).code == 0

    moments = "after temporary file, before rename, after images, after records, before manifest"
    for moment in moments.split(", "):
        kill = partial(sabotage.kill_at_moment, moment, 1)
        killed = shell.run(*command, out, sabotage=kill)
        assert killed.code == -9, killed.output
        check = shell.run("data", "check", out)
        assert check.code == 3, check.output

    done = shell.run(*command, out)
    assert done.code == 0 and done.output.endswith(f"done: {out}\n")
    assert contents(out) == contents(whole)
    trained = shell.run("train", RECIPE, "--world.path", out, "--run-dir", tmp_path / "run")
    assert trained.code == 0, trained.output


def test_a_flipped_byte_in_a_pack_is_found_before_training_and_named(
    shell: Shell, folder: Path, tmp_path: Path
) -> None:
    pack, run = tmp_path / "pack", tmp_path / "run"
    assert shell.run("data", "pack", folder, "--views", "3", "--out", pack).code == 0
    data = bytearray((pack / "images.bin").read_bytes())
    data[len(data) // 3] ^= 1
    (pack / "images.bin").write_bytes(data)

    result = shell.run("train", RECIPE, "--world.path", pack, "--run-dir", run)
    assert result.code == 3 and result.output.count("\n") == 1
    assert "is damaged: run `seqjepa data pack` once more" in result.output
    assert "images.bin: view " in result.output and not run.exists()
