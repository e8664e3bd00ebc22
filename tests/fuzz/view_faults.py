"""What makes folders of views unfit for training."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Splits = dict[str, list[str]]  # places of objects
Fault = Callable[[Path, Splits, int], object]


def _fail() -> None:
    raise AssertionError("a file was unpickled")


class Pickled:
    """An object that ends the trial when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (_fail, ())


def _latent(change: Callable[[np.ndarray], np.ndarray]) -> Fault:
    """Change one latent of an object to train on."""

    def apply(root: Path, splits: Splits, view: int) -> None:
        path = root / splits["train"][view] / f"latent_{view}.npy"
        np.save(path, change(np.load(path)), allow_pickle=True)

    return apply


def _latents(columns: slice, factor: float) -> Fault:
    """Multiply some factors of all latents."""

    def apply(root: Path, splits: Splits, view: int) -> None:
        for path in root.glob("*/*/latent_*.npy"):
            if path.read_bytes().startswith(b"\x93NUMPY"):
                latent = np.load(path).astype("f8")
                latent[columns] *= factor
                np.save(path, latent)

    return apply


def _image(change: Callable[[bytes], bytes]) -> Fault:
    """Change the bytes of one image of an object to train on."""

    def apply(root: Path, splits: Splits, view: int) -> None:
        path = root / splits["train"][view] / f"image_{view}.jpg"
        path.write_bytes(change(path.read_bytes()))

    return apply


def _blank(form: str, *size: int) -> bytes:
    data = io.BytesIO()
    Image.new("1", size).save(data, form)
    return data.getvalue()


def _file(name: str, change: Callable[[np.ndarray, Splits], object]) -> Fault:
    """Change the array in a split file."""

    def apply(root: Path, splits: Splits, view: int) -> None:
        changed = change(np.load(root / name), splits)
        np.save(root / name, np.asarray(changed), allow_pickle=True)

    return apply


def _first(array: np.ndarray, value: object) -> np.ndarray:
    """Return an array as long as this one, with another first value."""
    return np.array([value, *array[1:].tolist()])


def _names(change: Callable[[list[str], Splits], object]) -> Fault:
    return _file("train_images.npy", lambda _, s: change(s["train"], s))


def _numbers(change: Callable[[np.ndarray], np.ndarray]) -> Fault:
    return _file("train_labels.npy", lambda array, _: change(array.astype("i8")))


def _renamed(change: Callable[[int], str]) -> Fault:
    """Rename the images of all objects."""

    def apply(root: Path, splits: Splits, view: int) -> None:
        for place in (place for places in splits.values() for place in places):
            folder = root / place
            numbers = [n for n in range(20) if (folder / f"image_{n}.jpg").exists()]
            for number in reversed(numbers):
                (folder / f"image_{number}.jpg").replace(folder / change(number))

    return apply


def _no_folder(root: Path, splits: Splits, view: int) -> None:
    shutil.rmtree(root / splits["train"][view])


def _file_for_folder(root: Path, splits: Splits, view: int) -> None:
    _no_folder(root, splits, view)
    (root / splits["train"][view]).touch()


FAULTS: dict[str, Fault] = {
    "a latent is missing": lambda r, s, v: (r / s["train"][v] / f"latent_{v}.npy").unlink(),
    "a latent is short": _latent(lambda a: a[1:]),
    "a latent is a row": _latent(lambda a: a[None]),
    "a latent is of integers": _latent(lambda a: a.astype("i8")),
    "a latent is complex": _latent(lambda a: a.astype("c16")),
    "a latent is of strings": _latent(lambda a: a.astype("U")),
    "a latent is NaN": _latent(lambda a: a * np.nan),
    "a latent is infinite": _latent(lambda a: np.concatenate([a[:6], [np.inf]])),
    "a latent is huge": _latent(lambda a: np.concatenate([[1e300], a[1:].astype("f8")])),
    "a latent is pickled": _latent(lambda a: np.array([Pickled()] * 7)),
    "angles in degrees": _latents(slice(0, 3), 180 / np.pi),
    "hues in degrees": _latents(slice(3, 7, 3), 360),
    "an image is missing": lambda r, s, v: (r / s["train"][v] / f"image_{v}.jpg").unlink(),
    "an image is a folder": lambda r, s, v: [
        (r / s["train"][v] / f"image_{v}.jpg").unlink(),
        (r / s["train"][v] / f"image_{v}.jpg").mkdir(),
    ],
    "an image is empty": _image(lambda data: b""),
    "an image is cut": _image(lambda data: data[: len(data) // 2]),
    "an image is a text": _image(lambda data: b"<html>not found</html>"),
    "an image is a pointer": _image(lambda data: b"version https://git-lfs.github.com/spec/v1\n"),
    "an image is a GIF": _image(lambda data: _blank("GIF", 30, 30)),
    "an image is small": _image(lambda data: _blank("PNG", 7, 30)),
    "an image is of one pixel": _image(lambda data: _blank("JPEG", 1, 1)),
    "an image is a bomb": _image(lambda data: _blank("PNG", 9000, 9000)),
    "no object of a split": _names(lambda names, s: np.zeros(0, "U5")),
    "names are numbers": _names(lambda names, s: np.arange(len(names))),
    "names are one": _names(lambda names, s: names[0]),
    "names are pickled": _names(lambda names, s: np.array([Pickled()] * len(names))),
    "a name leads out": _names(lambda names, s: [*names[1:], "../etc"]),
    "a name is of Windows": _names(lambda names, s: [*names[1:], names[0].replace("/", "\\")]),
    "a name has no class": _names(lambda names, s: [*names[1:], "/object/"]),
    "a name is empty": _names(lambda names, s: [*names[1:], ""]),
    "a name is of an image": _names(lambda names, s: [*names[1:], names[0] + "/image_0.jpg"]),
    "names are too few": _names(lambda names, s: names[1:]),
    "an object that is not there": _names(lambda names, s: [names[0] + "x", *names[1:]]),
    "an object twice": _names(lambda names, s: [names[3], *names[1:]]),
    "an object in two splits": _names(lambda names, s: [s["val"][0], *names[1:]]),
    "labels are too few": _numbers(lambda a: a[1:]),
    "labels are fractions": _numbers(lambda a: a / 2),
    "labels are true or false": _numbers(lambda a: a > 0),
    "labels are a column": _numbers(lambda a: a[:, None]),
    "labels are strings": _numbers(lambda a: a.astype("U")),
    "a label is negative": _numbers(lambda a: _first(a, -1)),
    "a label is huge": _numbers(lambda a: _first(a, 2**62)),
    "a label is of another class": _numbers(lambda a: _first(a, 50)),
    "all labels are zero": _numbers(lambda a: 0 * a),
    "no train_images.npy": lambda r, s, v: (r / "train_images.npy").unlink(),
    "no train_labels.npy": lambda r, s, v: (r / "train_labels.npy").unlink(),
    "no val_images.npy": lambda r, s, v: (r / "val_images.npy").unlink(),
    "no split files": lambda r, s, v: [
        path.unlink() for path in r.glob("*_*.npy") if path.is_file()
    ],
    "an object has no folder": _no_folder,
    "an object is a file": _file_for_folder,
    "views are numbered from 1": _renamed(lambda number: f"image_{number + 1}.jpg"),
    "views have two digits": _renamed(lambda number: f"image_{number:02}.jpg"),
    "views are .png": _renamed(lambda number: f"image_{number}.png"),
}
