"""Training: one loop for every method and world."""

import signal
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from seqjepa import checkpoint, manifest
from seqjepa.config import Experiment, OptimConfig
from seqjepa.devices import find_device
from seqjepa.display import Display
from seqjepa.errors import CollapseError, Interrupted, NonFiniteError, Stopped
from seqjepa.methods.base import Method
from seqjepa.model import build_method
from seqjepa.online import COLLAPSED, OnlineProbe, feature_std, rankme
from seqjepa.run_folder import RunFolder
from seqjepa.schedules import warmup_cosine
from seqjepa.trackers import Tracker
from seqjepa.types import Representation
from seqjepa.worlds.base import World


@dataclass(frozen=True)
class Learner:
    """What a training run changes, and thus what a checkpoint holds."""

    method: Method
    optimizer: torch.optim.Optimizer
    probe: OnlineProbe

    @classmethod
    def build(cls, experiment: Experiment, world: World, device: torch.device) -> Self:
        """Freshly initialised from the experiment's seed."""
        spec = world.spec
        method = build_method(experiment, spec)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(experiment.seed)
            method.eval()  # one look at the shapes, which must not move BatchNorm
            one = next(world.loader("train", num_views=experiment.train.num_views, batch_size=1, seed=0)).to(torch.device("cpu"))
            with torch.no_grad():
                look = method.represent(one)
            probe = OnlineProbe(look.views.shape[-1], look.sequence.shape[-1], len(spec.classes), spec.actions.action_dim)
        method.train().to(device)
        return cls(method, build_optimizer(method, experiment.optim), probe.to(device))

    def save(self, run: RunFolder, step: int, seconds: float) -> None:
        """Write a checkpoint of everything that resuming needs."""
        tensors = {
            "method": self.method.state_dict(),
            "optimizer": checkpoint.optimizer_tensors(self.optimizer, self.method.named_parameters()),
            "probe": self.probe.state_dict(),
            "probe_optimizer": checkpoint.optimizer_tensors(self.probe.optimizer, self.probe.named_parameters()),
        }
        state = {"config_hash": run.config_hash, "metrics_position": run.metrics_position(), "seconds": seconds}
        checkpoint.save(run.checkpoints, step, tensors, state)

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Take over a checkpoint's state."""
        source = str(saved.path)
        checkpoint.restore(self.method, saved.tensors["method"], source)
        checkpoint.restore(self.probe, saved.tensors["probe"], source)
        checkpoint.restore_optimizer(self.optimizer, self.method.named_parameters(), saved.tensors["optimizer"], source)
        checkpoint.restore_optimizer(self.probe.optimizer, self.probe.named_parameters(), saved.tensors["probe_optimizer"], source)


def train(
    experiment: Experiment,
    run_dir: str | Path,
    *,
    resume: bool = False,
    fail_on_collapse: bool = False,
    device: str | torch.device | None = None,
    quiet: bool = False,
    trackers: Iterable[Callable[[Path], Tracker]] = (),
) -> Path:
    """Run an experiment, or what is left of it, and return its run folder.

    The folder holds `config.json`, `world.json`, `metrics.jsonl` and `checkpoints/`. With the same versions and number of threads, a run
    that was interrupted anywhere and resumed ends in the same bits as one that was not.

    Args:
        experiment: what to do.
        run_dir: where to write.
        resume: go on from the newest valid checkpoint; without one, start.
        fail_on_collapse: end the run when the representation collapses, instead of warning.
        device: default: CUDA where there is one, else the CPU.
        quiet: no progress on the terminal.
        trackers: functions of the run folder, each giving a function that takes every logged record.

    Raises:
        ConfigError, DataError: before anything is written.
        CheckpointError: if no checkpoint of the folder can be resumed from.
        NonFiniteError: at a NaN or infinity, with the state before it saved.
        CollapseError: if asked for.
        Stopped, Interrupted: at SIGTERM or SIGINT, with the state saved.
    """
    config = experiment.train
    device = find_device(device)
    RunFolder.check(Path(run_dir), experiment, resume=resume)
    if (outline := experiment.world.outline()) is not None:  # what does not fit is told before minutes of rendering
        build_method(experiment, outline)
        outline.check_views(config.num_views)
    world = experiment.world.build().to(device)
    world.check("train", config.num_views, config.batch_size)
    learner = Learner.build(experiment, world, device)
    method, optimizer, probe = learner.method, learner.optimizer, learner.probe
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=use_bf16(config.precision, device))
    guard = Guard(method)
    display = Display(config.steps, config.batch_size * config.num_views, quiet=quiet)

    with (
        RunFolder.open(Path(run_dir), experiment, resume=resume, warn=display.warn) as run,
        torch.random.fork_rng(),
        Signals() as signals,
        display,
    ):
        run.write_spec(world.spec)
        track = [tracker(run.path) for tracker in trackers]
        step, seconds_before, collapsed = 0, 0.0, 0
        saved = checkpoint.latest(run.checkpoints, display.warn) if resume else None
        if saved is not None:
            learner.restore(saved)
            step, seconds_before = saved.step, saved.state["seconds"]
            run.truncate_metrics(saved.state["metrics_position"])
            if changed := manifest.changes(saved.environment):
                display.warn(f"resuming is not bit-exact: {', '.join(changed)}")
        display.start_at(step)
        batches = world.loader("train", num_views=config.num_views, batch_size=config.batch_size, seed=experiment.seed, start_step=step)

        while step < config.steps:
            guard.remember()
            torch.manual_seed(experiment.seed << 32 | step)  # dropout depends on the step, not on what came before it
            lr = set_lr(optimizer, experiment.optim, step, config.steps)
            optimizer.zero_grad(set_to_none=True)
            outputs = []
            for micro in next(batches).to(device).chunk(config.accumulate):
                with autocast:
                    output = method(micro)
                (output.loss / config.accumulate).backward()
                outputs.append((micro, output))
            loss = torch.stack([output.loss.detach() for _, output in outputs]).mean()
            grad_norm = torch.nn.utils.get_total_norm([p.grad for p in method.parameters() if p.grad is not None])
            if not torch.isfinite(loss + grad_norm):
                guard.restore()
                learner.save(run, step, seconds_before + display.seconds)
                raise NonFiniteError(guard.diagnosis(step + 1, loss))
            optimizer.step()
            method.after_step((step + 1) / config.steps)
            for micro, output in outputs:
                probe.step(output.representation, micro, output.loss)
            step += 1
            display.update(step)

            seen = outputs[-1][1].representation
            if step % min(config.log_every, 100) == 0:
                message = collapse_message(seen)
                collapsed = collapsed + 1 if message else 0
                if collapsed == 2:  # in a row: one odd batch is no collapse
                    display.warn(f"step {step}: {message}")
                    if fail_on_collapse:
                        learner.save(run, step, seconds_before + display.seconds)
                        raise CollapseError(f"step {step}: {message}")
            if step % config.log_every == 0 or step == config.steps:
                terms = {name: value.item() for name, value in outputs[-1][1].terms.items()}
                record: dict[str, Any] = {
                    "step": step,
                    "views_seen": step * config.batch_size * config.num_views,
                    "lr": lr,
                    "grad_norm": grad_norm.item(),
                }
                record |= probe.figures() | terms | health(seen)
                record["time"] = {"seconds": seconds_before + display.seconds, "views_per_second": display.views_per_second}
                run.log(record)
                display.show(record)
                for tell in track:
                    tell(record)
            stop = signals.received  # read once: a signal that comes while saving stops the next step, which then saves
            if step % config.checkpoint_every == 0 or step == config.steps or stop is not None:
                learner.save(run, step, seconds_before + display.seconds)
            if stop is not None and step < config.steps:
                kind = Stopped if stop == signal.SIGTERM else Interrupted
                raise kind(f"stopped and saved at step {step} in {run.path}: go on with --resume")
    return run.path


def build_optimizer(method: Method, config: OptimConfig) -> torch.optim.Optimizer:
    """AdamW that decays weights of matrices and convolutions and nothing else: no bias, no norm, no [AGG] token."""
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)


def set_lr(optimizer: torch.optim.Optimizer, config: OptimConfig, step: int, total: int) -> float:
    """Set and return the learning rate of a step."""
    lr = warmup_cosine(step, total=total, warmup=round(config.warmup * total), start=config.lr_start, peak=config.lr, end=config.lr_end)
    for group in optimizer.param_groups:
        group["lr"] = lr
    return lr


def use_bf16(precision: str, device: torch.device) -> bool:
    """Whether to autocast: `auto` means where the hardware multiplies bf16 itself."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def health(representation: Representation) -> dict[str, float]:
    """The collapse figures of both representations, for the log."""
    parts = {"z": representation.views, "agg": representation.sequence}
    stds = {f"{name}_std": feature_std(features).item() for name, features in parts.items()}
    return stds | {f"{name}_rankme": rankme(features).item() for name, features in parts.items()}


def collapse_message(representation: Representation) -> str | None:
    """What to tell a user whose representation has collapsed; None while it has not."""
    for name, features in (("views", representation.views), ("sequences", representation.sequence)):
        if (spread := feature_std(features).item()) < COLLAPSED:
            return (
                f"the representation of {name} has collapsed: std of normalised features {spread:.1e} (healthy: above 0.1). "
                "Try a lower optim.lr or a longer optim.warmup; with an EMA target, a higher method.ema_momentum"
            )
    return None


class Guard:
    """Undoes what a forward pass with NaN does to BatchNorm statistics, so that they reach no checkpoint."""

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
        bad = [name for name, p in self.method.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
        what = f"the gradient of {bad[0]} and {len(bad) - 1} others" if torch.isfinite(loss) and bad else f"the loss ({loss.item()})"
        return (
            f"{what} is not finite at step {step}; the state after step {step - 1} is saved. "
            "Check the data for NaN, lower optim.lr or set train.precision to fp32"
        )


class Signals:
    """SIGTERM and SIGINT asked for a stop at the step's end; a second SIGINT stops at once."""

    def __init__(self) -> None:
        self.received: int | None = None

    def __enter__(self) -> Self:
        ours = (
            (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
        )  # elsewhere Python allows none
        self.before = {number: signal.signal(number, self._receive) for number in ours}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            sys.exit(Interrupted.exit_code)
        self.received = number
