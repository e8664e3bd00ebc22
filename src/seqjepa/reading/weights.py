"""Files of named weights from other code, as PyTorch and safetensors write them.

Nothing in a file is executed: PyTorch's pickle is read with `weights_only`, and there is no other
way. Files come from strangers, so what they claim is compared with their size first.
"""

import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251 -- the error alone, nothing is unpickled by it
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from seqjepa.errors import CheckpointError
from seqjepa.reading.pixels import name_kind

MOST_PICKLE = 64 << 20  # bytes of the part of a file that is not the tensors' numbers
PARALLEL = "module."  # what PyTorch's DataParallel puts before every name
ZIP, PICKLE = b"PK\3\4", b"\x80"  # first bytes of what `torch.save` writes, now and before 1.6
AGAIN = "get the file again"
# Errors of PyTorch's reader at files that it did not write.
BROKEN = (
    RuntimeError,
    UnpicklingError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    MemoryError,
    struct.error,
)


@dataclass(frozen=True)
class Weights:
    """The named tensors of a file.

    Attributes:
        source: the file.
        tensors: on the CPU, by their names without `PARALLEL`.
        ignored: names of what else the file holds.
    """

    source: Path
    tensors: dict[str, Tensor]
    ignored: list[str] = field(default_factory=list)


def read_weights(path: Path) -> Weights:
    """Read the weights in a file.

    They are the file's top level or the one entry of it that maps names to tensors.

    Raises:
        CheckpointError: if it is missing, damaged, no file of weights, asks for anything but
            tensors and plain data, or holds several sets of weights or none.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(16)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error

    if begin.startswith(ZIP):
        _require_sound_zip(path)
        loaded = _unpickle(path)
    elif begin.startswith(PICKLE):
        loaded = _unpickle(path)
    elif begin[8:9] == b"{":
        loaded = _read_safetensors(path)
    else:
        kind = name_kind(begin) if begin else "it is empty"
        raise CheckpointError(
            f"{path} is no file of weights, by torch.save or safetensors ({kind}): {AGAIN}"
        )

    tensors, ignored = _find(loaded, path)
    for name, tensor in tensors.items():
        _require_plain(name, tensor, path)
    return Weights(path, _without_prefix(tensors, path), ignored)


def _require_sound_zip(path: Path) -> None:
    """Raise a CheckpointError unless a zip file is whole, and no larger inside than outside."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            # PyTorch packs nothing, so what is inside has at most the file's bytes.
            packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
            if packed or sum(member.file_size for member in members) > path.stat().st_size:
                raise CheckpointError(
                    f"{path} is a packed zip archive, which torch.save does not write: save the "
                    "weights with it"
                )
            pickles = [member for member in members if member.filename.endswith("/data.pkl")]
            if len(pickles) != 1 or pickles[0].file_size > MOST_PICKLE:
                raise CheckpointError(f"{path} is a zip archive, but no file of torch.save")
            bad = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError) as error:
        raise CheckpointError(f"{path} is damaged or cut short ({error}): {AGAIN}") from error
    if bad is not None:
        raise CheckpointError(f"{path} is damaged, {bad} is not what was written: {AGAIN}")


def _unpickle(path: Path) -> Any:
    """Return what `torch.save` wrote, if it is nothing but tensors and plain data."""
    try:
        # An open file, since of a path PyTorch believes the ending.
        with path.open("rb") as file, warnings.catch_warnings(action="ignore"):
            return torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        # PyTorch's own text advises to load the file all the same.
        wanted = re.search(r"GLOBAL (\S+)|(?:class|function) <?([\w.]+)", str(error))
        if wanted is None:
            raise CheckpointError(f"{path} is damaged or no file of torch.save: {AGAIN}") from error
        raise CheckpointError(
            f"{path} is refused, it asks for {wanted[1] or wanted[2]}: that may run code, and "
            "weights are tensors only. There is no option to load it all the same; let its owner "
            "save the weights alone, torch.save(model.state_dict(), FILE)"
        ) from error
    except BROKEN as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path} is damaged or no file of torch.save ({reason}): {AGAIN}"
        ) from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, *BROKEN) as error:
        raise CheckpointError(f"{path} is no whole safetensors file ({error}): {AGAIN}") from error


def _find(loaded: Any, path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Return the one mapping of names to tensors in what was loaded, and what else there is."""
    if not isinstance(loaded, Mapping):
        raise CheckpointError(
            f"{path} holds a {type(loaded).__name__}, expected a state dict: names and tensors"
        )
    if _has_tensors(loaded):
        entry, found = "", loaded
    else:
        sets = {key: value for key, value in loaded.items() if _has_tensors(value)}
        if len(sets) != 1:
            what = "no weights" if not sets else f"several sets of weights, {_few(sets)}"
            raise CheckpointError(
                f"{path} holds {what}: save the one state dict that you mean with torch.save"
            )
        entry, found = next(iter(sets.items()))

    others = [str(key) for key in loaded if key != entry] if entry else []
    tensors = {key: value for key, value in found.items() if isinstance(value, Tensor)}
    return tensors, others + [str(key) for key in found if key not in tensors]


def _has_tensors(value: Any) -> bool:
    """Return whether a value is a mapping of names, at least one of them a tensor's."""
    return (
        isinstance(value, Mapping)
        and all(isinstance(key, str) for key in value)
        and any(isinstance(item, Tensor) for item in value.values())
    )


def _require_plain(name: str, tensor: Tensor, path: Path) -> None:
    """Raise a CheckpointError unless a tensor is numbers in memory, as many as its shape says."""
    plain = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_meta
    # A stride of 0 would make much of one number.
    if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise CheckpointError(f"{path}: {name} is no plain tensor, save it with .contiguous()")


def _without_prefix(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return tensors without the prefix of DataParallel, which all must have or none."""
    prefixed = [name for name in tensors if name.startswith(PARALLEL)]
    if prefixed and len(prefixed) < len(tensors):
        other = next(name for name in tensors if name not in prefixed)
        raise CheckpointError(
            f"{path} has names with and without {PARALLEL!r}, such as {prefixed[0]} and {other}: "
            "two models are mixed in it"
        )
    return {name.removeprefix(PARALLEL): tensor for name, tensor in tensors.items()}


def _few(names: Mapping[Any, Any]) -> str:
    """Return the first names of many."""
    return ", ".join(map(str, [*names][:3])) + (", ..." if len(names) > 3 else "")
