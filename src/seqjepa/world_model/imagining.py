"""Predictions of a method along actions, from what was seen or imagined before."""

import torch
from torch import Tensor

from seqjepa.devices import device_of
from seqjepa.errors import ConfigError
from seqjepa.methods.base import Method
from seqjepa.model import Model
from seqjepa.world_model.manifold import identity, move, step_dim
from seqjepa.world_model.state import State

ROWS = 4096  # of predictions in a pass


def rolled(method: Method, state: State, actions: Tensor) -> Tensor:
    """Return the predictions [B, K, L, F] along actions [B, K, L, A], each from the one before."""
    candidates = actions.shape[1]
    # Each candidate has a copy of its sequence's state; all of them go through in parts.
    each = (
        part.repeat_interleave(candidates, 0).split(ROWS)
        for part in (state.sources, state.actions, state.embedding)
    )

    predictions = []
    for *seen, moves in zip(*each, actions.flatten(0, 1).split(ROWS), strict=True):
        current, along = State(*seen), []
        for before in moves[:, :-1].unbind(1):
            current = imagined_state(method, current, before)
            along.append(current.embedding)
        # The last prediction need not be a source again.
        along.append(predicted(method, current, moves[:, -1]))
        predictions.append(torch.stack(along, 1))

    found: Tensor = torch.cat(predictions).unflatten(0, (len(state), candidates))
    return found


def imagined_state(method: Method, state: State, actions: Tensor) -> State:
    """Return the state after actions [B, A], as it is imagined.

    Raises:
        ConfigError: if the method's predictions are no sources.
    """
    embedding = predicted(method, state, actions)
    source = method.advance(state.sources, embedding)
    return State(
        torch.cat([state.sources, source[:, None]], 1),
        torch.cat([state.actions, actions[:, None]], 1),
        embedding,
    )


def predicted(method: Method, state: State, actions: Tensor) -> Tensor:
    """Return the predictions [B, F] of the views that actions [B, A] lead to."""
    moves = torch.cat([state.actions, actions[:, None]], 1)
    embedding: Tensor = method.predict(state.sources, moves)
    return embedding.float()


def require_actions(model: Model) -> None:
    """Raise a ConfigError unless the method's predictions depend on actions."""
    method, space = model.method, model.spec.actions
    name = type(method).__name__
    if not method.predicts:
        raise ConfigError(f"{name} does not predict views from actions; seq_jepa does")
    if not space.groups:
        raise ConfigError(
            f"the world {model.spec.name!r} has no actions to imagine: name some in world.actions"
        )

    # No action and another one, from a blank view.
    device = device_of(method)
    blank = torch.zeros(1, 1, *model.spec.image_shape, dtype=torch.uint8, device=device)
    still = identity(space)
    turned = move(space, still, torch.linspace(0.5, 1, step_dim(space)))
    ends = torch.stack([still, turned])[:, None].to(device)
    with torch.no_grad():
        source = method.source(method.encoder(blank))
        one, other = method.predict(source.expand(2, -1, -1), ends)
    if torch.equal(one, other):
        raise ConfigError(
            f"predictions of this {name} do not depend on actions: train it with "
            "method.condition both or predictor"
        )
