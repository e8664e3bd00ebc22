"""The commands and the code of docs/sharing.md run as printed, on smaller images."""

import re
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import safetensors.torch
import torch
from torch import nn

from fixtures.contract import experiment
from fixtures.untrained import untrained
from seqjepa import cli
from seqjepa.exchange.pretrained import pretrained_files
from seqjepa.nn import DEPTHS, EncoderConfig, ResNet
from seqjepa.training.loop import train

PAGE = (Path(__file__).parents[2] / "docs" / "sharing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)


def create_model(name: str, *, num_classes: int, checkpoint_path: str = "") -> nn.Module:
    """Stand in for timm, whose nets have these keys (test_timm.py)."""
    assert num_classes == 0
    net = ResNet(DEPTHS[name], 64, "imagenet")
    if checkpoint_path:
        net.load_state_dict(safetensors.torch.load_file(checkpoint_path))
    return net


def test_the_page(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, "runs/demo")
    wide = replace(experiment("simclr"), encoder=EncoderConfig())
    train(wide, Path("runs/shapes"), quiet=True, device="cpu")
    Path("shared/cifar").mkdir(parents=True)
    for name, data in pretrained_files(untrained("simclr", EncoderConfig(stem="cifar"))).items():
        Path("shared/cifar", name).write_bytes(data)

    commands = [line for language, block in BLOCKS if not language for line in block.splitlines()]
    commands = [line for line in commands if line.startswith("seqjepa ")]
    assert len(commands) == 5
    for command in commands:
        assert cli.run(shlex.split(command)[1:]) == 0, command

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=create_model))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **options: "shared/demo")
    code = "\n".join(block for language, block in BLOCKS if language == "python")
    names: dict[str, torch.Tensor] = {}
    exec(code.replace("32, 32", "16, 16"), names)
    shapes = [names[name].shape for name in ("z", "z_agg", "prediction")]
    assert shapes == [(8, 5, 16), (8, 24), (8, 16)]
