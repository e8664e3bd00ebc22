"""The report's page: everything it says, put into the template."""

import base64
import math
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from seqjepa.report import headline, parts, style, tables
from seqjepa.report.album import Album
from seqjepa.report.runs import Run, Variant, flatten
from seqjepa.report.style import Picture


def render(
    variants: Sequence[Variant],
    albums: Sequence[Album],
    results: Sequence[Picture],
    curves: Sequence[Picture],
) -> str:
    """Return the page as HTML that needs no other file."""
    # A template that misspells a name is an error, not a gap in the page.
    environment = Environment(
        loader=PackageLoader("seqjepa.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {
        "data_uri": data_uri,
        "math": mathematics,
        "setting": setting,
        "share": share,
        "split_name": tables.describe_split,
        "summary": headline.summary,
        "effort": headline.effort,
    }

    several = len(variants) > 1
    names = dict.fromkeys(str(variant.runs[0].config["name"]) for variant in variants)
    return environment.get_template("page.html.jinja").render(
        style=style,
        title=" and ".join(names),
        variants=variants,
        several=several,
        colours={variant.label: colour for variant, colour in style.coloured(variants)},
        spread=any(len(variant.runs) > 1 for variant in variants),
        facts=[] if several else headline.facts(variants[0]),
        glance=headline.glance(variants) if several else None,
        worlds=_worlds(albums),
        albums=albums,
        results=results,
        curves=curves,
        parts=parts.part_tables(variants),
        unread=[line for variant in variants for run in variant.runs for line in _unread(run)],
        settings_of=[provenance(variant) for variant in variants],
        version=version("seqjepa"),
        **_results(variants),
    )


def _worlds(albums: Sequence[Album]) -> list[Album]:
    """Return the first album of each world."""
    firsts: list[Album] = []
    for album in albums:
        if all(album.world != first.world for first in firsts):
            firsts.append(album)
    return firsts


def _results(variants: Sequence[Variant]) -> dict[str, Any]:
    """Return what the template reads of results."""
    # The splits of one variant stand side by side; of several, each split has its table.
    splits = tables.splits_of(variants)
    groups = [splits] if len(variants) == 1 else [[split] for split in splits]
    shown = [group for group in groups if group]
    return {
        "tables": [tables.results_table(variants, group, every=False) for group in shown],
        "full_tables": [tables.results_table(variants, group, every=True) for group in shown],
        "unseen": any(split.startswith("ood_") for split in splits),
        "not_evaluated": [
            run.folder.name for variant in variants for run in variant.runs if run.results is None
        ],
    }


def _unread(run: Run) -> list[str]:
    """Return a line for each part of a run's evaluation that cannot be read."""
    # The folders of this machine are private.
    return [
        f"{name}: left out, {str(error).replace(str(run.folder), run.folder.name)}"
        for name, error in run.unread.items()
    ]


def provenance(variant: Variant) -> dict[str, Any]:
    """Return what rebuilds a variant: its settings by part, seeds, versions and machine."""
    parts: dict[str, Any] = {"run": {}}
    for key, value in variant.runs[0].config.items():
        if isinstance(value, Mapping):
            parts[key] = flatten(value)
        # The seeds of all runs stand above the settings.
        elif key != "seed":
            parts["run"][key] = value

    evaluated = next((run.results for run in variant.runs if run.results), {})
    for key in ("sizes", "versions", "machine"):
        if evaluated.get(key):
            parts[key] = flatten(evaluated[key])

    return {
        "label": variant.label,
        "seeds": ", ".join(str(run.seed) for run in variant.runs),
        "folders": ", ".join(run.folder.name for run in variant.runs),
        "parts": parts,
    }


def data_uri(picture: Picture) -> str:
    """Return the picture itself, as an address."""
    return "data:image/png;base64," + base64.b64encode(picture.png).decode()


def mathematics(text: str) -> Markup:
    """Return the text with z and z_AGG set as in the paper; what has been marked up stays."""
    if isinstance(text, Markup):
        return text
    marked = re.sub(r"\bz_AGG\b", "<i>z</i><sub>AGG</sub>", str(escape(text)))
    # A z inside a word, or one that the line above has put into tags, stays.
    return Markup(re.sub(r"(?<![\w<>/])z(?![\w>])", "<i>z</i>", marked))


def share(number: float) -> str:
    """Return a share in per cent, and a dash for NaN."""
    return "–" if math.isnan(number) else f"{100 * number:.1f}"


def setting(value: Any) -> str:
    """Return a setting as people write it."""
    if isinstance(value, list | tuple):
        return ", ".join(map(setting, value)) or "none"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
