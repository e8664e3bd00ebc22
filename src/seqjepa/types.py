"""The three seams: what a World yields, what a Method represents, what a training step returns.

Axes: B sequences, T views of a sequence, C H W of an image, A action, P pose, D features of one
    view, S features of a sequence.
"""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqjepa.errors import ConfigError, DataError

Indices = npt.NDArray[np.int64]  # of objects, views or places


@dataclass(frozen=True)
class SequenceBatch:
    """A batch of view sequences, built and validated by a World.

    **The action convention of the whole library:** `actions[:, t]` takes view `t` to view `t + 1`.
    A method that observes the first M views and predicts view M (counted from 0) conditions its
    observations on `actions[:, :M-1]` and its prediction on `actions[:, M-1]`.

    Attributes:
        views: [B, T, C, H, W], uint8 in 0..255 or float in 0..1. Encoders normalise.
        actions: [B, T-1, A] float32, the conditioning groups of the world's action space.
        poses: [B, T, P] float32, every absolute factor of each view, whether conditioned on or not.
        labels: [B] int64 class index, -1 where unknown.

    Raises:
        DataError: if the shapes or types do not fit together.
    """

    views: Tensor
    actions: Tensor
    poses: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        # A world of one's own may give arrays.
        for name in ("views", "actions", "poses", "labels"):
            value: object = getattr(self, name)
            if not isinstance(value, Tensor):
                got = f"{type(value).__name__}: torch.from_numpy makes one of an array"
                raise DataError(f"{name} must be a tensor, got {got}")

        views, actions, poses, labels = self.views, self.actions, self.poses, self.labels
        pixels = views.dtype == torch.uint8 or views.is_floating_point()
        if views.ndim != 5 or not pixels:
            got = f"{views.dtype} {list(views.shape)}"
            raise DataError(f"views must be uint8 or float [B, T, C, H, W], got {got}")

        batch, length = views.shape[:2]
        if actions.ndim != 3 or actions.shape[:2] != (batch, length - 1):
            expected = f"[B={batch}, T-1={length - 1}, A]"
            raise DataError(f"actions must be {expected}, got {list(actions.shape)}")
        if poses.ndim != 3 or poses.shape[:2] != (batch, length):
            expected = f"[B={batch}, T={length}, P]"
            raise DataError(f"poses must be {expected}, got {list(poses.shape)}")
        if labels.shape != (batch,) or labels.dtype != torch.int64:
            got = f"{labels.dtype} {list(labels.shape)}"
            raise DataError(f"labels must be int64 [B={batch}], got {got}")

    def __len__(self) -> int:
        return self.views.shape[0]

    def to(self, device: torch.device) -> Self:
        """Return the same batch on another device."""
        moved = {
            name: getattr(self, name).to(device, non_blocking=True)
            for name in ("views", "actions", "poses", "labels")
        }
        return replace(self, **moved)

    def chunk(self, parts: int) -> list["SequenceBatch"]:
        """Cut the batch into equal parts along B, for gradient accumulation."""
        tensors = (self.views, self.actions, self.poses, self.labels)
        pieces = zip(*(tensor.chunk(parts) for tensor in tensors), strict=True)
        return [SequenceBatch(*piece) for piece in pieces]


@dataclass(frozen=True)
class Representation:
    """Representation of a sequence by a method.

    Attributes:
        views: [B, T, D], the encoder on each view: the equivariant representation in seq-JEPA.
        sequence: [B, S], one vector for the whole sequence: z_AGG in seq-JEPA, the first view's
            features in methods without an aggregator.
    """

    views: Tensor
    sequence: Tensor

    @classmethod
    def of_views(cls, features: Tensor) -> Self:
        """Return the detached representation of a method without an aggregator.

        Of its features [B, T, D], the first view's stand for the sequence.
        """
        return cls(features.detach(), features[:, 0].detach())

    def detach(self) -> "Representation":
        """Return the same numbers, cut from the graph."""
        return Representation(self.views.detach(), self.sequence.detach())


@dataclass(frozen=True)
class StepOutput:
    """Result of a method's forward pass.

    Attributes:
        loss: scalar to be minimised, averaged over the batch.
        terms: scalars for the log only.
        representation: detached, for online probes; its views may be fewer than the batch's (those
            that the method encoded).
        compared: this rank's features [..., D] that the loss compares, beside the representation's,
            by name (`projection`, `prediction` ...), detached; collapse is watched in them too.

    Raises:
        ConfigError: if the loss or a term is no scalar tensor, or the representation of another
            shape.
    """

    loss: Tensor
    terms: dict[str, Tensor]
    representation: Representation
    compared: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A method of one's own may return anything.
        scalars: dict[str, object] = {"loss": self.loss, **self.terms}
        for name, value in scalars.items():
            if not isinstance(value, Tensor) or value.ndim:
                got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
                raise ConfigError(f"a step's {name!r} must be a scalar tensor, got {got}")

        views, sequence = self.representation.views, self.representation.sequence
        if views.ndim != 3 or sequence.ndim != 2:
            raise ConfigError(
                "a step's representation must have views [B, T, D] and sequence [B, S], got "
                f"{list(views.shape)} and {list(sequence.shape)}"
            )
