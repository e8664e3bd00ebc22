"""VICReg (Bardes et al. 2022), as in seq-JEPA's comparison: projections agree, vary, decorrelate.

    y    = projector(f(x))                      D - 4D - 4D - 4D, no BatchNorm at the end
    loss = 10 MSE(y_1, y_2) + 10 (v(y_1) + v(y_2)) / 2 + 1 (c(y_1) + c(y_2))

v is the hinge on standard deviations, c the penalty on covariances (`seqjepa.losses`). Coefficients
are the paper's; the release's command line has 25, 25, 1.
"""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from seqjepa.actions import ActionSpace
from seqjepa.checks import not_negative
from seqjepa.distributed import gather
from seqjepa.heads import ProjectorConfig
from seqjepa.losses import vicreg_terms
from seqjepa.methods.base import Method, MethodConfig, weighted
from seqjepa.nn import Encoder
from seqjepa.types import SequenceBatch, StepOutput


@dataclass(frozen=True, kw_only=True)
class Config(MethodConfig):
    """The paper's settings.

    Attributes:
        projector: the head.
        invariance: coefficient of the distance between the two views' projections.
        variance: coefficient of the hinge on the projections' standard deviations.
        covariance: coefficient of the penalty on the projections' covariances.
    """

    reads: ClassVar[int | None] = 2
    conditioned: ClassVar[bool] = False

    projector: ProjectorConfig = ProjectorConfig()
    invariance: float = 10.0
    variance: float = 10.0
    covariance: float = 1.0

    def __post_init__(self) -> None:
        not_negative(self, "invariance", "variance", "covariance")

    @override
    def build(self, encoder: Encoder, actions: ActionSpace) -> "VICReg":
        return VICReg(self, encoder)


class VICReg(Method):
    """An encoder with a head that ends without BatchNorm."""

    def __init__(self, config: Config, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.config = config
        self.projector = config.projector.build(encoder.dim, hidden_bias=True, last="bare")

    def forward(self, batch: SequenceBatch) -> StepOutput:
        """Return the loss on views [B, 2, ...]."""
        features = self.encoder(batch.views)
        # Variances and covariances are statistics of the global batch: rows of all ranks.
        projected = self.projector(features)
        first, second = gather(projected).unbind(1)
        terms = vicreg_terms(first, second)
        return weighted(self.config, terms, features, projection=projected[:, 0])
