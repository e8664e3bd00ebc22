"""Sets of labelled images, in folders and archives of every make."""

import io
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from faults import image_recipe
from fuzz.names import NAMES
from fuzz.pictures import MAGIC, PICTURES, Jpeg, Png, part
from fuzz.trial import Contents, record
from seqjepa.worlds.base import World

# A slash is the end of a folder's name, and so is a backslash in a zip: Windows writes it so.
FOLDERS = NAMES.map(lambda name: name.replace("/", "").replace("\\", ""))
Files = list[tuple[str, bytes]]
TARS = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}
ARCHIVES = ("zip", *TARS)
SUFFIXES = (".png", ".jpg", ".JPG", ".jpeg", ".JPEG", ".jpe", ".jfif", ".PNG", ".apng", ".mpo")
# Spellings of train, val and test, some with a common word.
SPELLINGS = (
    ("train", "val", "test"), ("Train", "Valid", "Test"), ("TRAIN", "DEV", "TESTING"),
    ("training", "validation", "testing"), ("Training Set", "Eval", "Test Set"),
    ("train_set", "valset", "test_set"), ("birds_train", "birds_val", "birds_test"),
    ("train2017", "val2017", "test2017"), ("1_train", "2_dev", "3_tst"),
    ("trn", "devel", "tests"), ("TrainImages", "ValImages", "TestImages"),
)  # fmt: skip
# What wraps all images; the names of the first say nothing, so that they are no class either.
BLANKS = ((), ("images",), ("dataset", "images"), ("data", "JPEG"))
WRAPPERS = (*BLANKS, ("pets",), ("x" * 100, "[v]"), ("Pets v2", "images", "all"))
STRAYS = (
    "Thumbs.db", ".DS_Store", "readme.txt", "labels.csv", "{}/._1.png", "{}/Thumbs.db",
    "__MACOSX/{}/._1.png", ".ipynb_checkpoints/1-checkpoint.png", "{}/1.png.txt",
)  # fmt: skip


def _spoilt(spoil: Callable[[bytes], bytes]) -> Callable[[Files], Files]:
    def change(files: Files) -> Files:
        middle = len(files) // 2
        name, data = files[middle]
        return [*files[:middle], (name, spoil(data)), *files[middle + 1 :]]

    return change


def _moved(*folders: str) -> Callable[[Files], Files]:
    """Return what moves images to these folders by turns."""
    return lambda files: [
        (f"{folders[number % len(folders)]}/{number}.png", data)
        for number, (_, data) in enumerate(files * len(folders))
    ]


def _bomb(data: bytes) -> bytes:
    """Return a few bytes that claim to be 30,000 pixels wide and high."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    return MAGIC + part(b"IHDR", header) + part(b"IDAT", zlib.compress(data))


# What makes sets of images unfit: each a function of the files to new ones.
FAULTS: dict[str, Callable[[Files], Files]] = {
    "an empty image": _spoilt(lambda data: b""),
    "a cut image": _spoilt(lambda data: data[: len(data) // 3]),
    "zeros": _spoilt(lambda data: bytes(len(data))),
    "a GIF": _spoilt(lambda data: b"GIF89a" + data),
    "a text": _spoilt(lambda data: b"no picture"),
    "a page": _spoilt(lambda data: b"<!DOCTYPE html><title>404</title>"),
    "a pointer": _spoilt(lambda data: b"version https://git-lfs.github.com/spec/v1\n"),
    "a bomb": _spoilt(_bomb),
    "all cut": lambda files: [(name, data[:40]) for name, data in files],
    "a TIFF beside": lambda files: [*files, (f"{Path(files[0][0]).parent}/x.TIFF", b"II*\0")],
    "only GIFs": lambda files: [(f"{name}.gif", b"GIF89a") for name, _ in files],
    "no files": lambda files: [],
    "no images": lambda files: [("a/readme.txt", b"no image"), ("b/.1.png", files[0][1])],
    "one image": lambda files: [("a/1.png", files[0][1])],
    "archives inside": lambda files: [("train.zip", b"PK"), ("test.zip", b"PK")],
    "train alone": _moved("train/a", "train/b"),
    "no train": _moved("val/a", "val/b", "test/a", "test/b"),
    "two vals": _moved("train/a", "val/a", "validation/a", "test/a"),
    "two trains": _moved("train/a", "Train/a", "test/a"),
    "splits beside a class": _moved("train/a", "test/a", "cat"),
    "splits beside an image": lambda files: [
        *_moved("train/a", "test/a")(files),
        ("1.png", files[0][1]),
    ],
    "splits with more words": _moved("train_a", "test_b"),
    "splits in one class of two": _moved("a/train", "a/test", "b"),
    "splits in folds": _moved("fold1/train/a", "fold1/test/a", "fold2/train/a", "fold2/test/a"),
    "masks": _moved("images", "masks"),
    "masks in splits": _moved("train/images", "train/labels", "test/images", "test/labels"),
}
# The same of archives; `write` makes those that files alone do not show.
PACKED: dict[str, Callable[[Files], Files]] = {
    "a way out": lambda files: [*files, ("a/../../1.png", files[0][1])],
    "from the root": lambda files: [("/tmp/1.png", files[0][1]), *files],
    "a drive": lambda files: [("C:\\1.png", files[0][1]), *files],
    "a link": lambda files: files,
    "encrypted": lambda files: files,
    "twice": lambda files: [*files, files[0]],
    "cut": lambda files: files,
}


@dataclass(frozen=True)
class Images:
    """A set of images.

    Attributes:
        container: folder, zip or a tar.
        dialect: how names are written in an archive: with `./`, entries of folders, backslashes or
            double slashes, stored or deflated, as GNU or pax.
        wrapper: folders around everything.
        splits: the folder of each split; empty for none.
        inside: whether splits lie in the folder of each class.
        classes: their names; empty for none.
        deep: a folder in the folder of each class.
        each: images of a class in a split.
        loose: images of a split in no class.
        stem: how names of images begin.
        suffixes, pictures: of the images, by turns.
        stray: files beside that mean nothing.
        seed: of the pixels.
        fault: one of FAULTS or PACKED, or empty.
    """

    container: str
    dialect: tuple[str, ...]
    wrapper: tuple[str, ...]
    splits: tuple[tuple[str, str], ...]
    inside: bool
    classes: tuple[str, ...]
    deep: str
    each: int
    loose: int
    stem: str
    suffixes: tuple[str, ...]
    pictures: tuple[Png | Jpeg, ...]
    stray: tuple[str, ...]
    seed: int
    fault: str = ""

    def write(self, folder: Path) -> Path:
        files = [(name, data) for name, _, _, data, _ in self._images()]
        if self.fault:
            files = (FAULTS | PACKED)[self.fault](files)
        else:
            first = next(iter(self.classes), "images")
            files += [(name.format(first), b"of another program") for name in self.stray]

        if self.fault not in PACKED:
            files = [("/".join((*self.wrapper, name)), data) for name, data in files]
        path = folder / f"set.{self.container}"
        folder.mkdir(parents=True, exist_ok=True)
        if self.container == "folder":
            path.mkdir()
            for name, data in files:
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_bytes(data)
            return path

        files = [(self._spelt(name), data) for name, data in files]
        (self._zip if self.container == "zip" else self._tar)(path, files)
        if self.fault == "cut":
            path.write_bytes(path.read_bytes()[: -path.stat().st_size // 3])
        return path

    def world(self, path: Path) -> image_recipe.Config:
        return image_recipe.Config(path=str(path))

    def expected(self) -> Contents:
        images = self._images()
        splits = dict.fromkeys(split for _, split, *_ in images)
        return {
            split: Counter(
                record(label, pixels) for _, own, label, _, pixels in images if own == split
            )
            for split in splits
        }

    def found(self, world: World) -> Contents:
        assert isinstance(world, image_recipe.Moved)
        names = (*world.spec.classes, "")  # a label of -1 is no class
        found = {
            split: Counter(
                record(names[label], pixels)
                for label, pixels in zip(part.labels, part.pick(np.arange(len(part))), strict=True)
            )
            for split, part in world.images.splits.items()
        }
        # What the plan does not split is held out by a hash: of val and test, one is the test.
        if not self.splits:
            return {"all": sum(found.values(), Counter())}
        if len(self.splits) == 3:
            return found
        return {
            "train": found["train"] + found["val"],
            self.splits[1][0]: found["test"],
        }

    def _images(self) -> list[tuple[str, str, str, bytes, np.ndarray]]:
        """Return the images: name, split, class, bytes and pixels of each."""
        chance, images = np.random.default_rng(self.seed), []
        for split, folder in self.splits or (("all", ""),):
            labels = [label for label in self.classes for _ in range(self.each)]
            for label in (*labels, *[""] * self.loose):
                number = len(images)
                data, pixels = self.pictures[number % len(self.pictures)].draw(chance)
                folders = (
                    [label, folder] if self.inside else [folder, label, self.deep * (label != "")]
                )
                name = f"{self.stem} {number}{self.suffixes[number % len(self.suffixes)]}"
                path = "/".join((*filter(None, folders), name))
                images.append((path, split, label, data, pixels))
        return images

    def _spelt(self, name: str) -> str:
        """Return a name as an archive has it."""
        if "double" in self.dialect:
            name = name.replace("/", "//")
        if "dot" in self.dialect and self.fault not in PACKED:
            name = f"./{name}"
        if "backslash" in self.dialect and self.container == "zip":
            name = name.replace("/", "\\")
        return name

    def _zip(self, path: Path, files: Files) -> None:
        kind = zipfile.ZIP_STORED if "stored" in self.dialect else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(path, "w", kind) as archive:
            for folder in self._folders(files):
                archive.writestr(f"{folder}/", b"")
            for name, data in files:
                # Not as `writestr` would have it: it knows this system's separator only.
                info = zipfile.ZipInfo(name)
                info.filename, info.compress_type = name, kind
                if self.fault == "a link":
                    info.create_system, info.external_attr = 3, 0o120777 << 16
                archive.writestr(info, data)
        if self.fault == "encrypted":
            data = path.read_bytes()
            # Bit 0 of the flags says so, in the header of the member and in the list of all.
            for mark, flags in ((b"PK\3\4", b"\x14\0\1"), (b"PK\1\2", b"\x14\0\1")):
                at = data.rindex(mark) + (4 if mark == b"PK\3\4" else 6)
                data = data[:at] + flags + data[at + 3 :]
            path.write_bytes(data)

    def _tar(self, path: Path, files: Files) -> None:
        form = tarfile.PAX_FORMAT if "pax" in self.dialect else tarfile.GNU_FORMAT
        with tarfile.open(path, TARS[self.container], format=form) as archive:
            for folder in self._folders(files):
                info = tarfile.TarInfo(folder)
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            for name, data in files:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                if self.fault == "a link":
                    info.type, info.linkname, info.size = tarfile.SYMTYPE, "1.png", 0
                archive.addfile(info, io.BytesIO(data))

    def _folders(self, files: Files) -> list[str]:
        if "folders" not in self.dialect:
            return []
        return sorted({str(folder) for name, _ in files for folder in Path(name).parents})


@st.composite
def _plans(draw: st.DrawFn, fault: str = "") -> Images:
    packed = [kind for kind in ARCHIVES if kind == "zip" or fault != "encrypted"]
    dialect = st.sampled_from(["dot", "folders", "stored", "pax", "double", "backslash"])
    classes = tuple(draw(st.lists(FOLDERS, min_size=1, max_size=4, unique=True)))
    # A folder around everything whose name is a number says nothing, so one class alone is none.
    classes = ("plain",) if classes == ("1e5",) else classes
    splits = draw(st.just(()) | st.sampled_from(SPELLINGS))
    some = draw(st.sampled_from([(0, 1, 2), (0, 1), (0, 2)]))
    inside = bool(splits) and len(classes) > 1 and draw(st.booleans())

    loose = 0 if inside else draw(st.sampled_from([0, 0, 1, 7]))
    classes = classes if loose < 7 else draw(st.sampled_from([(), classes]))
    blank = BLANKS if loose and not splits else WRAPPERS
    return Images(
        container=draw(st.sampled_from(packed if fault in PACKED else ["folder", *ARCHIVES])),
        dialect=tuple(draw(st.lists(dialect, unique=True))),
        wrapper=draw(st.sampled_from(blank)),
        splits=tuple((("train", "val", "test")[n], splits[n]) for n in some) if splits else (),
        inside=inside,
        classes=classes,
        deep=draw(st.sampled_from(["", "a"])) if len(classes) > 1 and not inside else "",
        # Enough for a batch to train on, also if one is lost.
        each=draw(st.integers(0, 1)) + 7 // max(1, len(classes)) + 1,
        loose=loose,
        stem=draw(FOLDERS),
        suffixes=tuple(draw(st.lists(st.sampled_from(SUFFIXES), min_size=1, max_size=4))),
        pictures=tuple(draw(st.lists(PICTURES, min_size=1, max_size=6))),
        stray=tuple(draw(st.lists(st.sampled_from(STRAYS), unique=True, max_size=3))),
        seed=draw(st.integers(0, 2**16)),
        fault=fault,
    )


PLANS = _plans()
FAULTY = st.sampled_from([*FAULTS, *PACKED]).flatmap(_plans)
