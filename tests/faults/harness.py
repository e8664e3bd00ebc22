"""A shell that runs `seqjepa` commands, each in a process of its own.

It is quick: processes are forked from a server that has imported everything once. A child is a
process like any other: it can be killed, gets signals, and ends with the command's exit code.
"""

import json
import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from seqjepa import cli
from seqjepa.runs import checkpoint

TINY = str(Path(__file__).with_name("tiny.py"))
TIME_OUT = 120.0  # many times what a command takes, for machines with much else to do

Sabotage = Callable[[], None]

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(
    ["pytest", "faults.harness", "seqjepa.commands.train", "seqjepa.commands.evaluate"]
)


@dataclass(frozen=True)
class Result:
    """The end of a command; a negative code is the signal that ended it."""

    code: int
    output: str


@dataclass(frozen=True)
class Child:
    """A command under way."""

    process: BaseProcess
    output: Path
    began: float

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def wait(self, time_out: float = TIME_OUT) -> Result:
        """Wait for the end; a command that hangs is killed and fails the test."""
        self.process.join(time_out)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise AssertionError(f"no end after {time_out} s:\n{self.output.read_text()}")
        return Result(self.process.exitcode, self.output.read_text())

    def wait_for(self, condition: Callable[[], bool], time_out: float = TIME_OUT) -> None:
        """Wait until a condition holds while the command goes on."""
        while not condition():
            assert self.process.is_alive(), f"ended too early:\n{self.output.read_text()}"
            assert time.monotonic() < self.began + time_out, (
                f"not within {time_out} s:\n{self.output.read_text()}"
            )
            time.sleep(0.005)


@dataclass(frozen=True)
class Shell:
    """The folder where commands of one test leave their output, besides run folders."""

    folder: Path

    def start(self, *arguments: str | Path, sabotage: Sabotage | None = None) -> Child:
        """Start `seqjepa ARGUMENTS`; the sabotage, a picklable function, comes first."""
        output = self.folder / f"output_{time.monotonic_ns()}.txt"
        output.touch()
        process = _server.Process(
            target=_run, args=([str(argument) for argument in arguments], output, sabotage)
        )
        process.start()
        return Child(process, output, time.monotonic())

    def run(self, *arguments: str | Path, sabotage: Sabotage | None = None) -> Result:
        """Run `seqjepa ARGUMENTS` to its end."""
        return self.start(*arguments, sabotage=sabotage).wait()

    def start_ranks(
        self,
        *arguments: str | Path,
        sabotage: Mapping[int, Sabotage] | None = None,
        number: int = 2,
    ) -> list[Child]:
        """Start `seqjepa ARGUMENTS` on several ranks, with torchrun's environment.

        Each rank may have a sabotage of its own.
        """
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]

        shared = {
            "WORLD_SIZE": f"{number}",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": f"{port}",
        }
        children = []
        for rank in range(number):
            variables = {"RANK": f"{rank}"} | shared
            own = (sabotage or {}).get(rank)
            children.append(self.start(*arguments, sabotage=partial(_as_rank, variables, own)))
        return children

    def train_ranks(
        self,
        run: Path,
        *arguments: str | Path,
        sabotage: Mapping[int, Sabotage] | None = None,
        number: int = 2,
    ) -> list[Result]:
        """Train the tiny recipe on several ranks to their end."""
        children = self.start_ranks(
            "train", TINY, "--run-dir", run, *arguments, sabotage=sabotage, number=number
        )
        return [child.wait() for child in children]

    def train(self, run: Path, *arguments: str | Path, sabotage: Sabotage | None = None) -> Result:
        """Train the tiny recipe in a run folder to its end."""
        return self.run("train", TINY, "--run-dir", run, *arguments, sabotage=sabotage)


def _as_rank(variables: Mapping[str, str], sabotage: Sabotage | None) -> None:
    os.environ.update(variables)
    if sabotage is not None:
        sabotage()


def _run(arguments: list[str], output: Path, sabotage: Sabotage | None) -> None:
    # Whatever is written to the terminal goes to the file, even from below Python.
    descriptor = os.open(output, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)

    torch.set_num_threads(1)
    if sabotage is not None:
        sabotage()
    cli.main(arguments)


def steps(run: Path) -> list[int]:
    """Return the steps of all finished checkpoints."""
    return list(checkpoint.committed(run / "checkpoints"))


def digest(run: Path) -> str:
    """Return the hash of the newest checkpoint."""
    return checkpoint.digest(checkpoint.committed(run / "checkpoints")[steps(run)[-1]])


def metrics(run: Path) -> list[dict[str, Any]]:
    """Return every whole line of the log, without its times, which no run has twice."""
    path = run / "metrics.jsonl"
    text = path.read_text() if path.exists() else ""
    return [
        {key: value for key, value in json.loads(line).items() if key != "time"}
        for line in text.splitlines(keepends=True)
        if line.endswith("\n")
    ]


def logged(run: Path) -> int:
    """Return the last step in the log, 0 if there is none."""
    return metrics(run)[-1]["step"] if metrics(run) else 0


def files(run: Path) -> set[str]:
    """Return the names of all files of a run folder."""
    return {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}


def contents(run: Path) -> dict[str, bytes]:
    """Return all files of a run folder, by name, with their contents."""
    return {name: (run / name).read_bytes() for name in files(run)}
