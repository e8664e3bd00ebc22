"""The elements of a PLY file, which are tables of numbers and of lists of numbers."""

import re
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from seqjepa.render.kernels import Ints

Column = npt.NDArray[Any]
TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "i2",
    "int16": "i2",
    "ushort": "u2",
    "uint16": "u2",
    "int": "i4",
    "int32": "i4",
    "uint": "u4",
    "uint32": "u4",
    "float": "f4",
    "float32": "f4",
    "double": "f8",
    "float64": "f8",
}
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True)
class Lists:
    """A list of numbers for each of n rows.

    Attributes:
        sizes: [n].
        values: all lists, one after the other.
    """

    sizes: Ints
    values: Column


Element = dict[str, Column | Lists]


@dataclass(frozen=True)
class _Property:
    """A column of an element.

    Attributes:
        name: in small letters.
        type: of its numbers, in numpy's words.
        size: of the sizes of its lists; None if it holds single numbers.
    """

    name: str
    type: str
    size: str | None = None


class _Source(Protocol):
    """Numbers that follow each other."""

    at: int

    def take(self, type: str, count: int) -> Column:
        """Return the next numbers [count] and go on behind them."""

    def table(self, fields: list[tuple[str, int]], rows: int) -> list[Column] | None:
        """Return the next rows as arrays [rows, width] and go on behind them.

        `fields` are types and widths. None, and no step, if fewer rows are left.
        """


class _Text:
    def __init__(self, data: bytes) -> None:
        self.numbers, self.at = np.fromiter(map(float, data.split()), np.float64), 0

    def take(self, type: str, count: int) -> Column:
        found = self.table([(type, count)], 1)
        if found is None:
            raise ValueError("it ends too early")
        return np.asarray(found[0][0])

    def table(self, fields: list[tuple[str, int]], rows: int) -> list[Column] | None:
        ends = np.cumsum([width for _, width in fields])
        stop = self.at + rows * int(ends[-1])
        if stop > len(self.numbers):
            return None
        values = np.split(self.numbers[self.at : stop].reshape(rows, -1), ends[:-1], 1)
        self.at = stop
        with np.errstate(invalid="ignore"):
            return [value.astype(type) for value, (type, _) in zip(values, fields, strict=True)]


class _Binary:
    def __init__(self, data: bytes, start: int, order: str) -> None:
        self.data, self.at, self.order = data, start, order

    def take(self, type: str, count: int) -> Column:
        values: Column = np.frombuffer(self.data, self.order + type, count, self.at)
        self.at += values.nbytes
        return values

    def table(self, fields: list[tuple[str, int]], rows: int) -> list[Column] | None:
        columns = [(f"{n}", self.order + type, (width,)) for n, (type, width) in enumerate(fields)]
        row = np.dtype(columns)
        if self.at + rows * row.itemsize > len(self.data):
            return None
        values = np.frombuffer(self.data, row, rows, self.at)
        self.at += values.nbytes
        return [values[name] for name, _, _ in columns]


def read_ply_file(data: bytes) -> tuple[dict[str, Element], list[str]]:
    """Return the elements of a PLY file by name, and the names of its textures.

    Raises:
        ValueError: if it is no whole PLY file.
    """
    # Comments may hold the same word.
    mark = re.search(rb"[\r\n][ \t]*end_header[ \t]*(\r\n|\r|\n|$)", data)
    if not data.startswith(b"ply") or mark is None:
        raise ValueError("it has no header of a PLY file")
    beginning = data[: mark.start()]

    order, textures = "", list[str]()
    header = dict[str, tuple[int, list[_Property]]]()
    for line in beginning.decode("latin-1").replace("\r", "\n").split("\n"):
        words = line.split()
        match words:
            case ["format", name, *_]:
                order = ORDERS[name]
            case ["element", name, count]:
                header[name] = _count(count), []
            case ["property", "list", size, type, name]:
                list(header.values())[-1][1].append(
                    _Property(name.lower(), TYPES[type], TYPES[size])
                )
            case ["property", type, name]:
                list(header.values())[-1][1].append(_Property(name.lower(), TYPES[type]))
            case ["comment", word, *_] if word.lower() == "texturefile":
                textures.append(line.partition(word)[2].strip())

    source: _Source = _Binary(data, mark.end(), order) if order else _Text(data[mark.end() :])
    return {name: _element(source, *rest) for name, rest in header.items()}, textures


def _count(number: Any) -> int:
    """Return how many rows or numbers follow; numpy would take less than none for all the rest."""
    if int(number) < 0:
        raise ValueError(f"it says that {int(number)} rows or numbers follow")
    return int(number)


def _element(source: _Source, rows: int, properties: list[_Property]) -> Element:
    """Read the next element."""
    if not rows or not properties:
        return {}

    # Lists are mostly all as long as those of the first row: then the rows are a table.
    start = source.at
    fields = list[tuple[str, int]]()
    for column in properties:
        width = 1
        if column.size is not None:
            width = _count(source.take(column.size, 1)[0])
            fields.append((column.size, 1))
        source.take(column.type, width)
        fields.append((column.type, width))
    source.at = start
    table = source.table(fields, rows)
    element = None if table is None else _from_table(table, properties)
    if element is not None:
        return element

    source.at = start
    sizes, values = ({column.name: list[Any]() for column in properties} for _ in range(2))
    for _ in range(rows):
        for column in properties:
            width = 1 if column.size is None else _count(source.take(column.size, 1)[0])
            sizes[column.name].append(width)
            values[column.name].append(source.take(column.type, width))
    return {
        column.name: _column(column, np.array(sizes[column.name]), np.concatenate(found))
        for column, found in zip(properties, values.values(), strict=True)
    }


def _from_table(table: list[Column], properties: list[_Property]) -> Element | None:
    """Return the columns of an element's rows; None if they have lists of several sizes."""
    element, columns = Element(), iter(table)
    for column in properties:
        sizes = None if column.size is None else next(columns)[:, 0].astype(np.int64)
        values = next(columns)
        if sizes is not None and (sizes != values.shape[1]).any():
            return None
        element[column.name] = _column(column, sizes, values.reshape(-1))
    return element


def _column(column: _Property, sizes: Ints | None, values: Column) -> Column | Lists:
    return values if column.size is None or sizes is None else Lists(sizes, values)
