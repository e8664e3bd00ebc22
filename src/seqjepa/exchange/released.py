"""The layout of the checkpoints that seq-JEPA's authors have released.

They are of 3DIEBench (actions of rotation, or rotation and colour) and of saccades on STL-10, and
all that their code writes is in it. Names and shapes tell the sizes of the model; what they cannot
tell is the paper's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from seqjepa.config import Experiment
from seqjepa.errors import CheckpointError, ConfigError
from seqjepa.exchange.encoders import resnet_config
from seqjepa.exchange.layout import Layout
from seqjepa.methods import seq_jepa
from seqjepa.model import build_method
from seqjepa.worlds.base import WorldSpec

# Beginnings of our names and of theirs.
NAMES = {
    "encoder.backbone.": "encoder.",
    "target_encoder.module.backbone.": "target_encoder.",
    "action_embedding.linear.": "action_proj.0.",
    "action_embedding.norm.": "action_proj.1.",
    "aggregator.agg": "agg_token",
    "aggregator.layers.": "transformer_encoder.transformer_encoder.layers.",
    "aggregator.norm.": "transformer_encoder.norm.",
    "predictor.": "predictor.",
}
# What reads actions: by whether a token is wider than features, and the predictor's input than it.
CONDITIONS = {
    (True, True): "both",
    (True, False): "aggregator",
    (False, True): "predictor",
    (False, False): "none",
}


@dataclass(frozen=True)
class Release:
    """The authors' settings for one of their data sets, which a checkpoint does not hold.

    Attributes:
        recipe: ours for these data and actions.
        mean, std: with which pixels are normalised.
        world: fields of the recipe's world that are otherwise.
        columns: the place of each number of our actions in theirs.
    """

    recipe: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    world: Mapping[str, Any] = field(default_factory=dict)
    columns: tuple[int, ...] | None = None


THREEDIEBENCH = Release(
    recipe="threediebench",
    mean=(0.5016, 0.5037, 0.5060),
    std=(0.1030, 0.0999, 0.0969),
    # All published training objects, shrunk by Pillow's bilinear filter.
    world={"train_on_val": True, "resampling": "bilinear"},
)
# By the width of an action.
RELEASES = {
    4: THREEDIEBENCH,
    6: replace(THREEDIEBENCH, recipe="threediebench_colour"),
    2: Release(
        recipe="stl10_release",
        mean=(0.4467, 0.4398, 0.4066),
        std=(0.2241, 0.2215, 0.2239),
        # A patch lies at the transposed fixation: what is called its row is its column.
        columns=(1, 0),
    ),
}


class Released(Layout):
    """A checkpoint of the authors' seq-JEPA."""

    title: ClassVar[str] = "seq-JEPA as its authors released it"
    # Of their evaluation, which a checkpoint may hold beside the model.
    heads: ClassVar[re.Pattern[str]] = re.compile(r"online_|\w+_(classifier|regressor)\.")

    def __init__(self, source: str, tensors: Mapping[str, Tensor], ignored: list[str]) -> None:
        super().__init__(source, tensors, ignored)
        self._require_parts()
        # Without conditioning their code may still make the map of actions, and not use it.
        if self.condition == "none":
            unused = [name for name in self.tensors if name.startswith("action_proj.")]
            self.tensors = {k: tensor for k, tensor in self.tensors.items() if k not in unused}
            self.ignored += unused

    @cached_property
    def condition(self) -> str:
        """Return what reads actions, by the widths of a token and of the predictor's input."""
        token = self.size("agg_token", 2)
        features = self.size("encoder.layer4.1.bn2.weight", 0)
        joint = self.size("predictor.0.weight", 1)
        readers = (token != features, joint != token)
        return CONDITIONS[readers]

    @property
    def release(self) -> Release | None:
        """Return the data set, which the width of an action tells."""
        return RELEASES.get(self.size("action_proj.0.weight", 1) or 0)

    @property
    @override
    def recipe(self) -> str | None:
        return self.release.recipe if self.release else None

    @override
    def settle(self, experiment: Experiment) -> Experiment:
        if not isinstance(experiment.method, seq_jepa.Config):
            raise ConfigError(
                f"{self.source} is {self.title}, and {experiment.name} another method: choose "
                "another --recipe, or add --method seq_jepa"
            )
        # What the weights do not tell is the paper's, not the recipe's.
        sizes = {
            "action_width": self.size("action_proj.0.weight", 0),
            "layers": self._layers(),
            "predictor_width": self.size("predictor.0.weight", 0),
            "condition": self.condition,
        }
        known: dict[str, Any] = {name: size for name, size in sizes.items() if size}
        encoder = resnet_config(self.part("encoder."), experiment.encoder)
        settled = replace(experiment, method=seq_jepa.Config(**known), encoder=encoder)
        if self.release is None:
            return settled

        release, names = self.release, {each.name for each in fields(experiment.world)}
        world = {name: value for name, value in release.world.items() if name in names}
        return replace(
            settled,
            encoder=replace(encoder, mean=release.mean, std=release.std),
            world=replace(experiment.world, **world),
        )

    @override
    def state(self, experiment: Experiment, spec: WorldSpec) -> dict[str, Tensor]:
        width = self.size("action_proj.0.weight", 1)
        if width not in (None, spec.actions.action_dim):
            raise CheckpointError(
                f"{self.source}: its actions have {width} numbers, those of world {spec.name!r} "
                f"have {spec.actions.action_dim}: choose another --recipe or --world.actions"
            )

        # Shapes are compared on a device without memory: a file may claim any sizes.
        with torch.device("meta"):
            ours = build_method(experiment, spec).state_dict()
        expected = {_theirs(name): _as_theirs(name, tensor) for name, tensor in ours.items()}
        given = self.fitted(expected)

        state = {name: given[_theirs(name)].reshape(ours[name].shape) for name in ours}
        if self.release is not None and self.release.columns is not None:
            name = "action_embedding.linear.weight"
            state[name] = state[name][:, list(self.release.columns)]
        return state

    def _require_parts(self) -> None:
        """Raise a CheckpointError if a part of the model is missing as a whole."""
        needed = [name for name in NAMES.values() if not name.startswith("action_proj.")]
        if self.condition != "none":
            needed += [name for name in NAMES.values() if name not in needed]
        missing = [name for name in needed if not self.part(name)]
        if not missing:
            return
        strange = [name for name in self.tensors if not name.startswith(tuple(NAMES.values()))]
        raise CheckpointError(
            f"{self.source} is not {self.title}; nothing was imported:\n"
            f"  missing: {', '.join(name + '*' * name.endswith('.') for name in missing)}\n"
            f"  unexpected: {', '.join(strange[:3]) or 'none'}{', ...' * (len(strange) > 3)}"
        )

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names begin with a prefix, by the rest of their names."""
        named = self.tensors.items()
        return {key.removeprefix(prefix): item for key, item in named if key.startswith(prefix)}

    def _layers(self) -> int:
        """Return the number of the aggregator's layers."""
        layers = self.part(NAMES["aggregator.layers."])
        return len({name.partition(".")[0] for name in layers})


def recognises(names: Mapping[str, Tensor]) -> bool:
    """Return whether names are those of the release, complete or not."""
    return any(name.startswith(tuple(NAMES.values())) for name in names)


def _theirs(name: str) -> str:
    """Return the authors' name of a tensor of our method."""
    ours = next(ours for ours in NAMES if name.startswith(ours))
    return NAMES[ours] + name.removeprefix(ours)


def _as_theirs(name: str, tensor: Tensor) -> Tensor:
    """Return a tensor of our method in the authors' shape."""
    return tensor.view(1, 1, -1) if name == "aggregator.agg" else tensor
