"""Augmentations: their invariants, the range of their draws, and their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core import augment

ALL = [augment.brightness, augment.saturation, augment.contrast, augment.translation, augment.cutout, augment.colour]


@pytest.fixture
def images(key):
    return jax.random.uniform(key, [64, 16, 12, 3], minval=-1.0)


@pytest.mark.parametrize("augmentation", ALL)
def test_an_example_depends_on_its_own_key_alone(augmentation, images, key):
    augmentation, keys = jax.jit(augmentation), jax.random.split(key, 64)
    whole = augmentation(images, keys)
    assert whole.shape == images.shape
    np.testing.assert_allclose(augmentation(images[5:9], keys[5:9]), whole[5:9], atol=1e-6)
    assert len(np.unique(np.abs(whole - images).mean((1, 2, 3)).round(6))) > 30


@pytest.mark.parametrize("augmentation", ALL)
def test_gradients_match_finite_differences(augmentation, images, key):
    loss = jax.jit(lambda x: (augmentation(x, key) ** 2).sum())
    direction = jax.random.normal(jax.random.key(1), images.shape)
    step = 1e-2 * direction
    slope = (loss(images + step) - loss(images - step)) / 2e-2
    assert jnp.vdot(jax.jit(jax.grad(loss))(images), direction) == pytest.approx(float(slope), rel=2e-2, abs=0.5)


def test_colour_augmentations_keep_their_centre_and_draw_from_their_range(images, key):
    np.testing.assert_allclose(augment.saturation(images, key).mean(-1), images.mean(-1), atol=1e-5)
    np.testing.assert_allclose(augment.contrast(images, key).mean((1, 2, 3)), images.mean((1, 2, 3)), atol=1e-5)
    shift = (augment.brightness(images, key) - images).reshape(64, -1)
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :1], shift.shape), atol=1e-5)
    assert -0.5 <= float(shift.min()) < -0.4
    assert 0.4 < float(shift.max()) <= 0.5
    scale = (augment.contrast(images, key).std((1, 2, 3)) / images.std((1, 2, 3))).sort()
    np.testing.assert_allclose([scale[0], scale[-1]], [0.5, 1.5], atol=0.1)


def test_translations_are_whole_pixels_up_to_an_eighth_of_the_side(key):
    points = jnp.zeros([400, 16, 12, 1]).at[:, 8, 6].set(1.0)
    moved = augment.translation(points, key)
    _, rows, columns, _ = np.nonzero(np.asarray(moved))
    assert len(rows) == 400
    assert set(rows - 8) == {-2, -1, 0, 1, 2}
    assert set(columns - 6) == {-2, -1, 0, 1, 2}
    assert jnp.all(moved.sum((1, 2, 3)) == 1)


def test_a_cutout_is_a_square_of_half_the_side_clipped_at_the_edges(key):
    holes = 1 - np.asarray(augment.cutout(jnp.ones([400, 16, 16, 1]), key))[..., 0]
    heights, widths = holes.max(2).sum(1), holes.max(1).sum(1)
    np.testing.assert_array_equal(holes.sum((1, 2)), heights * widths)
    assert heights.max() == widths.max() == 8
    assert heights.min() >= 3
