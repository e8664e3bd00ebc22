"""Runs on a page: what was trained, how well it does, what its two representations look like.

A report reads run folders and asks models for representations; it knows no method and no world by
name.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from seqjepa.errors import ConfigError, DataError
from seqjepa.files import disk_errors, slug, write_atomically
from seqjepa.report import charts, comparison, curves, page, style
from seqjepa.report.album import Album, make_album
from seqjepa.report.runs import Variant, group, read_run
from seqjepa.report.style import Picture, picture

__all__ = ["write_report"]


def write_report(
    run_dirs: Sequence[str | Path],
    out: str | Path,
    *,
    split: str | None = None,
    paths: Mapping[str, str] | None = None,
) -> Path:
    """Write `index.html`, one page that needs no other file, and its figures as PNGs.

    Args:
        run_dirs: folders of runs; those that differ only in their seed are shown as one, with mean
            and spread.
        out: the folder to write to; made if it is not there.
        split: whose results are shown; default: test, or val if nothing was asked of test.
        paths: where the runs' data are now, as for `evaluate`.

    Returns:
        The page's path.

    Raises:
        ConfigError: if a folder is no run, or `out` cannot be written to.
        DataError: if a run's files are missing or damaged; of a further part of an evaluation once
            the page has been written, in which a line stands for it.
        DiskError: if the disk is full.
    """
    if not run_dirs:
        raise ConfigError("a report needs at least one run folder")
    folders = list({Path(folder).resolve(): Path(folder) for folder in run_dirs}.values())
    variants = group([read_run(folder, split) for folder in folders])
    target = _prepare(Path(out))

    several = len(variants) > 1
    with style.look():
        albums = [
            make_album(variant, f"{number}_{slug(variant.label)}_" if several else "", paths or {})
            for number, variant in enumerate(variants, 1)
        ]
        results, training = _results(variants, albums), _training(variants)

    pictures = [each for album in albums for each in album.pictures] + results + training
    html = page.render(variants, albums, results, training)
    with disk_errors(f"cannot write the report to {target}"):
        for each in pictures:
            write_atomically(target / f"{each.name}.png", each.png)
        # The page comes last: where it is, its pictures are too.
        write_atomically(target / "index.html", html.encode(errors="backslashreplace"))
    _require_all_read(variants, target / "index.html")
    return target / "index.html"


def _prepare(out: Path) -> Path:
    """Make the folder and return it; it must be writable before any work is done."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(
            f"{out} cannot be the report's folder ({reason}): choose another --out"
        ) from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise ConfigError(f"{out} cannot be written to: choose another --out")
    return out


def _require_all_read(variants: Sequence[Variant], written: Path) -> None:
    """Raise a DataError if parts of evaluations could not be read for a page."""
    runs = [run for variant in variants for run in variant.runs]
    errors = "; ".join(str(error) for run in runs for error in run.unread.values())
    if errors:
        raise DataError(f"{written} is written, but lacks a part: {errors}")


def _results(variants: Sequence[Variant], albums: Sequence[Album]) -> list[Picture]:
    """Draw the plots of the results, as far as there are any: several variants side by side."""
    first, several = variants[0], len(variants) > 1
    pictures = []
    if any(map(charts.has_accuracy_by_views, variants)):
        # Guessing is the same for all, or not drawn.
        known = {album.classes for album in albums}
        classes = known.pop() if len(known) == 1 else None
        figure = (
            comparison.accuracy_by_views(variants, classes)
            if several
            else charts.accuracy_by_views(first, classes)
        )
        alt = "Test accuracy against the number of views"
        caption = "Probes of z_AGG and, its rival, of the mean of the same views’ z."
        pictures.append(picture("accuracy_by_views", figure, alt, caption))

    if any(map(charts.has_pose, variants)):
        figure = (
            comparison.pose_by_features(variants) if several else charts.pose_by_features(first)
        )
        alt = "R² of what changed between two views, beside controls"
        caption = "Probes of two views’ z, trained to tell how each factor of the pose differs."
        pictures.append(picture("pose_by_features", figure, alt, caption))
    return pictures


def _training(variants: Sequence[Variant]) -> list[Picture]:
    """Draw the training curves."""
    pictures = []
    for panel, figure in curves.training(variants):
        name, alt = f"training_{slug(panel.title)}", f"{panel.title} over training"
        pictures.append(picture(name, figure, alt, panel.note))
    return pictures
