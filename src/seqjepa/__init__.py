"""seq-JEPA: world models of equivariant and invariant representations.

They learn both representations from sequences of views and actions. The public names are imported
when first used, so that `import seqjepa` is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqjepa.actions import ActionSpace, Group
    from seqjepa.config import EvaluateConfig, Experiment, OptimConfig, TrainConfig
    from seqjepa.evaluation.evaluate import evaluate
    from seqjepa.evaluation.suite import evaluate_suite
    from seqjepa.evaluation.transfer import transfer
    from seqjepa.exchange.pretrained import from_pretrained
    from seqjepa.model import Model, load
    from seqjepa.nn import EncoderConfig
    from seqjepa.recipes import recipe
    from seqjepa.training.loop import train
    from seqjepa.types import Representation, SequenceBatch, StepOutput
    from seqjepa.world_model.model import WorldModel
    from seqjepa.world_model.planning import CrossEntropy, Gradient
    from seqjepa.world_model.state import State

_HOMES = {
    "ActionSpace": "actions",
    "Group": "actions",
    "EvaluateConfig": "config",
    "Experiment": "config",
    "OptimConfig": "config",
    "TrainConfig": "config",
    "evaluate": "evaluation.evaluate",
    "evaluate_suite": "evaluation.suite",
    "transfer": "evaluation.transfer",
    "from_pretrained": "exchange.pretrained",
    "Model": "model",
    "load": "model",
    "EncoderConfig": "nn",
    "recipe": "recipes",
    "train": "training.loop",
    "Representation": "types",
    "SequenceBatch": "types",
    "StepOutput": "types",
    "CrossEntropy": "world_model.planning",
    "Gradient": "world_model.planning",
    "State": "world_model.state",
    "WorldModel": "world_model.model",
}

__all__ = [
    "ActionSpace",
    "CrossEntropy",
    "EncoderConfig",
    "EvaluateConfig",
    "Experiment",
    "Gradient",
    "Group",
    "Model",
    "OptimConfig",
    "Representation",
    "SequenceBatch",
    "State",
    "StepOutput",
    "TrainConfig",
    "WorldModel",
    "evaluate",
    "evaluate_suite",
    "from_pretrained",
    "load",
    "recipe",
    "train",
    "transfer",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'seqjepa' has no attribute {name!r}")
    return getattr(importlib.import_module(f"seqjepa.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
