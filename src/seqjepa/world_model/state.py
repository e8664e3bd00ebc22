"""Inputs and answers of a WorldModel."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from seqjepa.actions import ActionSpace
from seqjepa.checks import instance
from seqjepa.errors import ConfigError
from seqjepa.model import as_tensor
from seqjepa.world_model.manifold import uniform

PROPOSALS = 4096  # actions drawn where none are given
OBSERVE = "`observe` makes one of views"

Array = Tensor | npt.NDArray[Any]


@dataclass(frozen=True)
class State:
    """Sequences of views that were seen or imagined.

    Attributes:
        sources: [B, T, E], what predictions read of the views, see `Method.source`.
        actions: [B, T-1, A], between them.
        embedding: [B, F], of the last view: what imagining it should give, see `Method.target`.
    """

    sources: Tensor
    actions: Tensor
    embedding: Tensor

    def __post_init__(self) -> None:
        sources, actions, embedding = self.sources, self.actions, self.embedding
        fits = sources.ndim == actions.ndim == 3 and sources.shape[1] > 0 and embedding.ndim == 2
        fits = fits and actions.shape[:2] == (len(sources), sources.shape[1] - 1)
        if not fits or len(embedding) != len(sources):
            raise ConfigError(
                "a state has sources [B, T, E], actions [B, T-1, A] and an embedding [B, F], got "
                f"{list(sources.shape)}, {list(actions.shape)} and {list(embedding.shape)}"
            )

    def __len__(self) -> int:
        return len(self.sources)

    def clone(self) -> "State":
        """Return a copy that shares no memory."""
        return State(self.sources.clone(), self.actions.clone(), self.embedding.clone())


@dataclass(frozen=True)
class Neighbours:
    """The entries of a bank that are nearest to each embedding, the nearest first.

    Attributes:
        indices: [..., k] int64, of entries.
        distances: [..., k], see `WorldModel.distance`.
    """

    indices: Tensor
    distances: Tensor


@dataclass(frozen=True)
class Inferred:
    """Actions between views, and how they were found.

    Attributes:
        actions: [B, A].
        by: `inverse head`, the method's own, or `search` for what predicts the second view best.
    """

    actions: Tensor
    by: str


@dataclass(frozen=True)
class Plan:
    """Sequences of actions that bring goals into view.

    Attributes:
        actions: [B, L, A].
        costs: [B], distances of the last imagined view to the goal; where the way back counted,
            the mean of that and of the distance at the other end.
    """

    actions: Tensor
    costs: Tensor


def moves_of(
    state: State, actions: Array, space: ActionSpace, axes: tuple[str, ...] = ()
) -> Tensor:
    """Return actions [B, *axes, A] for a state on its device; B may have been left out.

    Args:
        state: of B sequences.
        actions: what a caller gave.
        space: of the actions.
        axes: names of the axes between B and A; without any, B must be there.

    Raises:
        ConfigError: if they are of another shape or width, or not finite.
    """
    instance("state", state, State, OBSERVE)
    given = moves = as_tensor("actions", actions)
    if axes and given.ndim == len(axes) + 1:
        moves = given.expand(len(state), *given.shape)
    fits = moves.ndim == len(axes) + 2 and len(moves) == len(state) and moves.numel()
    if not fits or moves.shape[-1] != space.action_dim:
        inner = ", ".join([*axes, str(space.action_dim)])
        wanted = f"[{len(state)}, {inner}]" + (f" or [{inner}]" if axes else "")
        raise ConfigError(f"actions must be {wanted}, got {list(given.shape)}")
    return _finite("actions", moves).to(state.sources)


def proposals_of(given: Array | None, space: ActionSpace, generator: torch.Generator) -> Tensor:
    """Return the proposals [N, A] that were given, or else uniform ones.

    Raises:
        ConfigError: if they are of another shape or width, or not finite; or none were given for
            actions without bounds.
    """
    if given is None:
        return uniform(space, PROPOSALS, generator)
    actions = as_tensor("proposals", given)
    if actions.ndim != 2 or not len(actions) or actions.shape[1] != space.action_dim:
        raise ConfigError(f"proposals must be [N, {space.action_dim}], got {list(actions.shape)}")
    return _finite("proposals", actions)


def _finite(name: str, actions: Tensor) -> Tensor:
    numbers = actions.float()
    if not bool(torch.isfinite(numbers).all()):
        raise ConfigError(f"{name} hold NaN or infinity")
    return numbers
