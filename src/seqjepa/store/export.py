"""Export of rendered worlds to the layout of 3DIEBench (Garrido et al. 2023), for other loaders.

    <out>/<class>/<object>/image_<i>.jpg     view i of an object
    <out>/<class>/<object>/latent_<i>.npy    its factors, float64 [P]
    <out>/<split>_images.npy                 the split's objects, strings such as
                                             "/chair/train_000012/"
    <out>/<split>_labels.npy                 their classes, int64
    <out>/render.json                        what the files were rendered from
    <out>/sources.json                       of each object made from a file, a digest of that
    <out>/skipped.json                       objects that could not be rendered, if any, and why

Unlike in the original, whose channels are swapped, the JPEGs' red is red.
"""

import errno
import itertools
import json
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqjepa.display import progress
from seqjepa.errors import ConfigError, DataError
from seqjepa.files import json_bytes, write_atomically, writing
from seqjepa.reading.pixels import encode
from seqjepa.store.cache import Plan
from seqjepa.store.splits import write_split

# Objects of a plan rendered at a time, and objects waiting to be written: few enough for memory,
# enough for every core.
CHUNK = 16
NOTE, SOURCES, SKIPPED = "render.json", "sources.json", "skipped.json"

Views = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Skip:
    """An object that cannot be rendered, and why."""

    reason: str


@dataclass(frozen=True)
class RenderJob:
    """N objects to render, with V views each.

    Attributes:
        key: JSON data that say what the views depend on.
        places: [N], `<class>/<object>`.
        labels: [N], classes.
        poses: [N, V, P].
        render: from numbers of objects to the views [V, H, W, C] of each, in that order.
        split: from the numbers of the objects that could be rendered to those of each split.
        source: from an object's number to a digest of the file that it is made from; an object of
            another one is rendered again. None if the key says all.
    """

    key: Mapping[str, Any]
    places: Sequence[str]
    labels: npt.NDArray[np.int64]
    poses: npt.NDArray[np.float32]
    render: Callable[[Sequence[int]], Iterator[Views | Skip]]
    split: Callable[[Sequence[int]], Mapping[str, Sequence[int]]]
    source: Callable[[int], str] | None = None


def plan_job(
    plans: Mapping[str, Plan], classes: Sequence[str], key: Mapping[str, Any]
) -> RenderJob:
    """Return the job of exporting the splits of a rendered world.

    Args:
        plans: one per split.
        classes: names; labels are indices into them.
        key: see `RenderJob`.
    """
    # Split of each object of the job, and its number there.
    owner = [(split, number) for split, plan in plans.items() for number in range(len(plan.labels))]

    def place(split: str, number: int) -> str:
        return f"{classes[plans[split].labels[number]]}/{split}_{number:06d}"

    def chunk_of(index: int) -> tuple[str, int]:
        split, number = owner[index]
        return split, number // CHUNK

    def render(numbers: Sequence[int]) -> Iterator[Views | Skip]:
        # A plan renders chunks, even if only some of their objects are asked for.
        for (split, chunk), indices in itertools.groupby(numbers, chunk_of):
            start = chunk * CHUNK
            stop = min(start + CHUNK, len(plans[split].labels))
            views = plans[split].render(start, stop)
            for index in indices:
                yield views[owner[index][1] - start]

    def split_up(numbers: Sequence[int]) -> dict[str, list[int]]:
        return {split: [n for n in numbers if owner[n][0] == split] for split in plans}

    return RenderJob(
        key=key,
        places=[place(split, number) for split, number in owner],
        labels=np.concatenate([plan.labels for plan in plans.values()]),
        poses=np.concatenate([plan.poses for plan in plans.values()]),
        render=render,
        split=split_up,
    )


def export(job: RenderJob, out: str | Path, *, quality: int = 95) -> dict[str, str]:
    """Render a job's objects to files.

    An object's folder is complete or not there, so an interrupted export is continued. Objects
    whose source has changed are rendered again.

    Args:
        job: what to render. A folder begun from another key is left alone.
        out: the folder; made if need be.
        quality: of the JPEGs, 1 to 100; colour is not subsampled.

    Returns:
        The places of skipped objects, which are in no split, and why they were.

    Raises:
        InUseError: if another process exports to the folder.
        ConfigError: if the folder holds another export, or the quality is out of range.
        DataError: if every object was skipped.
        DiskError: if the files cannot be written.
    """
    if not 1 <= quality <= 100:
        raise ConfigError(f"quality must lie in 1..100, got {quality}")

    folder = Path(out).expanduser()
    with writing(folder, NOTE, {**job.key, "quality": quality}, "rendered"):
        # Half objects are those of an interrupted export, for this one is the only writer.
        for half in folder.glob("*/.*.tmp"):
            shutil.rmtree(half)
        _remove_changed(folder, job)
        skipped = _render(folder, job, quality)
        _write_lists(folder, job, skipped)
    return skipped


def _remove_changed(folder: Path, job: RenderJob) -> None:
    """Remove the objects that were made from other files than they would be now.

    Also writes down the digest of the file that each object is made from.
    """
    if job.source is None:
        return

    # Objects without a readable note are rendered again.
    note = folder / SOURCES
    known: dict[str, str] = {}
    with suppress(FileNotFoundError, ValueError):
        known = json.loads(note.read_bytes())

    sources: dict[str, str] = {}
    with progress("looking at what is there", len(job.places)) as advance:
        for number, place in enumerate(job.places):
            sources[place] = job.source(number)
            made = folder / place
            if known.get(place) != sources[place] and _exists(made):
                shutil.rmtree(made.rename(_half(made)))
            advance(1)

    # After removing and before rendering the note is true of every object that is there, whenever
    # this is killed.
    write_atomically(note, json_bytes(known | sources))


def _write_lists(folder: Path, job: RenderJob, skipped: Mapping[str, str]) -> None:
    """Write the split files, and the list of the objects that are in no split."""
    if skipped:
        write_atomically(folder / SKIPPED, json_bytes(skipped))
    else:
        (folder / SKIPPED).unlink(missing_ok=True)
    if len(skipped) == len(job.places):
        first = next(iter(skipped.values()))
        raise DataError(
            f"none of {len(skipped):,} objects could be rendered, see {folder / SKIPPED}; the "
            f"first: {first}"
        )

    good = [number for number, place in enumerate(job.places) if place not in skipped]
    for split, numbers in job.split(good).items():
        write_split(folder, split, [job.places[n] for n in numbers], job.labels[list(numbers)])


def _render(folder: Path, job: RenderJob, quality: int) -> dict[str, str]:
    """Write the objects that are not there yet; return those that cannot be rendered, and why.

    JPEGs are made side by side, for PIL does not hold the GIL, while the next objects are rendered.
    """
    missing = [n for n, place in enumerate(job.places) if not _exists(folder / place)]
    objects, views = job.poses.shape[:2]
    skipped: dict[str, str] = {}
    waiting = deque[tuple[str, Future[None]]]()

    def finish(place: str, write: Future[None]) -> None:
        try:
            write.result()
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            skipped[place] = "its name is too long for this disk: shorten that of its file"

    with progress("rendering", objects * views) as advance, ThreadPoolExecutor() as pool:
        advance((objects - len(missing)) * views)
        for number, rendered in zip(missing, job.render(missing), strict=True):
            place, poses = job.places[number], job.poses[number]
            if isinstance(rendered, Skip):
                skipped[place] = rendered.reason
            else:
                write = pool.submit(_write_object, folder / place, rendered, poses, quality)
                waiting.append((place, write))

            # More objects in memory than this would keep no more cores busy.
            if len(waiting) > CHUNK:
                finish(*waiting.popleft())
            advance(views)

        for place, write in waiting:
            finish(place, write)
    return skipped


def _write_object(folder: Path, views: Views, poses: npt.NDArray[np.float32], quality: int) -> None:
    # Renamed when all of it is written: an object's folder is complete or not there.
    half = _half(folder)
    half.mkdir(parents=True)
    for number, (view, pose) in enumerate(zip(views, poses, strict=True)):
        (half / f"image_{number}.jpg").write_bytes(encode(view, quality))
        np.save(half / f"latent_{number}.npy", pose.astype(np.float64))
    half.rename(folder)


def _exists(folder: Path) -> bool:
    # Asking for a name that is too long for the disk is an error.
    with suppress(OSError):
        return folder.exists()
    return False


def _half(folder: Path) -> Path:
    """Return the name of an object's folder while it is not complete."""
    return folder.with_name(f".{folder.name}.tmp")
