"""Folders, tar and zip archives, file by file and all in the same way; nothing is ever unpacked to
the disk.

Archives come from strangers: names that leave the folder, links, doubles, and members that grow
    beyond reason are refused.
"""

import hashlib
import io
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Self, cast

from seqjepa.errors import DataError

MOST_BYTES = 8 << 30  # of a member
MOST_RATIO = 200  # unpacked to packed, of a zip's member or a whole tar
MOST_HEADER = 1 << 20  # bytes of what a tar says of one member, which is read as a whole
HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
BROKEN = (
    OSError,
    EOFError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
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
        open: its contents.
        lasting: whether it may be opened until the iteration is at its end, and from several
            threads; that of a tar only before the next member is asked for.
    """

    name: str
    where: str
    size: int
    open: Callable[[], BinaryIO]
    lasting: bool = True

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
            raise DataError(
                f"{self.where} ends after {len(data):,} bytes of {self.size:,}: get it again"
            )
        return data


def is_archive(path: Path) -> bool:
    """Whether it is a tar (packed or not) or a zip file, by its contents."""
    if not path.is_file() or zipfile.is_zipfile(path):
        return path.is_file()
    try:
        tarfile.open(path, "r:*", tarinfo=_Info).close()
    except BROKEN:
        return False
    return True


def is_archive_of(path: Path, beginning: str) -> bool:
    """Whether it is an archive whose first file's name begins so."""
    return is_archive(path) and next(
        (member.name.startswith(beginning) for member in members(path)), False
    )


def members(path: Path) -> Iterator[Member]:
    """All files of a folder, in the order of their names, or of an archive, in its own order.

    Raises:
        DataError: if there is no such thing, or an archive is damaged or holds what no data set
            needs: absolute names, names with `..`, links, devices, two files of one name, or
            members that unpack to hundreds of times their size.
    """
    if path.is_dir():
        for name, file, status in _walk(path):
            yield Member(name, file, status.st_size, partial(open, file, "rb"))  # type: ignore[arg-type]
    elif not path.is_file():
        raise DataError(f"there is no {path}")
    elif zipfile.is_zipfile(path):
        yield from _zip(path)
    else:
        yield from _tar(path)


def locate(path: Path, *names: str) -> Path:
    """The first of the folders or archives of those names in a folder; the path itself if none is
    there."""
    return next((path / name for name in names if (path / name).exists()), path)


def file_state(path: Path, wanted: Callable[[str], bool] = bool) -> str:
    """A digest of an archive's size and time of change, or of the names, sizes and times of those
    files of a folder that are wanted.

    Raises:
        DataError: if there is no such thing.
    """
    if not path.is_dir():
        if not path.is_file():
            raise DataError(f"there is no {path}")
        status = path.stat()
        return f"{status.st_size} {status.st_mtime_ns}"
    digest = hashlib.sha256()
    for name, _, status in _walk(path):
        if wanted(name):
            digest.update(
                f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape")
            )
    return digest.hexdigest()


def hidden(name: str) -> bool:
    """Whether a file inside, or a folder that it is in, is hidden, or is what macOS adds to
    archives: no data of anyone's."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


Found = tuple[str, str, os.stat_result]  # name, path and status of a file


def _walk(folder: Path) -> Iterator[Found]:
    """Every file below a folder, links followed, in the order of names."""
    status = folder.stat()
    yield from _walk_below(str(folder), "", ((status.st_dev, status.st_ino),))


def _walk_below(folder: str, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[Found]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read ({error.strerror}): allow it, or leave the folder out"
        ) from error
    for entry in entries:
        try:
            status = entry.stat()
        except OSError:  # a link to nothing, which is said to whoever reads it
            status = entry.stat(follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            yield prefix + entry.name, entry.path, status
        elif (
            here := (status.st_dev, status.st_ino)
        ) not in above:  # a link to a folder that it is in
            yield from _walk_below(entry.path, f"{prefix}{entry.name}/", (*above, here))


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
                self._members = {
                    member.name: member for member in _infos(zipfile.ZipFile(path), path)
                }
            except FileNotFoundError as error:
                raise DataError(f"there is no {path}") from error
            except BROKEN as error:
                raise DataError(
                    f"{path} is a damaged zip file, or none at all ({error}): get it again"
                ) from error

    def names(self, folder: str = "", *, deep: bool = True) -> list[str]:
        """Sorted names of the files below a folder inside, or only of those in it."""
        start = f"{folder}/" if folder else ""
        if self._members is None:
            place = self.path / folder
            if not deep or not place.is_dir():
                return sorted(start + file.name for file in place.glob("*") if file.is_file())
            return sorted(start + name for name, _, _ in _walk(place))
        return sorted(
            name
            for name in self._members
            if name.startswith(start) and (deep or "/" not in name[len(start) :])
        )

    def read(self, name: str, most: int) -> bytes:
        """A file's bytes; DataError if it is not there, or they are more than `most`."""
        where = f"{self.path}/{name}"
        _check_name(name, where)
        if self._members is None:
            file = self.path / name
            member = (
                Member(name, where, file.stat().st_size, lambda: file.open("rb"))
                if file.is_file()
                else None
            )
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
    names: set[str] = set()
    for info in archive.infolist():
        name = info.filename.replace("\\", "/").removeprefix(
            "./"
        )  # some programs for Windows write backslashes
        where = f"{path}:{name}"
        _check_name(info.filename, where)
        if (info.external_attr >> 16) & 0o170000 == 0o120000:
            raise DataError(
                f"{where} is a link, which is not followed: get the archive from its publisher"
            )
        if not name or name.endswith("/"):
            continue
        if info.flag_bits & 1:
            raise DataError(f"{where} is encrypted: unpack it yourself and name the folder")
        _check_once(name, where, names)
        _check_size(info.file_size, info.compress_size, where)
        yield Member(
            name, where, info.file_size, cast(Callable[[], BinaryIO], partial(archive.open, info))
        )


class _Info(tarfile.TarInfo):
    """A member of sane size; headers that carry long names and comments are read as a whole, before
    anyone is asked."""

    def _proc_member(self, tar: tarfile.TarFile) -> Self:
        if self.size < 0 or (self.type in HEADERS and self.size > MOST_HEADER):
            raise tarfile.ReadError(f"a header says {self.size:,} bytes")
        return cast(Self, super()._proc_member(tar))  # type: ignore[misc]


def _tar(path: Path) -> Iterator[Member]:
    packed, unpacked, names = path.stat().st_size, 0, set[str]()
    try:
        with tarfile.open(path, "r:*", tarinfo=_Info) as archive:
            while info := archive.next():
                archive.members.clear()  # type: ignore[attr-defined]  # which would grow with each of a million
                where = f"{path}:{info.name}"
                _check_name(info.name, where)
                if info.isdir():
                    continue
                if not info.isreg():
                    raise DataError(
                        f"{where} is a link or device, which is not followed: get the archive from its publisher"
                    )
                unpacked += info.size
                _check_once(info.name, where, names)
                _check_size(info.size, info.size, where)
                _check_size(unpacked, packed, str(path))
                yield Member(
                    info.name.removeprefix("./"),
                    where,
                    info.size,
                    partial(_extract, archive, info),
                    lasting=False,
                )
            _check_end(archive)
    except BROKEN as error:
        said = " ".join(str(error).split())  # a line for each way in which it might be packed
        raise DataError(
            f"{path} is a damaged tar file, or no archive at all ({said}): get it again"
        ) from error


def _check_end(archive: tarfile.TarFile) -> None:
    """Raise unless the zeros that end every tar stand there: `tarfile` takes any damaged header, or
    a cut, for the end.

    Only who reads all that is packed, a few kilobytes more, is told by gzip and its like whether it
    came out as it went in."""
    file = cast(BinaryIO, archive.fileobj)
    file.seek(archive.offset)
    end = file.read(MOST_HEADER)
    if end[: tarfile.BLOCKSIZE] != tarfile.NUL * tarfile.BLOCKSIZE or len(end) == MOST_HEADER:
        raise tarfile.ReadError(f"no member and no end at byte {archive.offset:,}")


def _extract(archive: tarfile.TarFile, info: tarfile.TarInfo) -> BinaryIO:
    return cast(BinaryIO, archive.extractfile(info) or io.BytesIO())


def _check_name(name: str, where: str) -> None:
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or name[1:2] == ":" or "\0" in name:
        raise DataError(f"{where} points outside the archive: get it from its publisher")


def _check_once(name: str, where: str, names: set[str]) -> None:
    if (plain := str(PurePosixPath(name))) in names:
        raise DataError(f"{where} is there twice: get the archive from its publisher")
    names.add(plain)


def _check_size(size: int, packed: int, where: str) -> None:
    if size > MOST_BYTES or size > MOST_RATIO * max(packed, 1) + (1 << 20):
        raise DataError(
            f"{where} unpacks from {packed:,} to {size:,} bytes, beyond reason: get it from its publisher"
        )
