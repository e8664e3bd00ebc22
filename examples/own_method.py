"""Your own method in one file, here Barlow Twins (Zbontar et al. 2021).

Two views' features agree dimension by dimension, and different dimensions do not correlate.

    seqjepa train shapes_tiny --method examples/own_method.py --run-dir runs/barlow
    seqjepa evaluate runs/barlow --code examples/own_method.py

A method says what it reads (`Config`) and what its loss is (`forward`); training, checkpoints,
probes and reports are the library's.
"""

from dataclasses import dataclass
from typing import ClassVar

from seqjepa import ActionSpace, Representation, SequenceBatch, StepOutput
from seqjepa.checks import not_negative
from seqjepa.distributed import gather
from seqjepa.heads import ProjectorConfig
from seqjepa.methods.base import Method, MethodConfig
from seqjepa.nn import Encoder


@dataclass(frozen=True, kw_only=True)
class Config(MethodConfig):
    """Settings, for a recipe and the command line; this file's name is the method's `kind`.

    Attributes:
        projector: the head; its last BatchNorm standardises each dimension, as the loss asks.
        off_diagonal: coefficient lambda of the correlations between different dimensions.
    """

    reads: ClassVar[int | None] = 2
    conditioned: ClassVar[bool] = False

    projector: ProjectorConfig = ProjectorConfig()
    off_diagonal: float = 5e-3

    def __post_init__(self) -> None:
        not_negative(self, "off_diagonal")

    def build(self, encoder: Encoder, actions: ActionSpace) -> "BarlowTwins":
        """Build the method."""
        return BarlowTwins(self, encoder)


class BarlowTwins(Method):
    """Equation 1 of the paper on views [B, 2, ...]."""

    def __init__(self, config: Config, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.off_diagonal = config.off_diagonal
        self.projector = config.projector.build(encoder.dim)

    def forward(self, batch: SequenceBatch) -> StepOutput:
        """Return the loss and the features."""
        features = self.encoder(batch.views)
        first, second = gather(self.projector(features)).float().unbind(1)

        # The projector's last BatchNorm has standardised both: the product is their correlation.
        correlation = first.T @ second / len(first)
        agree = (1 - correlation.diagonal()).square().sum()
        others = correlation.square().sum() - correlation.diagonal().square().sum()

        loss = agree + self.off_diagonal * others
        terms = {"agree": agree.detach(), "others": others.detach()}
        compared = {"projection": first.detach()}
        return StepOutput(loss, terms, Representation.of_views(features), compared)
