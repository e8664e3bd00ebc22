"""Inspection of 3DIEBench's files: what they hold, and what is wrong with them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.view_files import places, write
from seqjepa.commands.data.check import reports
from seqjepa.reading.findings import Look
from seqjepa.store import inspection
from seqjepa.store.packing import pack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that a test may damage."""
    return write(tmp_path / "data", train=6, val=2, views=2)


def findings(path: Path) -> list[tuple[bool, str]]:
    [report] = reports(path)
    return [(finding.good, finding.what) for finding in report.findings]


def test_inspection_of_a_folder(folder, monkeypatch):
    assert findings(folder)[:3] == [
        (True, "split train: 6 objects; 3DIEBench has 41,920"),
        (True, "split val: 2 objects; 3DIEBench has 10,552"),
        (True, "3 classes"),
    ]
    assert all(good for good, _ in findings(folder))
    monkeypatch.setattr(inspection, "OBJECTS", {"train": 6, "val": 2})
    assert any("the mean of their pixels is" in what for good, what in findings(folder) if good)
    monkeypatch.setattr(inspection, "TOLERANCE", 0.0)
    found = findings(folder)
    assert (False, "2 views per object, 3DIEBench has 50") in found
    assert (True, "split val: 2 objects, as published") in found
    assert any("these are other pictures" in what for good, what in found if not good)


def test_inspection_names_what_is_wrong(folder):
    def bad(what: str) -> bool:
        return any(what in found for good, found in findings(folder) if not good)

    place = places(folder, "train")[2]
    (folder / place / "image_1.jpg").unlink()
    assert bad(f"{place} has 1 views, other objects have 2")
    (folder / place / "image_1.jpg").write_bytes(b"")
    assert bad("image_1.jpg is empty")

    (folder / "train_images.npy").unlink()
    assert bad("there is no train_images.npy: copy train_images.npy")
    for path in folder.glob("*.npy"):
        path.unlink()
    assert bad("has no split files: copy train_images.npy")
    assert bad("github.com/facebookresearch/SIE")
    assert len(findings(folder)) == 1


def test_latents_of_two_lengths_are_one_message(folder):
    place = places(folder, "train")[2]
    np.save(folder / place / "latent_1.npy", np.zeros(10))
    bad = [what for good, what in findings(folder) if not good]
    assert len(bad) == 1 and "latents hold different numbers of factors" in bad[0]
    assert "latent_1.npy holds 10): views of 3DIEBench (7) and of 3DIEBench-T (10)" in bad[0]

    [report] = reports(folder, Look(quick=True))
    [bad] = [finding.what for finding in report.findings if not finding.good]
    assert "latent_1.npy holds 10 factors" in bad and "latent_0.npy holds 7" in bad


def test_inspection_of_3diebench_t(tmp_path, monkeypatch):
    folder = write(tmp_path / "data", train=6, val=2, views=2, translated=True)
    found = findings(folder)
    assert all(good for good, _ in found)
    assert any(what.startswith("translation (difference): trans_x") for _, what in found)
    # Its pictures are other ones than those of 3DIEBench.
    monkeypatch.setattr(inspection, "OBJECTS", {"train": 6, "val": 2})
    assert not any("the mean of their pixels is" in what for _, what in findings(folder))


def test_inspection_counts_the_views_of_every_object(folder, monkeypatch):
    monkeypatch.setattr(inspection, "SAMPLE", 1)
    place = places(folder, "val")[1]
    (folder / place / "image_1.jpg").unlink()
    said = (
        f"{folder / place} has 1 views, other objects have 2: get it again, or set world.views to 1"
    )
    assert (False, said) in findings(folder)


def test_only_names_as_published_are_views(folder, tmp_path):
    """A copy that is called image_00.jpg was taken for a second view 0."""
    pack(folder, tmp_path / "before", views=2)
    for place in places(folder, "train"):
        for name in ("image_00.jpg", "image_١.jpg"):
            (folder / place / name).write_bytes((folder / place / "image_0.jpg").read_bytes())
    assert all(good for good, _ in findings(folder))
    pack(folder, tmp_path / "after", views=2)
    images = [(tmp_path / name / "images.bin").read_bytes() for name in ("before", "after")]
    assert images[0] == images[1]


def test_inspection_of_images_that_are_smaller_than_the_first(folder):
    image = folder / places(folder, "train")[3] / "image_1.jpg"
    Image.new("RGB", (40, 20)).save(image)
    found = findings(folder)
    assert all(good for good, _ in found)
    assert any(
        "20 to 256 pixels a side: world.image_size can be at most 20" in it for _, it in found
    )


def test_inspection_of_objects_without_views(folder):
    for image in folder.glob("*/*/image_*.jpg"):
        image.rename(image.with_suffix(".png"))
    good, what = findings(folder)[-1]
    assert not good and "has 0 views image_<i>.jpg, and no object has more than that" in what


def test_inspection_knows_what_is_not_of_this_format(tmp_path):
    (tmp_path / "n01443537" / "images").mkdir(parents=True)
    (tmp_path / "n01443537" / "images" / "n01443537_0.JPEG").touch()
    assert inspection.inspect(tmp_path) is None
    assert inspection.inspect(tmp_path / "n01443537" / "images" / "n01443537_0.JPEG") is None
