"""Recipes: functions that return an Experiment.

Their docstrings give the command and, where they were run, time and result. A variant is
`replace(recipe(), ...)`.
"""

import functools
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from seqjepa import methods, plugins
from seqjepa.config import Experiment, OptimConfig, TrainConfig, find_kind
from seqjepa.errors import ConfigError, unknown
from seqjepa.methods import simclr
from seqjepa.methods.base import MethodConfig

Recipe = Callable[[], Experiment]
# The optimizer of the paper's baselines.
CONSTANT = OptimConfig(lr=1e-3, lr_start=1e-3, lr_end=1e-3, warmup=0.0, weight_decay=0.0)
# Fields of methods, and of their projectors, that mean the same in all methods that have them.
# Widths are each method's own.
SHARED = ("action_width", "ema_momentum", "projector")
HEAD = ("kind", "layers", "heads", "dropout")
# It learns from labels: what could be known, and no contender.
CEILING = "supervised"


def recipes() -> dict[str, Recipe]:
    """Return every recipe by name: those of this package and those of plug-ins.

    A plug-in is imported when its recipe is called.
    """
    found = dict[str, Recipe]()
    for module in pkgutil.iter_modules(__path__):
        found |= _public(importlib.import_module(f"{__name__}.{module.name}"))
    ours = frozenset(found)
    for name in plugins.registered("recipes"):
        found[name] = functools.partial(_plugin_recipe, name, ours)
    return found


def recipe(name: str | Path) -> Recipe:
    """Return a recipe by its name, or the function `recipe` of a Python file of one's own.

    Raises:
        ConfigError: if there is none.
    """
    name = str(name)
    if name.endswith(".py"):
        own: Recipe | None = getattr(load_code(Path(name)), "recipe", None)
        if own is None:
            raise ConfigError(f"{name} defines no function `recipe()` that returns an Experiment")
        return functools.partial(_experiment_of, own, f"`recipe` of {name}")

    known = recipes()
    if name not in known:
        raise ConfigError(
            f"{unknown('recipe', name, known)}. "
            "A file of your own: path/to/file.py with a function recipe()"
        )
    return known[name]


def with_method(experiment: Experiment, name: str) -> Experiment:
    """Return the same experiment with another method, for comparisons.

    World, encoder, optimizer and steps stay, and so do views per step: a method that reads fewer
    views of a sequence sees more sequences per step. The method has its defaults, except for the
    fields of SHARED and HEAD, where the experiment's choice for its own method holds.

    Args:
        experiment: with any method.
        name: of a method, or a Python file of one's own that defines it.

    Raises:
        ConfigError: if there is no such method.
    """
    if name.endswith(".py"):
        name = load_code(Path(name)).__name__
    config = find_kind(MethodConfig, name)
    if isinstance(experiment.method, config):
        return experiment

    method = _take(config(), experiment.method, SHARED)
    num_views = config.reads or experiment.train.num_views
    train = with_views(experiment.train, num_views, method.batch_multiple)
    return replace(experiment, name=f"{experiment.name}_{name}", method=method, train=train)


def with_views(train: TrainConfig, num_views: int, multiple: int = 1) -> TrainConfig:
    """Return the same training on sequences of another length.

    There are as many views per step as before, or the most that whole sequences allow.

    Args:
        train: with any number of views.
        num_views: T, views per sequence.
        multiple: a micro-batch is rounded down to a multiple of it, if it is not smaller.
    """
    micro_batch = max(2, train.batch_size * train.num_views // (num_views * train.accumulate))
    rounded = micro_batch - micro_batch % multiple or micro_batch
    return replace(train, num_views=num_views, batch_size=rounded * train.accumulate)


def for_baselines(experiment: Experiment) -> Experiment:
    """Return the same experiment as the paper trains its baselines.

    It has two views a sequence, and Adam at a constant 1e-3 without decay.
    """
    name, train = f"{experiment.name}_baseline", replace(experiment.train, num_views=2)
    return replace(experiment, name=name, method=simclr.Config(), optim=CONSTANT, train=train)


def every_method() -> list[str]:
    """Return every self-supervised method of this package as a contender of `seqjepa benchmark`.

    They have their defaults; seq-JEPA is there with each of its two objectives. The supervised
    control has to be named.
    """
    modules = pkgutil.iter_modules(methods.__path__)
    names = sorted({module.name for module in modules} - {"base", CEILING})
    objectives = {"seq_jepa": ["seq_jepa:predict=last", "seq_jepa:predict=every"]}
    return [contender for name in names for contender in objectives.get(name, [name])]


def load_code(path: Path) -> ModuleType:
    """Import a user's Python file under its own name, so that its worlds and methods are known.

    Raises:
        ConfigError: if it is not there or its name is taken.
    """
    if not path.is_file():
        raise ConfigError(f"no such file: {path}")

    # A run's config.json names its world and method by their modules.
    name, packages = path.stem, ("methods", "worlds")
    ours = name.isidentifier() and any(_is_module(f"seqjepa.{each}.{name}") for each in packages)
    if ours or any(name in plugins.registered(each) for each in packages):
        raise ConfigError(
            f"{path} has the name of a method or world of seqjepa or of a plug-in, "
            "which a run's config could not tell apart: rename the file"
        )
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) != str(path.resolve()):
        raise ConfigError(
            f"{path} cannot be imported as {name!r}: another module has that name. Rename the file"
        )

    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _is_module(name: str) -> bool:
    """Return whether there is a module of that dotted name; a package is none."""
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.submodule_search_locations is None


def _take(config: Any, other: Any, names: Iterable[str]) -> Any:
    """Return a config with those of the fields that another one has changed from its defaults."""
    known = {field.name for field in fields(config)}.intersection(names)
    chosen = dict[str, Any]()
    for field in fields(other):
        value = getattr(other, field.name)
        if field.name in known and value != field.default:
            chosen[field.name] = value

    # Of a projector only the fields of HEAD are taken.
    if "projector" in chosen:
        chosen["projector"] = _take(config.projector, chosen["projector"], HEAD)
    return replace(config, **chosen)


def _plugin_recipe(name: str, ours: Collection[str]) -> Experiment:
    """Return the experiment of a recipe that another package registers."""
    return _experiment_of(plugins.load("recipes", name, ours), plugins.describe("recipes", name))


def _experiment_of(found: Any, what: str) -> Experiment:
    """Return the experiment of a recipe that is not ours, described for messages."""
    experiment = found() if callable(found) else found
    if not isinstance(experiment, Experiment):
        raise ConfigError(
            f"{what} must be a function that returns an Experiment, got {experiment!r}"
        )
    return experiment


def _public(module: ModuleType) -> dict[str, Recipe]:
    """Return the public functions that a module defines itself."""
    found = dict[str, Recipe]()
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if not name.startswith("_") and function.__module__ == module.__name__:
            found[name] = function
    return found
