"""Timing that other work on the machine disturbs little: one thread, CPU time, ours and the
reference in turns, the least of several.
"""

import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
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
    """Wall time, once the GPU has done what it was told to do."""
    torch.cuda.synchronize()
    return time.perf_counter()


def children_clock() -> float:
    """CPU time of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch computes on one thread meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards; worlds keep their caches in it, too."""
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
    """Seconds that one call of each takes, the least of so many rounds after one that does not
    count.
    """
    seconds: list[list[float]] = [[], []]
    for _ in range(rounds + 1):
        for work, taken in zip((ours, plain), seconds, strict=True):
            began = clock()
            work()
            taken.append(clock() - began)
    return min(seconds[0][1:]), min(seconds[1][1:])


def alternate_with_training(
    experiment: Experiment, plain: Work, rounds: int, device: torch.device
) -> tuple[float, float]:
    """Seconds that a step takes, of the training loop as it is (data, probes and logging included)
    and of the plain one.

    `train.log_every` steps are a round; checkpoints are left out. On a GPU it is wall time, as the
    device's own work has no CPU time.
    """
    every = experiment.train.log_every
    endless = replace(
        experiment.train, steps=(rounds + 2) * every, checkpoint_every=(rounds + 2) * every
    )
    watch = _Watch(
        plain, every, rounds, time.process_time if device.type == "cpu" else device_clock
    )
    with tempfile.TemporaryDirectory(dir=cache_root()) as folder, suppress(_Enough):
        train(
            replace(experiment, train=endless),
            folder,
            device=device,
            quiet=True,
            trackers=[lambda path: watch],
        )
    return min(watch.loop), min(watch.reference)


class _Enough(Exception):
    """Everything has been measured: the training run may end."""


@dataclass
class _Watch:
    """A tracker of a training run: at every record it notes what the steps before took, then lets
    the reference do as many.
    """

    plain: Work
    steps: int
    rounds: int
    clock: Clock
    loop: list[float] = field(default_factory=list)
    reference: list[float] = field(default_factory=list)
    since: float | None = None

    def __call__(self, record: Mapping[str, Any]) -> None:
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
