"""`seqjepa speed saccades`: P3, fixations and patches against one image after the other."""

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
    """P3: views per core-second of the paper's setting on STL-10, all in, and of the release's way;
    and how fixations are distributed.
    """
    with one_thread():
        world = noisy_world(batch_size)
        batches = world.loader("train", num_views=VIEWS, batch_size=batch_size, seed=0)
        images, maps = (
            world.images.splits["train"].images[:plain_number],
            world.saliency("train", np.arange(plain_number)).float(),
        )
        ours, plain = alternate(
            lambda: next(batches), lambda: look(images, maps, VIEWS, 32), rounds
        )
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
    """A world over images of noise, with their built-in saliency."""
    images = noise(number, PIXELS)
    maps = half(
        spectral_residual(torch.from_numpy(images.splits["train"].images).permute(0, 3, 1, 2))
    )
    config = Config(path="")
    return Saccades(
        config, config.outline(), images, dict.fromkeys(images.splits, lambda places: maps[places])
    )


def distribution(draws: int) -> list[Figure]:
    """Whether first and second fixations follow the map, renormalised where the first inhibits:
    p-values of chi-square tests.
    """
    saliency = torch.from_numpy(np.random.default_rng(1).pareto(2.0, (1, SMALL, SMALL)) + 0.1)
    inhibition, keys = Inhibition("disc", 3), draw_key(0, "train", 0, np.arange(draws))
    exact = weights(saliency)
    found = fixations(exact.expand(draws, -1, -1), 2, keys, inhibition).numpy() @ [SMALL, 1]
    expected = expectations(exact[0].double().numpy(), inhibition.radius)
    return [
        Figure(
            promise="P3",
            what=f"{place} fixation as the map says",
            value=Amount(
                p_value(np.bincount(found[:, k], minlength=SMALL**2), draws * expected[k]),
                "p, chi-square",
            ),
            least=0.001,
            ours=Amount(draws, "draws"),
            plain=Amount(SMALL**2, "positions"),
        )
        for k, place in enumerate(("first", "second"))
    ]


def p_value(counts: npt.NDArray[np.int64], expected: npt.NDArray[np.float64]) -> float:
    """Of the chi-square test (Pearson 1900)."""
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return float(
        torch.special.gammaincc(
            torch.tensor((len(counts) - 1) / 2, dtype=torch.float64),
            torch.tensor(statistic / 2).double(),
        )
    )


def expectations(
    saliency: npt.NDArray[np.float64], radius: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """[S S] each: the probabilities of first and second fixations, summed position by position."""
    share = saliency / saliency.sum()
    row, column = np.indices(share.shape)
    second = np.zeros_like(share)
    for r, c in np.ndindex(share.shape):
        left = np.where((row - r) ** 2 + (column - c) ** 2 <= radius**2, 0, share)
        second += share[r, c] * left / left.sum()
    return share.ravel(), second.ravel()
