"""Spectral contrastive learning (HaoChen, Wei, Gaidon, Ma 2021, equation 6).

    z    = projector(f(x)), shortened to a length of sqrt(mu) where it is longer
    loss = -2 mean_i z_i·z'_i + mean_(i != j) (z_i·z'_j)^2

z_i and z'_i are the two views of object i.

    pip install examples/plugin
    seqjepa train shapes_tiny --method spectral --run-dir runs/spectral
    seqjepa evaluate runs/spectral
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from seqjepa import ActionSpace, Experiment, Representation, SequenceBatch, StepOutput, recipe
from seqjepa.checks import positive
from seqjepa.distributed import gather
from seqjepa.heads import ProjectorConfig
from seqjepa.methods.base import Method, MethodConfig
from seqjepa.nn import Encoder
from seqjepa.recipes import with_method


@dataclass(frozen=True, kw_only=True)
class Config(MethodConfig):
    """Settings, for recipes and the command line.

    Attributes:
        projector: the head.
        mu: square of a projection's greatest length.
    """

    reads: ClassVar[int | None] = 2
    conditioned: ClassVar[bool] = False

    projector: ProjectorConfig = ProjectorConfig(widths=(4.0, 2.0))
    mu: float = 1.0

    def __post_init__(self) -> None:
        positive(self, "mu")

    def build(self, encoder: Encoder, actions: ActionSpace) -> "Spectral":
        """Build the method."""
        return Spectral(self, encoder)


class Spectral(Method):
    """An encoder with a head whose projections of different objects are orthogonal."""

    def __init__(self, config: Config, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.mu = config.mu
        self.projector = config.projector.build(encoder.dim, last="bare")

    def forward(self, batch: SequenceBatch) -> StepOutput:
        """Return the loss on views [B, 2, ...]."""
        features = self.encoder(batch.views)
        projected = shorten(self.projector(features).float(), self.mu**0.5)
        first, second = gather(projected).unbind(1)

        products = first @ second.T
        same = products.diagonal()
        others = products.square().sum() - same.square().sum()
        terms = {"agree": -2 * same.mean(), "others": others / (len(same) * (len(same) - 1))}

        loss = terms["agree"] + terms["others"]
        logged = {name: term.detach() for name, term in terms.items()}
        compared = {"projection": projected.detach()}
        return StepOutput(loss, logged, Representation.of_views(features), compared)


def shorten(rows: Tensor, length: float) -> Tensor:
    """Return rows [..., D], those that are longer than `length` scaled down to it."""
    lengths = rows.norm(dim=-1, keepdim=True)
    return rows * (length / lengths.clamp(min=length))


def spectral_tiny() -> Experiment:
    """The recipe `shapes_tiny` with this method: `seqjepa train spectral_tiny`."""
    return replace(with_method(recipe("shapes_tiny")(), "spectral"), name="spectral_tiny")
