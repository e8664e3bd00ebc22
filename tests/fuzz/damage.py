"""What happens to files: they are cut off, overwritten, swapped, emptied, lost."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hypothesis import strategies as st

KINDS = ("cut", "flip", "zero", "garbage", "append", "double", "empty", "remove", "folder", "swap")
Kind = Literal[
    "cut", "flip", "zero", "garbage", "append", "double", "empty", "remove", "folder", "swap"
]


@dataclass(frozen=True)
class Damage:
    """One thing done to one file.

    Attributes:
        kind: what is done.
        file: which file, as a share of the sorted list of all.
        place: where in it, as a share of its bytes.
        seed: of the bytes that are written.
    """

    kind: Kind
    file: float
    place: float
    seed: int

    def apply(self, folder: Path) -> None:
        """Damage a file below a folder."""
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        number = int(self.file * len(files))
        path, data = files[number], files[number].read_bytes()
        at = int(self.place * len(data))
        bytes_ = random.Random(self.seed).randbytes
        other = files[(number + 1) % len(files)]

        match self.kind:
            case "remove":
                path.unlink()
            case "folder":
                path.unlink()
                path.mkdir()
            case "swap":
                path.write_bytes(other.read_bytes())
                other.write_bytes(data)
            case _:
                path.write_bytes(_changed(self.kind, data, at, bytes_(16)))


def _changed(kind: Kind, data: bytes, at: int, noise: bytes) -> bytes:
    match kind:
        case "cut":
            return data[:at]
        case "flip":
            return (
                data[:at] + bytes([data[at] ^ 1 << noise[0] % 8]) + data[at + 1 :]
                if data
                else b"\1"
            )
        case "zero":
            return data[:at] + bytes(len(data[at : at + 64])) + data[at + 64 :]
        case "garbage":
            return data[:at] + noise + data[at + 16 :]
        case "append":
            return data + noise
        case "double":
            return data + data
    return b""


SHARE = st.floats(0, 1, exclude_max=True)
DAMAGE = st.builds(
    Damage, kind=st.sampled_from(KINDS), file=SHARE, place=SHARE, seed=st.integers(0, 2**16)
)
