"""Sabotages of a command: functions called in its own process before it starts.

Tests pass them through `functools.partial`.
"""

import errno
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from seqjepa import files
from seqjepa.methods.seq_jepa import SeqJEPA
from seqjepa.nn import Encoder
from seqjepa.runs.folder import RunFolder
from seqjepa.store.table import ViewTable
from seqjepa.training import loop
from seqjepa.types import SequenceBatch
from seqjepa.worlds.base import World, WorldSpec
from seqjepa.worlds.table import TableWorld


def kill_at_moment(moment: str, occurrence: int) -> None:
    """Kill the process at the n-th time (from 1) that writing comes to a named moment."""
    left = occurrence

    def at(now: str) -> None:
        nonlocal left
        left -= now == moment
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    files.at = at


def send_at_step(number: int, step: int) -> None:
    """Send the process a signal when a step (from 1) begins."""
    _on_step(step, lambda: os.kill(os.getpid(), number))


def poison_pixel_at_step(value: float, step: int) -> None:
    """Make one pixel of a step's batch NaN or infinite."""

    def poison(batch: SequenceBatch) -> SequenceBatch:
        views = batch.views.float() / 255
        views[0, 0, 0, 0, 0] = value
        return replace(batch, views=views)

    _on_batch(step, poison)


def poison_gradient_at_step(value: float, step: int) -> None:
    """Make one gradient of a step NaN or infinite, though the loss is fine."""
    forward, calls = SeqJEPA.forward, 0

    def poisoned(self: SeqJEPA, batch: SequenceBatch) -> Any:
        nonlocal calls
        calls += 1
        if calls == step:
            self.aggregator.agg.register_hook(lambda gradient: torch.full_like(gradient, value))
        return forward(self, batch)

    SeqJEPA.forward = poisoned  # type: ignore[method-assign]


def slow_step(seconds: float, step: int) -> None:
    """Make a step (from 1) take some seconds longer; print a line when it begins."""

    def wait() -> None:
        print(f"slow step {step}", flush=True)
        time.sleep(seconds)

    _on_step(step, wait)


def constant_encoder() -> None:
    """Make the encoder's features the same for every image, up to rounding."""
    forward = Encoder.forward

    def constant(self: Encoder, images: Tensor) -> Tensor:
        features = forward(self, images)
        return features * 1e-6 + torch.arange(1.0, features.shape[-1] + 1)

    Encoder.forward = constant  # type: ignore[method-assign]


def threads(number: int) -> None:
    """Compute with another number of threads."""
    torch.set_num_threads(number)


def full_log(limit: int) -> None:
    """Let only the log meet a full disk: it cannot grow beyond a number of bytes."""
    log = RunFolder.log

    def limited(self: RunFolder, record: Mapping[str, Any]) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        log(self, record)
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    RunFolder.log = limited  # type: ignore[method-assign]


def other_pixels() -> None:
    """Give the tiny world other pixels than on other ranks or days."""
    original = TableWorld.__init__

    def init(self: TableWorld, spec: WorldSpec, tables: Mapping[str, ViewTable]) -> None:
        views = 255 - tables["train"].views
        original(self, spec, dict(tables) | {"train": replace(tables["train"], views=views)})

    TableWorld.__init__ = init  # type: ignore[method-assign]


def environment(**variables: str) -> None:
    """Set environment variables."""
    os.environ.update(variables)


def full_disk_at_moment(moment: str, occurrence: int) -> None:
    """Fail for want of room at the n-th time (from 1) that writing comes to a named moment."""
    left = occurrence

    def at(now: str) -> None:
        nonlocal left
        left -= now == moment
        if left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    files.at = at


def _on_step(step: int, act: Callable[[], object]) -> None:
    """Call a function when a training step (from 1) begins."""
    original = loop.set_lr

    def begun(optimizer: Any, config: Any, number: int, total: int) -> float:
        if number + 1 == step:
            act()
        return original(optimizer, config, number, total)

    loop.set_lr = begun


def _on_batch(step: int, change: Callable[[SequenceBatch], SequenceBatch]) -> None:
    """Let the training batch of a step (from 1) pass through a function.

    Batches of one are left alone: they are looks at the data.
    """
    original = World._batches

    def batches(
        self: World, split: str, num_views: int, batch_size: int, seed: int, start: int, places: Any
    ) -> Iterator[SequenceBatch]:
        drawn = original(self, split, num_views, batch_size, seed, start, places)
        for number, batch in enumerate(drawn, start + 1):
            yield change(batch) if batch_size > 1 and number == step else batch

    World._batches = batches  # type: ignore[method-assign]
