"""The snippet of docs/world_model.md runs as printed, on a small run."""

import json
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
ROWS = {
    "chance": "chance: an action between random views",
    "inverse head": "the run's own inverse head, from both views",
    "cross-entropy": "cross-entropy method",
    "gradient": "gradient on the manifold",
    "gradient, one way": "gradient, without the way back",
    "gradient, rolled out": "gradient, rolled out",
    "best of views": "*the nearest of 14 other views of the object, their poses known*",
}


def test_the_table_is_the_committed_result() -> None:
    path = DOCS / "results" / "parts" / "equal_views" / "demo_seed0" / "planning.json"
    results = json.loads(path.read_bytes())
    assert results["split"] == "test" and results["step"] == 4000
    found = {(r["features"], r["views"]): f"{r['value']:.1f}" for r in results["records"]}
    assert {features for features, _ in found} == set(ROWS)
    for features, label in ROWS.items():
        one, three = (found.get((features, length), "") for length in (1, 3))
        row = f"| {label} | {one} | {three} |".replace("|  |", "| |")
        assert row in PAGE


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
