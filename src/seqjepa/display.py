"""What the terminal shows while training: one live line, and plain lines where the output is no
terminal."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.progress import Progress
from rich.text import Text

SHOWN = {  # what the line shows, in which words, and how
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
    with Progress(console=console, transient=True) as shown:
        bar = shown.add_task(task, total=total)
        yield lambda units: shown.advance(bar, units)


@contextmanager
def status(text: str) -> Iterator[None]:
    """Show a line of text on stderr while it lasts, unless `silenced`."""
    with Console(stderr=True, quiet=_quiet.get()).status(text):
        yield


def warn(message: str) -> None:
    """Print a warning on stderr that stays, `silenced` or not."""
    Console(stderr=True).print(
        f"warning: {message}", style="yellow", soft_wrap=True, markup=False, highlight=False
    )


class Display:
    """A context manager; `update` after every step is cheap, `show` after every logged one takes
    the new figures.

    Args:
        total: steps of the run.
        views_per_step: for the rate.
        quiet: print nothing but warnings.
        silent: not even those.
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

    def start_at(self, step: int) -> None:
        """Where a resumed run begins, so that its rate counts only its own steps."""
        self.first = self.step = step
        self.began = time.perf_counter()

    def update(self, step: int) -> None:
        """So many steps are done."""
        self.step = step

    def show(self, figures: Mapping[str, Any]) -> None:
        """Show new figures; without a terminal, print a line."""
        self.figures = dict(figures)
        if not self.live.is_started and not self.quiet:
            self.console.print(self._line(), soft_wrap=True)

    def warn(self, message: str) -> None:
        """Print a warning that stays."""
        self.console.print(
            f"warning: {message}", style="yellow", soft_wrap=True, markup=False, highlight=False
        )

    @property
    def seconds(self) -> float:
        """Since the start or the resumption."""
        return time.perf_counter() - self.began

    @property
    def views_per_second(self) -> float:
        """Since the start or the resumption."""
        return (self.step - self.first) * self.views_per_step / max(self.seconds, 1e-9)

    def _line(self) -> Text:
        rate = self.views_per_second
        left = (self.total - self.step) * self.views_per_step / rate if rate else float("nan")
        parts = [f"step {self.step:,}/{self.total:,}"]
        parts += [
            f"{word} {form.format(self.figures[key])}"
            for key, (word, form) in SHOWN.items()
            if key in self.figures
        ]
        parts += [
            f"{rate:,.0f} views/s",
            f"{left // 60:.0f}:{left % 60:02.0f} left" if rate else "starting",
        ]
        return Text(" · ".join(parts))
