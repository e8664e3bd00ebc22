"""Making of packs (`seqjepa.store.pack`): every file is read, checked and put in its place."""

import hashlib
import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqjepa import files
from seqjepa.display import progress
from seqjepa.errors import ConfigError, DataError
from seqjepa.files import writing
from seqjepa.reading.npy import npy_header
from seqjepa.reading.pixels import decode, encode
from seqjepa.store.folder import IMAGE, LATENT, FolderStore, read_image
from seqjepa.store.pack import (
    FORMAT,
    IMAGES,
    INDEX,
    MAGIC,
    MANIFEST,
    NOTE,
    Coding,
    Digest,
    Options,
    PackManifest,
    checksum,
    digest,
    record_type,
)
from seqjepa.store.splits import Listing, write_split

CHUNK = 32  # objects between two moments at which everything is on the disk


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
    """Pack a folder in 3DIEBench's layout.

    A pack begun with the same options is continued: what is there and whole is kept.

    Args:
        source: the folder.
        out: the pack's folder; made if need be.
        coding: `jpeg` keeps files byte for byte, or with `size` encodes them anew; `raw` stores
            pixels and needs `size`.
        size: pixels per side.
        quality: of JPEGs that are encoded anew, 1 to 100.
        views: of each object, the first ones.
        unlisted: pack every object that is found, as split `ood`, whatever split files say.

    Raises:
        InUseError: if another process packs there.
        ConfigError: if options are out of range or `out` holds something else.
        DataError: if a file is missing or damaged; what was packed before it stays.
        DiskError: if the pack cannot be written.
    """
    _check(coding, size, quality, views)
    store = FolderStore(Path(source).expanduser(), unlisted=unlisted)
    encoded = coding == "jpeg" and size is not None
    options = Options(
        coding=coding,
        size=size,
        quality=quality if encoded else None,
        views=views,
        listing=_listing_digest(store.listing),
    )

    # Options that do not fit the files are refused before anything is written.
    _read_object(store, options, 0)

    folder = Path(out).expanduser()
    with writing(folder, NOTE, asdict(options), "packed"):
        _build(folder, store, options)


def _check(coding: Coding, size: int | None, quality: int, views: int) -> None:
    # Pixels are summed in words of 8 bytes: 3 S^2 is a multiple of that if 4 divides S.
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


def _listing_digest(listing: Listing) -> str:
    splits = {name: rows.tolist() for name, rows in listing.splits.items()}
    names = json.dumps([listing.places, listing.labels.tolist(), splits])
    return files.sha256(names.encode())


def _build(folder: Path, store: FolderStore, options: Options) -> None:
    """Write all files of a pack, the manifest last."""
    shape = (len(store.listing.places), options.views)
    objects, record = shape[0], record_type(len(store.factors.pose))
    done, images = _survey("looking at what is there", folder, record, shape)

    # From the first change to the last verification, the pack counts as unfinished.
    missing = done < objects
    if missing:
        (folder / MANIFEST).unlink(missing_ok=True)
    _append(folder, store, options, done, images.bytes)
    if missing:
        done, images = _survey("verifying", folder, record, shape)
        if done < objects:
            raise DataError(
                f"{folder / IMAGES} does not read back as it was written. Is the disk failing?"
            )

    contents = {IMAGES: images, INDEX: digest(folder / INDEX)}
    contents |= _write_splits(folder, store.listing)
    files.at("before manifest")
    manifest = asdict(PackManifest(format=FORMAT, options=options, files=contents))
    files.write_atomically(folder / MANIFEST, files.json_bytes(manifest))


def _survey(
    task: str, folder: Path, record: np.dtype[np.void], shape: tuple[int, int]
) -> tuple[int, Digest]:
    """Return the number of whole objects up to the first that is not, and their images' digest.

    It is the digest of a file of just these images. The task is the name of the progress bar.
    """
    number, size, seen = 0, len(MAGIC), hashlib.sha256(MAGIC)
    with progress(task, shape[0]) as advance:
        for data in _whole(folder, record, shape):
            seen.update(data)
            number, size = number + 1, size + len(data)
            advance(1)
    return number, Digest(bytes=size, sha256=seen.hexdigest())


def _whole(folder: Path, record: np.dtype[np.void], shape: tuple[int, int]) -> Iterator[bytes]:
    """Yield the joined images of each object that is as it was packed, up to the first that is not.

    An object is whole if its records and each of its images have the checksums of the index.
    """
    (objects, views), header = shape, npy_header(record, shape)
    with (
        suppress(FileNotFoundError),
        (folder / INDEX).open("rb") as index,
        (folder / IMAGES).open("rb") as images,
    ):
        if index.read(len(header)) != header or images.read(len(MAGIC)) != MAGIC:
            return

        # The first thing that does not match ends it: what comes after is packed again.
        for _ in range(objects):
            data = index.read(views * record.itemsize)
            if len(data) < views * record.itemsize:
                return
            records = np.frombuffer(data, record)
            if (_own_checksums(records) != records["own_checksum"]).any():
                return

            start = images.tell()
            data = images.read(int(records["length"].sum()))
            begins, lengths = (records["offset"] - start).tolist(), records["length"].tolist()
            parts = [
                data[begin : begin + length] for begin, length in zip(begins, lengths, strict=True)
            ]
            if [checksum(part) for part in parts] != records["checksum"].tolist():
                return
            yield data


def _own_checksums(records: npt.NDArray[np.void]) -> npt.NDArray[np.uint64]:
    """Return each record's own checksum [V]: the sum of its other words."""
    words = records.view("<u8").reshape(len(records), -1)
    total: npt.NDArray[np.uint64] = words[:, :-1].sum(1)
    return total


def _append(folder: Path, store: FolderStore, options: Options, done: int, end: int) -> None:
    """Pack all objects but the first `done` ones, whose images end at byte `end`.

    What stands behind these is cut off.
    """
    objects = len(store.listing.places)
    record = record_type(len(store.factors.pose))
    header = npy_header(record, (objects, options.views))
    read = partial(_read_object, store, options)
    with (
        (folder / IMAGES).open("ab") as images,
        (folder / INDEX).open("ab") as index,
        ThreadPoolExecutor() as pool,
        progress("packing", objects) as advance,
    ):
        index.truncate(len(header) + done * options.views * record.itemsize if done else 0)
        index.write(b"" if done else header)
        images.truncate(end if done else 0)
        images.write(b"" if done else MAGIC)
        advance(done)

        for start in range(done, objects, CHUNK):
            chunk = list(pool.map(read, range(start, min(start + CHUNK, objects))))
            for records, data in chunk:
                records["offset"] += end
                records["own_checksum"] = _own_checksums(records)
                images.write(data)
                end += len(data)

            # Images reach the disk before the records that vouch for them.
            files.force(images)
            files.at("after images")
            index.writelines(records.tobytes() for records, _ in chunk)
            files.force(index)
            files.at("after records")
            advance(len(chunk))


def _read_object(
    store: FolderStore, options: Options, row: int
) -> tuple[npt.NDArray[np.void], bytes]:
    """Read an object, decoding each of its images once.

    Returns:
        Its records [V], with offsets from its first image on, and its joined images.

    Raises:
        ConfigError: if an image is smaller than the pack's.
        DataError: if a file is missing or damaged.
    """
    folder, numbers = store.folder / store.listing.places[row], store.numbers(row)
    if len(numbers) < options.views:
        raise DataError(
            f"{folder} has {len(numbers)} views, --views asks for {options.views}: ask for fewer, "
            "or get the object again"
        )

    records = np.zeros(options.views, record_type(len(store.factors.pose)))
    images, end = [], 0
    for record, number in zip(records, numbers, strict=False):
        data = _read_view(folder / IMAGE.format(number), options)
        record["offset"], record["length"], record["checksum"] = end, len(data), checksum(data)
        record["latent"] = store.latent(folder / LATENT.format(number))
        images.append(data)
        end += len(data)
    return records, b"".join(images)


def _read_view(path: Path, options: Options) -> bytes:
    """Return the bytes to pack for an image file, after decoding it once to be sure of it."""
    data, name = read_image(path)
    pixels = decode(data, name, options.size, "--size")
    if options.size is None:
        return data
    if options.coding == "raw":
        return pixels.tobytes()
    return encode(pixels, options.quality or 95)


def _write_splits(folder: Path, listing: Listing) -> dict[str, Digest]:
    """Write the split files and return their digests."""
    written = [
        write_split(folder, name, [listing.places[n] for n in rows], listing.labels[rows])
        for name, rows in listing.splits.items()
    ]
    return {path.name: digest(path) for path in itertools.chain(*written)}
