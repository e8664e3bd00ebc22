"""SimCLR (Chen et al. 2020), as in seq-JEPA's comparison: two views attract, all others repel.

    p    = projector(f(x))                      D - 4D - 4D - 4D, BatchNorm after each layer
    loss = NT-Xent(p_1, p_2; tau = 0.5)
           + inverse * |inverse([f(x_1); f(x_2)]) - a|^2 / A      (not in the paper; 0 by default)

The two views are of one object, the others are all other views of the batch. Both views go through
encoder and projector together, so BatchNorm sees them as one batch (SimCLR; the release normalises
each apart).
"""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from seqjepa.actions import ActionSpace
from seqjepa.checks import not_negative, positive
from seqjepa.distributed import gather
from seqjepa.from_json import added_in
from seqjepa.heads import InverseDynamics, ProjectorConfig
from seqjepa.losses import mean_squared_error, nt_xent
from seqjepa.methods.base import Method, MethodConfig
from seqjepa.nn import Encoder
from seqjepa.types import Representation, SequenceBatch, StepOutput


@dataclass(frozen=True, kw_only=True)
class Config(MethodConfig):
    """The paper's settings.

    Attributes:
        projector: the head.
        temperature: tau of NT-Xent.
        inverse: weight of inverse dynamics: a small MLP reads the action from both views' features.
    """

    reads: ClassVar[int | None] = 2
    conditioned: ClassVar[bool] = False
    without_actions: ClassVar[str] = "set method.inverse to 0"

    projector: ProjectorConfig = ProjectorConfig()
    temperature: float = 0.5
    inverse: float = added_in(3, 0.0)

    def __post_init__(self) -> None:
        positive(self, "temperature")
        not_negative(self, "inverse")

    @property
    @override
    def reads_actions(self) -> bool:
        return self.inverse > 0

    @override
    def build(self, encoder: Encoder, actions: ActionSpace) -> "SimCLR":
        return SimCLR(self, encoder, actions.action_dim)


class SimCLR(Method):
    """An encoder with a head."""

    def __init__(self, config: Config, encoder: Encoder, action_dim: int) -> None:
        super().__init__(encoder)
        self.config = config
        self.projector = config.projector.build(encoder.dim)
        # Drawn last, so that all other weights are the same with and without it.
        self.inverse = InverseDynamics(encoder.dim, action_dim) if config.inverse else None

    def forward(self, batch: SequenceBatch) -> StepOutput:
        """Return the loss on views [B, 2, ...]."""
        features = self.encoder(batch.views)
        # The other views of the batch that repel are those of all ranks.
        projected = self.projector(features)
        first, second = gather(projected).unbind(1)
        loss, terms = nt_xent(first, second, self.config.temperature), {}
        if self.inverse is not None:
            error = mean_squared_error(self.inverse(features), batch.actions)
            loss, terms["inverse"] = loss + self.config.inverse * error, error.detach()
        compared = {"projection": projected[:, 0].detach()}
        return StepOutput(loss, terms, Representation.of_views(features), compared)
