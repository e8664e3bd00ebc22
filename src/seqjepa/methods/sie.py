"""SIE (Garrido, Najman, LeCun 2023), as in seq-JEPA's comparison: half invariant, half equivariant.

    h    = f(x) = [h_inv; h_equi],  i = projector(h_inv),  e = equivariant_projector(h_equi),
           each D/2 - 2D - 2D - 2D
    ê    = W(a) e_1,  W(a) linear in the action a: the zero action gives the zero map
    loss = 10 MSE(i_1, i_2) + 4.5 MSE(ê, e_2)
         + 10 [(v(y_1) + v(y_2)) / 2 + v(ê) / 2] + 1 (c(y_1) + c(y_2)),  y = [i; e]

v and c are VICReg's variance and covariance terms. W is a hypernetwork. W(a) e is computed as the
sum over the action's entries a_k of a_k (W_k e), which is the same and needs no weight matrix for
each sample.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from seqjepa.actions import ActionSpace
from seqjepa.checks import not_negative
from seqjepa.distributed import gather
from seqjepa.errors import ConfigError
from seqjepa.heads import ProjectorConfig
from seqjepa.losses import covariance_penalty, mean_squared_error, variance_hinge
from seqjepa.methods.base import Method, MethodConfig, weighted
from seqjepa.nn import Encoder
from seqjepa.types import SequenceBatch, StepOutput


@dataclass(frozen=True, kw_only=True)
class Config(MethodConfig):
    """The paper's settings.

    Attributes:
        projector: each of the two heads, its widths in multiples of the number of all features.
        invariance: coefficient of the distance between the two views' invariant projections.
        equivariance: coefficient of the distance between the predicted equivariant projection and
            the second view's.
        variance: coefficient of the hinge on the projections' standard deviations.
        predicted_variance: the same of the predicted projection's.
        covariance: coefficient of the penalty on the projections' covariances.
    """

    reads: ClassVar[int | None] = 2

    projector: ProjectorConfig = ProjectorConfig(widths=(2.0, 2.0, 2.0))
    invariance: float = 10.0
    equivariance: float = 4.5
    variance: float = 10.0
    predicted_variance: float = 10.0
    covariance: float = 1.0

    def __post_init__(self) -> None:
        not_negative(
            self, "invariance", "equivariance", "variance", "predicted_variance", "covariance"
        )

    @override
    def build(self, encoder: Encoder, actions: ActionSpace) -> "SIE":
        if encoder.dim % 2:
            raise ConfigError(
                "sie halves the features: their number must be even, "
                f"got {encoder.dim}. Change the encoder"
            )
        return SIE(self, encoder, actions.action_dim)


class Hypernetwork(nn.Module):
    """A linear map of embeddings whose weights are a linear function of the action."""

    def __init__(self, action_dim: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(action_dim, width * width, bias=False)
        self.width = width

    def forward(self, embeddings: Tensor, actions: Tensor) -> Tensor:
        """Map embeddings [B, E] by actions [B, A] to [B, E]."""
        # maps[:, :, k] is W_k, the weight matrix of the action's entry k.
        maps = self.linear.weight.view(self.width, self.width, -1)
        mapped = torch.einsum("bi,jik->bjk", embeddings, maps)  # W_k e of every entry k
        return torch.einsum("bjk,bk->bj", mapped, actions.to(embeddings.dtype))


class SIE(Method):
    """A head on each half of the features, and a hypernetwork that predicts the second."""

    predicts: ClassVar[bool] = True
    scaled: ClassVar[bool] = True

    def __init__(self, config: Config, encoder: Encoder, action_dim: int) -> None:
        super().__init__(encoder)
        self.config = config
        half, head = encoder.dim // 2, config.projector
        self.projector = head.build(half, hidden_bias=True, last="bare", of=encoder.dim)
        self.equivariant_projector = head.build(half, hidden_bias=True, last="bare", of=encoder.dim)
        self.predictor = Hypernetwork(action_dim, self.equivariant_projector.dim)

    def forward(self, batch: SequenceBatch) -> StepOutput:
        """Return the loss on views [B, 2, ...]."""
        features = self.encoder(batch.views)
        content, pose = self.projector(features.chunk(2, -1)[0]), self.source(features)
        predicted = self.predict(pose[:, :1], batch.actions)
        compared = {"projection": content, "equivariant_projection": pose, "prediction": predicted}

        # Variances and covariances are statistics of the global batch: rows of all ranks.
        content, pose, predicted = gather(content), gather(pose), gather(predicted)
        first, second = torch.cat([content, pose], -1).unbind(1)
        terms = {
            "invariance": mean_squared_error(content[:, 0], content[:, 1]),
            "equivariance": mean_squared_error(predicted, pose[:, 1]),
            "variance": (variance_hinge(first) + variance_hinge(second)) / 2,
            "predicted_variance": variance_hinge(predicted) / 2,
            "covariance": covariance_penalty(first) + covariance_penalty(second),
        }
        return weighted(self.config, terms, features, **compared)

    def source(self, features: Tensor) -> Tensor:
        """Return the projections of the equivariant half of features."""
        projected: Tensor = self.equivariant_projector(features.chunk(2, -1)[1])
        return projected

    def target(self, views: Tensor) -> Tensor:
        """Return the equivariant projections of views."""
        return self.source(self.encoder(views))

    def predict(self, sources: Tensor, actions: Tensor) -> Tensor:
        """Return the projection [B, E] that the last action leads to, from the last view's."""
        predicted: Tensor = self.predictor(sources[:, -1], actions[:, -1])
        return predicted

    def readouts(self, context: SequenceBatch) -> Mapping[str, Callable[[Tensor], Tensor]]:
        """Return the two halves of the features."""
        return {
            "invariant half": lambda features: features.chunk(2, -1)[0],
            "equivariant half": lambda features: features.chunk(2, -1)[1],
        }
