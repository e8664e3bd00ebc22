"""Tar files read strictly: Python's `tarfile` takes damage for the end, and believes any size."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Self, cast

MOST_HEADER = 1 << 20  # bytes of the header of one member, which is read as a whole
HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class _Info(tarfile.TarInfo):
    """A member of sane size.

    Headers with long names and comments are read as a whole, before anybody sees their size.
    """

    def _proc_member(self, tar: tarfile.TarFile) -> Self:
        if self.size < 0 or (self.type in HEADERS and self.size > MOST_HEADER):
            raise tarfile.ReadError(f"a header says {self.size:,} bytes")
        return cast(Self, super()._proc_member(tar))  # type: ignore[misc]


def open_tar(path: Path) -> tarfile.TarFile:
    """Open a tar file, packed or not.

    Raises:
        tarfile.ReadError: if it is none, or its first member is damaged.
    """
    return tarfile.open(path, "r:*", tarinfo=_Info)


def read_infos(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members of an open tar file, up to its proper end.

    Raises:
        tarfile.ReadError: if a header is damaged or the end is missing.
    """
    while info := archive.next():
        # The archive remembers its members, and there may be a million.
        archive.members.clear()  # type: ignore[attr-defined]
        yield info
    _check_end(archive)


def _check_end(archive: tarfile.TarFile) -> None:
    """Raise a ReadError unless the zeros that end every tar stand where the members end.

    Reading to the very end, a few kilobytes more, also makes gzip and its like verify their
    checksum.
    """
    file = cast(BinaryIO, archive.fileobj)
    file.seek(archive.offset)
    end = file.read(MOST_HEADER)
    if end[: tarfile.BLOCKSIZE] != tarfile.NUL * tarfile.BLOCKSIZE or len(end) == MOST_HEADER:
        raise tarfile.ReadError(f"no member and no end at byte {archive.offset:,}")
