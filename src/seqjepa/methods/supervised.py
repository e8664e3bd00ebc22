"""Supervised control: the class from each view, the action from two. It is a ceiling, no baseline.

    loss = mean of CE(classifier(f(x_t)), class), t = 1, 2
           + action * |inverse([f(x_1); f(x_2)]) - a|^2 / A

With the encoder, views and optimizer of the other methods it shows how much of class and action a
net of this size can learn in this time. Sequences without a label teach the action alone.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import nn
from typing_extensions import override

from seqjepa.actions import ActionSpace
from seqjepa.checks import not_negative, positive
from seqjepa.distributed import gather
from seqjepa.errors import ConfigError
from seqjepa.heads import InverseDynamics
from seqjepa.losses import mean_squared_error, precise
from seqjepa.methods.base import Method, MethodConfig, weighted
from seqjepa.nn import Encoder
from seqjepa.types import SequenceBatch, StepOutput


@dataclass(frozen=True, kw_only=True)
class Config(MethodConfig):
    """The control's settings.

    Attributes:
        classes: number of classes, or more; the outputs of the classifier.
        label: weight of the class.
        action: weight of the action between the two views.
    """

    reads: ClassVar[int | None] = 2
    conditioned: ClassVar[bool] = False
    without_actions: ClassVar[str] = "set method.action to 0"

    classes: int = 1000
    label: float = 1.0
    action: float = 5.0

    def __post_init__(self) -> None:
        positive(self, "classes")
        not_negative(self, "label", "action")

    @property
    @override
    def reads_actions(self) -> bool:
        return self.action > 0

    @override
    def build(self, encoder: Encoder, actions: ActionSpace) -> "Supervised":
        return Supervised(self, encoder, actions.action_dim)


class Supervised(Method):
    """An encoder with a linear classifier and a head that reads the action."""

    def __init__(self, config: Config, encoder: Encoder, action_dim: int) -> None:
        super().__init__(encoder)
        self.config = config
        self.classifier = nn.Linear(encoder.dim, config.classes)
        self.inverse = InverseDynamics(encoder.dim, action_dim) if config.action else None

    def forward(self, batch: SequenceBatch) -> StepOutput:
        """Return the loss on views [B, 2, ...]."""
        features = self.encoder(batch.views)
        # The mean is over the labelled views of all ranks, whose number differs between them.
        logits, labels = gather(self.classifier(features)), gather(batch.labels)
        if (largest := int(labels.max())) >= self.config.classes:
            raise ConfigError(
                f"the data have a class {largest}, counted from 0: set method.classes to "
                f"{largest + 1} or more, got {self.config.classes}"
            )

        # A batch without any label teaches nothing about classes, instead of 0 / 0.
        known = (labels >= 0).sum().clamp_min(1)
        rows, each = precise(logits).flatten(0, 1), labels.repeat_interleave(2)
        surprise = F.cross_entropy(rows, each, ignore_index=-1, reduction="sum")
        terms = {"label": surprise / (2 * known)}
        if self.inverse is not None:
            terms["action"] = mean_squared_error(self.inverse(features), batch.actions)
        return weighted(self.config, terms, features)
