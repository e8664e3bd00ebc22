"""The runs that tables need, each with its folder and its state."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seqjepa.benchmark.standings import FAILED, read_finished
from seqjepa.config import Experiment, to_json
from seqjepa.errors import ConfigError, DataError
from seqjepa.evaluation.suite import PROBES, results_path
from seqjepa.from_json import differences
from seqjepa.model import require_fit
from seqjepa.report.runs import TRANSFER, read_results
from seqjepa.reproduce.layout import OOD, Run, Table
from seqjepa.reproduce.scales import DRAWN, Paths, Scale, build, elsewhere
from seqjepa.reproduce.tables import needed_parts
from seqjepa.runs.checkpoint import committed
from seqjepa.runs.folder import CHECKPOINTS, CONFIG, RunFolder
from seqjepa.runs.movable import settled

RUNS = "runs"
State = Literal["done", "begun", "missing", "failed", "no data"]


@dataclass(frozen=True)
class Job:
    """A run with one seed.

    Attributes:
        run: what it is.
        seed: of the run.
        folder: of the run.
        experiment: what is trained.
        parts: of the evaluation that tables ask for.
        ood: name of the split out of distribution that they ask for; empty for none.
        data: the option that has to name its data; empty if that is done.
        where: field of the world and path of further data, for the evaluation alone.
        others: the experiment of each part about another world.
        unnamed: the option that has to name the data of such a part, where that is not done.
    """

    run: Run
    seed: int
    folder: Path
    experiment: Experiment
    parts: tuple[str, ...]
    ood: str = ""
    data: str = ""
    where: tuple[tuple[str, str], ...] = ()
    others: tuple[tuple[str, Experiment], ...] = ()
    unnamed: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.folder.name

    @property
    def steps(self) -> int:
        """Steps in its newest checkpoint, 0 without one."""
        return max(committed(self.folder / CHECKPOINTS), default=0)

    @property
    def trained(self) -> bool:
        """True if it has been trained to its last step."""
        return self.steps == self.experiment.train.steps

    @property
    def missing_parts(self) -> list[str]:
        """The parts of the trained model's evaluation that are not there yet, or damaged."""
        return [part for part in self.parts if not self._has(part)]

    @property
    def options(self) -> list[str]:
        """The options that have to name data, of its training and of parts that are missing."""
        missing = self.missing_parts
        further = [option for part, option in self.unnamed if part in missing]
        names = dict.fromkeys(name for name in (self.data, *further) if name)
        return [f"--{name.replace('_', '-')} PATH" for name in names]

    @property
    def state(self) -> State:
        """The state that it is in."""
        missing = self.missing_parts
        if self.trained and not missing:
            return "done"
        # Nothing is trained for parts that cannot be asked yet.
        if self.data or (missing and set(missing) <= dict(self.unnamed).keys()):
            return "no data"
        if (self.folder / FAILED).exists():
            return "failed"
        return "begun" if (self.folder / CONFIG).exists() else "missing"

    def _has(self, part: str) -> bool:
        path = part_path(self.folder, part)
        try:
            if part == PROBES:
                results = read_finished(self.folder)
            else:
                results = read_results(path) if path.exists() else None
        except DataError:
            return False  # damaged: it is asked again
        if results is None or results["step"] != self.experiment.train.steps:
            return False
        # Evaluated with other settings, or before data out of distribution were named.
        own = dict(self.others).get(part, self.experiment)
        if differences(settled(results["experiment"]), settled(to_json(own))):
            return False
        splits = {record["split"] for record in results["records"]}
        return part != PROBES or not self.ood or self.ood in splits


def plan(tables: Sequence[Table], scale: Scale, out: Path, paths: Paths, seeds: int) -> list[Job]:
    """Return the runs that tables need, seed by seed, those that several need once.

    Args:
        tables: of the paper.
        scale: how large.
        out: the folder of it all.
        paths: of data, by the name of their option.
        seeds: number of seeds, from 0 on.

    Raises:
        ConfigError: if there are no seeds.
    """
    if seeds < 1:
        raise ConfigError(f"--seeds must be at least 1, got {seeds}")

    asked = {
        run
        for table in tables
        for cell in table.cells
        if cell.where.split == OOD
        for run in cell.runs
    }
    needed = needed_parts(tables)
    return [
        _job(run, seed, scale, out, paths, parts, asks_ood=run in asked)
        for seed in range(seeds)
        for run, parts in needed.items()
    ]


def job_folder(out: Path, run: Run, seed: int) -> Path:
    """Return the folder of a run."""
    return out / RUNS / f"{run.name}_seed{seed}"


def part_path(folder: Path, part: str) -> Path:
    """Return the file of a part's results in a run's folder, of one about another world, too."""
    return folder / f"{part}.json" if part.startswith(TRANSFER) else results_path(folder, part)


def _job(
    run: Run,
    seed: int,
    scale: Scale,
    out: Path,
    paths: Paths,
    parts: tuple[str, ...],
    *,
    asks_ood: bool,
) -> Job:
    """Return a run with one seed; `asks_ood` is whether tables ask for the split of `OOD`."""
    source, experiment = scale.sources[run.data], build(run, scale, paths, seed)
    ood = source.ood if asks_ood else ""
    where: tuple[tuple[str, str], ...] = ()
    # At the paper's scale the split out of distribution is a data set of its own, which training
    # does not need: it can be named later.
    if source.data and asks_ood:
        option = f"{source.data}_{OOD}"
        ood = ood if option in paths else ""
        where = (("ood_path", paths[option]),) if option in paths else ()

    worlds = {part: part.removeprefix(TRANSFER) for part in parts if part.startswith(TRANSFER)}
    options = {part: _unnamed(scale, world, paths) for part, world in worlds.items()}
    others = {part: elsewhere(experiment, world, scale, paths) for part, world in worlds.items()}
    return Job(
        run=run,
        seed=seed,
        folder=job_folder(out, run, seed),
        experiment=experiment,
        parts=parts,
        ood=ood,
        data=_unnamed(scale, run.data, paths),
        where=where,
        others=tuple(others.items()),
        unnamed=tuple((part, option) for part, option in options.items() if option),
    )


def _unnamed(scale: Scale, data: str, paths: Paths) -> str:
    """Return the option that has to name the data of a source; empty if that is done."""
    option = scale.sources[data].data
    return "" if option in ("", *DRAWN, *paths) else option


def require_startable(jobs: Sequence[Job]) -> None:
    """Raise the errors that are known before anything is written.

    Raises:
        ConfigError: if a folder holds another run, or a method does not fit.
    """
    for job in jobs:
        try:
            # Without weights: there may be a hundred of the paper's nets.
            require_fit(job.experiment, "meta")
            RunFolder.check(job.folder, to_json(job.experiment), resume=True)
        except ConfigError as error:
            # The option has another name here.
            raise ConfigError(f"{job}: {error}".replace("--run-dir", "--out")) from error
