"""Checkpoints that are either whole or not there: safetensors and JSON, committed by a manifest,
verified before use.

A checkpoint is the folder `step_00000020` with one `.safetensors` file per part (method, optimizer,
probe), `state.json` and, written last, `manifest.json`: size and sha256 of every file. A folder
without manifest is what an interrupted save left: it is never read. Nothing here can run code from
a file."""

import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from seqjepa import files
from seqjepa.errors import CheckpointError, DiskError
from seqjepa.runs import manifest
from seqjepa.runs.manifest import DamagedError

KEPT = 2  # the newest one, and one to fall back to should the newest be damaged later
SUFFIX = ".safetensors"

NamedParameters = Iterable[tuple[str, nn.Parameter]]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose every byte was found as it was written.

    Attributes:
        path: its folder.
        step: optimizer steps done.
        state: what was saved beside the tensors, as JSON data.
        tensors: by part ("method", "optimizer", "probe"), then by name; on the CPU.
        environment: see `manifest.environment`, where it was saved.
    """

    path: Path
    step: int
    state: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]
    environment: dict[str, Any]


def save(
    folder: Path, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]
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
    contents = {name + SUFFIX: _serialise(part) for name, part in tensors.items()} | {
        "state.json": files.json_bytes(state)
    }
    contents[manifest.NAME] = manifest.describe(
        step, contents, state.get("config_hash"), state.get("place", {})
    )
    try:
        if not _holds(path, contents):
            _remove(path)
            _write(path, contents)
        _read(path)
        _prune(folder, step)
    except OSError as error:
        if not (path / manifest.NAME).exists():
            shutil.rmtree(path, ignore_errors=True)
        needed = sum(map(len, contents.values()))
        reason = error.strerror or error
        raise DiskError(
            f"cannot save {path}: {reason}; it needs {needed:,} bytes. Make room, then go on with --resume"
        ) from error
    return path


def latest(folder: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that is whole, None if there never was one.

    Args:
        folder: of all checkpoints of the run.
        warn: is told of each damaged file that was passed over.

    Raises:
        CheckpointError: if there are checkpoints but none is whole, or if a newer seqjepa wrote
            them.
    """
    damage: list[str] = []
    for step, path in reversed(committed(folder).items()):
        try:
            found = _read(path)
        except DamagedError as error:
            damage.append(str(error))
            continue
        for text in damage:
            warn(f"{text}; going on from step {step}")
        return found
    if damage:
        raise CheckpointError(
            "no checkpoint can be used, start again in another run folder:\n  "
            + "\n  ".join(damage)
        )
    return None


def committed(folder: Path) -> dict[int, Path]:
    """The folders of all finished checkpoints by their step, in order; they may be damaged, which
    only reading tells."""
    found = {
        int(path.name.removeprefix("step_")): path
        for path in _folders(folder)
        if (path / manifest.NAME).exists()
    }
    return dict(sorted(found.items()))


def tidy(folder: Path) -> None:
    """Remove what interrupted saves left; only for the one who writes here, since a save under way
    looks the same.

    Raises:
        DiskError: if it cannot be removed.
    """
    try:
        for path in _folders(folder):
            if not (path / manifest.NAME).exists():
                shutil.rmtree(path)
        found = committed(folder)
        if len(found) > KEPT and _whole(found[max(found)]):
            _prune(folder, max(found))
    except OSError as error:
        raise DiskError(
            f"cannot remove old checkpoints in {folder}: {error.strerror or error}"
        ) from error


def restore(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Load all of a module's parameters and buffers, or none.

    Args:
        module: of the same architecture.
        tensors: as `module.state_dict()` gave them.
        source: where they come from, for the message.

    Raises:
        CheckpointError: with the missing, unexpected and mis-shaped keys.
    """
    _require_match(module.state_dict(), tensors, source)
    module.load_state_dict(dict(tensors), strict=True)


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, names: NamedParameters
) -> dict[str, Tensor]:
    """An optimizer's state as tensors named `exp_avg.<parameter>` and so on.

    Learning rates and other settings are not in it: they are functions of config and step.

    Args:
        optimizer: whose parameters are all named.
        names: `module.named_parameters()`.
    """
    states = {
        name: optimizer.state[parameter]
        for name, parameter in names
        if parameter in optimizer.state
    }
    return {
        f"{slot}.{name}": torch.as_tensor(value)
        for name, state in states.items()
        for slot, value in state.items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer,
    names: NamedParameters,
    tensors: Mapping[str, Tensor],
    source: str,
) -> None:
    """Give an optimizer the state that `optimizer_tensors` took from its like.

    Args:
        optimizer: freshly made, over the same parameters.
        names: `module.named_parameters()`.
        tensors: from `optimizer_tensors`; parameters that never had a gradient have none.
        source: where they come from, for the message.

    Raises:
        CheckpointError: with the keys that do not fit; the optimizer is as it was.
    """
    name_of = {parameter: name for name, parameter in names}
    optimized = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    slots = dict.fromkeys(key.partition(".")[0] for key in tensors)
    stateful = {key.partition(".")[2] for key in tensors}
    expected = {
        f"{slot}.{name_of[parameter]}": torch.zeros(()) if slot == "step" else parameter
        for parameter in optimized
        for slot in slots
        if name_of[parameter] in stateful
    }
    _require_match(expected, tensors, source)
    states = {}
    for index, parameter in enumerate(optimized):
        if name_of[parameter] in stateful:
            # Copied into the parameter's memory layout (channels-last or not), which fused kernels expect the state to share.
            layout = {
                slot: torch.empty_like(
                    expected[f"{slot}.{name_of[parameter]}"], requires_grad=False
                )
                for slot in slots
            }
            states[index] = {
                slot: empty.copy_(tensors[f"{slot}.{name_of[parameter]}"])
                for slot, empty in layout.items()
            }
    optimizer.load_state_dict(
        {"state": states, "param_groups": optimizer.state_dict()["param_groups"]}
    )


def digest(path: Path) -> str:
    """One hash of all tensors of a checkpoint folder and its step: equal if and only if two runs
    are, bit for bit.

    Raises:
        CheckpointError: if the checkpoint is damaged.
    """
    step = _read(path).step
    hashes = {
        name: entry["sha256"]
        for name, entry in manifest.read(path)["files"].items()
        if name.endswith(SUFFIX)
    }
    return files.sha256(files.json_bytes([step, hashes]))


def config_hash(config: Mapping[str, Any]) -> str:
    """The sha256 of a config's JSON data, whatever the order of its keys."""
    return files.sha256(files.json_bytes(config))


def _holds(path: Path, contents: Mapping[str, bytes]) -> bool:
    """Whether this very checkpoint is already there, as when a run stops right after a save."""
    return all(
        (path / name).exists() and (path / name).read_bytes() == data
        for name, data in contents.items()
    )


def _write(path: Path, contents: Mapping[str, bytes]) -> None:
    path.mkdir(parents=True)
    files.sync(path.parent)
    for name, data in contents.items():
        if name == manifest.NAME:
            files.at("before manifest")
        files.write_atomically(path / name, data)


def _prune(folder: Path, newest: int) -> None:
    """Remove all but the newest and the latest whole one before it. Later ones are damaged, else
    the run had gone on from them."""
    kept = 1
    for step, path in reversed(committed(folder).items()):
        if step == newest:
            continue
        if step < newest and kept < KEPT and _whole(path):
            kept += 1
        else:
            _remove(path)


def _remove(path: Path) -> None:
    """The manifest first: a folder that is half removed is no checkpoint."""
    if path.exists():
        (path / manifest.NAME).unlink(missing_ok=True)
        files.sync(path)
        files.at("while removing the old one")
        shutil.rmtree(path)


def _read(path: Path) -> Checkpoint:
    """The checkpoint in a folder; every byte is checked before it is parsed."""
    contents = manifest.read_files(path)
    tensors = {
        name.removesuffix(SUFFIX): _parse(path / name, data)
        for name, data in contents.items()
        if name.endswith(SUFFIX)
    }
    about = manifest.read(path)
    return Checkpoint(
        path, about["step"], json.loads(contents["state.json"]), tensors, about["environment"]
    )


def _whole(path: Path) -> bool:
    try:
        _read(path)
    except DamagedError:
        return False
    return True


def _parse(path: Path, data: bytes) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise DamagedError(f"{path} is no safetensors file: {error}") from error


def _serialise(tensors: Mapping[str, Tensor]) -> bytes:
    """Cloned, since safetensors takes neither other memory layouts nor tensors that share
    memory."""
    clones = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    return safetensors.torch.save(clones)


def _require_match(expected: Mapping[str, Tensor], got: Mapping[str, Tensor], source: str) -> None:
    common = [key for key in expected if key in got]
    found = {
        "missing": [key for key in expected if key not in got],
        "unexpected": [key for key in got if key not in expected],
        "mis-shaped": [
            f"{key} ({_form(got[key])}, not {_form(expected[key])})"
            for key in common
            if _form(got[key]) != _form(expected[key])
        ],
    }
    if any(found.values()):
        lines = [
            f"{len(keys)} {what}: {', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''}"
            for what, keys in found.items()
            if keys
        ]
        raise CheckpointError(
            f"{source} is of another architecture; nothing was loaded:\n  " + "\n  ".join(lines)
        )


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.glob("step_*") if re.fullmatch(r"step_\d{8,}", path.name)]
