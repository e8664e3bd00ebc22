"""Runs on a page: what was trained, how well it does, what its two representations look like.

A report reads run folders and asks models for representations; it knows no method and no world by
name.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import escape

from seqjepa.errors import ConfigError
from seqjepa.files import disk_errors, slug, write_atomically
from seqjepa.report import charts, curves, page, style
from seqjepa.report.album import make_album
from seqjepa.report.runs import Variant, group, read_run
from seqjepa.report.style import Picture, picture

__all__ = ["write_report"]


def write_report(
    run_dirs: Sequence[str | Path], out: str | Path, *, paths: Mapping[str, str] | None = None
) -> Path:
    """Write `index.html`, one page that needs no other file, and its figures as PNGs.

    Args:
        run_dirs: folders of runs; those that differ only in their seed are shown as one, with mean
            and spread.
        out: the folder to write to; made if it is not there.
        paths: where the runs' data are now, as for `evaluate`.

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

    several = len(variants) > 1
    top = _top(variants)
    albums, results = [], []
    with style.look():
        for number, variant in enumerate(variants, 1):
            prefix = f"{number}_{slug(variant.label)}_" if several else ""
            label = f"{variant.label}. " if several else ""
            album = make_album(variant, prefix, paths or {})
            albums.append(album)
            results += _results(variant, album.classes, top, prefix, label)
        training = _training(variants)

    pictures = [each for album in albums for each in album.pictures] + results + training
    html = page.render(variants, albums, results, training)
    with disk_errors(f"cannot write the report to {target}"):
        for each in pictures:
            write_atomically(target / f"{each.name}.png", each.png)
        # The page comes last: where it is, its pictures are too.
        write_atomically(target / "index.html", html.encode(errors="backslashreplace"))
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


def _top(variants: Sequence[Variant]) -> float:
    """Return the end of the accuracy axis that all variants share, in per cent."""
    shares = [
        record.value
        for variant in variants
        for record in variant.records
        if record.metric == "top1" and record.split == variant.split
    ]
    # Eight per cent of room above the highest curve.
    return min(100.0, 108 * (max(shares, default=0.0) or 1.0))


def _results(
    variant: Variant, classes: int | None, top: float, prefix: str, label: str
) -> list[Picture]:
    """Draw the plots of a variant's results, as far as it has been evaluated."""
    pictures = []
    if charts.has_accuracy_by_views(variant):
        figure = charts.accuracy_by_views(variant, classes, top=top)
        alt = "Test accuracy against the number of views"
        said = "Probes of z_AGG and, its rival, of the mean of the same views’ z."
        caption = escape(label) + page.mathematics(said)
        pictures.append(picture(f"{prefix}accuracy_by_views", figure, alt, caption))

    if charts.has_pose(variant):
        figure = charts.pose_by_features(variant)
        alt = "R² of what changed between two views, beside controls"
        how = "trained to tell how each factor of the pose differs"
        caption = escape(label) + page.mathematics(f"Probes of two views’ z, {how}.")
        pictures.append(picture(f"{prefix}pose_by_features", figure, alt, caption))
    return pictures


def _training(variants: Sequence[Variant]) -> list[Picture]:
    """Draw the training curves."""
    pictures = []
    for panel, figure in curves.training(variants):
        name, alt = f"training_{slug(panel.title)}", f"{panel.title} over training"
        pictures.append(picture(name, figure, alt, panel.note))
    return pictures
