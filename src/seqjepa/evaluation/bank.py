"""Banks of views: where a method's predictions start, and what they are compared with."""

from dataclasses import dataclass

import torch
from torch import Tensor

from seqjepa.evaluation.features import Sampling, encode_split, frozen
from seqjepa.evaluation.subject import NotApplicableError, Subject

VIEWS = 50  # of each object, at most: as many as 3DIEBench has


@dataclass(frozen=True)
class Bank:
    """Views of all objects of a split.

    Attributes:
        sources: [N, V, E], see `Method.source`.
        targets: [N, V, F], see `Method.target`.
        poses: [N, V, P].
        labels: [N].
    """

    sources: Tensor
    targets: Tensor
    poses: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def read_bank(subject: Subject, views: int = VIEWS) -> Bank:
    """Embed views of every object of the subject's split.

    Args:
        subject: whose method predicts.
        views: of each object, as far as it has so many.

    Raises:
        NotApplicableError: if the method has no predictor, or the world no actions.
    """
    method, world, split = subject.method, subject.world, subject.split
    if not method.predicts:
        raise NotApplicableError(f"{type(method).__name__} has no predictor of views")
    if not world.spec.actions.groups:
        raise NotApplicableError(f"the world {world.spec.name!r} has no actions")

    # Both embeddings of a view in one row, so that each view is drawn once.
    widths: list[int] = []

    def embed(images: Tensor) -> Tensor:
        on = torch.autocast(subject.device.type, torch.bfloat16, enabled=subject.bf16)
        with torch.inference_mode(), on:
            both = [method.source(method.encoder(images)), method.target(images)]
        widths[:] = [part.shape[-1] for part in both]
        return torch.cat(both, -1)

    available = min(views, world.views(split) or views)
    sampling = Sampling(num_views=available, seed=subject.experiment.seed)
    with frozen(method):
        shape = world.spec.image_shape
        embed(torch.zeros(1, *shape, dtype=torch.uint8, device=subject.device))
        table = encode_split(embed, sum(widths), world, split, sampling, subject.device)
    sources, targets = table.views.split(widths, -1)
    return Bank(sources, targets, table.poses, table.labels)
