"""Layout: weights under the names of other code, and the settings that they tell of a model."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from seqjepa.config import Experiment
from seqjepa.errors import CheckpointError
from seqjepa.runs.tensors import require_match
from seqjepa.worlds.base import WorldSpec


class Layout(ABC):
    """The weights of a file, in a layout that is recognised by their names.

    Attributes:
        title: the layout, for messages.
        heads: how the names of tensors begin that no method here has, such as classifiers.
        source: the file, for messages.
        tensors: by their names in the file, without heads.
        ignored: names of what the file holds besides.
    """

    title: ClassVar[str]
    heads: ClassVar[re.Pattern[str]]

    def __init__(self, source: str, tensors: Mapping[str, Tensor], ignored: list[str]) -> None:
        heads = [name for name in tensors if self.heads.match(name)]
        self.source, self.ignored = source, ignored + heads
        self.tensors = {name: tensor for name, tensor in tensors.items() if name not in heads}

    @property
    def recipe(self) -> str | None:
        """Return the recipe of the data that the weights are from; None if they do not tell."""
        return None

    @abstractmethod
    def settle(self, experiment: Experiment) -> Experiment:
        """Return the experiment with all that names and shapes of the weights decide.

        What they do not tell stays the experiment's.
        """

    @abstractmethod
    def state(self, experiment: Experiment, spec: WorldSpec) -> dict[str, Tensor]:
        """Return the state dict of the experiment's method with these weights.

        Raises:
            CheckpointError: if weights are missing, unknown, of another shape or not finite.
            ConfigError: if the experiment does not fit them.
        """

    def size(self, name: str, axis: int) -> int | None:
        """Return a tensor's size along an axis; None if there is no such tensor or axis."""
        tensor = self.tensors.get(name)
        return None if tensor is None or tensor.ndim <= axis else tensor.shape[axis]

    def fitted(self, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights that a model expects, by the same names and in the same precision.

        Args:
            expected: tensors of the right shapes and types, on any device.

        Raises:
            CheckpointError: see `state`.
        """
        given = dict[str, Tensor]()
        for name, tensor in self.tensors.items():
            wanted = expected.get(name, tensor)
            alike = wanted.is_floating_point() == tensor.is_floating_point()
            given[name] = tensor.detach().to(wanted.dtype) if alike else tensor
        # Old files lack BatchNorm's counts of batches, which decide nothing.
        for name in expected:
            if name.endswith(".num_batches_tracked"):
                given.setdefault(name, torch.tensor(0))
        require_match(expected, given, self.source)

        bad = [name for name, tensor in given.items() if not torch.isfinite(tensor).all()]
        if bad:
            raise CheckpointError(
                f"{self.source} holds NaN or infinity in {bad[0]} and {len(bad) - 1} others: its "
                "training went wrong, take an earlier checkpoint"
            )
        return given
