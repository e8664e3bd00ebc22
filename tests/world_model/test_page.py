"""The snippet of docs/world_model.md runs as printed, on a small run."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seqjepa.nn import EncoderConfig
from seqjepa.recipes.shapes import shapes_demo
from seqjepa.training.loop import train

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "world_model.md").read_text(encoding="utf-8")


def test_the_snippet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [snippet] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.setenv("SEQJEPA_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    demo = shapes_demo()
    small = replace(
        demo,
        world=replace(demo.world, train_objects=29, test_objects=29, views=4),
        encoder=EncoderConfig(width=2, stem="compact"),
        train=replace(demo.train, steps=2, batch_size=4, precision="fp32"),
    )
    train(small, "runs/demo", quiet=True, device="cpu")

    made: dict = {}
    exec(snippet, made)
    assert made["imagined"].shape == (8, 100, 16) and made["along"].shape == (8, 20, 5, 16)
    assert made["found"].indices.shape == (8, 100, 1)
    assert made["plan"].actions.shape == (8, 2, 4) and made["done"].by == "inverse head"
    torch.testing.assert_close(made["turns"].norm(dim=-1), torch.ones(100))
