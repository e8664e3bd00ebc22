"""BYOL (Grill et al. 2020), as in seq-JEPA's comparison: each view predicts the other's projection.

    p    = projector(f(x)),  q = predictor(p),  p' = target_projector(f_ema(x))
    loss = (2 - 2 cos(q_1, sg p'_2)) + (2 - 2 cos(q_2, sg p'_1))

The targets come from EMA networks. The widths are the paper's (projector 4D - 4D - 4D, predictor
hidden D); the release has projector 4D - D/4, predictor hidden 4D:
`--method.projector.widths 4 0.25 --method.predictor-hidden 4`. Without `--ema` the release never
moves its target; ours moves every step.
"""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from seqjepa.actions import ActionSpace
from seqjepa.checks import fraction, positive
from seqjepa.heads import ProjectorConfig, mlp, multiple
from seqjepa.losses import cosine_loss
from seqjepa.methods.base import Method, MethodConfig
from seqjepa.nn import EMATarget, Encoder
from seqjepa.types import Representation, SequenceBatch, StepOutput


@dataclass(frozen=True, kw_only=True)
class Config(MethodConfig):
    """The paper's settings.

    Attributes:
        projector: the head.
        predictor_hidden: width of the predictor's hidden layer, in multiples of the number of
            features.
        ema_momentum: of the target networks at the start; rises to 1 along half a cosine.
    """

    reads: ClassVar[int | None] = 2
    conditioned: ClassVar[bool] = False

    projector: ProjectorConfig = ProjectorConfig()
    predictor_hidden: float = 1.0
    ema_momentum: float = 0.996

    def __post_init__(self) -> None:
        positive(self, "predictor_hidden")
        fraction(self, "ema_momentum")

    @override
    def build(self, encoder: Encoder, actions: ActionSpace) -> "BYOL":
        return BYOL(self, encoder)


class BYOL(Method):
    """An online projector and predictor against EMA copies of encoder and projector."""

    def __init__(self, config: Config, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.momentum = config.ema_momentum
        self.projector = config.projector.build(encoder.dim)
        width = self.projector.dim
        self.predictor = mlp(
            width, (multiple(encoder.dim, config.predictor_hidden), width), last="bias"
        )
        self.target_encoder, self.target_projector = EMATarget(encoder), EMATarget(self.projector)

    def forward(self, batch: SequenceBatch) -> StepOutput:
        """Return the loss on views [B, 2, ...]."""
        features = self.encoder(batch.views)
        projected = self.projector(features)
        # Both views are one batch to the predictor's BatchNorm, as they are to the projector's.
        predicted = self.predictor(projected.flatten(0, 1)).view_as(projected)
        # Flipped, the other view's target stands beside each view's prediction.
        target = self.target_projector(self.target_encoder(batch.views)).flip(1)
        loss = 2 * cosine_loss(predicted, target).sum(1).mean()
        compared = {"projection": projected.detach(), "prediction": predicted.detach()}
        return StepOutput(loss, {}, Representation.of_views(features), compared)

    def after_step(self, progress: float) -> None:
        """Move the target networks."""
        self.target_encoder.follow(self.encoder, progress, self.momentum)
        self.target_projector.follow(self.projector, progress, self.momentum)
