"""SEN (Park et al. 2022), as in seq-JEPA's comparison: a view and the action predict the other.

    p    = projector(f(x)),  e = P(a)
    loss = NT-Xent(predictor([e; p_1]), p_2; tau = 0.5)

This is its contrastive form. There is no invariance term. The predictor is one Linear and
BatchNorm; the original's energy hinge and delta prediction are not used.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from seqjepa.actions import ActionSpace
from seqjepa.checks import positive
from seqjepa.distributed import gather
from seqjepa.heads import ProjectorConfig, mlp
from seqjepa.losses import nt_xent
from seqjepa.methods.base import Method, MethodConfig
from seqjepa.nn import ActionEmbedding, Encoder
from seqjepa.types import Representation, SequenceBatch, StepOutput


@dataclass(frozen=True, kw_only=True)
class Config(MethodConfig):
    """The paper's settings.

    Attributes:
        projector: the head.
        action_width: width of the action embedding.
        temperature: tau of NT-Xent.
    """

    reads: ClassVar[int | None] = 2

    projector: ProjectorConfig = ProjectorConfig()
    action_width: int = 128
    temperature: float = 0.5

    def __post_init__(self) -> None:
        positive(self, "action_width", "temperature")

    @override
    def build(self, encoder: Encoder, actions: ActionSpace) -> "SEN":
        return SEN(self, encoder, actions.action_dim)


class SEN(Method):
    """A head with an action-conditioned predictor."""

    predicts: ClassVar[bool] = True

    def __init__(self, config: Config, encoder: Encoder, action_dim: int) -> None:
        super().__init__(encoder)
        self.temperature = config.temperature
        self.projector = config.projector.build(encoder.dim)
        self.action_embedding = ActionEmbedding(action_dim, config.action_width)
        self.predictor = mlp(
            config.action_width + self.projector.dim, (self.projector.dim,), last="norm"
        )

    def forward(self, batch: SequenceBatch) -> StepOutput:
        """Return the loss on views [B, 2, ...]."""
        features = self.encoder(batch.views)
        sources = self.source(features)
        first, second = sources.unbind(1)
        predicted = self.predict(sources[:, :1], batch.actions)
        loss = nt_xent(gather(predicted), gather(second), self.temperature)
        compared = {"projection": first.detach(), "prediction": predicted.detach()}
        return StepOutput(loss, {}, Representation.of_views(features), compared)

    def source(self, features: Tensor) -> Tensor:
        """Return the projections of features."""
        projected: Tensor = self.projector(features)
        return projected

    def target(self, views: Tensor) -> Tensor:
        """Return the projections of views."""
        return self.source(self.encoder(views))

    def predict(self, sources: Tensor, actions: Tensor) -> Tensor:
        """Return the projection [B, E] that the last action leads to, from the last view's."""
        embedded = self.action_embedding(actions[:, -1:])[:, 0]
        predicted: Tensor = self.predictor(torch.cat([embedded, sources[:, -1]], -1))
        return predicted
