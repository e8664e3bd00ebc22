"""A trained model as a folder: `model.safetensors` and `config.json`, as model hubs have it.

The config holds the experiment and the spec of its world, so that a model is built without data.
Nothing here can run code from a file.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from seqjepa.config import from_json, to_json
from seqjepa.devices import find_device
from seqjepa.errors import CheckpointError, ConfigError
from seqjepa.exchange.hub import download
from seqjepa.files import json_bytes, sha256
from seqjepa.from_json import build_dataclass
from seqjepa.model import Model, build_method
from seqjepa.runs.checkpoint import parse, serialise
from seqjepa.runs.config_file import dump_config, expanded, load_config
from seqjepa.runs.folder import EXPORTED
from seqjepa.runs.movable import is_path
from seqjepa.runs.tensors import restore
from seqjepa.worlds.base import WorldSpec

CONFIG, WEIGHTS = "config.json", EXPORTED
# Of config.json; the experiment in it notes a format of its own.
FORMAT = 1
KEYS = {"format", "experiment", "world", "step", "environment", "sha256"}
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


def pretrained_files(model: Model) -> dict[str, bytes]:
    """Return the contents of a model's folder, by file name.

    Of paths to data only the last component is kept: the folders of this machine are private.
    """
    weights = serialise(model.method.state_dict())
    experiment = dump_config(to_json(model.experiment))
    experiment["world"] = {
        key: Path(value).name if is_path(f"world.{key}") and isinstance(value, str) else value
        for key, value in experiment["world"].items()
    }

    config = {
        "format": FORMAT,
        "experiment": experiment,
        "world": asdict(model.spec),
        "step": model.step,
        "environment": model.environment,
        "sha256": sha256(weights),
    }
    return {WEIGHTS: weights, CONFIG: json_bytes(config)}


def from_pretrained(
    name: str | Path, revision: str | None = None, *, device: str | torch.device = "cpu"
) -> Model:
    """Load an exported model from a folder, or from the Hugging Face hub.

    Args:
        name: a folder of this machine, or `owner/name` on the hub.
        revision: branch, tag or commit on the hub; default: its main branch.
        device: where to put the model.

    Returns:
        The model; its outputs are those of the run that was exported, bit for bit.

    Raises:
        ConfigError: if there is no such folder or model, or the hub cannot be reached.
        CheckpointError: if what is there is damaged, or no export of this library.
    """
    where, folder = find_device(device), Path(name).expanduser()
    if not folder.exists():
        folder = download(str(name), revision, [CONFIG, WEIGHTS])
    elif revision is not None:
        raise ConfigError(
            f"{folder} is a folder of this machine and has no revision {revision!r}: leave it out"
        )
    return _read(folder, where)


def _read(folder: Path, device: torch.device) -> Model:
    """Return the model in a folder; every file is checked before it is used."""
    config = _read_config(folder)
    path = folder / CONFIG
    try:
        experiment = from_json(expanded(load_config(config["experiment"], path)))
        spec = build_dataclass(WorldSpec, config["world"], defaults=True)
        method = build_method(experiment, spec)
    except (ConfigError, AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} does not fit this version or its code: {error}") from error

    weights = _read_bytes(folder / WEIGHTS)
    if sha256(weights) != config["sha256"]:
        raise CheckpointError(f"{folder / WEIGHTS} is damaged: its sha256 is not that in {CONFIG}")
    restore(method, parse(folder / WEIGHTS, weights), str(folder / WEIGHTS))
    return Model(method.to(device).eval(), experiment, spec, config["step"], config["environment"])


def _read_config(folder: Path) -> dict[str, Any]:
    """Return the JSON data of a folder's config, if it is one of ours and not of a later format."""
    if (folder / "checkpoints").exists():
        raise CheckpointError(f"{folder} is the folder of a run: seqjepa.load reads it")
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        pickles = sorted(path.name for path in folder.glob("*") if path.suffix in PICKLES)
        hint = f". {pickles[0]} is not read: a pickle can run code" if pickles else ""
        raise CheckpointError(
            f"{folder} is no model that `seqjepa export` wrote: it has no "
            f"{' and no '.join(missing)}{hint}"
        )

    path = folder / CONFIG
    try:
        config = json.loads(_read_bytes(path))
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if not isinstance(config, dict) or not config.keys() >= {"format", "experiment", "world"}:
        raise CheckpointError(f"{path} is no config that `seqjepa export` wrote")
    if config["format"] != FORMAT:
        raise CheckpointError(
            f"{path} is of format {config['format']!r}, this seqjepa reads format {FORMAT}: "
            "upgrade seqjepa"
        )
    if lacking := sorted(KEYS - config.keys()):
        raise CheckpointError(f"{path} is damaged: it has no {', '.join(lacking)}")
    return config


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
