"""ResNets with torchvision's key names, which timm has too, as the encoder of any method."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from seqjepa.config import Experiment
from seqjepa.errors import ConfigError
from seqjepa.exchange.layout import Layout
from seqjepa.model import build_method
from seqjepa.nn import DEPTHS, EncoderConfig, Stem
from seqjepa.worlds.base import WorldSpec

# Statistics of ImageNet, by which torchvision's and timm's weights were trained.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LARGE = 7  # pixels per side of the first kernel for images of ImageNet's size
BOTTLENECK = "layer1.0.conv3.weight"  # what only deeper ResNets have


class ResNetWeights(Layout):
    """A ResNet, trained with or without labels."""

    title: ClassVar[str] = "a ResNet by torchvision's names"
    heads: ClassVar[re.Pattern[str]] = re.compile(r"(fc|head|classifier)\.")

    @override
    def settle(self, experiment: Experiment) -> Experiment:
        encoder = resnet_config(self.tensors, experiment.encoder)
        # Weights for small images were trained on other data, of which the file says nothing.
        if self.size("conv1.weight", 3) == LARGE and encoder.mean is None:
            encoder = replace(encoder, mean=MEAN, std=STD)
        return replace(experiment, encoder=encoder)

    @override
    def state(self, experiment: Experiment, spec: WorldSpec) -> dict[str, Tensor]:
        config = experiment.encoder
        is_timm = config.name.startswith("timm:")
        if BOTTLENECK in self.tensors and not is_timm:
            raise ConfigError(
                f"{self.source} is a ResNet of bottleneck blocks: name it as timm does, such as "
                "--encoder.name timm:resnet50"
            )
        # Shapes are compared on a device without memory: a file may claim any sizes.
        with torch.device("cpu" if is_timm else "meta"):
            encoder = config.build(spec.image_shape[0], spec.mean, spec.std)
        backbone = self.fitted(encoder.backbone.state_dict())
        return build_method(experiment, spec, backbone).state_dict()


def recognises(names: Mapping[str, Tensor]) -> bool:
    """Return whether names are those of a ResNet, complete or not."""
    return any(re.match(r"conv1\.|layer[1-4]\.\d", name) for name in names)


def resnet_config(tensors: Mapping[str, Tensor], config: EncoderConfig) -> EncoderConfig:
    """Return the config of a ResNet of basic blocks with these tensors, as far as they tell.

    Args:
        tensors: by torchvision's names.
        config: what stays as it is where they do not.
    """
    first = tensors.get("conv1.weight")
    if config.name.startswith("timm:") or BOTTLENECK in tensors or first is None or first.ndim < 4:
        return config

    # The third stage tells the two depths apart. Strides are not in a file: of two stems with
    # 3x3 kernels, the one without a stride is usual.
    blocks = {name.split(".")[1] for name in tensors if name.startswith("layer3.")}
    name = next((name for name, depths in DEPTHS.items() if depths[2] == len(blocks)), config.name)
    stem: Stem = "imagenet" if first.shape[-1] == LARGE else "cifar"
    if config.stem == "compact" and stem == "cifar":
        stem = "compact"
    return replace(config, name=name, width=first.shape[0], stem=stem)
