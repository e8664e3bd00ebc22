"""Fixations and patches: exact, pure functions of keys, and true to the pixel."""

from bisect import bisect_right
from itertools import accumulate

import numpy as np
import pytest
import torch
from scipy import stats

from seqjepa.errors import DataError
from seqjepa.keys import draw_key, uniforms
from seqjepa.worlds.views.fixations import Inhibition, fixations, patches, weights

DISC, SQUARE, NONE = Inhibition("disc", 3), Inhibition("square", 3), Inhibition("none", 3)


def keys(number: int, epoch: int = 0):
    return draw_key(0, "train", epoch, np.arange(number))


def a_map(size: int = 12, seed: int = 0) -> torch.Tensor:
    """Weights that differ by far, some of them zero."""
    random = np.random.default_rng(seed)
    return torch.from_numpy(
        (random.pareto(1.0, (size, size)) * 1000).astype(np.int64)
        * (random.random((size, size)) < 0.8)
    )


def inhibited(size: int, places, inhibition: Inhibition) -> np.ndarray:
    """[S, S] bool in plain Python: where the fixations forbid another one."""
    row, column = np.mgrid[:size, :size]
    away = {
        "disc": lambda r, c: (row - r) ** 2 + (column - c) ** 2 <= inhibition.radius**2,
        "square": lambda r, c: (
            (abs(row - r) <= inhibition.radius) & (abs(column - c) <= inhibition.radius)
        ),
        "none": lambda r, c: np.zeros_like(row, bool),
    }[inhibition.shape]
    return np.logical_or.reduce(
        [np.zeros_like(row, bool), *(away(int(r), int(c)) for r, c in places)]
    )


def plain(
    saliency: np.ndarray, chance: np.ndarray, inhibition: Inhibition
) -> list[tuple[int, int]]:
    """Fixations drawn one after the other in Python's integers."""
    size, found = len(saliency), []
    for u in chance:
        free = ~inhibited(size, found, inhibition)
        left = np.where(free, saliency, 0)
        if not left.any():
            left = free.astype(int)
        up_to = list(accumulate(left.ravel().tolist()))
        target = min(int(u * up_to[-1]), up_to[-1] - 1)
        place = bisect_right(up_to, target)
        found.append((place // size, place % size))
    return found


@pytest.mark.parametrize("inhibition", [DISC, SQUARE, NONE])
def test_fixations_are_those_of_a_plain_version(inhibition: Inhibition) -> None:
    maps = torch.stack([a_map(seed=seed) for seed in range(20)])
    found = fixations(maps, 3, keys(20), inhibition)
    assert found.shape == (20, 3, 2) and found.dtype == torch.int64
    for saliency, chance, places in zip(
        maps.numpy(), uniforms(keys(20), 3), found.tolist(), strict=True
    ):
        assert plain(saliency, chance, inhibition) == [tuple(place) for place in places]


def agree(counts: np.ndarray, expected: np.ndarray) -> bool:
    """Test whether counts are of draws with these probabilities, up to a factor (chi-square)."""
    wanted = expected * (counts.sum() / expected.sum())
    # Positions expected fewer than five times are taken together.
    likely = wanted > 5
    observed = np.append(counts[likely], counts[~likely].sum())
    wanted = np.append(wanted[likely], wanted[~likely].sum())
    return stats.chisquare(observed[wanted > 0], wanted[wanted > 0]).pvalue > 1e-3


def test_positions_follow_the_renormalised_map() -> None:
    """P3: chi-square of the first fixation over the map, and of the second over what each first one
    left of it."""
    saliency, number = a_map(8), 60_000
    found = fixations(saliency.expand(number, -1, -1), 2, keys(number), DISC).numpy()
    share = (saliency.double() / saliency.sum()).numpy()
    second = np.zeros_like(share)
    for row, column in np.argwhere(share > 0):
        left = np.where(inhibited(8, [(row, column)], DISC), 0, share)
        second += share[row, column] * left / left.sum()
    for k, expected in enumerate((share, second)):
        counts = np.bincount(found[:, k] @ [8, 1], minlength=64)
        assert not counts[expected.ravel() == 0].any()
        assert agree(counts, expected.ravel())


def test_the_second_fixation_given_the_first_follows_the_rest() -> None:
    saliency, number = a_map(8, seed=3), 80_000
    found = fixations(saliency.expand(number, -1, -1), 2, keys(number), SQUARE).numpy()
    first, count = np.unique(found[:, 0], axis=0, return_counts=True)
    row, column = first[count.argmax()]
    left = np.where(inhibited(8, [(row, column)], SQUARE), 0, saliency.numpy()).ravel()
    given = found[(found[:, 0] == (row, column)).all(1), 1] @ [8, 1]
    counts = np.bincount(given, minlength=64)
    assert not counts[left == 0].any() and agree(counts, left)


@pytest.mark.parametrize("inhibition", [DISC, SQUARE])
def test_inhibition_is_a_disc_or_a_square_to_the_pixel(inhibition: Inhibition) -> None:
    """On a flat image all positions but the inhibited ones are reached, at the border, too."""
    size, number = 9, 4000
    one = torch.zeros(number, size, size, dtype=torch.int64)
    for spot in ((4, 4), (0, 8)):
        ones = one + 1
        # The first fixation, but for one in ten thousand million.
        ones[:, spot[0], spot[1]] = 10**12
        found = fixations(ones, 2, keys(number), inhibition)
        assert (found[:, 0] == torch.tensor(spot)).all()
        reached = np.zeros((size, size), bool)
        reached[tuple(found[:, 1].numpy().T)] = True
        np.testing.assert_array_equal(reached, ~inhibited(size, [spot], inhibition))


def test_shapes_by_hand() -> None:
    cross = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    assert Inhibition("disc", 1).kernel().int().tolist() == cross
    assert Inhibition("square", 1).kernel().all()
    assert Inhibition("square", 1).kernel().shape == (3, 3)
    assert not Inhibition("none", 1).kernel().any()
    assert Inhibition("disc", 16).kernel().sum() == 797
    assert Inhibition("square", 16).kernel().sum() == 33**2
    assert Inhibition("disc", 0).kernel().tolist() == [[True]]


@pytest.mark.parametrize("inhibition", [DISC, SQUARE, NONE])
def test_a_fixation_depends_on_its_map_and_key_alone(inhibition: Inhibition) -> None:
    maps = torch.stack([a_map(seed=seed) for seed in range(16)])
    together = fixations(maps, 3, keys(16), inhibition)
    for i in range(16):
        assert torch.equal(
            fixations(maps[i : i + 1], 3, keys(16)[i : i + 1], inhibition)[0], together[i]
        )
    assert torch.equal(fixations(maps.flip(0), 3, keys(16)[::-1], inhibition).flip(0), together)
    assert torch.equal(fixations(maps, 2, keys(16), inhibition), together[:, :2]), (
        "and not on how many follow"
    )
    assert not torch.equal(fixations(maps, 3, keys(16, epoch=1), inhibition), together)
    again = a_map(seed=0)
    assert torch.equal(maps[0], again), "nothing is written into the maps"


def test_fixations_are_pinned() -> None:
    """Other numbers here make every run on saccades a different one: change them only knowingly."""
    found = fixations(a_map()[None].repeat(2, 1, 1), 3, keys(2), DISC)
    assert found.tolist() == [[[0, 9], [11, 11], [3, 0]], [[11, 6], [0, 9], [4, 2]]]


def test_where_nothing_is_left_all_free_positions_are_alike() -> None:
    """A map of one pixel gives it first, then any that is not inhibited; an empty map is uniform
    from the first on."""
    number, size = 20_000, 7
    maps = torch.zeros(number, size, size, dtype=torch.int64)
    empty = fixations(maps, 1, keys(number), DISC)[:, 0].numpy() @ [size, 1]
    assert stats.chisquare(np.bincount(empty, minlength=size**2)).pvalue > 1e-3
    maps[:, 2, 3] = 5
    found = fixations(maps, 2, keys(number), Inhibition("disc", 2)).numpy()
    assert (found[:, 0] == (2, 3)).all()
    counts = np.bincount(found[:, 1] @ [size, 1], minlength=size**2)
    allowed = ~inhibited(size, [(2, 3)], Inhibition("disc", 2)).ravel()
    assert not counts[~allowed].any() and stats.chisquare(counts[allowed]).pvalue > 1e-3


def test_without_inhibition_a_fixation_may_come_again() -> None:
    maps = torch.zeros(4, 7, 7, dtype=torch.int64)
    maps[:, 2, 3] = 5
    assert (fixations(maps, 60, keys(4), NONE) == torch.tensor([2, 3])).all()


@pytest.mark.parametrize(
    ("inhibition", "most"),
    [(Inhibition("disc", 16), 12), (Inhibition("square", 16), 9), (Inhibition("disc", 42), 2)],
)
def test_as_many_fixations_as_always_find_room(inhibition: Inhibition, most: int) -> None:
    assert inhibition.capacity(96) == most
    flat = torch.ones(50, 96, 96, dtype=torch.int64)
    found = fixations(flat, most, keys(50), inhibition)
    for places in found.tolist():
        assert not any(inhibited(96, places[:k], inhibition)[tuple(places[k])] for k in range(most))

    message = f"{most + 1} fixations asked for, an image of 96 x 96 pixels has room for {most}"
    with pytest.raises(DataError, match=message):
        fixations(flat, most + 1, keys(50), inhibition)


def test_weights_of_half_precision_are_exact() -> None:
    random = np.random.default_rng(0)
    stored = torch.from_numpy((10.0 ** random.uniform(-7, 4.5, (3, 30, 30))).astype(np.float16))
    stored[0, 0, 0], stored[0, 0, 1] = 2.0**-24, 65504
    exact = weights(stored)
    for weight, given in zip(exact, stored.double(), strict=True):
        ratio = weight.double() / given
        assert weight.max() < 2**40 and (ratio[given > 0] == ratio[given > 0][0]).all()
    tiny = torch.full((1, 4, 4), 1e-9)
    tiny[0, 0, 0] = 3e-9
    assert weights(tiny)[0, 0, 0].item() / weights(tiny)[0, 1, 1].item() == pytest.approx(
        3, rel=1e-6
    )
    assert (weights(torch.zeros(1, 4, 4)) == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_scale_of_a_map_does_not_matter(dtype: torch.dtype) -> None:
    """Down to what a number of its type can be, and a power of two changes no weight at all."""
    maps = torch.rand(3, 8, 8, dtype=dtype, generator=torch.Generator().manual_seed(0))
    for power in (-80, -30, 30, 100):
        assert torch.equal(weights(maps * 2.0**power), weights(maps))
    dot = torch.zeros(1, 8, 8, dtype=dtype)
    dot[0, 3, 5] = 1e-44 if dtype == torch.float32 else 1e-290
    assert weights(dot)[0, 3, 5] >= 2**39 and weights(dot).sum() == weights(dot)[0, 3, 5]


def test_uniforms_are_uniform_and_fine() -> None:
    found = uniforms(keys(20_000), 3)
    assert found.min() >= 0 and found.max() < 1 and len(np.unique(found)) == found.size
    for column in found.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(found.T)[np.triu_indices(3, 1)]).max() < 0.03


def coordinates(size: int) -> torch.Tensor:
    """[1, 3, S, S]: pixels that hold their own row and column, counted from 1, so that they differ
    from what lies outside."""
    row, column = torch.meshgrid(
        torch.arange(1, size + 1), torch.arange(1, size + 1), indexing="ij"
    )
    return torch.stack([row, column, torch.full_like(row, 7)]).to(torch.uint8)[None]


def expected_patch(row: int, column: int, size: int, side: int) -> np.ndarray:
    """[3, size, size] by hand."""
    patch = np.zeros((3, size, size), np.uint8)
    for i in range(size):
        for j in range(size):
            y, x = row - size // 2 + i, column - size // 2 + j
            if 0 <= y < side and 0 <= x < side:
                patch[:, i, j] = y + 1, x + 1, 7
    return patch


@pytest.mark.parametrize("size", [8, 9])
def test_patches_are_cut_at_the_fixation(size: int) -> None:
    """Inside, over each border and at each corner; beyond the image is zero."""
    places = [(15, 20), (20, 15), (0, 0), (0, 39), (39, 0), (39, 39), (3, 12), (12, 37)]
    found = patches(coordinates(40), torch.tensor([places]), size)
    assert found.shape == (1, len(places), 3, size, size) and found.dtype == torch.uint8
    for patch, (row, column) in zip(found[0], places, strict=True):
        np.testing.assert_array_equal(patch.numpy(), expected_patch(row, column, size, 40))
        assert patch[:2, size // 2, size // 2].tolist() == [row + 1, column + 1]


def test_transposed_fixations_would_be_found() -> None:
    """The authors' release cuts at (column, row); our coordinate image tells that from the truth
    wherever the two differ."""
    place = torch.tensor([[[15, 20]]])
    transposed = patches(coordinates(40), place.flip(2), 9)[0, 0]
    assert not np.array_equal(transposed.numpy(), expected_patch(15, 20, 9, 40))
    mean = patches(coordinates(40), place, 9)[0, 0, :2].double().mean((1, 2)) - 1
    assert mean.tolist() == [15, 20], "of an odd patch, the mean position is the fixation"
    assert (patches(coordinates(40), place, 8)[0, 0, :2].double().mean((1, 2)) - 1).tolist() == [
        14.5,
        19.5,
    ]


def test_patches_of_any_memory_layout() -> None:
    images = torch.randint(
        0, 256, (3, 2, 20, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    places = torch.tensor([[[3, 4], [19, 23]], [[0, 0], [10, 11]], [[7, 2], [5, 20]]])
    found = patches(images, places, 6)
    assert torch.equal(
        found, patches(images.contiguous(memory_format=torch.channels_last), places, 6)
    )
    assert found[0].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found[2, 1, :, :, :4], images[2, :, 2:8, 17:21])
