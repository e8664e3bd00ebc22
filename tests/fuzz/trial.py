"""What must hold for any data set that somebody trains on, however odd or broken.

A plan describes a data set in a few words, writes it, and knows what is in it. Hypothesis draws
plans; its report of a failure shows the plan, which is all that is needed to write the data again.
"""

import io
import math
import re
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol
from unittest.mock import patch

import numpy as np

from faults import tiny
from faults.harness import metrics
from fuzz.damage import Damage
from seqjepa.commands.data import check
from seqjepa.config import Experiment
from seqjepa.display import collected, silenced
from seqjepa.errors import ConfigError, DataError, SeqJepaError
from seqjepa.reading.findings import SHOWN
from seqjepa.training.loop import train
from seqjepa.worlds.base import World, WorldConfig

STEPS = 3
LONGEST = 600  # characters of a message, which is to fit a line or two
HANG = 60  # seconds; a trial takes less than one

# Of each split, how often each object is there: its class, and its numbers as bytes.
Contents = Mapping[str, Counter[tuple[str, bytes]]]


class Plan(Protocol):
    """A data set to be written."""

    def write(self, folder: Path) -> Path:
        """Write the data set below an empty folder; return the path a user would name."""

    def world(self, path: Path) -> WorldConfig:
        """Return the configuration that reads it."""

    def expected(self) -> Contents:
        """Return what it holds."""

    def found(self, world: World) -> Contents:
        """Return what a world holds."""


@dataclass(frozen=True)
class Outcome:
    """The end of a training run: its error, if any, and whether it left a run folder."""

    error: SeqJepaError | None
    run: Path


def check_valid(plan: Plan) -> None:
    """Check that a valid data set is good, holds what it should, and trains."""
    with workplace() as folder:
        path = plan.write(folder / "data")
        config = plan.world(path)
        assert dict(plan.found(config.build())) == dict(plan.expected())

        assert _check_data(path) is None, _check_data(path)
        outcome = _train(config, folder)
        if outcome.error is not None:
            raise outcome.error
        _check_trained(outcome.run)


def check_refused(plan: Plan) -> None:
    """Check that a data set with a fault ends in one clear message, which `data check` has too."""
    with workplace() as folder:
        path = plan.write(folder / "data")
        outcome = _train(plan.world(path), folder)
        assert outcome.error is not None, "it trains"
        _check_message(outcome, path)
        assert _check_data(path) is not None, f"data check is content, but: {outcome.error}"


def check_damaged(plan: Plan, damage: Damage) -> None:
    """Check that a damaged data set either still trains or ends in one clear message.

    `data check` says that it is good where it trains, and names a fault where it does not.
    """
    with workplace() as folder:
        path = plan.write(folder / "data")
        damage.apply(folder / "data")
        outcome, fault = _train(plan.world(path), folder), _check_data(path)

        if outcome.error is None:
            _check_trained(outcome.run)
            # Of some kinds, training opens a file when it needs it, and `data check` opens all.
            lazy = getattr(plan, "lazy", "$.")  # a pattern of complaints; this one fits nothing
            unread = fault is not None and re.search(lazy, fault) is not None
            assert fault is None or unread, f"they train, but data check says: {fault}"
        else:
            _check_message(outcome, path)
            assert fault is not None, f"data check is content, but: {outcome.error}"


def _check_data(path: Path) -> str | None:
    """Return what `seqjepa data check` prints of data that it does not call good."""
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            check.main([str(path)])
    except SeqJepaError as error:
        return f"{printed.getvalue()}{error}"
    return None


def _train(config: WorldConfig, folder: Path) -> Outcome:
    base = tiny.recipe()
    steps = replace(base.train, steps=STEPS, batch_size=4, num_views=2, checkpoint_every=STEPS)
    experiment = Experiment(
        name="fuzz",
        method=base.method,
        world=config,
        encoder=base.encoder,
        optim=base.optim,
        train=steps,
        evaluate=base.evaluate,
    )
    run = folder / "run"
    try:
        train(experiment, run, quiet=True)
    except SeqJepaError as error:
        return Outcome(error, run)
    return Outcome(None, run)


def _check_trained(run: Path) -> None:
    logged = metrics(run)
    assert [record["step"] for record in logged] == [1, 2, 3]
    assert all(math.isfinite(record["loss"]) for record in logged)


def _check_message(outcome: Outcome, path: Path) -> None:
    """Check that an error is one of bad data, says which file, and left nothing behind."""
    assert isinstance(outcome.error, DataError | ConfigError), repr(outcome.error)
    message = str(outcome.error)
    # The first bad files of a set have a line each.
    lines = message.splitlines()
    assert len(lines) <= 2 + SHOWN and all(len(line) <= LONGEST for line in lines), message
    assert str(path) in message or "world." in message, f"names no file: {message}"
    assert not outcome.run.exists(), f"a run was written, then: {message}"


@contextmanager
def workplace() -> Iterator[Path]:
    """Yield an empty folder with a cache of its own; a trial that hangs there is an error."""
    with tempfile.TemporaryDirectory() as name, silenced(), collected(), _time_limit():
        folder = Path(name)
        with patch.dict("os.environ", SEQJEPA_CACHE=str(folder / "cache")):
            yield folder


@contextmanager
def _time_limit() -> Iterator[None]:
    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"no end after {HANG} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, HANG)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def record(label: str, *arrays: np.ndarray[Any, Any]) -> tuple[str, bytes]:
    """Return an object as an entry of `Contents`."""
    return label, b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
