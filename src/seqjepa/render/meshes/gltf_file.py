"""The contents of a glTF file, text or binary: its JSON, its buffers and its tables of numbers."""

import base64
import json
import struct
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import numpy as np
import numpy.typing as npt

from seqjepa.render.meshes.resolver import Resolver

Json = Mapping[str, Any]
Table = npt.NDArray[Any]

TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
MOST_BARE = 5_000_000  # rows of a table that has no data of its own
JSON_CHUNK, BINARY_CHUNK = b"JSON", b"BIN\0"


class GltfFile:
    """A glTF file.

    Raises:
        ValueError, LookupError, TypeError, AttributeError, OSError: while it is read, if it is no
            whole glTF file or names files that are not there; the resolver notes those.
    """

    def __init__(self, data: bytes, resolver: Resolver) -> None:
        self.resolver, self._chunk = resolver, None
        if data[:4] == b"glTF":
            chunks = _chunks(data)
            data, self._chunk = chunks[JSON_CHUNK], chunks.get(BINARY_CHUNK)
        self.json: Json = json.loads(data.decode("utf-8-sig"))
        self._buffers = dict[int, bytes]()
        self.bases = dict[int, Any]()  # base colours by material, see `gltf_materials`

    def bytes_of(self, uri: str) -> bytes:
        """Return the data that a URI names or holds."""
        if uri.startswith("data:"):
            about, _, text = uri.partition(",")
            plain = unquote_to_bytes(text)
            return base64.b64decode(plain, validate=True) if about.endswith(";base64") else plain
        data = self.resolver.read(unquote(uri))
        if data is None:
            raise OSError(f"there is no {uri}")
        return data

    def view(self, number: int) -> bytes:
        """Return the bytes of a buffer view."""
        view = self.json["bufferViews"][number]
        buffer, start = view["buffer"], view.get("byteOffset", 0)
        if buffer not in self._buffers:
            uri = self.json["buffers"][buffer].get("uri")
            if uri is None and (buffer or self._chunk is None):
                raise ValueError(f"buffer {buffer} has no data")
            self._buffers[buffer] = self._chunk or b"" if uri is None else self.bytes_of(uri)

        data = self._buffers[buffer][start : start + view["byteLength"]]
        if len(data) != view["byteLength"]:
            raise ValueError(f"buffer {buffer} ends too early")
        return data

    def table(self, number: int) -> Table:
        """Return an accessor's numbers [count, width]; those that stand for fractions are such."""
        accessor = self.json["accessors"][number]
        shape = accessor["count"], WIDTHS[accessor["type"]]
        table = self._numbers(accessor, accessor["componentType"], shape)

        # Some rows may be given apart.
        if "sparse" in accessor:
            sparse, table = accessor["sparse"], table.copy()
            indices, values = sparse["indices"], sparse["values"]
            rows = self._numbers(indices, indices["componentType"], (sparse["count"], 1))
            few = sparse["count"], shape[1]
            table[rows[:, 0]] = self._numbers(values, accessor["componentType"], few)
        return fractions_of(table) if accessor.get("normalized") else table

    def _numbers(self, where: Json, kind: int, shape: tuple[int, int]) -> Table:
        """Return numbers of a view; zeros if there is none."""
        dtype = np.dtype(TYPES[kind])
        if "bufferView" not in where:
            # No data of the file bear this number out.
            if shape[0] > MOST_BARE:
                raise ValueError(f"a table of {shape[0]:,} rows has no data")
            return np.zeros(shape, dtype)
        stride = self.json["bufferViews"][where["bufferView"]].get("byteStride")
        steps = stride or shape[1] * dtype.itemsize, dtype.itemsize
        data = self.view(where["bufferView"])
        return np.ndarray(shape, dtype, data, where.get("byteOffset", 0), steps)


def fractions_of(table: Table) -> Table:
    """Return whole numbers as the fractions of their largest that they stand for."""
    if table.dtype.kind not in "iu":
        return table
    return np.maximum(table / np.iinfo(table.dtype).max, -1)


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """Return the chunks of a binary file by type, of each type the first."""
    _, version, length = struct.unpack_from("<4sII", data)
    if version != 2:
        raise ValueError(f"binary glTF {version}, and only 2 is read")
    if length > len(data):
        raise ValueError("it ends too early")

    chunks, at = dict[bytes, bytes](), 12
    while at + 8 <= len(data):
        size, kind = struct.unpack_from("<I4s", data, at)
        chunk = data[at + 8 : at + 8 + size]
        if len(chunk) != size:
            raise ValueError("it ends too early")
        chunks.setdefault(kind, chunk)
        at += 8 + size
    return chunks
