"""Training: one loop for every method and world."""

import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from seqjepa import devices, distributed
from seqjepa.checks import instance
from seqjepa.config import Experiment, OptimConfig, TrainConfig, from_json, to_json
from seqjepa.devices import device_of, environment, fork_rng, use_bf16
from seqjepa.display import Display, silenced
from seqjepa.distributed import all_reduce_mean, rank, require_same
from seqjepa.errors import CollapseError, ConfigError, Interrupted, NonFiniteError, Stopped
from seqjepa.evaluation.features import require_memory
from seqjepa.evaluation.sampling import Sampling
from seqjepa.keys import step_seed
from seqjepa.methods.base import Method
from seqjepa.model import require_fit
from seqjepa.runs import checkpoint, manifest
from seqjepa.runs.folder import CHECKPOINTS, RunFolder
from seqjepa.schedules import warmup_cosine
from seqjepa.training.collapse import CollapseWatch, health, spectra
from seqjepa.training.online_probe import OnlineProbe
from seqjepa.training.state import Learner
from seqjepa.training.trackers import Tracker, tell
from seqjepa.types import SequenceBatch, StepOutput
from seqjepa.worlds.base import World

NOT_KEPT = (
    "the training views are not kept on the device: they are made anew for each batch, or need "
    "more than half of its memory"
)


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
    keep_views: bool = False,
) -> Path:
    """Train an experiment, or what is left of it, and return its run folder.

    The folder holds `config.json`, `world.json`, `metrics.jsonl` and `checkpoints/`. With the same
    versions and number of threads, a run that was interrupted anywhere and resumed ends in the same
    bits as one that was not. Under torchrun the ranks share each batch; the first alone writes, and
    all must see the run folder and the data.

    Args:
        experiment: method, world and settings.
        run_dir: the folder to write.
        resume: go on from the newest valid checkpoint; without one, start.
        fail_on_collapse: end the run when the representation collapses, instead of warning.
        device: default: CUDA where there is one, else the CPU.
        quiet: show no progress on the terminal, only warnings.
        trackers: functions of the run folder; each returns a function that takes every record of
            the log.
        allow_changed_data: warn of data that differ from those the run was begun with, instead of
            refusing them.
        rank_timeout: seconds that a rank may keep the others waiting.
        keep_views: keep all training views in the device's memory, where batches are then gathered;
            the batches are the same. Where they are not stored as they are, or need more than half
            of the memory, a warning says so.

    Raises:
        ConfigError, DataError: before anything is written.
        CheckpointError: if no checkpoint of the folder can be resumed from.
        NonFiniteError: at a NaN or infinity, with the state before it saved.
        CollapseError: at a collapse, with `fail_on_collapse`.
        Stopped, Interrupted: at SIGTERM or SIGINT, with the state saved.
        DistributedError: if another rank has ended or stalled.
    """
    instance("experiment", experiment, Experiment, "seqjepa.recipe(NAME)() makes one")
    trackers = tuple(trackers)
    if not all(map(callable, trackers)):
        raise ConfigError(
            f"trackers must be functions, as seqjepa.training.trackers.tensorboard() returns, got "
            f"{trackers}"
        )
    config, run_dir = experiment.train, Path(run_dir)
    with distributed.process_group(rank_timeout), silenced(quiet):
        world = prepare(experiment, run_dir, resume=resume, device=devices.own_device(device))
        learner = Learner.build(experiment, world, world.device)
        method, optimizer, probe = learner.method, learner.optimizer, learner.probe
        _require_evaluation(experiment, world, method)

        # Of several ranks, the first alone writes to the terminal and to the folder.
        silent = not distributed.is_main_process()
        display = Display(config.steps, config.views_per_step, quiet=quiet, silent=silent)
        folder = _open_folder(experiment, run_dir, resume, display.warn)

        with folder as run, fork_rng(world.device), Signals() as signals, display:
            if run is not None:
                run.write_spec(world.spec, allow_changed=allow_changed_data)
            track = [tracker(run.path) for tracker in trackers if run is not None]
            distributed.barrier()  # until the folder is in order
            step, seconds = 0, 0.0
            if resume:
                step, seconds = _restore(learner, run_dir, run, display.warn)
            require_same("checkpoint", {"step": step})
            if keep_views and not world.keep_views("train"):
                display.warn(NOT_KEPT)
            display.start_at(step, seconds)
            batches = _batches(experiment, world, step)
            autocast = torch.autocast(
                world.device.type,
                torch.bfloat16,
                enabled=use_bf16(config.precision, world.device),
            )
            watch = CollapseWatch(display.warn)

            def save() -> None:
                learner.save(run, step, display.seconds)

            def batch_of(step: int) -> SequenceBatch | None:
                if step == config.steps:
                    return None
                # A world of one's own may draw from torch's generator.
                torch.manual_seed(step_seed(experiment.seed, step, rank()))
                return next(batches).to(world.device)

            batch = batch_of(step)
            while batch is not None:
                # Dropout and masks depend on seed, step and rank: a checkpoint holds no generator.
                torch.manual_seed(step_seed(experiment.seed, step, rank()))
                lr = set_lr(optimizer, experiment.optim, step, config.steps)
                micros = batch.chunk(config.accumulate)

                # Forward and backward. BatchNorm takes NaN in before the loss shows it.
                learner.guard.remember()
                optimizer.zero_grad(set_to_none=True)
                outputs = [_backward(method, micro, autocast, config) for micro in micros]
                distributed.average_gradients(method)
                losses = all_reduce_mean(torch.stack([out.loss.detach() for out in outputs]))

                # The next batch is made while an accelerator still works on this one.
                batch = batch_of(step + 1)

                # Nothing of a step that is not finite is kept. To look waits for the accelerator.
                grad_norm = _grad_norm(method)
                if not torch.isfinite(losses.mean() + grad_norm):
                    learner.guard.undo()
                    save()
                    raise NonFiniteError(learner.guard.diagnosis(step + 1, losses.mean()))

                # The step, the EMA target, and the probes beside them, which read detached
                # features.
                optimizer.step()
                method.after_step((step + 1) / config.steps)
                for micro, output, loss in zip(micros, outputs, losses, strict=True):
                    probe.step(output.representation, micro, loss)
                step += 1
                display.update(step)

                # Look for collapse as often as the log is written, and at least every 100 steps;
                # not every step, since the figures are read from the device.
                if step % min(config.log_every, 100) == 0:
                    message = watch.look(step, outputs[-1])
                    if message is not None and fail_on_collapse:
                        save()
                        raise CollapseError(message)

                if step % config.log_every == 0 or step == config.steps:
                    record = _record(config, step, lr, grad_norm, outputs, probe, display)
                    if run is not None:
                        run.log(record)
                    display.show(record)
                    track = tell(track, record, display.warn)

                # A signal is read once a step, on all ranks at the same one: one that comes while
                # saving stops the next step, which then saves.
                stop = distributed.all_reduce_max(signals.received)
                if step % config.checkpoint_every == 0 or step == config.steps or stop is not None:
                    save()
                if stop is not None and step < config.steps:
                    kind = Stopped if stop == signal.SIGTERM else Interrupted
                    raise kind(
                        f"stopped and saved at step {step} in {run_dir}: go on with --resume"
                    )
    return run_dir


def prepare(experiment: Experiment, run_dir: Path, *, resume: bool, device: torch.device) -> World:
    """Build the world, after all checks that can be made before anything is written.

    Cheap ones come first.

    Raises:
        ConfigError, DataError: if something does not fit.
    """
    config, data = experiment.train, to_json(experiment)
    # A field of another type would show only when the run is loaded.
    from_json(data)
    require_same("configuration", data)
    distributed.shard_indices(config.batch_size, config.accumulate)
    RunFolder.check(run_dir, data, resume=resume)
    # What has begun with a schedule ends with it.
    if not (run_dir / CHECKPOINTS).exists():
        experiment.optim.require_rise()

    # Building a world may render for minutes: first the mistakes that show without it.
    require_fit(experiment)
    world = experiment.world.build().to(device)
    world.require("train", config.num_views, config.batch_size)
    # Evaluation will ask about it. `val` is for choosing settings, and may be empty.
    world.require("test", 1)
    require_same("data", world.spec.data)
    return world


def _open_folder(
    experiment: Experiment, run_dir: Path, resume: bool, warn: Callable[[str], None]
) -> AbstractContextManager[RunFolder | None]:
    """Open the run's folder; on ranks that do not write, return None in its place."""
    if not distributed.is_main_process():
        return nullcontext()
    return RunFolder.open(run_dir, to_json(experiment), resume=resume, warn=warn)


def _require_evaluation(experiment: Experiment, world: World, method: Method) -> None:
    """Raise a ConfigError if this machine could not evaluate what is about to be trained on it."""
    split = world.spec.probe_split
    sampling = Sampling.of(experiment, world, split, objects=experiment.evaluate.objects)
    require_memory(world, split, sampling, method.encoder.dim, device_of(method))


def _restore(
    learner: Learner, run_dir: Path, run: RunFolder | None, warn: Callable[[str], None]
) -> tuple[int, float]:
    """Go back to the newest valid checkpoint; return its step and seconds, 0 if there is none."""
    saved = checkpoint.latest(run_dir / CHECKPOINTS, warn)
    if saved is None:
        return 0, 0.0
    learner.restore(saved)

    # What was logged after the checkpoint is logged again.
    if run is not None:
        run.truncate_metrics(saved.state["metrics_position"])
    if changed := manifest.changes(saved.environment, environment(learner.place)):
        warn(f"resuming is not bit-exact: {', '.join(changed)}")
    return saved.step, saved.state["seconds"]


def _batches(experiment: Experiment, world: World, step: int) -> Iterator[SequenceBatch]:
    """Return an iterator over this rank's share of each training batch, from a step on."""
    config = experiment.train
    return world.loader(
        "train",
        num_views=config.num_views,
        batch_size=config.batch_size,
        seed=experiment.seed,
        start_step=step,
        places=distributed.shard_indices(config.batch_size, config.accumulate),
    )


def _backward(
    method: Method, micro: SequenceBatch, autocast: torch.autocast, config: TrainConfig
) -> StepOutput:
    """Add a micro-batch's gradients to the method's, and return what the method made of it."""
    with autocast:
        output: StepOutput = method(micro)
    (output.loss / config.accumulate).backward()
    return output


def _grad_norm(method: Method) -> Tensor:
    """Return the norm of all gradients together."""
    gradients = [parameter.grad for parameter in method.parameters() if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


def _record(
    config: TrainConfig,
    step: int,
    lr: float,
    grad_norm: Tensor,
    outputs: Sequence[StepOutput],
    probe: OnlineProbe,
    display: Display,
) -> dict[str, Any]:
    """Return a line of metrics.jsonl: figures since the last one, and of the last batch."""
    terms = {}
    for name in outputs[-1].terms:
        values = torch.stack([output.terms[name] for output in outputs])
        terms[name] = all_reduce_mean(values).mean().item()

    record: dict[str, Any] = {
        "step": step,
        "views_seen": step * config.views_per_step,
        "lr": lr,
        "grad_norm": grad_norm.item(),
    }
    record |= probe.figures() | terms | health(outputs[-1])
    if config.health:
        record |= spectra(outputs[-1])
    record["time"] = {"seconds": display.seconds, "views_per_second": display.views_per_second}
    return record


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
    """SIGTERM and SIGINT as requests to stop at the step's end; a second SIGINT stops at once."""

    def __init__(self) -> None:
        self.received: int | None = None

    def __enter__(self) -> Self:
        # Python allows handlers in the main thread only.
        in_main = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGTERM, signal.SIGINT) if in_main else ()
        self.before = {number: signal.signal(number, self._receive) for number in numbers}
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
