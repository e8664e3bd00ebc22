"""Small files in the exact formats of published data sets, with true pixels where the test packages have them."""

import importlib.util
import io
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

FINE = tuple(f"class_{number:02d}" for number in range(100))


def samples(name: str) -> tuple[list[Path], list[int]]:
    """The image files of a data set in foolbox's wheel, and their labels."""
    spec = importlib.util.find_spec("foolbox")
    assert spec is not None and spec.submodule_search_locations
    files = sorted((Path(spec.submodule_search_locations[0]) / "data").glob(f"{name}_*"))
    assert len(files) == 20
    return files, [int(file.stem.split("_")[2]) for file in files]


def cifar_samples() -> tuple[np.ndarray, np.ndarray]:
    """[20, 32, 32, 3] and [20]: true images of CIFAR-100."""
    files, labels = samples("cifar100")
    return np.stack([np.asarray(Image.open(file)) for file in files]), np.array(labels)


class Python2Pickler(pickle._Pickler):
    """Writes strings as Python 2 did, in which CIFAR was pickled."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_string(self, text: str | bytes) -> None:
        data = text.encode("latin-1") if isinstance(text, str) else text
        size = pickle.SHORT_BINSTRING + bytes([len(data)]) if len(data) < 256 else pickle.BINSTRING + struct.pack("<i", len(data))
        self.write(size + data)
        self.memoize(text)

    dispatch[str] = dispatch[bytes] = save_string


def pickled_by_python2(value: object) -> bytes:
    """Protocol 2, as Python 2 and its numpy wrote it."""
    data = io.BytesIO()
    Python2Pickler(data, protocol=2).dump(value)
    return data.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def cifar_fields(images: np.ndarray, labels: np.ndarray) -> dict[str, object]:
    """What one of the pickles holds."""
    return {
        "filenames": [f"bos_taurus_s_{number:06d}.png" for number in range(len(labels))],
        "batch_label": "training batch 1 of 1",
        "fine_labels": [int(label) for label in labels],
        "coarse_labels": [int(label) % 20 for label in labels],
        "data": np.ascontiguousarray(images.transpose(0, 3, 1, 2).reshape(len(images), -1)),
    }


def write_cifar_python(folder: Path, images: np.ndarray, labels: np.ndarray, test: int = 4, dump=pickled_by_python2) -> Path:
    """`cifar-100-python`, of which the last images are the test's."""
    out = folder / "cifar-100-python"
    out.mkdir(parents=True)
    (out / "train").write_bytes(dump(cifar_fields(images[:-test], labels[:-test])))
    (out / "test").write_bytes(dump(cifar_fields(images[-test:], labels[-test:])))
    (out / "meta").write_bytes(dump({"fine_label_names": list(FINE), "coarse_label_names": list(FINE[:20])}))
    (out / "file.txt~").touch()  # as in the published archive
    return out


def write_cifar_binary(folder: Path, images: np.ndarray, labels: np.ndarray, test: int = 4) -> Path:
    """`cifar-100-binary`."""
    out = folder / "cifar-100-binary"
    out.mkdir(parents=True)
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    records = np.concatenate([labels[:, None] % 20, labels[:, None], planes], 1).astype(np.uint8)
    (out / "train.bin").write_bytes(records[:-test].tobytes())
    (out / "test.bin").write_bytes(records[-test:].tobytes())
    (out / "fine_label_names.txt").write_text("\n".join(FINE) + "\n\n")
    (out / "coarse_label_names.txt").write_text("\n".join(FINE[:20]) + "\n\n")
    return out


def jpeg(pixels: np.ndarray, **options: object) -> bytes:
    """Pixels [H, W, 3] or [H, W] as a file."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", **options)
    return data.getvalue()


def write_tiny_imagenet(folder: Path, train: int = 3, val: int = 4) -> Path:
    """`tiny-imagenet-200`: two classes, not in the order of their names; every third image is gray."""
    out, wnids = folder / "tiny-imagenet-200", ("n02124075", "n01443537")
    photos = [np.asarray(Image.open(file).convert("RGB").resize((64, 64))) for file in samples("imagenet")[0]]
    photos = [photo if number % 3 else photo[..., 1] for number, photo in enumerate(photos)]
    for number, wnid in enumerate(wnids):
        (out / "train" / wnid / "images").mkdir(parents=True)
        (out / "train" / wnid / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t10\t63\t58\n")
        for place in range(train):
            (out / "train" / wnid / "images" / f"{wnid}_{place}.JPEG").write_bytes(jpeg(photos[number * train + place]))
    for split in ("val", "test"):
        (out / split / "images").mkdir(parents=True)
        for place in range(val):
            (out / split / "images" / f"{split}_{place}.JPEG").write_bytes(jpeg(photos[10 + place]))
    (out / "val" / "val_annotations.txt").write_text("".join(f"val_{n}.JPEG\t{wnids[n % 2]}\t0\t32\t44\t62\n" for n in range(val)))
    (out / "wnids.txt").write_text("\n".join(wnids) + "\n")
    (out / "words.txt").write_text("n00001740\tentity\nn01443537\tgoldfish, Carassius auratus\nn02124075\tEgyptian cat\n")
    return out


def write_stl10(folder: Path, images: dict[str, np.ndarray], labels: dict[str, np.ndarray]) -> Path:
    """`stl10_binary` of images [N, 96, 96, 3] and labels from 0."""
    out = folder / "stl10_binary"
    out.mkdir(parents=True)
    for origin, pixels in images.items():
        (out / f"{origin}_X.bin").write_bytes(pixels.transpose(0, 3, 2, 1).tobytes())  # planes, column by column
    for origin, numbers in labels.items():
        (out / f"{origin}_y.bin").write_bytes((numbers + 1).astype(np.uint8).tobytes())
    (out / "class_names.txt").write_text("\n".join(("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")))
    (out / "fold_indices.txt").write_text("0 1 2\n")
    return out


def write_imagenet(folder: Path, train: int = 4) -> Path:
    """`train/<wnid>` and `val/<wnid>` with the true images, as they are."""
    for number, file in enumerate(samples("imagenet")[0]):
        wnid = f"n0{1440764 + number % 2}"
        split = "train" if number < 2 * train else "val"
        place = folder / split / wnid / f"{wnid}_{number}.JPEG"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes())
    return folder


def tarred(folder: Path, out: Path) -> Path:
    """A tar of a folder, packed if its name says so."""
    with tarfile.open(out, f"w:{'gz' if out.suffix == '.gz' else ''}") as archive:
        archive.add(folder, folder.name)
    return out


def zipped(folder: Path, out: Path) -> Path:
    """A zip of a folder."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    return out
