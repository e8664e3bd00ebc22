"""Files that are either whole or not there."""

import fcntl
import hashlib
import json
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from seqjepa.errors import ConfigError, DiskError, InUseError

LOCK = "lock"


def write_atomically(path: Path, data: bytes) -> None:
    """Put a file there as a whole or not at all: a temporary file beside it, forced to the disk,
    then renamed.

    Several processes may write the same file: one of them is the last. What killed ones left is
        cleared away by the next.

    Raises:
        OSError: if it cannot be written; what was there is as it was.
    """
    temporary = _temporary(path)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            at("after temporary file")
            os.fsync(file.fileno())
        at("before rename")
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    at("after rename")
    sync(path.parent)


def _temporary(path: Path) -> Path:
    """A name beside a file that is this process's own. What processes of this machine that are no
    more left under theirs is removed."""
    mine = f"{path.name}.{socket.gethostname()}."
    for other in path.parent.glob("*.tmp"):
        if (match := re.fullmatch(re.escape(mine) + r"(\d+)\.tmp", other.name)) and not _lives(
            int(match[1])
        ):
            other.unlink(missing_ok=True)
    return path.with_name(f"{mine}{os.getpid()}.tmp")


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, and is somebody else's
    return True


@contextmanager
def locked(folder: Path, waiting: str = "") -> Iterator[None]:
    """One process at a time; others wait, which they say on stderr if there is something to say.
    The folder's file `lock` stays there."""
    with (folder / LOCK).open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write(f"{waiting}\n" if waiting else "")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def acquire(folder: Path, option: str) -> int:
    """Become the one writer of a folder, until `release`. The kernel frees the lock of a process
    that died, whoever has its pid now.

    Args:
        folder: that is there.
        option: by which another folder can be chosen.

    Returns:
        The lock's descriptor, for `release`.

    Raises:
        InUseError: if another process writes to the folder.
    """
    lock = folder / LOCK
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(descriptor, 1000, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise InUseError(
                f"{folder} is in use by process {owner}: wait for it, or choose another {option}"
            ) from error
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), lock.stat()):
                break
        os.close(
            descriptor
        )  # its owner removed it between our open and our lock: what we hold has no name any more
    os.truncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()} on {socket.gethostname()}\n".encode())
    return descriptor


def release(folder: Path, descriptor: int) -> None:
    """Let others write, see `acquire`."""
    with suppress(OSError):
        (folder / LOCK).unlink()
    os.close(descriptor)


@contextmanager
def disk_errors(failed: str, remedy: str = "") -> Iterator[None]:
    """Turn an OSError into a DiskError that says what failed, why, and what to do.

    Args:
        failed: such as `cannot write runs/a/results.json`.
        remedy: a sentence; empty where the cause says it all.
    """
    try:
        yield
    except OSError as error:
        cure = f". {remedy}" if remedy else ""
        raise DiskError(f"{failed}: {error.strerror or error}{cure}") from error


@contextmanager
def writing(folder: Path, note: str, options: Any, made: str) -> Iterator[None]:
    """Be the one writer of a folder; made if it is not there. What it is made from is noted there
    first.

    Args:
        folder: of the option --out.
        note: name of the file that says what all is made from.
        options: JSON data that it must hold.
        made: a participle for messages, such as `packed`.

    Raises:
        InUseError: if another process writes to the folder.
        ConfigError: if it holds something else, or what was made from other options; nothing has
            been changed.
        OSError: if it cannot be written to.
    """
    path, data = folder / note, json_bytes(options)
    folder.mkdir(parents=True, exist_ok=True)
    _is_noted(path, data, made)  # a folder of somebody else's gets no lock
    lock = acquire(folder, "--out")
    try:
        if not _is_noted(path, data, made):
            write_atomically(path, data)
        yield
    finally:
        release(folder, lock)


def _is_noted(path: Path, data: bytes, made: str) -> bool:
    """Whether the options are noted, which they are not in a folder that holds nothing but
    leftovers of a killed command."""
    if path.exists():
        if path.read_bytes() != data:
            raise ConfigError(
                f"{path.parent} was {made} with other options or from other objects, see {path}: choose another --out"
            )
        return True
    if any(other.name != LOCK and other.suffix != ".tmp" for other in path.parent.iterdir()):
        raise ConfigError(
            f"{path.parent} is not empty and holds no {path.name}, so it was not {made} by us: choose another --out"
        )
    return False


def sync(folder: Path) -> None:
    """Make the names in a folder last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def force(file: BinaryIO) -> None:
    """To the disk."""
    file.flush()
    os.fsync(file.fileno())


def json_bytes(data: Any) -> bytes:
    """JSON data in the one form whose bytes depend on nothing but the data."""
    return json.dumps(data, indent=1, sort_keys=True).encode()


def sha256(data: bytes) -> str:
    """As hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    """Of a file's contents, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def at(moment: str) -> None:
    """A named moment of writing. It does nothing; the fault tests put a kill here."""
