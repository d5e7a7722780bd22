"""Adaptive augmentation: each transformation against its closed form and its inverse, and the rule for p."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from experiments.defaults import ImageConfig
from experiments.testbeds import DENSE_DIGITS
from jaxgan.core import ada, losses
from jaxgan.core.game import TrainState
from jaxgan.runs.registry import Entry
from jaxgan.runs.run import train_entry
from jaxgan.training import sampling, trainer

SIDE = 12
warp = jax.jit(ada.warp)
blit = jax.jit(ada.blit)
transform = jax.jit(ada.transform)
full = functools.partial(jnp.full, [2])


@pytest.fixture(scope="module")
def images():
    return jax.random.uniform(jax.random.key(0), [2, SIDE, SIDE, 3], minval=-1.0)


def smooth(x, y):
    """Returns images [1, H, W, 3] of slow waves at places in pixels from the centre."""
    return np.stack([np.sin(0.25 * x + 0.1), np.cos(0.2 * y), np.sin(0.15 * (x + y))], -1)[None].astype(np.float32)


def grid():
    """Returns the coordinates x and y of the pixels, from the centre."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    return x, y


def test_without_probability_images_are_unchanged(images):
    keys = jax.random.split(jax.random.key(1), 2)
    assert_array_equal(transform(images, keys, 0.0), images)
    assert np.abs(transform(images, keys, 1.0) - images).max((1, 2, 3)).min() > 0.1


@pytest.mark.parametrize(
    ("inverse", "expected"),
    [
        (ada.scaling(full(1.0), full(1.0)), lambda x: x),
        (ada.scaling(full(-1.0), full(1.0)), lambda x: x[:, :, ::-1]),
        (ada.rotation(full(np.pi / 2)), lambda x: np.rot90(x, 1, (1, 2))),
        (ada.rotation(full(np.pi)), lambda x: x[:, ::-1, ::-1]),
        (
            ada.translation(full(-3.0), full(2.0)),
            lambda x: np.pad(x, [(0, 0), (0, 2), (3, 0), (0, 0)], mode="reflect")[:, 2:, :SIDE],
        ),
    ],
)
def test_movements_by_whole_pixels_are_exact(inverse, expected, images):
    assert_array_equal(blit(images, inverse), expected(np.asarray(images)))


@pytest.mark.parametrize("inverse", [ada.scaling(full(1.0), full(1.0)), ada.translation(full(-3.0), full(2.0))])
def test_a_warp_by_whole_pixels_is_that_of_a_blit(inverse, images):
    """Upsampling and downsampling by the wavelet filter are together the identity."""
    assert_allclose(warp(images, inverse), blit(images, inverse), atol=2e-5)


@pytest.mark.parametrize(
    "inverse",
    [
        ada.translation(full(0.4), full(-0.7)),
        ada.rotation(full(0.3)),
        ada.scaling(full(1.1), full(0.9)),
        ada.rotation(full(-0.5)) @ ada.scaling(full(0.9), full(1.0)) @ ada.translation(full(0.5), full(0.2)),
    ],
)
def test_smooth_images_are_moved_as_functions_of_the_place(inverse):
    x, y = grid()
    image = np.repeat(smooth(x, y), 2, 0)
    source = np.einsum("ij,jyx->iyx", inverse[0], np.stack([x, y, np.ones_like(x)]))
    moved = warp(image, inverse)
    inner = (slice(0, 1), slice(3, -3), slice(3, -3))
    assert_allclose(moved[inner], smooth(source[0], source[1])[inner], atol=0.03)
    back = warp(moved, jnp.linalg.inv(inverse))
    assert_allclose(back[inner], image[inner], atol=0.05)


def test_a_warp_is_linear_in_the_image(images):
    inverse = ada.rotation(full(0.7))
    a, b = images, images[::-1]
    assert_allclose(warp(2.0 * a - b, inverse), 2.0 * warp(a, inverse) - warp(b, inverse), atol=1e-4)


@pytest.mark.parametrize(
    ("matrix", "inverse", "expected"),
    [
        (ada.colour_shift(full(0.3)), ada.colour_shift(full(-0.3)), lambda x: x + 0.3),
        (ada.colour_scale(full(2.0)), ada.colour_scale(full(0.5)), lambda x: 2.0 * x),
        (
            ada.luma_inversion(full(1.0)),
            ada.luma_inversion(full(1.0)),
            lambda x: x - 2.0 * x.mean(-1, keepdims=True),
        ),
        (ada.hue_rotation(full(2 * np.pi / 3)), ada.hue_rotation(full(-2 * np.pi / 3)), lambda x: x[..., [2, 0, 1]]),
        (
            ada.saturation_scale(full(0.25)),
            ada.saturation_scale(full(4.0)),
            lambda x: x.mean(-1, keepdims=True) + 0.25 * (x - x.mean(-1, keepdims=True)),
        ),
    ],
)
def test_colour_matrices_have_their_closed_forms_and_inverses(matrix, inverse, expected, images):
    coloured = ada.recolour(images, matrix)
    assert_allclose(coloured, expected(np.asarray(images)), atol=1e-5)
    assert_allclose(ada.recolour(coloured, inverse), images, atol=1e-5)


def test_a_grey_image_stays_grey_under_colour(images):
    matrix = ada.luma_inversion(full(1.0)) @ ada.colour_scale(full(1.5)) @ ada.colour_shift(full(0.2))
    grey = images[..., :1]
    assert_allclose(ada.recolour(grey, matrix), -1.5 * (grey + 0.2), atol=1e-5)
    assert_allclose(ada.recolour(jnp.repeat(grey, 3, 3), matrix)[..., :1], -1.5 * (grey + 0.2), atol=1e-5)


def test_an_image_depends_on_its_own_key_and_is_kept_with_the_probability_of_no_transformation():
    keys = jax.random.split(jax.random.key(2), 400)
    images = jax.random.uniform(jax.random.key(3), [400, SIDE, SIDE, 3], minval=-1.0)
    p = 0.05
    whole = transform(images, keys, p)
    assert_array_equal(transform(images[:2], keys[:2], p), whole[:2])
    kept = float((whole == images).all((1, 2, 3)).mean())
    # Two rotations are left out with probability 1 - p together, and each of the others alone. A drawn flip, turn or
    # inversion is the identity with probability 1/2, 1/4 and 1/2.
    identity = (1 - p) ** 9 * (1 - p / 2) ** 2 * (1 - 3 * p / 4)
    assert kept == pytest.approx(identity, abs=0.07)


def test_p_follows_the_sign_of_the_logits_at_reals():
    augment = ada.adaptive(batch_size=50, target=0.6, every=4, images=1_000)
    state = TrainState(jnp.int32(0), {}, dict(augment.buffers), {}, {})
    overfit = jnp.ones(10)
    state, scalars = augment.update(state, overfit)
    assert float(scalars["p"]) == pytest.approx(0.2)
    assert float(scalars["sign"]) == 1.0
    for _ in range(3):
        state, scalars = augment.update(state, -overfit)
    assert float(state.buffers["augment_p"]) == 0.0
    x = jnp.zeros([2, SIDE, SIDE, 1])
    assert_array_equal(augment.apply(dataclasses.replace(state), x, jax.random.split(jax.random.key(0), 2)), x)


@pytest.mark.parametrize(("p", "leaks"), [(0.3, False), (0.7, False), (1.0, True)])
def test_turns_do_not_leak_below_a_probability_of_one(p, leaks):
    """Section 3.1: turned distributions are equal only if the distributions are, as long as p < 1.

    The share of quarter turns in augmented images is a matrix times that in images. Estimated from flips and turns of
    a corner, it can be inverted for p < 1, and its smallest singular value is 1 - p.
    """
    corner = jnp.zeros([1, 4, 4, 1]).at[:, 0, 1].set(1.0)
    images = jnp.concatenate([jnp.rot90(corner, n, (1, 2)) for n in range(4)])
    n = 20_000
    uniforms = jax.random.uniform(jax.random.key(0), [7, n])
    draws = uniforms.at[0].set(1.0).at[2].set(1.0)  # Neither flips nor shifts.
    inverse = ada.draw_blit(iter(draws), p, 4, 4)
    turned = jax.jit(lambda image: blit(jnp.broadcast_to(image[None], [n, 4, 4, 1]), inverse))
    shares = np.stack([[(turned(a) == b[None]).all((1, 2, 3)).mean() for b in images] for a in images])
    assert_allclose(shares.sum(1), 1.0, rtol=1e-6)
    smallest = np.linalg.svd(shares)[1][-1]
    assert smallest == pytest.approx(1 - p, abs=0.02)
    # A generator of another distribution has augmented images of another distribution.
    data, generated = np.array([1, 0, 0, 0]), np.array([0.5, 0.5, 0, 0])
    distance = np.abs(data @ shares - generated @ shares).sum()
    assert (distance < 0.05) == leaks


def test_adaptive_augmentation_trains_and_resumes(tmp_path, share_programs, monkeypatch):
    """`--augment ada` on digits: p rises from the first update on, and a resumed run equals a whole one."""
    monkeypatch.setattr(trainer.Monitor, "draw_preview", lambda *_: None)
    monkeypatch.setattr(sampling, "evaluate_state", lambda *_, **__: ({}, {}))
    periods = dict.fromkeys(("save_every", "sample_every", "evaluate_every", "log_every"), 4)
    config = ImageConfig(steps=8, batch_size=16, latent=4, width=4, augment="ada", **periods)
    adam = optax.adam(0.01)
    build = lambda config: DENSE_DIGITS.two_player(config, losses.non_saturating, adam, adam)
    entry = share_programs(Entry("ada/digits", config, build))
    train_entry(entry, dataclasses.replace(config, steps=4), tmp_path / "resumed", 1)
    resumed, whole = (train_entry(entry, config, tmp_path / folder, 1) for folder in ("resumed", "whole"))
    chex.assert_trees_all_equal(resumed.state, whole.state, strict=True)
    assert 0 < float(whole.state.buffers["augment_p"]) <= 2 * 16 * 4 / 500_000
    assert {"augment/p", "augment/sign"} <= set(whole.metrics())
