"""Method: a self-supervised objective together with the representation it learns."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from seqjepa.errors import ConfigError
from seqjepa.nn import Encoder
from seqjepa.types import Representation, SequenceBatch, StepOutput


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """Base of the frozen configs of methods; a method's own config adds its fields and knows how to build the method."""

    def build(self, encoder: Encoder, action_dim: int, num_views: int) -> "Method":
        """The method around an encoder.

        Args:
            encoder: freshly initialised.
            action_dim: A, width of the world's actions.
            num_views: T, views per training sequence.

        Raises:
            ConfigError: if the config does not fit the world or the sequences.
        """
        raise NotImplementedError


class Method(nn.Module, ABC):
    """An encoder with its training objective. `forward` is the loss, so that wrappers such as DDP and compile can wrap it.

    A new method implements `forward`; one with an aggregator or a predictor overrides `aggregate` or `predict`, one with an EMA
    `after_step`.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    @abstractmethod
    def forward(self, batch: SequenceBatch) -> StepOutput:
        """The loss of a batch, and the detached representation for probes."""

    def after_step(self, progress: float) -> None:
        """Called after each optimizer step; progress is the fraction of the run that is done, in (0, 1]."""

    def represent(self, batch: SequenceBatch) -> Representation:
        """The representation of every view and of the whole sequence."""
        views = self.encoder(batch.views)
        return Representation(views, self.aggregate(views, batch.actions))

    def aggregate(self, features: Tensor, actions: Tensor) -> Tensor:
        """One representation [B, S] of a sequence from its views' features.

        Args:
            features: [B, T, D], outputs of the encoder.
            actions: [B, T-1, A], between the views.
        """
        return features[:, 0]

    def predict(self, features: Tensor, actions: Tensor) -> Tensor:
        """The predicted features [B, D] of the view that comes after the last action.

        Args:
            features: [B, T, D], outputs of the encoder on the observed views.
            actions: [B, T, A], between the views and from the last one on.

        Raises:
            ConfigError: if the method has no predictor.
        """
        raise ConfigError(f"{type(self).__name__} does not predict views from actions")
