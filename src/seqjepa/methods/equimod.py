"""EquiMod (Devillers and Lefort 2023), as in seq-JEPA's comparison: SimCLR and a prediction.

    i    = projector(f(x)),  e = equivariant_projector(f(x)),  each D - 2D - 2D - D/4
    loss = NT-Xent(i_1, i_2; tau = 0.1) + NT-Xent(predictor([P(a); e_1]), e_2; tau = 0.1)
           + inverse * |inverse([f(x_1); f(x_2)]) - a|^2 / A      (not in the paper; 0 by default)

SimCLR acts on one head, prediction by the action on another. As in seq-JEPA's release, both views
are augmented and actions are relative; EquiMod itself predicts from an unaugmented view.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from seqjepa.actions import ActionSpace
from seqjepa.checks import not_negative, positive
from seqjepa.distributed import gather
from seqjepa.from_json import added_in
from seqjepa.heads import InverseDynamics, ProjectorConfig, mlp
from seqjepa.losses import mean_squared_error, nt_xent
from seqjepa.methods.base import Method, MethodConfig, weighted
from seqjepa.nn import ActionEmbedding, Encoder
from seqjepa.types import SequenceBatch, StepOutput


@dataclass(frozen=True, kw_only=True)
class Config(MethodConfig):
    """The paper's settings.

    Attributes:
        projector: each of the two heads.
        action_width: width of the action embedding.
        temperature: tau of both NT-Xent terms.
        invariance: coefficient of NT-Xent between the two views.
        equivariance: coefficient of NT-Xent between the predicted view and the second.
        inverse: weight of inverse dynamics: a small MLP reads the action from both views' features.
    """

    reads: ClassVar[int | None] = 2

    projector: ProjectorConfig = ProjectorConfig(widths=(2.0, 2.0, 0.25))
    action_width: int = 128
    temperature: float = 0.1
    invariance: float = 1.0
    equivariance: float = 1.0
    inverse: float = added_in(3, 0.0)

    def __post_init__(self) -> None:
        positive(self, "action_width", "temperature")
        not_negative(self, "invariance", "equivariance", "inverse")

    @override
    def build(self, encoder: Encoder, actions: ActionSpace) -> "EquiMod":
        return EquiMod(self, encoder, actions.action_dim)


class EquiMod(Method):
    """Two heads: one for SimCLR, one with an action-conditioned predictor."""

    predicts: ClassVar[bool] = True

    def __init__(self, config: Config, encoder: Encoder, action_dim: int) -> None:
        super().__init__(encoder)
        self.config = config
        self.projector = config.projector.build(encoder.dim)
        self.equivariant_projector = config.projector.build(encoder.dim)
        width = self.equivariant_projector.dim
        self.action_embedding = ActionEmbedding(action_dim, config.action_width)
        self.predictor = mlp(config.action_width + width, (width,), last="norm")
        # Drawn last, so that all other weights are the same with and without it.
        self.inverse = InverseDynamics(encoder.dim, action_dim) if config.inverse else None

    def forward(self, batch: SequenceBatch) -> StepOutput:
        """Return the loss on views [B, 2, ...]."""
        features = self.encoder(batch.views)
        projected = self.projector(features)
        first, second = gather(projected).unbind(1)
        # From here on the second head, whose first view the action turns into the second.
        sources = self.source(features)
        predicted = self.predict(sources[:, :1], batch.actions)
        tau = self.config.temperature
        terms = {
            "invariance": nt_xent(first, second, tau),
            "equivariance": nt_xent(gather(predicted), gather(sources[:, 1]), tau),
        }
        if self.inverse is not None:
            terms["inverse"] = mean_squared_error(self.inverse(features), batch.actions)
        return weighted(
            self.config,
            terms,
            features,
            projection=projected[:, 0],
            equivariant_projection=sources[:, 0],
            prediction=predicted,
        )

    def source(self, features: Tensor) -> Tensor:
        """Return the second head's projections of features."""
        projected: Tensor = self.equivariant_projector(features)
        return projected

    def target(self, views: Tensor) -> Tensor:
        """Return the second head's projections of views."""
        return self.source(self.encoder(views))

    def predict(self, sources: Tensor, actions: Tensor) -> Tensor:
        """Return the projection [B, E] that the last action leads to, from the last view's."""
        embedded = self.action_embedding(actions[:, -1:])[:, 0]
        predicted: Tensor = self.predictor(torch.cat([embedded, sources[:, -1]], -1))
        return predicted
