"""Latent vectors: ranges, rotation convention, and each factor's way into the renderer."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from seqjepa.errors import ConfigError
from seqjepa.render.raycast import render
from seqjepa.render.scene import (
    HIGH,
    LATENTS,
    LOW,
    TRANSLATED_FACTORS,
    euler_to_matrix,
    render_latents,
    sample_latents,
    sample_translations,
)
from seqjepa.render.solids import make_objects


def test_latents_are_uniform_over_the_ranges_of_3diebench():
    latents = sample_latents(np.random.default_rng(0), 20_000)
    assert latents.dtype == np.float32
    assert latents.shape == (20_000, len(LATENTS))
    low = [-math.pi / 2] * 3 + [0] * 4
    high = [math.pi / 2] * 3 + [1, math.pi / 4, 2 * math.pi, 1]
    np.testing.assert_array_equal((LOW, HIGH), (low, high))
    unit = (latents - low) / np.subtract(high, low)
    np.testing.assert_allclose(
        np.quantile(unit, (0.001, 0.25, 0.5, 0.75, 0.999), axis=0),
        np.tile([[0.001], [0.25], [0.5], [0.75], [0.999]], 7),
        atol=0.015,
    )
    np.testing.assert_allclose(np.corrcoef(unit.T), np.eye(7), atol=0.03)


def test_latents_are_a_function_of_the_generator():
    one, two, other = (sample_latents(np.random.default_rng(seed), 5) for seed in (1, 1, 2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_angles_turn_about_fixed_axes_x_then_y_then_z():
    angles = np.random.default_rng(0).uniform(-4, 4, (50, 3))
    np.testing.assert_allclose(
        euler_to_matrix(angles), Rotation.from_euler("xyz", angles).as_matrix(), atol=1e-12
    )


def test_a_latent_vector_is_the_picture_of_its_factors():
    solids, index = make_objects([0, 5], [1, 2]), np.array([0, 1, 1])
    latents = sample_latents(np.random.default_rng(0), 3)
    turns = Rotation.from_euler("xyz", latents[:, :3]).as_matrix()
    factors = {name: latents[:, i] for i, name in enumerate(LATENTS) if i > 2}
    named = render(solids, object_index=index, rotation=turns, **factors, image_size=24).astype(int)
    assert abs(render_latents(solids, index, latents, 24) - named).max() <= 1


def test_translations_are_uniform_within_their_reach():
    moves = sample_translations(np.random.default_rng(0), 20_000, 0.3)
    assert moves.dtype == np.float32 and abs(moves).max() <= 0.3
    np.testing.assert_allclose(moves.std(0), 0.3 / math.sqrt(3), rtol=0.02)
    np.testing.assert_allclose(np.corrcoef(moves.T), np.eye(3), atol=0.03)


def test_the_action_of_a_translation_is_the_difference_over_half_a_unit():
    space = TRANSLATED_FACTORS.select(("translation",))
    start, end = torch.tensor([[0.0] * 7 + [0.1, -0.5, 0.2], [9.0] * 7 + [0.4, 0.5, 0.1]])
    torch.testing.assert_close(space.between(start, end), torch.tensor([0.6, 2.0, -0.2]))


def test_every_factor_shows():
    solids, index = make_objects([0], [1]), np.array([0])
    latents = np.array([[0.1, 0.2, 0.3, 0.1, 0.5, 1.0, 0.3, 0, 0, 0]], np.float32)
    plain = render_latents(solids, index, latents, 32).astype(int)
    assert np.array_equal(plain, render_latents(solids, index, latents[:, :7], 32))
    for i, name in enumerate(TRANSLATED_FACTORS.pose):
        moved = latents + np.eye(latents.shape[1], dtype=np.float32)[i] * 0.3
        assert abs(render_latents(solids, index, moved, 32) - plain).mean() > 1, name


def test_latents_of_another_width_are_refused():
    with pytest.raises(ConfigError, match=r"latents have shape \(1, 6\), expected \[B, 7\]: rot_x"):
        render_latents(make_objects([0], [0]), np.array([0]), np.zeros((1, 6), np.float32), 16)
