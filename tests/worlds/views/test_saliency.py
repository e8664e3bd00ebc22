"""Saliency: the built-in model against a plain numpy version, and the cache."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from fixtures.saliency import images_of, photo, tensor
from seqjepa.worlds.views import saliency
from seqjepa.worlds.views.fixations import weights
from seqjepa.worlds.views.saliency import (
    centre_bias,
    half,
    spectral_residual,
    spectral_residual_maps,
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQJEPA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def plain(image: np.ndarray) -> np.ndarray:
    """Hou and Zhang's map of an image of 64 pixels in float64, with numpy and scipy, times the
    centre bias."""
    gray = image.astype(np.float64) @ [0.299, 0.587, 0.114] / 255
    spectrum = np.fft.fft2(gray - gray.mean())
    log = np.log(np.abs(spectrum) + 1e-6 * np.abs(spectrum).max())
    residual = log - ndimage.uniform_filter(log, 3, mode="nearest")
    energy = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    smooth = ndimage.gaussian_filter(energy, 2.5, radius=5, mode="nearest")
    away = (np.arange(64) + 0.5) / 64 - 0.5
    bias = np.exp(-0.5 * (away[:, None] ** 2 + away**2) / 0.18**2)
    return smooth * bias / (smooth * bias).sum()


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_the_spectral_residual_of_photos(name: str) -> None:
    image = photo(name, 64)
    found, oracle = spectral_residual(tensor(image))[0].double().numpy(), plain(image)
    assert abs(found - oracle).sum() < 1e-4, "total variation"


def test_larger_images_are_looked_at_in_the_same_scale() -> None:
    """The map of 96 pixels is that of 64, enlarged; and in a batch it is what it is alone."""
    images = np.stack([photo(name, 96) for name in ("astronaut", "coffee")])
    maps = spectral_residual(tensor(images))
    assert maps.shape == (2, 96, 96) and maps.dtype == torch.float32
    torch.testing.assert_close(maps.sum((1, 2)), torch.ones(2))
    small = np.stack(
        [
            np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BILINEAR))
            for image in images
        ]
    )
    for found, image in zip(maps, small, strict=True):
        oracle = ndimage.zoom(plain(image), 1.5, order=1, grid_mode=True, mode="nearest")
        assert np.corrcoef(found.flatten(), oracle.ravel())[0, 1] > 0.98
    torch.testing.assert_close(spectral_residual(tensor(images[1])), maps[1:], rtol=1e-4, atol=1e-9)


def test_a_dot_is_salient_and_a_flat_image_is_not() -> None:
    dot = np.full((96, 96, 3), 120, np.uint8)
    dot[30:34, 60:64] = 250
    row, column = divmod(int(spectral_residual(tensor(dot))[0].argmax()), 96)
    assert abs(row - 32) <= 3 and abs(column - 62) <= 3
    bias = centre_bias(96) / centre_bias(96).sum()
    for level in (0, 200, 255):
        flat = spectral_residual(tensor(np.full((96, 96, 3), level, np.uint8)))[0]
        torch.testing.assert_close(flat, bias, rtol=1e-4, atol=1e-9)


def test_the_centre_bias_is_that_of_people() -> None:
    """Judd et al. 2009: 40 % of fixations in the middle 11 % of the area, 70 % in the middle 25
    %."""
    bias = centre_bias(300) / centre_bias(300).sum()
    for area, share in ((0.11, 0.40), (0.25, 0.70)):
        edge = round(300 * (1 - area**0.5) / 2)
        assert float(bias[edge : 300 - edge, edge : 300 - edge].sum()) == pytest.approx(
            share, abs=0.03
        )


def test_half_precision_keeps_a_peaked_map() -> None:
    """All but a four-thousandth of the probability stays where it was, and the weights of what is
    stored are exact."""
    random = np.random.default_rng(0)
    maps = torch.from_numpy(10.0 ** random.uniform(-8, 0, (4, 96, 96)))
    stored = half(maps)
    assert stored.dtype == torch.float16
    assert ((stored.amax((1, 2)) >= 2048) & (stored.amax((1, 2)) <= 4096)).all()
    share = maps / maps.sum((1, 2), keepdim=True)
    kept = stored.double() / stored.double().sum((1, 2), keepdim=True)
    assert ((share - kept).abs().sum((1, 2)) < 2 / 4096).all()
    exact = weights(stored).double()
    torch.testing.assert_close(exact / exact.sum((1, 2), keepdim=True), kept, rtol=1e-14, atol=0)


def test_built_in_maps_stand_in_the_cache_and_are_aligned(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = images_of()
    maps = spectral_residual_maps(images)
    for name, split in images.splits.items():
        index = np.arange(len(split))[::-1].copy()
        expected = half(spectral_residual(tensor(split.pick(index))))
        torch.testing.assert_close(maps[name](split.places(index)), expected, rtol=2e-3, atol=0)
    monkeypatch.setattr(saliency, "spectral_residual", lambda images: pytest.fail("they are there"))
    spectral_residual_maps(images_of())
    [folder] = cache.glob("saliency-*")
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["test", "unlabeled"]


def test_other_images_have_other_maps(cache: Path) -> None:
    spectral_residual_maps(images_of())
    spectral_residual_maps(images_of(number=5))
    spectral_residual_maps(images_of(size=24))
    assert len(list(cache.glob("saliency-*"))) == 3


def test_a_digest_of_all_pixels_tells_images_apart(cache: Path) -> None:
    images = images_of()
    for contents in ("a", "b"):
        splits = {name: replace(split, contents=contents) for name, split in images.splits.items()}
        spectral_residual_maps(replace(images, splits=splits))
    assert len(list(cache.glob("saliency-*"))) == 2
