"""VICReg-Traj (trajectory regularisation, ECCV 2024), as in seq-JEPA's comparison.

    y    = projector(f(x)) of views 1, 2, 3
    loss = VICReg(y_1, y_2) - 0.01 cos(u_1, u_2)
           u_1, u_2 the legs y_2 - y_1 and y_3 - y_2 as tangents at y_2

VICReg acts on two of the three views; the trajectory term straightens the path of all three.
Deviation from seq-JEPA's release: y is normalised for the trajectory term, or u is no tangent. The
original paper normalises too, but applies the term to the encoder's features.
"""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from seqjepa.actions import ActionSpace
from seqjepa.checks import not_negative
from seqjepa.distributed import gather
from seqjepa.heads import ProjectorConfig
from seqjepa.losses import trajectory_loss, vicreg_terms
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
        trajectory: coefficient of the trajectory term.
    """

    reads: ClassVar[int | None] = 3
    conditioned: ClassVar[bool] = False

    projector: ProjectorConfig = ProjectorConfig()
    invariance: float = 10.0
    variance: float = 10.0
    covariance: float = 1.0
    trajectory: float = 0.01

    def __post_init__(self) -> None:
        not_negative(self, "invariance", "variance", "covariance", "trajectory")

    @override
    def build(self, encoder: Encoder, actions: ActionSpace) -> "VICRegTraj":
        return VICRegTraj(self, encoder)


class VICRegTraj(Method):
    """An encoder with a head that ends without BatchNorm."""

    def __init__(self, config: Config, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.config = config
        self.projector = config.projector.build(encoder.dim, hidden_bias=True, last="bare")

    def forward(self, batch: SequenceBatch) -> StepOutput:
        """Return the loss on views [B, 3, ...]."""
        features = self.encoder(batch.views)
        # Variances and covariances are statistics of the global batch: rows of all ranks.
        projected = self.projector(features)
        first, second, third = gather(projected).unbind(1)
        terms = vicreg_terms(first, second) | {"trajectory": trajectory_loss(first, second, third)}
        return weighted(self.config, terms, features, projection=projected[:, 0])
