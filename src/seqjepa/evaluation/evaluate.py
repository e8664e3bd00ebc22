"""Evaluation of a trained run: its newest checkpoint is measured, its `results.json` written."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from seqjepa.config import EvaluateConfig
from seqjepa.display import silenced, warn
from seqjepa.evaluation.measure import measure
from seqjepa.evaluation.protocol import Record
from seqjepa.evaluation.subject import Subject

RESULTS = "results.json"


def evaluate(
    run_dir: str | Path,
    *,
    split: str = "test",
    config: EvaluateConfig | None = None,
    progress: bool = True,
    device: str | torch.device | None = None,
    quick: bool = False,
    paths: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Evaluate a run's newest checkpoint and write `results.json` into its folder.

    The results of another split than `test` go to a folder of that name in it. The file is written
    whole or not at all. Evaluating again on the same machine writes the same bytes; the seconds
    that it took are in `timings.json`.

    Args:
        run_dir: of the run.
        split: held-out objects of the training distribution: `test`, or `val` while choosing
            settings.
        config: how to probe, if not as the run's experiment says.
        progress: show on the terminal what is being done.
        device: default: CUDA where there is one, else the CPU.
        quick: ask only of the model's features, on `split` alone, for the class and the factors
            that actions are made of.
        paths: where the data are now, if not where the run's config says: by the world's field,
            such as `path`.

    Returns:
        The contents of `results.json`, which are `records` and what they came from
        (`Subject.header`).

    Raises:
        ConfigError: if the folder is no run, or its world has no such path.
        CheckpointError: if it has no valid checkpoint.
        DataError: if the world's data are missing or the split is unknown.
        DiskError: if the results cannot be written.
    """
    with silenced(not progress):
        subject = Subject.open(
            Path(run_dir),
            split=split,
            config=config,
            progress=progress,
            device=device,
            paths=paths,
        )
        results = probe(subject, quick=quick)
    subject.write(RESULTS, results)
    return results


def probe(subject: Subject, *, quick: bool = False) -> dict[str, Any]:
    """Return the contents of `results.json`."""
    records, sizes = measure(subject, quick=quick)
    if rising := still_rising(records, subject.experiment.evaluate.max_steps):
        warn(rising)
    return subject.header() | {
        "sizes": sizes,
        "records": [asdict(record) for record in records],
    }


def still_rising(records: Sequence[Record], max_steps: int) -> str:
    """Return a warning that names the probes that had not converged; empty if all had."""
    names = sorted({f"{record.features}: {record.task}" for record in records if record.rising})
    if not names:
        return ""
    return (
        f"probes were still improving after {max_steps:,} steps ({', '.join(names)}): "
        f"--max-steps {2 * max_steps} tells more"
    )
