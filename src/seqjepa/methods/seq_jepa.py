"""seq-JEPA (Ghaemi, Muller, Bakhtiari, NeurIPS 2025, section 3.1).

    z_i  = f(x_i)                     encoder: the equivariant representation
    e_i  = P(a_i)                     action embedding
    zagg = g([AGG], [z_1; e_1] .. [z_{M-1}; e_{M-1}], [z_M; 0])  aggregator: invariant (eqs. 3, 4)
    loss = 1 - cos(h([zagg; e_M]), sg f_ema(x_{M+1}))            predictor, EMA target (eq. 5)

Deviations from the authors' release, each for a flaw there: P is applied once per step and to real
actions only, so that its BatchNorm sees actions and never padding; the layers of g start from
different weights; tau moves every step; target parameters are averaged in place.

Beyond the paper: `predict = "every"` predicts each next view x_{m+1} from its own prefix
x_1 .. x_m, m = 1 .. M, and averages the M losses; encoder and aggregator run once. Other options,
with p = h([zagg; e_M]), t = sg f_ema(x_{M+1}) and c = t and sg f_ema of each negative view:

    loss = contrast      InfoNCE: -log(exp(cos(p, t) / tau) / sum_c exp(cos(p, c) / tau))
    inverse              + inverse * |q([z_i; z_{i+1}]) - a_i|^2 / A for i < M (arXiv 2606.20104)
    present              p = h([zagg; z_M; e_M])
    conditioning = film  h's hidden layer is ReLU((1 + s) BN(W zagg) + b), [s; b] = U e_M + u
    target = online      t, c = f(x), with gradient; inverse then reads all i <= M
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from typing_extensions import override

from seqjepa.actions import ActionSpace
from seqjepa.checks import below_one, fraction, needs, not_negative, positive
from seqjepa.distributed import gather, rank
from seqjepa.errors import ConfigError
from seqjepa.from_json import added_in
from seqjepa.heads import InverseDynamics, predictor
from seqjepa.losses import contrast_loss, cosine_loss, mean_squared_error
from seqjepa.methods.base import Method, MethodConfig
from seqjepa.nn import ActionEmbedding, Aggregator, EMATarget, Encoder, view_action_tokens
from seqjepa.types import Representation, SequenceBatch, StepOutput


@dataclass(frozen=True, kw_only=True)
class Config(MethodConfig):
    """The paper's settings; the fields are its ablations.

    Attributes:
        predict: the `last` view from all before it (the paper), or `every` next one from its own.
        condition: what reads actions: `both`, `predictor`, `aggregator` or `none` (Table 4).
        action_width: width of an action embedding (Table 4: 16 to 256).
        layers: of the aggregator; their feed-forward width is 4 times the token width.
        heads: of the aggregator's attention; must divide the token width, features + action_width.
        dropout: in the aggregator.
        predictor_width: hidden units of the predictor.
        ema_momentum: of the target encoder at the start; rises to 1 along half a cosine.
        ema_buffers: average the target's BatchNorm statistics too; without, it keeps its own.
        loss: `cosine`, the paper's; `contrast`: predictions pick their view among others (InfoNCE).
        temperature: tau of `contrast`.
        negatives: of `contrast`: `all` other views, those of `others`, or of its `own` object.
        inverse: weight of inverse dynamics: a small MLP reads the action from two observed views.
        present: whether the predictor also reads the features of the last observed view.
        conditioning: the next action is the predictor's input (`concat`), or modulates it (`film`).
        target: features of the EMA encoder, or with `contrast` also the encoder's own (`online`).
    """

    conditioned: ClassVar[bool] = False
    without_actions: ClassVar[str] = "set method.condition to none and method.inverse to 0"
    predict: Literal["last", "every"] = "last"
    condition: Literal["both", "predictor", "aggregator", "none"] = "both"
    action_width: int = 128
    layers: int = 3
    heads: int = 4
    dropout: float = 0.1
    predictor_width: int = 1024
    ema_momentum: float = 0.996
    ema_buffers: bool = False
    loss: Literal["cosine", "contrast"] = added_in(3, "cosine")
    temperature: float = added_in(3, 0.1)
    negatives: Literal["all", "others", "own"] = added_in(3, "all")
    inverse: float = added_in(3, 0.0)
    present: bool = added_in(3, False)
    conditioning: Literal["concat", "film"] = added_in(3, "concat")
    target: Literal["ema", "online"] = added_in(7, "ema")

    def __post_init__(self) -> None:
        positive(self, "action_width", "layers", "heads", "predictor_width", "temperature")
        fraction(self, "ema_momentum")
        below_one(self, "dropout")
        not_negative(self, "inverse")
        needs(self, "conditioning", "film", "condition", "both", "predictor")
        needs(self, "target", "online", "loss", "contrast")  # else it collapses

    @property
    @override
    def uses_actions(self) -> bool:
        return self.condition != "none"

    @property
    @override
    def reads_actions(self) -> bool:
        return self.uses_actions or self.inverse > 0

    @override
    def build(self, encoder: Encoder, actions: ActionSpace) -> "SeqJEPA":
        return SeqJEPA(self, encoder, actions.action_dim)

    @override
    def validate(self, actions: ActionSpace, num_views: int, batch_size: int) -> None:
        super().validate(actions, num_views, batch_size)
        inverse = self.inverse > 0 and self.target == "ema"
        if num_views == 2 and (inverse or self.condition == "aggregator"):
            option = "method.inverse = 0" if inverse else "another method.condition"
            raise ConfigError(
                f"train.num_views = 2: no action between observed views: use 3 or more, or {option}"
            )
        if self.loss == "contrast" and self.negatives != "own" and batch_size < 2:
            raise ConfigError(
                "method.loss contrast compares objects: train.batch_size must give each rank and "
                f"micro-batch 2 or more, got {batch_size}"
            )


class SeqJEPA(Method):
    """Encoder, aggregator, predictor, EMA target unless that is `online`; E is a token's width."""

    aggregates = predicts = remembers = True

    def __init__(self, config: Config, encoder: Encoder, action_dim: int) -> None:
        super().__init__(encoder)
        self.config = config
        self.aggregates_actions = config.condition in ("both", "aggregator")
        self.in_predictor = config.condition in ("both", "predictor")

        features, width = encoder.dim, config.action_width
        token = features + width * self.aggregates_actions
        joint = token + features * config.present + width * self.in_predictor

        # The order of these lines is the order in which weights are drawn from the seed.
        online = config.target == "online"
        self.target_encoder = None if online else EMATarget(encoder, buffers=config.ema_buffers)
        self.action_embedding = ActionEmbedding(action_dim, width) if config.uses_actions else None
        sizes = {"layers": config.layers, "heads": config.heads, "feedforward": 4 * token}
        self.aggregator = Aggregator(token, dropout=config.dropout, **sizes)
        film, widths = config.conditioning == "film", (config.predictor_width, features)
        self.predictor = predictor(joint, widths, film=width * film)
        self.inverse = InverseDynamics(features, action_dim) if config.inverse else None

    def forward(self, batch: SequenceBatch) -> StepOutput:
        """Return the loss on views [B, M + 1, ...]; `loss_last` is the paper's of the last view."""
        config, observed = self.config, batch.views.shape[1] - 1
        first, contrast = observed if config.predict == "last" else 1, config.loss == "contrast"

        # A prefix of m views predicts view m + 1. Contrast compares all views; online, all learn.
        online = self.target_encoder is None
        features = self.encoder(batch.views[:, : observed + online])
        targets = features if online else self.target(batch.views[:, 0 if contrast else first :])
        embedded = self.embed_actions(batch.actions)
        aggregated = self._aggregate(features, embedded, range(first, observed + 1))
        present = features[:, first - 1 : observed]
        predicted = self._predict(aggregated, present, embedded[:, first - 1 :])

        per_prefix = cosine_loss(predicted, targets[:, -predicted.shape[1] :]).mean(0)
        loss = cosine = per_prefix.mean()
        terms = {"loss_last": per_prefix[-1]}
        if contrast:
            whole, start, tau = gather(targets), rank() * len(targets), config.temperature
            loss = contrast_loss(predicted, whole, tau, config.negatives, start).mean()
            terms |= {"cosine": cosine, "contrast": loss}
        if self.inverse is not None:
            read = self.inverse(features)
            error = mean_squared_error(read, batch.actions[:, : read.shape[1]])
            loss = loss + config.inverse * error
            terms |= {"cosine": cosine, "inverse": error}

        terms = {name: term.detach() for name, term in terms.items()}
        representation = Representation(features[:, :observed], aggregated[:, -1]).detach()
        return StepOutput(loss, terms, representation, {"prediction": predicted.detach()})

    def after_step(self, progress: float) -> None:
        """Move the target encoder (tau of section 3.2)."""
        if self.target_encoder:
            self.target_encoder.follow(self.encoder, progress, self.config.ema_momentum)

    def aggregate(self, features: Tensor, actions: Tensor) -> Tensor:
        """Return z_AGG [B, E] of features [B, T, D] with the actions [B, T-1, A] between them."""
        return self._aggregate(features, self._embed_read(actions), [features.shape[1]])[:, 0]

    @override
    def attention(self, features: Tensor, actions: Tensor) -> Tensor:
        return self.aggregator.attention(*view_action_tokens(features, self._embed_read(actions)))

    def embed_actions(self, actions: Tensor) -> Tensor:
        """Map actions [B, T, A] to embeddings [B, T, width], empty without conditioning."""
        return self.action_embedding.forward(actions) if self.action_embedding else actions[..., :0]

    def target(self, views: Tensor) -> Tensor:
        """Return the target's features [..., D] of views [..., C, H, W]."""
        return (self.target_encoder or self.encoder).forward(views)

    def predict(self, sources: Tensor, actions: Tensor) -> Tensor:
        """Return the features [B, D] that the last of the actions [B, T, A] leads to."""
        embedded = self.embed_actions(actions)
        aggregated = self._aggregate(sources, embedded, [sources.shape[1]])
        return self._predict(aggregated, sources[:, -1:], embedded[:, -1:])[:, 0]

    def _aggregate(self, features: Tensor, embedded: Tensor, lengths: Sequence[int]) -> Tensor:
        """Return z_AGG [B, P, E] of each of P prefix lengths."""
        read = embedded if self.aggregates_actions else embedded[..., :0]
        return self.aggregator.forward(*view_action_tokens(features, read), lengths)

    def _embed_read(self, actions: Tensor) -> Tensor:
        """Embed actions if the aggregator reads them; if not, they may be another world's."""
        return self.embed_actions(actions) if self.aggregates_actions else actions[..., :0]

    def _predict(self, aggregated: Tensor, present: Tensor, embedded: Tensor) -> Tensor:
        """Predict [B, P, D] from z_AGG, features of the last views and embeddings of actions."""
        inputs = [aggregated] + [present] * self.config.present + [embedded] * self.in_predictor
        rows = torch.cat(inputs, -1).flatten(0, 1)
        predicted: Tensor = self.predictor(rows).unflatten(0, aggregated.shape[:2])
        return predicted
