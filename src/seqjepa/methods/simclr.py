"""SimCLR (Chen et al. 2020), as in seq-JEPA's comparison: two views attract, all others repel.

    p    = projector(f(x))                      D - 4D - 4D - 4D, BatchNorm after each layer
    loss = NT-Xent(p_1, p_2; tau = 0.5)

The two views are of one object, the others are all other views of the batch. Both views go through
encoder and projector together, so BatchNorm sees them as one batch (SimCLR; the release normalises
each apart).
"""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from seqjepa.actions import ActionSpace
from seqjepa.checks import positive
from seqjepa.distributed import gather
from seqjepa.heads import ProjectorConfig
from seqjepa.losses import nt_xent
from seqjepa.methods.base import Method, MethodConfig
from seqjepa.nn import Encoder
from seqjepa.types import Representation, SequenceBatch, StepOutput


@dataclass(frozen=True, kw_only=True)
class Config(MethodConfig):
    """The paper's settings.

    Attributes:
        projector: the head.
        temperature: tau of NT-Xent.
    """

    reads: ClassVar[int | None] = 2
    conditioned: ClassVar[bool] = False

    projector: ProjectorConfig = ProjectorConfig()
    temperature: float = 0.5

    def __post_init__(self) -> None:
        positive(self, "temperature")

    @override
    def build(self, encoder: Encoder, actions: ActionSpace) -> "SimCLR":
        return SimCLR(self, encoder)


class SimCLR(Method):
    """An encoder with a head."""

    def __init__(self, config: Config, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.temperature = config.temperature
        self.projector = config.projector.build(encoder.dim)

    def forward(self, batch: SequenceBatch) -> StepOutput:
        """Return the loss on views [B, 2, ...]."""
        features = self.encoder(batch.views)
        # The other views of the batch that repel are those of all ranks.
        first, second = gather(self.projector(features)).unbind(1)
        loss = nt_xent(first, second, self.temperature)
        return StepOutput(loss, {}, Representation.of_views(features))
