"""Runs on a page: what was trained, how well it does, what its two representations look like.

A write_report reads run folders and asks models for representations; it knows no method and no world by
name."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from seqjepa.errors import ConfigError, DiskError
from seqjepa.files import write_atomically
from seqjepa.report import album, charts, curves, page, style
from seqjepa.report.runs import Variant, group, read_run
from seqjepa.report.style import Picture, picture

__all__ = ["write_report"]


def write_report(run_dirs: Sequence[str | Path], out: str | Path) -> Path:
    """Write `index.html`, one page that needs no other file, and its figures as PNGs.

    Args:
        run_dirs: folders of runs; those that differ only in their seed are shown as one, with mean
            and spread.
        out: the folder to write to; made if it is not there.

    Returns:
        The page's path.

    Raises:
        ConfigError: if a folder is no run, or `out` cannot be written to.
        DataError: if a run's files are missing or damaged.
        DiskError: if the disk is full.
    """
    if not run_dirs:
        raise ConfigError("a write_report needs at least one run folder")
    folders = list({Path(folder).resolve(): Path(folder) for folder in run_dirs}.values())
    variants = group([read_run(folder) for folder in folders])
    target = _prepare(Path(out))
    several = len(variants) > 1
    names = [
        f"{number}_{_slug(v.label)}_" if several else "" for number, v in enumerate(variants, 1)
    ]
    with style.look():
        albums = [album.make(variant, name) for variant, name in zip(variants, names, strict=True)]
        results = [
            p
            for each in zip(variants, names, albums, strict=True)
            for p in _results(*each, _top(variants), several)
        ]
        training = [
            picture(f"training_{_slug(p.title)}", f, f"{p.title} over training", p.note)
            for p, f in curves.training(variants)
        ]
    html = page.render(variants, albums, results, training)
    pictures = [p for each in albums for p in each.pictures] + results + training
    try:
        for p in pictures:
            write_atomically(target / f"{p.name}.png", p.png)
        write_atomically(target / "index.html", html.encode())
    except OSError as error:
        raise DiskError(
            f"cannot write the write_report to {target}: {error.strerror or error}"
        ) from error
    return target / "index.html"


def _results(
    variant: Variant, name: str, drawn: album.Album, top: float, several: bool
) -> list[Picture]:
    """The plots of a variant's results, as far as it has been evaluated."""
    pictures, label = [], f"{variant.label}. " if several else ""
    if charts.has(variant, "class"):
        figure = charts.accuracy_by_views(variant, drawn.classes, top=top)
        caption = f"{label}Probes of z_AGG and, its rival, of the mean of the same views’ z."
        pictures.append(
            picture(
                f"{name}accuracy_by_views",
                figure,
                "Test accuracy against the number of views",
                caption,
            )
        )
    if charts.has(variant, "relative"):
        figure = charts.pose_by_features(variant)
        caption = (
            f"{label}Probes of two views’ z, trained to tell how each factor of the pose differs."
        )
        pictures.append(
            picture(
                f"{name}pose_by_features",
                figure,
                "R² of what changed between two views, beside controls",
                caption,
            )
        )
    return pictures


def _top(variants: Sequence[Variant]) -> float:
    """Where the accuracy axis of all variants ends, in per cent."""
    values = [
        r.value
        for v in variants
        for run in v.runs
        for r in run.records
        if (r.metric, r.split) == ("top1", v.split)
    ]
    return min(100.0, 108 * max(values, default=1.0))


def _prepare(out: Path) -> Path:
    """The folder, made and writable, before any work is done."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{out} cannot be the write_report's folder ({error.strerror or error}): choose another --out"
        ) from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise ConfigError(f"{out} cannot be written to: choose another --out")
    return out


def _slug(text: str) -> str:
    """A name for files."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
