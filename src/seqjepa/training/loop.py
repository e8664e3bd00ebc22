"""Training: one loop for every method and world."""

import signal
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import torch

from seqjepa import devices, distributed
from seqjepa.config import Experiment, OptimConfig, to_json
from seqjepa.devices import device_of, environment, fork_rng, use_bf16
from seqjepa.display import Display
from seqjepa.distributed import all_reduce_mean, rank, require_same, world_size
from seqjepa.errors import CollapseError, Interrupted, NonFiniteError, Stopped
from seqjepa.evaluation.features import Sampling, require_memory
from seqjepa.methods.base import Method
from seqjepa.model import build_method
from seqjepa.runs import checkpoint, manifest
from seqjepa.runs.folder import CHECKPOINTS, RunFolder
from seqjepa.schedules import warmup_cosine
from seqjepa.training.collapse import collapse_message, health
from seqjepa.training.state import Guard, Learner
from seqjepa.training.trackers import Tracker, tell
from seqjepa.worlds.base import World


def train(
    experiment: Experiment,
    run_dir: str | Path,
    *,
    resume: bool = False,
    fail_on_collapse: bool = False,
    device: str | torch.device | None = None,
    quiet: bool = False,
    trackers: Iterable[Callable[[Path], Tracker]] = (),
    allow_changed_data: bool = False,
    rank_timeout: float = 600.0,
) -> Path:
    """Run an experiment, or what is left of it, and return its run folder.

    The folder holds `config.json`, `world.json`, `metrics.jsonl` and `checkpoints/`. With the same
    versions and number of threads, a run that was interrupted anywhere and resumed ends in the same
    bits as one that was not. Under torchrun the ranks share each batch; the first alone writes, and
    all must see the run folder and the data.

    Args:
        experiment: what to do.
        run_dir: where to write.
        resume: go on from the newest valid checkpoint; without one, start.
        fail_on_collapse: end the run when the representation collapses, instead of warning.
        device: default: CUDA where there is one, else the CPU.
        quiet: no progress on the terminal.
        trackers: functions of the run folder, each giving a function that takes every logged
            record.
        allow_changed_data: go on with other data than the run was begun with, with a warning,
            instead of refusing them.
        rank_timeout: seconds that a rank may keep the others waiting.

    Raises:
        ConfigError, DataError: before anything is written.
        CheckpointError: if no checkpoint of the folder can be resumed from.
        NonFiniteError: at a NaN or infinity, with the state before it saved.
        CollapseError: if asked for.
        Stopped, Interrupted: at SIGTERM or SIGINT, with the state saved.
        DistributedError: if another rank has ended or stalled.
    """
    with distributed.process_group(rank_timeout):
        world = prepare(experiment, Path(run_dir), resume=resume, device=devices.own_device(device))
        _train(
            experiment,
            world,
            Path(run_dir),
            resume,
            fail_on_collapse,
            quiet,
            trackers,
            allow_changed_data,
        )
    return Path(run_dir)


def prepare(experiment: Experiment, run_dir: Path, *, resume: bool, device: torch.device) -> World:
    """The world, once everything that can be refused before anything is written has been looked at;
    the cheap things first."""
    config = experiment.train
    require_same("configuration", to_json(experiment))
    distributed.shard_indices(config.batch_size, config.accumulate)
    RunFolder.check(run_dir, experiment, resume=resume)
    if (
        outline := experiment.world.outline()
    ) is not None:  # what does not fit is told before minutes of rendering
        build_method(experiment, outline)
        outline.require_views(config.num_views)
    world = experiment.world.build().to(device)
    world.require("train", config.num_views, config.batch_size)
    require_same("data", world.spec.data)
    return world


def _train(
    experiment: Experiment,
    world: World,
    run_dir: Path,
    resume: bool,
    fail_on_collapse: bool,
    quiet: bool,
    trackers: Iterable[Callable[[Path], Tracker]],
    allow_changed_data: bool,
) -> None:
    """The loop. Under several ranks each runs it, on its share of every batch; the first alone has
    the run folder."""
    config, device = experiment.train, world.device
    learner = Learner.build(experiment, world, device)
    method, optimizer, probe = learner.method, learner.optimizer, learner.probe
    _check_evaluation(experiment, world, method)
    autocast = torch.autocast(
        device.type, torch.bfloat16, enabled=use_bf16(config.precision, device)
    )
    guard = Guard(method)
    display = Display(
        config.steps,
        config.batch_size * config.num_views,
        quiet=quiet,
        silent=not distributed.is_main_process(),
    )
    folder: AbstractContextManager[RunFolder | None] = nullcontext()
    if distributed.is_main_process():
        folder = RunFolder.open(run_dir, experiment, resume=resume, warn=display.warn)

    with folder as run, fork_rng(device), Signals() as signals, display:
        if run is not None:
            run.write_spec(world.spec, allow_changed=allow_changed_data)
        track = [tracker(run.path) for tracker in trackers if run is not None]
        step, seconds_before, collapsed = 0, 0.0, 0
        distributed.barrier()  # until the folder is in order
        saved = checkpoint.latest(run_dir / CHECKPOINTS, display.warn) if resume else None
        if saved is not None:
            learner.restore(saved)
            step, seconds_before = saved.step, saved.state["seconds"]
            if run is not None:
                run.truncate_metrics(saved.state["metrics_position"])
            if changed := manifest.changes(saved.environment, environment(learner.place)):
                display.warn(f"resuming is not bit-exact: {', '.join(changed)}")
        require_same("checkpoint", {"step": step})
        display.start_at(step)
        share = distributed.shard_indices(config.batch_size, config.accumulate)
        batches = world.loader(
            "train",
            num_views=config.num_views,
            batch_size=config.batch_size,
            seed=experiment.seed,
            start_step=step,
            places=share,
        )

        while step < config.steps:
            guard.remember()
            # Dropout depends on step and rank, not on what came before.
            torch.manual_seed(experiment.seed << 32 | step * world_size() + rank())
            lr = set_lr(optimizer, experiment.optim, step, config.steps)
            optimizer.zero_grad(set_to_none=True)
            micros = next(batches).to(device).chunk(config.accumulate)
            outputs = []
            for micro in micros:
                with autocast:
                    output = method(micro)
                (output.loss / config.accumulate).backward()
                outputs.append(output)
            distributed.average_gradients(method)
            losses = all_reduce_mean(torch.stack([output.loss.detach() for output in outputs]))
            loss = losses.mean()
            grad_norm = torch.nn.utils.get_total_norm(
                [p.grad for p in method.parameters() if p.grad is not None]
            )
            if not torch.isfinite(loss + grad_norm):
                guard.restore()
                learner.save(run, step, seconds_before + display.seconds)
                raise NonFiniteError(guard.diagnosis(step + 1, loss))
            optimizer.step()
            method.after_step((step + 1) / config.steps)
            for micro, output, part in zip(micros, outputs, losses, strict=True):
                probe.step(output.representation, micro, part)
            step += 1
            display.update(step)

            seen = outputs[-1].representation
            if step % min(config.log_every, 100) == 0:
                message = collapse_message(seen)
                collapsed = collapsed + 1 if message else 0
                if collapsed == 2:  # in a row: one odd batch is no collapse
                    display.warn(f"step {step}: {message}")
                    if fail_on_collapse:
                        learner.save(run, step, seconds_before + display.seconds)
                        raise CollapseError(f"step {step}: {message}")
            if step % config.log_every == 0 or step == config.steps:
                terms = {
                    name: all_reduce_mean(torch.stack([output.terms[name] for output in outputs]))
                    .mean()
                    .item()
                    for name in outputs[-1].terms
                }
                record: dict[str, Any] = {
                    "step": step,
                    "views_seen": step * config.batch_size * config.num_views,
                    "lr": lr,
                    "grad_norm": grad_norm.item(),
                }
                record |= probe.figures() | terms | health(seen)
                record["time"] = {
                    "seconds": seconds_before + display.seconds,
                    "views_per_second": display.views_per_second,
                }
                if run is not None:
                    run.log(record)
                display.show(record)
                track = tell(track, record, display.warn)
            stop = distributed.all_reduce_max(
                signals.received
            )  # read once: a signal that comes while saving stops the next step, which then saves
            if step % config.checkpoint_every == 0 or step == config.steps or stop is not None:
                learner.save(run, step, seconds_before + display.seconds)
            if stop is not None and step < config.steps:
                kind = Stopped if stop == signal.SIGTERM else Interrupted
                raise kind(f"stopped and saved at step {step} in {run_dir}: go on with --resume")


def _check_evaluation(experiment: Experiment, world: World, method: Method) -> None:
    """Raise a ConfigError if this machine could not evaluate what is to be trained on it."""
    config, split = experiment.evaluate, world.spec.probe_split
    draws, most = config.encoded(world.spec.ordered)
    sampling = Sampling(
        num_views=min(most, world.views(split) or most),
        seed=experiment.seed,
        draws=draws,
        objects=config.objects,
    )
    require_memory(world, split, sampling, method.encoder.dim, device_of(method))


def set_lr(optimizer: torch.optim.Optimizer, config: OptimConfig, step: int, total: int) -> float:
    """Set and return the learning rate of a step."""
    lr = warmup_cosine(
        step,
        total=total,
        warmup=round(config.warmup * total),
        start=config.lr_start,
        peak=config.lr,
        end=config.lr_end,
    )
    for group in optimizer.param_groups:
        group["lr"] = lr
    return lr


class Signals:
    """SIGTERM and SIGINT asked for a stop at the step's end; a second SIGINT stops at once."""

    def __init__(self) -> None:
        self.received: int | None = None

    def __enter__(self) -> Self:
        ours = (
            (signal.SIGTERM, signal.SIGINT)
            if threading.current_thread() is threading.main_thread()
            else ()
        )  # elsewhere Python allows none
        self.before = {number: signal.signal(number, self._receive) for number in ours}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            sys.exit(Interrupted.exit_code)
        self.received = number
