"""`seqjepa speed start`: P9, the time until the command line answers."""

import subprocess
import sys
from functools import partial

from seqjepa.speed.figure import Amount, Figure
from seqjepa.speed.timing import alternate, children_clock


def figures(rounds: int = 5) -> list[Figure]:
    """Measure P9: `seqjepa --help` against an interpreter that does nothing."""
    # The work is done in child processes, so it is their time that counts.
    ask_help = partial(_run, "-m", "seqjepa.cli", "--help")
    do_nothing = partial(_run, "-c", "pass")
    ours, plain = alternate(ask_help, do_nothing, rounds, children_clock)

    figure = Figure(
        promise="P9",
        what="seqjepa --help",
        value=Amount(ours / plain, "x"),
        ours=Amount(ours, "s"),
        most=2,
        about="ours",
        plain=Amount(plain, "s", "(Python alone)"),
    )
    return [figure]


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
