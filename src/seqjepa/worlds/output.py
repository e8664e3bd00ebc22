"""Folders that a command writes for hours, perhaps in several goes: one writer at a time, and one set of options."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seqjepa import files
from seqjepa.errors import ConfigError


@contextmanager
def writing(folder: Path, note: str, options: Any, made: str) -> Iterator[None]:
    """Be the one writer of a folder; made if it is not there. What it is made from is noted there first.

    Args:
        folder: of the option --out.
        note: name of the file that says what all is made from.
        options: JSON data that it must hold.
        made: a participle for messages, such as `packed`.

    Raises:
        InUseError: if another process writes to the folder.
        ConfigError: if it holds something else, or what was made from other options; nothing has been changed.
        OSError: if it cannot be written to.
    """
    path, data = folder / note, files.json_bytes(options)
    folder.mkdir(parents=True, exist_ok=True)
    _is_noted(path, data, made)  # a folder of somebody else's gets no lock
    lock = files.acquire(folder, "--out")
    try:
        if not _is_noted(path, data, made):
            files.write_atomically(path, data)
        yield
    finally:
        files.release(folder, lock)


def _is_noted(path: Path, data: bytes, made: str) -> bool:
    """Whether the options are noted, which they are not in a folder that holds nothing but leftovers of a killed command."""
    if path.exists():
        if path.read_bytes() != data:
            raise ConfigError(f"{path.parent} was {made} with other options or from other objects, see {path}: choose another --out")
        return True
    if any(other.name != files.LOCK and other.suffix != ".tmp" for other in path.parent.iterdir()):
        raise ConfigError(f"{path.parent} is not empty and holds no {path.name}, so it was not {made} by us: choose another --out")
    return False
