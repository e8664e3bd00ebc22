"""Exploration of a run: the views that its world model imagines, beside the real ones.

Every answer is a function of the question; the page (`page.py`) only shows it.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from seqjepa.display import status, warn
from seqjepa.explore.bank import Bank, read_bank
from seqjepa.explore.poses import Dial
from seqjepa.explore.surroundings import Surroundings, survey
from seqjepa.explore.views import Look, Observer, Subject
from seqjepa.runs.folder import warn_of_changed_data
from seqjepa.runs.movable import build_world, move
from seqjepa.world_model.decoder import fix
from seqjepa.world_model.model import WorldModel
from seqjepa.world_model.state import State
from seqjepa.worlds.base import World

NEAREST = 5  # real views that are shown
SEEN = 8  # views that are observed, at most


@dataclass(frozen=True)
class Seen:
    """Views that were observed, which imagination starts from.

    Attributes:
        subject: that they are of.
        views: [T, C, H, W].
        poses: [T, P].
        state: of the world model.
        attention: [T], shares of what z_AGG attends to, the mean over layers and heads. They sum to
            less than 1: the rest is its own token's. None without attention.
        places: [T, 2], on the bank's map; None without a map.
    """

    subject: Subject
    views: Tensor
    poses: Tensor
    state: State
    attention: Tensor | None
    places: Tensor | None


@dataclass(frozen=True)
class Answer:
    """The view that is imagined of a pose, beside the real one.

    Similarities are 1 - `WorldModel.distance`: 1 where embeddings are alike.

    Attributes:
        pose: [P], that was asked for.
        action: [A], from the last observed view to it.
        imagined: [F].
        pictures: [2, C, H, W] in 0..1, what the decoder draws of the imagined and of the real view;
            None without a decoder.
        real: [C, H, W], the real view from there, or the nearest that exists; with the factors that
            the decoder fixes as it draws them.
        real_pose: [P], of that.
        similarity: of the imagined to the real view.
        beaten: share of the views of the surroundings, or of the bank without those, that are less
            like what is imagined than the real view is.
        nearest: [k], views of the bank nearest to what is imagined, the nearest first.
        nearest_similarities: [k].
        surroundings: [M], the best similarity of what is imagined to the real views at each place
            of the surroundings; None without those.
        places: [2, 2], of the imagined and the real view on the bank's map; None without a map.
    """

    pose: Tensor
    action: Tensor
    imagined: Tensor
    pictures: Tensor | None
    real: Tensor
    real_pose: Tensor
    similarity: float
    beaten: float
    nearest: Tensor
    nearest_similarities: Tensor
    surroundings: Tensor | None
    places: Tensor | None


class Exploration:
    """A world model, a split of its world, and real views to compare with."""

    def __init__(self, model: WorldModel, world: World, split: str = "test") -> None:
        self.model, self.world, self.split = model, world, split
        self.observer = Observer(world, split)
        self.space = self.observer.space
        with status("real views to compare with ..."):
            self.bank: Bank = read_bank(model, world, split)

    @classmethod
    def open(cls, run_dir: Path, device: torch.device, paths: dict[str, str]) -> "Exploration":
        """Open a run for exploration.

        Raises:
            ConfigError: if the folder is no run, or its model predicts no views from actions.
            CheckpointError: if it has no valid checkpoint.
            DataError: if its data are not there.
        """
        model = WorldModel.load(run_dir, device, warn=warn)
        with status("world ..."):
            world = build_world(move(model.model.experiment, paths).world).to(device)
        warn_of_changed_data(run_dir, world.spec, warn)
        return cls(model, world)

    @property
    def most_seen(self) -> int:
        """The largest number of views that can be observed at first."""
        if not self.model.method.remembers:
            return 1
        return self.world.at_most(SEEN, self.split)

    @property
    def usual_seen(self) -> int:
        """The number of views that are observed at first: as many as in training."""
        return min(self.model.model.experiment.train.num_views - 1, self.most_seen)

    @property
    def dials(self) -> list[Dial]:
        """The dials of poses, as far as real views reach."""
        return self.space.dials(self.bank.poses)

    @property
    def fixed(self) -> dict[str, float]:
        """Columns of the pose that have one value in all that the decoder draws."""
        return {} if self.model.decoder is None else self.model.decoder.layout.fixed

    def observe(self, subject: Subject, number: int) -> Seen:
        """Observe the first `number` views of a subject, or all if it has fewer.

        Views without an order are observed from the last to the first. So the last one observed,
        from which imagination starts, is the same for any number.
        """
        views, poses = subject.views[:number], subject.poses[:number]
        if not self.world.spec.ordered:
            views, poses = views.flip(0), poses.flip(0)
        return self._see(subject, views, poses)

    def look(self, seen: Seen, pose: Tensor) -> Seen:
        """Observe one more view, the real one from a pose [P]."""
        look = self.observer.look(seen.subject, pose[None])
        # Without memory only the last view matters.
        kept = slice(-(SEEN - 1), None) if self.model.method.remembers else slice(0, 0)
        views = torch.cat([seen.views[kept], look.views])
        return self._see(seen.subject, views, torch.cat([seen.poses[kept], look.poses]))

    def survey(self, seen: Seen) -> Surroundings | None:
        """Return real views from all around, whose other factors are those of the last view."""
        return survey(self.model, self.observer, seen.subject, seen.poses[-1], self.bank.poses)

    def ask(self, seen: Seen, pose: Tensor, surroundings: Surroundings | None = None) -> Answer:
        """Imagine the view from a pose [P], and compare it with the real ones."""
        model, bank = self.model, self.bank
        action = self.space.actions.between(seen.poses[-1], pose)
        imagined = model.imagine(seen.state, action[None])[0, 0]
        look = self.observer.look(seen.subject, pose[None])
        real = model.target(look.views)[0]

        similarity = 1 - float(model.distance(imagined, real))
        others = bank.embeddings if surroundings is None else surroundings.embeddings
        around = 1 - model.distance(imagined, others)

        both = torch.stack([imagined, real])
        near = model.retrieve(imagined[None], bank.embeddings, min(NEAREST, len(bank.views)))
        return Answer(
            pose=pose,
            action=action,
            imagined=imagined,
            pictures=None if model.decoder is None else model.decode(both).cpu(),
            real=self._as_drawn(seen.subject, look),
            real_pose=look.poses[0],
            similarity=similarity,
            beaten=float((around < similarity).float().mean()),
            nearest=near.indices[0].cpu(),
            nearest_similarities=1 - near.distances[0].cpu(),
            surroundings=None if surroundings is None else surroundings.best(around.cpu()),
            places=bank.place(model, both),
        )

    def _as_drawn(self, subject: Subject, look: Look) -> Tensor:
        """Return the view of a look, with the factors that the decoder fixes as it draws them."""
        if not self.fixed:
            return look.views[0]
        poses = fix(look.poses, self.space.actions.pose, self.fixed)
        return self.observer.look(subject, poses).views[0]

    def _see(self, subject: Subject, views: Tensor, poses: Tensor) -> Seen:
        """Return views [T, C, H, W] as they are seen from poses [T, P]."""
        model, method = self.model.model, self.model.method
        along = self.space.actions.along(poses)[None]
        images, actions = model.raw_sequences(views[None], along, more=-1)
        # The views are encoded once: as in `WorldModel.observe`, and for attention and the map.
        with torch.no_grad():
            features, embeddings = method.encoder(images), method.target(images[0])
            state = State(method.source(features), actions, embeddings[-1:])
            weights = method.attention(features, actions)

        shares = None if weights is None else weights.mean((0, 1, 2))[1:].float().cpu()
        places = self.bank.place(self.model, embeddings)
        return Seen(subject, views, poses, state, shares, places)
