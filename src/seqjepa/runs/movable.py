"""What may change between two goes of one run: where its data are, and what it writes how often.

Whether data elsewhere are the same is told by their digests (`RunFolder.write_spec`). The device
and the number of ranks may change as well: they are in no config.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from seqjepa.config import Experiment
from seqjepa.errors import ConfigError, DataError, unknown
from seqjepa.runs.config_file import portable
from seqjepa.worlds.base import World, WorldConfig

# Keys of config.json, in which * stands for any letters. Nothing else may change.
PATHS = ("world.path", "world.*_path")
MAY_CHANGE = (*PATHS, "train.log_every", "train.checkpoint_every", "train.health")


def is_path(key: str) -> bool:
    """Return whether a key of config.json says where data are."""
    return any(fnmatch(key, pattern) for pattern in PATHS)


def may_change(key: str) -> bool:
    """Return whether a key of config.json may change between two goes of a run."""
    return any(fnmatch(key, pattern) for pattern in MAY_CHANGE)


def settled(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return an experiment's JSON data without what may change, and `portable`."""
    return portable(_without(config, ""))


def move(experiment: Experiment, paths: Mapping[str, str]) -> Experiment:
    """Return the experiment with its data elsewhere.

    Args:
        experiment: of a run.
        paths: fields of its world, such as `path`, and where these data are now.

    Raises:
        ConfigError: if the world has no such path.
    """
    known = _paths(experiment.world)
    for name in paths:
        if name not in known:
            raise ConfigError(unknown("path of the run's world", name, known))
    return replace(experiment, world=replace(experiment.world, **paths))


def build_world(config: WorldConfig) -> World:
    """Build the world of a run that is to be looked at.

    Raises:
        ConfigError, DataError: as `WorldConfig.build`; if its data are not where they were, with
            the option that says where they are.
    """
    try:
        return config.build()
    except DataError as error:
        for name, path in _paths(config).items():
            if isinstance(path, str) and not Path(path).expanduser().exists():
                option = f"--world.{name.replace('_', '-')} NEW"
                raise DataError(f"{error}. If the data are elsewhere now, add {option}") from error
        raise


def _paths(config: WorldConfig) -> dict[str, Any]:
    """Return the paths of a world, by their fields."""
    names = [field.name for field in fields(config) if is_path(f"world.{field.name}")]
    return {name: getattr(config, name) for name in names}


def _without(config: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    kept = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            kept[key] = _without(value, f"{prefix}{key}.")
        elif not may_change(prefix + key):
            kept[key] = value
    return kept
