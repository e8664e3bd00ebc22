"""`seqjepa train RECIPE [--method NAME]`: train a recipe.

Every field of the recipe's Experiment is an option.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from seqjepa import distributed
from seqjepa.commands.options import choose_recipe, parse, take_option
from seqjepa.config import Experiment
from seqjepa.recipes import recipe, recipes, with_method
from seqjepa.training.loop import train
from seqjepa.training.trackers import TRACKERS


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of the run, and below them every field of the experiment.

    `--method NAME` (or FILE.py) trains another method than the recipe's own; the options below are
    then that method's.
    """

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
    allow_changed_data: bool = False
    """Go on although the data have changed since the run was begun; by default that is an error,
    which names what has changed."""
    rank_timeout: float = 600.0
    """Under torchrun: seconds that a rank may keep the others waiting before all end."""
    keep_views: bool = False
    """Keep all training views in the device's memory, if half of it holds them; faster on a GPU."""


def main(arguments: list[str]) -> None:
    """Parse and train."""
    name, rest = choose_recipe(arguments, recipes(), prog="seqjepa train")
    method, rest = take_option("--method", rest)
    experiment = recipe(name)() if method is None else with_method(recipe(name)(), method)

    # The experiment decides which options there are: it is built before they are read.
    default = TrainOptions(experiment=experiment)
    options = parse(TrainOptions, rest, prog=f"seqjepa train {name}", default=default)
    run_dir = options.run_dir or Path("runs") / options.experiment.name
    trackers = [TRACKERS[tracker]() for tracker in options.track]
    train(
        options.experiment,
        run_dir,
        resume=options.resume,
        fail_on_collapse=options.fail_on_collapse,
        device=options.device,
        trackers=trackers,
        allow_changed_data=options.allow_changed_data,
        rank_timeout=options.rank_timeout,
        keep_views=options.keep_views,
    )

    # All ranks train, one of them speaks.
    if distributed.is_main_process():
        sys.stdout.write(f"done: {run_dir}. Next: seqjepa evaluate {run_dir}\n")
