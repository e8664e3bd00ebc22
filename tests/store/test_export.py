"""Export to the layout of 3DIEBench: it reads back as rendered, and goes on after a kill."""

import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seqjepa.errors import ConfigError, DiskError, InUseError
from seqjepa.store import export as exporting
from seqjepa.store.cache import Plan
from seqjepa.store.export import RenderJob, export, plan_job
from seqjepa.worlds.shapes import Config

WORLD = Config(image_size=32, train_objects=20, test_objects=6, views=3)


def run(out: Path, world: Config = WORLD, **options: int) -> None:
    export(plan_job(world.plans(), world.classes, world.key()), out, **options)


def snapshot(folder: Path) -> dict[Path, tuple[bytes, int]]:
    """Return every file's contents and time of writing."""
    files = [path for path in folder.rglob("*.*") if path.is_file()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): data for path, (data, _) in snapshot(folder).items()}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "deep" / "er"
    run(out)
    return out


def test_split_files_name_every_object_and_its_class(exported: Path) -> None:
    for split, plan in WORLD.plans().items():
        places = np.load(exported / f"{split}_images.npy")
        labels = np.load(exported / f"{split}_labels.npy")
        assert places.dtype.kind == "U" and labels.dtype == np.int64
        assert np.array_equal(labels, plan.labels) and len(set(places)) == len(labels)

        for place, label in zip(places, labels, strict=True):
            assert place.startswith(f"/{WORLD.classes[label]}/")
            assert place.endswith("/") and place.count("/") == 3
            assert (exported / place.strip("/")).is_dir()

    folders = {path for path in exported.glob("*/*") if path.is_dir()}
    assert len(folders) == 20 + 5 * 6


@pytest.mark.parametrize("split", ["train", "ood_colour"])
def test_views_and_latents_read_back(exported: Path, split: str) -> None:
    plan = WORLD.plans()[split]
    views = plan.render(0, len(plan.labels))
    for number, place in enumerate(np.load(exported / f"{split}_images.npy")):
        folder = exported / place.strip("/")
        assert len(list(folder.iterdir())) == 2 * 3
        for view in range(3):
            latent = np.load(folder / f"latent_{view}.npy")
            assert latent.dtype == np.float64 and np.array_equal(latent, plan.poses[number, view])
            with Image.open(folder / f"image_{view}.jpg") as image:
                assert image.format == "JPEG" and image.mode == "RGB"
                error = np.asarray(image).astype(int) - views[number, view]
            assert abs(error).mean() < 4 and abs(error.mean((0, 1))).max() < 2


def test_what_is_there_is_left_alone(exported: Path) -> None:
    before = snapshot(exported)
    run(exported)
    after = snapshot(exported)
    assert before.keys() == after.keys()
    changed = [path for path in before if before[path] != after[path]]
    assert all(path.parent == exported for path in changed)


def test_an_interrupted_export_is_completed(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    left, save = 40, Image.Image.save

    def kill(self: Image.Image, *arguments: object, **options: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed
        save(self, *arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Image.Image, "save", kill)
        run(tmp_path)
    assert all(len(list(folder.iterdir())) == 6 for folder in tmp_path.glob("*/[!.]*"))
    run(tmp_path)
    assert contents(tmp_path) == contents(exported)
    assert not list(tmp_path.glob("*/.*"))


def test_chunks_change_nothing(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "CHUNK", 5)
    run(tmp_path)
    assert len(list(tmp_path.rglob("*.jpg"))) == 50 * 3
    assert contents(tmp_path) == contents(exported)


def test_a_folder_of_something_else_is_refused(exported: Path, tmp_path: Path) -> None:
    before = snapshot(exported)
    for other in ({"world": Config(image_size=40)}, {"quality": 50}):
        with pytest.raises(ConfigError, match="other options"):
            run(exported, **other)
    assert snapshot(exported) == before
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_one_writer_at_a_time(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is refused at once and leaves alone what the first has half done."""
    refused, write = [], exporting._write_object
    message = rf"{tmp_path} is in use by process {os.getpid()} on .* choose another --out"

    def meanwhile(folder: Path, *arguments: object) -> None:
        if not refused:
            refused.append(None)
            half = folder.parent / ".half.tmp"
            half.mkdir(parents=True)
            with pytest.raises(InUseError, match=message):
                run(tmp_path)
            half.rmdir()
            refused.append(folder)
        write(folder, *arguments)

    monkeypatch.setattr(exporting, "_write_object", meanwhile)
    run(tmp_path)
    assert len(refused) == 2 and contents(tmp_path) == contents(exported)
    assert not (tmp_path / "lock").exists()


def test_what_a_kill_before_the_first_note_left_is_ours(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / "render.json.machine.1.tmp").touch()
    run(tmp_path)
    assert (tmp_path / "train_images.npy").exists()


def test_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    run(Path("~/out"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_objects_from_another_source_are_rendered_again(tmp_path: Path) -> None:
    sources, asked = ["a", "b", "c"], list[int]()

    def render(numbers):
        for number in numbers:
            asked.append(number)
            yield np.full((2, 16, 16, 3), 10 * ord(sources[number]) % 256, np.uint8)

    def job() -> RenderJob:
        return RenderJob(
            key={},
            places=[f"thing/{number}" for number in range(3)],
            labels=np.zeros(3, np.int64),
            poses=np.zeros((3, 2, 7), np.float32),
            render=render,
            split=lambda good: {"train": good},
            source=lambda number: sources[number],
        )

    export(job(), tmp_path)
    before = snapshot(tmp_path / "thing")
    export(job(), tmp_path)
    assert asked == [0, 1, 2] and snapshot(tmp_path / "thing") == before

    sources[1] = "z"
    export(job(), tmp_path)
    after = snapshot(tmp_path / "thing")
    assert asked == [0, 1, 2, 1]
    assert {path.parent.name for path in before if before[path] != after[path]} == {"1"}

    (tmp_path / "sources.json").write_text("cut")
    export(job(), tmp_path)
    assert asked[4:] == [0, 1, 2], "of what is not known"


def test_quality_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"quality must lie in 1\.\.100, got 0"):
        run(tmp_path / "new", quality=0)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="file"):
        run(tmp_path / "file" / "below")


def test_a_full_disk_is_said_in_one_line_and_leaves_no_half_object(tmp_path: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # The pictures of noise are too large for the limit, those of the first two objects fit.
    pixels = np.random.default_rng(0).integers(256, size=(4, 2, 64, 64, 3), dtype=np.uint8)
    pixels[:2] = 0
    plan = Plan(
        np.zeros((4, 2, 7), np.float32),
        np.zeros(4, np.int64),
        (64, 64, 3),
        lambda start, stop: pixels[start:stop],
    )
    job = plan_job({"train": plan}, ("thing",), {})

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        with pytest.raises(DiskError, match="Free space") as caught:
            export(job, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    objects = [f"train_00000{number}" for number in range(4)]
    assert sorted(path.name for path in (tmp_path / "thing").glob("[!.]*")) == objects[:2]

    export(job, tmp_path)
    assert sorted(path.name for path in (tmp_path / "thing").iterdir()) == objects
