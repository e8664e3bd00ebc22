"""Rendered worlds as files, in the layout of 3DIEBench (Garrido et al. 2023), for loaders that were
written for it.

    <out>/<class>/<object>/image_<i>.jpg     view i of an object
    <out>/<class>/<object>/latent_<i>.npy    its factors, float64 [P]
    <out>/<split>_images.npy                 the split's objects, strings such as
    "/chair/train_000012/" <out>/<split>_labels.npy                 their classes, int64
    <out>/render.json                        what the files were rendered from <out>/sources.json
    of each object that was made from a file, a digest of that <out>/skipped.json
    objects that could not be rendered, if there are any, and why

Unlike there, the JPEGs' red is red: the original's channels are swapped.
"""

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
from rich.console import Console
from rich.progress import Progress

from seqjepa.errors import ConfigError, DataError, DiskError
from seqjepa.files import json_bytes, write_atomically, writing
from seqjepa.reading.pixels import encode
from seqjepa.store.cache import Plan
from seqjepa.store.splits import write_split

CHUNK = 16  # objects of a plan rendered at a time, and objects waiting to be written: few enough for memory, enough for every core
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
        render: views [V, H, W, C] of each of the objects that are named by their numbers, in that
            order.
        split: which of the objects that could be rendered make up each split.
        source: a digest of the file that an object is made from, by its number; an object of
            another one is rendered again. None where the key says all.
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
    """The job of exporting the splits of a rendered world; `classes` are names, which labels are
    indices into."""
    owner = [(split, number) for split, plan in plans.items() for number in range(len(plan.labels))]

    def render(numbers: Sequence[int]) -> Iterator[Views | Skip]:
        for (split, chunk), group in itertools.groupby(
            (owner[n] for n in numbers), lambda one: (one[0], one[1] // CHUNK)
        ):
            start = chunk * CHUNK
            views = plans[split].render(start, min(start + CHUNK, len(plans[split].labels)))
            yield from (views[number - start] for _, number in group)

    return RenderJob(
        key,
        [f"{classes[plans[split].labels[number]]}/{split}_{number:06d}" for split, number in owner],
        np.concatenate([plan.labels for plan in plans.values()]),
        np.concatenate([plan.poses for plan in plans.values()]),
        render,
        lambda numbers: {split: [n for n in numbers if owner[n][0] == split] for split in plans},
    )


def export(job: RenderJob, out: str | Path, *, quality: int = 95) -> dict[str, str]:
    """Render a job's objects to files. An object's folder is complete or not there, so an
    interrupted export goes on where it was; objects whose source has changed are rendered again.

    Args:
        job: what to render. A folder begun from another key is left alone.
        out: the folder; made if it is not there.
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
    try:
        with writing(folder, NOTE, {**job.key, "quality": quality}, "rendered"):
            for half in folder.glob(
                "*/.*.tmp"
            ):  # of an interrupted export, for this is the only one
                shutil.rmtree(half)
            _remove_changed(folder, job)
            skipped = _render(folder, job, quality)
            _write_lists(folder, job, skipped)
    except OSError as error:
        raise DiskError(
            f"cannot write to {folder}: {error.strerror or error}. Free space or choose another --out, then run it again"
        ) from error
    return skipped


def _remove_changed(folder: Path, job: RenderJob) -> None:
    """Remove the objects that were made from other files than they would be now, and note what all
    are made from.

    The note comes after removing and before rendering: so it is true of every object that is there,
        whenever this is killed.
    """
    if job.source is None:
        return
    note, known, sources = folder / SOURCES, dict[str, str](), dict[str, str]()
    with suppress(FileNotFoundError, ValueError):  # what is not known is rendered again
        known = json.loads(note.read_bytes())
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for number, place in progress.track(
            list(enumerate(job.places)), description="looking at what there is"
        ):
            sources[place] = job.source(number)
            if known.get(place) != sources[place] and (folder / place).exists():
                shutil.rmtree((folder / place).rename(_half(folder / place)))
    write_atomically(note, json_bytes(known | sources))


def _write_lists(folder: Path, job: RenderJob, skipped: Mapping[str, str]) -> None:
    """The split files, and the list of what is in none."""
    if skipped:
        write_atomically(folder / SKIPPED, json_bytes(skipped))
    else:
        (folder / SKIPPED).unlink(missing_ok=True)
    if len(skipped) == len(job.places):
        raise DataError(
            f"none of {len(skipped):,} objects could be rendered, see {folder / SKIPPED}; the first: {next(iter(skipped.values()))}"
        )
    good = [number for number, place in enumerate(job.places) if place not in skipped]
    for split, numbers in job.split(good).items():
        write_split(folder, split, [job.places[n] for n in numbers], job.labels[list(numbers)])


def _render(folder: Path, job: RenderJob, quality: int) -> dict[str, str]:
    """Write the objects that are not there yet; those that cannot be rendered, and why.

    JPEGs are made side by side, for PIL does not hold the GIL, while the next objects are rendered.
    """
    missing, skipped = (
        [n for n, place in enumerate(job.places) if not (folder / place).exists()],
        dict[str, str](),
    )
    views, waiting = job.poses.shape[1], deque[Future[None]]()
    with (
        Progress(console=Console(stderr=True), transient=True) as progress,
        ThreadPoolExecutor() as pool,
    ):
        task = progress.add_task(
            "rendering",
            total=len(job.places) * views,
            completed=(len(job.places) - len(missing)) * views,
        )
        for number, rendered in zip(missing, job.render(missing), strict=True):
            if isinstance(rendered, Skip):
                skipped[job.places[number]] = rendered.reason
            else:
                waiting.append(
                    pool.submit(
                        _write_object,
                        folder / job.places[number],
                        rendered,
                        job.poses[number],
                        quality,
                    )
                )
            if len(waiting) > CHUNK:
                waiting.popleft().result()
            progress.advance(task, views)
        for future in waiting:
            future.result()
    return skipped


def _write_object(folder: Path, views: Views, poses: npt.NDArray[np.float32], quality: int) -> None:
    half = _half(folder)
    half.mkdir(parents=True)
    for number, (view, pose) in enumerate(zip(views, poses, strict=True)):
        (half / f"image_{number}.jpg").write_bytes(encode(view, quality))
        np.save(half / f"latent_{number}.npy", pose.astype(np.float64))
    half.rename(folder)


def _half(folder: Path) -> Path:
    """What an object's folder is called while it is not whole."""
    return folder.with_name(f".{folder.name}.tmp")
