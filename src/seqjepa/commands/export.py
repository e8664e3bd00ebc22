"""`seqjepa export RUN_DIR --format FORMAT`: write a run's model in a form that others read."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import UseAppendAction

from seqjepa.commands.options import parse
from seqjepa.exchange.export import Format, export_run
from seqjepa.recipes import load_code


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The run, the form, and where it goes."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Folder of the run; the weights are those of its newest checkpoint."""
    format: Format
    """safetensors: weights and config, for seqjepa.from_pretrained. hub: the same with a model
    card, for the Hugging Face hub. onnx: a graph for onnxruntime and others. timm: the encoder
    alone, for timm and torchvision."""
    out: Path | None = None
    """Folder to write, which must not exist; default: export/FORMAT in the run's folder."""
    part: Literal["encoder", "whole"] | None = None
    """Of an ONNX graph: the encoder (default), or the whole: encoder, aggregator and predictor."""
    license: str = "unknown"
    """Licence of the weights for the model card, by the hub's name for it, such as mit."""
    push: str | None = None
    """Also upload the folder of --format hub, as OWNER/NAME; a new model is private there."""
    code: UseAppendAction[tuple[Path, ...]] = ()
    """A Python file of your own that defines the run's world or method; repeat it for several."""


def main(arguments: list[str]) -> None:
    """Parse and export."""
    options = parse(ExportOptions, arguments, prog="seqjepa export")
    for file in options.code:
        load_code(file)
    made = export_run(
        options.run_dir,
        options.format,
        options.out or options.run_dir / "export" / options.format,
        part=options.part,
        licence=options.license,
        push=options.push,
    )
    sys.stdout.write(f"done: {made}\n")
