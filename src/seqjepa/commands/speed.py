"""`seqjepa speed render|step|load|augment|saccades|start`: measure speed against a reference.

The plain reference takes turns with ours in the same run. `seqjepa speed methods` measures what a
training view costs with each method: there the methods take turns.
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
from seqjepa.files import WINDOWS
from seqjepa.speed import cost, figure
from seqjepa.speed.cost import Cost
from seqjepa.speed.figure import Figure

MEASUREMENTS = ("render", "step", "load", "augment", "saccades", "start", "methods")


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


@dataclass(frozen=True, kw_only=True)
class MethodsOptions(SpeedOptions):
    """Options of the measurement of methods."""

    rounds: int = 40
    """Number of times that the methods take turns; the least time of each counts."""
    methods: tuple[str, ...] = ("all",)
    """Contenders as `seqjepa benchmark` takes them. `all`: every method with its defaults, the
    demo's objective and its controls."""


OPTIONS: dict[str, type[SpeedOptions]] = {"step": StepOptions, "methods": MethodsOptions}


def main(arguments: list[str]) -> None:
    """Parse, measure and print."""
    if WINDOWS:
        raise ConfigError("seqjepa speed reads the CPU's time, which Windows tells in another way")
    name, rest = choose("measurement", arguments, MEASUREMENTS, prog="seqjepa speed")
    options = parse(OPTIONS.get(name, SpeedOptions), rest, prog=f"seqjepa speed {name}")
    if options.rounds < 1:
        raise ConfigError(f"--rounds must be at least 1, got {options.rounds}")

    title = f"seqjepa speed {name}"
    if isinstance(options, MethodsOptions):
        costs = _costs(options)
        data, table = cost.as_json(costs, _machine()), cost.as_table(costs, title)
    else:
        figures = _figures(name, options)
        data, table = figure.as_json(figures, _machine()), figure.as_table(figures, title)

    if options.json:
        sys.stdout.write(json.dumps(data, indent=1) + "\n")
    else:
        Console().print(table)


def _figures(name: str, options: SpeedOptions) -> list[Figure]:
    # Imported late: each measures with its own libraries.
    module = importlib.import_module(f"seqjepa.speed.{name}")
    found: list[Figure]
    if isinstance(options, StepOptions):
        if options.device.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError(f"--device {options.device}: there is no CUDA device on this machine")
        found = module.figures(torch.device(options.device), rounds=options.rounds)
    else:
        found = module.figures(rounds=options.rounds)
    return found


def _costs(options: MethodsOptions) -> list[Cost]:
    # Imported late: the other measurements need none of it.
    from seqjepa.benchmark.contenders import contenders
    from seqjepa.recipes import every_method
    from seqjepa.recipes.shapes import shapes_tiny
    from seqjepa.speed import methods

    # The reference is measured whether it was asked for or not.
    names = [methods.REFERENCE]
    for method in options.methods:
        names += [*every_method(), *methods.MORE] if method == "all" else [method]
    chosen = contenders(names, shapes_tiny())
    return methods.figures({each.name: each.experiment for each in chosen}, options.rounds)


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
