"""Packs, raw and JPEG, of folders of views."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st

from fuzz import views
from fuzz.names import NAMES
from fuzz.trial import Contents
from seqjepa.reading.pixels import decode, encode
from seqjepa.store.pack import Coding
from seqjepa.store.packing import pack
from seqjepa.worlds import threediebench
from seqjepa.worlds.base import World

Fault = Callable[[Path], object]


def _bytes(name: str, change: Callable[[bytearray], bytes]) -> Fault:
    """Change the bytes of a file."""
    return lambda root: (root / name).write_bytes(change(bytearray((root / name).read_bytes())))


def _flipped(data: bytearray, place: int) -> bytes:
    data[place] ^= 1
    return bytes(data)


def _manifest(change: Callable[[dict[str, Any]], object]) -> Fault:
    """Change the manifest in place."""

    def apply(root: Path) -> None:
        path = root / "manifest.json"
        data = json.loads(path.read_text("utf-8"))
        change(data)
        path.write_text(json.dumps(data), "utf-8")

    return apply


def _options(**changes: object) -> Fault:
    return _manifest(lambda m: m["options"].update(changes))


# What makes packs unfit. An image that is changed is the first one.
FAULTS: dict[str, Fault] = {
    "images are missing": lambda root: (root / "images.bin").unlink(),
    "images are cut": _bytes("images.bin", lambda data: data[:-1]),
    "images are empty": _bytes("images.bin", lambda data: b""),
    "images have grown": _bytes("images.bin", lambda data: data + b"\0" * 8),
    "a byte of an image": _bytes("images.bin", lambda data: _flipped(data, 64)),
    "the index is missing": lambda root: (root / "index.npy").unlink(),
    "the index is cut": _bytes("index.npy", lambda data: data[:-80]),
    "a byte of a latent": _bytes("index.npy", lambda data: _flipped(data, -40)),
    "a byte of the index's header": _bytes("index.npy", lambda data: _flipped(data, 20)),
    "a byte of a label": _bytes("val_labels.npy", lambda data: _flipped(data, -8)),
    "a byte of a name": _bytes("train_images.npy", lambda data: _flipped(data, -12)),
    "split files are missing": lambda root: (root / "val_images.npy").unlink(),
    "labels are missing": lambda root: (root / "train_labels.npy").unlink(),
    "it is unfinished": lambda root: (root / "manifest.json").unlink(),
    "it was never a pack": lambda root: [(root / "pack.json").write_text("{}"),
                                         (root / "manifest.json").unlink()],
    "its note is missing": lambda root: (root / "pack.json").unlink(),
    "the manifest is empty": _bytes("manifest.json", lambda data: b""),
    "the manifest is cut": _bytes("manifest.json", lambda data: data[: len(data) // 2]),
    "the manifest is a list": _bytes("manifest.json", lambda data: b"[]"),
    "the manifest is deep": _bytes("manifest.json", lambda data: b"[" * 100_000),
    "the manifest is UTF-16": _bytes("manifest.json", lambda data: b"\xff\xfe" + data),
    "a later version": _manifest(lambda m: m.update(format=2)),
    "a version in words": _manifest(lambda m: m.update(format="one")),
    "an unknown key": _manifest(lambda m: m.update(colour="red")),
    "no file is listed": _manifest(lambda m: m.update(files={})),
    "the images are not listed": _manifest(lambda m: m["files"].pop("images.bin")),
    "a file that is not there": _manifest(
        lambda m: m["files"].update({"a": {"bytes": 1, "sha256": ""}})
    ),
    "a file that cannot be": _manifest(
        lambda m: m["files"].update({"a\0b": {"bytes": 1, "sha256": ""}})
    ),
    "a file outside": _manifest(
        lambda m: m["files"].update({"../a": {"bytes": 1, "sha256": ""}})
    ),
    "the folder itself": _manifest(lambda m: m["files"].update({".": {"bytes": 1, "sha256": ""}})),
    "sizes are negative": _manifest(lambda m: m["files"]["images.bin"].update(bytes=-1)),
    "views are too many": _manifest(lambda m: m["options"].update(views=m["options"]["views"] + 1)),
    "views are words": _options(views="many"),
    "no views": _options(views=0),
    "unknown pixels": _options(coding="webp"),
    "raw pixels of no size": _options(coding="raw", size=None),
    "raw pixels of another size": _options(coding="raw", size=4000),
    "raw pixels of a negative size": _options(coding="raw", size=-8),
}  # fmt: skip


@dataclass(frozen=True)
class Packs:
    """A pack.

    Attributes:
        folder: its name.
        source: what is packed.
        coding, size, quality: see `pack`.
        fault: one of FAULTS, or empty.
    """

    # Opening verifies all but the images, which are verified when they are read.
    lazy: ClassVar[str] = r"images\.bin: view"

    folder: str
    source: views.Views
    coding: Coding
    size: int | None
    quality: int
    fault: str = ""

    def write(self, folder: Path) -> Path:
        path = folder / self.folder
        # Beside the folder, so that it is no part of the data.
        source = self.source.write(folder.parent / "source")
        pack(
            source,
            path,
            coding=self.coding,
            size=self.size,
            quality=self.quality,
            views=self.source.asked,
        )
        if self.fault:
            FAULTS[self.fault](path)
        return path

    def world(self, path: Path) -> threediebench.Config:
        return self.source.world(path)

    def expected(self) -> Contents:
        if self.coding == "raw" or self.size is None:
            return self.source.expected()
        return self.source.expected(partial(_again, size=self.size, quality=self.quality))

    def found(self, world: World) -> Contents:
        return self.source.found(world)


def _again(data: bytes, size: int, quality: int) -> bytes:
    return encode(decode(data, "an image", size), quality)


@st.composite
def _plans(draw: st.DrawFn, fault: str = "") -> Packs:
    source = draw(views.plans(packed=True))
    coding = draw(st.sampled_from(["jpeg", "raw"]))
    size = draw(st.sampled_from([None, source.image_size]))
    if fault:
        # The first object is one to train on.
        source = replace(source, splits=0, train_on_val=True)
    return Packs(
        folder=draw(NAMES),
        source=source,
        coding=coding,
        size=source.image_size if coding == "raw" else size,
        quality=draw(st.sampled_from([1, 75, 100])),
        fault=fault,
    )


PLANS = _plans()
FAULTY = st.sampled_from(list(FAULTS)).flatmap(_plans)
