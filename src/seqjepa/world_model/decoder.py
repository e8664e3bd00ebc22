"""Decoder: pictures of embeddings, learned on a frozen model's.

It reads embeddings of the space that predictions live in (`Method.target`), standardised by the
mean and spread of those that it learns from; where a method's loss compares directions, their
length is taken off first. Factors that actions do not change, such as hues and light in `shapes`,
cannot be imagined: where the world renders, all pictures show one value of them.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqjepa.devices import device_of
from seqjepa.errors import CheckpointError, ConfigError
from seqjepa.from_json import build_dataclass
from seqjepa.model import Model
from seqjepa.runs import checkpoint
from seqjepa.runs.tensors import restore

FOLDER, PART = "decoder", "decoder"
SMALLEST = 4  # pixels of the shorter side that the first stage has, at least


@dataclass(frozen=True)
class Layout:
    """The shapes of a decoder.

    Attributes:
        inputs: width F of embeddings.
        image_shape: (C, H, W) of pictures.
        width: channels of the last stage; each stage before has twice as many, up to 8 times.
        scaled: whether the length of an embedding means something.
        fixed: columns of the pose that have one value in all pictures.
    """

    inputs: int
    image_shape: tuple[int, int, int]
    width: int
    scaled: bool
    fixed: dict[str, float] = field(default_factory=dict)

    @property
    def stages(self) -> int:
        """Number of times that sides double."""
        return max(0, int(math.log2(min(self.image_shape[1:]) / SMALLEST)))


class Decoder(nn.Module):
    """A linear map to the smallest picture, then stages that double its sides; a last convolution.

    A stage is a 4x4 transposed convolution, BatchNorm and ReLU.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        channels, height, width = layout.image_shape
        shrunk = 2**layout.stages
        self.smallest = (math.ceil(height / shrunk), math.ceil(width / shrunk))
        widths = [layout.width * min(8, 2**left) for left in range(layout.stages, -1, -1)]

        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(layout.inputs))
        self.register_buffer("std", torch.ones(layout.inputs))
        self.linear = nn.Linear(layout.inputs, widths[0] * math.prod(self.smallest))
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(narrow),
                nn.ReLU(),
            )
            for wide, narrow in itertools.pairwise(widths)
        )
        self.last = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def standardise(self, embeddings: Tensor) -> None:
        """Take the embeddings [N, F] that it learns from for the mean and the spread of inputs."""
        known = self._direction(embeddings)
        self.mean.copy_(known.mean(0))
        self.std.copy_(known.std(0).clamp_min(1e-6))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map embeddings [..., F] to pictures [..., C, H, W] in 0..1.

        Raises:
            ConfigError: if the embeddings are of another width.
        """
        if embeddings.shape[-1] != self.layout.inputs:
            raise ConfigError(
                f"embeddings must be [..., {self.layout.inputs}], got {list(embeddings.shape)}"
            )
        rows = embeddings.reshape(-1, self.layout.inputs)
        x = self.linear((self._direction(rows) - self.mean) / self.std)
        x = x.unflatten(1, (-1, *self.smallest))
        for stage in self.stages:
            x = stage(x)
        _, height, width = self.layout.image_shape
        pictures: Tensor = torch.sigmoid(self.last(x))[..., :height, :width]
        return pictures.view(*embeddings.shape[:-1], *self.layout.image_shape)

    def _direction(self, embeddings: Tensor) -> Tensor:
        return embeddings if self.layout.scaled else F.normalize(embeddings, dim=-1)


def fix(poses: Tensor, names: Sequence[str], values: Mapping[str, float]) -> Tensor:
    """Return poses [..., P], whose columns have these names, with some columns' values set."""
    poses = poses.clone()
    for name, value in values.items():
        poses[..., names.index(name)] = value
    return poses


def save_decoder(
    run_dir: Path, decoder: Decoder, model_step: int, step: int, figures: Mapping[str, Any]
) -> Path:
    """Write a decoder into its run's folder, verified, and return its own folder.

    Args:
        run_dir: of the run.
        decoder: trained.
        model_step: of the model whose embeddings it reads.
        step: of its own training.
        figures: what was measured of it, JSON data.

    Raises:
        DiskError: if it cannot be written.
    """
    state = {"layout": asdict(decoder.layout), "model_step": model_step, "figures": figures}
    return checkpoint.save(run_dir / FOLDER, step, {PART: decoder.state_dict()}, state)


def load_decoder(run_dir: Path, model: Model, warn: Callable[[str], None]) -> Decoder | None:
    """Read the decoder of a run's model; None if there is none.

    Args:
        run_dir: of the run.
        model: loaded from it.
        warn: is called with each damaged file that was passed over, and with a decoder that is left
            out since it reads embeddings of another step of the run.

    Raises:
        CheckpointError: if there is one but it is damaged, or of another architecture.
    """
    found = checkpoint.latest(run_dir / FOLDER, warn)
    if found is None:
        return None
    if found.state["model_step"] != model.step:
        warn(
            f"{found.path} is left out: it draws what the model imagined at step "
            f"{found.state['model_step']}, and the model is at step {model.step}. Train it again: "
            f"seqjepa decode {run_dir}"
        )
        return None
    try:
        # Decoders of earlier versions say nothing of what came later.
        layout = build_dataclass(Layout, found.state["layout"], defaults=True)
    except ConfigError as error:
        raise CheckpointError(f"{found.path} has no decoder that is known here: {error}") from error
    decoder = Decoder(layout)
    restore(decoder, found.tensors[PART], str(found.path))
    return decoder.to(device_of(model.method)).eval().requires_grad_(False)
