"""Heads and losses of the methods once more, with loops and in float64, as the papers' formulas say
them and without a look at the library.

Rows are lists of vectors; `w` is a dictionary from the names in the library's state dict, from some
prefix on, to tensors."""

import math

import torch
from torch import Tensor

from reference.plain_seq_jepa import batch_norm, layer_norm, relu

Weights = dict[str, Tensor]


def under(weights: Weights, prefix: str) -> Weights:
    """The weights below a prefix, without it."""
    found = {name: tensor for name, tensor in weights.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): tensor for name, tensor in found.items()}


def linear(w: Weights, name: str, rows: Tensor) -> Tensor:
    out = torch.stack([w[f"{name}.weight"] @ row for row in rows])
    return out + w[f"{name}.bias"] if f"{name}.bias" in w else out


def mlp(w: Weights, rows: Tensor, layers: int, *, last_norm: bool) -> Tensor:
    """Linear, BatchNorm and ReLU take turns as numbers 0, 1, 2, 3, 4, ..."""
    for layer in range(layers - 1):
        hidden, norm = linear(w, str(3 * layer), rows), 3 * layer + 1
        rows = relu(batch_norm(hidden, w[f"{norm}.weight"], w[f"{norm}.bias"]))
    rows = linear(w, str(3 * (layers - 1)), rows)
    return batch_norm(rows) if last_norm else rows


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b) / ((a @ a).sqrt() * (b @ b).sqrt())


def nt_xent(first: Tensor, second: Tensor, tau: float, least: float = -1.0) -> Tensor:
    """SimCLR, equation 1: each of the 2B rows looks for its partner among all others."""
    rows = [*first, *second]
    size, total = len(first), 0.0
    for i, anchor in enumerate(rows):
        scores = {}
        for j, other in enumerate(rows):
            if j != i:
                scores[j] = torch.clamp(cosine(anchor, other), min=least) / tau
        partner = (i + size) % (2 * size)
        total = total - (scores[partner] - torch.stack(list(scores.values())).logsumexp(0))
    return total / (2 * size)


def variance(rows: Tensor) -> Tensor:
    """VICReg, equation 1, with the unbiased variance."""
    total = 0.0
    for column in rows.T:
        spread = ((column - column.sum() / len(column)) ** 2).sum() / (len(column) - 1)
        total = total + torch.clamp(1 - (spread + 1e-4).sqrt(), min=0)
    return total / rows.shape[1]


def covariance(rows: Tensor) -> Tensor:
    """VICReg, equations 3 and 4."""
    centred = [column - column.sum() / len(column) for column in rows.T]
    total = 0.0
    for i, a in enumerate(centred):
        for j, b in enumerate(centred):
            if i != j:
                total = total + ((a * b).sum() / (len(a) - 1)) ** 2
    return total / len(centred)


def squared(a: Tensor, b: Tensor) -> Tensor:
    return ((a - b) ** 2).sum() / a.numel()


def trajectory(before: Tensor, centre: Tensor, after: Tensor) -> Tensor:
    total = 0.0
    for views in zip(before, centre, after, strict=True):
        a, b, c = (x / (x @ x).sqrt() for x in views)
        legs = [leg - (leg @ b) * b for leg in (b - a, c - b)]
        total = total - cosine(*legs)
    return total / len(before)


def embed(w: Weights, actions: Tensor) -> Tensor:
    """P: a matrix and a BatchNorm without affine part."""
    return batch_norm(linear(w, "linear", actions))


def gpt(
    w: Weights, sequences: list[list[Tensor]], sees, layers: int, heads: int
) -> list[list[Tensor]]:
    """Pre-norm layers with GELU over sequences of tokens; `sees(layer, row, column)` says whether
    token `row` attends to token `column`."""

    def norm(name: str, x: Tensor) -> Tensor:
        return layer_norm(x, w[f"{name}.weight"], w[f"{name}.bias"])

    out = []
    for tokens in sequences:
        x = [w["read_in.weight"] @ token + w["read_in.bias"] for token in tokens]
        width = len(x[0])
        size = width // heads
        for layer in range(layers):
            p = f"layers.{layer}."
            matrix, bias = w[p + "self_attn.in_proj_weight"], w[p + "self_attn.in_proj_bias"]
            q, k, v = (
                [matrix[s : s + width] @ norm(p + "norm1", t) + bias[s : s + width] for t in x]
                for s in (0, width, 2 * width)
            )

            new = []
            for i, token in enumerate(x):
                seen = [j for j in range(len(x)) if sees(layer, i, j)]
                parts = []
                for head in range(heads):
                    part = slice(head * size, (head + 1) * size)
                    scores = [q[i][part] @ k[j][part] / math.sqrt(size) for j in seen]
                    share = torch.softmax(torch.stack(scores), 0)
                    parts.append(sum(s * v[j][part] for s, j in zip(share, seen, strict=True)))
                attended = w[p + "self_attn.out_proj.weight"] @ torch.cat(parts)
                new.append(token + attended + w[p + "self_attn.out_proj.bias"])

            x = []
            for token in new:
                hidden = w[p + "linear1.weight"] @ norm(p + "norm2", token) + w[p + "linear1.bias"]
                hidden = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
                x.append(token + w[p + "linear2.weight"] @ hidden + w[p + "linear2.bias"])
        out.append([w["read_out.weight"] @ norm("norm", token) + w["read_out.bias"] for token in x])
    return out
