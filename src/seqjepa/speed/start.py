"""`seqjepa speed start`: P9, the time until the command line answers."""

import subprocess
import sys

from seqjepa.speed.figure import Amount, Figure
from seqjepa.speed.timing import alternate, children_clock


def figures(rounds: int = 5) -> list[Figure]:
    """P9: `seqjepa --help` against an interpreter that does nothing."""
    ours, plain = alternate(
        lambda: _run("-m", "seqjepa.cli", "--help"),
        lambda: _run("-c", "pass"),
        rounds,
        children_clock,
    )
    return [
        Figure(
            promise="P9",
            what="seqjepa --help",
            value=Amount(ours / plain, "x"),
            ours=Amount(ours, "s"),
            most=2,
            about="ours",
            plain=Amount(plain, "s", "(Python alone)"),
        )
    ]


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
