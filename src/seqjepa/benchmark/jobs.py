"""The runs of a benchmark, and all that can be wrong with them before the first one starts."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from seqjepa.benchmark.contenders import Contender, contenders, folder_name
from seqjepa.benchmark.standings import Standing, finished, read, require_same_data
from seqjepa.config import Experiment, to_json
from seqjepa.devices import find_device, fork_rng
from seqjepa.errors import ConfigError, DataError
from seqjepa.from_json import differences
from seqjepa.model import build_method
from seqjepa.runs.config_file import portable
from seqjepa.runs.folder import WORLD, RunFolder, changed_data
from seqjepa.worlds.base import World, WorldConfig, WorldSpec

Device = str | torch.device | None


@dataclass(frozen=True)
class Job:
    """One run of the benchmark.

    Attributes:
        contender: who runs.
        seed: of the run.
        folder: of the run.
    """

    contender: Contender
    seed: int
    folder: Path

    @property
    def experiment(self) -> Experiment:
        """What is run."""
        return replace(self.contender.experiment, seed=self.seed)

    @property
    def done(self) -> bool:
        """Whether its results are there."""
        results = finished(self.folder)
        return results is not None and not differences(
            results["experiment"], portable(to_json(self.experiment))
        )

    def __str__(self) -> str:
        return f"{self.contender.name}, seed {self.seed}"


def plan(experiment: Experiment, texts: Sequence[str], out: Path, seeds: int) -> list[Job]:
    """All runs, seed by seed.

    Args:
        experiment: the recipe that contenders change.
        texts: contenders as they are written.
        out: the benchmark's folder.
        seeds: how many, from 0 on.

    Raises:
        ConfigError: if there are no contenders or seeds, or a contender is not one.
    """
    if seeds < 1:
        raise ConfigError(f"--seeds must be at least 1, got {seeds}")
    if not texts:
        raise ConfigError("name at least one contender after --methods, or all")
    chosen = contenders(texts, experiment)
    return [
        Job(each, seed, out / folder_name(each.name, seed))
        for seed in range(seeds)
        for each in chosen
    ]


def refuse(
    planned: Sequence[Job],
    out: Path,
    recipe: str,
    *,
    resume: bool,
    device: Device,
    warn: Callable[[str], None],
) -> None:
    """Raise what would otherwise be raised after hours; nothing has been written to the benchmark's
    folder then.

    Raises:
        ConfigError: if folders are there and not to be resumed, or hold something else; if a method
            does not fit the world.
        DataError: if the world's data are missing, too few for a batch, damaged, or not what the
            runs that are there were run on.
    """
    there = [job.folder for job in planned if job.folder.exists()]
    if there and not resume:
        others = f" and {len(there) - 1} other runs" if len(there) > 1 else ""
        raise ConfigError(
            f"{out} already holds {there[0].name}{others}: --resume to go on with them, or another --out"
        )
    left = [job for job in planned if not job.done]
    for job in left:
        try:
            RunFolder.check(job.folder, to_json(job.experiment), resume=True)
        except ConfigError as error:
            raise ConfigError(
                str(error).replace("--run-dir", "--out")
            ) from error  # what the option is called here
    ended = read(out, recipe, warn)
    _require_same_settings(planned, ended)
    _try(list({job.contender.name: job for job in left}.values()), ended, find_device(device))


def refuse_changed_data(job: Job, out: Path, recipe: str) -> None:
    """Raise a DataError if the data are no longer what the runs that have ended meanwhile, here or
    elsewhere, were run on."""
    if ended := read(out, recipe, lambda text: None):
        _require_same_data(job, ended, job.experiment.world.build().spec)


def _require_same_data(job: Job, ended: Sequence[Standing], spec: WorldSpec) -> None:
    """The data must be those of the runs that have ended, and of what there is of this one."""
    require_same_data(ended, job.experiment.world, spec, "the data")
    if (job.folder / WORLD).exists() and (changed := changed_data(job.folder, spec)):
        what = f"the data is not what {job.folder} was begun with"
        raise DataError(f"{what}; restore it, or choose another --out:\n  " + "\n  ".join(changed))


def _require_same_settings(planned: Sequence[Job], ended: Sequence[Standing]) -> None:
    """The runs that are already there must differ from ours of the same contender in nothing but
    the seed."""
    ours = {job.contender.name: job.contender.experiment for job in planned}
    for there in ended:
        if there.name in ours:
            mine = replace(ours[there.name], seed=there.experiment.seed)
            if changed := differences(to_json(there.experiment), to_json(mine)):
                raise ConfigError(
                    f"{there.folder} has run with other settings; choose another --out or undo:\n  "
                    + "\n  ".join(changed)
                )


def _try(jobs: Sequence[Job], ended: Sequence[Standing], device: torch.device) -> None:
    """Build all contenders, and show each a micro-batch: before minutes of rendering as far as
    their worlds can be told before."""
    for job in jobs:
        experiment = job.experiment
        with _naming(job.contender.name):
            if (outline := experiment.world.outline()) is not None:
                build_method(experiment, outline)
                outline.require_views(experiment.train.num_views)
    worlds: list[tuple[WorldConfig, World]] = []
    for job in jobs:
        experiment = job.experiment
        with _naming(job.contender.name):
            world = next((built for config, built in worlds if config == experiment.world), None)
            if world is None:
                world = experiment.world.build()
                worlds.append((experiment.world, world))
            _require_same_data(job, ended, world.spec)
            _try_batch(experiment, world, device)


def _try_batch(experiment: Experiment, world: World, device: torch.device) -> None:
    config = experiment.train
    method = build_method(experiment, world.spec).to(device).train()
    world.require("train", config.num_views, config.batch_size)
    size = config.batch_size // config.accumulate
    batch = next(
        world.loader("train", num_views=config.num_views, batch_size=size, seed=experiment.seed)
    ).to(device)
    with fork_rng(device), torch.no_grad():
        torch.manual_seed(experiment.seed)
        method(batch)


@contextmanager
def _naming(contender: str) -> Iterator[None]:
    """Errors name the contender."""
    try:
        yield
    except (ConfigError, DataError) as error:
        raise type(error)(f"contender {contender!r}: {error}") from error
