"""Errors that this package raises on purpose, each with the exit code of the command line.

An error's text says what was got, what was expected and what to change, in a line or two; the
command line prints it without a traceback.
"""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class SeqJepaError(Exception):
    """Base of all errors this package raises on purpose."""

    exit_code = 1


class ConfigError(SeqJepaError):
    """A bad option, recipe, call or combination of them."""

    exit_code = 2


class InUseError(ConfigError):
    """Another process writes to the folder."""


class DataError(SeqJepaError):
    """A data file is missing, damaged or not what was expected."""

    exit_code = 3


class CheckpointError(SeqJepaError):
    """A checkpoint is missing, damaged or belongs to something else."""

    exit_code = 4


class NonFiniteError(SeqJepaError):
    """The loss or a gradient was NaN or infinite; the last good state has been saved."""

    exit_code = 5


class CollapseError(SeqJepaError):
    """The representation collapsed and `--fail-on-collapse` was given."""

    exit_code = 6


class DistributedError(SeqJepaError):
    """Another process of the run ended or did not answer."""

    exit_code = 7


class DiskError(SeqJepaError):
    """A file could not be written."""

    exit_code = 74


class Stopped(SeqJepaError):
    """SIGTERM: the state is saved, `--resume` goes on from here."""

    exit_code = 75


class Interrupted(SeqJepaError):
    """SIGINT: the state is saved, `--resume` goes on from here."""

    exit_code = 130


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown name: the closest known one, if any, and all of them."""
    options = sorted(known)
    near = difflib.get_close_matches(name, options, n=1)
    guess = f", did you mean {near[0]!r}?" if near else "."
    return f"unknown {kind} {name!r}{guess} Known: {', '.join(options) or 'none'}"


@contextmanager
def needs_extra(name: str, purpose: str) -> Iterator[None]:
    """Say which of this package's extras to install where an import fails.

    Args:
        name: of the extra.
        purpose: what needs it, such as `drawing meshes`.

    Raises:
        ConfigError: if it is not installed, with the command that installs it.
    """
    try:
        yield
    except ImportError as error:
        # What is missing of this package itself is no extra.
        if (error.name or "").startswith("seqjepa"):
            raise
        raise ConfigError(
            f"{purpose} needs the extra `{name}` ({error}): pip install 'seqjepa[{name}]'"
        ) from error
