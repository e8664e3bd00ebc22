"""The manifest of a checkpoint folder: what was written, byte for byte, by what and where."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from seqjepa.devices import environment
from seqjepa.errors import CheckpointError
from seqjepa.files import json_bytes, sha256

FORMAT = 1
NAME = "manifest.json"


class DamagedError(CheckpointError):
    """One checkpoint is not as it was written; another one may be."""


def changes(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """In what a saved environment differs from ours, each with both values; older ones lack
    entries, of which nothing can be said."""
    return [
        f"{key}: {there[key]} there, {value} here"
        for key, value in here.items()
        if key in there and there[key] != value
    ]


def describe(
    step: int, files: Mapping[str, bytes], config_hash: str | None, place: Mapping[str, str]
) -> bytes:
    """The manifest's contents: size and sha256 of each file, and last its own."""
    entries = {name: {"sha256": sha256(data), "bytes": len(data)} for name, data in files.items()}
    body = {
        "format": FORMAT,
        "step": step,
        "files": entries,
        "config_hash": config_hash,
        "environment": environment(place),
    }
    return json_bytes(body | {"sha256": sha256(json_bytes(body))})


def read(folder: Path) -> dict[str, Any]:
    """The manifest of a folder, once it has vouched for itself.

    Raises:
        DamagedError: if it is not as it was written or of another folder.
        CheckpointError: if its format is newer than ours.
    """
    path = folder / NAME
    data = _read_bytes(path)
    try:
        body: dict[str, Any] = json.loads(data)
        claimed = body.pop("sha256")
        whole = claimed == sha256(json_bytes(body)) and data == json_bytes(
            body | {"sha256": claimed}
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise DamagedError(f"{path} is damaged")
    if body["format"] > FORMAT:
        wrote = f"{folder} was written by seqjepa {body['environment']['seqjepa']} in format {body['format']}"
        raise CheckpointError(
            f"{wrote}; this is seqjepa {version('seqjepa')}, which reads up to format {FORMAT}: upgrade it"
        )
    if folder.name != folder_name(body["step"]) or any(
        Path(name).name != name for name in body["files"]
    ):
        raise DamagedError(f"{path} is of another folder, {folder_name(body['step'])}")
    return body


def folder_name(step: int) -> str:
    """What the checkpoint of a step is called."""
    return f"step_{step:08d}"


def read_files(folder: Path) -> dict[str, bytes]:
    """The contents of every file that the manifest names.

    Raises:
        DamagedError: naming the first file that is missing or not as it was written.
    """
    return {name: _read_file(folder / name, entry) for name, entry in read(folder)["files"].items()}


def _read_file(path: Path, entry: Mapping[str, Any]) -> bytes:
    data = _read_bytes(path)
    if len(data) != entry["bytes"]:
        raise DamagedError(
            f"{path} is damaged: {len(data):,} bytes where {entry['bytes']:,} were written"
        )
    if sha256(data) != entry["sha256"]:
        raise DamagedError(f"{path} is damaged: its sha256 is not what was written")
    return data


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DamagedError(f"{path} cannot be read: {error.strerror}") from error
