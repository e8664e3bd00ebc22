"""The manifest of a checkpoint folder: its files byte for byte, and what wrote them where."""

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


def changes(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the entries in which a saved environment differs from the present one.

    Environments of earlier versions lack entries, which are left out.
    """
    return [
        f"{key}: {saved[key]} there, {value} here"
        for key, value in now.items()
        if key in saved and saved[key] != value
    ]


def describe(
    step: int, files: Mapping[str, bytes], config_hash: str | None, place: Mapping[str, str]
) -> bytes:
    """Return the manifest's bytes: size and sha256 of each file, and last its own digest."""
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
    """Read the manifest of a folder, checked against its own digest.

    Raises:
        DamagedError: if it is not as it was written or of another folder.
        CheckpointError: if its format is newer than ours.
    """
    path = folder / NAME
    data = _read_bytes(path)
    # The digest covers the data, and the bytes must be those that this data would be written as.
    try:
        body: dict[str, Any] = json.loads(data)
        claimed = body.pop("sha256")
        whole = claimed == sha256(json_bytes(body))
        whole = whole and data == json_bytes(body | {"sha256": claimed})
    except (ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise DamagedError(f"{path} is damaged")

    if body["format"] > FORMAT:
        writer = body["environment"]["seqjepa"]
        raise CheckpointError(
            f"{folder} was written by seqjepa {writer} in format {body['format']}; this is seqjepa "
            f"{version('seqjepa')}, which reads up to format {FORMAT}: upgrade it"
        )
    # A name with a path in it would lead out of the folder.
    foreign = any(Path(name).name != name for name in body["files"])
    if foreign or folder.name != folder_name(body["step"]):
        raise DamagedError(f"{path} is of another folder, {folder_name(body['step'])}")
    return body


def folder_name(step: int) -> str:
    """Return the folder name of a step's checkpoint."""
    return f"step_{step:08d}"


def read_files(folder: Path, needed: str | None = None) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read a folder's manifest and the contents of every file that it names.

    Args:
        folder: of the manifest.
        needed: the one file that must be whole; others are left out where they are damaged. None
            for all.

    Raises:
        DamagedError: naming the first file that is missing or not as it was written.
        CheckpointError: if its format is newer than ours.
    """
    about, contents = read(folder), dict[str, bytes]()
    for name, entry in about["files"].items():
        try:
            contents[name] = _read_file(folder / name, entry)
        except DamagedError:
            if needed in (None, name):
                raise
    return about, contents


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
