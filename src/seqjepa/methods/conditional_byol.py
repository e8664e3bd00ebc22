"""Conditional BYOL, of seq-JEPA's comparison: BYOL whose predictor knows the action.

    p    = projector(f(x)),  p' = target_projector(f_ema(x)),  e = P(a)
    loss = 2 - 2 cos(predictor([e; p_1]), sg p'_2)

It is a seq-JEPA of two views without aggregator. The loss has one direction only, as the action
has. Widths as in `byol`.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from seqjepa.actions import ActionSpace
from seqjepa.checks import fraction, positive
from seqjepa.heads import ProjectorConfig, mlp, multiple
from seqjepa.losses import cosine_loss
from seqjepa.methods.base import Method, MethodConfig
from seqjepa.nn import ActionEmbedding, EMATarget, Encoder
from seqjepa.types import Representation, SequenceBatch, StepOutput


@dataclass(frozen=True, kw_only=True)
class Config(MethodConfig):
    """The paper's settings.

    Attributes:
        projector: the head.
        predictor_hidden: width of the predictor's hidden layer, in multiples of the number of
            features.
        action_width: width of the action embedding.
        ema_momentum: of the target networks at the start; rises to 1 along half a cosine.
    """

    reads: ClassVar[int | None] = 2

    projector: ProjectorConfig = ProjectorConfig()
    predictor_hidden: float = 1.0
    action_width: int = 128
    ema_momentum: float = 0.996

    def __post_init__(self) -> None:
        positive(self, "predictor_hidden", "action_width")
        fraction(self, "ema_momentum")

    @override
    def build(self, encoder: Encoder, actions: ActionSpace) -> "ConditionalBYOL":
        return ConditionalBYOL(self, encoder, actions.action_dim)


class ConditionalBYOL(Method):
    """An action-conditioned predictor against EMA copies of encoder and projector."""

    predicts: ClassVar[bool] = True

    def __init__(self, config: Config, encoder: Encoder, action_dim: int) -> None:
        super().__init__(encoder)
        self.momentum = config.ema_momentum
        self.projector = config.projector.build(encoder.dim)
        width = self.projector.dim
        self.action_embedding = ActionEmbedding(action_dim, config.action_width)
        self.predictor = mlp(
            config.action_width + width,
            (multiple(encoder.dim, config.predictor_hidden), width),
            last="bias",
        )
        self.target_encoder, self.target_projector = EMATarget(encoder), EMATarget(self.projector)

    def forward(self, batch: SequenceBatch) -> StepOutput:
        """Return the loss on views [B, 2, ...]; only the target networks see the second view."""
        features = self.encoder(batch.views[:, :1])
        projected = self.source(features)
        predicted = self.predict(projected, batch.actions)
        target = self.target(batch.views[:, 1:])[:, 0]
        loss = 2 * cosine_loss(predicted, target).mean()
        compared = {"projection": projected[:, 0].detach(), "prediction": predicted.detach()}
        return StepOutput(loss, {}, Representation.of_views(features), compared)

    def after_step(self, progress: float) -> None:
        """Move the target networks."""
        self.target_encoder.follow(self.encoder, progress, self.momentum)
        self.target_projector.follow(self.projector, progress, self.momentum)

    def source(self, features: Tensor) -> Tensor:
        """Return the online projections of features."""
        projected: Tensor = self.projector(features)
        return projected

    def target(self, views: Tensor) -> Tensor:
        """Return the target networks' projections of views."""
        projected: Tensor = self.target_projector(self.target_encoder(views))
        return projected

    def predict(self, sources: Tensor, actions: Tensor) -> Tensor:
        """Return the projection [B, E] that the last action leads to, from the last view's."""
        embedded = self.action_embedding(actions[:, -1:])[:, 0]
        predicted: Tensor = self.predictor(torch.cat([embedded, sources[:, -1]], -1))
        return predicted
