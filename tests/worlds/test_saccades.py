"""The world of saccades, from images in memory and from files as published, to trained and
evaluated runs."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from fixtures.published import write_imagenet, write_stl10
from fixtures.toys import subject_of
from seqjepa import cli
from seqjepa.config import EvaluateConfig, Experiment, OptimConfig, TrainConfig
from seqjepa.errors import ConfigError, DataError
from seqjepa.evaluation.evaluate import evaluate
from seqjepa.evaluation.measure import measure
from seqjepa.keys import draw_key
from seqjepa.methods import seq_jepa
from seqjepa.model import load
from seqjepa.nn import EncoderConfig
from seqjepa.recipes import recipes
from seqjepa.training.loop import train
from seqjepa.worlds.images import base
from seqjepa.worlds.images.image_set import ImageSet, ImageSplit
from seqjepa.worlds.saccades import Config, Saccades

SIDE, PATCH = 40, 8


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQJEPA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Memory:
    """Coordinate images: red is the row, green the column, each plus 1, and blue the class."""

    image_size = SIDE

    def open(self, path: Path, image_size: int, val_fraction: float) -> ImageSet:
        row, column = np.mgrid[1 : image_size + 1, 1 : image_size + 1]

        def split(number: int) -> ImageSplit:
            labels = np.arange(number) % 3
            pixels = np.stack(
                [np.stack([row, column, np.full_like(row, 100 * label)], -1) for label in labels]
            )
            return ImageSplit(pixels.astype(np.uint8), labels)

        splits = {"train": split(24), "labelled": split(18), "val": split(9), "test": split(12)}
        return ImageSet(
            splits, ("a", "b", "c"), (0.1, 0.1, 0.4), (0.1, 0.1, 0.4), probe_split="labelled"
        )

    def inspect(self, path: Path) -> None:
        return None


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(base, "sources", lambda: {"memory": Memory()})
    return


def config(**fields) -> Config:
    return replace(Config(source="memory", path="", image_size=SIDE, patch_size=PATCH), **fields)


def world(**fields) -> Saccades:
    return config(**fields).build()


def sequences(world: Saccades, split: str = "train", num_views: int = 4, epoch: int = 0):
    index = np.arange(world.size(split))
    return world.sequences(split, index, num_views, draw_key(0, split, epoch, index))


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    "fields", [{}, {"saliency": "uniform"}, {"inhibition": "square"}, {"inhibition": "none"}]
)
def test_patches_poses_and_actions_tell_the_same_fixations(fields: dict) -> None:
    """The pixel in the middle of each patch says where it is from: to the pixel the pose, and what
    lies between two is the action."""
    batch = sequences(world(**fields))
    assert batch.views.shape == (24, 4, 3, PATCH, PATCH) and batch.views.dtype == torch.uint8
    seen = batch.views[:, :, :2, PATCH // 2, PATCH // 2].float() - 1
    assert torch.equal(batch.poses, seen / SIDE)
    torch.testing.assert_close(
        batch.actions, batch.poses[:, 1:] - batch.poses[:, :-1], rtol=0, atol=0
    )
    assert torch.equal(batch.labels, torch.arange(24) % 3)
    assert not torch.equal(seen, seen.flip(2)), "the transposed fixations are others"
    assert batch.views[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("saliency", ["spectral_residual", "uniform"])
def test_inhibition_holds_with_and_without_saliency(saliency: str) -> None:
    def places(**fields) -> torch.Tensor:
        drawn = sequences(world(saliency=saliency, **fields), num_views=8)
        return (drawn.poses * SIDE).round()

    def distances(found: torch.Tensor) -> torch.Tensor:
        away = found[:, :, None] - found[:, None]
        return away[:, ~torch.eye(8, dtype=torch.bool)]

    radius = PATCH // 2
    assert ((distances(places(inhibition="disc")) ** 2).sum(-1) > radius**2).all()
    assert (distances(places(inhibition="square")).abs().amax(-1) > radius).all()

    # Without it places come again.
    anywhere = places(inhibition="none", image_size=PATCH).tolist()
    assert any(len({tuple(place) for place in row}) < 8 for row in anywhere)


@pytest.mark.usefixtures("memory")
def test_a_sequence_depends_on_image_and_key_alone() -> None:
    made = world()
    together, index = sequences(made), np.arange(24)
    keys = draw_key(0, "train", 0, index)
    alone = made.sequences("train", index[7:8], 4, keys[7:8])
    assert torch.equal(alone.views[0], together.views[7])
    assert torch.equal(made.sequences("train", index, 2, keys).poses, together.poses[:, :2]), (
        "shorter ones are beginnings"
    )
    assert not torch.equal(sequences(made, epoch=1).poses, together.poses)


@pytest.mark.usefixtures("memory")
def test_the_spec() -> None:
    made = world()
    assert made.spec.image_shape == (3, PATCH, PATCH)
    assert made.spec.splits == ("train", "labelled", "val", "test")
    assert made.spec.probe_split == "labelled"
    assert made.spec.ordered
    assert made.spec.classes == ("a", "b", "c")
    assert made.spec.views_per_object == 33, "49 pixels of 1,600 are inhibited by each"

    known = ("name", "image_shape", "factors", "actions", "views_per_object", "ordered")
    assert all(getattr(config().outline(), name) == getattr(made.spec, name) for name in known)
    assert world(inhibition="none").spec.views_per_object is None

    with pytest.raises(DataError, match="34 views asked for, objects of world 'saccades' have 33"):
        made.loader("train", num_views=34, batch_size=2, seed=0)

    assert made.whole("test", np.array([1])).shape == (1, 3, SIDE, SIDE)
    assert Config(path="").inhibits.radius == 16
    assert Config(path="", patch_size=84, image_size=224).inhibits.radius == 42
    assert Config(path="", inhibition_radius=5).inhibits.radius == 5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"patch_size": 97}, "world.patch_size 97 must not be larger than world.image_size 96"),
        ({"patch_size": 4}, "world.patch_size must be at least 8, got 4"),
        ({"image_size": 0}, "world.image_size must be at least 8, got 0"),
        ({"inhibition_radius": -1}, "world.inhibition_radius must be at least 0, got -1"),
        ({"val_fraction": 1.0}, "world.val_fraction must be at least 0 and below 1"),
        ({"actions": ("gaze",)}, "unknown action group 'gaze'"),
    ],
)
def test_bad_settings_are_refused(fields: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config(path="", **fields)


def tiny(world: Config) -> Experiment:
    train = TrainConfig(
        steps=4, batch_size=8, num_views=4, log_every=2, checkpoint_every=2, precision="fp32"
    )
    return Experiment(
        name="tiny",
        method=seq_jepa.Config(action_width=8, heads=2, layers=1, predictor_width=16),
        world=world,
        encoder=EncoderConfig(width=2, stem="compact"),
        optim=OptimConfig(lr=1e-3),
        train=train,
        evaluate=EvaluateConfig(views=3, draws=2, max_steps=200),
    )


@pytest.mark.usefixtures("memory")
def test_trained_and_evaluated(tmp_path: Path) -> None:
    """Probes find class and position in the pixels of coordinate images; whole images are asked,
    too."""
    run = train(tiny(config()), tmp_path / "run", quiet=True, device="cpu")
    results = evaluate(run, progress=False, device="cpu")
    keys = ("features", "task", "input", "views", "metric")
    value = {tuple(record[key] for key in keys): record["value"] for record in results["records"]}

    assert results["sizes"] == {"train": 18, "test": 12}, "probes learn from the labelled images"
    for features in ("model", "random", "pixels"):
        assert value[features, "class", "image", 1, "top1"] == 1
        assert (features, "relative position", "pair", 2, "r2") in value
        assert (features, "individual position", "view", 1, "r2") in value
    assert value["pixels", "class", "view", 1, "top1"] > 0.8
    assert value["pixels", "relative position", "pair", 2, "r2"] > 0.5
    assert {key[3] for key in value if key[:3] == ("model", "class", "sequence")} == {1, 2, 3}


@pytest.mark.usefixtures("memory")
def test_transfer_to_other_images(tmp_path: Path) -> None:
    """A trained model, frozen, sees larger images and patches, as docs/data/saccades.md says."""
    model = load(train(tiny(config()), tmp_path / "run", quiet=True, device="cpu"))
    larger = replace(model.experiment, world=config(image_size=48, patch_size=16))
    built = larger.world.build()
    records, sizes = measure(subject_of(model.method, larger, built))
    assert sizes == {"train": 18, "test": 12}
    asked = {(record.features, record.task, record.input, record.views) for record in records}
    assert {("model", "class", "sequence", m) for m in (1, 2, 3)} < asked


def photos(number: int, seed: int) -> np.ndarray:
    """[N, 96, 96, 3]: pieces of photographs."""
    random = np.random.default_rng(seed)
    sheets = [
        np.asarray(Image.fromarray(getattr(data, name)()).convert("RGB"))
        for name in ("astronaut", "chelsea", "coffee", "rocket")
    ]
    found = []
    for place in range(number):
        sheet = sheets[place % len(sheets)]
        top, left = random.integers(0, np.array(sheet.shape[:2]) - 96)
        found.append(sheet[top : top + 96, left : left + 96])
    return np.stack(found)


@pytest.fixture
def stl10(tmp_path: Path) -> Path:
    """The published files, with few images."""
    labels = {"train": np.arange(10) % 4, "test": np.arange(8) % 4}
    return write_stl10(
        tmp_path, {"unlabeled": photos(16, 0), "train": photos(10, 1), "test": photos(8, 2)}, labels
    )


SMALL = (
    "--train.steps 2 --train.batch-size 4 --train.log-every 1 --encoder.width 2 --method.layers 1 "
    "--device cpu --world.val-fraction 0.2"
)


def run(capsys: pytest.CaptureFixture[str], line: str) -> tuple[int, str]:
    code = cli.run(line.split())
    out, err = capsys.readouterr()
    return code, out + err


def test_from_stl10_files_on_the_command_line(
    stl10: Path, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Saliency first, then a training run that finds it; and the same from published maps."""
    code, said = run(capsys, f"data saliency stl10 --world.path {stl10}")
    assert code == 0
    assert "spectral_residual saliency of 16 in train, 9 in labelled, 1 in val, 8 in test" in said
    assert run(capsys, f"data saliency stl10 --world.path {stl10} --world.saliency uniform")[0] == 2

    [folder] = cache.glob("saliency-*")
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("*.npy")}
    train = f"--world.path {stl10} {SMALL} --run-dir"
    code, said = run(capsys, f"train stl10 {train} {tmp_path / 'run'}")
    assert code == 0, said
    assert len(stamps) == 3
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.npy")} == stamps

    maps = tmp_path / "maps"
    for origin, number in (("unlabeled", 16), ("train", 10), ("test", 8)):
        (maps / origin).mkdir(parents=True)
        flat = np.full((number, 1, 96, 96), 1 / 9216, np.float32)
        np.save(maps / origin / f"saliency_{origin}.npy", flat)
    code, said = run(
        capsys, f"train stl10_release {train} {tmp_path / 'other'} --world.saliency {maps}"
    )
    assert code == 0, said


def test_saliency_has_the_size_that_the_recipes_ask_for(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(
        capsys, f"data saliency imagenet --world.path {write_imagenet(tmp_path / 'imagenet')}"
    )
    assert code == 0, said
    [key] = cache.glob("saliency-*/key.json")
    assert json.loads(key.read_text())["size"] == 224


def test_faults_on_the_command_line(
    stl10: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One message, the exit code of bad data, and no run folder."""
    maps = tmp_path / "maps"
    for origin, number in (("unlabeled", 15), ("train", 10), ("test", 8)):
        (maps / origin).mkdir(parents=True)
        np.save(maps / origin / f"saliency_{origin}.npy", np.ones((number, 1, 96, 96), np.float32))

    line = f"train stl10 --world.path {stl10} --run-dir {tmp_path / 'run'} {SMALL}"
    for option, code, message in (
        (
            f"--world.saliency {maps}",
            3,
            "saliency_unlabeled.npy has 15 maps, the data set has 16 images in 'unlabeled'",
        ),
        ("--world.saliency deepgaze", 3, "world.saliency: there is no folder deepgaze"),
        ("--train.num-views 13", 3, "13 views asked for, objects of world 'saccades' have 12"),
        ("--world.source stl11", 2, "unknown world.source 'stl11', did you mean 'stl10'?"),
        ("--world.inhibition circle", 2, "circle"),
    ):
        got, said = run(capsys, f"{line} {option}")
        assert got == code and message in said and "Traceback" not in said, said
        assert not (tmp_path / "run").exists()


def test_recipes_are_the_papers() -> None:
    known = recipes()
    paper = known["stl10"]()
    assert paper.train.num_views == 5
    assert paper.train.batch_size == 512
    assert paper.encoder.stem == "cifar"
    assert paper.train.steps * 512 == 2000 * 100_000 and paper.optim.warmup * 2000 == 20
    assert paper.world.inhibits == replace(paper.world, inhibition_radius=16).inhibits
    assert paper.world.inhibition == "disc"

    assert known["stl10_release"]().world.inhibition == "square"
    assert known["stl10_baseline"]().optim.lr_end == known["stl10_baseline"]().optim.lr == 1e-3
    assert known["saccades"]().world.source == "folder"
    assert known["imagenet"]().world.image_size == 224

    # The bytes of the features, with those of the test images.
    large = known["imagenet_84"]()
    assert large.world.patch_size == 84
    probed = large.evaluate
    assert 4 * (probed.objects + 50_000) * probed.draws * probed.views * 512 < 2e9


@pytest.mark.usefixtures("memory")
def test_fixations_anywhere_see_their_patch() -> None:
    made = world()
    batch = sequences(made, "test")
    index = np.arange(made.size("test"))
    assert torch.equal(made.render("test", index, batch.poses), batch.views)

    # Red and green of a coordinate image are row and column, each plus 1.
    own = made.whole("test", index[:1])
    middle = made.fixate(own, torch.tensor([[[0.5, 0.25], [1.0, 0.0]]]))
    assert middle[0, 0, :2, PATCH // 2, PATCH // 2].tolist() == [SIDE // 2 + 1, SIDE // 4 + 1]
    assert middle[0, 1, :2, PATCH // 2, PATCH // 2].tolist() == [SIDE, 1], "the last row"
