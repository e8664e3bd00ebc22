"""Evaluation of a trained run on held-out objects, beside two controls. Writes `results.json`.

Every figure is measured on several kinds of features: the `model`'s, its readouts' where a method
    has any, a `random` model's (same
architecture, untrained) and raw `pixels`. Beyond the paper's protocol: these controls, the splits
out of distribution, and the mean of M views' z and of their logits beside their z_AGG."""

import itertools
import math
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from seqjepa.actions import ActionSpace
from seqjepa.config import EvaluateConfig, Experiment, to_json
from seqjepa.devices import find_device, fork_rng, place, use_bf16
from seqjepa.errors import DiskError
from seqjepa.evaluation.features import (
    FeatureTable,
    Sampling,
    aggregate,
    device_of,
    extract,
    extract_pixels,
    frozen,
    windows,
)
from seqjepa.evaluation.probes import generator
from seqjepa.evaluation.protocol import Protocol, Record, labelled
from seqjepa.files import json_bytes, write_atomically
from seqjepa.methods.base import Method
from seqjepa.model import build_method, load
from seqjepa.runs.config_file import dump_config
from seqjepa.runs.folder import changed_data
from seqjepa.worlds.base import World

FORMAT = 1
FEW_STEPS = 200  # of training a probe; with fewer it may hardly have left the mean
CALIBRATION = 8  # training batches that the BatchNorm statistics of the random model come from


class Stages:
    """What is being done, on the terminal, and the seconds that each stage took."""

    def __init__(self, progress: bool) -> None:
        self.console = Console(stderr=True, quiet=not progress)
        self.seconds: dict[str, float] = {}

    def warn(self, message: str) -> None:
        """A line that stays, whether progress is told or not."""
        Console(stderr=True).print(
            f"warning: {message}", style="yellow", soft_wrap=True, markup=False, highlight=False
        )

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """A status line while it lasts; a plain line with the time it took when it is done."""
        began = time.perf_counter()
        with self.console.status(f"{name} ..."):
            yield
        self.seconds[name] = time.perf_counter() - began
        self.console.print(f"{name}: {self.seconds[name]:.1f} s", highlight=False)


def evaluate(
    run_dir: str | Path,
    *,
    split: str = "test",
    config: EvaluateConfig | None = None,
    progress: bool = True,
    device: str | torch.device | None = None,
) -> dict[str, Any]:
    """Evaluate a run's newest checkpoint and write `results.json` into its folder, whole or not at
    all.

    Args:
        run_dir: of the run.
        split: held-out objects of the training distribution: `test`, or `val` while choosing
            settings.
        config: how to probe, if not as the run's experiment says.
        progress: say on the terminal what is being done.
        device: default: CUDA where there is one, else the CPU.

    Returns:
        The contents of `results.json`: beside `records`, what they came from. `machine` says where
            and in which precision was evaluated
        and `trained` the same of the training; `data` are the digests of what was evaluated on, and
        `changed_data` says in what it differs from what was trained on.

    Raises:
        ConfigError: if the folder is no run.
        CheckpointError: if it has no valid checkpoint.
        DataError: if the world's data are missing or the split is unknown.
        DiskError: if the results cannot be written.
    """
    stages = Stages(progress)
    where = find_device(device)
    with stages("model and world"):
        model = load(run_dir, where, warn=stages.warn)
        experiment = (
            model.experiment if config is None else replace(model.experiment, evaluate=config)
        )
        world = experiment.world.build().to(where)
    if changed := changed_data(Path(run_dir), world.spec):
        stages.warn(
            f"the data is not what the run in {run_dir} was trained on: {'; '.join(changed)}"
        )
    records, sizes = measure(model.method, experiment, world, split=split, stages=stages)
    results = {
        "format": FORMAT,
        "experiment": dump_config(to_json(experiment)),
        "seed": experiment.seed,
        "step": model.step,
        "split": split,
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("seqjepa", "torch", "numpy", "scikit-learn")},
        "machine": {"cpu": _cpu(), "threads": torch.get_num_threads()}
        | place(experiment.evaluate.precision, where),
        "trained": model.environment,
        "seconds": {name: round(seconds, 1) for name, seconds in stages.seconds.items()},
        "data": world.spec.data,
        "changed_data": changed,
        "sizes": sizes,
        "records": [asdict(record) for record in records],
    }
    path = Path(run_dir) / "results.json"
    try:
        write_atomically(path, json_bytes(results))
    except OSError as error:
        raise DiskError(f"cannot write {path}: {error.strerror}") from error
    return results


def measure(
    method: Method, experiment: Experiment, world: World, *, split: str, stages: Stages
) -> tuple[list[Record], dict[str, int]]:
    """All figures of a method, which is left as it was, and the number of objects of each split
    that they come from."""
    config, spec, device = experiment.evaluate, world.spec, device_of(method)
    known_splits = ("train", "val", "test", spec.probe_split)
    splits = {"train": spec.probe_split} | {
        name: name for name in (split, *(name for name in spec.splits if name not in known_splits))
    }
    for name in splits.values():
        world.require(name, 2)  # a pair, before anything is computed
    if few := _few_steps(config, world.size(splits["train"])):
        stages.warn(few)
    draws, most = config.encoded(spec.ordered)
    views = {name: min(most, world.views(source) or most) for name, source in splits.items()}
    longest = {name: min(config.views, views["train"], number) for name, number in views.items()}
    bf16 = use_bf16(config.precision, device)
    with stages("random model"):
        control = random_control(experiment, world, device)
    records: list[Record] = []
    for kind, source in (("model", method), ("random", control), ("pixels", None)):
        protocol, tables, sequences = Protocol(kind, config, experiment.seed), {}, None
        with stages(f"{kind}: features"):
            for name, source_split in splits.items():
                objects = config.objects if name == "train" else None
                sampling = Sampling(
                    num_views=views[name], seed=experiment.seed, draws=draws, objects=objects
                )
                if source is None:
                    tables[name] = extract_pixels(world, source_split, sampling, device)
                else:
                    tables[name] = extract(source, world, source_split, sampling, bf16=bf16)
        known = labelled(tables)
        if source is not None and source.aggregates and known:
            with stages(f"{kind}: sequences"):
                sequences = {}
                for name, table in known.items():
                    orders = windows(
                        table.views.shape[1], longest[name], config.draws, table.sequence_length
                    )
                    sequences[name] = aggregate(source, table, spec.actions, orders, bf16=bf16)
        records += _probe(protocol, tables, known, sequences, spec.factors, stages)
        if source is method:
            for name, read in _readouts(method, world, experiment.seed).items():
                with stages(f"{name}: features"), frozen(method):
                    read_tables = {split: table.read(read) for split, table in tables.items()}
                records += _probe(
                    Protocol(name, config, experiment.seed),
                    read_tables,
                    labelled(read_tables),
                    None,
                    spec.factors,
                    stages,
                )
    return records, {name: len(table) for name, table in tables.items()}


def _few_steps(config: EvaluateConfig, objects: int) -> str:
    """What is to be done where probes would hardly learn, since epochs over few objects are few
    steps; empty where all is well."""
    objects = min(objects, config.objects or objects)
    enough = math.ceil(FEW_STEPS / math.ceil(objects / config.batch_size))
    names = [
        name
        for name in ("linear_epochs", "mlp_epochs", "linear_regression_epochs")
        if getattr(config, name) < enough
    ]
    if not names:
        return ""
    options = " ".join(f"--{name.replace('_', '-')} {enough}" for name in names)
    return f"probes of {objects} objects learn in fewer than {FEW_STEPS} steps and may tell less than is there: evaluate with {options}"


def _probe(
    protocol: Protocol,
    tables: Mapping[str, FeatureTable],
    known: Mapping[str, FeatureTable],
    sequences: Mapping[str, Tensor] | None,
    factors: ActionSpace,
    stages: Stages,
) -> list[Record]:
    """All figures of one kind of features."""
    records: list[Record] = []
    if known:
        with stages(f"{protocol.features}: class probes"):
            records += protocol.classify(known, sequences)
    with stages(f"{protocol.features}: factor probes"):
        return records + protocol.regress(tables, factors)


def _readouts(method: Method, world: World, seed: int) -> Mapping[str, Callable[[Tensor], Tensor]]:
    """The method's other representations; the context that they may read is drawn from the training
    objects."""
    size = min(method.context_size, world.size("train"))
    context = next(world.loader("train", num_views=2, batch_size=size, seed=seed)).to(
        device_of(method)
    )
    with frozen(method), torch.inference_mode():
        return method.readouts(context)


def random_control(experiment: Experiment, world: World, device: torch.device) -> Method:
    """The experiment's method as it was before training, of another seed; its BatchNorm statistics
    are those of training batches, else the comparison with a trained model, whose statistics fit
    its features, would not be fair."""
    seed = generator(experiment.seed, "random model").initial_seed() % 2**31
    control = build_method(replace(experiment, seed=seed), world.spec).to(device).train()
    for module in control.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the plain mean over all batches
    train = experiment.train
    batches = world.loader(
        "train", num_views=train.num_views, batch_size=train.batch_size, seed=seed
    )
    with fork_rng(device), torch.no_grad():
        torch.manual_seed(seed)  # of dropout
        for batch in itertools.islice(batches, CALIBRATION):
            for micro in batch.to(device).chunk(train.accumulate):
                control(micro)
    return control


def _cpu() -> str:
    """What the processor is called, where the system says so."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
