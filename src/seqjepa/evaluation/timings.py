"""`timings.json` beside results: the seconds that each stage behind a file of results took.

They stand apart from the results, so that evaluating twice writes the same results.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqjepa.files import json_bytes, write_atomically

TIMINGS = "timings.json"


def note_seconds(folder: Path, file: str, seconds: Mapping[str, float]) -> None:
    """Note the seconds of each stage behind a file of results, in place of earlier ones.

    Args:
        folder: of the results, see `subject.results_folder`.
        file: of the results, below it, such as `suite/group.json`.
        seconds: by stage.

    Raises:
        OSError: if they cannot be written.
    """
    rounded = {stage: round(each, 1) for stage, each in seconds.items()}
    known = _read(folder / TIMINGS) | {file: rounded}
    write_atomically(folder / TIMINGS, json_bytes(known))


def seconds_of(folder: Path, file: str = "results.json") -> dict[str, float]:
    """Return the seconds of each stage behind a file of results; empty if none were noted.

    Results of earlier versions hold them themselves.
    """
    noted: dict[str, float] = _read(folder / TIMINGS).get(file, {})
    return noted or _read(folder / file).get("seconds", {})


def _read(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one if it is not there or damaged."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
