"""Conv-JEPA (`Conv_IJEPA` in seq-JEPA's release): every observed view predicts the last one.

    p      = projector(f(x)),  p' = target_projector(f_ema(x)),  widths D - 4D - D/4
    loss   = mean over i = 1 .. M of 1 - cos(predictor([P(a_i); p_i]), sg p'_{M+1})

a_i is the direct action, which takes view i to view M + 1; there is no aggregator. The paper has it
for saccades only; here it is for any world, since the action space gives direct actions. How the
paper's 80.04 % for M = 4 comes from patches is not known: evaluation shows one view, the mean of M
views and the mean of their logits. P and the predictor see all M pairs as one BatchNorm batch; the
release has one for each i.
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
    """The release's settings.

    Attributes:
        projector: the head.
        predictor_hidden: width of the predictor's hidden layer, in multiples of the number of
            features.
        action_width: width of the action embedding.
        ema_momentum: of the target networks at the start; rises to 1 along half a cosine.
    """

    reads: ClassVar[int | None] = None

    projector: ProjectorConfig = ProjectorConfig(widths=(4.0, 0.25))
    predictor_hidden: float = 2.0
    action_width: int = 128
    ema_momentum: float = 0.996

    def __post_init__(self) -> None:
        positive(self, "predictor_hidden", "action_width")
        fraction(self, "ema_momentum")

    @override
    def build(self, encoder: Encoder, actions: ActionSpace) -> "ConvJEPA":
        return ConvJEPA(self, encoder, actions)


class ConvJEPA(Method):
    """An action-conditioned predictor against EMA copies of encoder and projector."""

    predicts: ClassVar[bool] = True

    def __init__(self, config: Config, encoder: Encoder, actions: ActionSpace) -> None:
        super().__init__(encoder)
        self.momentum, self.actions = config.ema_momentum, actions
        self.projector = config.projector.build(encoder.dim)
        width = self.projector.dim
        self.action_embedding = ActionEmbedding(actions.action_dim, config.action_width)
        self.predictor = mlp(
            config.action_width + width,
            (multiple(encoder.dim, config.predictor_hidden), width),
            last="bias",
        )
        self.target_encoder, self.target_projector = EMATarget(encoder), EMATarget(self.projector)

    def forward(self, batch: SequenceBatch) -> StepOutput:
        """Return the loss on views [B, M + 1, ...]."""
        features = self.encoder(batch.views[:, :-1])
        # Batches hold the actions between neighbours; the direct ones to the last view need poses.
        observed = batch.poses[:, :-1]
        actions = self.actions.between(observed, batch.poses[:, -1:].expand_as(observed))
        projected = self.source(features)
        predicted = self._predict(projected, actions)
        # One target for all M predictions: [B, 1, width] against [B, M, width].
        target = self.target(batch.views[:, -1:])
        loss = cosine_loss(predicted, target).mean()
        compared = {"projection": projected.detach(), "prediction": predicted.detach()}
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
        return self._predict(sources[:, -1:], actions[:, -1:])[:, 0]

    def _predict(self, sources: Tensor, actions: Tensor) -> Tensor:
        """Return predictions [B, T, E] from each source by its own action."""
        joint = torch.cat([self.action_embedding(actions), sources], -1)
        predicted: Tensor = self.predictor(joint.flatten(0, 1)).unflatten(0, joint.shape[:2])
        return predicted
