"""The committed results: docs/results/EXPERIMENT/RUN_seedS.json, see scripts/experiments.py.

Further parts of a run's evaluation are in docs/results/parts/EXPERIMENT/RUN_seedS.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from seqjepa.report.runs import Run, Variant, read_records, read_results

DOCS = Path(__file__).parents[2] / "docs"
RESULTS = DOCS / "results"

T = TypeVar("T")


class MissingError(KeyError):
    """A run, or a figure of it, that is asked for is not among the committed ones."""


def by_run(figures: Mapping[str, T]) -> dict[str, list[T]]:
    """Return figures of single runs, `experiment/run_seedS`, by `experiment/run`."""
    found: dict[str, list[T]] = {}
    for name, measured in figures.items():
        found.setdefault(name.rpartition("_seed")[0], []).append(measured)
    return found


def asked(variant: Variant, part: str) -> int:
    """Return the number of runs that a part of the evaluation was asked of."""
    return sum(part in run.parts for run in variant.runs)


def measured(
    variant: Variant, part: str, features: str, task: str, metric: str, views: int
) -> list[float]:
    """Return a figure of a part of the evaluation, of each run that has it."""
    about = (features, task, metric, views)
    return [
        record.value
        for run in variant.runs
        for record in run.parts.get(part, ())
        if (record.features, record.task, record.metric, record.views) == about
    ]


class Committed(Mapping[str, Variant]):
    """The committed runs by their names, `experiment/run`; the seeds of a run are one variant.

    Args:
        variants: by name.
    """

    def __init__(self, variants: Mapping[str, Variant]) -> None:
        self._variants = variants

    @classmethod
    def read(cls, folder: Path = RESULTS) -> "Committed":
        """Read all results in a folder."""
        runs: dict[str, list[Run]] = {}
        for path in sorted(folder.glob("*/*_seed*.json")):
            results = read_results(path)
            name, _, _ = path.stem.rpartition("_seed")
            found = runs.setdefault(f"{path.parent.name}/{name}", [])
            parts = {
                part.stem: read_records(part)
                for part in sorted((folder / "parts" / path.parent.name / path.stem).glob("*.json"))
            }
            found.append(Run(path, results["experiment"], {}, results, parts=parts))
        return cls({name: Variant(name, tuple(found)) for name, found in runs.items()})

    def __getitem__(self, name: str) -> Variant:
        if name not in self._variants:
            raise MissingError(name)
        return self._variants[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variants)

    def __len__(self) -> int:
        return len(self._variants)

    def __contains__(self, name: object) -> bool:
        return name in self._variants
