"""Folders, tar and zip archives, file by file and all in the same way; nothing is ever unpacked to the disk.

Archives come from strangers: names that leave the folder, links, and members that grow beyond reason are refused.
"""

import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from seqjepa.errors import DataError

MOST_BYTES = 8 << 30  # of a member
MOST_RATIO = 200  # unpacked to packed, of a zip's member or a whole tar
BROKEN = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class Member:
    """A file in a folder or an archive.

    Attributes:
        name: its path inside, with slashes.
        where: folder or archive and name, for messages.
        size: in bytes.
        open: its contents, to be read before the next member is asked for.
    """

    name: str
    where: str
    size: int
    open: Callable[[], BinaryIO]

    def read(self, most: int) -> bytes:
        """All its bytes.

        Raises:
            DataError: if they are more than `most`, or fewer than the archive says.
        """
        if self.size > most:
            raise DataError(
                f"{self.where} has {self.size:,} bytes, more than the {most:,} such a file may have: get it again or leave it out"
            )
        try:
            with self.open() as file:
                data = file.read(most + 1)
        except BROKEN as error:
            raise DataError(f"{self.where} cannot be read ({error}): get it again") from error
        if len(data) != self.size:
            raise DataError(f"{self.where} ends after {len(data):,} bytes of {self.size:,}: get it again")
        return data


def is_archive(path: Path) -> bool:
    """Whether it is a tar (packed or not) or a zip file, by its contents."""
    return path.is_file() and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path))


def members(path: Path) -> Iterator[Member]:
    """All files of a folder, in the order of their names, or of an archive, in its own order.

    Raises:
        DataError: if there is no such thing, or an archive is damaged or holds what no data set needs: absolute names, names with `..`,
            links, devices, or members that unpack to hundreds of times their size.
    """
    if path.is_dir():
        yield from _folder(path)
    elif not path.is_file():
        raise DataError(f"there is no {path}")
    elif zipfile.is_zipfile(path):
        yield from _zip(path)
    else:
        yield from _tar(path)


def _folder(path: Path) -> Iterator[Member]:
    for file in sorted(path.rglob("*")):
        if file.is_file():
            yield Member(file.relative_to(path).as_posix(), str(file), file.stat().st_size, lambda file=file: file.open("rb"))  # type: ignore[misc]


class Files:
    """A folder or a zip archive whose files are read by name and in any order; a zip stays open.

    Raises:
        DataError: as `members` does, and where the path is neither.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members: dict[str, Member] | None = None
        if not path.is_dir():
            try:
                self._members = {member.name: member for member in _infos(zipfile.ZipFile(path), path)}
            except FileNotFoundError as error:
                raise DataError(f"there is no {path}") from error
            except BROKEN as error:
                raise DataError(f"{path} is a damaged zip file, or none at all ({error}): get it again") from error

    def names(self, folder: str = "", *, deep: bool = True) -> list[str]:
        """Sorted names of the files below a folder inside, or only of those in it."""
        start = f"{folder}/" if folder else ""
        if self._members is None:
            found = (self.path / folder).rglob("*") if deep else (self.path / folder).glob("*")
            return sorted(file.relative_to(self.path).as_posix() for file in found if file.is_file())
        return sorted(name for name in self._members if name.startswith(start) and (deep or "/" not in name[len(start) :]))

    def read(self, name: str, most: int) -> bytes:
        """A file's bytes; DataError if it is not there, or they are more than `most`."""
        where = f"{self.path}/{name}"
        _check_name(name, where)
        if self._members is None:
            file = self.path / name
            member = Member(name, where, file.stat().st_size, lambda: file.open("rb")) if file.is_file() else None
        else:
            member = self._members.get(name)
        if member is None:
            raise DataError(f"there is no {where}")
        return member.read(most)


def _zip(path: Path) -> Iterator[Member]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield from _infos(archive, path)
    except BROKEN as error:
        raise DataError(f"{path} is a damaged zip file ({error}): get it again") from error


def _infos(archive: zipfile.ZipFile, path: Path) -> Iterator[Member]:
    for info in archive.infolist():
        where = f"{path}:{info.filename}"
        _check_name(info.filename, where)
        if (info.external_attr >> 16) & 0o170000 == 0o120000:
            raise DataError(f"{where} is a link, which is not followed: get the archive from its publisher")
        if info.is_dir():
            continue
        if info.flag_bits & 1:
            raise DataError(f"{where} is encrypted: unpack it yourself and name the folder")
        _check_size(info.file_size, info.compress_size, where)
        yield Member(info.filename, where, info.file_size, lambda info=info: cast(BinaryIO, archive.open(info)))  # type: ignore[misc]


def _tar(path: Path) -> Iterator[Member]:
    packed, unpacked = path.stat().st_size, 0
    try:
        with tarfile.open(path, "r:*") as archive:
            for info in archive:
                where = f"{path}:{info.name}"
                _check_name(info.name, where)
                if info.isdir():
                    continue
                if not info.isreg():
                    raise DataError(f"{where} is a link or device, which is not followed: get the archive from its publisher")
                unpacked += info.size
                _check_size(info.size, info.size, where)
                _check_size(unpacked, packed, str(path))
                yield Member(info.name.removeprefix("./"), where, info.size, lambda info=info: _extract(archive, info))  # type: ignore[misc]
    except BROKEN as error:
        raise DataError(f"{path} is a damaged tar file, or no archive at all ({error}): get it again") from error


def _extract(archive: tarfile.TarFile, info: tarfile.TarInfo) -> BinaryIO:
    return cast(BinaryIO, archive.extractfile(info) or io.BytesIO())


def _check_name(name: str, where: str) -> None:
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or ":" in pure.parts[:1] or "\0" in name:
        raise DataError(f"{where} points outside the archive: get it from its publisher")


def _check_size(size: int, packed: int, where: str) -> None:
    if size > MOST_BYTES or size > MOST_RATIO * max(packed, 1) + (1 << 20):
        raise DataError(f"{where} unpacks from {packed:,} to {size:,} bytes, beyond reason: get it from its publisher")
