"""seq-JEPA as its authors' code computes it in eval mode, as equations on tensors by their names.

Written from the paper's equations and the description of the release, without a look at the
library: `w` maps the names in a checkpoint to tensors. Images are normalised already."""

import torch
from torch import Tensor
from torch.nn import functional as F

Weights = dict[str, Tensor]


def norm(w: Weights, name: str, x: Tensor) -> Tensor:
    """BatchNorm by its running statistics, with or without an affine part."""
    return F.batch_norm(
        x,
        w[f"{name}.running_mean"],
        w[f"{name}.running_var"],
        w.get(f"{name}.weight"),
        w.get(f"{name}.bias"),
        eps=1e-5,
    )


def encode(w: Weights, prefix: str, images: Tensor) -> Tensor:
    """f or its target: ResNet-18 [N, 3, S, S] to [N, 512], its stem by the kernel's size."""
    own = {name.removeprefix(prefix): t for name, t in w.items() if name.startswith(prefix)}
    kernel = own["conv1.weight"].shape[-1]
    if kernel == 7:
        x = F.conv2d(images, own["conv1.weight"], stride=2, padding=3)
        x = F.max_pool2d(F.relu(norm(own, "bn1", x)), 3, stride=2, padding=1)
    else:
        x = F.relu(norm(own, "bn1", F.conv2d(images, own["conv1.weight"], padding=1)))

    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            shortcut = x
            if stride == 2:
                shortcut = F.conv2d(x, own[f"{name}.downsample.0.weight"], stride=2)
                shortcut = norm(own, f"{name}.downsample.1", shortcut)
            x = F.conv2d(x, own[f"{name}.conv1.weight"], stride=stride, padding=1)
            x = F.relu(norm(own, f"{name}.bn1", x))
            x = norm(own, f"{name}.bn2", F.conv2d(x, own[f"{name}.conv2.weight"], padding=1))
            x = F.relu(x + shortcut)
    return F.adaptive_avg_pool2d(x, 1).flatten(1)


def embed(w: Weights, actions: Tensor) -> Tensor:
    """P: actions [N, A] to [N, 128]."""
    return norm(w, "action_proj.1", actions @ w["action_proj.0.weight"].T)


def layer_norm(w: Weights, name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps=1e-5)


def transformer(w: Weights, x: Tensor, heads: int) -> Tensor:
    """g: post-norm layers over [B, T, E], then one more LayerNorm."""
    batch, length, width = x.shape
    stack = "transformer_encoder.transformer_encoder.layers."
    depth = 1 + max(int(name.split(".")[3]) for name in w if name.startswith(stack))
    for layer in range(depth):
        p = f"{stack}{layer}."
        joint = F.linear(x, w[f"{p}self_attn.in_proj_weight"], w[f"{p}self_attn.in_proj_bias"])
        q, k, v = (
            part.view(batch, length, heads, -1).transpose(1, 2) for part in joint.chunk(3, -1)
        )
        share = torch.softmax(q @ k.transpose(-1, -2) / (width / heads) ** 0.5, -1)
        seen = (share @ v).transpose(1, 2).reshape(batch, length, width)
        seen = F.linear(seen, w[f"{p}self_attn.out_proj.weight"], w[f"{p}self_attn.out_proj.bias"])
        x = layer_norm(w, f"{p}norm1", x + seen)
        hidden = F.relu(F.linear(x, w[f"{p}linear1.weight"], w[f"{p}linear1.bias"]))
        fed = F.linear(hidden, w[f"{p}linear2.weight"], w[f"{p}linear2.bias"])
        x = layer_norm(w, f"{p}norm2", x + fed)
    return layer_norm(w, "transformer_encoder.norm", x)


def forward(w: Weights, views: Tensor, actions: Tensor, heads: int = 4) -> dict[str, Tensor]:
    """Views [B, M + 1, 3, S, S], actions [B, M, A]; the last view is predicted from the others.

    What reads actions is told by the widths of the token and of the predictor's input."""
    batch, observed = actions.shape[:2]
    z = encode(w, "encoder.", views[:, :observed].flatten(0, 1)).view(batch, observed, -1)
    target = encode(w, "target_encoder.", views[:, observed])

    token = w["agg_token"].shape[-1]
    tokens, embedded = z, None
    if "action_proj.0.weight" in w:
        embedded = embed(w, actions.flatten(0, 1)).view(batch, observed, -1)
    if token != z.shape[-1]:
        # The last observed view has no action.
        own = torch.cat([embedded[:, :-1], torch.zeros_like(embedded[:, :1])], 1)
        tokens = torch.cat([z, own], -1)
    sequence = torch.cat([w["agg_token"].expand(batch, 1, token), tokens], 1)
    z_agg = transformer(w, sequence, heads)[:, 0]

    joint = z_agg
    if w["predictor.0.weight"].shape[1] != token:
        joint = torch.cat([z_agg, embedded[:, -1]], -1)
    hidden = F.relu(norm(w, "predictor.1", joint @ w["predictor.0.weight"].T))
    predicted = F.linear(hidden, w["predictor.3.weight"], w["predictor.3.bias"])
    loss = 1 - F.cosine_similarity(predicted, target, dim=1).mean()
    return {"z": z, "target": target, "z_agg": z_agg, "predicted": predicted, "loss": loss}
