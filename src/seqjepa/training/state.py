"""What a training run changes: method, optimizer and online probe, and how they are kept."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from seqjepa import devices, distributed
from seqjepa.config import Experiment, OptimConfig
from seqjepa.methods.base import Method
from seqjepa.model import build_method
from seqjepa.runs import checkpoint
from seqjepa.runs.folder import RunFolder
from seqjepa.training.online_probe import OnlineProbe
from seqjepa.worlds.base import World


@dataclass(frozen=True)
class Learner:
    """What a training run changes, and thus what a checkpoint holds; and where, see
    `devices.place`."""

    method: Method
    optimizer: torch.optim.Optimizer
    probe: OnlineProbe
    place: dict[str, str]

    @classmethod
    def build(cls, experiment: Experiment, world: World, device: torch.device) -> Self:
        """Freshly initialised from the experiment's seed."""
        spec = world.spec
        method = build_method(experiment, spec)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(experiment.seed)
            method.eval()  # one look at the shapes, which must not move BatchNorm
            one = next(
                world.loader("train", num_views=experiment.train.num_views, batch_size=1, seed=0)
            ).to(torch.device("cpu"))
            with torch.no_grad():
                look = method.represent(one)
            probe = OnlineProbe(
                look.views.shape[-1],
                look.sequence.shape[-1],
                len(spec.classes),
                spec.actions.action_dim,
            )
        method.train().to(device)
        distributed.synchronize(method)
        place = devices.place(experiment.train.precision, device)
        return cls(method, build_optimizer(method, experiment.optim), probe.to(device), place)

    def save(self, run: RunFolder | None, step: int, seconds: float) -> None:
        """Write a checkpoint of everything that resuming needs; a rank without the run folder waits
        until it is written."""
        if run is not None:
            self._write(run, step, seconds)
        distributed.barrier()

    def _write(self, run: RunFolder, step: int, seconds: float) -> None:
        tensors = {
            "method": self.method.state_dict(),
            "optimizer": checkpoint.optimizer_tensors(
                self.optimizer, self.method.named_parameters()
            ),
            "probe": self.probe.state_dict(),
            "probe_optimizer": checkpoint.optimizer_tensors(
                self.probe.optimizer, self.probe.named_parameters()
            ),
        }
        state = {
            "config_hash": run.config_hash,
            "metrics_position": run.metrics_position(),
            "seconds": seconds,
            "place": self.place,
        }
        checkpoint.save(run.checkpoints, step, tensors, state)

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Take over a checkpoint's state."""
        source = str(saved.path)
        checkpoint.restore(self.method, saved.tensors["method"], source)
        checkpoint.restore(self.probe, saved.tensors["probe"], source)
        checkpoint.restore_optimizer(
            self.optimizer, self.method.named_parameters(), saved.tensors["optimizer"], source
        )
        checkpoint.restore_optimizer(
            self.probe.optimizer,
            self.probe.named_parameters(),
            saved.tensors["probe_optimizer"],
            source,
        )


def build_optimizer(method: Method, config: OptimConfig) -> torch.optim.Optimizer:
    """AdamW that decays weights of matrices and convolutions and nothing else: no bias, no norm, no
    [AGG] token."""
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)


class Guard:
    """Undoes what a forward pass with NaN does to BatchNorm statistics, so that they reach no
    checkpoint."""

    def __init__(self, method: Method) -> None:
        self.method = method
        self.buffers = list(method.buffers())
        self.copies = [buffer.clone() for buffer in self.buffers]

    def remember(self) -> None:
        """Keep the buffers as they are now."""
        if self.buffers:
            torch._foreach_copy_(self.copies, self.buffers)

    def restore(self) -> None:
        """Put them back."""
        if self.buffers:
            torch._foreach_copy_(self.buffers, self.copies)

    def diagnosis(self, step: int, loss: Tensor) -> str:
        """What was not finite, and what to do."""
        bad = [
            name
            for name, p in self.method.named_parameters()
            if p.grad is not None and not torch.isfinite(p.grad).all()
        ]
        what = (
            f"the gradient of {bad[0]} and {len(bad) - 1} others"
            if torch.isfinite(loss) and bad
            else f"the loss ({loss.item()})"
        )
        return (
            f"{what} is not finite at step {step}; the state after step {step - 1} is saved. "
            "Check the data for NaN, lower optim.lr or set train.precision to fp32"
        )
