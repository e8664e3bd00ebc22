"""The state of a training run: method, optimizer and online probe, and how they are kept."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from seqjepa import devices, distributed
from seqjepa.config import Experiment, OptimConfig
from seqjepa.methods.base import Method
from seqjepa.model import build_method, require_pixels
from seqjepa.runs import checkpoint
from seqjepa.runs.folder import RunFolder
from seqjepa.runs.tensors import optimizer_tensors, restore, restore_optimizer
from seqjepa.training.online_probe import OnlineProbe
from seqjepa.worlds.base import World


class Guard:
    """A copy of a method's buffers from before the step that is under way.

    BatchNorm's statistics take in NaN in the forward pass, before the loss shows it. With the copy
    none of it reaches a checkpoint.
    """

    def __init__(self, method: Method) -> None:
        self.method = method
        # Buffers of one type are copied together, by few kernels; of mixed ones each has its own.
        buffers = list(method.buffers())
        types = dict.fromkeys(buffer.dtype for buffer in buffers)
        self.buffers = [[each for each in buffers if each.dtype == dtype] for dtype in types]
        self.copies = [[buffer.clone() for buffer in group] for group in self.buffers]

    def remember(self) -> None:
        """Copy the buffers as they are now."""
        for copies, buffers in zip(self.copies, self.buffers, strict=True):
            torch._foreach_copy_(copies, buffers)

    def undo(self) -> None:
        """Put the buffers back as they were when they were last remembered."""
        for copies, buffers in zip(self.copies, self.buffers, strict=True):
            torch._foreach_copy_(buffers, copies)

    def diagnosis(self, step: int, loss: Tensor) -> str:
        """Return which quantity was not finite at a step, and what to do about it."""
        bad = [
            name
            for name, parameter in self.method.named_parameters()
            if parameter.grad is not None and not torch.isfinite(parameter.grad).all()
        ]
        what = f"the loss ({loss.item()})"
        if torch.isfinite(loss) and bad:
            what = f"the gradient of {bad[0]} and {len(bad) - 1} others"
        return (
            f"{what} is not finite at step {step}; the state after step {step - 1} is saved. "
            "Check the data for NaN, lower optim.lr or set train.precision to fp32"
        )


@dataclass(frozen=True)
class Learner:
    """Everything that a training run changes, and so everything that a checkpoint holds.

    Attributes:
        method: what is trained.
        optimizer: of the method.
        probe: the online probe, with an optimizer of its own.
        guard: undoes a step that is not finite.
        place: device and precision, see `devices.place`.
    """

    method: Method
    optimizer: torch.optim.Optimizer
    probe: OnlineProbe
    guard: Guard
    place: dict[str, str]

    @classmethod
    def build(cls, experiment: Experiment, world: World, device: torch.device) -> Self:
        """Build it all, initialised from the experiment's seed."""
        method = build_method(experiment, world.spec)
        probe = _build_probe(method, experiment, world)

        method.train().to(device)
        distributed.synchronize(method)
        return cls(
            method,
            build_optimizer(method, experiment.optim),
            probe.to(device),
            Guard(method),
            devices.place(experiment.train.precision, device),
        )

    def save(self, run: RunFolder | None, step: int, seconds: float) -> None:
        """Write a checkpoint, and wait until it is written.

        Args:
            run: the run's folder; None on a rank that does not write.
            step: optimizer steps done.
            seconds: of training so far, earlier goes included.

        Raises:
            DiskError: if it cannot be written.
        """
        if run is not None:
            self._write(run, step, seconds)
        distributed.barrier()

    def _write(self, run: RunFolder, step: int, seconds: float) -> None:
        tensors = {
            "method": self.method.state_dict(),
            "optimizer": optimizer_tensors(self.optimizer, self.method.named_parameters()),
            "probe": self.probe.state_dict(),
            "probe_optimizer": optimizer_tensors(
                self.probe.optimizer, self.probe.named_parameters()
            ),
        }
        # The log's length goes with the weights: resuming cuts off what was logged later.
        state = {
            "config_hash": run.config_hash,
            "metrics_position": run.metrics_position(),
            "seconds": seconds,
            "place": self.place,
        }
        checkpoint.save(run.checkpoints, step, tensors, state)

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Take over a checkpoint's state.

        That of an import holds the method alone: optimizer and probe start anew.

        Raises:
            CheckpointError: if it is of another architecture.
        """
        source = str(saved.path)
        if checkpoint.IMPORTED in saved.state:
            restore(self.method, saved.tensors["method"], source)
            return
        for module, weights, optimizer, moments in (
            (self.method, "method", self.optimizer, "optimizer"),
            (self.probe, "probe", self.probe.optimizer, "probe_optimizer"),
        ):
            restore(module, saved.tensors[weights], source)
            names = module.named_parameters()
            restore_optimizer(optimizer, names, saved.tensors[moments], source)


def build_optimizer(method: Method, config: OptimConfig) -> torch.optim.Optimizer:
    """Build AdamW, which decays matrices and convolutions: no bias, no norm, no [AGG] token."""
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)


def _build_probe(method: Method, experiment: Experiment, world: World) -> OnlineProbe:
    """Build the online probe, sized by what the method makes of one sequence."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.seed)
        num_views = experiment.train.num_views
        batch = next(world.loader("train", num_views=num_views, batch_size=1, seed=0))
        require_pixels(batch.views, f"views of world {world.spec.name!r}")

        # In eval mode, since a look at the shapes must not move BatchNorm's statistics.
        method.eval()
        with torch.no_grad():
            look = method.represent(batch.to(torch.device("cpu")))
        spec = world.spec
        return OnlineProbe(
            look.views.shape[-1],
            look.sequence.shape[-1],
            len(spec.classes),
            spec.actions.action_dim,
        )
