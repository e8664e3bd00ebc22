"""Contenders of a benchmark: a recipe with another method, perhaps with changed settings.

vicreg                                     a method with its defaults
own.py                                     one of your own
seq_jepa:predict=every                     with another value of a field of the method
seq_jepa:train.num_views=2,condition=none  and of any other field of the experiment, by its path
                                           in config.json
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from seqjepa.config import Experiment, kind, with_settings
from seqjepa.errors import ConfigError
from seqjepa.recipes import with_method, with_views


@dataclass(frozen=True)
class Contender:
    """A contender.

    Attributes:
        name: as it is written, but a file of one's own is called by its module's name.
        experiment: the recipe with the contender's method and settings.
    """

    name: str
    experiment: Experiment


def contenders(texts: Iterable[str], base: Experiment) -> list[Contender]:
    """Read contenders as they are written, each once.

    Args:
        texts: see the module's docstring.
        base: the recipe, with any method. World, encoder, optimizer, steps and views per step stay
            as they are in it.

    Raises:
        ConfigError: at an unknown method or key or at a bad value, or if the run folders of two
            contenders would have the same name.
    """
    by_name: dict[str, Contender] = {}
    for text in dict.fromkeys(texts):
        contender = _contender(text, base)
        by_name[contender.name] = contender

    # A folder's name drops some characters: two contenders may have the same.
    folders: dict[str, str] = {}
    for name in by_name:
        other = folders.setdefault(folder_name(name, 0), name)
        if other != name:
            raise ConfigError(
                f"contenders {other!r} and {name!r} would share a folder: "
                "give one of them another --out"
            )
    return list(by_name.values())


def folder_name(name: str, seed: int) -> str:
    """Return the name of a contender's run folder."""
    slug = re.sub(r"[^a-z0-9.+-]+", "_", name.lower()).strip("_")
    return f"{slug}_seed{seed}"


def _contender(text: str, base: Experiment) -> Contender:
    """Read a contender, with its text in every error."""
    method, colon, rest = text.partition(":")
    try:
        # A comma separates settings only before the next key: values may hold commas too.
        settings = dict(map(_setting, re.split(r",(?=[\w.]+=)", rest))) if colon else {}
        views = settings.get("train.num_views")
        if isinstance(views, int) and views >= 1:
            base = replace(base, train=with_views(base.train, views))

        changed = with_settings(with_method(base, method), settings)
        name = kind(type(changed.method)) + colon + rest
        return Contender(name, replace(changed, name=f"{base.name}_{name}"))
    except ConfigError as error:
        raise ConfigError(f"contender {text!r}: {error}") from error


def _setting(text: str) -> tuple[str, Any]:
    """Return the path and the value of `key=value`."""
    key, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"\w+(\.\w+)*", key):
        raise ConfigError(f"{text!r} is no setting: write METHOD:key=value,key=value")
    path = key if "." in key else f"method.{key}"
    try:
        return path, json.loads(value)
    except ValueError:
        # Words need no quotes.
        return path, value
