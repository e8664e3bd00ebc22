"""Files of NumPy arrays, `.npy`: read without pickle, and written."""

import io
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from seqjepa.errors import DataError

# Errors of NumPy at a file that cannot be read, a bad header, a short file, or objects, which need
# pickle.
BROKEN_NPY = (OSError, EOFError, MemoryError, ValueError, OverflowError, SyntaxError, TokenError)


def open_array(
    path: Path, wanted: str, remedy: str = "save it as one array of numbers with numpy.save"
) -> npt.NDArray[Any]:
    """Return the array in a .npy file, mapped into memory.

    Args:
        path: the file.
        wanted: what is expected in it, for messages.
        remedy: what to do if it is missing or cannot be used.

    Raises:
        DataError: if the file is missing, unreadable, damaged, or holds what needs pickle.
    """
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing, expected {wanted}: {remedy}") from error
    except BROKEN_NPY as error:
        raise DataError(
            f"{path} is no whole .npy file of plain numbers ({error}), expected {wanted}: {remedy}"
        ) from error


def read_bytes(path: Path, most: int, remedy: str = "get it again") -> bytes:
    """Return all bytes of a file.

    Args:
        path: the file.
        most: number of bytes that it may have.
        remedy: what to do if it is missing.

    Raises:
        DataError: if it is missing, unreadable, or has more than `most`.
    """
    try:
        # One byte more shows that a file is too large, however large it is.
        with path.open("rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: {remedy}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error

    if len(data) > most:
        raise DataError(
            f"{path} has more than {most:,} bytes, which such a file cannot have: get it again"
        )
    return data


def parse(data: bytes, path: Path, wanted: str) -> npt.NDArray[Any]:
    """Return the array that the bytes of a .npy file hold.

    Raises:
        DataError: if they are damaged, or hold what needs pickle.
    """
    try:
        array: npt.NDArray[Any] = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except BROKEN_NPY as error:
        reason = str(error) or type(error).__name__
        raise DataError(
            f"{path} is no whole .npy file of {wanted} ({reason}): get it again, or save "
            f"an array of {wanted}, not of objects"
        ) from error
    return array


def npy_bytes(array: npt.NDArray[Any]) -> bytes:
    """Return the bytes that `numpy.save` writes."""
    data = io.BytesIO()
    np.save(data, array, allow_pickle=False)
    return data.getvalue()


def npy_header(dtype: npt.DTypeLike, shape: tuple[int, ...]) -> bytes:
    """Return the bytes before the data in a .npy file of that type and shape."""
    # Version 1.0 explicitly: caches and packs are compared with these bytes.
    header = io.BytesIO()
    described = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(
        header, {"descr": described, "fortran_order": False, "shape": shape}
    )
    return header.getvalue()
