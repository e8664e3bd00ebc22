"""WorldModel: imagine what actions lead to, infer and plan actions, draw what is imagined.

Embeddings are in the space that the method's loss compares in: `WorldModel.target` makes those of
views, `imagine` and `rollout` predict them.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.actions import ActionSpace
from seqjepa.devices import device_of
from seqjepa.errors import ConfigError
from seqjepa.methods.base import Method
from seqjepa.model import Model, as_tensor, load
from seqjepa.world_model.decoder import Decoder, load_decoder
from seqjepa.world_model.manifold import inverse, nearest, uniform
from seqjepa.world_model.planning import CrossEntropy, Planner, Problem

ROWS = 4096  # of predictions in a pass
PROPOSALS = 4096  # actions drawn where none are given

Array = Tensor | npt.NDArray[Any]
_logger = logging.getLogger("seqjepa")


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


@dataclass(frozen=True)
class WorldModel:
    """A trained model that predicts views from actions.

    Attributes:
        model: frozen.
        decoder: makes pictures of embeddings; None until `seqjepa decode` has trained one.
    """

    model: Model
    decoder: Decoder | None = None

    def __post_init__(self) -> None:
        _require_actions(self.model)

    @classmethod
    def load(
        cls,
        run_dir: str | Path,
        device: str | torch.device = "cpu",
        *,
        warn: Callable[[str], None] = _logger.warning,
    ) -> Self:
        """Load the world model of a run folder, and its decoder if there is one.

        The run's data need not be there.

        Args:
            run_dir: the run's folder.
            device: where to put the model.
            warn: is called with each damaged file that was passed over, and with a decoder that
                belongs to another step of the run.

        Raises:
            ConfigError: if the folder is no run, its method predicts no views, or its predictions
                do not depend on actions.
            CheckpointError: if it has no valid checkpoint, or the decoder is damaged.
        """
        model = load(run_dir, device, warn=warn)
        return cls(model, load_decoder(Path(run_dir), model, warn))

    @property
    def method(self) -> Method:
        """The trained method."""
        return self.model.method

    @property
    def space(self) -> ActionSpace:
        """The space of actions; `space.between(poses, poses)` makes them."""
        return self.model.spec.actions

    def observe(self, views: Array, actions: Array | None = None) -> State:
        """Return the state after views were seen.

        Args:
            views: [B, T, C, H, W], as for `Model.encode`. Methods that do not remember predict
                from the last.
            actions: [B, T-1, A], between them; None for single views.

        Raises:
            ConfigError: if they are anything else.
        """
        if actions is None:
            actions = torch.zeros(*as_tensor("views", views).shape[:1], 0, self.space.action_dim)
        images, moves = self.model.raw_sequences(views, actions, more=-1)
        with torch.no_grad():
            sources = self.method.source(self.method.encoder(images))
            return State(sources, moves, self.method.target(images[:, -1]))

    def target(self, views: Array) -> Tensor:
        """Return the embeddings [..., F] of views [..., C, H, W], such as the entries of a bank."""
        images = self.model.raw_views(views)
        with torch.no_grad():
            return self.method.target(images)

    def imagine(self, state: State, actions: Array) -> Tensor:
        """Return the embeddings of the views that candidate actions would lead to.

        Args:
            state: of B sequences.
            actions: [B, K, A], K candidates for each; or [K, A], the same for all.

        Returns:
            [B, K, F] float32.

        Raises:
            ConfigError: if the actions are of another shape or width.
        """
        moves = self._actions("actions", actions, state, "K")
        with torch.no_grad():
            return self._roll(state, moves[:, :, None])[:, :, 0]

    def rollout(self, state: State, actions: Array) -> Tensor:
        """Return the embeddings of all views along sequences of actions, each from the one before.

        Args:
            state: of B sequences.
            actions: [B, K, L, A], K candidate sequences of L actions for each; or [K, L, A], the
                same for all.

        Returns:
            [B, K, L, F] float32.

        Raises:
            ConfigError: if the actions are of another shape or width, or the method cannot go on
                from what it predicts and L is more than 1.
        """
        moves = self._actions("actions", actions, state, "K, L")
        with torch.no_grad():
            return self._roll(state, moves)

    def advance(self, state: State, actions: Array) -> State:
        """Return the state after an action [B, A] of each sequence, as it is imagined.

        Raises:
            ConfigError: if the actions are of another shape, or the method cannot go on from what
                it predicts.
        """
        moves = self._actions("actions", actions, state, "")
        with torch.no_grad():
            return self._step(state, moves)

    def distance(self, embeddings: Tensor, others: Tensor) -> Tensor:
        """Return the distances [...] between embeddings [..., F] that broadcast.

        They are 1 - cosine, or the mean squared difference where the method's loss knows lengths.
        """
        if self.method.scaled:
            return (embeddings - others).square().mean(-1)
        return 1 - F.cosine_similarity(embeddings, others, dim=-1)

    def retrieve(self, embeddings: Tensor, bank: Tensor, k: int = 1) -> Neighbours:
        """Return the entries of a bank that are nearest to embeddings.

        Args:
            embeddings: [..., F], imagined or of views.
            bank: [N, F], from `target`.
            k: number of entries, 1 to N.

        Raises:
            ConfigError: if they are of different widths, or the bank has fewer than k entries.
        """
        if bank.ndim != 2 or bank.shape[1] != embeddings.shape[-1]:
            raise ConfigError(
                f"the bank must be [N, {embeddings.shape[-1]}], as wide as the embeddings, got "
                f"{list(bank.shape)}: make it with `target`"
            )
        if not 1 <= k <= len(bank):
            raise ConfigError(f"k must be 1 to {len(bank)}, the entries of the bank, got {k}")
        with torch.no_grad():
            rows = embeddings.flatten(0, -2).split(max(1, ROWS * 64 // len(bank)))
            found = [self.distance(part[:, None], bank).topk(k, largest=False) for part in rows]
        shape = (*embeddings.shape[:-1], k)
        return Neighbours(
            torch.cat([part.indices for part in found]).view(shape),
            torch.cat([part.values for part in found]).view(shape),
        )

    def infer_action(
        self,
        before: Array,
        after: Array,
        *,
        search: Planner | None = None,
        proposals: Array | None = None,
        seed: int = 0,
    ) -> Inferred:
        """Return the action between two views of each of B objects.

        Args:
            before, after: [B, C, H, W].
            search: look for the action whose imagined view is nearest to `after`. None to read it
                with the method's own inverse head, and to search where there is none.
            proposals, seed: of a search, see `plan`.

        Raises:
            ConfigError: if the views are of different shapes, or see `plan`.
        """
        first, second = self.model.raw_views(before), self.model.raw_views(after)
        if first.ndim != 4 or first.shape != second.shape:
            raise ConfigError(
                "views before and after must both be [B, C, H, W], got "
                f"{list(first.shape)} and {list(second.shape)}"
            )
        head = self.method.inverse
        if search is None and head is not None:
            with torch.no_grad():
                read = head(self.method.encoder(torch.stack([first, second], 1)))[:, 0]
            return Inferred(nearest(self.space, read), "inverse head")

        found = self.plan(
            self.observe(first[:, None]),
            self.observe(second[:, None]),
            planner=search,
            proposals=proposals,
            seed=seed,
        )
        return Inferred(found.actions[:, 0], "search")

    def plan(
        self,
        state: State,
        goal: State,
        *,
        horizon: int = 1,
        planner: Planner | None = None,
        both_ways: bool = True,
        proposals: Array | None = None,
        seed: int = 0,
    ) -> Plan:
        """Return the actions after which the goal is in view, as far as the model can tell.

        Args:
            state: of B sequences.
            goal: of B sequences, whose last views are the goals: `observe(views[:, None])`.
            horizon: number L of actions.
            planner: `CrossEntropy(...)`, which None stands for, or `Gradient(...)`.
            both_ways: count the way back as well: the actions undone, from the goal, should lead to
                the state's last view.
            proposals: [N, A], actions that the search begins with, as the world has them:
                `space.between` of random poses. None for all rotations and turns alike; groups of
                differences need proposals.
            seed: of what is drawn.

        Raises:
            ConfigError: if goal or proposals are of another shape, the horizon is below 1, or the
                search cannot be made, see `Planner.search` and `manifold.uniform`.
        """
        if goal.embedding.shape != state.embedding.shape:
            raise ConfigError(
                f"the goal must be as the state, an embedding {list(state.embedding.shape)}, got "
                f"{list(goal.embedding.shape)}: observe a view for each sequence of the state"
            )
        if horizon < 1:
            raise ConfigError(f"the horizon must be at least 1, got {horizon}")

        # Tensors of inference mode, which know no gradient, are copied.
        with torch.inference_mode(False):
            start, end = _copy(state), _copy(goal)
            generator = torch.Generator().manual_seed(seed)
            known = self._proposals(proposals, generator).to(start.sources)

            def cost(actions: Tensor) -> Tensor:
                there = self._miss(start, actions, end)
                if not both_ways:
                    return there
                back = inverse(self.space, actions.flip(2))
                return (there + self._miss(end, back, start)) / 2

            problem = Problem(self.space, cost, known, (len(state), horizon), generator)
            return Plan(*(planner or CrossEntropy()).search(problem))

    def decode(self, embeddings: Tensor) -> Tensor:
        """Return pictures [..., C, H, W] in 0..1 of embeddings [..., F].

        Raises:
            ConfigError: if there is no decoder, or they are of another width.
        """
        if self.decoder is None:
            raise ConfigError("this run has no decoder yet: train it, seqjepa decode RUN_DIR")
        with torch.no_grad():
            pictures: Tensor = self.decoder(embeddings)
        return pictures

    def _miss(self, state: State, actions: Tensor, goal: State) -> Tensor:
        """Return how far [B, K] from the goal actions [B, K, L, A] end, as they are imagined."""
        return self.distance(self._roll(state, actions)[:, :, -1], goal.embedding[:, None])

    def _roll(self, state: State, actions: Tensor) -> Tensor:
        """Return the predictions [B, K, L, F] along actions [B, K, L, A]."""
        candidates = actions.shape[1]
        each = (
            part.repeat_interleave(candidates, 0).split(ROWS)
            for part in (state.sources, state.actions, state.embedding)
        )
        predictions = []
        for *seen, moves in zip(*each, actions.flatten(0, 1).split(ROWS), strict=True):
            current, along = State(*seen), []
            for move in moves[:, :-1].unbind(1):
                current = self._step(current, move)
                along.append(current.embedding)
            along.append(self._predict(current, moves[:, -1]))
            predictions.append(torch.stack(along, 1))
        found: Tensor = torch.cat(predictions).unflatten(0, (len(state), candidates))
        return found

    def _step(self, state: State, actions: Tensor) -> State:
        """Return the state after actions [B, A], as it is imagined."""
        predicted = self._predict(state, actions)
        source = self.method.advance(state.sources, predicted)
        return State(
            torch.cat([state.sources, source[:, None]], 1),
            torch.cat([state.actions, actions[:, None]], 1),
            predicted,
        )

    def _predict(self, state: State, actions: Tensor) -> Tensor:
        """Return the predictions [B, F] of the views that actions [B, A] lead to."""
        moves = torch.cat([state.actions, actions[:, None]], 1)
        predicted: Tensor = self.method.predict(state.sources, moves)
        return predicted.float()

    def _proposals(self, given: Array | None, generator: torch.Generator) -> Tensor:
        """Return proposals [N, A]; those given are checked."""
        if given is None:
            return uniform(self.space, PROPOSALS, generator)
        actions, width = as_tensor("proposals", given), self.space.action_dim
        if actions.ndim != 2 or not len(actions) or actions.shape[1] != width:
            raise ConfigError(f"proposals must be [N, {width}], got {list(actions.shape)}")
        return _finite("proposals", actions)

    def _actions(self, name: str, given: Array, state: State, axes: str) -> Tensor:
        """Return actions [B, axes, A] on the state's device, checked; B may have been left out."""
        actions, width = as_tensor(name, given), self.space.action_dim
        inner = len(axes.split(", ")) if axes else 0
        if inner and actions.ndim == inner + 1:
            actions = actions.expand(len(state), *actions.shape)
        fits = actions.ndim == inner + 2 and len(actions) == len(state)
        if not fits or actions.shape[-1] != width or not actions.numel():
            middle = f"{axes}, " if axes else ""
            raise ConfigError(
                f"{name} must be [{len(state)}, {middle}{width}]"
                + (f" or [{middle}{width}]" if axes else "")
                + f", got {list(as_tensor(name, given).shape)}"
            )
        return _finite(name, actions).to(state.sources)


def _copy(state: State) -> State:
    return State(state.sources.clone(), state.actions.clone(), state.embedding.clone())


def _finite(name: str, actions: Tensor) -> Tensor:
    """Return actions as float32; raise a ConfigError if they hold NaN or infinity."""
    numbers = actions.float()
    if not bool(torch.isfinite(numbers).all()):
        raise ConfigError(f"{name} hold NaN or infinity")
    return numbers


def _require_actions(model: Model) -> None:
    """Raise a ConfigError unless the method's predictions depend on actions."""
    method, space = model.method, model.spec.actions
    name = type(method).__name__
    if not method.predicts:
        raise ConfigError(f"{name} does not predict views from actions; seq_jepa does")
    if not space.groups:
        raise ConfigError(
            f"the world {model.spec.name!r} has no actions to imagine: name some in world.actions"
        )

    # Two actions that are far apart, from a blank view.
    device = device_of(method)
    blank = torch.zeros(1, 1, *model.spec.image_shape, dtype=torch.uint8, device=device)
    ends = torch.linspace(-1, 1, 2, device=device)[:, None, None].expand(2, 1, space.action_dim)
    with torch.no_grad():
        source = method.source(method.encoder(blank))
        one, other = method.predict(source.expand(2, -1, -1), ends)
    if torch.equal(one, other):
        raise ConfigError(
            f"predictions of this {name} do not depend on actions: train it with "
            "method.condition both or predictor"
        )
