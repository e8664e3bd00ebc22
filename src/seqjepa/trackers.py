"""Optional trackers: each takes every record that goes to metrics.jsonl."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from seqjepa.errors import ConfigError

Tracker = Callable[[Mapping[str, Any]], None]


def tensorboard(run_dir: Path) -> Tracker:
    """Event files in the run folder's `tensorboard`."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(f"tracking with TensorBoard needs it: pip install 'seqjepa[tensorboard]' ({error})") from error
    writer = SummaryWriter(str(run_dir / "tensorboard"))

    def track(record: Mapping[str, Any]) -> None:
        for name, value in _flat(record).items():
            writer.add_scalar(name, value, record["step"])
        writer.flush()

    return track


def wandb(run_dir: Path) -> Tracker:
    """A Weights & Biases run of the folder's name; resumed runs go on in the same one."""
    try:
        import wandb as client
    except ImportError as error:
        raise ConfigError(f"tracking with W&B needs it: pip install 'seqjepa[wandb]' ({error})") from error
    run = client.init(project="seqjepa", id=run_dir.name, name=run_dir.name, dir=str(run_dir), resume="allow")

    def track(record: Mapping[str, Any]) -> None:
        run.log(_flat(record), step=record["step"])

    return track


def _flat(record: Mapping[str, Any]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, value in record.items():
        flat |= {f"{name}/{inner}": x for inner, x in value.items()} if isinstance(value, Mapping) else {name: value}
    return flat


TRACKERS = {"tensorboard": tensorboard, "wandb": wandb}
