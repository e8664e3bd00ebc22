"""Online probes: what can be read from a representation while it is learned."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqjepa.distributed import gather
from seqjepa.types import Representation, SequenceBatch

# The first sums of `OnlineProbe.sums`, in their order; behind them stand those of the actions.
SUMS = ("loss", "batches", "right_view", "right_sequence", "labelled", "sequences")


class OnlineProbe(nn.Module):
    """Small probes trained on detached features, which leave the method untouched.

    They predict the class from one view and from the sequence, and the action from two views. Their
    figures are those of training batches before they learn from them, averaged since the last
    `figures()`. Under several ranks each rank learns from the samples of all, so that the probes
    are the same on every rank.

    Args:
        features: D, of one view.
        sequence: S, of the sequence.
        classes: number of classes; 0 for none.
        action_dim: A; 0 for none.

    Attributes:
        sums: [6 + 3 A] float64, behind the figures: those of SUMS, then over the actions A squared
            errors, A values and A squared values. They are part of the checkpoint, so that the log
            of a resumed run equals the uninterrupted one's.
    """

    sums: Tensor

    def __init__(self, features: int, sequence: int, classes: int, action_dim: int) -> None:
        super().__init__()
        # BatchNorm without parameters puts features of any scale within reach of one rate.
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
        sums = torch.zeros(len(SUMS) + 3 * action_dim, dtype=torch.float64)
        self.register_buffer("sums", sums)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=1e-3, fused=True)

    @torch.enable_grad()
    def step(self, representation: Representation, batch: SequenceBatch, loss: Tensor) -> None:
        """Measure this batch, then learn from it.

        Args:
            representation: detached, in any precision.
            batch: the sequences that it represents.
            loss: the method's, averaged for the log as well.
        """
        views = gather(representation.views[:, :2].float())
        sequence = gather(representation.sequence.float())
        labels = gather(batch.labels)
        labelled = labels >= 0

        # Forward passes. They update BatchNorm's statistics, so they run for worlds without
        # classes too.
        logits = self.class_view(views[:, 0]), self.class_sequence(sequence)
        right = [((guess.argmax(-1) == labels) & labelled).sum() for guess in logits]
        sums = {
            "loss": loss.detach(),
            "batches": loss.new_ones(()),
            "right_view": right[0],
            "right_sequence": right[1],
            "labelled": labelled.sum(),
            "sequences": labels.new_full((), len(labels)),
        }
        of_actions: list[Tensor] = []
        total = logits[0].new_zeros(())

        # Cross-entropy over labelled sequences, then the squared error of the first action.
        if self.classes:
            total = total + sum(
                F.cross_entropy(guess, labels, ignore_index=-1, reduction="sum") for guess in logits
            )
            total = total / labelled.sum().clamp_min(1)
        if self.action_dim and views.shape[1] > 1:
            truth = gather(batch.actions[:, 0])
            error = (self.action(views.flatten(1)) - truth).square()
            total = total + error.mean()
            of_actions = [*error.detach().sum(0), *truth.sum(0), *truth.square().sum(0)]

        added = torch.stack([value.double() for value in (*(sums[n] for n in SUMS), *of_actions)])
        self.sums[: len(added)] += added
        if total.requires_grad:
            self.optimizer.zero_grad()
            total.backward()
            self.optimizer.step()

    def figures(self) -> dict[str, float]:
        """Return the means since the last call, and begin anew.

        They are `loss`, `online/class_view` and `online/class_sequence` (accuracy), and
        `online/action_r2`, averaged over the action's dimensions that vary.
        """
        values = self.sums.tolist()
        sums = dict(zip(SUMS, values, strict=False))
        self.sums.zero_()

        figures = {"loss": sums["loss"] / max(sums["batches"], 1)}
        if self.classes and sums["labelled"]:
            figures["online/class_view"] = sums["right_view"] / sums["labelled"]
            figures["online/class_sequence"] = sums["right_sequence"] / sums["labelled"]
        if self.action_dim and sums["sequences"]:
            scores = self._action_r2(values[len(SUMS) :], sums["sequences"])
            if scores:
                figures["online/action_r2"] = sum(scores) / len(scores)
        return figures

    def _action_r2(self, sums: list[float], count: float) -> list[float]:
        """Return R2 of each dimension of the action that varies, from sums over `count` actions."""
        width = self.action_dim
        errors, totals, squares = sums[:width], sums[width : 2 * width], sums[2 * width :]

        # Sum of squared deviations from the mean: sum x^2 - (sum x)^2 / n.
        spreads = [square - total**2 / count for square, total in zip(squares, totals, strict=True)]
        return [
            1 - error / spread for error, spread in zip(errors, spreads, strict=True) if spread > 0
        ]
