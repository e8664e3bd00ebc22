"""Heads between an encoder's features and a loss; they are thrown away after training."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from seqjepa.errors import ConfigError


def mlp(
    inputs: int,
    widths: Sequence[int],
    *,
    hidden_bias: bool = False,
    last: Literal["norm", "bias", "bare"],
) -> nn.Sequential:
    """Return linear layers with BatchNorm and ReLU between them, a method's head or predictor.

    Args:
        inputs: width of the input.
        widths: of the layers, the output's last.
        hidden_bias: whether all layers but the last have a bias.
        last: the last layer: Linear without bias and a BatchNorm without affine part (`norm`),
            Linear (`bias`), or Linear without bias (`bare`).
    """
    layers: list[nn.Module] = []
    for width in widths[:-1]:
        layers += [nn.Linear(inputs, width, bias=hidden_bias), nn.BatchNorm1d(width), nn.ReLU()]
        inputs = width
    layers.append(nn.Linear(inputs, widths[-1], bias=last == "bias"))
    if last == "norm":
        layers.append(nn.BatchNorm1d(widths[-1], affine=False))
    return nn.Sequential(*layers)


class FiLM(nn.Module):
    """An `mlp` whose hidden layer a condition scales and shifts (Perez et al. 2018).

    Scale and shift are linear maps of the condition that start at zero, as in AdaLN-Zero (Peebles
    and Xie 2023): it starts as the `mlp` without a condition.
    """

    def __init__(self, inputs: int, widths: tuple[int, int], *, condition: int) -> None:
        """Make the layers.

        Args:
            inputs: width of the input, the condition included.
            widths: of the hidden layer and the output.
            condition: width of the condition, the last columns of the input.
        """
        super().__init__()
        self.condition = condition
        self.layers = mlp(inputs - condition, widths, last="bias")
        self.modulation = nn.Linear(condition, 2 * widths[0])
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, rows: Tensor) -> Tensor:
        """Map rows [N, inputs] to [N, outputs]."""
        known, condition = rows[:, : -self.condition], rows[:, -self.condition :]
        linear, norm, relu, last = self.layers
        scale, shift = self.modulation(condition).chunk(2, -1)
        out: Tensor = last(relu(norm(linear(known)) * (1 + scale) + shift))
        return out


def predictor(inputs: int, widths: tuple[int, int], *, film: int) -> nn.Module:
    """Return an `mlp` with one hidden layer; with `film`, a `FiLM` by that many last inputs."""
    if film:
        return FiLM(inputs, widths, condition=film)
    return mlp(inputs, widths, last="bias")


class InverseDynamics(nn.Module):
    """An MLP that reads the action from two successive views (arXiv 2606.20104).

    Its error is a term of the loss that keeps in the features what actions change.
    """

    def __init__(self, features: int, action_dim: int, hidden: int = 512) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * features, hidden), nn.ReLU(), nn.Linear(hidden, action_dim)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map features [B, T, D] to the actions [B, T - 1, A] between them."""
        pairs = torch.cat([features[:, :-1], features[:, 1:]], -1)
        actions: Tensor = self.layers(pairs)
        return actions


def multiple(features: int, share: float) -> int:
    """Return a width that is given in multiples of the number of features."""
    return max(1, round(share * features))


@dataclass(frozen=True, kw_only=True)
class ProjectorConfig:
    """The head between encoder and loss; only training sees its outputs.

    Attributes:
        kind: `mlp`, or `transformer`: an encoder over sequences of length one in its place
            (seq-JEPA, Table 8, the methods with a "+").
        widths: of the MLP's layers, in multiples of the number of features: the papers' 2048 over a
            ResNet-18's 512 is 4.
        layers: of the transformer, post-norm, its feed-forward width 4 times the number of
            features, which it keeps.
        heads: of the transformer's attention; must divide the number of features.
        dropout: in the transformer. An EMA copy drops out too, as it trains on its own statistics.
    """

    kind: Literal["mlp", "transformer"] = "mlp"
    widths: tuple[float, ...] = (4.0, 4.0, 4.0)
    layers: int = 3
    heads: int = 4
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if not self.widths or not all(0 < width < math.inf for width in self.widths):
            raise ConfigError(
                "method.projector.widths must be finite and positive multiples of the features, "
                f"got {list(self.widths)}"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(
                f"method.projector.dropout must lie in 0..1 (1 excluded), got {self.dropout}"
            )
        if self.layers < 1 or self.heads < 1:
            raise ConfigError(
                "method.projector.layers and heads must be at least 1, "
                f"got {self.layers} and {self.heads}"
            )

    def build(
        self,
        features: int,
        *,
        hidden_bias: bool = False,
        last: Literal["norm", "bare"] = "norm",
        of: int | None = None,
    ) -> "Projector":
        """Return a new head.

        Args:
            features: D, width of its input.
            hidden_bias, last: see `mlp`; a transformer has neither.
            of: the number that the widths are multiples of, if not that of the input's features.
        """
        if self.kind == "transformer":
            return Projector(
                OneTokenTransformer(features, self.layers, self.heads, self.dropout), features
            )
        widths = [multiple(of or features, share) for share in self.widths]
        return Projector(mlp(features, widths, hidden_bias=hidden_bias, last=last), widths[-1])


class Projector(nn.Module):
    """A head on features.

    Attributes:
        dim: width of its output.
    """

    def __init__(self, layers: nn.Module, dim: int) -> None:
        super().__init__()
        self.layers, self.dim = layers, dim

    def forward(self, features: Tensor) -> Tensor:
        """Map features [..., D] to [..., dim]."""
        projected: Tensor = self.layers(features.flatten(0, -2)).unflatten(0, features.shape[:-1])
        return projected


class OneTokenTransformer(nn.Module):
    """A transformer encoder over sequences of one token, with a final LayerNorm."""

    def __init__(self, dim: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        if dim % heads:
            raise ConfigError(
                f"the projector's width {dim} must be a multiple of "
                f"method.projector.heads = {heads}"
            )
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(dim, heads, 4 * dim, dropout, batch_first=True)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, rows: Tensor) -> Tensor:
        """Map rows [N, D] to [N, D]."""
        tokens = rows[:, None]
        for layer in self.layers:
            tokens = layer(tokens)
        out: Tensor = self.norm(tokens[:, 0])
        return out
