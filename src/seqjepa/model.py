"""A trained model for use on plain tensors."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqjepa.config import Experiment, from_json, kind
from seqjepa.devices import device_of, find_device
from seqjepa.distributed import world_size
from seqjepa.errors import CheckpointError, ConfigError
from seqjepa.methods.base import Method
from seqjepa.runs.checkpoint import latest
from seqjepa.runs.folder import read_config, read_spec
from seqjepa.runs.tensors import restore
from seqjepa.worlds.base import WorldSpec

ROUNDING = 1e-3  # by which floats may leave 0..1

_logger = logging.getLogger("seqjepa")


@dataclass(frozen=True)
class Model:
    """A frozen method in eval mode, without gradients.

    Batches may have any size; what comes out for a view does not depend on the rest of the batch.

    Attributes:
        method: the trained method.
        experiment: the experiment that made it.
        spec: of the world that it was trained on.
        step: optimizer steps that it was trained for.
        environment: of the machine that trained it, see `devices.environment`.
    """

    method: Method
    experiment: Experiment
    spec: WorldSpec
    step: int
    environment: dict[str, Any]

    @torch.inference_mode()
    def encode(self, views: Tensor | npt.NDArray[Any]) -> Tensor:
        """Return the equivariant representation of each view.

        Args:
            views: [..., C, H, W], a tensor or a NumPy array, uint8 or float in 0..1; not
                normalised.

        Returns:
            [..., D] float32.

        Raises:
            ConfigError: if they are anything else.
        """
        features: Tensor = self.method.encoder(self.raw_views(views))
        return features

    @torch.inference_mode()
    def aggregate(
        self, views: Tensor | npt.NDArray[Any], actions: Tensor | npt.NDArray[Any]
    ) -> Tensor:
        """Return the invariant representation z_AGG of sequences.

        Args:
            views: [B, T, C, H, W], as for `encode`.
            actions: [B, T-1, A], `actions[:, t]` takes view t to view t + 1;
                `spec.actions.along(poses)` makes them.

        Returns:
            [B, S] float32.
        """
        images, moves = self.raw_sequences(views, actions, more=-1)
        return self.method.aggregate(self.method.encoder(images), moves)

    @torch.inference_mode()
    def predict(
        self, views: Tensor | npt.NDArray[Any], actions: Tensor | npt.NDArray[Any]
    ) -> Tensor:
        """Return the prediction of the view that the last action leads to.

        Args:
            views: [B, T, C, H, W], observed. Methods that predict from one view read the last.
            actions: [B, T, A], between the views and from the last one on.

        Returns:
            [B, E] float32, to be compared with `target` of that view; with seq_jepa these are
            features.

        Raises:
            ConfigError: if the method has no predictor.
        """
        images, moves = self.raw_sequences(views, actions, more=0)
        return self.method.predict(self.method.source(self.method.encoder(images)), moves)

    @torch.inference_mode()
    def target(self, views: Tensor | npt.NDArray[Any]) -> Tensor:
        """Return what predictions of views are compared with, by the method's own loss.

        Args:
            views: as for `encode`.

        Returns:
            [..., E] float32; with seq_jepa the features of the EMA target encoder.

        Raises:
            ConfigError: if the method has no predictor.
        """
        return self.method.target(self.raw_views(views))

    def raw_views(self, views: Tensor | npt.NDArray[Any]) -> Tensor:
        """Return views [..., C, H, W] on the model's device.

        Raises:
            ConfigError: if they are no raw images.
        """
        images, channels = as_tensor("views", views), self.spec.image_shape[0]
        if images.ndim < 4 or images.shape[-3] != channels:
            hint = ""
            if images.ndim >= 3 and images.shape[-1] == channels != images.shape[-3]:
                hint = ": move the channels forward, movedim(-1, -3)"
            elif images.ndim == 3 and len(images) == channels:
                hint = ": a batch of this one is views[None]"
            raise ConfigError(
                f"views must be [..., {channels}, H, W] with at least one leading axis, got "
                f"{list(images.shape)}{hint}"
            )
        require_pixels(images)
        return images.to(device_of(self.method))

    def raw_sequences(
        self, views: Tensor | npt.NDArray[Any], actions: Tensor | npt.NDArray[Any], *, more: int
    ) -> tuple[Tensor, Tensor]:
        """Return views [B, T, C, H, W] and actions [B, T + more, A] on the model's device.

        Raises:
            ConfigError: if they are no raw images, or do not go together.
        """
        images, moves = self.raw_views(views), as_tensor("actions", actions)
        if images.ndim != 5 or not images.shape[1]:
            raise ConfigError(
                f"views must be [B, T, C, H, W], got {list(images.shape)}: a batch of one sequence "
                "is views[None], one of single views is views[:, None]"
            )
        expected = (images.shape[0], images.shape[1] + more, self.spec.actions.action_dim)
        if tuple(moves.shape) != expected:
            raise ConfigError(
                f"views {list(images.shape)} go with actions {list(expected)} [B, T, A], got "
                f"{list(moves.shape)}"
            )
        moves = moves.to(device_of(self.method), torch.float32)
        if not torch.isfinite(moves).all():
            raise ConfigError("actions hold NaN or infinity: leave those sequences out")
        return images, moves


def as_tensor(name: str, value: Any) -> Tensor:
    """Return a tensor as it is, and a NumPy array as a tensor.

    Raises:
        ConfigError: if it is neither, or of a type that tensors do not have.
    """
    if isinstance(value, Tensor):
        return value
    wanted = f"{name} must be a tensor or a NumPy array"
    if not isinstance(value, np.ndarray):
        hint = ": torch.stack or torch.tensor makes one" if isinstance(value, list | tuple) else ""
        raise ConfigError(f"{wanted}, got {type(value).__name__}{hint}")
    try:
        # A copy in the machine's own order of bytes: tensors share no other memory.
        return torch.from_numpy(np.array(value, value.dtype.newbyteorder("=")))
    except TypeError as error:
        raise ConfigError(f"{wanted} of numbers, got {value.dtype}") from error


def require_pixels(images: Tensor, name: str = "views") -> None:
    """Raise a ConfigError unless images are uint8, or float in 0..1 and not normalised."""
    if images.dtype == torch.uint8 or not images.numel():
        return
    expected = f"{name} must be uint8 in 0..255 or float in 0..1"
    if not images.is_floating_point():
        raise ConfigError(f"{expected}, got {images.dtype}: convert them, .to(torch.uint8)")

    low, high = (float(end) for end in images.aminmax())
    if not math.isfinite(high - low):
        raise ConfigError(f"{expected}, got NaN or infinity: leave those views out")
    if low < -ROUNDING or high > 1 + ROUNDING:
        cure = "pass them as they are, the encoder normalises"
        if low >= 0 and high > 2:
            cure = "divide them by 255, or keep uint8"
        elif low > -0.3 and high < 1.3:
            cure = "clamp them to 0..1"
        raise ConfigError(f"{expected}, got {low:.3g} to {high:.3g}: {cure}")


def build_method(
    experiment: Experiment, spec: WorldSpec, backbone: Mapping[str, Tensor] | None = None
) -> Method:
    """Build an experiment's method for a world, initialised from the experiment's seed.

    Args:
        experiment: the experiment.
        spec: of the world.
        backbone: all weights of the encoder's backbone, if it is not to start from the seed; the
            method's copies of the encoder have them too.

    Raises:
        ConfigError: if method, encoder and world do not fit together.
    """
    reads, available = experiment.method.reads, spec.views_per_object
    if reads is not None and available is not None and reads > available:
        raise ConfigError(
            f"{kind(type(experiment.method))} reads {reads} views of an object, those of world "
            f"{spec.name!r} have {available}: set world.views to at least {reads}, or choose "
            "another --method"
        )
    train = experiment.train
    micro_batch = train.batch_size // train.accumulate // world_size()
    experiment.method.validate(spec.actions, train.num_views, micro_batch)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.seed)
        encoder = experiment.encoder.build(spec.image_shape[0], spec.mean, spec.std)
        if backbone is not None:
            encoder.backbone.load_state_dict(dict(backbone))
        method = experiment.method.build(encoder, spec.actions)

    # Convolutions, whose images come channels-last.
    for parameter in method.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return method


def require_fit(experiment: Experiment, device: str = "cpu") -> None:
    """Raise an error if method, encoder and world do not fit, as far as the outline shows.

    It takes little time compared with building the world, which may read or render for minutes.

    Args:
        experiment: to be trained.
        device: where its weights are made; on `meta` there are none, which is for many experiments.

    Raises:
        ConfigError: if they do not fit together.
        DataError: if the world's objects have too few views.
    """
    outline = experiment.world.outline()
    if outline is not None:
        with torch.device(device):
            build_method(experiment, outline)
        outline.require_views(experiment.train.num_views)


def read_experiment(folder: Path) -> Experiment:
    """Read the experiment of a run.

    Raises:
        ConfigError: if the folder is no run, or one of another version or of code that is not
            loaded.
    """
    config = read_config(folder)
    try:
        return from_json(config)
    except ConfigError as error:
        raise ConfigError(
            f"{folder / 'config.json'} does not fit this version or its code: {error}"
        ) from error


def load(
    run_dir: str | Path,
    device: str | torch.device = "cpu",
    *,
    warn: Callable[[str], None] = _logger.warning,
) -> Model:
    """Load the model of a run folder's newest checkpoint whose weights are whole.

    The run's data need not be there.

    Args:
        run_dir: the run's folder.
        device: where to put the model.
        warn: is called with each damaged file that was passed over.

    Raises:
        ConfigError: if the folder is no run or there is no such device.
        CheckpointError: if it has no valid checkpoint.
    """
    folder, where = Path(run_dir), find_device(device)
    experiment, spec = read_experiment(folder), read_spec(folder)
    # Who loads a model has no use for its optimizer, which may be damaged.
    checkpoint = latest(folder / "checkpoints", warn, part="method")
    if checkpoint is None:
        raise CheckpointError(
            f"{folder} holds no checkpoint yet: train it first, seqjepa train ... --run-dir "
            f"{folder}"
        )

    method = build_method(experiment, spec)
    restore(method, checkpoint.tensors["method"], str(checkpoint.path))
    return Model(method.to(where).eval(), experiment, spec, checkpoint.step, checkpoint.environment)
