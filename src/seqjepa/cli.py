"""The command line: one function that finds a command, runs it and returns an exit code.

Each command is a dataclass that tyro turns into options. Heavy imports wait until a command needs
them.
"""

import importlib
import io
import keyword
import os
import sys
from collections.abc import Sequence

from seqjepa.errors import Interrupted, SeqJepaError, unknown

RENAMED = {"bench": "speed"}  # commands of earlier versions
COMMANDS = {
    "train": "train a recipe: seqjepa train shapes_tiny --run-dir runs/demo",
    "import": "a run from weights of other code: seqjepa import FILE.pth",
    "evaluate": "probe a trained run: seqjepa evaluate runs/demo",
    "benchmark": "compare methods in a recipe: "
    "seqjepa benchmark shapes_tiny --methods all --seeds 3",
    "reproduce": "the paper's tables, ours beside them: seqjepa reproduce table1 --scale tiny",
    "decode": "train a decoder that draws what a run imagines: seqjepa decode runs/demo",
    "explore": "turn objects in the browser and see what a run imagines: seqjepa explore runs/demo",
    "report": "one HTML page of one or more runs: seqjepa report runs/demo --out report",
    "export": "share a trained model: seqjepa export runs/demo --format hub",
    "data": "check, pack or render data, or compute saliency: seqjepa data check PATH",
    "speed": "measure speed against a plain reference: seqjepa speed step",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code (see `seqjepa.errors`)."""
    # A name that the terminal cannot write is no reason to end.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            code = run(list(sys.argv[1:] if arguments is None else arguments))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output (`| head`) has seen enough. Without a new stdout, Python's last
        # flush would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141  # 128 + SIGPIPE, which Windows does not have
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code.

    Errors that are raised on purpose become one message on stderr; `--debug` adds the traceback.
    """
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_help())
        return 0
    if arguments[0] == "--version":
        from importlib.metadata import version

        sys.stdout.write(f"seqjepa {version('seqjepa')}\n")
        return 0

    command, *rest = arguments
    if command in RENAMED:
        sys.stderr.write(f"error: `seqjepa {command}` is now `seqjepa {RENAMED[command]}`\n")
        return 2
    if command not in COMMANDS:
        sys.stderr.write(f"error: {unknown('command', command, COMMANDS)}\n")
        return 2

    # Set by torchrun, which only training is made for.
    rank = os.environ.get("RANK") if os.environ.get("WORLD_SIZE", "1") != "1" else None
    if rank is not None and command != "train":
        sys.stderr.write(
            "error: only `seqjepa train` runs on several processes: "
            f"start `seqjepa {command}` without torchrun\n"
        )
        return 2

    # Where there is no home folder matplotlib says so; it goes on, and that is all. Imported late:
    # help and mistakes need no logging.
    import logging

    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        importlib.import_module(module_of(command)).main(rest)
    except SeqJepaError as error:
        if debug:
            raise
        prefix = "" if rank is None else f"rank {rank}: "
        sys.stderr.write(f"error: {prefix}{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return Interrupted.exit_code
    return 0


def module_of(command: str) -> str:
    """Return the name of a command's module; that of `import`, a word of Python's, is `import_`."""
    return f"seqjepa.commands.{command}{'_' * keyword.iskeyword(command)}"


def _help() -> str:
    usage = "usage: seqjepa COMMAND [OPTIONS]; seqjepa COMMAND --help says more"
    commands = "\n".join(f"  {name:10}{text}" for name, text in COMMANDS.items())
    return f"{usage}\n\n{commands}\n\n  --debug   show tracebacks\n  --version show the version\n"


if __name__ == "__main__":
    main()
