"""`seqjepa speed saccades`: P3, fixations and patches against one image after the other."""

from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from seqjepa.keys import draw_key
from seqjepa.speed.figure import Amount, Figure
from seqjepa.speed.plain import look, noise
from seqjepa.speed.timing import alternate, one_thread
from seqjepa.worlds.saccades import Config, Saccades
from seqjepa.worlds.views.fixations import Inhibition, fixations, weights
from seqjepa.worlds.views.saliency import half, spectral_residual

PIXELS, VIEWS = 96, 5
DRAWS = 100_000  # of each test of the distribution
SMALL = 16  # pixels per side of the map it is tested on, so that all positions are drawn often


def figures(
    rounds: int = 5, batch_size: int = 256, plain_number: int = 32, draws: int = DRAWS
) -> list[Figure]:
    """Measure P3: views per core-second of ours and of the release's way.

    They are made in the paper's setting on STL-10, everything included. The distribution of
    fixations is tested, too.
    """
    with one_thread():
        # The reference has the same images and maps, but fewer: it is slow.
        world = noisy_world(batch_size)
        batches = world.loader("train", num_views=VIEWS, batch_size=batch_size, seed=0)
        images = world.images.splits["train"].images[:plain_number]
        maps = world.saliency("train", np.arange(plain_number)).float()
        plain_work = partial(look, images, maps, VIEWS, 32)
        ours, plain = alternate(lambda: next(batches), plain_work, rounds)

    rate, plain_rate = batch_size * VIEWS / ours, plain_number * VIEWS / plain
    speed = Figure(
        promise="P3",
        what=f"saccades, {VIEWS} of {PIXELS} px, batch {batch_size}",
        value=Amount(rate / plain_rate, "x"),
        ours=Amount(rate, "views per core-second"),
        least=4000,
        about="ours",
        plain=Amount(plain_rate, "views per core-second", "(image after image)"),
    )
    return [speed, *distribution(draws)]


def noisy_world(number: int) -> Saccades:
    """Return a world over images of noise, with their built-in saliency."""
    images, config = noise(number, PIXELS), Config(path="")
    pixels = torch.from_numpy(images.splits["train"].images).permute(0, 3, 1, 2)
    maps = half(spectral_residual(pixels))
    saliency = dict.fromkeys(images.splits, lambda places: maps[places])
    return Saccades(config, config.outline(), images, saliency)


def distribution(draws: int) -> list[Figure]:
    """Test that first and second fixations follow the map: p-values of chi-square tests.

    The second follows the map renormalised without the positions that the first inhibits.
    """
    saliency = torch.from_numpy(np.random.default_rng(1).pareto(2.0, (1, SMALL, SMALL)) + 0.1)
    inhibition, keys = Inhibition("disc", 3), draw_key(0, "train", 0, np.arange(draws))
    exact = weights(saliency)

    # Positions [draws, 2] as indices into the flattened map.
    drawn = fixations(exact.expand(draws, -1, -1), 2, keys, inhibition)
    positions = drawn.numpy() @ [SMALL, 1]
    expected = expectations(exact[0].double().numpy(), inhibition.radius)

    found = []
    for k, place in enumerate(("first", "second")):
        counts = np.bincount(positions[:, k], minlength=SMALL**2)
        p = p_value(counts, draws * expected[k])
        found.append(
            Figure(
                promise="P3",
                what=f"{place} fixation as the map says",
                value=Amount(p, "p, chi-square"),
                least=0.001,
                ours=Amount(draws, "draws"),
                plain=Amount(SMALL**2, "positions"),
            )
        )
    return found


def p_value(counts: npt.NDArray[np.int64], expected: npt.NDArray[np.float64]) -> float:
    """Return the p-value of the chi-square test (Pearson 1900)."""
    # With n cells, p = Q((n - 1) / 2, chi^2 / 2), the regularised upper incomplete gamma function.
    statistic = float(((counts - expected) ** 2 / expected).sum())
    freedom = torch.tensor((len(counts) - 1) / 2, dtype=torch.float64)
    return float(torch.special.gammaincc(freedom, torch.tensor(statistic / 2).double()))


def expectations(
    saliency: npt.NDArray[np.float64], radius: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the probabilities [S * S] of first and second fixations.

    They are summed position by position.
    """
    share = saliency / saliency.sum()
    row, column = np.indices(share.shape)
    second = np.zeros_like(share)
    for r, c in np.ndindex(share.shape):
        # P(second) = sum over first positions of P(first) P(second | first).
        left = np.where((row - r) ** 2 + (column - c) ** 2 <= radius**2, 0, share)
        second += share[r, c] * left / left.sum()
    return share.ravel(), second.ravel()
