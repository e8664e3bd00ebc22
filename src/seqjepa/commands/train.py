"""`seqjepa train RECIPE`: every field of the recipe's Experiment is an option."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from seqjepa.config import Experiment
from seqjepa.errors import ConfigError
from seqjepa.recipes import find, recipes
from seqjepa.training import train


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the run, and below them every field of the experiment."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    run_dir: Path | None = None
    """Folder of the run; default runs/NAME."""
    resume: bool = False
    """Go on from the folder's newest checkpoint; start if there is none."""
    fail_on_collapse: bool = False
    """End the run when the representation collapses, instead of warning."""
    device: str | None = None
    """cpu, cuda, cuda:1 ...; default: CUDA where there is one."""
    track: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Trackers to feed beside metrics.jsonl."""


def main(arguments: list[str]) -> None:
    """Parse and train."""
    if not arguments or arguments[0].startswith("-"):
        names = ", ".join(recipes())
        if arguments and arguments[0] in ("-h", "--help"):
            sys.stdout.write(
                f"usage: seqjepa train RECIPE [OPTIONS]; seqjepa train RECIPE --help lists the options\n\nrecipes: {names}, FILE.py\n"
            )
            return
        raise ConfigError(f"name a recipe first: seqjepa train RECIPE [OPTIONS]. Known: {names}, or FILE.py of your own")
    name, *rest = arguments
    default = Options(experiment=find(name)())
    options = tyro.cli(Options, args=rest, default=default, prog=f"seqjepa train {name}", config=(tyro.conf.FlagCreatePairsOff,))
    run_dir = options.run_dir or Path("runs") / options.experiment.name
    from seqjepa.trackers import TRACKERS

    trackers = [TRACKERS[tracker] for tracker in options.track]
    train(
        options.experiment,
        run_dir,
        resume=options.resume,
        fail_on_collapse=options.fail_on_collapse,
        device=options.device,
        trackers=trackers,
    )
    sys.stdout.write(f"done: {run_dir}. Next: seqjepa evaluate {run_dir}\n")
