"""What can be told of a representation while it is learned: collapse figures and probes. None of it
touches the method."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqjepa.distributed import gather
from seqjepa.types import Representation, SequenceBatch


class OnlineProbe(nn.Module):
    """Small probes trained on detached features beside the method: class from one view and from the
    sequence, action from two views.

    Its figures are those of training batches before it learns from them, averaged since the last
    `figures()`; its state is part of a checkpoint. Under several ranks each learns from the samples
    of all, so that it is the same one on every rank.

    Args:
        features: D, of one view.
        sequence: S, of the whole.
        classes: number of classes; 0 for none.
        action_dim: A; 0 for none.
    """

    sums: Tensor

    def __init__(self, features: int, sequence: int, classes: int, action_dim: int) -> None:
        super().__init__()
        self.class_view = nn.Sequential(
            nn.BatchNorm1d(features, affine=False), nn.Linear(features, max(classes, 1))
        )
        self.class_sequence = nn.Sequential(
            nn.BatchNorm1d(sequence, affine=False), nn.Linear(sequence, max(classes, 1))
        )
        self.action = nn.Sequential(
            nn.BatchNorm1d(2 * features, affine=False),
            nn.Linear(2 * features, 256),
            nn.ReLU(),
            nn.Linear(256, max(action_dim, 1)),
        )
        self.classes, self.action_dim = classes, action_dim
        self.register_buffer("sums", torch.zeros(6 + 3 * action_dim, dtype=torch.float64))
        self.optimizer = torch.optim.Adam(self.parameters(), lr=1e-3, fused=True)

    @torch.enable_grad()
    def step(self, representation: Representation, batch: SequenceBatch, loss: Tensor) -> None:
        """Measure this batch, then learn from it.

        Args:
            representation: detached, in any precision.
            batch: that it was made from.
            loss: the method's, to be averaged too.
        """
        views, sequence = (
            gather(representation.views[:, :2].float()),
            gather(representation.sequence.float()),
        )
        labels = gather(batch.labels)
        known = labels >= 0
        class_view, class_sequence = self.class_view(views[:, 0]), self.class_sequence(sequence)
        right = [
            ((guess.argmax(-1) == labels) & known).sum() for guess in (class_view, class_sequence)
        ]
        moments = [
            loss.detach(),
            loss.new_ones(()),
            *right,
            known.sum(),
            known.new_tensor(len(labels), dtype=torch.int64),
        ]
        total = class_view.new_zeros(())
        if self.classes:
            total = total + sum(
                F.cross_entropy(guess, labels, ignore_index=-1, reduction="sum")
                for guess in (class_view, class_sequence)
            )
            total = total / known.sum().clamp_min(1)
        if self.action_dim and views.shape[1] > 1:
            truth = gather(batch.actions[:, 0])
            error = (self.action(views.flatten(1)) - truth).square()
            total = total + error.mean()
            moments += [*error.detach().sum(0), *truth.sum(0), *truth.square().sum(0)]
        self.sums[: len(moments)] += torch.stack([moment.double() for moment in moments])
        if total.requires_grad:
            self.optimizer.zero_grad()
            total.backward()
            self.optimizer.step()

    def figures(self) -> dict[str, float]:
        """Means since the last call: `loss`, `online/class_view` and `online/class_sequence`
        (accuracy), `online/action_r2`."""
        loss, steps, right_view, right_sequence, known, count, *moments = self.sums.tolist()
        figures = {"loss": loss / max(steps, 1)}
        if self.classes and known:
            figures |= {
                "online/class_view": right_view / known,
                "online/class_sequence": right_sequence / known,
            }
        if self.action_dim and count:
            error, total, squares = (
                moments[i * self.action_dim : (i + 1) * self.action_dim] for i in range(3)
            )
            spread = [square - sums**2 / count for square, sums in zip(squares, total, strict=True)]
            scores = [1 - e / s for e, s in zip(error, spread, strict=True) if s > 0]
            figures |= {"online/action_r2": sum(scores) / len(scores)} if scores else {}
        self.sums.zero_()
        return figures
