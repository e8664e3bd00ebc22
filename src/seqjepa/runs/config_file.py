"""An experiment's JSON in files (`config.json`, `results.json`): portable, and readable later.

A file notes the format that it was written in. Files of earlier formats are brought up to date when
they are read: renamed and retyped keys by `MIGRATIONS`, keys that did not exist by the defaults of
fields that were `added_in` later. Everything else must fit, as `config.from_json` checks.
"""

import dataclasses
import os
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from seqjepa.config import Experiment, concrete, plain
from seqjepa.errors import ConfigError
from seqjepa.files import home
from seqjepa.from_json import since

# Version 0.1.0 wrote format 1, which has no key `format`. Raise it with every field that is
# `added_in` and every migration.
FORMAT = 7


def _without_probe_epochs(config: dict[str, Any]) -> dict[str, Any]:
    """Drop the epochs and rates of probes, which have learned to convergence since."""
    gone = {"linear_epochs", "mlp_epochs", "linear_regression_epochs"}
    gone |= {"batch_size", "lr", "mlp_lr", "cosine"}
    evaluate = config.get("evaluate")
    if not isinstance(evaluate, Mapping):
        return config  # `from_json` says what is wrong with it
    kept = {key: value for key, value in evaluate.items() if key not in gone}
    return {**config, "evaluate": kept}


# By the format that they lead to: functions from the JSON data of the format before.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {4: _without_probe_epochs}


def dump_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return an experiment's JSON data as they are written to a file.

    Args:
        config: from `config.to_json`.

    Returns:
        The data with the format, and `portable`.
    """
    return {"format": FORMAT, **portable(config)}


def load_config(data: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return an experiment's JSON data from those in a file, brought up to date.

    Args:
        data: from `dump_config`, of this version or an earlier one.
        path: the file, for the message.

    Returns:
        The data as `config.to_json` would give them, still `portable`.

    Raises:
        ConfigError: if a newer version wrote them.
    """
    config = dict(data)
    written_in = config.pop("format", 1)
    if not isinstance(written_in, int) or written_in > FORMAT:
        raise ConfigError(
            f"{path}: the config is of format {written_in!r}, this seqjepa reads up to format "
            f"{FORMAT}: upgrade seqjepa"
        )

    for reached, migrate in sorted(MIGRATIONS.items()):
        if reached > written_in:
            config = migrate(config)
    return _with_defaults(Experiment, config, written_in)


def portable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return JSON data in which paths in the home folder begin with `~`.

    The home folder is nobody else's business and differs from machine to machine.
    """
    own = home()
    changed: dict[str, Any] = dict(config) if own is None else _replace(config, str(own), "~")
    return changed


def expanded(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return `portable` JSON data with this machine's home folder."""
    own = home()
    changed: dict[str, Any] = dict(config) if own is None else _replace(config, "~", str(own))
    return changed


def _with_defaults(cls: type[Any], data: Mapping[str, Any], written_in: int) -> dict[str, Any]:
    """Return a config's data with the defaults of fields that did not exist when it was written.

    Dataclasses in a field of their own are filled in as well; none of ours is in a tuple, a
    dictionary or a union.
    """
    filled = dict(data)
    try:
        cls, _ = concrete(cls, data, "")
    except ConfigError:
        return filled  # of code that is not loaded: `from_json` says so

    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        part = hints[field.name]
        value = filled.get(field.name)
        if isinstance(part, type) and dataclasses.is_dataclass(part) and isinstance(value, Mapping):
            filled[field.name] = _with_defaults(part, value, written_in)
        elif field.name not in filled and _may_be_missing(cls, field, written_in):
            filled |= _default(field)
    return filled


def _may_be_missing(cls: type[Any], field: dataclasses.Field[Any], written_in: int) -> bool:
    """Return whether a file of a format may lack a field of a config class."""
    # A user's own config has no format of ours: any field may be newer than the file.
    own = not cls.__module__.startswith("seqjepa.")
    return own or since(field) > written_in


def _default(field: dataclasses.Field[Any]) -> dict[str, Any]:
    """Return a field's name and default as JSON data; nothing if it has no default."""
    if field.default is not dataclasses.MISSING:
        return {field.name: plain(field.default)}
    if field.default_factory is not dataclasses.MISSING:
        return {field.name: plain(field.default_factory())}
    return {}


def _replace(data: Any, old: str, new: str) -> Any:
    """Return JSON data in which every path at or below `old` is at or below `new`."""
    if isinstance(data, Mapping):
        return {key: _replace(value, old, new) for key, value in data.items()}
    if isinstance(data, list):
        return [_replace(value, old, new) for value in data]
    if isinstance(data, str) and (data == old or data.startswith((old + "/", old + os.sep))):
        return new + data[len(old) :]
    return data
