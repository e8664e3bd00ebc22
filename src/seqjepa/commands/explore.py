"""`seqjepa explore RUN_DIR`: a page in the browser on which the run's model imagines views.

The page is served to this machine alone, until Ctrl-C.
"""

import sys
import threading
import webbrowser
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import UseAppendAction

from seqjepa.commands.options import parse, take_paths
from seqjepa.devices import find_device
from seqjepa.errors import needs_extra
from seqjepa.explore.exploration import Exploration
from seqjepa.recipes import load_code


@dataclass(frozen=True, kw_only=True)
class ExploreOptions:
    """The run, and the page.

    `--world.path NEW` reads the same data from where they are now.
    """

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Folder of the run."""
    port: int = 8080
    """Of the page, on this machine alone; 0 for any that is free."""
    open: bool = False
    """Open the page in a browser."""
    code: UseAppendAction[tuple[Path, ...]] = ()
    """A Python file of your own that defines the run's world or method; repeat it for several."""
    device: str | None = None
    """cpu, cuda, cuda:1 ...; default: CUDA where there is one."""


def main(arguments: list[str]) -> None:
    """Parse, open the run and serve the page until Ctrl-C."""
    paths, arguments = take_paths(arguments)
    options = parse(ExploreOptions, arguments, prog="seqjepa explore")
    with needs_extra("explore", "`seqjepa explore`"):
        from seqjepa.explore.page import Page, require_free

    for file in options.code:
        load_code(file)
    # Opening the run takes a while: what can be refused at once is.
    require_free(options.port)
    exploration = Exploration.open(options.run_dir, find_device(options.device), paths)
    page = Page(exploration, str(options.run_dir), options.port)
    sys.stdout.write(f"open {page.address} in a browser of this machine; Ctrl-C ends it\n")
    sys.stdout.flush()
    if options.open:
        webbrowser.open(page.address)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
    page.close()
