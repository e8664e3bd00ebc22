"""Timing that other work on the machine disturbs little.

It is on one thread, in CPU time, ours and the reference in turns, and the least of several.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from seqjepa.config import Experiment
from seqjepa.store.cache import cache_root
from seqjepa.training.loop import train

Work = Callable[[], object]
Clock = Callable[[], float]


def device_clock() -> float:
    """Return the wall time, once the GPU has done its work."""
    torch.cuda.synchronize()
    return time.perf_counter()


def children_clock() -> float:
    """Return the CPU time of all processes that were started and have ended."""
    import resource  # Windows has none

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch compute on one thread while it lasts."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder that is gone afterwards; worlds keep their caches in it, too."""
    # A cache from an earlier run would spare work that is to be measured, and ours would stay.
    before = os.environ.get("SEQJEPA_CACHE")
    with tempfile.TemporaryDirectory(prefix="seqjepa-speed-") as folder:
        os.environ["SEQJEPA_CACHE"] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop("SEQJEPA_CACHE")
            if before is not None:
                os.environ["SEQJEPA_CACHE"] = before


def alternate(
    ours: Work, plain: Work, rounds: int, clock: Clock = time.process_time
) -> tuple[float, float]:
    """Return the seconds that one call of each takes, the least of all rounds."""
    seconds, plain_seconds = take_turns((ours, plain), rounds, clock)
    return seconds, plain_seconds


def take_turns(works: Sequence[Work], rounds: int, clock: Clock = time.process_time) -> list[float]:
    """Return the seconds that one call of each work takes, the least of all rounds."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(rounds + 1):
        for work, taken in zip(works, seconds, strict=True):
            began = clock()
            work()
            taken.append(clock() - began)

    # The first round warms up.
    return [min(taken[1:]) for taken in seconds]


def alternate_with_training(
    experiment: Experiment, plain: Work, rounds: int, device: torch.device
) -> tuple[float, float]:
    """Return the seconds that a step takes, of the training loop as it is and of the plain one.

    Data, probes and logging are included, checkpoints are left out. A GPU keeps the views.
    `train.log_every` steps are a round.
    """
    # More steps than are measured: the watch ends the run before its last step and checkpoint.
    every = experiment.train.log_every
    steps = (rounds + 2) * every
    endless = replace(experiment.train, steps=steps, checkpoint_every=steps)
    experiment = replace(experiment, train=endless)

    # On a GPU it is wall time, as the device's own work has no CPU time.
    clock = time.process_time if device.type == "cpu" else device_clock
    watch = _Watch(plain, every, rounds, clock)
    with tempfile.TemporaryDirectory(dir=cache_root()) as folder, suppress(_Enough):
        train(
            experiment,
            folder,
            device=device,
            quiet=True,
            trackers=[lambda path: watch],
            keep_views=device.type == "cuda",
        )
    return min(watch.loop), min(watch.reference)


class _Enough(Exception):
    """Everything has been measured: the training run may end."""


@dataclass
class _Watch:
    """A tracker of a training run that measures its steps.

    At every record it notes the time of the steps before, then lets the reference do as many.
    """

    plain: Work
    steps: int
    rounds: int
    clock: Clock
    loop: list[float] = field(default_factory=list)
    reference: list[float] = field(default_factory=list)
    since: float | None = None

    def __call__(self, record: Mapping[str, Any]) -> None:
        # The time from the last record to this one is the loop's.
        before = self.clock()
        for _ in range(self.steps):
            self.plain()
        after = self.clock()
        if self.since is not None:  # the first round warms up
            self.loop.append((before - self.since) / self.steps)
            self.reference.append((after - before) / self.steps)
        if len(self.loop) == self.rounds:
            raise _Enough
        self.since = after
