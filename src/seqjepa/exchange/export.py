"""Export of a run's newest checkpoint in a form that others read, into a new folder."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from seqjepa.errors import ConfigError
from seqjepa.exchange.card import model_card
from seqjepa.exchange.hub import upload
from seqjepa.exchange.onnx import Part, onnx_files
from seqjepa.exchange.pretrained import pretrained_files
from seqjepa.exchange.timm import timm_files
from seqjepa.files import disk_errors, write_atomically
from seqjepa.model import Model, load
from seqjepa.report.runs import read_run

Format = Literal["safetensors", "onnx", "timm", "hub"]


def export_run(
    run_dir: Path,
    form: Format,
    out: Path,
    *,
    part: Part | None = None,
    licence: str = "unknown",
    push: str | None = None,
) -> str:
    """Write a run's model into a new folder, whole or not at all.

    Args:
        run_dir: of the run.
        form: `safetensors`, for `from_pretrained`; `hub`, the same with a model card; `onnx`;
            or `timm`, the encoder alone.
        out: the folder.
        part: of an ONNX graph; None for the encoder.
        licence: of the weights, for the model card.
        push: name on the hub to upload the folder to, `owner/name`.

    Returns:
        Where the model is: the folder, or its address on the hub.

    Raises:
        ConfigError: if the folder is no run, `out` exists, options do not go together, a package
            is missing, or the model cannot be written in this form.
        CheckpointError: if the run has no whole checkpoint.
        DiskError: if the folder cannot be written.
    """
    if part is not None and form != "onnx":
        raise ConfigError(f"--part is for --format onnx; {form} has one content: leave it out")
    if push is not None and form != "hub":
        raise ConfigError(f"--push is for --format hub, got {form}")
    if push is not None and not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", push):
        raise ConfigError(
            f"--push must be a name on the hub, OWNER/NAME, got {push}: --out names the folder here"
        )

    if out.exists():
        raise ConfigError(f"{out} exists already: choose another --out, or remove it")
    _write(out, _contents(load(run_dir), run_dir, form, part or "encoder", licence, push))
    return str(out) if push is None else upload(out, push)


def _contents(
    model: Model, run_dir: Path, form: Format, part: Part, licence: str, push: str | None
) -> dict[str, bytes]:
    """Return the contents of the folder by file name."""
    if form == "onnx":
        return onnx_files(model, part)
    if form == "timm":
        return timm_files(model)
    files = pretrained_files(model)
    if form == "hub":
        address = push or f"OWNER/{model.experiment.name}"
        card = model_card(model, read_run(run_dir), address=address, licence=licence)
        files["README.md"] = card.encode()
    return files


def _write(out: Path, contents: Mapping[str, bytes]) -> None:
    """Write a new folder, which gets its name once it is whole."""
    temporary = out.with_name(f"{out.name}.{os.getpid()}.tmp")
    with disk_errors(f"cannot write {out}", "Make room, or choose another --out"):
        try:
            temporary.mkdir(parents=True)
            for name, data in contents.items():
                write_atomically(temporary / name, data)
            temporary.rename(out)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
