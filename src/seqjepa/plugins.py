"""Methods, worlds and recipes of other installed packages, found by their entry points.

A package names them in its pyproject.toml. The name on the left is the one in configs and on the
command line, and for methods and worlds that of the module on the right:

    [project.entry-points."seqjepa.methods"]
    vicreg_plus = "their_package.vicreg_plus:Config"

The groups are `seqjepa.methods`, `seqjepa.worlds` and `seqjepa.recipes`. A package is imported when
one of its names is asked for, and not before.
"""

import functools
from collections.abc import Collection
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from seqjepa.errors import ConfigError

T = TypeVar("T")


def registered(group: str) -> list[str]:
    """Return the names that installed packages register in a group such as `methods`."""
    return sorted({entry.name for entry in _entries(group)})


def load(group: str, name: str, own: Collection[str]) -> Any:
    """Import what an installed package registers under a name.

    Args:
        group: `methods`, `worlds` or `recipes`.
        name: one of `registered`.
        own: the names of seqjepa itself, which no package may take.

    Raises:
        ConfigError: if the name is seqjepa's own or registered twice, or the import fails.
    """
    entry, *others = [entry for entry in _entries(group) if entry.name == name]
    what = describe(group, name)
    if name in own:
        raise ConfigError(
            f"{what} has the name of one of seqjepa's own, which a run's config could not tell "
            "apart: uninstall that package, or rename it there"
        )
    if others:
        raise ConfigError(f"{what} have the same name: uninstall one of the packages")

    try:
        return entry.load()
    except Exception as error:
        raise ConfigError(
            f"{what} cannot be imported: {type(error).__name__}: {error}. Mend or uninstall that "
            "package"
        ) from error


def load_config(group: str, name: str, own: Collection[str], base: type[T]) -> type[T]:
    """Import the config class of a method or world, see `load`.

    Args:
        group, name, own: as in `load`.
        base: what it has to be a subclass of.

    Raises:
        ConfigError: as `load` does, or if it is another thing, or its module has another name.
    """
    found = load(group, name, own)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError(
            f"{describe(group, name)} must be a subclass of {base.__name__}, got {found!r}: "
            "correct its entry point"
        )

    # A run's config.json names the class by its module.
    module = found.__module__.rpartition(".")[2]
    if module != name:
        raise ConfigError(
            f"{describe(group, name)} must have the name of its module, {module!r}: rename one of "
            "them there"
        )
    return found


def describe(group: str, name: str) -> str:
    """Return what is registered under a name and by which package, for messages."""
    return " and ".join(_describe(entry) for entry in _entries(group) if entry.name == name)


@functools.cache
def _entries(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group; one that is found twice, as of an old copy, is one."""
    found = entry_points(group=f"seqjepa.{group}")
    return tuple({(entry.name, entry.value): entry for entry in found}.values())


def _describe(entry: EntryPoint) -> str:
    package = entry.dist.name if entry.dist else "an unknown package"
    kind = entry.group.removeprefix("seqjepa.").removesuffix("s")
    return f"{kind} {entry.name!r} of the package {package} ({entry.value})"
