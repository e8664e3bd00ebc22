"""The folder of one run: `config.json`, `world.json`, `metrics.jsonl` and `checkpoints/`.

While a process writes to it, it holds a `lock` as well.
"""

import contextlib
import errno
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from seqjepa import files
from seqjepa.errors import ConfigError, DataError
from seqjepa.files import disk_errors
from seqjepa.from_json import build_dataclass, differences
from seqjepa.runs import checkpoint
from seqjepa.runs.config_file import dump_config, expanded, load_config, portable
from seqjepa.runs.movable import is_path, settled
from seqjepa.worlds.base import WorldSpec

CONFIG, WORLD, METRICS, CHECKPOINTS = "config.json", "world.json", "metrics.jsonl", "checkpoints"
EXPORTED = "model.safetensors"  # which an exported model's folder has, beside its config.json

Warn = Callable[[str], None]
_logger = logging.getLogger("seqjepa")


class RunFolder:
    """The one writer of a run's folder; a context manager, from `RunFolder.open`.

    Attributes:
        path: the folder.
        checkpoints: the folder of its checkpoints, for `seqjepa.runs.checkpoint`.
        config_hash: of its config.json, for the checkpoints' manifests.
    """

    def __init__(self, path: Path, lock: int, config: Mapping[str, Any], warn: Warn) -> None:
        self.path, self.checkpoints, self._config = path, path / CHECKPOINTS, config
        self.config_hash = checkpoint.config_hash(_load(path / CONFIG))
        self._lock, self._warn, self._warned = lock, warn, False
        self._metrics = (path / METRICS).open("ab", buffering=0)

    @classmethod
    def open(
        cls, path: Path, config: Mapping[str, Any], *, resume: bool, warn: Warn = _logger.warning
    ) -> Self:
        """Make or reopen a run's folder and lock it.

        On an error nothing of an earlier run has changed.

        Args:
            path: the folder; made, parents included, if it does not exist.
            config: of the experiment, from `config.to_json`; the folder's own if it has one, but
                for what may change (`runs/movable.py`).
            resume: whether to go on with what is there.
            warn: is called once when lines of the log are lost.

        Raises:
            InUseError: if another process writes to the folder.
            ConfigError: if the folder cannot be written to, is another experiment's, or holds a run
                that was not to be resumed.
            DiskError: if the disk is full or broken.
        """
        with disk_errors(f"cannot write to the run folder {path}"):
            lock = _claim(path)
            try:
                _require_ours(path, config, resume)
                checkpoint.tidy(path / CHECKPOINTS)
                if not (path / CONFIG).exists():
                    files.write_atomically(path / CONFIG, files.json_bytes(dump_config(config)))
                run = cls(path, lock, config, warn)
                # Killed before its first checkpoint, a run begins again, and so does its log.
                if not checkpoint.committed(run.checkpoints):
                    run.truncate_metrics(0)
            except BaseException:
                files.release(path, lock)
                raise
        return run

    @staticmethod
    def check(path: Path, config: Mapping[str, Any], *, resume: bool) -> None:
        """Raise what `open` would raise, as far as that can be known without writing.

        Call it before preparations that take long.
        """
        # The folder itself may not exist yet: its nearest ancestor must take it.
        reason = None
        try:
            nearest = next(
                folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists()
            )
            if not nearest.is_dir():
                reason = "there is a file in the way"
            elif not os.access(nearest, os.W_OK | os.X_OK):
                reason = f"{nearest} cannot be written to"
        except OSError as error:
            reason = error.strerror or str(error)

        if reason is not None:
            raise ConfigError(
                f"{path} cannot be the run folder: {reason}. Choose another --run-dir"
            )
        if path.is_dir():
            _require_ours(path, config, resume)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._metrics.close()
        files.release(self.path, self._lock)

    def log(self, record: Mapping[str, Any]) -> None:
        """Append a line to metrics.jsonl.

        A line that the disk does not take is lost, with one warning per run: training is worth
        more.
        """
        line = json.dumps(record).encode() + b"\n"
        # Unbuffered, so that a full disk shows here; a short write is one, too.
        end = os.fstat(self._metrics.fileno()).st_size
        try:
            if self._metrics.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            with contextlib.suppress(OSError):
                self._metrics.truncate(end)  # no half line
            self._lost(error)

    def metrics_position(self) -> int:
        """Return the bytes of metrics.jsonl so far, once they are on the disk.

        A checkpoint notes the position; resuming cuts off the lines after it.
        """
        try:
            os.fsync(self._metrics.fileno())
        except OSError as error:
            self._lost(error)
        return (self.path / METRICS).stat().st_size

    def truncate_metrics(self, position: int) -> None:
        """Cut metrics.jsonl to the whole lines within its first `position` bytes.

        Raises:
            DiskError: if it cannot be cut.
        """
        path = self.path / METRICS
        with disk_errors(f"cannot cut {path}"):
            kept = path.read_bytes()[:position]
            self._metrics.truncate(kept.rfind(b"\n") + 1)

    def write_spec(self, spec: WorldSpec, *, allow_changed: bool = False) -> None:
        """Write world.json, or check that it still describes the world.

        A model can be rebuilt from it without the data. What may change in a run's config, such as
        where the data are, is written to config.json once they are known to be the same.

        Args:
            spec: of the world as it is now.
            allow_changed: warn of another world than the run was begun with, and from now on take
                it for the run's.

        Raises:
            DataError: if the run was begun on another world and that is not allowed.
            DiskError: if the file cannot be written.
        """
        path = self.path / WORLD
        # A world that is not as it was: refused, or noted as the run's from now on.
        changed = changed_data(self.path, spec) if path.exists() else []
        known = path.exists() and not read_spec(self.path).outline
        if known and not changed and not spec.data:
            changed = self._moved_unseen()
        if changed:
            what = f"the data is not what the run in {self.path} was begun with"
            if not allow_changed:
                raise DataError(
                    f"{what}; use another --run-dir, or --allow-changed-data to go on with it:\n  "
                    + "\n  ".join(changed)
                )
            self._warn(f"{what}, going on with it: {'; '.join(changed)}")

        if changed or not known:
            with disk_errors(f"cannot write {path}"):
                files.write_atomically(path, files.json_bytes(asdict(spec)))
        self._write_config()

    def _moved_unseen(self) -> list[str]:
        """Return the paths that have changed, of data without digests to know them by."""
        moved = differences(portable(read_config(self.path)), portable(self._config))
        return [text for text in moved if is_path(text.partition(":")[0])]

    def _write_config(self) -> None:
        """Write config.json again if something has changed in it that may."""
        path = self.path / CONFIG
        if differences(portable(read_config(self.path)), portable(self._config)):
            with disk_errors(f"cannot write {path}"):
                files.write_atomically(path, files.json_bytes(dump_config(self._config)))
            self.config_hash = checkpoint.config_hash(_load(path))

    def _lost(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            self._warn(
                f"{self.path / METRICS} cannot be written ({error.strerror or error}): training "
                "goes on, lines of the log are lost"
            )


def read_config(path: Path) -> dict[str, Any]:
    """Read the config of the run in a folder, as JSON data for `config.from_json`.

    Raises:
        ConfigError: if the folder holds no run or an exported model, its config.json is damaged, or
            a newer version wrote it.
    """
    if (path / EXPORTED).exists():
        raise ConfigError(f"{path} is an exported model: seqjepa.from_pretrained reads it")
    return expanded(load_config(_load(path / CONFIG), path / CONFIG))


def read_spec(path: Path) -> WorldSpec:
    """Read the spec of the world that the run in a folder was trained on.

    Raises:
        ConfigError: if the folder holds no run or its world.json is damaged.
    """
    data = _load(path / WORLD)
    try:
        return build_dataclass(WorldSpec, data, defaults=True)
    except ConfigError as error:
        raise ConfigError(f"{path / WORLD} is damaged or of another version: {error}") from error


def changed_data(path: Path, spec: WorldSpec) -> list[str]:
    """Return the differences between a world and the one that a run was trained on.

    Pixel statistics are ignored when content digests exist on both sides: they follow from the
    content, and their last bits depend on the CPU. So is all that an outline does not know.

    Raises:
        ConfigError: if the folder holds no run or its world.json is damaged.
    """
    trained = read_spec(path)
    if trained.outline:
        now = replace(trained, name=spec.name, image_shape=spec.image_shape, actions=spec.actions)
    elif trained.data and spec.data:
        now = replace(spec, mean=trained.mean, std=trained.std)
    else:
        now = replace(spec, data=trained.data)
    old, new = (json.loads(files.json_bytes(asdict(each))) for each in (trained, now))
    return differences(old, new)


def warn_of_changed_data(path: Path, spec: WorldSpec, warn: Warn) -> list[str]:
    """Warn of the differences that `changed_data` finds, if there are any, and return them."""
    changed = changed_data(path, spec)
    if changed:
        warn(f"the data is not what the run in {path} was trained on: {'; '.join(changed)}")
    return changed


def _load(path: Path) -> dict[str, Any]:
    """Read a JSON object of the run."""
    try:
        data = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ConfigError(
            f"{path.parent} is not the folder of a run: it has no {path.name}"
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} cannot be read: it holds no JSON object")
    return data


def _claim(path: Path) -> int:
    """Make the folder and lock it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        return files.acquire(path, "--run-dir")
    except (FileExistsError, NotADirectoryError):
        reason = "there is a file in the way"
    except OSError as error:
        wrong_path = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENAMETOOLONG)
        if error.errno not in wrong_path:
            raise
        reason = os.strerror(error.errno)
    raise ConfigError(f"{path} cannot be the run folder: {reason}. Choose another --run-dir")


def _require_ours(path: Path, config: Mapping[str, Any], resume: bool) -> None:
    """Refuse a folder that holds anything that this run would overwrite."""
    if not (path / CONFIG).exists():
        if found := [name for name in (WORLD, METRICS, CHECKPOINTS) if (path / name).exists()]:
            raise ConfigError(
                f"{path} holds {', '.join(found)} but no {CONFIG}: it is not ours to write to. "
                "Choose another --run-dir"
            )
        return

    # Neither has the home folder's path, so that a run can be resumed on another machine.
    if changed := differences(settled(read_config(path)), settled(config)):
        raise ConfigError(
            f"{path} holds a run of another configuration; choose another --run-dir or undo:\n  "
            + "\n  ".join(changed)
        )
    steps = checkpoint.committed(path / CHECKPOINTS)
    if steps and not resume:
        raise ConfigError(
            f"{path} already holds a run at step {max(steps)}: --resume to go on, or another "
            "--run-dir"
        )
