"""Surroundings: real views from all around an object, or from all over a photo."""

from dataclasses import dataclass

import torch
from torch import Tensor

from seqjepa.explore.bank import embed
from seqjepa.explore.poses import looking_from, sphere
from seqjepa.explore.views import Observer, Subject
from seqjepa.world_model.model import WorldModel

DIRECTIONS, ROLLS = 300, 12  # on the globe
SIDE = 16  # places along a photo's side


@dataclass(frozen=True)
class Surroundings:
    """Places that an object, or a photo, is looked at from, and real views from there.

    Attributes:
        places: [M, 3], directions on a globe, or [M, 2], rows and columns over a photo's side.
        owners: [K], the place of each view. Some places may have none, others several: pictures
            that are rolled.
        embeddings: [K, F], of the views.
    """

    places: Tensor
    owners: Tensor
    embeddings: Tensor

    def best(self, similarities: Tensor) -> Tensor:
        """Return the highest of the views' similarities [K] at each place, [M]; NaN without any."""
        nothing = similarities.new_full((len(self.places),), -torch.inf)
        best = nothing.scatter_reduce(0, self.owners, similarities, "amax")
        return best.where(best > -torch.inf, torch.nan)


def survey(
    model: WorldModel, observer: Observer, subject: Subject, pose: Tensor, known: Tensor
) -> Surroundings | None:
    """Return the surroundings of a subject; None if poses are no rotations and no fixations.

    Args:
        model: embeds the views.
        observer: looks at them.
        subject: is looked at.
        pose: [P], whose other factors the views share.
        known: [N, P], poses of the world. Rotations beyond their range are left out: a model that
            never saw such views cannot know them.
    """
    space = observer.space
    if space.fixations:
        line = (torch.arange(SIDE) + 0.5) / SIDE
        places = torch.cartesian_prod(line, line)
        views = observer.look(subject, places).views
        return Surroundings(places, torch.arange(len(places)), embed(model, views))
    if space.rotation is None:
        return None

    places = sphere(DIRECTIONS)
    if observer.renders(subject):
        poses = space.turned(pose, looking_from(places, ROLLS)).flatten(0, 1)
        low, high = (end[space.turning] for end in known.aminmax(dim=0))
        turning = poses[:, space.turning]
        kept = ((turning >= low) & (turning <= high)).all(1).nonzero()[:, 0]
        views = observer.look(subject, poses[kept]).views
        return Surroundings(places, kept // ROLLS, embed(model, views))

    # A direction stands for the view that there is nearest to it.
    nearest = (places @ space.directions(subject.poses).T).argmax(1)
    return Surroundings(places, torch.arange(len(places)), embed(model, subject.views)[nearest])
