"""Decoders: learned on a small world, kept in the run's folder, refused where they do not fit."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fixtures.contract import experiment
from fixtures.toy_model import exact
from fixtures.toy_world import LitWorld, ToyWorld
from seqjepa import WorldModel, cli
from seqjepa.errors import CheckpointError, ConfigError, DataError
from seqjepa.runs import checkpoint
from seqjepa.training.loop import train
from seqjepa.world_model.decoder import Decoder, Layout, save_decoder
from seqjepa.world_model.decoding import DecodeConfig, embed, find_fixed, train_decoder

CONFIG = DecodeConfig(objects=64, views=4, width=4, steps=150, batch_size=32, lr=0.03)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    return train(experiment("seq_jepa"), folder, quiet=True, device="cpu")


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def test_it_draws_better_than_the_mean_view_and_the_same_twice() -> None:
    model, world = exact(), ToyWorld(objects=200, views=4)
    before = {name: value.clone() for name, value in model.method.state_dict().items()}
    decoder, figures = train_decoder(model, world, CONFIG)
    assert figures["imagined"]["mse"] < 0.1 * figures["mean view"]["mse"]
    curve = figures["curve"]
    assert list(curve)[-1] == 150 and curve[150] < curve[18]

    # The figures by hand.
    test = embed(model, world, "test", 1000, 2, CONFIG.seed, {})
    known = embed(model, world, "train", 64, 4, CONFIG.seed, {})
    torch.testing.assert_close(test.imagined, test.embeddings, atol=1e-5, rtol=0)
    assert len(test.pixels) == 200 * 2 and len(known.pixels) == 64 * 4
    images, views = test.pixels, known.pixels
    errors = [F.mse_loss(decoder(row[None])[0], image).item()
              for row, image in zip(test.embeddings, images, strict=True)]  # fmt: skip
    assert figures["embedding"]["mse"] == pytest.approx(sum(errors) / 400, rel=1e-4)
    spread = (views.mean(0) - images).square().mean().item()
    assert figures["mean view"]["mse"] == pytest.approx(spread, rel=1e-4)
    cosines = F.normalize(test.embeddings, dim=1) @ F.normalize(known.embeddings, dim=1).T
    near = (views[cosines.argmax(1)] - images).square().mean().item()
    assert figures["nearest view"]["mse"] == pytest.approx(near, rel=1e-4)
    assert figures["mean view"]["psnr"] == pytest.approx(
        -10 * torch.log10(torch.tensor(spread)).item(), abs=1e-3
    )

    again, _ = train_decoder(model, world, CONFIG)
    assert all(
        torch.equal(value, again.state_dict()[k]) for k, value in decoder.state_dict().items()
    )
    other, _ = train_decoder(model, world, replace(CONFIG, seed=1, steps=2))
    assert not torch.equal(other.linear.weight, decoder.linear.weight)
    assert all(torch.equal(value, before[k]) for k, value in model.method.state_dict().items())


def test_factors_that_actions_do_not_change_have_one_value_in_pictures() -> None:
    world, index = LitWorld(objects=200, views=4), np.arange(200)
    model = exact(spec=world.spec)
    batch = world.sequences("train", index, 1, index)
    fixed = find_fixed(world)
    assert fixed == {"light": pytest.approx(batch.poses[:, 0, 4].median().item())}

    known = embed(model, world, "test", 200, 2, 0, fixed)
    seen = world.sequences("test", index, 2, index).views.flatten(0, 1)
    torch.testing.assert_close(known.pixels, seen * fixed["light"])
    assert torch.equal(embed(model, world, "test", 200, 2, 0, {}).pixels, seen)

    decoder, figures = train_decoder(model, world, CONFIG)
    assert decoder.layout.fixed == fixed
    assert figures["imagined"]["mse"] < 0.1 * figures["mean view"]["mse"]
    asked = replace(CONFIG, fixed=False, steps=1)
    assert train_decoder(model, world, asked)[0].layout.fixed == {}


@pytest.mark.parametrize(
    "world",
    [
        LitWorld(stored=True),
        LitWorld(("rotation", "brightness")),
        # Pictures of one pose would tell nothing.
        LitWorld(("brightness",)),
    ],
    ids=["nothing is rendered", "actions change all", "only rotations are left"],
)
def test_otherwise_views_are_drawn_as_they_are(world: LitWorld) -> None:
    assert find_fixed(world) == {}


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 30, 44), (2, 5, 3), (3, 96, 96)])
def test_pictures_of_any_size(shape: tuple[int, int, int]) -> None:
    decoder = Decoder(Layout(inputs=7, image_shape=shape, width=2, scaled=False)).eval()
    pictures = decoder(torch.randn(2, 5, 7))
    assert pictures.shape == (2, 5, *shape)
    assert pictures.min() >= 0 and pictures.max() <= 1
    with pytest.raises(ConfigError, match=r"must be \[..., 7\], got \[2, 8\]"):
        decoder(torch.randn(2, 8))


def test_lengths_count_only_where_the_loss_knows_them() -> None:
    torch.manual_seed(0)
    rows = torch.randn(3, 7)
    for scaled in (False, True):
        decoder = Decoder(Layout(inputs=7, image_shape=(3, 8, 8), width=2, scaled=scaled)).eval()
        decoder.standardise(torch.randn(50, 7))
        same = torch.allclose(decoder(rows), decoder(3 * rows), atol=1e-6)
        assert same is not scaled


def test_the_command_writes_it_and_the_world_model_finds_it(copied: Path, capsys) -> None:
    assert WorldModel.load(copied).decoder is None
    options = ["--objects", "16", "--views", "2", "--width", "2", "--steps", "4", "--no-fixed"]
    assert cli.run(["decode", str(copied), *options, "--batch-size", "8"]) == 0
    said = capsys.readouterr().out
    assert "held-out objects, dB: embedding" in said and "decoder/step_00000004" in said

    model = WorldModel.load(copied)
    state = json.loads((copied / "decoder" / "step_00000004" / "state.json").read_bytes())
    assert set(state["figures"]) == {"embedding", "imagined", "mean view", "nearest view", "curve"}
    views = torch.randint(0, 256, (2, 3, 3, 16, 16), dtype=torch.uint8)
    assert model.decode(model.target(views)).shape == views.shape


def test_decoders_of_earlier_versions_are_read(copied: Path) -> None:
    """They knew no fixed factors."""
    layout = Layout(inputs=16, image_shape=(3, 16, 16), width=2, scaled=False)
    older = asdict(layout)
    del older["fixed"]
    tensors = {"decoder": Decoder(layout).state_dict()}
    state = {"layout": older, "model_step": 4, "figures": {}}
    path = checkpoint.save(copied / "decoder", 1, tensors, state)
    decoder = WorldModel.load(copied).decoder
    assert decoder is not None and decoder.layout == layout

    shutil.rmtree(path)
    checkpoint.save(copied / "decoder", 1, tensors, state | {"layout": older | {"depth": 3}})
    with pytest.raises(
        CheckpointError, match=r"no decoder that is known here: unknown key 'depth'"
    ):
        WorldModel.load(copied)


def test_a_decoder_of_another_step_is_left_out_with_a_warning(copied: Path) -> None:
    decoder = Decoder(Layout(inputs=16, image_shape=(3, 16, 16), width=2, scaled=False))
    save_decoder(copied, decoder, 3, 1, {})
    said: list[str] = []
    assert WorldModel.load(copied, warn=said.append).decoder is None
    assert len(said) == 1 and "imagined at step 3, and the model is at step 4" in said[0]


def test_a_damaged_decoder_is_an_error(copied: Path) -> None:
    decoder = Decoder(Layout(inputs=16, image_shape=(3, 16, 16), width=2, scaled=False))
    path = save_decoder(copied, decoder, 4, 1, {}) / "decoder.safetensors"
    assert WorldModel.load(copied).decoder is not None
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"decoder\.safetensors is damaged"):
        WorldModel.load(copied)


def test_bad_options_and_runs(copied: Path, tmp_path: Path, capsys) -> None:
    for options, message in (
        (["--steps", "0"], "steps must be at least 1, got 0"),
        (["--lr", "0"], "lr must be finite and above 0"),
        (["--step", "9"], "did you mean --steps"),
        (["--views", "99"], "objects of world 'signal' have 6"),
    ):
        assert cli.run(["decode", str(copied), *options]) in (2, DataError.exit_code)
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert cli.run(["decode", str(tmp_path)]) == 2
    assert "is not the folder of a run" in capsys.readouterr().err
    simclr = train(experiment("simclr"), tmp_path / "simclr", quiet=True, device="cpu")
    assert cli.run(["decode", str(simclr)]) == 2
    assert "SimCLR does not predict views" in capsys.readouterr().err
    assert not (copied / "decoder").exists() and not (simclr / "decoder").exists()
