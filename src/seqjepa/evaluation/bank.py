"""Banks of views: where a method's predictions start, and what they are compared with."""

from dataclasses import dataclass

from torch import Tensor

from seqjepa.evaluation.features import encode_parts
from seqjepa.evaluation.sampling import Sampling
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
        views: largest number of views of each object.

    Raises:
        NotApplicableError: if the method has no predictor, or the world no actions.
    """
    method, world, split = subject.method, subject.world, subject.split
    if not method.predicts:
        raise NotApplicableError(f"{type(method).__name__} has no predictor of views")
    if not world.spec.actions.groups:
        raise NotApplicableError(f"the world {world.spec.name!r} has no actions")

    def embed(images: Tensor) -> tuple[Tensor, Tensor]:
        with subject.inference():
            return method.source(method.encoder(images)), method.target(images)

    available = world.at_most(views, split)
    sampling = Sampling(num_views=available, seed=subject.experiment.seed)
    sources, targets = encode_parts(embed, world, split, sampling, subject.device)
    return Bank(sources.views, targets.views, sources.poses, sources.labels)
