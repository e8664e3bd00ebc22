"""The plan of all runs, with an estimate of the time that is left on this machine."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean

import torch

from seqjepa.benchmark.standings import training_seconds
from seqjepa.config import Experiment, to_json
from seqjepa.evaluation.suite import PROBES
from seqjepa.evaluation.timings import seconds_of
from seqjepa.reproduce.jobs import Job, State
from seqjepa.reproduce.scales import Scale
from seqjepa.speed.methods import noise_world
from seqjepa.speed.plain import BareStep
from seqjepa.training.state import build_optimizer

# Steps that are timed, after one that warms up, and the pixels of their micro-batches.
STEPS, PIXELS = 3, 2**18
LEAST = 4  # sequences of a micro-batch


@dataclass(frozen=True)
class Entry:
    """A run in the plan.

    Attributes:
        job: the run.
        state: of it.
        views: of its training in all.
        seconds: that are left, roughly; 0 if it is done.
    """

    job: Job
    state: State
    views: int
    seconds: float


def entries(jobs: Sequence[Job], scale: Scale, device: torch.device) -> list[Entry]:
    """Return the plan's entries, after timing a few micro-batches of each kind of encoder.

    Kinds of which a run has ended are judged by that run.
    """
    states = [job.state for job in jobs]
    per_view = _seconds_per_view(jobs, states, device)
    evaluation = _evaluation(jobs, states, scale)
    found = []
    for job, state in zip(jobs, states, strict=True):
        train = job.experiment.train
        seconds = 0.0
        if state != "done":
            views_left = (train.steps - job.steps) * train.views_per_step
            seconds = views_left * per_view[_kind(job.experiment)]
            seconds += evaluation * bool(job.parts)
        found.append(Entry(job, state, train.steps * train.views_per_step, seconds))
    return found


def _kind(experiment: Experiment) -> str:
    """Return the encoder and the view's size, which the time of a view depends on most."""
    data = to_json(experiment)
    side = data["world"].get("patch_size", data["world"]["image_size"])
    return json.dumps([data["encoder"], side])


def _seconds_per_view(
    jobs: Sequence[Job], states: Sequence[State], device: torch.device
) -> dict[str, float]:
    """Return the seconds of training for each view, by kind."""
    measured: dict[str, list[float]] = {}
    for job in jobs:
        seconds, train = training_seconds(job.folder), job.experiment.train
        if job.trained and seconds:
            views = train.steps * train.views_per_step
            measured.setdefault(_kind(job.experiment), []).append(seconds / views)
    found = {kind: mean(each) for kind, each in measured.items()}

    for job, state in zip(jobs, states, strict=True):
        kind = _kind(job.experiment)
        # One whose batch may have any size.
        if kind not in found and state != "done" and job.experiment.method.batch_multiple == 1:
            found[kind] = _time(job.experiment, device)
    return found


def _time(experiment: Experiment, device: torch.device) -> float:
    """Return the seconds that a view of a training step takes, of micro-batches of noise."""
    spec, train = experiment.world.outline(), experiment.train
    assert spec is not None
    pixels = spec.image_shape[1] * spec.image_shape[2]
    size = max(LEAST, min(train.batch_size, PIXELS // (pixels * train.num_views)))
    train = replace(train, batch_size=size, accumulate=1)
    small = replace(experiment, train=train)

    step = BareStep(small, noise_world(small), device)
    optimizer = build_optimizer(step.method, small.optim)
    for number in range(STEPS + 1):
        if number == 1:
            _wait(device)
            began = time.perf_counter()
        step()
        optimizer.step()
        step.method.after_step(0.5)
    _wait(device)
    return (time.perf_counter() - began) / (STEPS * size * train.num_views)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _evaluation(jobs: Sequence[Job], states: Sequence[State], scale: Scale) -> float:
    """Return the seconds of an evaluation: the mean of those that there are, or the scale's."""
    noted = [
        seconds_of(job.folder)
        for job, state in zip(jobs, states, strict=True)
        if state == "done" and PROBES in job.parts
    ]
    taken = [sum(seconds.values()) for seconds in noted if seconds]
    return mean(taken) if taken else scale.evaluation
