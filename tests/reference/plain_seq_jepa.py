"""seq-JEPA's training step once more, with loops and in float64, as the paper's formulas say it and
without a look at the library.

Everything is a function of `weights`, a dictionary from the names in the library's state dict to
tensors. Sequences are worked on one by one, and so are prefixes, heads and tokens; only BatchNorm
looks at many at once."""

import math

import torch
from torch import Tensor

Weights = dict[str, Tensor]


def batch_norm(rows: Tensor, gain: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """Each column of [N, C] to mean 0 and (biased) variance 1."""
    columns = []
    for c in range(rows.shape[1]):
        column = rows[:, c]
        mean = column.sum() / len(column)
        variance = ((column - mean) ** 2).sum() / len(column)
        normal = (column - mean) / (variance + 1e-5) ** 0.5
        columns.append(normal if gain is None or bias is None else normal * gain[c] + bias[c])
    return torch.stack(columns, 1)


def batch_norm_images(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """The same for [N, C, H, W], over N, H and W."""
    n, c, h, w = x.shape
    pixels = batch_norm(x.permute(0, 2, 3, 1).reshape(-1, c), gain, bias)
    return pixels.reshape(n, h, w, c).permute(0, 3, 1, 2)


def convolution(x: Tensor, kernel: Tensor, stride: int, padding: int) -> Tensor:
    """A sum over the kernel's places."""
    n, _, h, w = x.shape
    size = kernel.shape[-1]
    padded = x.new_zeros(n, x.shape[1], h + 2 * padding, w + 2 * padding)
    padded[:, :, padding : padding + h, padding : padding + w] = x
    rows, columns = (h + 2 * padding - size) // stride + 1, (w + 2 * padding - size) // stride + 1
    out = x.new_zeros(n, kernel.shape[0], rows, columns)
    for i in range(size):
        for j in range(size):
            seen = padded[:, :, i : i + stride * rows : stride, j : j + stride * columns : stride]
            out = out + torch.einsum("ncrs,oc->nors", seen, kernel[:, :, i, j])
    return out


def relu(x: Tensor) -> Tensor:
    return x * (x > 0)


def encoder(weights: Weights, prefix: str, images: Tensor, stride: int) -> Tensor:
    """ResNet-18 without pooling after the first convolution, [N, C, H, W] to [N, D]."""

    def w(name: str) -> Tensor:
        return weights[f"{prefix}.backbone.{name}"]

    def norm(x: Tensor, name: str) -> Tensor:
        return batch_norm_images(x, w(f"{name}.weight"), w(f"{name}.bias"))

    x = relu(norm(convolution(images, w("conv1.weight"), stride, 1), "bn1"))
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            name = f"layer{stage}.{block}"
            step = 2 if stage > 1 and block == 0 else 1
            shortcut = x
            if step == 2:
                halved = convolution(x, w(f"{name}.downsample.0.weight"), 2, 0)
                shortcut = norm(halved, f"{name}.downsample.1")
            x = relu(norm(convolution(x, w(f"{name}.conv1.weight"), step, 1), f"{name}.bn1"))
            x = norm(convolution(x, w(f"{name}.conv2.weight"), 1, 1), f"{name}.bn2")
            x = relu(x + shortcut)
    return x.sum((2, 3)) / (x.shape[2] * x.shape[3])


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    centred = x - x.mean()
    return centred / ((centred**2).mean() + 1e-5) ** 0.5 * gain + bias


def attention(w: Weights, tokens: list[Tensor], heads: int) -> list[Tensor]:
    """Let each token attend to all tokens, head by head."""
    width = len(tokens[0])
    size = width // heads
    q, k, v = (
        [w["in_proj_weight"][s : s + width] @ x + w["in_proj_bias"][s : s + width] for x in tokens]
        for s in (0, width, 2 * width)
    )

    out = []
    for query in q:
        seen = []
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            scores = torch.stack([query[part] @ key[part] / math.sqrt(size) for key in k])
            share = torch.exp(scores - scores.max())
            share = share / share.sum()
            seen.append(sum(share[i] * v[i][part] for i in range(len(tokens))))
        out.append(w["out_proj.weight"] @ torch.cat(seen) + w["out_proj.bias"])
    return out


def aggregate(weights: Weights, tokens: list[Tensor], layers: int, heads: int) -> Tensor:
    """z_AGG of one sequence of tokens, the [AGG] token before them (post-norm layers, one more norm
    at the end)."""
    x = [weights["aggregator.agg"], *tokens]
    for layer in range(layers):
        prefix = f"aggregator.layers.{layer}."
        w = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
        own = {name.removeprefix("self_attn."): tensor for name, tensor in w.items()}

        new = []
        for token, attended in zip(x, attention(own, x, heads), strict=True):
            a = layer_norm(token + attended, w["norm1.weight"], w["norm1.bias"])
            hidden = relu(w["linear1.weight"] @ a + w["linear1.bias"])
            fed = w["linear2.weight"] @ hidden + w["linear2.bias"]
            new.append(layer_norm(a + fed, w["norm2.weight"], w["norm2.bias"]))
        x = new
    return layer_norm(x[0], weights["aggregator.norm.weight"], weights["aggregator.norm.bias"])


def predictor(w: Weights, rows: Tensor) -> Tensor:
    hidden = rows @ w["predictor.0.weight"].T
    hidden = relu(batch_norm(hidden, w["predictor.1.weight"], w["predictor.1.bias"]))
    return hidden @ w["predictor.3.weight"].T + w["predictor.3.bias"]


def film(w: Weights, rows: Tensor, conditions: list[Tensor]) -> Tensor:
    """The same, with (1 + s) and b of each row's condition between BatchNorm and ReLU."""
    normal = batch_norm(
        rows @ w["predictor.layers.0.weight"].T,
        w["predictor.layers.1.weight"],
        w["predictor.layers.1.bias"],
    )
    out = []
    for row, condition in zip(normal, conditions, strict=True):
        change = w["predictor.modulation.weight"] @ condition + w["predictor.modulation.bias"]
        hidden = [relu((1 + change[i]) * row[i] + change[len(row) + i]) for i in range(len(row))]
        last = w["predictor.layers.3.weight"] @ torch.stack(hidden)
        out.append(last + w["predictor.layers.3.bias"])
    return torch.stack(out)


def contrast(
    predicted: list[tuple[int, int, Tensor]], targets: Tensor, tau: float, negatives: str
) -> Tensor:
    """InfoNCE of predictions (b, m, p) of view m of object b among targets [B, T, D]."""
    total = 0.0
    for b, m, p in predicted:
        scores = []
        for other, views in enumerate(targets):
            for view, t in enumerate(views):
                score = p @ t / (p @ p).sqrt() / (t @ t).sqrt() / tau
                if (other, view) == (b, m):
                    wanted = score
                    scores.append(score)
                elif negatives == "all" or (negatives == "own") == (other == b):
                    scores.append(score)
        total = total + torch.stack(scores).exp().sum().log() - wanted
    return total / len(predicted)


def inverse_error(w: Weights, features: Tensor, actions: Tensor) -> Tensor:
    """The mean squared error of the actions read from successive views of [B, T, D]."""
    total, count = 0.0, 0
    for z, taken in zip(features, actions, strict=True):
        for i in range(len(z) - 1):
            hidden = w["inverse.layers.0.weight"] @ torch.cat([z[i], z[i + 1]])
            hidden = relu(hidden + w["inverse.layers.0.bias"])
            read = w["inverse.layers.2.weight"] @ hidden + w["inverse.layers.2.bias"]
            for found, action in zip(read, taken[i], strict=True):
                total, count = total + (found - action) ** 2, count + 1
    return total / count


def loss(
    weights: Weights,
    views: Tensor,
    actions: Tensor,
    *,
    predict: str,
    condition: str,
    layers: int,
    heads: int,
    stride: int,
    loss: str = "cosine",
    temperature: float = 0.1,
    negatives: str = "all",
    inverse: float = 0.0,
    present: bool = False,
    conditioning: str = "concat",
    target: str = "ema",
) -> Tensor:
    """Views [B, M + 1, C, H, W], normalised; actions [B, M, A]; dropout none."""
    batch, observed = actions.shape[:2]
    learned = observed + (target == "online")
    seen = views[:, :learned].reshape(-1, *views.shape[2:])
    z = encoder(weights, "encoder", seen, stride).reshape(batch, learned, -1)
    last = [observed] if predict == "last" else range(1, observed + 1)
    # BatchNorm looks at the views that have a use, no others.
    useful = [m for m in range(observed + 1) if loss == "contrast" or m in last]
    wanted = torch.stack([views[b, m] for b in range(batch) for m in useful])
    if target == "online":
        targets = z
    else:
        targets = encoder(weights, "target_encoder.module", wanted, stride).detach()
        targets = targets.reshape(batch, len(useful), -1)
    if condition != "none":
        rows = actions.reshape(-1, actions.shape[2]) @ weights["action_embedding.linear.weight"].T
        embedded = batch_norm(rows).reshape(batch, observed, -1)

    rows, nexts, places = [], [], []
    for b in range(batch):
        for m in last:
            tokens = [z[b, i] for i in range(m)]
            if condition in ("both", "aggregator"):
                none = torch.zeros_like(embedded[b, m - 1])
                taken = [*embedded[b, : m - 1], none]
                tokens = [torch.cat(pair) for pair in zip(tokens, taken, strict=True)]
            row = aggregate(weights, tokens, layers, heads)
            if present:
                row = torch.cat([row, z[b, m - 1]])
            if condition in ("both", "predictor"):
                nexts.append(embedded[b, m - 1])
                if conditioning == "concat":
                    row = torch.cat([row, embedded[b, m - 1]])
            rows.append(row)
            places.append((b, m))

    if conditioning == "film":
        predicted = film(weights, torch.stack(rows), nexts)
    else:
        predicted = predictor(weights, torch.stack(rows))

    if loss == "contrast":
        found = [(b, m, p) for (b, m), p in zip(places, predicted, strict=True)]
        total = contrast(found, targets, temperature, negatives)
    else:
        pairs = [
            (p, targets[b, useful.index(m)]) for (b, m), p in zip(places, predicted, strict=True)
        ]
        total = 1 - sum(p @ t / (p @ p).sqrt() / (t @ t).sqrt() for p, t in pairs) / len(pairs)
    if inverse:
        total = total + inverse * inverse_error(weights, z, actions[:, : learned - 1])
    return total


def adamw_first_step(weight: Tensor, gradient: Tensor, lr: float, decay: float) -> Tensor:
    """AdamW from rest (Loshchilov and Hutter 2019, algorithm 2), betas .9 and .999."""
    first, second = 0.1 * gradient / (1 - 0.9), 0.001 * gradient**2 / (1 - 0.999)
    return weight - lr * first / (second.sqrt() + 1e-8) - lr * decay * weight
