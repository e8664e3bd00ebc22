"""The parts of an evaluation: each a question to a run, with a file of results in its folder.

`probes` writes `results.json`, every other part `suite/NAME.json`. A part is a function of a
`Subject` that returns records, in a module of its own; it raises `NotApplicableError` where a run
lacks what is asked for, such as a predictor.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from seqjepa.config import EvaluateConfig
from seqjepa.display import silenced
from seqjepa.errors import ConfigError, SeqJepaError, unknown
from seqjepa.evaluation.evaluate import RESULTS, probe
from seqjepa.evaluation.group import group
from seqjepa.evaluation.health import health
from seqjepa.evaluation.path import path
from seqjepa.evaluation.planning import planning
from seqjepa.evaluation.protocol import Record
from seqjepa.evaluation.retrieval import retrieval
from seqjepa.evaluation.stages import stages
from seqjepa.evaluation.subject import Subject

PROBES, FULL, FOLDER = "probes", "full", "suite"
PARTS: Mapping[str, Callable[[Subject], Sequence[Record]]] = {
    "retrieval": retrieval,
    "group": group,
    "path": path,
    "planning": planning,
    "health": health,
    "stages": stages,
}


@dataclass(frozen=True)
class Outcome:
    """The outcome of a part.

    Attributes:
        name: of the part.
        path: of its file.
        results: contents of the file; None if there is none.
        error: why there is none; a `NotApplicableError` if the run cannot be asked that.
    """

    name: str
    path: Path
    results: dict[str, Any] | None = None
    error: SeqJepaError | None = None


def evaluate_suite(
    run_dir: str | Path,
    parts: Collection[str],
    *,
    split: str = "test",
    config: EvaluateConfig | None = None,
    progress: bool = True,
    device: str | torch.device | None = None,
    quick: bool = False,
    paths: Mapping[str, str] | None = None,
) -> Iterator[Outcome]:
    """Ask a run's newest checkpoint several questions, and write a file for each.

    Each part is asked when its outcome is taken from the iterator. One that fails does not keep the
    others from being asked.

    Args:
        run_dir: of the run.
        parts: their names, or one; `full` for all.
        split, config, progress, device, quick, paths: see `evaluate`.

    Yields:
        The outcome of each part, in the order in which they were named.

    Raises:
        ConfigError: if a part is unknown; and whatever `evaluate` raises before it measures.
    """
    names = chosen_parts(parts)
    with silenced(not progress):
        subject = Subject.open(
            Path(run_dir),
            split=split,
            config=config,
            progress=progress,
            device=device,
            paths=paths,
        )
    for name in names:
        # Not while the caller has the outcome.
        with silenced(not progress):
            outcome = _ask(subject, name, quick)
        yield outcome


def chosen_parts(parts: Collection[str]) -> list[str]:
    """Return the names of parts, each once, where one may be given alone.

    Raises:
        ConfigError: if one is unknown.
    """
    known = [PROBES, *PARTS]
    names = [parts] if isinstance(parts, str) else list(parts)
    for name in names:
        if name not in (*known, FULL):
            raise ConfigError(unknown("part of the suite", name, (*known, FULL)))
    return known if FULL in names else list(dict.fromkeys(names))


def results_path(folder: Path, name: str) -> Path:
    """Return the file of a part's results in the folder of a split's results."""
    return folder / _file(name)


def _file(name: str) -> str:
    return RESULTS if name == PROBES else f"{FOLDER}/{name}.json"


def _ask(subject: Subject, name: str, quick: bool) -> Outcome:
    """Ask one question and write its file."""
    path = results_path(subject.results_dir, name)
    try:
        if name == PROBES:
            results = probe(subject, quick=quick)
        else:
            with subject.stages(name):
                records = [asdict(record) for record in PARTS[name](subject)]
            results = subject.header() | {"part": name, "records": records}
        subject.write(_file(name), results)
    except SeqJepaError as error:
        return Outcome(name, path, error=error)
    return Outcome(name, path, results)
