"""The files that a mesh names: materials, textures, buffers."""

import io
import posixpath

import numpy as np
import numpy.typing as npt
from PIL import Image

from seqjepa.reading.archives import Files
from seqjepa.reading.pixels import rgba

MOST_BYTES = 1 << 30  # of a file


class Resolver:
    """The files around a mesh, by the names that the mesh gives them.

    It notes what is missing, so that one message can name all of it.
    """

    def __init__(self, files: Files, name: str) -> None:
        self.files, self.folder, self.missing = files, posixpath.dirname(name), list[str]()

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes; None, and a note, if it is not there.

        The name is relative to the mesh's folder; failing that, its last part is looked for in that
        folder. Many files name their textures by a path on the machine that they were made on, or
        in other capitals.
        """
        found = self.find(name)
        if found is None:
            self.missing.append(_path(name))
            return None
        return self.files.read(found, MOST_BYTES)

    def find(self, name: str) -> str | None:
        """Return the path inside the collection of a file that the mesh names, None for none."""
        path = _path(name)
        wanted = posixpath.normpath(posixpath.join(self.folder, path))
        inside = not wanted.startswith(("/", ".."))  # nothing outside the collection is read
        if inside and wanted in self.files.names(posixpath.dirname(wanted), deep=False):
            return wanted

        last = posixpath.basename(path).lower()
        for file in self.files.names(self.folder, deep=False):
            if posixpath.basename(file).lower() == last:
                return file
        return None

    def image(self, name: str) -> Image.Image | None:
        """Return a picture, not decoded yet; None, and a note, if it is not there or is none."""
        data = self.read(name)
        return None if data is None else self.opened(data, _path(name))

    def opened(self, data: bytes, name: str) -> Image.Image | None:
        """Return a picture of these bytes, not decoded yet; None, and a note, if it is none."""
        try:
            return Image.open(io.BytesIO(data))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            self.missing.append(f"{name} as a picture")
            return None

    def decoded(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """Return the pixels [H, W, 4] of a picture; raise a DataError if it is damaged."""
        return rgba(image, f"a texture in {self.files.path}/{self.folder}")

    def text(self, name: str) -> str | None:
        """Return a file as text; None, and a note, if it is not there."""
        data = self.read(name)
        return None if data is None else decode_text(data)


def decode_text(data: bytes) -> str:
    """Return text in UTF-8, in UTF-16 if it says so, or else in Latin-1, with plain line ends."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _path(name: str) -> str:
    return name.strip().strip('"').replace("\\", "/")
