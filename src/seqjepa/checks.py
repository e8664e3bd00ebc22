"""Checks of fields and arguments: each raises one ConfigError that names it, rule and value."""

import math
from collections.abc import Callable
from typing import ClassVar, Protocol

from seqjepa.errors import ConfigError


class Section(Protocol):
    """A frozen dataclass of options.

    Attributes:
        section: what stands before its fields' names in messages and on the command line, such as
            `train.`; empty for the options of a command.
    """

    section: ClassVar[str]


def instance(name: str, value: object, kind: type, cure: str) -> None:
    """Raise a ConfigError that names the cure unless an argument is of a class."""
    if not isinstance(value, kind):
        got = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        raise ConfigError(f"{name} must be of type {kind.__name__}, got {got}: {cure}")


def positive(config: Section, *names: str) -> None:
    """Raise a ConfigError unless these fields are finite and above 0."""
    _require(config, names, "be finite and above 0", lambda value: 0 < value < math.inf)


def not_negative(config: Section, *names: str) -> None:
    """Raise a ConfigError unless these fields are finite and at least 0."""
    _require(config, names, "be finite and at least 0", lambda value: 0 <= value < math.inf)


def fraction(config: Section, *names: str) -> None:
    """Raise a ConfigError unless these fields lie in 0..1."""
    _require(config, names, "lie in 0..1", lambda value: 0 <= value <= 1)


def below_one(config: Section, *names: str) -> None:
    """Raise a ConfigError unless these fields are at least 0 and below 1."""
    _require(config, names, "be at least 0 and below 1", lambda value: 0 <= value < 1)


def at_least(config: Section, **limits: int) -> None:
    """Raise a ConfigError that names the first field below its limit; None counts as no limit."""
    for name, least in limits.items():
        value = getattr(config, name)
        if value is not None and value < least:
            raise ConfigError(f"{config.section}{name} must be at least {least}, got {value}")


def needs(config: Section, name: str, choice: str, other: str, *allowed: str) -> None:
    """Raise a ConfigError if a field has this choice and another field is none of those allowed."""
    if getattr(config, name) == choice and (got := getattr(config, other)) not in allowed:
        needed = f"{config.section}{name} {choice} needs {other} {' or '.join(allowed)}"
        raise ConfigError(f"{needed}, got {got}")


def shares(config: Section, *names: str) -> None:
    """Raise a ConfigError unless these fields are above 0 and together leave something."""
    values = [getattr(config, name) for name in names]
    if not (min(values) > 0 and sum(values) < 1):
        fields = " and ".join(f"{config.section}{name}" for name in names)
        got = " and ".join(map(str, values))
        raise ConfigError(f"{fields} must be positive and sum to less than 1, got {got}")


def _require(
    config: Section, names: tuple[str, ...], rule: str, holds: Callable[[float], bool]
) -> None:
    for name in names:
        if not holds(value := getattr(config, name)):
            raise ConfigError(f"{config.section}{name} must {rule}, got {value}")
