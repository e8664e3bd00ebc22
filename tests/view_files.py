"""Small data sets in the exact format in which 3DIEBench is published."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

SYNSETS = ("02691156", "03001627", "04379243")
PIXELS = 256


def write(folder: Path, *, train: int = 12, val: int = 5, views: int = 4, first: int = 0, beyond: bool = False) -> Path:
    """Objects of three classes with 256 x 256 JPEGs, float64 latents and split files of <U43 strings; `beyond`: angles outside +-pi/2."""
    for seed, (split, number) in enumerate({"train": train, "val": val}.items()):
        random = np.random.default_rng(seed)
        labels = np.arange(number) % len(SYNSETS)
        places = [f"/{SYNSETS[label]}/{random.bytes(16).hex()}/" for label in labels]
        for place in places:
            for view in range(first, first + views):
                write_view(folder / place.strip("/"), view, random, beyond)
        assert np.array(places).dtype == "<U43" or number == 0
        if number:
            np.save(folder / f"{split}_images.npy", np.array(places))
            np.save(folder / f"{split}_labels.npy", labels.astype(np.int64))
    return folder


def write_view(folder: Path, view: int, random: np.random.Generator, beyond: bool = False) -> None:
    """A picture whose left half is brighter the larger rot_x, and whose colour the hues decide."""
    folder.mkdir(parents=True, exist_ok=True)
    latent = random.uniform(0, 1, 7) * [np.pi, np.pi, np.pi, 1, np.pi / 4, 2 * np.pi, 1]
    latent[:3] -= np.pi / 2
    if beyond:
        latent[:3] -= np.sign(latent[:3]) * np.pi
    pixels = np.empty((PIXELS, PIXELS, 3))
    pixels[:] = 64 + 128 * latent[[3, 6, 4]]
    pixels[:, : PIXELS // 2] += 20 * latent[0]
    jpeg = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(jpeg, "JPEG", quality=90)
    (folder / f"image_{view}.jpg").write_bytes(jpeg.getvalue())
    np.save(folder / f"latent_{view}.npy", latent)


def places(folder: Path, split: str) -> list[str]:
    """The objects of a split, as paths inside the folder."""
    return [place.strip("/") for place in np.load(folder / f"{split}_images.npy").tolist()]
