"""Parameters are drawn from the distributions that the policy names, as torchvision's transforms
draw them."""

import math
import random

import numpy as np
import pytest
from scipy import stats

from seqjepa.errors import ConfigError
from seqjepa.keys import draw_key, spread
from seqjepa.worlds.views.policy import COLUMNS, Policy, sample

KEYS = draw_key(0, "train", 0, np.arange(20_000))


def draws(size: int = 32, **changes) -> dict[str, np.ndarray]:
    """20,000 of each parameter."""
    return dict(zip(COLUMNS, sample(Policy(**changes), KEYS, size).T, strict=True))


def same(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Test whether two samples may be of one distribution (Kolmogorov-Smirnov)."""
    return stats.ks_2samp(ours, theirs).pvalue > 1e-3


def plain_crop(policy: Policy, size: int) -> tuple[int, int, int, int]:
    """RandomResizedCrop.get_params as torchvision has it, for a square image."""
    for _ in range(10):
        area = size * size * random.uniform(*policy.scale)
        aspect = math.exp(random.uniform(*map(math.log, policy.ratio)))
        width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < width <= size and 0 < height <= size:
            return random.randint(0, size - height), random.randint(0, size - width), height, width
    return 0, 0, size, size


@pytest.mark.parametrize(
    ("size", "changes"),
    [(32, {}), (64, {"scale": (0.08, 1.0)}), (32, {"scale": (0.9, 1.0), "ratio": (0.5, 2.0)})],
)
def test_boxes_are_torchvisions(size, changes):
    """The last ones hardly ever fit, and then it is the whole image."""
    random.seed(0)
    theirs = np.array([plain_crop(Policy(**changes), size) for _ in range(20_000)]).T
    found = draws(size, **changes)
    ours = np.stack([found[name] for name in COLUMNS[:4]])
    assert (ours == np.rint(ours)).all()
    assert (ours[:2] >= 0).all()
    assert (ours[2:] >= 1).all()
    assert (ours[:2] + ours[2:] <= size).all()
    # integers have ties, for which the Kolmogorov-Smirnov test errs on the safe side
    assert all(same(a, b) for a, b in zip(ours, theirs, strict=True))
    assert same(ours[2] * ours[3], theirs[2] * theirs[3])
    assert same(ours[0] + ours[2], theirs[0] + theirs[2])
    whole = [((box[2] == size) & (box[3] == size)).mean() for box in (ours, theirs)]
    assert whole[0] == pytest.approx(whole[1], abs=0.02)


def test_no_box_fits():
    found = draws(32, scale=(1.0, 1.0), ratio=(0.25, 4.0))
    whole = (found["height"] == 32) & (found["width"] == 32)
    assert whole.mean() > 0.95
    assert (found["top"][whole] == 0).all()
    assert (found["left"][whole] == 0).all()


def test_probabilities_of_the_paper():
    """Observed views are always blurred and never solarized (released code)."""
    found = draws()
    unchanged = np.stack(
        [found[name] for name in ("brightness", "contrast", "saturation", "hue")]
    ) == np.array([[1], [1], [1], [0]])
    assert unchanged.all(0).mean() == pytest.approx(0.2, abs=0.01)
    assert found["flip"].mean() == pytest.approx(0.5, abs=0.01) and set(found["flip"]) == {0, 1}
    assert found["gray"].mean() == pytest.approx(0.2, abs=0.01) and set(found["gray"]) == {0, 1}
    assert (found["sigma"] > 0).all() and not found["solarize"].any()
    last = draws(p_blur=0.1, p_solarize=0.2)
    assert (last["sigma"] > 0).mean() == pytest.approx(0.1, abs=0.01)
    assert last["solarize"].mean() == pytest.approx(0.2, abs=0.01)


def test_ranges_of_the_paper():
    found = draws(p_jitter=1.0)
    for name, low, high in (
        ("brightness", 0.6, 1.4),
        ("contrast", 0.6, 1.4),
        ("saturation", 0.8, 1.2),
        ("hue", -0.1, 0.1),
        ("sigma", 0.1, 2),
    ):
        assert stats.kstest(found[name], stats.uniform(low, high - low).cdf).pvalue > 1e-3, name
    assert draws(p_jitter=1.0, brightness=1.5)["brightness"].min() == pytest.approx(0, abs=0.01), (
        "factors are not negative"
    )


def test_all_orders_are_equally_frequent():
    found = draws(p_jitter=1.0)
    places = np.stack(
        [found[f"{name}_place"] for name in ("brightness", "contrast", "saturation", "hue")]
    )
    assert (np.sort(places, 0) == np.arange(4)[:, None]).all()
    _, counts = np.unique(places.T @ [64, 16, 4, 1], return_counts=True)
    assert len(counts) == 24 and stats.chisquare(counts).pvalue > 1e-3
    left_alone = draws(p_jitter=0.0)
    assert all(
        (left_alone[f"{name}_place"] == i).all()
        for i, name in enumerate(("brightness", "contrast", "saturation", "hue"))
    )


def test_parameters_are_independent():
    found = draws(p_jitter=1.0, p_blur=0.5)
    names = (
        "flip",
        "brightness",
        "contrast",
        "saturation",
        "hue",
        "gray",
        "sigma",
        "height",
        "hue_place",
    )
    correlations = np.corrcoef([found[name] for name in names]) - np.eye(len(names))
    assert np.abs(correlations).max() < 0.03


def test_a_draw_is_a_function_of_its_key():
    together = sample(Policy(), spread(KEYS[:50], 4), 32)
    assert together.shape == (50, 4, len(COLUMNS)) and together.dtype == np.float32
    np.testing.assert_array_equal(sample(Policy(), spread(KEYS[7:8], 6), 32)[0, :4], together[7])
    assert len(np.unique(together.reshape(200, -1), axis=0)) == 200


def test_draws_are_pinned():
    """Other numbers would make every committed result a different run: change them only
    knowingly."""
    colours = [1.292405128479004, 0.6184576153755188, 1.1408787965774536, 0.010338488034904003]
    pinned = [8, 4, 23, 23, 1, *colours, 2, 3, 1, 0, 0, 0.18032939732074738, 0]
    np.testing.assert_allclose(sample(Policy(), np.array([5]), 32)[0], pinned, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"p_flip": 1.1}, r"policy's p_flip must lie in 0\.\.1, got 1\.1"),
        ({"p_blur": -0.1}, r"p_blur must lie in 0\.\.1"),
        ({"hue": 0.6}, r"hue must be at most 0\.5, got 0\.6"),
        ({"hue": -0.1}, "hue must be finite and at least 0"),
        ({"brightness": -1.0}, "brightness must be finite and at least 0"),
        ({"contrast": math.inf}, "contrast"),
        ({"scale": (0.5, 1.2)}, "scale .* range within 0 to 1, got 0.5 to 1.2"),
        ({"scale": (0.0, 1.0)}, "scale"),
        ({"sigma": (2.0, 0.1)}, "sigma .* range"),
        ({"ratio": (1.1, 1.3)}, "ratio .* range around 1, got 1.1 to 1.3"),
        ({"p_gray": math.nan}, "p_gray"),
    ],
)
def test_impossible_policies(changes, message):
    with pytest.raises(ConfigError, match=message):
        Policy(**changes)
