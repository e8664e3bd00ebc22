"""Figures of controls, kept beside the cached views: another run on the same data reads them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch

from seqjepa.config import Experiment, to_json
from seqjepa.devices import place
from seqjepa.display import warn
from seqjepa.evaluation.protocol import Record
from seqjepa.evaluation.sampling import Sampling
from seqjepa.files import json_bytes, write_atomically
from seqjepa.store.cache import cache_folder
from seqjepa.worlds.base import WorldSpec

# Raise it when figures of controls change for another reason than their key.
FORMAT = 3


def control_key(
    name: str,
    experiment: Experiment,
    spec: WorldSpec,
    samplings: Mapping[str, Sampling],
    device: torch.device,
) -> dict[str, Any] | None:
    """Return everything that a control's figures depend on; None if that cannot be known.

    Args:
        name: `pixels`, or `random`, which depends on the method's architecture as well.
        experiment: that is evaluated.
        spec: of the world, with the digests of its data.
        samplings: the views of each split.
        device: that computes.
    """
    # Code of a user's own may change without a trace, and so may data without a digest.
    parts = [experiment.world] + [experiment.method] * (name == "random")
    if not spec.data or not all(type(part).__module__.startswith("seqjepa.") for part in parts):
        return None

    config = to_json(experiment)
    key = {
        "format": FORMAT,
        "features": name,
        "world": config["world"],
        # Its width is that of the probes.
        "encoder": config["encoder"],
        "data": spec.data,
        "views": {split: asdict(sampling) for split, sampling in samplings.items()},
        "evaluate": config["evaluate"],
        "seed": experiment.seed,
        **place(experiment.evaluate.precision, device),
    }
    if name == "random":
        # Training batches give the statistics of its BatchNorm.
        batches = ("num_views", "batch_size", "accumulate")
        key |= {"train": {name: config["train"][name] for name in batches}}
        key |= {"method": config["method"]}
    return key


def kept(key: Mapping[str, Any] | None, measure: Callable[[], list[Record]]) -> list[Record]:
    """Return the records of that key, or else measure and keep them.

    Args:
        key: from `control_key`.
        measure: returns the records.
    """
    if key is None:
        return measure()
    path = cache_folder("controls", key) / "records.json"
    try:
        return [Record(**record) for record in json.loads(path.read_bytes())]
    except (OSError, ValueError, TypeError):
        pass  # it is not there, or damaged

    records = measure()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json_bytes([asdict(record) for record in records]))
    except OSError as error:
        # The figures are good; they only have to be measured again next time.
        warn(f"cannot keep the figures of the control in {path}: {error}")
    return records
