"""Folders of views in the layout of 3DIEBench, with images and latents as people have them."""

import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from fuzz.names import NAMES
from fuzz.trial import Contents, record
from fuzz.view_faults import FAULTS
from seqjepa.reading.pixels import decode
from seqjepa.render.scene import FACTORS
from seqjepa.worlds import threediebench
from seqjepa.worlds.base import World
from seqjepa.worlds.table import TableWorld

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def _save(image: Image.Image, form: str, **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, form, **options)
    return data.getvalue()


def _turned(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned by a quarter
    return _save(image, "JPEG", exif=exif)


# What is found under the name image_<i>.jpg.
IMAGES: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG": lambda image: _save(image, "JPEG"),
    "progressive": lambda image: _save(image, "JPEG", progressive=True, subsampling=0),
    "gray": lambda image: _save(image.convert("L"), "JPEG"),
    "CMYK": lambda image: _save(image.convert("CMYK"), "JPEG"),
    "turned": _turned,
    "PNG": lambda image: _save(image, "PNG"),
    "palette": lambda image: _save(image.convert("P"), "PNG"),
    "transparent": lambda image: _save(image.convert("RGBA"), "PNG"),
    "16 bits": lambda image: _save(image.convert("L").convert("I;16"), "PNG"),
}
# Files of other programs, in the folder of an object.
STRAY = (".DS_Store", "Thumbs.db", "._image_0.jpg", "image_0.jpg~", "image_00.jpg", "image_0.png",
         "image_١.jpg", "image_copy.jpg", "notes.txt", "latent_99.npy")  # fmt: skip
# Numbers of objects by split. What is not `train` or `val` is kept as the files name it.
SPLITS = (
    {"train": 10, "val": 3},
    {"train": 9, "val": 2, "test": 3},
    {"train": 11, "val": 2, "träin 2": 2},
    {"train": 8, "val": 4, "test": 2, "ood": 1},
)
# Split files hold paths, in which slashes of both kinds are separators.
PARTS = NAMES.filter(lambda name: not set(name) & set("/\\"))
LIMITS = np.array([np.pi / 2, np.pi / 2, np.pi / 2, 1, np.pi / 4, 2 * np.pi, 1])


@dataclass(frozen=True)
class Views:
    """A folder of views.

    Attributes:
        folder: its name.
        classes, name: of the folders of classes, and how those of objects begin.
        numbers: of the labels of the classes.
        labels: dtype of the label files.
        strings, text: dtype of the names in split files, and how they are written there.
        splits: one of SPLITS, by its place.
        numbering: of an object's views.
        asked: number of views that are used.
        image_size: pixels per side that are used.
        height, width: of the images.
        images: kinds of images, of one view after another.
        latents: dtype of the latents, with its byte order.
        version: of the .npy format.
        beyond: angles beyond +-pi/2.
        train_on_val: see `threediebench.Config`.
        actions: groups to condition on.
        stray: files beside that mean nothing.
        seed: of the numbers.
        fault: one of FAULTS, or empty.
    """

    # Training opens these when it needs them, and some of them it never needs.
    lazy: ClassVar[str] = r"image_\d|latent_\d|have fewer views|has \d+ views"

    folder: str
    classes: tuple[str, str, str]
    name: str
    numbers: tuple[int, int, int]
    labels: str
    strings: str
    text: str
    splits: int
    numbering: tuple[int, ...]
    asked: int
    image_size: int
    height: int
    width: int
    images: tuple[str, ...]
    latents: str
    version: tuple[int, int]
    beyond: bool
    train_on_val: bool
    actions: tuple[str, ...]
    stray: tuple[str, ...]
    seed: int
    fault: str = ""

    def write(self, folder: Path) -> Path:
        path = folder / self.folder
        for place, (files, latents, _) in self._objects().items():
            (path / place).mkdir(parents=True)
            for number, data, latent in zip(self.numbering, files, latents, strict=True):
                (path / place / f"image_{number}.jpg").write_bytes(data)
                self._save(path / place / f"latent_{number}.npy", latent)
            for name in self.stray:
                (path / place / name).write_bytes(b"of another program")

        for split, places in self._splits().items():
            names = [self.text.format(place) for place in places]
            encoded = np.char.encode(names, "utf-8") if self.strings == "S" else np.array(names)
            self._save(path / f"{split}_images.npy", encoded.astype(self.strings))
            numbers = np.array([self._label(place) for place in places])
            self._save(path / f"{split}_labels.npy", numbers.astype(self.labels))
        if self.fault:
            FAULTS[self.fault](path, self._splits(), self.numbering[self.seed % self.asked])
        return path

    def world(self, path: Path) -> threediebench.Config:
        return threediebench.Config(
            path=str(path),
            image_size=self.image_size,
            views=self.asked,
            actions=self.actions,
            train_on_val=self.train_on_val,
        )

    def expected(self, change: Callable[[bytes], bytes] = bytes) -> Contents:
        """Return what it holds, see `Plan`, if each image file is changed."""
        objects, square = self._objects(), (self.image_size, self.image_size)
        found = {}
        for split, places in self._splits().items():
            found[split] = Counter[tuple[str, bytes]]()
            for place in places:
                files, latents, pixels = objects[place]
                views = [
                    # Nothing is lost in such a file, so that the decoder has nothing to say. Else
                    # it has: it is tested elsewhere.
                    own
                    if change is bytes and kind == "PNG" and own.shape[:2] == square
                    else decode(change(data), "an image", self.image_size)
                    for kind, data, own in zip(self._kinds(), files, pixels, strict=True)
                ]
                poses = latents[: self.asked].astype("f4")
                entry = record(place.split("/")[0], np.array(views[: self.asked]), poses)
                found[split][entry] += 1

        if "test" not in found:
            found["test"] = found.pop("val")
        elif self.train_on_val:
            found["train"] += found["val"]
        return found

    def found(self, world: World) -> Contents:
        assert isinstance(world, TableWorld)
        found = {
            split: Counter(
                record(world.spec.classes[label], views, poses)
                for label, views, poses in zip(
                    table.labels,
                    table.images(np.arange(len(table.labels)), np.arange(self.asked)[None]),
                    table.poses[np.arange(len(table.labels))[:, None], np.arange(self.asked)[None]],
                    strict=True,
                )
            )
            for split, table in world.tables.items()
        }
        if "test" in SPLITS[self.splits]:
            return found

        # Which objects are held out is not the plan's to say, only that none is lost.
        held_out = found.pop("val")
        assert held_out and (not self.train_on_val or held_out <= found["train"])
        return found if self.train_on_val else found | {"train": found["train"] + held_out}

    def _splits(self) -> dict[str, list[str]]:
        """Return the places of the objects in each split."""
        total, splits = 0, {}
        for split, number in SPLITS[self.splits].items():
            rows = range(total, total + number)
            splits[split] = [f"{self.classes[row % 3]}/{self.name}{row}" for row in rows]
            total += number
        return splits

    def _label(self, place: str) -> int:
        return self.numbers[self.classes.index(place.split("/", maxsplit=1)[0])]

    def _kinds(self) -> list[str]:
        return [self.images[view % len(self.images)] for view in range(len(self.numbering))]

    def _objects(self) -> dict[str, tuple[list[bytes], np.ndarray, Pixels]]:
        """Return image files, latents [V, 7] and pixels [V, H, W, 3] of each object."""
        chance, views, objects = np.random.default_rng(self.seed), len(self.numbering), {}
        for place in (place for places in self._splits().values() for place in places):
            pixels = chance.integers(0, 256, (views, self.height, self.width, 3), np.uint8)
            latents = LIMITS * chance.uniform(0, 1, (views, 7))
            latents[:, :3] *= chance.choice([-1, 1], (views, 3)) * (4 if self.beyond else 1)
            files = [
                IMAGES[kind](Image.fromarray(picture))
                for kind, picture in zip(self._kinds(), pixels, strict=True)
            ]
            objects[place] = files, latents.astype(self.latents), pixels
        return objects

    def _save(self, path: Path, array: np.ndarray) -> None:
        with path.open("wb") as file:
            np.lib.format.write_array(file, array, self.version)


@st.composite
def plans(draw: st.DrawFn, fault: str = "", packed: bool = False) -> Views:
    """Draw a folder; one that is to be packed may number its views as it likes."""
    number = draw(st.integers(2, 5))
    own = st.sets(st.integers(0, 12), min_size=number, max_size=number).map(sorted)
    size = 4 * draw(st.integers(2, 4)) if packed else draw(st.integers(8, 20))
    side = st.sampled_from([size, size + 3, 2 * size])
    groups = [group.name for group in FACTORS.groups]
    return Views(
        folder=draw(NAMES),
        classes=tuple(draw(st.lists(PARTS, min_size=3, max_size=3, unique=True))),
        name=draw(PARTS),
        numbers=draw(st.sampled_from([(0, 1, 2), (2, 1, 0), (0, 7, 100)])),
        labels=draw(st.sampled_from(["u1", "i1", "<i8", ">i4", "<u8", ">u2"])),
        strings=draw(st.sampled_from(["U", "S", ">U", "U300"])),
        text=draw(st.sampled_from(["/{}/", "{}", "/{}", "{}/"])),
        # Under a fault, it must be known in which split an object is.
        splits=draw(st.sampled_from([1, 3] if fault else list(range(len(SPLITS))))),
        numbering=tuple(draw(own) if packed else range(number)),
        asked=draw(st.integers(2, number)),
        image_size=size,
        height=draw(side),
        width=draw(side),
        images=tuple(draw(st.lists(st.sampled_from(list(IMAGES)), min_size=1, max_size=3))),
        latents=draw(st.sampled_from(["<f8", ">f8", "<f4", ">f4", "<f2", ">f2", "g"])),
        version=draw(st.sampled_from([(1, 0), (2, 0), (3, 0)])),
        beyond=draw(st.booleans()),
        train_on_val=draw(st.booleans()),
        actions=tuple(draw(st.lists(st.sampled_from(groups), min_size=1, unique=True))),
        stray=tuple(draw(st.lists(st.sampled_from(STRAY), max_size=3, unique=True))),
        seed=draw(st.integers(0, 2**16)),
        fault=fault,
    )


PLANS = plans()
FAULTY = st.sampled_from(list(FAULTS)).flatmap(plans)
