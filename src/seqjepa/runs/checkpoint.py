"""Checkpoints that are either whole or not there: safetensors and JSON, verified before use.

A checkpoint is the folder `step_00000020` with one `.safetensors` file per part (method, optimizer,
probe), `state.json` and, written last, `manifest.json`: size and sha256 of every file. A folder
without a manifest is what an interrupted save left: it is never read. Nothing here can run code
from a file.
"""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from seqjepa import files
from seqjepa.errors import CheckpointError
from seqjepa.files import disk_errors
from seqjepa.runs import manifest
from seqjepa.runs.manifest import DamagedError

KEPT = 2  # the newest one, and one to fall back to should the newest be damaged later
SUFFIX = ".safetensors"
IMPORTED = "imported"  # key of a state: the file that the weights were imported from


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found as it was written, or as far as it was needed.

    Attributes:
        path: its folder.
        step: optimizer steps done.
        state: JSON data that were saved beside the tensors.
        tensors: by part ("method", "optimizer", "probe"), then by name; on the CPU.
        environment: of the machine that saved it, see `devices.environment`.
        damaged: files that were not needed and are damaged; state or tensors lack them.
    """

    path: Path
    step: int
    state: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]
    environment: dict[str, Any]
    damaged: tuple[str, ...] = ()


def save(
    folder: Path,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
) -> Path:
    """Write a checkpoint, verify it, and only then remove all but the newest two.

    Args:
        folder: of all checkpoints of the run; made if need be.
        step: optimizer steps done.
        tensors: by part, then by name. A part's name becomes a file's name.
        state: JSON data; its `config_hash` and its `place` (see `devices.place`), if any, go into
            the manifest.

    Returns:
        The checkpoint's folder.

    Raises:
        DiskError: if it cannot be written; the earlier checkpoints are as they were.
        CheckpointError: if it does not read back as written; likewise.
    """
    path = folder / manifest.folder_name(step)
    contents = {name + SUFFIX: serialise(part) for name, part in tensors.items()}
    contents["state.json"] = files.json_bytes(state)
    contents[manifest.NAME] = manifest.describe(
        step, contents, state.get("config_hash"), state.get("place", {})
    )

    # Written whole, verified as it lies on the disk, and only then taken for the newest.
    needed = sum(map(len, contents.values()))
    remedy = f"It needs {needed:,} bytes: make room, then go on with --resume"
    with disk_errors(f"cannot save {path}", remedy):
        try:
            if not _holds(path, contents):
                _remove(path)
                _write(path, contents)
            _read(path)
            _prune(folder, step)
        except OSError:
            # Half a checkpoint would keep the room that the next save needs.
            if not (path / manifest.NAME).exists():
                shutil.rmtree(path, ignore_errors=True)
            raise
    return path


def latest(
    folder: Path, warn: Callable[[str], None], *, part: str | None = None
) -> Checkpoint | None:
    """Read the newest checkpoint that is whole; return None if there never was one.

    Args:
        folder: of all checkpoints of the run.
        warn: is called with each damaged file that was passed over.
        part: the one part that is needed, such as `method`; a checkpoint is then good enough if
            that is whole. None for all.

    Raises:
        CheckpointError: if there are checkpoints but none is whole, or if a newer seqjepa wrote
            them.
    """
    # Newest first; damage is only worth a warning where there is another one to go on from.
    damage: list[str] = []
    for step, path in reversed(committed(folder).items()):
        try:
            found = _read(path, part)
        except DamagedError as error:
            damage.append(str(error))
            continue
        for text in damage:
            warn(f"{text}; going on from step {step}")
        if found.damaged:
            warn(f"{path}: {', '.join(found.damaged)} cannot be resumed from; {part} is whole")
        return found

    if damage:
        raise CheckpointError(
            "no checkpoint can be used, start again in another run folder:\n  "
            + "\n  ".join(damage)
        )
    return None


def committed(folder: Path) -> dict[int, Path]:
    """Return the folders of all finished checkpoints by step, ascending.

    They may be damaged; only reading them shows it.
    """
    finished = [path for path in _folders(folder) if (path / manifest.NAME).exists()]
    return dict(sorted((int(path.name.removeprefix("step_")), path) for path in finished))


def tidy(folder: Path) -> None:
    """Remove what interrupted saves left.

    Call it only while holding the run folder's lock: an unfinished save looks the same.

    Raises:
        DiskError: if it cannot be removed.
    """
    with disk_errors(f"cannot remove old checkpoints in {folder}"):
        for path in _folders(folder):
            if not (path / manifest.NAME).exists():
                shutil.rmtree(path)

        found = committed(folder)
        if len(found) > KEPT and _is_whole(found[max(found)]):
            _prune(folder, max(found))


def digest(path: Path) -> str:
    """Return one hash of a checkpoint's tensors and step.

    Two checkpoints have the same one if and only if they are equal, bit for bit.

    Raises:
        CheckpointError: if the checkpoint is damaged.
    """
    about, contents = manifest.read_files(path)
    hashes = {name: about["files"][name]["sha256"] for name in contents if name.endswith(SUFFIX)}
    return files.sha256(files.json_bytes([about["step"], hashes]))


def config_hash(config: Mapping[str, Any]) -> str:
    """Return the sha256 of a config's JSON data, whatever the order of its keys."""
    return files.sha256(files.json_bytes(config))


def _holds(path: Path, contents: Mapping[str, bytes]) -> bool:
    """Return whether this very checkpoint is already there, as when a run stops after a save."""
    return all(
        (path / name).exists() and (path / name).read_bytes() == data
        for name, data in contents.items()
    )


def _write(path: Path, contents: Mapping[str, bytes]) -> None:
    path.mkdir(parents=True)
    files.sync(path.parent)
    # The manifest is the last of the contents: with it, the checkpoint is finished.
    for name, data in contents.items():
        if name == manifest.NAME:
            files.at("before manifest")
        files.write_atomically(path / name, data)


def _prune(folder: Path, newest: int) -> None:
    """Remove all checkpoints but the newest and the latest whole one before it."""
    kept = 1
    for step, path in reversed(committed(folder).items()):
        if step == newest:
            continue
        # A later one must be damaged, or the run would have gone on from it.
        if step < newest and kept < KEPT and _is_whole(path):
            kept += 1
        else:
            _remove(path)


def _remove(path: Path) -> None:
    """Remove a checkpoint, its manifest first: a folder that is half removed is no checkpoint."""
    if path.exists():
        (path / manifest.NAME).unlink(missing_ok=True)
        files.sync(path)
        files.at("while removing the old one")
        shutil.rmtree(path)


def _read(path: Path, part: str | None = None) -> Checkpoint:
    """Read the checkpoint in a folder; every byte is checked before it is parsed.

    Of another part than the one that is needed only what is whole is read.
    """
    about, contents = manifest.read_files(path, None if part is None else part + SUFFIX)
    tensors = {
        name.removesuffix(SUFFIX): parse(path / name, data)
        for name, data in contents.items()
        if name.endswith(SUFFIX)
    }
    state = json.loads(contents.get("state.json", "{}"))
    damaged = tuple(sorted(set(about["files"]) - set(contents)))
    return Checkpoint(path, about["step"], state, tensors, about["environment"], damaged)


def _is_whole(path: Path) -> bool:
    try:
        _read(path)
    except DamagedError:
        return False
    return True


def parse(path: Path, data: bytes) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, by name.

    Args:
        path: of the file, for the message.
        data: its contents.

    Raises:
        DamagedError: if they are no such file.
    """
    try:
        return safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise DamagedError(f"{path} is no safetensors file: {error}") from error


def serialise(tensors: Mapping[str, Tensor]) -> bytes:
    """Return the contents of a safetensors file that holds tensors by name."""
    # Cloned, since safetensors takes neither other memory layouts nor tensors that share memory.
    clones = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    return safetensors.torch.save(clones)


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.glob("step_*") if re.fullmatch(r"step_\d{8,}", path.name)]
