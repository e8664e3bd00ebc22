"""The contenders of scripts/gpu.py, and the sizes in which they are compared."""

from dataclasses import dataclass, replace
from typing import Any

from seqjepa.config import EvaluateConfig, Experiment, TrainConfig
from seqjepa.nn import EncoderConfig
from seqjepa.recipes import with_method
from seqjepa.recipes.shapes import shapes, shapes_tiny
from seqjepa.worlds import shapes as world

# The demo's objective.
OURS = {
    "predict": "every",
    "loss": "contrast",
    "temperature": 0.1,
    "inverse": 5.0,
    "present": True,
    "condition": "predictor",
    "conditioning": "film",
}
# A method's name, or what is changed of the paper's seq-JEPA; trained in this order.
CONTENDERS: dict[str, str | dict[str, Any]] = {
    "last": {},
    "ours": OURS,
    "equimod": "equimod",
    "last_no_actions": {"condition": "none"},
    "every": {"predict": "every"},
    "byol": "byol",
}


@dataclass(frozen=True)
class Setting:
    """A size of the whole comparison.

    Attributes:
        recipe: what all contenders share.
        most: steps, at most; `least`: steps that are tried for, however small the budget.
        rounds: of the benchmark of a step.
    """

    recipe: Experiment
    most: int
    least: int
    rounds: int


def full() -> Setting:
    """Return the paper's sizes at 64 px. The views are 4 GB, which a cache verifies quickly."""
    paper = shapes()
    few = EvaluateConfig(objects=6000, encoded_views=8, draws=2, precision="auto", max_steps=10_000)
    views = world.Config(image_size=64, train_objects=20_000, test_objects=1_000, views=16)
    return Setting(replace(paper, world=views, evaluate=few), paper.train.steps, 200, 5)


def tiny() -> Setting:
    """Return sizes with which a CPU takes two minutes for both calls, most of it for the step."""
    base = shapes_tiny()
    recipe = replace(
        base,
        world=world.Config(image_size=16, train_objects=64, test_objects=32, views=8),
        encoder=EncoderConfig(width=4, stem="compact"),
        train=TrainConfig(batch_size=16, log_every=4),
        evaluate=EvaluateConfig(views=5, encoded_views=8, draws=2, max_steps=60),
        method=replace(base.method, predict="last", action_width=16),
    )
    return Setting(recipe, 24, 8, 1)


def contender(recipe: Experiment, name: str) -> Experiment:
    """Return a contender: its method, with as many views a step as all others."""
    chosen = CONTENDERS[name]
    if isinstance(chosen, str):
        return replace(with_method(recipe, chosen), name=f"gpu_{name}")
    return replace(recipe, name=f"gpu_{name}", method=replace(recipe.method, **chosen))
