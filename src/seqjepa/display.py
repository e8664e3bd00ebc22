"""Messages on the terminal (stderr): progress, stages, warnings, a training run's live line."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import Progress
from rich.text import Text

# The figures of the live line: by their name in the log, word and format.
SHOWN = {
    "loss": ("loss", "{:.3f}"),
    "z_std": ("z std", "{:.2f}"),
    "z_rankme": ("rank", "{:.0f}"),
    "agg_std": ("agg std", "{:.2f}"),
    "agg_rankme": ("rank", "{:.0f}"),
    "online/class_view": ("top-1 z", "{:.0%}"),
    "online/class_sequence": ("agg", "{:.0%}"),
    "online/action_r2": ("action R²", "{:.2f}"),
}

_quiet = ContextVar("quiet", default=False)
_collected: ContextVar[list[str] | None] = ContextVar("collected", default=None)


@contextmanager
def silenced(quiet: bool = True) -> Iterator[None]:
    """Show no progress bars while it lasts; warnings are still printed."""
    before = _quiet.set(quiet or _quiet.get())
    try:
        yield
    finally:
        _quiet.reset(before)


@contextmanager
def progress(task: str, total: float) -> Iterator[Callable[[float], None]]:
    """Show a progress bar on stderr while it lasts, unless `silenced`.

    Args:
        task: a word or two beside the bar.
        total: number of units of work.

    Yields:
        A function that moves the bar on by so many units.
    """
    console = Console(stderr=True, quiet=_quiet.get())
    # Without a terminal, a bar that goes away again would leave an empty line in the log.
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        bar = shown.add_task(escape(task), total=total)
        yield lambda units: shown.advance(bar, units)


@contextmanager
def status(text: str) -> Iterator[None]:
    """Show a line of text on stderr while it lasts, unless `silenced`."""
    with Console(stderr=True, quiet=_quiet.get()).status(Text(text)):
        yield


class Stages:
    """The stages of an evaluation: shown on the terminal, and the seconds that each took."""

    def __init__(self, progress: bool) -> None:
        self.console = Console(stderr=True, quiet=not progress)
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Show a status line during a stage, and its time in a plain line afterwards."""
        began = time.perf_counter()
        with self.console.status(f"{name} ..."):
            yield
        self.seconds[name] = time.perf_counter() - began
        self.console.print(f"{name}: {self.seconds[name]:.1f} s", highlight=False)

    def take(self) -> dict[str, float]:
        """Return the seconds of each stage since the last call, and begin anew."""
        taken, self.seconds = self.seconds, {}
        return taken


@contextmanager
def collected() -> Iterator[list[str]]:
    """Collect warnings while it lasts, each once, instead of printing them."""
    messages: list[str] = []
    before = _collected.set(messages)
    try:
        yield messages
    finally:
        _collected.reset(before)


@contextmanager
def edited(edit: Callable[[str], str | None]) -> Iterator[None]:
    """Print warnings when it ends, by an error too, as `edit` returns them; None leaves one out."""
    messages: list[str] = []
    try:
        with collected() as messages:
            yield
    finally:
        for message in map(edit, messages):
            if message is not None:
                warn(message)


def warn(message: str, console: Console | None = None) -> None:
    """Print a warning that stays on stderr, or on another console, `silenced` or not."""
    messages = _collected.get()
    if messages is not None:
        if message not in messages:
            messages.append(message)
        return
    console = Console(stderr=True) if console is None else console
    console.print(Text(f"warning: {message}", style="yellow"), soft_wrap=True, highlight=False)


class Display:
    """The live line of a training run, or plain lines where the output is no terminal.

    It is a context manager. `update` after every step is cheap; `show` takes the figures of each
    record of the log.

    Args:
        total: steps of the run.
        views_per_step: for the rate.
        quiet: print nothing but warnings.
        silent: print not even those.
    """

    def __init__(
        self, total: int, views_per_step: int, *, quiet: bool = False, silent: bool = False
    ) -> None:
        self.console = Console(stderr=True, quiet=silent)
        self.total, self.views_per_step, self.quiet = total, views_per_step, quiet
        self.start_at(0)
        self.figures: dict[str, Any] = {}
        self.live = Live(
            get_renderable=self._line, console=self.console, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Self:
        if self.console.is_terminal and not self.quiet:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.live.stop()

    def start_at(self, step: int, seconds: float = 0.0) -> None:
        """Begin at a step, after so many seconds of earlier goes; the rate counts only this go."""
        self.first = self.step = step
        self.seconds_before, self.began = seconds, time.perf_counter()

    def update(self, step: int) -> None:
        """Take note of the number of steps done."""
        self.step = step

    def show(self, figures: Mapping[str, Any]) -> None:
        """Show new figures: in the live line, or as a line of their own without a terminal."""
        self.figures = dict(figures)
        if not self.live.is_started and not self.quiet:
            self.console.print(self._line(), soft_wrap=True)

    def warn(self, message: str) -> None:
        """Print a warning that stays."""
        warn(message, self.console)

    @property
    def seconds(self) -> float:
        """Seconds of the whole run, those of earlier goes included."""
        return self.seconds_before + self._elapsed

    @property
    def views_per_second(self) -> float:
        """Views per second of this go."""
        views = (self.step - self.first) * self.views_per_step
        return views / max(self._elapsed, 1e-9)

    @property
    def _elapsed(self) -> float:
        return time.perf_counter() - self.began

    def _line(self) -> Text:
        parts = [f"step {self.step:,}/{self.total:,}"]
        for name, (word, form) in SHOWN.items():
            if name in self.figures:
                parts.append(f"{word} {form.format(self.figures[name])}")

        rate, left = self.views_per_second, "starting"
        if rate:
            seconds = (self.total - self.step) * self.views_per_step / rate
            left = f"{seconds // 60:.0f}:{seconds % 60:02.0f} left"
        return Text(" · ".join([*parts, f"{rate:,.0f} views/s", left]))
