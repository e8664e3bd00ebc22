"""ContextSSL (Gupta et al. 2024): a transformer that reads pairs of views as its context.

    tokens   [f(x_k); a_k], [f(x+_k); 0] for the pairs k = 1 .. K of a context
    z        = transformer(tokens): causal, a view never sees its own partner,
               each query row and layer drops each earlier pair with p 0.9
    loss     = NT-Xent(z_k, z+_k; tau = 0.1, cosines from 1e-7 on)
             + 5 MSE(regressor(z / |z|), pose of x+_k)

It becomes equivariant to what the context shows. The action's groups are its environments. Each
batch shows one of them, drawn at random; the other groups' parts of actions and poses are masked.
A view's pose is regressed from both tokens. The transformer is GPT-2's (pre-norm, GELU), 4 D wide,
without positions.

Deviations: environments are the world's single groups, drawn evenly (originally rotation, or both
hues); circular groups enter as wrapped differences and are regressed as (sin, cos). Weights start
as torch's, not GPT-2's. The original's optimizer is Adam with L2, lr 2e-7 x pairs per batch, decay
1e-3, warm-up, cosine to 0; here it is the recipe's. `readouts` gives its context sweep: a query
[f(x); 0] after training pairs of one group sees them and itself; classes are probed on z / |z| too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from seqjepa.actions import ActionSpace
from seqjepa.checks import fraction, not_negative, positive
from seqjepa.distributed import broadcast, gather
from seqjepa.errors import ConfigError
from seqjepa.losses import nt_xent, precise
from seqjepa.methods.base import Method, MethodConfig, weighted
from seqjepa.nn import Encoder, random_pair_masks, seen_by_queries
from seqjepa.types import SequenceBatch, StepOutput

CONTEXTS = (0, 1, 7, 15, 63)  # pairs; the paper's tables count their tokens, 0 to 126
QUERIES = 512  # views that are read out in one pass


@dataclass(frozen=True, kw_only=True)
class Config(MethodConfig):
    """The original's settings.

    Attributes:
        pairs: K, the pairs of a training context; the batch, or micro-batch, must be a multiple.
        expansion: the transformer's width in multiples of the number of features.
        layers: of the transformer.
        heads: of its attention; must divide its width.
        drop_pairs: probability that a query row does not see an earlier pair.
        temperature: tau of NT-Xent.
        contrast: coefficient of NT-Xent.
        regression: coefficient of the regression of poses.
    """

    reads: ClassVar[int | None] = 2

    pairs: int = 64
    expansion: int = 4
    layers: int = 3
    heads: int = 4
    drop_pairs: float = 0.9
    temperature: float = 0.1
    contrast: float = 1.0
    regression: float = 5.0

    def __post_init__(self) -> None:
        positive(self, "pairs", "expansion", "layers", "heads", "temperature")
        fraction(self, "drop_pairs")
        not_negative(self, "contrast", "regression")

    @override
    def build(self, encoder: Encoder, actions: ActionSpace) -> "ContextSSL":
        if (width := self.expansion * encoder.dim) % self.heads:
            raise ConfigError(
                f"the transformer's width {width} (expansion x features) must be a multiple of "
                f"method.heads = {self.heads}"
            )
        return ContextSSL(self, encoder, actions)

    @property
    @override
    def batch_multiple(self) -> int:
        return self.pairs

    @override
    def validate(self, actions: ActionSpace, num_views: int, batch_size: int) -> None:
        super().validate(actions, num_views, batch_size)
        if batch_size % self.pairs:
            raise ConfigError(
                "context_ssl reads whole contexts: train.batch_size / train.accumulate (/ ranks) "
                f"must be a multiple of method.pairs = {self.pairs}, got {batch_size}"
            )


class ContextSSL(Method):
    """A causal transformer over pairs of views, and a regressor of poses on its outputs.

    Letters as above: B pairs of views in n contexts of K, D features, A action width.
    """

    context_size: ClassVar[int] = max(CONTEXTS)
    predicts = remembers = True
    rolls_out: ClassVar[bool] = False  # z is no input of the transformer

    def __init__(self, config: Config, encoder: Encoder, actions: ActionSpace) -> None:
        super().__init__(encoder)
        self.config, self.actions = config, actions
        features, width = encoder.dim, config.expansion * encoder.dim

        self.read_in = nn.Linear(features + actions.action_dim, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, config.heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(config.layers)
        )
        self.norm, self.read_out = nn.LayerNorm(width), nn.Linear(width, features)

        outputs = sum(group.absolute_dim for group in actions.groups)
        self.regressor = nn.Sequential(
            nn.Linear(features, 2 * features),
            nn.ReLU(),
            nn.Linear(2 * features, 2 * features),
            nn.ReLU(),
            nn.Linear(2 * features, outputs),
        )

    def forward(self, batch: SequenceBatch) -> StepOutput:
        """Return the loss on views [B, 2, ...]."""
        config, groups = self.config, self.actions.groups
        features = self.encoder(batch.views)

        # The batch's environment is the same on all ranks: their rows meet in one loss.
        chosen = int(broadcast(torch.randint(len(groups), ())))
        shown = _only(chosen, [group.action_dim for group in groups], features)
        pairs = self._pairs(features, batch.actions[:, 0] * shown)  # [B, 2, D + A]

        # n contexts of K pairs: [n, 2 K, D + A] to [n, 2 K, D], and back to pairs [B, 2, D].
        tokens = pairs.unflatten(0, (-1, config.pairs)).flatten(1, 2)
        sizes = config.layers, len(tokens), config.heads
        masks = random_pair_masks(sizes, config.pairs, config.drop_pairs, tokens.device)
        out = self._transform(tokens, masks)
        z = F.normalize(precise(out.view(len(batch), 2, -1)), dim=-1)

        contrast = nt_xent(gather(z[:, 0]), gather(z[:, 1]), config.temperature, least_cosine=1e-7)
        predicted, truth = self.regressor(z), self.actions.absolute(batch.poses[:, 1:])
        mask = _only(chosen, [group.absolute_dim for group in groups], truth)
        error = ((predicted - truth).square() * mask).mean((0, 1)).sum() / mask.sum()
        return weighted(config, {"contrast": contrast, "regression": error}, features, output=z)

    def target(self, views: Tensor) -> Tensor:
        """Return normalised z [..., D] of views [..., C, H, W], each alone."""
        nothing = views.new_zeros(0, self.read_in.in_features, dtype=torch.float32)
        return self._read(nothing, self.encoder(views))

    def predict(self, sources: Tensor, actions: Tensor) -> Tensor:
        """Return z [B, D] of the last view with its action, after the pairs of views before it."""
        pairs = torch.stack([sources[:, :-1], sources[:, 1:]], 2)  # [B, T - 1, 2, D]
        moves = actions.to(sources.dtype)
        context = self._pairs(pairs.flatten(0, 1), moves[:, :-1].flatten(0, 1))
        query = torch.cat([sources[:, -1:], moves[:, -1:]], -1)

        tokens = torch.cat([context.view(len(query), -1, query.shape[-1]), query], 1)
        blocked = ~seen_by_queries(tokens.shape[1] - 1, 1, tokens.device)
        out = self._transform(tokens, [blocked] * self.config.layers)
        return F.normalize(precise(out[:, -1]), dim=-1)

    def readouts(self, context: SequenceBatch) -> Mapping[str, Callable[[Tensor], Tensor]]:
        """Return z of a view after contexts of 0 .. 63 pairs, as far as `context` reaches.

        Each group of actions shows contexts of its own; a single group has nothing to tell by them.
        """
        features, groups = self.encoder(context.views), self.actions.groups
        reached = [pairs for pairs in CONTEXTS if pairs <= len(features) and len(groups) > 1]
        widths, found = [group.action_dim for group in groups], {}
        for number, group in enumerate(groups):
            actions = context.actions[:, 0] * _only(number, widths, features)
            tokens = self._pairs(features, actions).flatten(0, 1)  # [2 K, D + A]
            for pairs in reached or [0]:
                name = f"context of {pairs} pair{'' if pairs == 1 else 's'}"
                name += f", {group.name}" if pairs else ""
                found[name] = partial(self._read, tokens[: 2 * pairs])
        return found

    def _read(self, context: Tensor, features: Tensor) -> Tensor:
        """Return normalised z [..., D] of features [..., D], each after the context [c, D + A]."""
        found, c = [], len(context)
        for rows in features.flatten(0, -2).split(QUERIES):
            queries = F.pad(rows, (0, context.shape[1] - rows.shape[1]))  # [f(x); 0]

            # Queries share one pass.
            blocked = ~seen_by_queries(c, len(rows), rows.device)
            tokens = torch.cat([context, queries])[None]
            out = self._transform(tokens, [blocked] * self.config.layers)
            found.append(F.normalize(precise(out[0, c:]), dim=-1))
        return torch.cat(found).view_as(features)

    def _pairs(self, features: Tensor, actions: Tensor) -> Tensor:
        """Return the tokens [B, 2, D + A] of pairs, from features [B, 2, D] and actions [B, A]."""
        moves = torch.stack([actions, torch.zeros_like(actions)], 1)
        return torch.cat([features, moves.to(features.dtype)], -1)

    def _transform(self, tokens: Tensor, masks: list[Tensor]) -> Tensor:
        """Map tokens [n, S, D + A] to [n, S, D]; a mask is true where a row must not look."""
        x = self.read_in(tokens)
        for layer, mask in zip(self.layers, masks, strict=True):
            x = layer(x, src_mask=mask)
        out: Tensor = self.read_out(self.norm(x))
        return out


def _only(chosen: int, widths: list[int], like: Tensor) -> Tensor:
    """Return a row with 1 in the columns of one group, 0 in those of the others."""
    parts = [torch.full((width,), float(number == chosen)) for number, width in enumerate(widths)]
    return torch.cat(parts).to(like.device)
