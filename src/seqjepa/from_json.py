"""JSON data and frozen dataclasses: built with every key and type checked, and compared."""

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, TypeVar

from seqjepa.errors import ConfigError, unknown

T = TypeVar("T")
Data = Mapping[str, Any]
Concrete = Callable[[type[Any], Data, str], tuple[type[Any], Data]]


def added_in(written_format: int, default: T) -> T:
    """Declare a dataclass field that files of earlier formats do not have.

    Args:
        written_format: the first format that has it, see `runs.config_file.FORMAT`.
        default: the value that earlier runs had without knowing it.
    """
    return dataclasses.field(default=default, metadata={"since": written_format})


def since(field: dataclasses.Field[Any]) -> int:
    """Return the first format of files that has a field."""
    return int(field.metadata.get("since", 1))


def as_declared(cls: type[Any], data: Data, where: str) -> tuple[type[Any], Data]:
    """Return the declared class and its data as they are."""
    return cls, data


def build_dataclass(
    cls: type[T],
    data: Any,
    where: str = "",
    *,
    concrete: Concrete = as_declared,
    defaults: bool = False,
) -> T:
    """Build a dataclass from what `json.loads` returned.

    Args:
        cls: the dataclass; its fields may be dataclasses, tuples, dictionaries, literals, optional
            or plain values, or either a tuple or a plain value.
        data: an object with the fields' names as keys.
        where: prefix of the keys in messages, such as `train.`.
        concrete: maps a declared class, its data and `where` to the class to build and its data.
        defaults: whether keys may be missing whose fields have defaults.

    Raises:
        ConfigError: at an unknown, missing or ill-typed key, naming it.
    """
    if not isinstance(data, Mapping):
        what = f"key {where[:-1]!r}" if where else "the top level"
        raise ConfigError(f"{what} must be an object, got {data!r}")
    built, data = concrete(cls, data, where)
    fields = {field.name: field for field in dataclasses.fields(built)}

    for key in data:
        if key not in fields:
            raise ConfigError(unknown("key", where + key, [where + name for name in fields]))
    required = [name for name, field in fields.items() if not (defaults and _has_default(field))]
    if missing := [where + name for name in required if name not in data]:
        raise ConfigError(f"keys missing: {', '.join(missing)}")

    hints = typing.get_type_hints(built)
    nested = partial(build_dataclass, concrete=concrete, defaults=defaults)
    values = {key: _value(hints[key], value, where + key, nested) for key, value in data.items()}
    result: T = built(**values)
    return result


def _has_default(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _value(hint: Any, value: Any, where: str, nested: Callable[..., Any]) -> Any:
    """Return `value` as the type that `hint` asks for; `nested` builds dataclasses."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return nested(hint, value, where + ".")

    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        # Of a union of a tuple and a plain type, a list can only be the tuple.
        options = [option for option in arguments if option is not type(None)]
        tuples = [option for option in options if typing.get_origin(option) is tuple]
        chosen = tuples[0] if tuples and isinstance(value, list) else options[0]
        return _value(chosen, value, where, nested)

    if origin is Literal and isinstance(value, str) and value not in arguments:
        raise ConfigError(unknown(f"value of key {where!r}:", value, arguments))
    if origin is Literal and value in arguments:
        return value

    if origin is tuple and isinstance(value, list):
        hints = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(hints) == len(value):
            pairs = enumerate(zip(hints, value, strict=True))
            return tuple(_value(of, item, f"{where}[{i}]", nested) for i, (of, item) in pairs)
    if origin is dict and isinstance(value, Mapping):
        of = arguments[1]
        return {key: _value(of, item, f"{where}.{key}", nested) for key, item in value.items()}

    # JSON writes 1.0 as 1 at times; no other type is taken for another, bool and int included.
    if hint is float and type(value) in (int, float):
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    wanted = hint.__name__ if type(hint) is type else hint
    if origin is tuple and arguments[-1] is Ellipsis:
        wanted = f"a list of {getattr(arguments[0], '__name__', arguments[0])}"
    raise ConfigError(f"key {where!r} must be {wanted}, got {value!r}")


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the keys in which two JSON objects differ, each with both values."""
    found: list[str] = []
    for key in dict.fromkeys([*old, *new]):
        a, b = old.get(key), new.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found.append(f"{prefix}{key}: {a!r} there, {b!r} here")
    return found
