"""Real views of held-out objects, embedded and mapped: what imagination is compared with."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seqjepa.keys import draw_key
from seqjepa.report.maps import umap, why_not
from seqjepa.world_model.model import WorldModel
from seqjepa.worlds.base import World

OBJECTS, VIEWS = 128, 8  # at most; views of each
IMAGES = 256  # in a pass of the model
MAPPED = 8  # neighbours that say where on the map an embedding is


@dataclass(frozen=True)
class Bank:
    """Views of held-out objects.

    Attributes:
        views: [N, C, H, W].
        poses: [N, P].
        labels: [N], -1 where unknown.
        objects: [N], places in the split.
        embeddings: [N, F].
        map: [N, 2], of the embeddings, in 0..1; None if they cannot be mapped.
    """

    views: Tensor
    poses: Tensor
    labels: Tensor
    objects: Tensor
    embeddings: Tensor
    map: Tensor | None

    def place(self, model: WorldModel, embeddings: Tensor) -> Tensor | None:
        """Return the places [n, 2] of embeddings [n, F] on the map, amid their nearest neighbours.

        A neighbour counts the more the nearer it is, as where UMAP begins with a new point.
        """
        if self.map is None:
            return None
        found = model.retrieve(embeddings, self.embeddings, min(MAPPED, len(self.views)))
        away = found.distances - found.distances[:, :1]
        weights = torch.softmax(-away / away.mean(1, keepdim=True).clamp_min(1e-9), 1).cpu()
        return (weights[..., None] * self.map[found.indices.cpu()]).sum(1)


def read_bank(model: WorldModel, world: World, split: str) -> Bank:
    """Return views of objects that are evenly spaced over a split."""
    count = min(OBJECTS, world.size(split))
    index = np.linspace(0, world.size(split) - 1, count).astype(np.int64)
    batch = world.sequences(split, index, world.at_most(VIEWS, split), draw_key(0, split, 0, index))
    views, length = batch.views.flatten(0, 1).cpu(), batch.views.shape[1]
    embeddings = embed(model, views)
    return Bank(
        views,
        batch.poses.flatten(0, 1).cpu(),
        batch.labels.cpu().repeat_interleave(length),
        torch.from_numpy(index).repeat_interleave(length),
        embeddings,
        _map(embeddings),
    )


def embed(model: WorldModel, views: Tensor) -> Tensor:
    """Return the embeddings [N, F] of views [N, C, H, W]."""
    return torch.cat([model.target(part) for part in views.split(IMAGES)])


def _map(embeddings: Tensor) -> Tensor | None:
    features = embeddings.cpu().double().numpy()
    if why_not(features):
        return None
    points = torch.from_numpy(umap(features)).float()
    low, high = points.aminmax(dim=0)
    return (points - low) / (high - low).clamp_min(1e-9)
