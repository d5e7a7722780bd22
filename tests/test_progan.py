"""ProGAN: levels share parameters, fading interpolates between two levels, and phases follow each other."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from experiments.progan import at_levels
from jaxgan.core import prng, resample
from jaxgan.core.game import Network, init_state, input_spec
from jaxgan.networks import progan
from jaxgan.networks.resnet import downsample, upsample
from jaxgan.runs import registry

G = progan.Generator(1, (5, 4, 3), base=2)
D = progan.Discriminator((5, 4, 3), group=2)


@pytest.fixture(scope="module")
def example():
    """Returns latents, images, and functions from a level and a fade to the outputs of G and D."""
    key = jax.random.key(0)
    z, images = jax.random.normal(key, [4, 6]), jax.random.normal(key, [4, 8, 8, 1])
    init = jax.jit(lambda: (G.init(key, z, train=False), D.init(key, images, train=False)))
    g_variables, d_variables = init()
    generate = jax.jit(lambda level, fade: G.apply(g_variables, z, level=level, fade=fade), static_argnums=0)
    judge = jax.jit(lambda x, level, fade: D.apply(d_variables, x, level=level, fade=fade), static_argnums=1)
    return images, generate, judge


def test_the_discriminators_first_layer_has_the_gain_of_he(key):
    """As in the authors' code, where only the layers to images and to logits have the gain 1."""
    D = progan.Discriminator((256,), group=2)
    x = jax.random.normal(key, [64, 4, 4, 3])
    _, state = D.apply(D.init(key, x), x, capture_intermediates=True)
    assert_allclose(np.std(state["intermediates"]["from_image_0"]["__call__"][0]), np.sqrt(2.0), rtol=0.1)


@pytest.mark.parametrize("level", [1, 2])
def test_a_new_level_begins_as_the_level_below(level, example):
    images, generate, judge = example
    below, above, half = (generate(*arguments) for arguments in ((level - 1, 1.0), (level, 1.0), (level, 0.5)))
    assert_allclose(generate(level, 0.0), below, atol=1e-5)
    assert_allclose(half, 0.5 * (below + above), atol=1e-5)
    assert np.abs(above - below).max() > 1e-2
    assert_allclose(judge(images, level, 0.0), judge(images, level - 1, 1.0), atol=1e-5)


def test_a_level_has_images_of_its_resolution(example):
    images, generate, judge = example
    for level, factor in ((0, 4), (1, 2)):
        out = generate(level, 1.0)
        pooled = out.reshape(4, 8 // factor, factor, 8 // factor, factor, 1).mean((2, 4))
        assert_allclose(pooled.repeat(factor, 1).repeat(factor, 2), out, atol=1e-6)
    coarse = upsample(downsample(images))
    assert_allclose(judge(coarse, 1, 1.0), judge(images, 1, 1.0), atol=1e-5)


def test_the_generator_of_stylegan_equals_a_statement_in_numpy(key):
    """The equations of Karras et al. 2019, section 2, in float64."""
    G = progan.StyleGenerator(1, (3, 2), base=2, depth=2)
    z, keys = jax.random.normal(key, [4, 6]), jax.random.split(key, 4)

    @jax.jit
    def generate(init_key):
        variables = G.init(init_key, z, keys, train=False)
        add_noise = lambda x: x + 0.3 * jax.random.normal(jax.random.fold_in(init_key, x.size), x.shape)
        params = jax.tree.map(add_noise, variables["params"])
        return params, G.apply({**variables, "params": params}, z, keys, train=False, fade=0.25)

    params, out = generate(key)
    p = jax.tree.map(np.float64, params)
    leaky_relu = lambda x: np.where(x > 0, x, 0.2 * x)
    linear = lambda p, x, scale=1.0: x @ p["kernel"] / np.sqrt(x.shape[-1]) * scale + p["bias"] * scale

    def convolve(kernel, x):
        padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
        h, w = x.shape[1:3]
        taps = [padded[:, i : i + h, j : j + w] @ kernel[i, j] for i in range(3) for j in range(3)]
        return sum(taps) * np.sqrt(2.0 / (9 * x.shape[-1]))

    w = np.float64(z) / np.sqrt((np.float64(z) ** 2).mean(1, keepdims=True))
    for n in range(2):
        w = np.sqrt(2.0) * leaky_relu(linear(p["Mapping_0"][f"Dense_{n}"], w, 0.01))

    def styled(p, x, noise):
        x = leaky_relu(x + noise[..., None] * p["noise_strength"] + p["bias"])
        scale, shift = np.split(linear(p["style"], w)[:, None, None], 2, -1)
        return (1.0 + scale) * (x - x.mean((1, 2), keepdims=True)) / x.std((1, 2), keepdims=True) + shift

    noise = [np.float64(prng.normal(prng.fold_in(keys, n), 2, 2 << n, 2 << n)) for n in (0, 1)]
    to_image = lambda p, x: linear({"kernel": p["kernel"][0, 0], "bias": p["bias"]}, x)
    x = styled(p["styled_0_0"], np.broadcast_to(p["constant"], [4, 2, 2, 3]), noise[0][:, 0])
    x = styled(p["styled_0_1"], convolve(p["conv_0_1"]["kernel"], x), noise[0][:, 1])
    below = to_image(p["to_image_0"], x).repeat(2, 1).repeat(2, 2)
    x = np.float64(resample.upsample(jnp.float32(x)))
    x = styled(p["styled_1_0"], convolve(p["conv_1_0"]["kernel"], x), noise[1][:, 0])
    x = styled(p["styled_1_1"], convolve(p["conv_1_1"]["kernel"], x), noise[1][:, 1])
    assert_allclose(out, 0.75 * below + 0.25 * to_image(p["to_image_1"], x), rtol=1e-3, atol=1e-4)


def test_the_generator_of_stylegan_is_an_option_of_every_level():
    entry = registry.get("progan/digits")
    config = dataclasses.replace(entry.config, adain=True, batch_size=4)
    game = entry.build(config).game
    state = jax.eval_shape(lambda: init_state(game, jax.random.key(0)))
    batch = {"real": jnp.zeros([4, 8, 8, 1]), "index": jnp.arange(4)}
    for phase in game.phases:
        loss, (after, _) = jax.eval_shape(lambda state, phase=phase: phase.loss(state, batch, jax.random.key(0)), state)
        assert loss.shape == ()
        assert jax.tree.structure(after) == jax.tree.structure(state)


def test_phases_of_the_levels_follow_each_other():
    entry = registry.get("progan/digits")
    game = entry.build(entry.config).game
    due = lambda step: [phase.name for phase in game.due_phases(step)]
    assert [due(step) for step in (0, 499, 500, 1_499, 1_500, 10_000)] == [
        ["d_2", "g_2"],
        ["d_2", "g_2"],
        ["d_4", "g_4"],
        ["d_4", "g_4"],
        ["d_8", "g_8"],
        ["d_8", "g_8"],
    ]
    levels = at_levels(Network("generator", G, (input_spec(6),)), (0, 500, 1_500), 500)
    assert [float(level.fade(jnp.int32(750))) for level in levels] == [1.0, 0.5, 0.0]
