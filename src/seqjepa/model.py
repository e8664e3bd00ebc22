"""A trained model for use on plain tensors."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from seqjepa.checkpoint import latest, restore
from seqjepa.config import Experiment, from_json, kind
from seqjepa.distributed import world_size
from seqjepa.errors import CheckpointError, ConfigError
from seqjepa.methods.base import Method
from seqjepa.run_folder import read_config, read_spec
from seqjepa.worlds.base import WorldSpec


@dataclass(frozen=True)
class Model:
    """A frozen method in eval mode: any batch size, numbers that do not depend on the rest of the batch, no gradients.

    Attributes:
        method: the trained method.
        experiment: that made it.
        spec: of the world it was trained on.
        step: optimizer steps it was trained for.
    """

    method: Method
    experiment: Experiment
    spec: WorldSpec
    step: int

    @torch.inference_mode()
    def encode(self, views: Tensor) -> Tensor:
        """The equivariant representation of each view.

        Args:
            views: [..., C, H, W], uint8 or float in 0..1; not normalised.

        Returns:
            [..., D] float32.
        """
        channels = self.spec.image_shape[0]
        if views.ndim < 4 or views.shape[-3] != channels:
            raise ConfigError(f"views must be [..., {channels}, H, W] with at least one leading axis, got {list(views.shape)}")
        if views.dtype != torch.uint8 and not views.is_floating_point():
            raise ConfigError(f"views must be uint8 in 0..255 or float in 0..1, got {views.dtype}")
        features: Tensor = self.method.encoder(views.to(self._device))
        return features

    @torch.inference_mode()
    def aggregate(self, views: Tensor, actions: Tensor) -> Tensor:
        """The invariant representation z_AGG of sequences.

        Args:
            views: [B, T, C, H, W], as for `encode`.
            actions: [B, T-1, A], `actions[:, t]` takes view t to view t + 1; `spec.actions.along(poses)` makes them.

        Returns:
            [B, S] float32.
        """
        self._check_actions(views, actions, views.shape[1] - 1)
        return self.method.aggregate(self.encode(views), actions.to(self._device))

    @torch.inference_mode()
    def predict(self, views: Tensor, actions: Tensor) -> Tensor:
        """The predicted features of the view that the last action leads to.

        Args:
            views: [B, T, C, H, W], observed.
            actions: [B, T, A], between the views and from the last one on.

        Returns:
            [B, D] float32.
        """
        self._check_actions(views, actions, views.shape[1])
        return self.method.predict(self.encode(views), actions.to(self._device))

    @property
    def _device(self) -> torch.device:
        return next(self.method.parameters()).device

    def _check_actions(self, views: Tensor, actions: Tensor, steps: int) -> None:
        expected = (views.shape[0], steps, self.spec.actions.action_dim)
        if views.ndim != 5 or tuple(actions.shape) != expected:
            raise ConfigError(f"views {list(views.shape)} go with actions {list(expected)} [B, T, A], got {list(actions.shape)}")


def build_method(experiment: Experiment, spec: WorldSpec) -> Method:
    """The experiment's method for such a world, initialised from the experiment's seed.

    Raises:
        ConfigError: if method, encoder and world do not fit together.
    """
    reads, available = experiment.method.reads, spec.views_per_object
    if reads is not None and available is not None and reads > available:
        name = kind(type(experiment.method))
        raise ConfigError(f"{name} reads {reads} views of an object, those of world {spec.name!r} have {available}: change method or world")
    train = experiment.train
    experiment.method.check(spec.actions, train.num_views, train.batch_size // train.accumulate // world_size())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.seed)
        encoder = experiment.encoder.build(spec.image_shape[0], spec.mean, spec.std)
        method = experiment.method.build(encoder, spec.actions)
    for parameter in method.parameters():
        if parameter.ndim == 4:  # convolutions: images come channels-last
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return method


def load(run_dir: str | Path, device: str | torch.device = "cpu") -> Model:
    """The model that a run folder's newest checkpoint holds; its data need not be there.

    Raises:
        ConfigError: if the folder is no run.
        CheckpointError: if it has no valid checkpoint.
    """
    folder = Path(run_dir)
    config, spec = read_config(folder), read_spec(folder)
    try:
        experiment = from_json(config)
    except ConfigError as error:
        raise ConfigError(f"{folder / 'config.json'} does not fit this version or its code: {error}") from error
    warnings: list[str] = []
    checkpoint = latest(folder / "checkpoints", warnings.append)
    if checkpoint is None:
        raise CheckpointError(f"{folder} holds no checkpoint yet: train it first, seqjepa train ... --run-dir {folder}")
    method = build_method(experiment, spec)
    restore(method, checkpoint.tensors["method"], str(checkpoint.path))
    return Model(method.to(device).eval(), experiment, spec, checkpoint.step)
