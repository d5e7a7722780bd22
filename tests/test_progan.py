"""ProGAN: levels share parameters, fading interpolates between two levels, and phases follow each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from experiments.progan import at_levels
from jaxgan.core.game import Network, input_spec
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
