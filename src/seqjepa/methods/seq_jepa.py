"""seq-JEPA (Ghaemi, Muller, Bakhtiari, NeurIPS 2025, section 3.1).

    z_i  = f(x_i)                     encoder: the equivariant representation
    e_i  = P(a_i)                     action embedding
    zagg = g([AGG], [z_1; e_1] .. [z_{M-1}; e_{M-1}], [z_M; 0])
                                      aggregator: the invariant representation (eqs. 3, 4)
    loss = 1 - cos(h([zagg; e_M]), sg f_ema(x_{M+1}))
                                      predictor h against the EMA target encoder (eq. 5)

Deviations from the authors' release, each for a flaw there: P is applied once per step and to real
actions only, so that its BatchNorm sees actions and never padding; the layers of g start from
different weights; tau moves every step; target parameters are averaged in place.

Beyond the paper: `predict = "every"` predicts each next view x_{m+1} from its own prefix
x_1 .. x_m, m = 1 .. M, and averages the M losses. The encoder runs once on each view and the
aggregator once on all prefixes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from typing_extensions import override

from seqjepa.actions import ActionSpace
from seqjepa.checks import fraction, positive
from seqjepa.errors import ConfigError
from seqjepa.heads import mlp
from seqjepa.losses import cosine_loss
from seqjepa.methods.base import Method, MethodConfig
from seqjepa.nn import ActionEmbedding, Aggregator, EMATarget, Encoder
from seqjepa.schedules import ema_momentum
from seqjepa.types import Representation, SequenceBatch, StepOutput


@dataclass(frozen=True, kw_only=True)
class Config(MethodConfig):
    """The paper's settings; the fields are its ablations.

    Attributes:
        predict: `last`, the paper's objective: the last view from all before it; `every`: each next
            view from its own prefix.
        condition: where action embeddings go: `both`, only the `predictor`, only the `aggregator`,
            or `none` (Table 4). What is not conditioned has no input for actions, so its width
            shrinks.
        action_width: width of an action embedding (Table 4: 16 to 256).
        layers: of the aggregator; their feed-forward width is 4 times the token width.
        heads: of the aggregator's attention; must divide the token width, features plus
            action_width.
        dropout: in the aggregator.
        predictor_width: hidden units of the predictor.
        ema_momentum: of the target encoder at the start; rises to 1 along half a cosine.
        ema_buffers: average the target's BatchNorm statistics too, instead of letting it keep its
            own.
    """

    conditioned: ClassVar[bool] = False  # it may be, see `validate`

    predict: Literal["last", "every"] = "last"
    condition: Literal["both", "predictor", "aggregator", "none"] = "both"
    action_width: int = 128
    layers: int = 3
    heads: int = 4
    dropout: float = 0.1
    predictor_width: int = 1024
    ema_momentum: float = 0.996
    ema_buffers: bool = False

    def __post_init__(self) -> None:
        positive(self, "action_width", "layers", "heads", "predictor_width")
        fraction(self, "ema_momentum")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"method.dropout must lie in 0..1 (1 excluded), got {self.dropout}")

    @property
    @override
    def uses_actions(self) -> bool:
        return self.condition != "none"

    @override
    def build(self, encoder: Encoder, actions: ActionSpace) -> "SeqJEPA":
        return SeqJEPA(self, encoder, actions.action_dim)

    @override
    def validate(self, actions: ActionSpace, num_views: int, batch_size: int) -> None:
        super().validate(actions, num_views, batch_size)
        if self.condition != "none" and not actions.groups:
            raise ConfigError(
                "the world has no actions to condition on: name some in world.actions "
                "or set method.condition to none"
            )
        if self.condition == "aggregator" and num_views == 2:
            raise ConfigError(
                "with train.num_views = 2 the aggregator sees no action: use 3 or more, "
                "or another method.condition"
            )


class SeqJEPA(Method):
    """Encoder, aggregator and predictor, with an EMA target encoder.

    Letters as above: B sequences, M observed views, D features, A action width, E token width.
    """

    aggregates: ClassVar[bool] = True

    def __init__(self, config: Config, encoder: Encoder, action_dim: int) -> None:
        super().__init__(encoder)
        self.config = config
        self.in_aggregator = config.condition in ("both", "aggregator")
        self.in_predictor = config.condition in ("both", "predictor")

        # What is not conditioned has no input for actions: its width shrinks.
        features, width = encoder.dim, config.action_width
        token = features + width * self.in_aggregator
        joint = token + width * self.in_predictor

        # The order of these lines is the order in which weights are drawn from the seed.
        self.target_encoder = EMATarget(encoder, buffers=config.ema_buffers)
        self.action_embedding = (
            ActionEmbedding(action_dim, width) if config.condition != "none" else None
        )
        self.aggregator = Aggregator(
            token,
            layers=config.layers,
            heads=config.heads,
            feedforward=4 * token,
            dropout=config.dropout,
        )
        self.predictor = mlp(joint, (config.predictor_width, features), last="bias")

    def forward(self, batch: SequenceBatch) -> StepOutput:
        """Return the loss on views [B, M + 1, ...].

        The logged `loss_last` is the paper's part of the loss: the last view from all M before it.
        """
        observed = batch.views.shape[1] - 1
        lengths = [observed] if self.config.predict == "last" else list(range(1, observed + 1))

        # A prefix of m views predicts view m + 1, by the action m that leads to it.
        features = self.encoder(batch.views[:, :observed])
        target = self.target_encoder(batch.views[:, lengths[0] :])
        embedded = self._embed(batch.actions)
        aggregated = self._aggregate(features, embedded, lengths)
        predicted = self._predict(aggregated, embedded[:, lengths[0] - 1 :])

        per_prefix = cosine_loss(predicted, target).mean(0)
        representation = Representation(features, aggregated[:, -1]).detach()
        return StepOutput(per_prefix.mean(), {"loss_last": per_prefix[-1].detach()}, representation)

    def after_step(self, progress: float) -> None:
        """Move the target encoder (tau of section 3.2)."""
        self.target_encoder.update(self.encoder, ema_momentum(progress, self.config.ema_momentum))

    def aggregate(self, features: Tensor, actions: Tensor) -> Tensor:
        """Return z_AGG [B, E] of features [B, T, D] with the actions [B, T-1, A] between them."""
        return self._aggregate(features, self._embed(actions), [features.shape[1]])[:, 0]

    def predict(self, features: Tensor, actions: Tensor) -> Tensor:
        """Return the predicted features [B, D] of the next view.

        The last of the actions [B, T, A] leads to it from the last of the features [B, T, D].
        """
        embedded = self._embed(actions)
        aggregated = self._aggregate(features, embedded, [features.shape[1]])
        return self._predict(aggregated, embedded[:, -1:])[:, 0]

    def _embed(self, actions: Tensor) -> Tensor:
        """Map actions [B, T, A] to embeddings [B, T, width], empty without conditioning."""
        if self.action_embedding is None:
            return actions[..., :0]
        embedded: Tensor = self.action_embedding(actions)
        return embedded

    def _aggregate(self, features: Tensor, embedded: Tensor, lengths: Sequence[int]) -> Tensor:
        """Return z_AGG [B, P, E] of each of P prefix lengths.

        Embeddings beyond the last view's are ignored, missing ones are never read.
        """
        past = present = features
        if self.in_aggregator:
            # A prefix's last view has no action yet: its token ends in zeros.
            still = embedded.new_zeros(*features.shape[:2], self.config.action_width)
            moves = min(embedded.shape[1], features.shape[1])
            past = torch.cat([features, torch.cat([embedded[:, :moves], still[:, moves:]], 1)], -1)
            present = torch.cat([features, still], -1)
        aggregated: Tensor = self.aggregator(past, present, lengths)
        return aggregated

    def _predict(self, aggregated: Tensor, embedded: Tensor) -> Tensor:
        """Predict [B, P, D] from z_AGG [B, P, E] and the next actions' embeddings [B, P, width]."""
        joint = torch.cat([aggregated, embedded], -1) if self.in_predictor else aggregated
        predicted: Tensor = self.predictor(joint.flatten(0, 1)).unflatten(0, aggregated.shape[:2])
        return predicted
