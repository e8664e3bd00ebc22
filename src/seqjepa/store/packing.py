"""Making a pack (`seqjepa.store.pack`): every file read, checked and put in its place; a killed
build goes on where it was."""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import Progress

from seqjepa import files
from seqjepa.errors import ConfigError, DataError, DiskError
from seqjepa.files import writing
from seqjepa.reading.npy import npy_header
from seqjepa.reading.pixels import check_size, decode, encode
from seqjepa.store.folder import FolderStore, read_image, read_latent
from seqjepa.store.pack import (
    FORMAT,
    IMAGES,
    INDEX,
    MAGIC,
    MANIFEST,
    NOTE,
    RECORD,
    Coding,
    Digest,
    Options,
    PackManifest,
    checksum,
    digest,
)
from seqjepa.store.splits import Listing, write_split

CHUNK = 32  # objects between two moments at which all is on the disk


def pack(
    source: str | Path,
    out: str | Path,
    *,
    coding: Coding = "jpeg",
    size: int | None = None,
    quality: int = 95,
    views: int = 50,
    unlisted: bool = False,
) -> None:
    """Pack a folder in 3DIEBench's layout. What is there already, whole and from the same options,
    is kept.

    Args:
        source: the folder.
        out: where the pack goes; made if it is not there.
        coding: `jpeg` keeps files byte for byte, or with `size` encodes them anew; `raw` stores
            pixels, for which `size` must be given.
        size: pixels per side.
        quality: of JPEGs that are encoded anew, 1 to 100.
        views: of each object, the first ones.
        unlisted: every object that is found, as split `ood`, whatever split files say.

    Raises:
        InUseError: if another process packs there.
        ConfigError: if options are out of range or `out` holds something else.
        DataError: if a file is missing or damaged; what was packed before it stays.
        DiskError: if the pack cannot be written.
    """
    _check(coding, size, quality, views)
    store = FolderStore(Path(source).expanduser(), unlisted=unlisted)
    encoded = coding == "jpeg" and size is not None
    names = json.dumps(
        [
            store.listing.places,
            store.listing.labels.tolist(),
            {k: v.tolist() for k, v in store.listing.splits.items()},
        ]
    )
    options = Options(
        coding=coding,
        size=size,
        quality=quality if encoded else None,
        views=views,
        listing=files.sha256(names.encode()),
    )
    _read_object(store, options, 0)  # what does not fit is refused before anything is written
    folder = Path(out).expanduser()
    try:
        with (
            writing(folder, NOTE, asdict(options), "packed"),
            Progress(console=Console(stderr=True), transient=True) as progress,
        ):
            _build(folder, store, options, progress)
    except OSError as error:
        raise DiskError(
            f"cannot write the pack {folder}: {error.strerror or error}. Free space or choose another --out, then run it again"
        ) from error


def _check(coding: Coding, size: int | None, quality: int, views: int) -> None:
    if coding == "raw" and (size is None or size < 8 or size % 4):
        raise ConfigError(
            f"raw views need --size, a multiple of 4 from 8 on, such as 128; got {size}"
        )
    if size is not None and size < 8:
        raise ConfigError(f"--size must be at least 8 pixels, got {size}")
    if not 1 <= quality <= 100:
        raise ConfigError(f"--quality must lie in 1..100, got {quality}")
    if views < 2:
        raise ConfigError(f"--views must be at least 2, got {views}")


def _build(folder: Path, store: FolderStore, options: Options, progress: Progress) -> None:
    """All files, the manifest last."""
    objects = len(store.listing.places)
    task = progress.add_task("looking at what is there", total=objects)
    done, found = _survey(folder, objects, options.views, partial(progress.advance, task))
    missing = done < objects
    if missing:
        (folder / MANIFEST).unlink(missing_ok=True)
        progress.reset(task, description="packing", total=objects, completed=done)
    _append(folder, store, options, done, found.bytes, partial(progress.advance, task))
    if missing:
        progress.reset(task, description="verifying", total=objects)
        done, found = _survey(folder, objects, options.views, partial(progress.advance, task))
    if done < objects:
        raise DataError(
            f"{folder / IMAGES} does not read back as it was written. Is the disk failing?"
        )
    contents = {IMAGES: found, INDEX: digest(folder / INDEX)} | _write_splits(folder, store.listing)
    files.at("before manifest")
    files.write_atomically(
        folder / MANIFEST,
        files.json_bytes(asdict(PackManifest(format=FORMAT, options=options, files=contents))),
    )


def _survey(
    folder: Path, objects: int, views: int, advance: Callable[[float], None]
) -> tuple[int, Digest]:
    """How many objects are on the disk as they were packed, up to the first that is not, and what a
    file of just their images is."""
    number, size, seen = 0, len(MAGIC), hashlib.sha256(MAGIC)
    for data in _whole(folder, objects, views):
        seen.update(data)
        number, size = number + 1, size + len(data)
        advance(1)
    return number, Digest(bytes=size, sha256=seen.hexdigest())


def _whole(folder: Path, objects: int, views: int) -> Iterator[bytes]:
    """The images, as one, of each object that is on the disk as it was packed, up to the first that
    is not."""
    header = npy_header(RECORD, (objects, views))
    with (
        suppress(FileNotFoundError),
        (folder / INDEX).open("rb") as index,
        (folder / IMAGES).open("rb") as images,
    ):
        if index.read(len(header)) != header or images.read(len(MAGIC)) != MAGIC:
            return
        for _ in range(objects):
            data = index.read(views * RECORD.itemsize)
            if len(data) < views * RECORD.itemsize:
                return
            records = np.frombuffer(data, RECORD)
            if (_own_checksums(records) != records["own_checksum"]).any():
                return
            start = images.tell()
            data = images.read(int(records["length"].sum()))
            parts = [
                data[at : at + length]
                for at, length in zip(
                    (records["offset"] - start).tolist(), records["length"].tolist(), strict=True
                )
            ]
            if [checksum(part) for part in parts] != records["checksum"].tolist():
                return
            yield data


def _own_checksums(records: npt.NDArray[np.void]) -> npt.NDArray[np.uint64]:
    """Of the index's records [V]: the sum of their other words."""
    total: npt.NDArray[np.uint64] = records.view("<u8").reshape(len(records), -1)[:, :-1].sum(1)
    return total


def _append(
    folder: Path,
    store: FolderStore,
    options: Options,
    done: int,
    end: int,
    advance: Callable[[float], None],
) -> None:
    """Pack the objects from number `done` on, whose images begin at byte `end`: the images of some,
    then their records, both forced to the disk. What stands behind the objects before is cut
    off."""
    objects, header = (
        len(store.listing.places),
        npy_header(RECORD, (len(store.listing.places), options.views)),
    )
    read = partial(_read_object, store, options)
    with (
        (folder / IMAGES).open("ab") as images,
        (folder / INDEX).open("ab") as index,
        ThreadPoolExecutor() as pool,
    ):
        index.truncate(len(header) + done * options.views * RECORD.itemsize if done else 0)
        index.write(b"" if done else header)
        images.truncate(end if done else 0)
        images.write(b"" if done else MAGIC)
        for start in range(done, objects, CHUNK):
            chunk = list(pool.map(read, range(start, min(start + CHUNK, objects))))
            for records, data in chunk:
                records["offset"] += end
                records["own_checksum"] = _own_checksums(records)
                images.write(data)
                end += len(data)
            files.force(images)
            files.at("after images")
            index.writelines(records.tobytes() for records, _ in chunk)
            files.force(index)
            files.at("after records")
            advance(len(chunk))


def _read_object(
    store: FolderStore, options: Options, row: int
) -> tuple[npt.NDArray[np.void], bytes]:
    """The records [V] of an object, with offsets from its first image on, and its images, each of
    which has been decoded once."""
    folder, numbers = store.folder / store.listing.places[row], store.numbers(row)
    if len(numbers) < options.views:
        raise DataError(
            f"{folder} has {len(numbers)} views, --views asks for {options.views}: ask for fewer, or get the object again"
        )
    records, images, end = np.zeros(options.views, RECORD), [], 0
    for record, number in zip(records, numbers, strict=False):
        data, name = read_image(folder / f"image_{number}.jpg")
        pixels = decode(data, name, options.size)
        if options.size is not None:
            check_size(data, name, options.size, "--size")
            data = (
                pixels.tobytes()
                if options.coding == "raw"
                else encode(pixels, options.quality or 95)
            )
        latent = read_latent(folder / f"latent_{number}.npy")
        record["offset"], record["length"], record["checksum"], record["latent"] = (
            end,
            len(data),
            checksum(data),
            latent,
        )
        images.append(data)
        end += len(data)
    return records, b"".join(images)


def _write_splits(folder: Path, listing: Listing) -> dict[str, Digest]:
    """The split files, and what they are."""
    written = [
        write_split(folder, name, [listing.places[n] for n in rows], listing.labels[rows])
        for name, rows in listing.splits.items()
    ]
    return {path.name: digest(path) for path in itertools.chain(*written)}
