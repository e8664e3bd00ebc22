"""What programs that measure runs share: their arguments, and a JSON file that grows by run."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def name_of(run_dir: Path) -> str:
    """Return the name of a run in files: the last two parts of its path."""
    return "/".join(run_dir.parts[-2:])


def measure_all(
    description: str | None,
    measure: Callable[[Path], Mapping[str, Any]],
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Measure the runs that the command line names, and keep their figures.

    Args:
        description: of the program, for its help.
        measure: returns the figures of a run, and prints what people want to know of it.
        settings: of the measurement, noted in the file.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_dirs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, help="a JSON file, to which the figures are added")
    options = parser.parse_args()

    data: dict[str, Any] = {"settings": dict(settings or {}), "runs": {}}
    if options.out and options.out.exists():
        data = json.loads(options.out.read_text())
    for run_dir in options.run_dirs:
        data["runs"][name_of(run_dir)] = measure(run_dir)
        # A run may take minutes: what is measured stays measured.
        if options.out:
            options.out.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n")
