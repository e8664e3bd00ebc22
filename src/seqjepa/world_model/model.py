"""WorldModel: imagine what actions lead to, infer and plan actions, draw what is imagined.

Embeddings are in the space that the method's loss compares in: `WorldModel.target` makes those of
views, `imagine` and `rollout` predict them.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from seqjepa.actions import ActionSpace
from seqjepa.checks import instance
from seqjepa.devices import device_of
from seqjepa.errors import ConfigError
from seqjepa.methods.base import Method
from seqjepa.model import Model, as_tensor, load
from seqjepa.world_model.decoder import Decoder, load_decoder
from seqjepa.world_model.embeddings import distances, embeddings_of, nearest_entries
from seqjepa.world_model.imagining import imagined_state, require_actions, rolled
from seqjepa.world_model.manifold import action, compose, inverse, nearest
from seqjepa.world_model.planning import CrossEntropy, Planner, Problem
from seqjepa.world_model.state import (
    OBSERVE,
    Array,
    Inferred,
    Neighbours,
    Plan,
    State,
    moves_of,
    proposals_of,
)

_logger = logging.getLogger("seqjepa")


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
        instance("model", self.model, Model, "WorldModel.load(RUN_DIR) loads a run's")
        require_actions(self.model)

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
        """The space of actions; its `between` makes them of poses."""
        return self.model.spec.actions

    def action(self, **changes: Any) -> Tensor:
        """Return actions [..., A] that change the named groups, see `manifold.action`.

        For example `action(rotation=[0, 0, 0.5])` turns by half a radian about z.
        """
        return action(self.space, changes).to(device_of(self.method))

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
        moves = moves_of(state, actions, self.space, ("K",))
        with torch.no_grad():
            return rolled(self.method, state, moves[:, :, None])[:, :, 0]

    def rollout(self, state: State, actions: Array, *, composed: bool = False) -> Tensor:
        """Return the embeddings of all views along sequences of actions.

        Args:
            state: of B sequences.
            actions: [B, K, L, A], K candidate sequences of L actions for each; or [K, L, A], the
                same for all.
            composed: imagine each view from those that were seen, by the product of the actions to
                it. False to imagine it from the one imagined before, by the next action.

        Returns:
            [B, K, L, F] float32.

        Raises:
            ConfigError: if the actions are of another shape or width, or the method cannot go on
                from what it predicts, L is more than 1 and they are not composed.
        """
        moves = moves_of(state, actions, self.space, ("K", "L"))
        with torch.no_grad():
            if not composed:
                return rolled(self.method, state, moves)
            lengths = range(1, moves.shape[2] + 1)
            products = [compose(self.space, moves[:, :, :length]) for length in lengths]
            direct = rolled(self.method, state, torch.cat(products, 1)[:, :, None])[:, :, 0]
            return torch.stack(direct.chunk(len(lengths), 1), 2)

    def advance(self, state: State, actions: Array) -> State:
        """Return the state after an action [B, A] of each sequence, as it is imagined.

        Raises:
            ConfigError: if the actions are of another shape, or the method cannot go on from what
                it predicts.
        """
        moves = moves_of(state, actions, self.space)
        with torch.no_grad():
            return imagined_state(self.method, state, moves)

    def distance(self, embeddings: Array, others: Array) -> Tensor:
        """Return the distances [...] between embeddings [..., F] that broadcast.

        They are 1 - cosine, or the mean squared difference where the method's loss knows lengths.

        Raises:
            ConfigError: if they are no embeddings, or do not broadcast.
        """
        given = self._embeddings("embeddings", embeddings), self._embeddings("others", others)
        return distances(*given, scaled=self.method.scaled)

    def retrieve(self, embeddings: Array, bank: Array, k: int = 1) -> Neighbours:
        """Return the entries of a bank that are nearest to embeddings.

        Args:
            embeddings: [..., F], imagined or of views.
            bank: [N, F], from `target`.
            k: number of entries, 1 to N.

        Raises:
            ConfigError: if they are no embeddings, of different widths, or the bank has fewer than
                k entries.
        """
        given = self._embeddings("embeddings", embeddings), self._embeddings("the bank", bank)
        with torch.no_grad():
            return nearest_entries(*given, k, scaled=self.method.scaled)

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
        composed: bool = True,
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
            composed: imagine where a sequence ends by the product of its actions, see `rollout`.
            proposals: [N, A], actions that the search begins with, as the world has them:
                `space.between` of random poses. None for all rotations and turns alike; groups of
                differences need proposals.
            seed: of what is drawn.

        Raises:
            ConfigError: if state or goal are no states, goal or proposals are of another shape, the
                horizon is below 1, or the search cannot be made, see `Planner.search` and
                `manifold.uniform`.
        """
        instance("state", state, State, OBSERVE)
        instance("goal", goal, State, OBSERVE)
        planner = planner or CrossEntropy()
        instance("planner", planner, Planner, "write CrossEntropy() or Gradient()")
        if goal.embedding.shape != state.embedding.shape:
            raise ConfigError(
                f"the goal must be as the state, an embedding {list(state.embedding.shape)}, got "
                f"{list(goal.embedding.shape)}: observe a view for each sequence of the state"
            )
        if horizon < 1:
            raise ConfigError(f"the horizon must be at least 1, got {horizon}")

        # Tensors of inference mode, which know no gradient, are copied.
        with torch.inference_mode(False):
            start, end = state.clone(), goal.clone()
            generator = torch.Generator().manual_seed(seed)
            known = proposals_of(proposals, self.space, generator).to(start.sources)

            def distance_to(goal: State, state: State, actions: Tensor) -> Tensor:
                moves = compose(self.space, actions)[:, :, None] if composed else actions
                ends = rolled(self.method, state, moves)[:, :, -1]
                return self.distance(ends, goal.embedding[:, None])

            def cost(actions: Tensor) -> Tensor:
                forth = distance_to(end, start, actions)
                if not both_ways:
                    return forth
                back = distance_to(start, end, inverse(self.space, actions.flip(2)))
                return (forth + back) / 2

            problem = Problem(self.space, cost, known, (len(state), horizon), generator)
            return Plan(*planner.search(problem))

    def decode(self, embeddings: Array) -> Tensor:
        """Return pictures [..., C, H, W] in 0..1 of embeddings [..., F].

        Raises:
            ConfigError: if there is no decoder, or they are no embeddings or of another width.
        """
        if self.decoder is None:
            raise ConfigError("this run has no decoder yet: train it, seqjepa decode RUN_DIR")
        with torch.no_grad():
            pictures: Tensor = self.decoder(self._embeddings("embeddings", embeddings))
        return pictures

    def _embeddings(self, name: str, value: Array) -> Tensor:
        return embeddings_of(name, value, device_of(self.method))
