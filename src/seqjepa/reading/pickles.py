"""A reader of CIFAR's pickles without Python's unpickler, which runs any code that a file names.

The pickle machine (PEP 307; `pickletools` describes every instruction) is cut down to the
instructions for plain data and numpy's uint8 arrays, written with protocol 2 by Python 2 or 3.
Everything else that a file asks for is refused before it can have an effect.
"""

import struct
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from seqjepa.errors import DataError

MOST_STEPS = 4_000_000  # instructions; CIFAR-100's training file has some 400,000
# Names that arrays and bytes are pickled with. None of them is ever imported or called.
GLOBALS = {
    "numpy ndarray",
    "numpy dtype",
    "numpy.core.multiarray _reconstruct",
    "numpy._core.multiarray _reconstruct",  # numpy 2
    "_codecs encode",  # how Python 3 writes bytes
}


class Refused(ValueError):
    """A request in a file that plain data do not need."""


class Made:
    """A function that a file names, or its result; nothing is ever called.

    Attributes:
        what: one of `GLOBALS`, or the kind of the result, `array` or `uint8`.
        value: of an array, once it is built.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.value: npt.NDArray[np.uint8] | None = None


def read_pickle(data: bytes, name: str) -> Any:
    """Return the plain data in a pickle.

    They are dicts, lists, tuples, strings, bytes, numbers and uint8 arrays.

    Args:
        data: the file's bytes.
        name: the file's name, for messages.

    Raises:
        DataError: if it is damaged or asks for anything else.
    """
    try:
        return _plain(_Machine(data).run())
    except (ValueError, LookupError, TypeError, struct.error) as error:
        raise DataError(
            f"{name} is no pickle of plain data and uint8 arrays ({error}): get the data set from "
            "its publisher"
        ) from error


def _plain(value: Any) -> Any:
    """Return a value; if it is a dict, with the arrays that its `Made` items have become."""
    if not isinstance(value, dict):
        return value
    return {key: item.value if isinstance(item, Made) else item for key, item in value.items()}


class _Machine:
    """The cut-down pickle machine.

    Attributes:
        data: the file's bytes.
        at: the place of the next one.
        encoded: characters turned into bytes so far.
        stack: the values under construction.
        marks: heights of the stack at which groups of values begin.
        memo: values to use again, by their numbers.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.encoded = data, 0, 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Return the value that the file's instructions make."""
        for _ in range(MOST_STEPS):
            code = self.take(1)
            if code == b".":
                return self.stack.pop()
            if code not in self.STEPS:
                raise Refused(f"instruction {code!r} at byte {self.at - 1}")
            self.STEPS[code](self)
        raise Refused(f"more than {MOST_STEPS:,} instructions")

    def take(self, size: int) -> bytes:
        """Return the next bytes of the file."""
        if not 0 <= size <= len(self.data) - self.at:
            raise Refused(
                f"it ends at byte {len(self.data)}, {size:,} more are announced at byte {self.at}"
            )
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, form: str) -> int:
        """Return the next bytes as a little-endian number."""
        return int(struct.unpack(f"<{form}", self.take(struct.calcsize(form)))[0])

    def line(self) -> str:
        """Return the next bytes up to the end of the line, as text."""
        text = self.take(self.data.index(b"\n", self.at) - self.at).decode("ascii")
        self.take(1)
        return text

    def above_mark(self) -> list[Any]:
        """Take the items off the stack that came since the last mark."""
        return self.top(len(self.stack) - self.marks.pop())

    def top(self, size: int) -> list[Any]:
        """Take the last items off the stack."""
        if not 0 <= size <= len(self.stack):
            raise Refused("nothing left on its stack")
        items = self.stack[len(self.stack) - size :]
        del self.stack[len(self.stack) - size :]
        return items

    # Instructions, by their bytes in `STEPS` below.

    def protocol(self) -> None:
        if (version := self.number("B")) != 2:
            raise Refused(f"protocol {version}, not 2")

    def name_global(self) -> None:
        """Put a name on the stack in place of the function, if it is one that arrays need."""
        name = f"{self.line()} {self.line()}"
        if name not in GLOBALS:
            raise Refused(f"it wants {name.replace(' ', '.')!r}")
        self.stack.append(Made(name))

    def call(self) -> None:
        """Put the result of a call on the stack: bytes, or a mark of an array or type to come."""
        function, arguments = self.top(2)
        match function, arguments:
            case Made(what="_codecs encode", value=None), (str() as text, "latin1" | "latin-1"):
                # A small file could have the same text encoded again and again.
                self.encoded += len(text)
                if self.encoded > len(self.data):
                    raise Refused("more bytes than it has itself")
                self.stack.append(text.encode("latin-1"))

            case (
                Made(what=what, value=None),
                (Made(what="numpy ndarray"), *_),
            ) if what.endswith("_reconstruct"):
                # An array comes in two phases:
                # 1. `_reconstruct` makes an empty array;
                # 2. `build` fills it with its shape and bytes.
                self.stack.append(Made("array"))

            case Made(what="numpy dtype", value=None), ("u1" | b"u1", *_):
                self.stack.append(Made("uint8"))
            case _:
                raise Refused("a call of something else than an array of uint8")

    def build(self) -> None:
        """Fill in an array; its state is (1, shape, uint8, in Fortran's order or not, bytes)."""
        made, state = self.top(2)
        match made, state:
            case Made(what="array", value=None), (
                1,
                tuple() as shape,
                Made(what="uint8"),
                False | 0,
                bytes() as data,
            ):
                # Phase 2 of an array: it is filled.
                axes = [_length(axis) for axis in shape]
                made.value = np.frombuffer(data, np.uint8).reshape(axes)

            case Made(what="uint8"), (int(), *_):
                # The state is byte order and the like, which single bytes do not have.
                pass

            case _:
                raise Refused("an array of something else than uint8")
        self.stack.append(made)

    def append(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise Refused("items for something that is no list")
        self.stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict) or len(items) % 2:
            raise Refused("items for something that is no dict")
        if not all(isinstance(key, str | bytes) for key in items[::2]):
            raise Refused("a key that is no string")
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def remember(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    STEPS: ClassVar[dict[bytes, Callable[["_Machine"], None]]] = {
        b"\x80": protocol,
        b"(": lambda m: m.marks.append(len(m.stack)),
        b"}": lambda m: m.stack.append({}),
        b"]": lambda m: m.stack.append([]),
        b")": lambda m: m.stack.append(()),
        b"N": lambda m: m.stack.append(None),
        b"\x88": lambda m: m.stack.append(True),
        b"\x89": lambda m: m.stack.append(False),
        b"K": lambda m: m.stack.append(m.number("B")),
        b"M": lambda m: m.stack.append(m.number("H")),
        b"J": lambda m: m.stack.append(m.number("i")),
        b"U": lambda m: m.stack.append(m.take(m.number("B"))),
        b"T": lambda m: m.stack.append(m.take(m.number("i"))),
        b"X": lambda m: m.stack.append(m.take(m.number("I")).decode("utf-8")),
        b"q": lambda m: m.remember(m.number("B")),
        b"r": lambda m: m.remember(m.number("I")),
        b"h": lambda m: m.stack.append(m.memo[m.number("B")]),
        b"j": lambda m: m.stack.append(m.memo[m.number("I")]),
        b"t": lambda m: m.stack.append(tuple(m.above_mark())),
        b"\x85": lambda m: m.stack.append(tuple(m.top(1))),
        b"\x86": lambda m: m.stack.append(tuple(m.top(2))),
        b"\x87": lambda m: m.stack.append(tuple(m.top(3))),
        b"a": lambda m: m.append(m.top(1)),
        b"e": lambda m: m.append(m.above_mark()),
        b"s": lambda m: m.set_items(m.top(2)),
        b"u": lambda m: m.set_items(m.above_mark()),
        b"c": name_global,
        b"R": call,
        b"b": build,
    }


def _length(axis: Any) -> int:
    if not isinstance(axis, int) or axis < 0:
        raise Refused(f"an axis of {axis!r}")
    return axis
