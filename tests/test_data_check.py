"""`seqjepa data check`: a user learns everything at once."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.published import jpeg, png, tarred, zipped
from fixtures.view_files import places, write
from seqjepa import cli, display
from seqjepa.commands.data import check
from seqjepa.errors import DiskError
from seqjepa.store.packing import pack
from seqjepa.worlds import arrays
from seqjepa.worlds.images.formats import folder as folders
from seqjepa.worlds.threediebench import Config


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQJEPA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Check:
    """What the command says of a path."""

    def __init__(self, capsys: pytest.CaptureFixture[str], path: Path, *options: object) -> None:
        self.code = cli.run(["data", "check", str(path), *map(str, options)])
        said = capsys.readouterr()
        self.out, self.err = said.out, said.err
        assert "Traceback" not in self.out + self.err


def picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(256, size=(20, 24, 3), dtype=np.uint8)


def fill(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(picture(number)) if "png" in name else jpeg(picture(number)))
    return folder


def many(*folders: str, each: int = 4) -> list[str]:
    return [f"{folder}/{number}.jpg" for folder in folders for number in range(each)]


@pytest.mark.parametrize("form", ["folder", "zip", "tar.gz"])
def test_splits_with_their_classes_and_counts(tmp_path, capsys, form):
    folder = fill(
        tmp_path / "trees",
        *many("Training/elm", "Training/oak", each=6),
        *many("Test/oak", "Test/yew", each=2),
    )
    place = folder
    if form != "folder":
        place = (zipped if form == "zip" else tarred)(folder, tmp_path / f"t.{form}")

    said = Check(capsys, place)
    assert said.code == 0
    assert "split train, folder Training: 12 images, 2 classes: elm 6, oak 6" in said.out
    assert "split test, folder Test: 4 images, 2 classes: oak 2, yew 2" in said.out
    assert "look split test lacks 1 class of train: elm" in said.out
    lacking = "1 class that train lacks, so that 2 of its 4 images cannot be told: yew"
    assert f"look split test has {lacking}" in said.out

    # The same is said when the images are opened, and pixels are those of the files.
    found = folders.SOURCE.open(place, 20, 0.1)
    warned = capsys.readouterr().err
    assert "split test lacks 1 class of train: elm" in warned and "cannot be told: yew" in warned
    assert {name: len(split) for name, split in found.splits.items()} == {
        "train": 11,
        "val": 1,
        "test": 4,
    }
    test = found.splits["test"]
    for name, label, image in zip(
        test.names[test.places(np.arange(4))], test.labels, test.pick(np.arange(4)), strict=True
    ):
        path = name.decode()
        assert found.classes[label] == path.split("/")[1]
        with Image.open(folder / path) as whole:
            box = (2, 0, 22, 20)
            middle = whole.resize((20, 20), Image.Resampling.BICUBIC, box=box)
        assert np.array_equal(image, np.asarray(middle))


def test_many_classes_are_shortened(tmp_path, capsys):
    classes = [f"c{number:03d}" for number in range(120)]
    said = Check(capsys, fill(tmp_path / "a", *(f"{name}/1.png" for name in classes)))
    assert "c000 1, c001 1" in said.out and "c007 1 and 112 more; 1 each" in said.out
    assert "c008" not in said.out


def test_a_single_class_is_said(tmp_path, capsys):
    said = Check(capsys, fill(tmp_path / "a", *many("only")))
    assert said.code == 0 and "look all images are of one class, only" in said.out


def test_classes_that_are_empty_or_too_small_are_said(tmp_path, capsys):
    folder = fill(tmp_path / "a", *many("elm", "oak"), "yew/0.jpg")
    (folder / "ash").mkdir()
    said = Check(capsys, folder)
    assert f"look 1 folder without any file: {folder / 'ash'}\n" in said.out
    assert "look classes of one image, which only one split can have: yew\n" in said.out
    # Where folders are splits nothing is left to be split.
    fill(tmp_path / "b", *many("train/elm", "test/elm"), "train/yew/0.jpg", "test/yew/0.jpg")
    assert "look" not in Check(capsys, tmp_path / "b").out


def test_all_bad_files_at_once_and_a_list_on_disk(tmp_path, capsys, cache):
    folder = fill(tmp_path / "pets", *many("pug", "cat", each=30))
    for path in list(folder.glob("pug/*"))[:25]:
        path.write_bytes(b"")
    (folder / "cat" / "a.webp").write_bytes(b"x")
    (folder / "cat" / "b.gif").write_bytes(b"x")
    said = Check(capsys, folder)
    assert said.code == 3
    assert "bad  25 of 60 images cannot be read" in said.out
    assert said.out.count("is empty") == 20 and "and 5 more" in said.out
    assert "neither JPEG nor PNG: convert them or leave them out (1 .webp, 1 .gif)" in said.out

    where = said.out.rpartition("all 27 bad files are listed in ")[2].strip()
    listed = Path(where).read_text().splitlines()
    assert len(listed) == 27 and Path(where).is_relative_to(cache)
    assert all(Path(line.split("\t")[0]).exists() for line in listed)


def test_nothing_is_written_beside_the_data_and_a_full_disk_is_no_harm(
    tmp_path, capsys, monkeypatch
):
    folder = fill(tmp_path / "pets", *many("pug"))
    for path in folder.glob("pug/[01].jpg"):
        path.write_bytes(b"BM")
    before = sorted(folder.rglob("*"))
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEQJEPA_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "elsewhere"))
    said = Check(capsys, folder)
    assert said.code == 3 and "(it is a BMP)" in said.out
    assert "listed in" in said.out and "elsewhere" in said.out
    assert sorted(folder.rglob("*")) == before


def test_a_quick_look_opens_some(tmp_path, capsys):
    folder = fill(tmp_path / "pets", *many("pug", "cat", each=40))
    said = Check(capsys, folder, "--quick")
    assert "40 of 80 images, spread evenly, can be decoded" in said.out
    assert "all 80 images can be decoded" in Check(capsys, folder).out


def test_jpegs_of_other_names_are_read_and_other_kinds_counted(tmp_path, capsys):
    names = [*many("mug"), "mug/a.jfif", "mug/B.JFIF", "pot/c.mpo", "pot/d.apng", "pot/e.jpe"]
    folder = fill(tmp_path / "phone", *names)
    stereo = io.BytesIO()
    first, second = (Image.fromarray(picture(number)) for number in (50, 51))
    first.save(stereo, "MPO", save_all=True, append_images=[second], quality=95)
    (folder / "pot" / "c.mpo").write_bytes(stereo.getvalue())
    for name in ("mug/raw.nef", "mug/noext", "Thumbs.db"):
        (folder / name).write_bytes(b"x")

    said = Check(capsys, folder)
    assert said.code == 0 and "all 9 images can be decoded" in said.out
    for kind in ("1 .nef", "1 without a suffix", "1 .db"):
        assert kind in said.out

    images = folders.SOURCE.open(folder, 20, 0.1).splits["train"]
    place = images.names.tolist().index(b"pot/c.mpo")
    with Image.open(io.BytesIO(stereo.getvalue())) as whole:
        left = whole.convert("RGB").resize((20, 20), Image.Resampling.BICUBIC, box=(2, 0, 22, 20))
    assert np.array_equal(images.images[place], np.asarray(left))


def hardly(kind: str, number: int) -> Image.Image:
    random = np.random.default_rng(number)
    match kind:
        case "12 bits":
            return Image.fromarray(random.integers(4096, size=(20, 20), dtype=np.uint16))
        case "0..1":
            return Image.fromarray(random.integers(2, size=(20, 20, 3), dtype=np.uint8))
        case "one colour":
            return Image.new("RGB", (20, 20), (30 * number, 5, 200))
        case _:
            return Image.fromarray(random.integers(2, size=(20, 20), dtype=np.uint8) * 255)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("12 bits", "use fewer than 32 of the 256 levels, all between 0 and 1"),
        ("0..1", "use fewer than 32 of the 256 levels, all between 0 and 1"),
        ("one colour", "are of one colour"),
        ("black and white", None),
    ],
)
def test_images_that_hold_hardly_anything(tmp_path, capsys, kind, said):
    for number in range(6):
        path = tmp_path / "scans" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        hardly(kind, number).save(path)
    check = Check(capsys, tmp_path / "scans")
    folders.SOURCE.open(tmp_path / "scans", 20, 0.1)
    warned = capsys.readouterr().err
    if said is None:
        assert "look" not in check.out and warned == ""
    else:
        assert f"look all 6 images that were looked at {said}" in check.out and check.code == 0
        assert said in warned


def test_an_image_in_two_splits_is_told_and_no_other(tmp_path, capsys):
    names = [f"{split}/{name}" for split in ("train", "test") for name in many("pug", "cat")]
    folder = fill(tmp_path / "pets", *names)
    assert "repeat" not in Check(capsys, folder).out

    # Under another name, and as another kind of file: the pixels are the same.
    first, again = folder / names[0], folder / "test" / "cat" / "again.png"
    with Image.open(first) as image:
        image.save(again)
    said = Check(capsys, folder)
    assert said.code == 0
    # Files are looked at in the order of their names.
    assert f"look images that repeat another one: {first} ({again}); leave" in said.out


def test_three_samples_as_a_picture(tmp_path, capsys):
    folder = fill(tmp_path / "pets", *many("pug", "US$ and C$", each=5))
    for place in (folder, zipped(folder, tmp_path / "p.zip"), tarred(folder, tmp_path / "p.tar")):
        out = tmp_path / "samples.png"
        said = Check(capsys, place, "--samples", out)
        assert said.code == 0 and f"samples: {out}" in said.out
        with Image.open(out) as image:
            assert image.format == "PNG" and image.width > 2.5 * image.height
        out.unlink()
    objects = write(tmp_path / "objects", train=4, val=2, views=3)
    assert Check(capsys, objects, "--samples", tmp_path / "views.png").code == 0
    with Image.open(tmp_path / "views.png") as image:
        assert image.height > image.width
    said = Check(capsys, folder, "--samples", tmp_path / "nowhere" / "a.png")
    assert said.code == 74 and "Choose another --samples" in said.err


def test_what_is_in_no_format_is_named(tmp_path, capsys):
    for name in ("a.npy", "b.npy", "c/d.webm"):
        (tmp_path / "odd" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "odd" / name).touch()
    said = Check(capsys, tmp_path / "odd")
    assert said.code == 3 and said.err.endswith("It holds 2 .npy, 1 .webm\n")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Views of 32 pixels a side, as `data render --image-size 32` writes them."""
    folder = write(tmp_path / "small", train=6, val=3, views=3)
    for path in folder.rglob("*.jpg"):
        with Image.open(path) as image:
            image.resize((32, 32)).save(path, quality=95)
    return folder


def test_small_views_are_judged_by_themselves(small, tmp_path, capsys):
    said = Check(capsys, small)
    assert said.code == 0 and "all 27 views of 32 pixels a side were opened" in said.out
    for options in ({}, {"coding": "raw", "size": 32}, {"size": 16}):
        out = tmp_path / f"pack{len(options)}"
        pack(small, out, views=3, **options)
        assert Check(capsys, out).code == 0
        shutil.rmtree(out)


def test_factors_of_views_have_ranges_and_spreads(small, capsys):
    latents = [np.load(path) for path in small.rglob("latent_*.npy")]
    said = Check(capsys, small).out
    train = [
        np.load(path) for place in places(small, "train") for path in (small / place).glob("l*")
    ]
    low, high = np.min(train, 0), np.max(train, 0)
    assert f"rotation (euler): rot_x {low[0]:.3g} to {high[0]:.3g}" in said
    assert f"floor_hue (difference): floor_hue {low[3]:.3g} to {high[3]:.3g}; actions" in said
    assert len(latents) == 27 and "turns between views of " in said


def test_all_faults_of_views_at_once(small, capsys):
    first, second, third = places(small, "train")[:3]
    (small / first / "image_0.jpg").write_bytes(b"")
    (small / second / "image_1.jpg").write_bytes(b"GIF89a")
    np.save(small / second / "latent_2.npy", np.full(7, np.nan))
    (small / first / "latent_1.npy").unlink()
    shutil.rmtree(small / third)
    said = Check(capsys, small)
    assert said.code == 3 and f"has no folder {third}" in said.out
    assert "bad  4 of 24 views cannot be read" in said.out
    for what in ("image_0.jpg is empty", "it is a GIF", "not finite", "latent_1.npy is missing"):
        assert what in said.out
    assert "all 5 bad files are listed in" in said.out


def test_warnings_of_a_world_are_shown_once(small, capsys, monkeypatch):
    build = Config.build

    def warned(self):
        display.warn("odd [numbers]")
        display.warn("odd [numbers]")
        return build(self)

    monkeypatch.setattr(Config, "build", warned)
    said = Check(capsys, small)
    assert said.out.count("look odd [numbers]") == 1 and "warning" not in said.err
    assert said.code == 0


def test_all_faults_of_arrays_at_once(tmp_path, capsys):
    np.save(tmp_path / "views.npy", np.zeros((4, 2, 8, 8, 3), np.float32))
    np.save(tmp_path / "poses.npy", np.array([{}], dtype=object))
    (tmp_path / "world.json").write_text('{"pose": ["x"], "groups": [{"name": "x"}]}')
    said = Check(capsys, tmp_path)
    assert said.code == 3 and said.out.count("bad ") == 3
    assert all(name in said.out for name in ("views.npy", "poses.npy", "world.json"))


def test_arrays_are_judged_without_the_fractions_of_a_recipe(tmp_path, capsys):
    views = np.random.default_rng(0).integers(2, size=(8, 3, 8, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "views.npy", views)
    np.save(tmp_path / "poses.npy", np.ones((8, 3, 1)))
    np.save(tmp_path / "labels.npy", np.zeros(8, int))
    (tmp_path / "world.json").write_text(
        '{"pose": ["x"], "groups": [{"name": "x", "dims": ["x"]}]}'
    )
    said = Check(capsys, tmp_path)
    assert "8 objects; world.json names no splits" in said.out and said.code == 0
    assert "look all objects are of one class, 0" in said.out
    assert "look all actions of x are the same" in said.out
    assert "use fewer than 32 of the 256 levels, all between 0 and 1" in said.out
    assert arrays.Config(path=str(tmp_path)).build().size("train") == 6


def test_what_nothing_uses_in_arrays_is_said(tmp_path, capsys):
    """A class, an object and a column of the pose."""
    random = np.random.default_rng(0)
    np.save(tmp_path / "views.npy", random.integers(256, size=(8, 3, 8, 8, 3), dtype=np.uint8))
    np.save(tmp_path / "poses.npy", random.random((8, 3, 2)))
    np.save(tmp_path / "labels.npy", np.arange(8) % 2 + 1)
    (tmp_path / "world.json").write_text(
        '{"pose": ["x", "y"], "groups": [{"name": "x", "dims": ["x"]}],'
        ' "splits": {"train": [0, 1, 2], "val": [3, 4], "test": [5, 6]}}'
    )
    said = Check(capsys, tmp_path)
    assert said.code == 0 and said.out.count("look") == 3
    assert "look 1 class without any object: 0; number classes from 0" in said.out
    assert "look 1 of 8 objects are in no split" in said.out
    assert "look in no group, so unknown to actions and probes: pose columns y" in said.out


def test_all_bad_maps_at_once(tmp_path, capsys):
    for number in range(6):
        path = tmp_path / "test" / "n01" / f"{number}-sal.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.full((4, 4), number % 3, np.float32))
    said = Check(capsys, tmp_path)
    assert said.code == 3 and "6 maps of single images; 4 of them are good" in said.out
    assert "bad  2 of 6 files of maps cannot be used" in said.out
    assert "0-sal.npy" in said.out and "3-sal.npy" in said.out


def test_a_damaged_pack_names_every_bad_view(small, tmp_path, capsys):
    out = tmp_path / "packed"
    pack(small, out, views=3)
    data = bytearray((out / "images.bin").read_bytes())
    data[100], data[-100] = data[100] ^ 1, data[-100] ^ 1
    (out / "images.bin").write_bytes(data)
    said = Check(capsys, out)
    assert said.code == 3 and "bad  2 of 27 views cannot be read" in said.out
    assert "view 0 of object " in said.out and "view 2 of object " in said.out


def test_names_are_no_codes_of_pictures(tmp_path, capsys):
    """Rich draws `:cat:` as a cat unless it is told not to."""
    folder = fill(tmp_path / "pets", *many(":cat:", ":dog:"))
    said = Check(capsys, folder)
    assert ":cat:" in said.out and ":dog:" in said.out


def test_the_list_of_bad_files_needs_no_home_folder(tmp_path, capsys, monkeypatch):
    def homeless() -> Path:
        raise DiskError("there is no home folder")

    folder = fill(tmp_path / "pets", *many("pug", "beagle", each=5))
    for name in ("pug/0.jpg", "beagle/1.jpg"):
        (folder / name).write_bytes(b"")
    monkeypatch.setattr(check, "cache_root", homeless)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    said = Check(capsys, folder)
    assert said.code == 3 and f"are listed in {tmp_path / 'temporary'}" in said.out
