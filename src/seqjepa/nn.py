"""Modules that methods are made of: encoder, action embedding, aggregator, EMA target."""

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqjepa.errors import ConfigError, needs_extra, unknown
from seqjepa.from_json import added_in
from seqjepa.schedules import ema_momentum

Stem = Literal["imagenet", "cifar", "compact"]
DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
# Parts of a ResNet, in their order.
STAGES = ("stem", "layer1", "layer2", "layer3", "layer4")


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The encoder f, one for all methods.

    Attributes:
        name: `resnet18`, `resnet34`, or `timm:NAME` for any timm model (needs the extra `timm`).
        width: channels of a ResNet's first stage; features are 8 times as many (64: the ResNet-18
            of the paper, 512 features).
        stem: first layers of a ResNet. `imagenet`: 7x7 stride 2 and max-pool; `cifar`: 3x3 stride
            1, no pool (in the paper for CIFAR-100 and 32-pixel patches); `compact`: 3x3 stride 2,
            no pool (not in the paper; for small images on small machines).
        mean: of each channel, of pixels in 0..1, for normalisation; None for the world's. Weights
            that were trained elsewhere need that which they were trained with.
        std: likewise, the standard deviations.
    """

    name: str = "resnet18"
    width: int = 64
    stem: Stem = "imagenet"
    mean: tuple[float, ...] | None = added_in(6, None)
    std: tuple[float, ...] | None = added_in(6, None)

    def __post_init__(self) -> None:
        if not self.name.startswith("timm:") and self.name not in DEPTHS:
            raise ConfigError(unknown("encoder.name", self.name, [*DEPTHS, "timm:NAME"]))
        if self.width < 1:
            raise ConfigError(f"encoder.width must be at least 1, got {self.width}")
        if len(self.mean or ()) != len(self.std or ()) or min(self.std or (1.0,)) <= 0:
            raise ConfigError(
                "encoder.mean and encoder.std must have a number for each channel, that of std "
                f"above 0, got {self.mean} and {self.std}"
            )

    def build(self, channels: int, mean: Sequence[float], std: Sequence[float]) -> "Encoder":
        """Return a new encoder.

        Args:
            channels: C of its images.
            mean, std: of each channel, of pixels in 0..1, if the config has no other ones.
        """
        if self.mean and self.std:
            mean, std = self.mean, self.std
        if len(mean) != channels:
            raise ConfigError(
                f"encoder.mean has {len(mean)} numbers, the images have {channels} channels: give "
                "as many"
            )
        if self.name.startswith("timm:"):
            backbone, features = _timm(self.name.removeprefix("timm:"), channels)
            return Encoder(backbone, features, mean, std)
        resnet = ResNet(DEPTHS[self.name], self.width, self.stem, channels)
        return Encoder(resnet, 8 * self.width, mean, std)


def _timm(name: str, channels: int) -> tuple[nn.Module, int]:
    """Return a timm model without classifier, and the number of its features."""
    with needs_extra("timm", f"encoder 'timm:{name}'"):
        import timm
    try:
        backbone: Any = timm.create_model(name, num_classes=0, in_chans=channels)
    except RuntimeError as error:
        raise ConfigError(f"timm cannot build {name!r}: {error}") from error
    return backbone, backbone.num_features


class Encoder(nn.Module):
    """Encoder of pixels into features, without a projector (seq-JEPA, section 3.1).

    It normalises uint8 or 0..1 images and applies the backbone.

    Attributes:
        dim: D, the number of features.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, backbone: nn.Module, dim: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.backbone, self.dim = backbone, dim
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [..., C, H, W], uint8 or float in 0..1, to features [..., D]."""
        normal = self.normalise(images.flatten(0, -4))
        features: Tensor = self.backbone(normal).unflatten(0, images.shape[:-3])
        return features

    def normalise(self, images: Tensor) -> Tensor:
        """Return images [N, C, H, W] as the backbone takes them."""
        # uint8 until here, so that batches are moved and stored at a quarter of the size.
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images.to(self.mean.dtype)
        return (pixels - self.mean) / self.std


class ResNet(nn.Module):
    """A ResNet of basic blocks with torchvision's parameter names (He et al. 2016).

    Its features are globally pooled, and it has no classifier.

    Convolutions start from He's normal distribution (fan out); the last BatchNorm of each block
    starts at zero (as in seq-JEPA's release).
    """

    def __init__(self, depths: Sequence[int], width: int, stem: Stem, channels: int = 3) -> None:
        super().__init__()
        # The stem.
        if stem == "imagenet":
            self.conv1 = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
        else:
            stride = 2 if stem == "compact" else 1
            self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stem == "imagenet" else nn.Identity()

        # Four stages; each but the first halves the image's sides and doubles the channels.
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        for stage, depth in enumerate(depths):
            inner, outer = widths[stage], widths[stage + 1]
            blocks = [BasicBlock(inner, outer, stride=2 if stage > 0 else 1)]
            blocks += [BasicBlock(outer, outer, stride=1) for _ in range(depth - 1)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))

        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, BasicBlock):
                nn.init.zeros_(module.bn2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised images [N, C, H, W] to features [N, 8 width]."""
        for name in STAGES:
            x = self.stage(name, x)
        return x.mean((2, 3))

    def stage(self, name: str, x: Tensor) -> Tensor:
        """Return the map [N, C', H', W'] that one of `STAGES` makes of the map before it."""
        if name == "stem":
            stem: Tensor = self.maxpool(torch.relu(self.bn1(_convolve(self.conv1, x))))
            return stem
        made: Tensor = self.get_submodule(name)(x)
        return made


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outer)
        self.stride = stride
        self.downsample: nn.Module | None = None
        if stride != 1 or inner != outer:
            conv = nn.Conv2d(inner, outer, 1, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outer))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inner, H, W] to [N, outer, H / stride, W / stride]."""
        shortcut = x
        if self.downsample is not None:
            # Pixels are picked before the 1x1 convolution, not by its stride: the result is the
            # same, and a stride corrupts memory in oneDNN on CPUs without AVX-512 if channels are
            # few (https://github.com/uxlfoundation/oneDNN/issues/6035).
            shortcut = self.downsample(x[:, :, :: self.stride, :: self.stride])
        x = torch.relu(self.bn1(_convolve(self.conv1, x)))
        return torch.relu(self.bn2(self.conv2(x)) + shortcut)


def _convolve(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply a convolution without bias, which may have a stride."""
    # Of images one pixel wide, oneDNN leaves most of the weight's gradient unwritten in bf16 if
    # there is a stride along that pixel, which changes nothing.
    down, across = conv.stride
    stride = (down, 1 if x.shape[-1] == 1 else across)
    return F.conv2d(x, conv.weight, None, stride, conv.padding)


class ActionEmbedding(nn.Module):
    """The map P of actions: linear, then BatchNorm without affine part (seq-JEPA's release).

    Call it once per step, on real actions only, so that its statistics are those of actions.
    """

    def __init__(self, action_dim: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(action_dim, width, bias=False)
        self.norm = nn.BatchNorm1d(width, affine=False)

    def forward(self, actions: Tensor) -> Tensor:
        """Map actions [B, T, A] to embeddings [B, T, width]; T may be 0."""
        embedded: Tensor = self.linear(actions)
        if not embedded.numel():
            return embedded  # BatchNorm has no statistics of nothing
        normal: Tensor = self.norm(embedded.flatten(0, 1))
        return normal.view_as(embedded)


def view_action_tokens(features: Tensor, embedded: Tensor) -> tuple[Tensor, Tensor]:
    """Return the tokens `past` and `present`, each [B, T, D + width], for the `Aggregator`.

    Args:
        features: [B, T, D], of views.
        embedded: [B, any number, width], of the actions after them; those beyond the last view are
            ignored, missing ones are zeros. Of width 0 the tokens are the features.
    """
    if not embedded.shape[-1]:
        return features, features
    # A sequence's last view has no action yet: its token ends in zeros.
    still = embedded.new_zeros(*features.shape[:2], embedded.shape[-1])
    moves = torch.cat([embedded[:, : features.shape[1]], still[:, embedded.shape[1] :]], 1)
    past = torch.cat([features, moves], -1)
    return past, torch.cat([features, still], -1)


class Aggregator(nn.Module):
    """The aggregator g: a transformer over view-action tokens (seq-JEPA, section 3.1).

    Its [AGG] token represents the whole sequence.

    It has post-norm layers, a final LayerNorm and no positional encoding. Every layer has its own
    initial weights (`nn.TransformerEncoder` would start all layers from the same).
    """

    def __init__(
        self, dim: int, *, layers: int, heads: int, feedforward: int, dropout: float
    ) -> None:
        super().__init__()
        if dim % heads:
            raise ConfigError(
                f"the aggregator's width {dim} (features + action_width) "
                f"must be a multiple of method.heads = {heads}"
            )
        self.agg = nn.Parameter(torch.zeros(dim))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(dim, heads, feedforward, dropout, batch_first=True)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, past: Tensor, present: Tensor, lengths: Sequence[int]) -> Tensor:
        """Aggregate several prefixes of each sequence, in one pass.

        A prefix of length m is the tokens [AGG], past[0] .. past[m - 2], present[m - 1]. Prefixes
        stand side by side and do not see each other, so each comes out as if it had been alone.

        Args:
            past: [B, T, E], tokens of views with the action that followed: features and its
                embedding.
            present: [B, T, E], tokens of views at the sequence's end: features and no action.
            lengths: P prefix lengths, each in 1..T.

        Returns:
            [B, P, E], the [AGG] outputs.
        """
        # Under autocast the parameter is fp32 and the tokens may be bf16.
        agg = self.agg.to(past.dtype).expand(past.shape[0], 1, -1)
        if tuple(lengths) == (past.shape[1],):
            # The whole sequence needs no gathering, and its length may be a symbol, as in export.
            tokens = torch.cat([agg, past[:, :-1], present[:, -1:]], 1)
            hidden, starts = None, torch.zeros(1, dtype=torch.long, device=past.device)
        else:
            index, hidden, starts = _prefix_layout(past.shape[1], tuple(lengths), past.device)
            tokens = torch.cat([agg, past, present], 1)[:, index]
        for layer in self.layers:
            tokens = layer(tokens, src_mask=hidden)
        out: Tensor = self.norm(tokens[:, starts])
        return out

    def attention(self, past: Tensor, present: Tensor) -> Tensor:
        """Return what the [AGG] token of whole sequences attends to, [B, layers, heads, 1 + T].

        The weights of a layer and a head sum to 1; the first is that of [AGG] itself, the others
        are those of the views.

        Args:
            past, present: as for `forward`.
        """
        agg = self.agg.to(past.dtype).expand(len(past), 1, -1)
        tokens = torch.cat([agg, past[:, :-1], present[:, -1:]], 1)
        weights = []
        for layer in self.layers:
            attend = layer.get_submodule("self_attn")
            _, shares = attend(tokens, tokens, tokens, average_attn_weights=False)
            weights.append(shares[:, :, 0])
            tokens = layer(tokens)
        return torch.stack(weights, 1)


# Inference mode is off: tensors made in it by the first call would be of no use to training.
@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _prefix_layout(
    length: int, lengths: tuple[int, ...], device: torch.device
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Return the sources, the attention mask and the [AGG] positions of packed prefixes.

    The first is the source index of each packed token. The mask is between prefixes (true: not
    seen; None for a single prefix). The positions are those of the [AGG] tokens.
    """
    # Sources are [AGG] = 0, past = 1 .. T, present = T + 1 .. 2T. For T = 2 and lengths (1, 2):
    #   tokens    [AGG] present[0]   [AGG] past[0] present[1]      prefixes [[0, 3], [0, 1, 4]]
    #   position  0     1            2     3       4               starts   [0, 2]
    #   owner     0     0            1     1       1
    prefixes = [[0, *range(1, m), length + m] for m in lengths]
    sizes = torch.tensor([len(prefix) for prefix in prefixes])
    starts = sizes.cumsum(0) - sizes
    owner = torch.arange(len(prefixes)).repeat_interleave(sizes)

    index = torch.tensor(list(itertools.chain(*prefixes))).to(device)
    hidden = (owner[:, None] != owner[None]).to(device) if len(prefixes) > 1 else None
    return index, hidden, starts.to(device)


class EMATarget(nn.Module):
    """A frozen copy of a module whose parameters follow the original's exponential moving average.

    BatchNorm statistics are the copy's own, from its own forward passes, unless `buffers` asks to
    average them too.
    """

    def __init__(self, source: nn.Module, *, buffers: bool = False) -> None:
        super().__init__()
        self.module = copy.deepcopy(source).requires_grad_(False)
        self.average_buffers = buffers

    @torch.no_grad()
    def forward(self, *args: Tensor) -> Tensor:
        """Return the copy's output, without gradient."""
        out: Tensor = self.module(*args)
        return out

    def follow(self, source: nn.Module, progress: float, momentum: float) -> None:
        """Update with a momentum that rises to 1 along half a cosine, see `ema_momentum`.

        Args:
            source: the original.
            progress: fraction of the run that is done, in [0, 1].
            momentum: at the start.
        """
        self.update(source, ema_momentum(progress, momentum))

    @torch.no_grad()
    def update(self, source: nn.Module, momentum: float) -> None:
        """Move every parameter towards the source's, in place and in fp32.

        It moves the fraction 1 - momentum of the way.
        """
        copied: list[Tensor] = [*self.module.parameters()]
        torch._foreach_lerp_(copied, [*source.parameters()], 1 - momentum)
        if self.average_buffers:
            # Integer buffers count batches, and keep counting those of the copy.
            averaged = [buffer for buffer in self.module.buffers() if buffer.is_floating_point()]
            averages = [buffer for buffer in source.buffers() if buffer.is_floating_point()]
            torch._foreach_lerp_(averaged, averages, 1 - momentum)


def earlier_pairs(pairs: int, device: torch.device) -> Tensor:
    """Return [2 K, 2 K], true where the column's token is of an earlier pair than the row's."""
    pair = torch.arange(pairs, device=device).repeat_interleave(2)
    return pair[None] < pair[:, None]


def seen_by_queries(context: int, queries: int, device: torch.device) -> Tensor:
    """Return what tokens see: queries the whole context and themselves, no other query."""
    seen = torch.eye(context + queries, dtype=torch.bool, device=device)
    seen[:context, :context] |= earlier_pairs(context // 2, device)
    seen[context:, :context] = True
    return seen


def random_pair_masks(
    sizes: tuple[int, int, int], pairs: int, drop: float, device: torch.device
) -> list[Tensor]:
    """Draw each layer's mask [n heads, 2 K, 2 K]: a row sees itself and some earlier pairs.

    Args:
        sizes: numbers of layers, contexts n and attention heads.
        pairs: K, of a context.
        drop: probability that a row does not see an earlier pair.
        device: of the masks.
    """
    layers, contexts, heads = sizes
    itself = torch.eye(2 * pairs, dtype=torch.bool, device=device)
    earlier, masks = earlier_pairs(pairs, device), []
    for _ in range(layers):
        kept = torch.rand(contexts, 2 * pairs, pairs, device=device) >= drop
        # A pair goes or stays whole; all heads of a context share the mask.
        blocked = ~(itself | (earlier & kept.repeat_interleave(2, -1)))
        masks.append(blocked.repeat_interleave(heads, 0))
    return masks
