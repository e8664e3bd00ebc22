"""`seqjepa speed render|step|load|augment|saccades|start`: measure speed against a reference.

The plain reference takes turns with ours in the same run.
"""

import importlib
import json
import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from rich.console import Console

from seqjepa.commands.options import choose, parse
from seqjepa.errors import ConfigError
from seqjepa.speed.figure import as_json, as_table

MEASUREMENTS = ("render", "step", "load", "augment", "saccades", "start")


@dataclass(frozen=True, kw_only=True)
class SpeedOptions:
    """Options of the measurement."""

    json: bool = False
    """Print JSON instead of a table."""
    rounds: int = 5
    """Number of times that ours and the reference take turns; the least time counts."""


@dataclass(frozen=True, kw_only=True)
class StepOptions(SpeedOptions):
    """Options of the measurement of a training step."""

    device: str = "cpu"
    """cpu, or cuda for the promises about a GPU."""


def main(arguments: list[str]) -> None:
    """Parse, measure and print."""
    name, rest = choose("measurement", arguments, MEASUREMENTS, prog="seqjepa speed")
    kind = StepOptions if name == "step" else SpeedOptions
    options = parse(kind, rest, prog=f"seqjepa speed {name}")
    if options.rounds < 1:
        raise ConfigError(f"--rounds must be at least 1, got {options.rounds}")

    # Imported late: each measures with its own libraries.
    module = importlib.import_module(f"seqjepa.speed.{name}")
    if isinstance(options, StepOptions):
        if options.device.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError(f"--device {options.device}: there is no CUDA device on this machine")
        figures = module.figures(torch.device(options.device), rounds=options.rounds)
    else:
        figures = module.figures(rounds=options.rounds)

    if options.json:
        sys.stdout.write(json.dumps(as_json(figures, _machine()), indent=1) + "\n")
    else:
        Console().print(as_table(figures, f"seqjepa speed {name}"))


def _machine() -> dict[str, Any]:
    """Return the hardware and the versions that the figures depend on."""
    packages = ("seqjepa", "torch", "numpy", "numba")
    return {
        "cores": os.cpu_count(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }
