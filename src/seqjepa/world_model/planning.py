"""Searches for the actions of least cost: the cross-entropy method, and gradient descent.

Both begin with actions drawn at random from *proposals*, and both move on the manifold of actions
(`manifold`). The cross-entropy method (Rubinstein 1999; de Boer et al. 2005) draws from a normal
distribution around the best action so far, whose mean and spread are those of the best draws of the
round before. Gradient descent (Adam, in the tangent space of where it is) starts from the best
draws.

Differences, which have no bounds of their own, stay within those of the proposals. The defaults
were chosen on the val split of the demo's world (docs/world_model.md).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from seqjepa.actions import ActionSpace
from seqjepa.checks import at_least, positive
from seqjepa.errors import ConfigError
from seqjepa.world_model.manifold import move, split, step_dim, steps_between

FEW = 16  # values of a switch, at most: fixations lie on a grid of pixels, which has more


@dataclass(frozen=True)
class Problem:
    """B searches side by side, each for a sequence of L actions.

    Attributes:
        space: of the actions.
        cost: of sequences [B, K, L, A]: [B, K], differentiable.
        proposals: [N, A], actions that the first draws are taken from.
        shape: (B, L).
        generator: of all draws, on the CPU.
    """

    space: ActionSpace
    cost: Callable[[Tensor], Tensor]
    proposals: Tensor
    shape: tuple[int, int]
    generator: torch.Generator

    def draw(self, number: int) -> Tensor:
        """Draw sequences [B, number, L, A] of proposals."""
        batch, length = self.shape
        size = (batch, number, length)
        chosen = torch.randint(len(self.proposals), size, generator=self.generator)
        return self.proposals[chosen.to(self.proposals.device)]

    def noise(self, number: int) -> Tensor:
        """Draw standard normal steps [B, number, L, D]."""
        batch, length = self.shape
        size = (batch, number, length, step_dim(self.space))
        return torch.randn(size, generator=self.generator).to(self.proposals)

    def move(self, actions: Tensor, steps: Tensor) -> Tensor:
        """Return the actions [B, K, L, A] that steps [B, K, L, D] lead to, within bounds."""
        moved = split(self.space, move(self.space, actions, steps))
        bounds = zip(self.space.groups, moved, split(self.space, self.proposals), strict=True)
        return torch.cat(
            [
                part.clamp(known.amin(0), known.amax(0)) if group.kind == "difference" else part
                for group, part, known in bounds
            ],
            -1,
        )

    def require_continuous(self) -> None:
        """Raise a ConfigError if a group of actions only switches between a few values."""
        for group, part in zip(self.space.groups, split(self.space, self.proposals), strict=True):
            distinct = min(len(column.unique()) for column in part.unbind(-1))
            if not group.is_rotation and distinct <= min(FEW, len(part) // 4):
                raise ConfigError(
                    f"actions of group {group.name!r} take only {distinct} values among the "
                    f"{len(part)} proposals, nothing lies between them: plan with "
                    "CrossEntropy(rounds=1), the best of random draws"
                )


class Planner(ABC):
    """A way to search; its fields say how long."""

    section: ClassVar[str] = "planner."

    @abstractmethod
    def search(self, problem: Problem) -> tuple[Tensor, Tensor]:
        """Return the best sequences found [B, L, A] and their costs [B].

        Raises:
            ConfigError: if the search needs continuous actions and a group has none.
        """


@dataclass(frozen=True, kw_only=True)
class CrossEntropy(Planner):
    """The cross-entropy method.

    Attributes:
        samples: sequences drawn in a round.
        elites: the best of them, which the next round's distribution is fitted to.
        rounds: of draws; with one, the best of random draws is taken.
    """

    samples: int = 128
    elites: int = 8
    rounds: int = 6

    def __post_init__(self) -> None:
        at_least(self, samples=2, elites=2, rounds=1)
        if self.elites > self.samples:
            raise ConfigError(
                f"planner.elites {self.elites} must be no more than planner.samples {self.samples}"
            )

    @override
    def search(self, problem: Problem) -> tuple[Tensor, Tensor]:
        if self.rounds > 1:
            problem.require_continuous()
        actions = problem.draw(self.samples)
        with torch.no_grad():
            costs = problem.cost(actions)
            for _ in range(self.rounds - 1):
                elites, _ = _best(actions, costs, self.elites)
                actions = self._refit(problem, elites)
                costs = problem.cost(actions)
            actions, costs = _best(actions, costs, 1)
        return actions[:, 0], costs[:, 0]

    def _refit(self, problem: Problem, elites: Tensor) -> Tensor:
        """Draw sequences around the elites [B, elites, L, A]; the best of these comes first."""
        best = elites[:, :1]
        steps = steps_between(problem.space, best.expand_as(elites), elites)
        mean, spread = steps.mean(1, keepdim=True), steps.std(1, keepdim=True)

        drawn = mean + spread * problem.noise(self.samples - 1)
        starts = best.expand(-1, drawn.shape[1], -1, -1)
        return torch.cat([best, problem.move(starts, drawn)], 1)


@dataclass(frozen=True, kw_only=True)
class Gradient(Planner):
    """Gradient descent from several starts.

    Attributes:
        samples: sequences drawn at first.
        starts: the best of them, from which it descends.
        steps: of Adam.
        lr: its learning rate at first, in radians for rotations; it falls to zero along half a
            cosine.
    """

    samples: int = 128
    starts: int = 4
    steps: int = 15
    lr: float = 0.1

    def __post_init__(self) -> None:
        at_least(self, samples=1, starts=1, steps=1)
        positive(self, "lr")
        if self.starts > self.samples:
            raise ConfigError(
                f"planner.starts {self.starts} must be no more than planner.samples {self.samples}"
            )

    @override
    def search(self, problem: Problem) -> tuple[Tensor, Tensor]:
        problem.require_continuous()
        drawn = problem.draw(self.samples)
        with torch.no_grad():
            starts, before = _best(drawn, problem.cost(drawn), self.starts)
        actions = self._descend(problem, starts)
        with torch.no_grad():
            after = problem.cost(actions)
        # A descent may have made it worse: its start is a candidate, too.
        both = torch.cat([actions, starts], 1), torch.cat([after, before], 1)
        actions, costs = _best(*both, 1)
        return actions[:, 0], costs[:, 0]

    def _descend(self, problem: Problem, actions: Tensor) -> Tensor:
        """Return the sequences [B, starts, L, A] that descents from others end in."""
        # The step from where the descent is: Adam's one parameter, zero again after each step.
        size = (*actions.shape[:-1], step_dim(problem.space))
        step = torch.zeros(size, device=actions.device, requires_grad=True)
        adam = torch.optim.Adam([step], lr=self.lr)
        for number in range(self.steps):
            with torch.enable_grad():
                cost = problem.cost(problem.move(actions, step)).sum()
                # The model's own parameters get no gradient.
                (step.grad,) = torch.autograd.grad(cost, step)
            for group in adam.param_groups:
                group["lr"] = self.lr * (1 + math.cos(math.pi * number / self.steps)) / 2
            adam.step()
            with torch.no_grad():
                actions = problem.move(actions, step)
                step.zero_()
        return actions


def _best(actions: Tensor, costs: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Return the sequences [B, number, L, A] of least cost and their costs, the best first."""
    least = costs.topk(number, 1, largest=False)
    rows = torch.arange(len(actions), device=actions.device)[:, None]
    return actions[rows, least.indices], least.values
