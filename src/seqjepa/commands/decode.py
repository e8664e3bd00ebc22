"""`seqjepa decode RUN_DIR`: train a decoder that draws what the run's model imagines.

The model is frozen. The decoder goes to the folder `decoder` of the run.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import UseAppendAction

from seqjepa.commands.options import parse, take_paths
from seqjepa.devices import device_of, find_device
from seqjepa.display import status, warn
from seqjepa.model import load
from seqjepa.recipes import load_code
from seqjepa.runs.folder import warn_of_changed_data
from seqjepa.runs.movable import build_world, move
from seqjepa.world_model.decoder import save_decoder
from seqjepa.world_model.decoding import DecodeConfig, train_decoder
from seqjepa.world_model.model import WorldModel


@dataclass(frozen=True, kw_only=True)
class DecodeOptions:
    """The run, and below it the decoder's settings.

    `--world.path NEW` reads the same data from where they are now.
    """

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Folder of the run."""
    code: UseAppendAction[tuple[Path, ...]] = ()
    """A Python file of your own that defines the run's world or method; repeat it for several."""
    device: str | None = None
    """cpu, cuda, cuda:1 ...; default: CUDA where there is one."""
    # It is frozen, so it may be a default.
    decoder: Annotated[DecodeConfig, tyro.conf.arg(name="")] = DecodeConfig()  # noqa: RUF009


def main(arguments: list[str]) -> None:
    """Parse, train the decoder, write it and say how well it draws."""
    paths, arguments = take_paths(arguments)
    options = parse(DecodeOptions, arguments, prog="seqjepa decode")
    for file in options.code:
        load_code(file)
    run_dir, config = options.run_dir, options.decoder

    # A run that imagines nothing is refused before its world is built.
    model = WorldModel(load(run_dir, find_device(options.device), warn=warn))
    with status("world ..."):
        world = build_world(move(model.model.experiment, paths).world).to(device_of(model.method))
    warn_of_changed_data(run_dir, world.spec, warn)

    decoder, figures = train_decoder(model, world, config)
    path = save_decoder(run_dir, decoder, model.model.step, config.steps, figures)
    sys.stdout.write("held-out objects, dB:")
    for name in ("embedding", "imagined", "mean view", "nearest view"):
        sys.stdout.write(f" {name} {figures[name]['psnr']:.1f}")
    sys.stdout.write(
        f"\ndone: {path}. In Python: seqjepa.WorldModel.load({str(run_dir)!r}).decode\n"
    )
