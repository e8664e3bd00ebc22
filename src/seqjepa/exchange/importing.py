"""Import: a file of weights from other code becomes a run folder at step 0.

The folder is like that of a run that was stopped before its first step, but for its weights: it is
loaded, evaluated and resumed as any other.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from seqjepa import files
from seqjepa.config import Experiment, to_json
from seqjepa.errors import CheckpointError, ConfigError
from seqjepa.exchange import encoders, released
from seqjepa.exchange.layout import Layout
from seqjepa.reading.weights import read_weights
from seqjepa.runs import checkpoint
from seqjepa.runs.folder import CHECKPOINTS, RunFolder
from seqjepa.runs.movable import build_world
from seqjepa.worlds.base import WorldSpec

_logger = logging.getLogger("seqjepa")


def read_layout(path: Path) -> Layout:
    """Read a file of weights and recognise their layout.

    Raises:
        CheckpointError: if the file cannot be read (`read_weights`) or is of a layout that is not
            known.
    """
    weights = read_weights(path)
    tensors = weights.tensors
    if encoders.recognises(tensors):
        return encoders.ResNetWeights(str(path), tensors, weights.ignored)
    if released.recognises(tensors):
        return released.Released(str(path), tensors, weights.ignored)

    names = ", ".join([*tensors][:3])
    raise CheckpointError(
        f"{path} holds neither {released.Released.title} (encoder.conv1.weight, agg_token ...) nor "
        f"{encoders.ResNetWeights.title} (conv1.weight, layer1.0.conv1.weight ...): its "
        f"{len(tensors)} tensors are called {names} ..."
    )


def import_run(
    layout: Layout,
    experiment: Experiment,
    run_dir: Path,
    *,
    warn: Callable[[str], None] = _logger.warning,
) -> Path:
    """Write the run folder of an experiment whose method has the weights of a file.

    The data are needed only if the encoder takes their statistics.

    Args:
        layout: from `read_layout`.
        experiment: from `layout.settle`.
        run_dir: the folder.
        warn: see `RunFolder.open`.

    Returns:
        The folder.

    Raises:
        CheckpointError: if the weights do not fit the experiment.
        ConfigError: if the folder holds a run, or the experiment does not fit the world.
        DataError: if the data are needed and missing.
        DiskError: if the folder cannot be written.
    """
    config = to_json(experiment)
    if checkpoint.committed(run_dir / CHECKPOINTS):
        raise ConfigError(f"{run_dir} already holds a run: choose another --run-dir")
    RunFolder.check(run_dir, config, resume=False)
    spec = _spec(experiment)
    tensors = {"method": layout.state(experiment, spec)}

    source = Path(layout.source)
    about = {"file": source.name, "sha256": files.file_sha256(source), "layout": layout.title}
    with RunFolder.open(run_dir, config, resume=False, warn=warn) as run:
        run.write_spec(spec)
        run.log({"step": 0, "views_seen": 0})
        state = {
            "config_hash": run.config_hash,
            "metrics_position": run.metrics_position(),
            "seconds": 0.0,
            checkpoint.IMPORTED: about,
        }
        checkpoint.save(run.checkpoints, 0, tensors, state)
    return run_dir


def _spec(experiment: Experiment) -> WorldSpec:
    """Return the spec of the experiment's world, an outline if that is enough for the model."""
    outline = experiment.world.outline()
    if outline is not None and experiment.encoder.mean is not None:
        return replace(outline, outline=True)
    return build_world(experiment.world).spec
