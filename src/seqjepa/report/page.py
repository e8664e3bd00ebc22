"""The report's page: everything it says, put into the template."""

import base64
import math
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from seqjepa.report import headline, style, tables
from seqjepa.report.album import Album
from seqjepa.report.runs import Variant, flatten
from seqjepa.report.style import Picture


def render(
    variants: Sequence[Variant],
    albums: Sequence[Album],
    results: Sequence[Picture],
    curves: Sequence[Picture],
) -> str:
    """The page as HTML that needs nothing but itself."""
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
        "share": lambda x: "–" if math.isnan(x) else f"{100 * x:.1f}",
        "split_name": tables.describe,
        "summary": headline.summary,
        "effort": headline.effort,
    }
    several = len(variants) > 1
    return environment.get_template("page.html.jinja").render(
        style=style,
        title=" and ".join(
            dict.fromkeys(str(variant.runs[0].config["name"]) for variant in variants)
        ),
        variants=variants,
        several=several,
        spread=any(len(variant.runs) > 1 for variant in variants),
        facts=[] if several else headline.facts(variants[0]),
        glance=headline.glance(variants) if several else None,
        worlds=[
            album
            for i, album in enumerate(albums)
            if album.world not in [earlier.world for earlier in albums[:i]]
        ],
        albums=albums,
        results=results,
        curves=curves,
        settings_of=[provenance(variant) for variant in variants],
        version=version("seqjepa"),
        **_results(variants),
    )


def _results(variants: Sequence[Variant]) -> dict[str, Any]:
    splits = tables.splits_of(variants)
    parts = (
        [splits] if len(variants) == 1 else [[split] for split in splits]
    )  # side by side where there is room
    return {
        "tables": [tables.table(variants, part, every=False) for part in parts if part],
        "full_tables": [tables.table(variants, part, every=True) for part in parts if part],
        "unseen": any(split.startswith("ood_") for split in splits),
        "not_evaluated": [
            run.folder.name for variant in variants for run in variant.runs if run.results is None
        ],
    }


def provenance(variant: Variant) -> dict[str, Any]:
    """What rebuilds a variant: its settings by part, seeds, versions and machine."""
    first = variant.runs[0]
    parts: dict[str, Any] = {"run": {}}
    for key, value in first.config.items():
        if isinstance(value, Mapping):
            parts[key] = flatten(value)
        elif key != "seed":
            parts["run"][key] = value
    evaluated = next((run.results for run in variant.runs if run.results), {})
    parts |= {
        key: flatten(evaluated[key])
        for key in ("sizes", "versions", "machine", "seconds")
        if evaluated.get(key)
    }
    seeds = ", ".join(str(run.seed) for run in variant.runs)
    return {
        "label": variant.label,
        "seeds": seeds,
        "folders": ", ".join(run.folder.name for run in variant.runs),
        "parts": parts,
    }


def data_uri(picture: Picture) -> str:
    """The picture itself, as an address."""
    return "data:image/png;base64," + base64.b64encode(picture.png).decode()


def mathematics(text: str) -> Markup:
    """The text with z and z_AGG set as in the paper."""
    marked = re.sub(r"\bz_AGG\b", "<i>z</i><sub>AGG</sub>", str(escape(text)))
    return Markup(re.sub(r"(?<![\w<>/])z(?![\w>])", "<i>z</i>", marked))


def setting(value: Any) -> str:
    """A setting as people write it."""
    if isinstance(value, list | tuple):
        return ", ".join(map(setting, value)) or "none"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
