"""Optional trackers: functions that take every record of metrics.jsonl.

Their packages are imported before a run begins to write, so that a missing one costs nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from seqjepa.errors import needs_extra
from seqjepa.files import sha256

Tracker = Callable[[Mapping[str, Any]], None]


def tensorboard() -> Callable[[Path], Tracker]:
    """Return a tracker that writes event files to the run folder's `tensorboard`.

    Raises:
        ConfigError: if it is not installed.
    """
    with needs_extra("tensorboard", "tracking with TensorBoard"):
        from torch.utils.tensorboard import SummaryWriter

    def begin(run_dir: Path) -> Tracker:
        writer = SummaryWriter(str(run_dir / "tensorboard"))

        def track(record: Mapping[str, Any]) -> None:
            for name, value in _flat(record).items():
                writer.add_scalar(name, value, record["step"])
            writer.flush()

        return track

    return begin


def wandb() -> Callable[[Path], Tracker]:
    """Return a tracker that feeds a Weights & Biases run of the folder's name.

    A resumed run goes on in the same W&B run; another folder has another one.

    Raises:
        ConfigError: if it is not installed.
    """
    with needs_extra("wandb", "tracking with W&B"):
        import wandb as client

    def begin(run_dir: Path) -> Tracker:
        own = sha256(str(run_dir.resolve()).encode())[:16]
        run = client.init(
            project="seqjepa", id=own, name=run_dir.name, dir=str(run_dir), resume="allow"
        )

        def track(record: Mapping[str, Any]) -> None:
            run.log(_flat(record), step=record["step"])

        return track

    return begin


def tell(
    trackers: Iterable[Tracker], record: Mapping[str, Any], warn: Callable[[str], None]
) -> list[Tracker]:
    """Give all trackers a record, and return those that took it.

    A tracker that cannot write is left out from then on, with a warning: training is worth more.
    """
    kept = []
    for track in trackers:
        try:
            track(record)
            kept.append(track)
        except OSError as error:
            warn(f"a tracker cannot write ({error.strerror or error}): training goes on without it")
    return kept


def _flat(record: Mapping[str, Any]) -> dict[str, float]:
    """Return a record in which `{"time": {"seconds": 1}}` has become `{"time/seconds": 1}`."""
    flat: dict[str, float] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}/{inner}": number for inner, number in value.items()}
        else:
            flat[name] = value
    return flat


TRACKERS = {"tensorboard": tensorboard, "wandb": wandb}
