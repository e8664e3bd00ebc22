"""Runs on a page: what was trained, how well it does, what its two representations look like.

A report reads run folders and asks models for representations; it knows no method and no world by name.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from seqjepa.errors import ConfigError, DiskError
from seqjepa.files import write_atomically
from seqjepa.report import album, curves, page, style
from seqjepa.report.runs import Variant, group, read_run
from seqjepa.report.style import Picture, picture
from seqjepa.run_folder import read_spec

__all__ = ["report"]


def report(run_dirs: Sequence[str | Path], out: str | Path) -> Path:
    """Write `index.html`, one page that needs no other file, and its figures as PNGs.

    Args:
        run_dirs: folders of runs; those that differ only in their seed are shown as one, with mean and spread.
        out: the folder to write to; made if it is not there.

    Returns:
        The page's path.

    Raises:
        ConfigError: if a folder is no run, or `out` cannot be written to.
        DataError: if a run's files are missing or damaged.
        DiskError: if the disk is full.
    """
    if not run_dirs:
        raise ConfigError("a report needs at least one run folder")
    folders = list({Path(folder).resolve(): Path(folder) for folder in run_dirs}.values())
    variants = group([read_run(folder) for folder in folders])
    target = _prepare(Path(out))
    names = ["" if len(variants) == 1 else f"{number}_{_slug(v.label)}_" for number, v in enumerate(variants, 1)]
    with style.look():
        albums = [album.make(variant, name) for variant, name in zip(variants, names, strict=True)]
        accuracy = _accuracy(variants, names)
        training = [picture(f"training_{_slug(p.title)}", f, f"{p.title} over training", p.note) for p, f in curves.training(variants)]
    html = page.render(variants, albums, accuracy, training)
    pictures = [p for each in albums for p in each.pictures] + accuracy + training
    try:
        for p in pictures:
            write_atomically(target / f"{p.name}.png", p.png)
        write_atomically(target / "index.html", html.encode())
    except OSError as error:
        raise DiskError(f"cannot write the report to {target}: {error.strerror or error}") from error
    return target / "index.html"


def _accuracy(variants: Sequence[Variant], names: Sequence[str]) -> list[Picture]:
    """Accuracy against the number of views, one plot per variant, all with the same axis."""
    shown = [(v, name) for v, name in zip(variants, names, strict=True) if curves.has_accuracy_by_views(v)]
    values = [r.value for v, _ in shown for run in v.runs for r in run.records if (r.task, r.metric, r.split) == ("class", "top1", "test")]
    top = min(100.0, 108 * max(values, default=1.0))
    alt = "Top-1 accuracy on the test split against the number of views"
    pictures = []
    for variant, name in shown:
        classes = len(read_spec(variant.runs[0].folder).classes)
        caption = (f"{variant.label}. " if len(variants) > 1 else "") + "Probes of z_AGG and, its rival, of the mean of the same views’ z."
        pictures.append(picture(f"{name}accuracy_by_views", curves.accuracy_by_views(variant, classes, top=top), alt, caption))
    return pictures


def _prepare(out: Path) -> Path:
    """The folder, made and writable, before any work is done."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{out} cannot be the report's folder ({error.strerror or error}): choose another --out") from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise ConfigError(f"{out} cannot be written to: choose another --out")
    return out


def _slug(text: str) -> str:
    """A name for files."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
