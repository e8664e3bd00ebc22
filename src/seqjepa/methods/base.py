"""Method: a self-supervised objective together with the representation it learns."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from seqjepa.actions import ActionSpace
from seqjepa.checks import fraction, not_negative, positive
from seqjepa.errors import ConfigError
from seqjepa.heads import InverseDynamics
from seqjepa.nn import Encoder
from seqjepa.types import Representation, SequenceBatch, StepOutput

# The checks are here too for methods of one's own that were written for earlier versions.
__all__ = [
    "Method",
    "MethodConfig",
    "fraction",
    "not_negative",
    "positive",
    "weighted",
]


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """Base of the frozen configs of methods.

    A method's own config adds its fields and builds the method.

    Attributes:
        section: see `checks.Section`.
        reads: number of views of a training sequence that the method reads; None where it takes any
            number from two.
        conditioned: whether it needs actions, whatever its fields are.
        without_actions: the settings, for messages, that make it do without actions.
    """

    section: ClassVar[str] = "method."
    reads: ClassVar[int | None] = None
    conditioned: ClassVar[bool] = True
    without_actions: ClassVar[str] = "choose another --method"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # A method of one's own that was written for version 0.1 would never be asked.
        if "check" in vars(cls):
            raise ConfigError(
                f"{cls.__module__}.{cls.__qualname__}: the method `check` is called `validate` "
                "now, rename it"
            )

    @property
    def uses_actions(self) -> bool:
        """True if the method is conditioned on actions.

        A method that can do without is conditioned only where its fields say so.
        """
        return self.conditioned

    @property
    def reads_actions(self) -> bool:
        """True if the method needs actions at all: to be conditioned on, or as a target."""
        return self.uses_actions

    @property
    def batch_multiple(self) -> int:
        """Number that the size of a (micro-)batch must be a multiple of."""
        return 1

    def build(self, encoder: Encoder, actions: ActionSpace) -> "Method":
        """Return the method around a freshly initialised encoder, for the world's actions.

        Raises:
            ConfigError: if the config does not fit encoder or actions.
        """
        raise NotImplementedError

    def validate(self, actions: ActionSpace, num_views: int, batch_size: int) -> None:
        """Check that the method can learn from the world's actions and from the batches.

        Args:
            actions: of the world.
            num_views: in a training sequence.
            batch_size: sequences in a (micro-)batch.

        Raises:
            ConfigError: if it cannot.
        """
        name = type(self).__module__.rpartition(".")[2]

        if self.reads is None and num_views < 2:
            raise ConfigError(
                f"{name} needs several views of a sequence: "
                f"train.num_views must be at least 2, got {num_views}"
            )
        if self.reads is not None and num_views != self.reads:
            raise ConfigError(
                f"{name} reads {self.reads} views of a sequence: "
                f"set train.num_views to {self.reads}, got {num_views}"
            )
        if self.reads_actions and not actions.groups:
            raise ConfigError(
                f"{name} reads actions and the world has none: name some in world.actions, or "
                f"{self.without_actions}"
            )


class Method(nn.Module, ABC):
    """An encoder with its training objective.

    `forward` is the loss, so that wrappers such as DDP and compile can wrap it. A new method
    implements `forward`; one with an aggregator or a predictor overrides `aggregate` or `predict`,
    one with an EMA `after_step`.

    Attributes:
        aggregates: whether `aggregate` makes more of a sequence than its first view's features.
        aggregates_actions: whether `aggregate` reads actions.
        predicts: whether it predicts views from actions: `source`, `target` and `predict`.
        remembers: whether predictions depend on views before the last.
        rolls_out: whether what it predicts can be a source again, see `advance`.
        scaled: whether the length of a prediction means something to the loss, which otherwise
            compares directions.
        context_size: number of training sequences that `readouts` asks for.
        inverse: the method's own head that reads the actions between views from their features;
            None in methods or settings without.
    """

    aggregates: ClassVar[bool] = False
    aggregates_actions: bool = True
    predicts: ClassVar[bool] = False
    remembers: ClassVar[bool] = False
    rolls_out: ClassVar[bool] = True
    scaled: ClassVar[bool] = False
    context_size: ClassVar[int] = 1

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.inverse: InverseDynamics | None = None

    @abstractmethod
    def forward(self, batch: SequenceBatch) -> StepOutput:
        """Return the loss of a batch, and the detached representation for probes.

        Under several ranks the mean over ranks is the loss of the global batch: losses that compare
        samples gather them, others do not.
        """

    def after_step(self, progress: float) -> None:
        """Do what follows each optimizer step, such as an EMA; by default nothing.

        Args:
            progress: fraction of the run that is done, in (0, 1].
        """

    def represent(self, batch: SequenceBatch) -> Representation:
        """Return the representation of every view and of the whole sequence."""
        views = self.encoder(batch.views)
        return Representation(views, self.aggregate(views, batch.actions))

    def aggregate(self, features: Tensor, actions: Tensor) -> Tensor:
        """Return one representation [B, S] of each sequence from its views' features.

        Args:
            features: [B, T, D], outputs of the encoder.
            actions: [B, T-1, A], between the views; or [B, 0, A] where none is known.
        """
        return features[:, 0]

    def attention(self, features: Tensor, actions: Tensor) -> Tensor | None:
        """Return what the aggregate attends to, [B, layers, heads, 1 + T]; None without attention.

        The weights of a layer and a head sum to 1. The first is that of the aggregate's own token,
        the others are those of the views.

        Args:
            features, actions: as for `aggregate`.
        """
        return None

    def embed_actions(self, actions: Tensor) -> Tensor:
        """Return what the method makes of actions [B, T, A] before it reads them, [B, T, W].

        By default these are the actions themselves.
        """
        return actions

    def source(self, features: Tensor) -> Tensor:
        """Return what predictions start from [..., E], of the encoder's features [..., D].

        By default these are the features themselves.
        """
        return features

    def target(self, views: Tensor) -> Tensor:
        """Return what predictions are compared with [..., E], of views [..., C, H, W].

        It is the target of the method's own loss, such as the features of an EMA encoder.

        Raises:
            ConfigError: if the method has no predictor.
        """
        raise self._no_predictor()

    def predict(self, sources: Tensor, actions: Tensor) -> Tensor:
        """Return the predicted target [B, E] of the view that comes after the last action.

        Methods that predict from a single view read the last source and the last action.

        Args:
            sources: [B, T, E], of the observed views.
            actions: [B, T, A], between the views and from the last one on.

        Raises:
            ConfigError: if the method has no predictor.
        """
        raise self._no_predictor()

    def advance(self, sources: Tensor, predicted: Tensor) -> Tensor:
        """Return the source [B, E] that a prediction [B, E] stands for, to predict on from.

        Args:
            sources: [B, T, E], that it was made of.
            predicted: by `predict`.

        Raises:
            ConfigError: if the method's predictions are no sources.
        """
        if not self.rolls_out:
            raise ConfigError(f"{type(self).__name__} cannot go on from what it predicts")
        if self.scaled:
            return predicted
        # Only the direction was learned; the length of a source is one that the predictor knows.
        before, after = (rows.norm(dim=-1, keepdim=True) for rows in (sources[:, -1], predicted))
        advanced: Tensor = predicted * (before / after)
        return advanced

    def _no_predictor(self) -> ConfigError:
        return ConfigError(
            f"{type(self).__name__} does not predict views from actions; seq_jepa does"
        )

    def readouts(self, context: SequenceBatch) -> Mapping[str, Callable[[Tensor], Tensor]]:
        """Return other representations of a view that the method's paper reports.

        Each has a name and is a function of the encoder's features [..., D].

        Args:
            context: training sequences, for methods that read a view beside others; `context_size`
                of them, or all that there are.
        """
        return {}


def weighted(
    config: MethodConfig, terms: Mapping[str, Tensor], features: Tensor, **compared: Tensor
) -> StepOutput:
    """Return a step's output for a method without an aggregator, from its loss terms.

    The loss is the sum of the terms, each times the config's field of its name. `compared` is that
    of the output.
    """
    loss = torch.stack([getattr(config, name) * term for name, term in terms.items()]).sum()
    return StepOutput(
        loss,
        {name: term.detach() for name, term in terms.items()},
        Representation.of_views(features),
        {name: rows.detach() for name, rows in compared.items()},
    )
