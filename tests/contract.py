"""What the contract test needs: every method, small, and worlds of several kinds."""

import importlib
import pkgutil
from dataclasses import fields, replace

import signal_world
from seqjepa import methods
from seqjepa.config import Experiment, TrainConfig
from seqjepa.methods.base import MethodConfig
from seqjepa.nn import EncoderConfig
from seqjepa.recipes import with_method

NAMES = sorted(module.name for module in pkgutil.iter_modules(methods.__path__) if module.name != "base")
SMALL = {"action_width": 8, "pairs": 4, "heads": 2, "layers": 1, "expansion": 1, "predictor_width": 16, "dropout": 0.0}


def config(name: str) -> type[MethodConfig]:
    """The config class of a method."""
    return importlib.import_module(f"seqjepa.methods.{name}").Config


def experiment(name: str, world=None, **changes) -> Experiment:
    """A method's defaults in a small net."""
    base = replace(
        signal_world.recipe(),
        world=world or signal_world.Config(),
        encoder=EncoderConfig(width=2, stem="compact"),
        train=TrainConfig(steps=4, batch_size=8, num_views=4, precision="fp32", log_every=1, checkpoint_every=2),
    )
    chosen = with_method(base, name)
    known = {field.name for field in fields(chosen.method)}
    small = {key: value for key, value in SMALL.items() if key in known} | changes
    return replace(chosen, method=replace(chosen.method, **small))
