"""Files that are written whole or not at all, folders with one writer, and digests."""

import hashlib
import json
import os
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

from filelock import has_fcntl, lock_descriptor

from seqjepa.errors import ConfigError, DiskError, InUseError

LOCK = "lock"
WINDOWS = os.name == "nt"
# The place of its owner in a lock's file: Windows lets nobody else read the byte that is locked.
OWNER = 1 if WINDOWS else 0
_position = threading.Lock()  # of files that several threads read, see `read_at`


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all.

    A temporary file beside it is forced to the disk, then renamed. Several processes may write the
    same file: the last one wins. The next write clears away what killed ones left.

    Raises:
        OSError: if it cannot be written; the file is then as it was before.
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

    # A rename survives a power cut only once the folder is on the disk too.
    at("after rename")
    sync(path.parent)


def _temporary(path: Path) -> Path:
    """Return this process's temporary name beside a file.

    Also removes the file's temporary files that dead processes of this machine left.
    """
    own = f"{path.name}.{socket.gethostname()}."
    pattern = re.compile(re.escape(own) + r"(\d+)\.tmp")
    for other in path.parent.glob("*.tmp"):
        match = pattern.fullmatch(other.name)
        if match and not _is_alive(int(match[1])):
            other.unlink(missing_ok=True)
    return path.with_name(f"{own}{os.getpid()}.tmp")


def _is_alive(process: int) -> bool:
    # Windows has no signal that only asks. What was left there stays.
    if WINDOWS:
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is alive, and another user's
    return True


@contextmanager
def locked(folder: Path, waiting: str = "") -> Iterator[None]:
    """Let one process at a time in; the others wait.

    Args:
        folder: its file `lock` is made if need be, and stays.
        waiting: a line for stderr if this process has to wait; empty for none.
    """
    with (folder / LOCK).open("a") as handle:
        if not _lock(handle.fileno()):
            sys.stderr.write(f"{waiting}\n" if waiting else "")
            _lock(handle.fileno(), blocking=True)
        yield


def _lock(descriptor: int, *, blocking: bool = False) -> bool:
    """Lock an open file until it is closed; return whether it is now ours."""
    # Beside Unix and Windows there is nothing to lock with, and nobody is kept out.
    if not (has_fcntl or WINDOWS):
        return True
    try:
        return lock_descriptor(descriptor, blocking=blocking)
    except BlockingIOError:
        return False


def acquire(folder: Path, option: str) -> int:
    """Become the only writer of a folder, until `release`.

    The system frees the lock of a process that died, whatever process has its number now.

    Args:
        folder: an existing one.
        option: the option that chooses another folder, for the message.

    Returns:
        The lock's descriptor, for `release`.

    Raises:
        InUseError: if another process writes to the folder.
    """
    lock = folder / LOCK
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        if not _lock(descriptor):
            os.lseek(descriptor, OWNER, os.SEEK_SET)
            owner = os.read(descriptor, 1000).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise InUseError(
                f"{folder} is in use by process {owner}: wait for it, or choose another {option}"
            )

        # The last owner may have removed the file between our open and our lock. What we hold then
        # has no name any more and keeps nobody out: try again.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), lock.stat()):
                break
        os.close(descriptor)

    os.truncate(descriptor, OWNER)
    os.lseek(descriptor, OWNER, os.SEEK_SET)
    os.write(descriptor, f"{os.getpid()} on {socket.gethostname()}\n".encode())
    return descriptor


def release(folder: Path, descriptor: int) -> None:
    """Let others write to a folder again, see `acquire`."""
    # Windows removes only what is closed, and then only if nobody else has opened it.
    if WINDOWS:
        os.close(descriptor)
    with suppress(OSError):
        (folder / LOCK).unlink()
    if not WINDOWS:
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
    """Be the only writer of a folder that holds the product of one set of options.

    The folder is made if need be. The options are noted in it before anything else is written.
    Errors of the disk while it lasts become one that says so.

    Args:
        folder: the value of the option --out.
        note: name of the file that holds the options.
        options: JSON data.
        made: a past participle for messages, such as `packed`.

    Raises:
        InUseError: if another process writes to the folder.
        ConfigError: if the folder holds other things, or the product of other options; nothing has
            been changed.
        DiskError: if it cannot be written to.
    """
    path, data = folder / note, json_bytes(options)
    remedy = "Free space or choose another --out, then run it again"
    with disk_errors(f"cannot write to {folder}", remedy):
        folder.mkdir(parents=True, exist_ok=True)

        # Look before locking too: a folder with other things in it is left without a lock file.
        _is_noted(path, data, made)
        lock = acquire(folder, "--out")
        try:
            if not _is_noted(path, data, made):
                write_atomically(path, data)
            yield
        finally:
            release(folder, lock)


def _is_noted(note: Path, data: bytes, made: str) -> bool:
    """Return True if the note holds the data, False if the folder is still empty.

    Locks and temporary files, which a killed command leaves, count as nothing.

    Raises:
        ConfigError: if the note holds other data, or other files are there without a note.
    """
    folder = note.parent
    if note.exists():
        if note.read_bytes() == data:
            return True
        raise ConfigError(
            f"{folder} was {made} with other options or from other objects, see {note}: "
            "choose another --out"
        )
    if any(other.name != LOCK and other.suffix != ".tmp" for other in folder.iterdir()):
        raise ConfigError(
            f"{folder} is not empty and holds no {note.name}, so it was not {made} by us: "
            "choose another --out"
        )
    return False


def home() -> Path | None:
    """Return the user's home folder, None where there is none, as in containers."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def sync(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    # Windows opens no folder, and its file system keeps a journal of names.
    if WINDOWS:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def force(file: BinaryIO) -> None:
    """Make what was written to an open file survive a power cut."""
    file.flush()
    os.fsync(file.fileno())


def read_at(file: BinaryIO | FileIO, length: int, offset: int) -> bytes:
    """Return bytes at a place of an open file that several threads read."""
    # It does not move the position that they share, which Windows cannot help.
    if hasattr(os, "pread"):
        return os.pread(file.fileno(), length, offset)
    with _position:
        file.seek(offset)
        return file.read(length)


def slug(text: str) -> str:
    """Return the text as part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def json_bytes(data: Any) -> bytes:
    """Return JSON data in the one form whose bytes depend on nothing but the data."""
    return json.dumps(data, indent=1, sort_keys=True).encode()


def sha256(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's contents, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def at(moment: str) -> None:
    """Mark a named moment of writing: it does nothing, the fault tests put a kill here."""
