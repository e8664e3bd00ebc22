"""The runs of a benchmark, and all checks that are possible before the first one starts."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from seqjepa.benchmark.contenders import Contender, contenders, folder_name
from seqjepa.benchmark.standings import (
    Standing,
    read_finished,
    read_standings,
    require_same_data,
)
from seqjepa.config import Experiment, to_json
from seqjepa.devices import find_device, fork_rng
from seqjepa.errors import ConfigError, DataError
from seqjepa.from_json import differences
from seqjepa.model import build_method, require_fit
from seqjepa.runs.folder import WORLD, RunFolder, changed_data
from seqjepa.runs.movable import settled
from seqjepa.worlds.base import World, WorldConfig, WorldSpec

Device = str | torch.device | None


@dataclass(frozen=True)
class Job:
    """One run of the benchmark.

    Attributes:
        contender: what is run.
        seed: of the run.
        folder: of the run.
    """

    contender: Contender
    seed: int
    folder: Path

    @property
    def experiment(self) -> Experiment:
        """The contender's experiment with the run's seed."""
        return replace(self.contender.experiment, seed=self.seed)

    @property
    def done(self) -> bool:
        """True if its folder holds the results of this experiment."""
        results = read_finished(self.folder)
        if results is None:
            return False
        return not differences(settled(results["experiment"]), settled(to_json(self.experiment)))

    def __str__(self) -> str:
        return f"{self.contender.name}, seed {self.seed}"


def plan(experiment: Experiment, texts: Sequence[str], out: Path, seeds: int) -> list[Job]:
    """Return all runs, seed by seed.

    Args:
        experiment: the recipe that contenders change.
        texts: contenders as they are written.
        out: the benchmark's folder.
        seeds: number of seeds, from 0 on.

    Raises:
        ConfigError: if there are no contenders or seeds, or a contender is not one.
    """
    if seeds < 1:
        raise ConfigError(f"--seeds must be at least 1, got {seeds}")
    if not texts:
        raise ConfigError("name at least one contender after --methods, or all")
    chosen = contenders(texts, experiment)
    return [
        Job(contender, seed, out / folder_name(contender.name, seed))
        for seed in range(seeds)
        for contender in chosen
    ]


def require_startable(
    planned: Sequence[Job],
    out: Path,
    recipe: str,
    *,
    resume: bool,
    device: Device,
    warn: Callable[[str], None],
) -> None:
    """Raise at once the errors that would otherwise come after hours, before anything is written.

    Raises:
        ConfigError: if folders exist and are not to be resumed, or hold something else; if a method
            does not fit the world.
        DataError: if the world's data are missing, too few for a batch, damaged, or not those of
            the runs that have ended.
    """
    existing = [job.folder.name for job in planned if job.folder.exists()]
    if existing and not resume:
        others = f" and {len(existing) - 1} other runs" if len(existing) > 1 else ""
        raise ConfigError(
            f"{out} already holds {existing[0]}{others}: "
            "--resume to go on with them, or another --out"
        )

    left = [job for job in planned if not job.done]
    for job in left:
        try:
            RunFolder.check(job.folder, to_json(job.experiment), resume=True)
        except ConfigError as error:
            # The option has another name in a benchmark.
            raise ConfigError(str(error).replace("--run-dir", "--out")) from error

    ended = read_standings(out, recipe, warn)
    _require_same_settings(planned, ended)
    # Seeds of a contender fit or do not fit alike.
    one_of_each = list({job.contender.name: job for job in left}.values())
    _try(one_of_each, ended, find_device(device))


def require_unchanged_data(job: Job, out: Path, recipe: str) -> None:
    """Raise a DataError if the data are no longer those of the runs that have ended meanwhile.

    These may be runs of other processes too.
    """
    if ended := read_standings(out, recipe, lambda text: None):
        _require_data_of(job, ended, job.experiment.world.build().spec)


def _require_data_of(job: Job, ended: Sequence[Standing], spec: WorldSpec) -> None:
    """Raise a DataError if the data are not those of ended runs, or of this one's beginning."""
    require_same_data(ended, job.experiment.world, spec, "the data")
    if not (job.folder / WORLD).exists():
        return
    if changed := changed_data(job.folder, spec):
        listed = "\n  ".join(changed)
        raise DataError(
            f"the data is not what {job.folder} was begun with; "
            f"restore it, or choose another --out:\n  {listed}"
        )


def _require_same_settings(planned: Sequence[Job], ended: Sequence[Standing]) -> None:
    """Raise a ConfigError if ended runs differ from planned ones of the same contender.

    They may differ in the seed.
    """
    experiments = {job.contender.name: job.contender.experiment for job in planned}
    for standing in ended:
        if standing.name not in experiments:
            continue
        expected = replace(experiments[standing.name], seed=standing.experiment.seed)
        if changed := differences(
            settled(to_json(standing.experiment)), settled(to_json(expected))
        ):
            listed = "\n  ".join(changed)
            raise ConfigError(
                f"{standing.folder} has run with other settings; "
                f"choose another --out or undo:\n  {listed}"
            )


def _try(jobs: Sequence[Job], ended: Sequence[Standing], device: torch.device) -> None:
    """Build all contenders and their worlds, and show each contender a micro-batch."""
    # All that is known without building a world comes first: that may render for minutes.
    for job in jobs:
        with _naming(job.contender.name):
            job.experiment.optim.require_rise()
            require_fit(job.experiment)

    # Most contenders share one world, which is built once.
    worlds: list[tuple[WorldConfig, World]] = []
    for job in jobs:
        config = job.experiment.world
        with _naming(job.contender.name):
            world = next((built for other, built in worlds if other == config), None)
            if world is None:
                world = config.build()
                worlds.append((config, world))
            _require_data_of(job, ended, world.spec)
            _try_batch(job.experiment, world, device)


def _try_batch(experiment: Experiment, world: World, device: torch.device) -> None:
    """Pass a micro-batch through the experiment's method."""
    config = experiment.train
    method = build_method(experiment, world.spec).to(device).train()
    world.require("train", config.num_views, config.batch_size)
    size = config.batch_size // config.accumulate
    loader = world.loader(
        "train", num_views=config.num_views, batch_size=size, seed=experiment.seed
    )
    batch = next(loader).to(device)
    # What is random in the method must not shift the random numbers of the runs.
    with fork_rng(device), torch.no_grad():
        torch.manual_seed(experiment.seed)
        method(batch)


@contextmanager
def _naming(contender: str) -> Iterator[None]:
    """Name the contender in errors while it lasts."""
    try:
        yield
    except (ConfigError, DataError) as error:
        raise type(error)(f"contender {contender!r}: {error}") from error
