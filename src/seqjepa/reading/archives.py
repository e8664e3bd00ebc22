"""Folders, tar and zip archives, read file by file and all in the same way.

Nothing is ever unpacked to the disk. Archives come from strangers: names that leave the folder,
links, doubles, and members that grow beyond reason are refused.
"""

import hashlib
import io
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from seqjepa.errors import DataError
from seqjepa.reading.tars import open_tar, read_infos

# Limits of what a stranger's archive may claim.
MOST_BYTES = 8 << 30  # of a member
MOST_RATIO = 200  # unpacked to packed, of a zip's member or a whole tar
# Errors of the archives' modules at what is damaged, encrypted or packed in an unknown way.
BROKEN = (
    OSError,
    EOFError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class Member:
    """A file in a folder or an archive.

    Attributes:
        name: its path inside, with slashes.
        where: folder or archive and name, for messages.
        size: in bytes.
        open: opens its contents.
        lasting: whether it may be opened until the iteration is at its end, and from several
            threads; that of a tar only before the next member is asked for.
    """

    name: str
    where: str
    size: int
    open: Callable[[], BinaryIO]
    lasting: bool = True

    def read(self, most: int) -> bytes:
        """Return all its bytes.

        Raises:
            DataError: if they are more than `most`, or fewer than the archive says.
        """
        if self.size > most:
            raise DataError(
                f"{self.where} has {self.size:,} bytes, more than the {most:,} such a file may "
                "have: get it again or leave it out"
            )
        # The size is a claim: one byte more would show that it is wrong. Memory for all that is
        # asked for is taken at once.
        try:
            with self.open() as file:
                data = file.read(self.size + 1)
        except BROKEN as error:
            raise DataError(f"{self.where} cannot be read ({error}): get it again") from error

        if len(data) != self.size:
            raise DataError(
                f"{self.where} ends after {len(data):,} bytes of {self.size:,}: get it again"
            )
        return data


def is_archive(path: Path) -> bool:
    """Return whether a file's contents are those of a tar (packed or not) or a zip file."""
    if not path.is_file():
        return False
    if zipfile.is_zipfile(path):
        return True
    try:
        open_tar(path).close()
    except BROKEN:
        return False
    return True


def is_archive_of(path: Path, beginning: str) -> bool:
    """Return whether a file is an archive whose first member's name begins like this."""
    if not is_archive(path):
        return False
    first = next(members(path), None)
    return first is not None and first.name.startswith(beginning)


def members(path: Path) -> Iterator[Member]:
    """Yield all files of a folder, in the order of their names, or of an archive, in its own order.

    Raises:
        DataError: if the path does not exist, or an archive is damaged or holds what no data set
            needs: absolute names, names with `..`, links, devices, two files of one name, or
            members that unpack to hundreds of times their size.
    """
    if path.is_dir():
        for name, file, status in _walk(path):
            contents = cast(Callable[[], BinaryIO], partial(open, file, "rb"))
            yield Member(name, file, status.st_size, contents)
    elif not path.is_file():
        raise DataError(f"there is no {path}")
    elif zipfile.is_zipfile(path):
        yield from _zip(path)
    else:
        yield from _tar(path)


def locate(path: Path, *names: str) -> Path:
    """Return the first of these names that a folder holds; the path itself if there is none."""
    for name in names:
        if (path / name).exists():
            return path / name
    return path


def file_state(path: Path, wanted: Callable[[str], bool] = bool) -> str:
    """Return size and time of change of an archive, or a digest of those of a folder's files.

    Args:
        path: the archive or folder.
        wanted: which files of a folder count, by their names inside.

    Raises:
        DataError: if the path does not exist.
    """
    if not path.is_dir():
        if not path.is_file():
            raise DataError(f"there is no {path}")
        status = path.stat()
        return f"{status.st_size} {status.st_mtime_ns}"

    digest = hashlib.sha256()
    for name, _, status in _walk(path):
        if wanted(name):
            state = f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n"
            digest.update(state.encode(errors="surrogateescape"))
    return digest.hexdigest()


def hidden(name: str) -> bool:
    """Return whether a file, or a folder that it is in, is hidden or was added by macOS."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


Found = tuple[str, str, os.stat_result]  # name, path and status of a file


def _walk(folder: Path) -> Iterator[Found]:
    """Yield every file below a folder, links followed, in the order of names."""
    status = folder.stat()
    yield from _walk_below(str(folder), "", ((status.st_dev, status.st_ino),))


def _walk_below(folder: str, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[Found]:
    """Yield the files below a folder; `above` identifies it and the folders that it is in."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read ({error.strerror}): allow it, or leave the folder out"
        ) from error

    for entry in entries:
        # A link to nothing is yielded too: reading it is an error that names it.
        try:
            status = entry.stat()
        except OSError:
            status = entry.stat(follow_symlinks=False)

        if not stat.S_ISDIR(status.st_mode):
            yield prefix + entry.name, entry.path, status
            continue
        # A link to a folder that it is in would be followed for ever.
        identity = (status.st_dev, status.st_ino)
        if identity not in above:
            yield from _walk_below(entry.path, f"{prefix}{entry.name}/", (*above, identity))


class Files:
    """A folder or a zip archive whose files are read by name and in any order; a zip stays open.

    Raises:
        DataError: as `members` does, and if the path is neither.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members: dict[str, Member] | None = None
        if path.is_dir():
            return
        try:
            found = _infos(zipfile.ZipFile(path), path)
            self._members = {member.name: member for member in found}
        except FileNotFoundError as error:
            raise DataError(f"there is no {path}") from error
        except BROKEN as error:
            raise DataError(
                f"{path} is a damaged zip file, or none at all ({error}): get it again"
            ) from error

    def names(self, folder: str = "", *, deep: bool = True) -> list[str]:
        """Return the sorted names of all files below a folder inside, or only of those in it."""
        start = f"{folder}/" if folder else ""
        if self._members is not None:
            below = (name for name in self._members if name.startswith(start))
            return sorted(name for name in below if deep or "/" not in name[len(start) :])

        place = self.path / folder
        if not deep or not place.is_dir():
            return sorted(start + file.name for file in place.glob("*") if file.is_file())
        return sorted(start + name for name, _, _ in _walk(place))

    def read(self, name: str, most: int) -> bytes:
        """Return a file's bytes.

        Raises:
            DataError: if it does not exist, or has more than `most`.
        """
        where = f"{self.path}/{name}"
        _check_name(name, where)
        member = self._find(name, where)
        if member is None:
            raise DataError(f"there is no {where}")
        return member.read(most)

    def _find(self, name: str, where: str) -> Member | None:
        if self._members is not None:
            return self._members.get(name)
        file = self.path / name
        if not file.is_file():
            return None
        return Member(name, where, file.stat().st_size, lambda: file.open("rb"))


def _zip(path: Path) -> Iterator[Member]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield from _infos(archive, path)
    except BROKEN as error:
        raise DataError(f"{path} is a damaged zip file ({error}): get it again") from error


def _infos(archive: zipfile.ZipFile, path: Path) -> Iterator[Member]:
    """Yield the files of an open zip archive."""
    names: set[str] = set()
    for info in archive.infolist():
        name = zip_name(info.filename)
        where = f"{path}:{name}"
        _check_name(info.filename, where)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise DataError(
                f"{where} is a link, which is not followed: get the archive from its publisher"
            )
        if info.filename.endswith(("/", "\\")):
            continue

        if info.flag_bits & 1:
            raise DataError(f"{where} is encrypted: unpack it yourself and name the folder")
        _check_once(name, where, names)
        _check_size(info.file_size, info.compress_size, where)
        contents = cast(Callable[[], BinaryIO], partial(archive.open, info))
        yield Member(name, where, info.file_size, contents)


def _tar(path: Path) -> Iterator[Member]:
    """Yield the files of a tar archive."""
    packed, unpacked, names = path.stat().st_size, 0, set[str]()
    try:
        with open_tar(path) as archive:
            for info in read_infos(archive):
                name = _plain(info.name)
                where = f"{path}:{name}"
                _check_name(info.name, where)
                if info.isdir():
                    continue
                if not info.isreg():
                    raise DataError(
                        f"{where} is a link or device, which is not followed: get the archive "
                        "from its publisher"
                    )

                # A tar is packed as a whole, so its ratio is that of all members so far.
                unpacked += info.size
                _check_once(name, where, names)
                _check_size(info.size, info.size, where)
                _check_size(unpacked, packed, str(path))
                contents = partial(_extract, archive, info)
                yield Member(name, where, info.size, contents, lasting=False)
    except BROKEN as error:
        # `tarfile` says a line for each way in which a tar might be packed.
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path} is a damaged tar file, or no archive at all ({reason}): get it again, or "
            "name a folder or archive"
        ) from error


def _extract(archive: tarfile.TarFile, info: tarfile.TarInfo) -> BinaryIO:
    return cast(BinaryIO, archive.extractfile(info) or io.BytesIO())


def zip_name(name: str) -> str:
    """Return the name that a zip archive's file has as a `Member`."""
    # Some programs for Windows write backslashes.
    return _plain(name.replace("\\", "/"))


def _plain(name: str) -> str:
    """Return a name without what says nothing, as `./` and double slashes."""
    return str(PurePosixPath(name))


def _check_name(name: str, where: str) -> None:
    # Backslashes and drive letters count on every system: what is safe here is safe on Windows.
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or name[1:2] == ":" or "\0" in name:
        raise DataError(f"{where} points outside the archive: get it from its publisher")


def _check_once(name: str, where: str, names: set[str]) -> None:
    if name in names:
        raise DataError(f"{where} is there twice: get the archive from its publisher")
    names.add(name)


def _check_size(size: int, packed: int, where: str) -> None:
    # Up to a mebibyte, no ratio is dangerous.
    if size > MOST_BYTES or size > MOST_RATIO * max(packed, 1) + (1 << 20):
        raise DataError(
            f"{where} unpacks from {packed:,} to {size:,} bytes, beyond reason: get it from its "
            "publisher"
        )
