"""Packs: the same views as the folder; damage is found and mended; a killed build goes on."""

import json
from pathlib import Path

import numpy as np
import pytest

from fixtures.view_files import places, write
from seqjepa import files
from seqjepa.commands.data.check import reports
from seqjepa.errors import ConfigError, DataError
from seqjepa.store import packing
from seqjepa.store.pack import PackedStore
from seqjepa.store.packing import pack
from seqjepa.worlds.threediebench import Config

VIEWS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("files"), train=7, val=3, views=VIEWS)


@pytest.fixture
def packed(folder: Path, tmp_path: Path) -> Path:
    pack(folder, tmp_path / "pack", views=VIEWS)
    return tmp_path / "pack"


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "CHUNK", 3)


def build(path: Path, size: int = 32, **fields):
    return Config(path=str(path), image_size=size, views=VIEWS, val_fraction=0.2, **fields).build()


def batches(path: Path, size: int = 32) -> list:
    world = build(path, size)
    return [
        next(world.loader(split, num_views=VIEWS, batch_size=1 if split == "val" else 3, seed=0))
        for split in world.spec.splits
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_are_kept_byte_for_byte(folder, packed):
    images, index = (packed / "images.bin").read_bytes(), np.load(packed / "index.npy")
    assert index.shape == (10, VIEWS)
    for row, place in enumerate([*places(folder, "train"), *places(folder, "val")]):
        for view in range(VIEWS):
            record = index[row, view]
            image = images[record["offset"] :][: record["length"]]
            assert image == (folder / place / f"image_{view}.jpg").read_bytes()
            assert np.array_equal(record["latent"], np.load(folder / place / f"latent_{view}.npy"))
    assert len(images) == 64 + index["length"].sum()

    # Nothing else, no lock and no temporary files.
    assert {path.suffix for path in packed.iterdir()} == {".bin", ".npy", ".json"}


@pytest.mark.parametrize(
    ("options", "size", "tolerance"),
    [
        ({}, 32, 0),
        ({"coding": "raw", "size": 32}, 32, 0),
        ({"size": 32}, 32, 3),
        ({"size": 64, "quality": 90}, 32, 3),
    ],
)
def test_a_pack_is_the_folder(folder, tmp_path, options, size, tolerance):
    pack(folder, tmp_path / "pack", views=VIEWS, **options)
    pairs = zip(batches(tmp_path / "pack", size), batches(folder, size), strict=True)
    for found, wanted in pairs:
        assert (found.poses == wanted.poses).all() and (found.actions == wanted.actions).all()
        assert (found.labels == wanted.labels).all()
        assert (found.views.int() - wanted.views.int()).abs().float().mean() <= tolerance
    assert build(tmp_path / "pack", size).spec.classes == build(folder, size).spec.classes


def test_fewer_views_of_a_pack(packed):
    assert build(packed).views("train") == 3
    fewer = Config(path=str(packed), image_size=32, views=2).build()
    assert fewer.tables["test"].poses.shape == (3, 2, 7)
    with pytest.raises(
        DataError, match=r"world\.views is 4, but .*pack has 3 views per object: set"
    ):
        Config(path=str(packed), image_size=32, views=4).build()


class Killed(BaseException):
    """An end as sudden as a kill, but in this process."""


def kill_at(monkeypatch: pytest.MonkeyPatch, moment: str, occurrence: int) -> None:
    left = occurrence

    def at(now: str) -> None:
        nonlocal left
        left -= now == moment
        if left == 0:
            raise Killed

    monkeypatch.setattr(files, "at", at)


MOMENTS = [
    ("after images", 1),
    ("after images", 3),
    ("after records", 2),
    ("after records", 4),
    ("before manifest", 1),
    ("before rename", 3),
]


@pytest.mark.parametrize(("moment", "occurrence"), MOMENTS)
def test_a_killed_build_goes_on(folder, packed, tmp_path, monkeypatch, moment, occurrence):
    out = tmp_path / "killed"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_at(patch, moment, occurrence)
        pack(folder, out, views=VIEWS)
    message = "is an unfinished pack: run `seqjepa data pack` once more with the same options"
    with pytest.raises(DataError, match=message):
        build(out)

    read: list[int] = []
    original = packing._read_object

    def note(store, options, row):
        read.append(row)
        return original(store, options, row)

    with monkeypatch.context() as patch:
        patch.setattr(packing, "_read_object", note)
        pack(folder, out, views=VIEWS)

    # The first object is always looked at; whole ones are not packed again.
    finished = {"after images": 3 * (occurrence - 1), "after records": min(3 * occurrence, 10)}
    assert sorted(read) == [0, *range(finished.get(moment, 10), 10)]
    assert contents(out) == contents(packed)


@pytest.mark.parametrize("cut", [1, 100, 5000])
def test_what_was_torn_off_is_packed_again(folder, packed, tmp_path, cut, monkeypatch):
    """A power cut: the files end anywhere."""
    whole = contents(packed)
    for name in ("images.bin", "index.npy"):
        (packed / "manifest.json").unlink(missing_ok=True)
        (packed / name).write_bytes(whole[name][:-cut])
        pack(folder, packed, views=VIEWS)
        assert contents(packed) == whole


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("coding", ["jpeg", "raw"])
def test_every_flipped_byte_is_found_named_and_mended(folder, tmp_path, coding):
    out, options = tmp_path / "pack", {"coding": coding, "size": 32, "views": VIEWS}
    pack(folder, out, **options)
    whole, random = contents(out), np.random.default_rng(0)
    size = len(whole["images.bin"])
    index = np.load(out / "index.npy")
    names = [*places(folder, "train"), *places(folder, "val")]
    for place in (64, size - 1, *random.integers(64, size, size=10).tolist()):
        flip(out / "images.bin", place)
        row, view = np.argwhere(index["offset"] <= place)[-1]
        name = f"view {view} of object {names[row]}"
        message = rf"images\.bin: {name} is damaged: run `seqjepa data pack` once more"

        # Opening a table reads the first of its objects.
        rows = np.arange(1, 10) if row == 0 else np.arange(10)
        table = PackedStore(out).table(rows, VIEWS, 32)
        with pytest.raises(DataError, match=message):
            table.views[np.array([[row]]), np.arange(VIEWS)[None]]
        (out / "images.bin").write_bytes(whole["images.bin"])

    flip(out / "images.bin", size // 2)
    pack(folder, out, **options)
    assert contents(out) == whole


@pytest.mark.parametrize("name", ["index.npy", "train_images.npy", "val_labels.npy", "images.bin"])
def test_damaged_and_missing_files_are_named_and_mended(folder, packed, name):
    whole = contents(packed)
    data = whole[name]
    damages = {"cut": data[:-1], "grown": data + b"x", "empty": b""}
    if name != "images.bin":
        damages["flipped"] = data[:-9] + bytes([data[-9] ^ 4]) + data[-8:]

    damaged = "has .* bytes, it was written with|is damaged"
    message = rf"{name} ({damaged}).*`seqjepa data pack` once more"
    for damage in damages.values():
        (packed / name).write_bytes(damage)
        with pytest.raises(DataError, match=message):
            build(packed)
        assert [finding.good for finding in reports(packed)[0].findings] == [False]
        pack(folder, packed, views=VIEWS)
        assert contents(packed) == whole

    (packed / name).unlink()
    with pytest.raises(DataError, match=f"{name} is missing"):
        build(packed)
    pack(folder, packed, views=VIEWS)
    assert contents(packed) == whole


@pytest.mark.parametrize("unfinished", [False, True])
def test_a_pack_that_lost_its_note_is_no_folder_of_views(folder, packed, unfinished):
    (packed / "pack.json").unlink()
    if unfinished:
        (packed / "manifest.json").unlink()
    message = r"pack\.json is missing: get all files of the pack again, or delete .*pack and run"
    with pytest.raises(DataError, match=message):
        build(packed)
    [report] = reports(packed)
    [finding] = report.findings
    assert not finding.good and "pack.json is missing" in finding.what


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda data: data | {"format": 9},
            r"manifest\.json has format 9, this version of seqjepa reads up to 1: update",
        ),
        (lambda data: data | {"files": {}}, r"manifest\.json is damaged, it does not list i"),
        (
            lambda data: data | {"files": data["files"] | {"../x": {"bytes": 1, "sha256": ""}}},
            r"manifest\.json is damaged, it lists '\.\./x' outside the pack",
        ),
        (
            lambda data: data | {"files": data["files"] | {"a\0b": {"bytes": 1, "sha256": ""}}},
            r"pack/a\\0b is missing: run `seqjepa data pack` once more",
        ),
        (
            lambda data: data | {"options": data["options"] | {"coding": "raw", "size": 4000}},
            r"manifest\.json is damaged, raw views of 4000 pixels a side do not fill",
        ),
        (lambda data: [], r"manifest\.json is damaged"),
    ],
)
def test_manifests_that_cannot_be_right(packed, change, message):
    path = packed / "manifest.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(DataError, match=message):
        build(packed)


def test_a_manifest_of_brackets_is_damaged(packed):
    (packed / "manifest.json").write_bytes(b"[" * 100_000)
    with pytest.raises(DataError, match=r"manifest\.json is damaged .*recursion"):
        build(packed)


def test_a_finished_pack_says_so(packed):
    [report] = reports(packed)
    assert report.good and "JPEG files as they were, finished" in report.findings[0].what


def test_a_folder_of_something_else_is_refused(folder, packed, tmp_path):
    before = contents(packed)
    for options in ({"size": 32}, {"views": 2}):
        with pytest.raises(
            ConfigError, match=r"packed with other options or from other objects, see .*pack\.json"
        ):
            pack(folder, packed, **{"views": VIEWS} | options)
    assert contents(packed) == before

    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").touch()
    with pytest.raises(ConfigError, match="is not empty"):
        pack(folder, other, views=VIEWS)
    assert contents(other).keys() == {"thesis.txt"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coding": "raw"}, "raw views need --size, a multiple of 4"),
        ({"coding": "raw", "size": 30}, "got 30"),
        ({"size": 4}, "--size must be at least 8"),
        ({"size": 300}, r"--size is 300, but .*image_0\.jpg has 256 x 256 .* at most 256"),
        ({"quality": 0}, r"--quality must lie in 1\.\.100"),
        ({"views": 1}, "--views must be at least 2"),
    ],
)
def test_options_out_of_range(folder, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        pack(folder, tmp_path / "pack", **{"views": VIEWS} | options)
    assert not (tmp_path / "pack").exists()


def test_raw_views_of_a_negative_size(folder, tmp_path):
    """Its square is that of the right one, so that the bytes would fit."""
    pack(folder, tmp_path / "pack", views=VIEWS, coding="raw", size=32)
    manifest = tmp_path / "pack" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"size": 32', '"size": -32'))
    [report] = reports(tmp_path / "pack")
    assert "raw views of -32 pixels a side do not fill" in report.findings[-1].what


def test_raw_views_have_one_size(folder, tmp_path):
    pack(folder, tmp_path / "pack", views=VIEWS, coding="raw", size=32)
    message = r"raw views of 32 pixels a side, world\.image_size is 16: make them equal"
    with pytest.raises(ConfigError, match=message):
        build(tmp_path / "pack", 16)


def test_a_bad_file_stops_the_packing_and_what_came_before_stays(folder, tmp_path):
    broken = write(tmp_path / "files", train=7, val=3, views=VIEWS)
    image = broken / places(broken, "train")[5] / "image_1.jpg"
    good = image.read_bytes()
    image.write_bytes(good[: len(good) // 2])
    with pytest.raises(DataError, match=r"image_1\.jpg is no whole JPEG"):
        pack(broken, tmp_path / "pack", views=VIEWS)
    assert (tmp_path / "pack" / "images.bin").stat().st_size > 0

    image.write_bytes(good)
    pack(broken, tmp_path / "pack", views=VIEWS)
    with pytest.raises(DataError, match=r"has 3 views, --views asks for 4: ask for fewer"):
        pack(broken, tmp_path / "other", views=4)
