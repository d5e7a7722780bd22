"""BigGAN: parameter counts, where z and classes enter, orthogonality, truncation and standing statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from experiments.biggan import make_sample, with_standing_statistics
from jaxgan.core import regularisers
from jaxgan.core.game import LABEL, Game, Network, init_state, input_spec
from jaxgan.networks import biggan, resnet

G = biggan.Generator(1, (6, 5), first=4, bottom=2, classes=3, embedding=4)


def num_params(module, *inputs):
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, train=False))
    return sum(x.size for x in jax.tree.leaves(variables["params"]))


def test_numbers_of_parameters_at_128_pixels_are_those_of_the_authors():
    labels = jnp.zeros([2], jnp.int32)
    generator = biggan.Generator(3, (1536, 768, 384, 192, 96), first=1536, classes=1000, attention=64)
    assert num_params(generator, jnp.zeros([2, 120]), labels) == 70_433_988
    critic = resnet.Critic((96, 192, 384, 768, 1536, 1536), downs=5, classes=1000, attention=64, widen_first=True)
    assert num_params(critic, jnp.zeros([2, 128, 128, 3]), labels) == 87_982_370 - 1  # without a bias of the logit


def test_latents_must_split_into_equal_parts():
    with pytest.raises(ValueError, match="10 latents do not split into 3 equal parts"):
        num_params(G, jnp.zeros([2, 10]), jnp.zeros([2], jnp.int32))


def test_orthogonality_counts_products_of_different_filters(key):
    w = jax.random.normal(key, [3, 3, 2, 4])
    params = {"layer": {"kernel": w, "bias": jnp.ones(4)}, "embedding": jnp.ones([4, 4])}
    products = np.einsum("hwio,hwip->op", w, w)
    expected = (products**2).sum() - (np.diag(products) ** 2).sum()
    assert_allclose(regularisers.orthogonality(params), expected, rtol=1e-5)
    orthogonal = {"kernel": jnp.linalg.qr(jax.random.normal(key, [5, 5]))[0]}
    assert_allclose(regularisers.orthogonality(orthogonal), 0.0, atol=1e-10)


@pytest.fixture(scope="module")
def trained():
    """Returns the network and a state in which the classes have an effect."""
    network = Network("generator", G, (input_spec(6),), (LABEL,), convolutional=True)
    return network, jax.jit(lambda key: init_state(Game((network,), {}, ()), key))(jax.random.key(0))


def test_standing_statistics_are_means_over_batches(trained):
    network, state = trained
    z = jax.random.normal(jax.random.key(1), [3, 8, 6])
    labels = jnp.broadcast_to(jnp.resize(jnp.arange(3), 8), (3, 8))
    means = jax.jit(lambda z: with_standing_statistics(network, state, z, labels).buffers["generator"])(z)
    first = jax.jit(lambda z: with_standing_statistics(network, state, z[:1], labels[:1]).buffers["generator"])
    parts = [first(z[i:]) for i in range(3)]
    averaged = jax.tree.map(lambda *x: np.mean(x, 0), *[part["batch_stats"] for part in parts])
    jax.tree.map(lambda a, b: assert_allclose(a, b, atol=1e-5), means["batch_stats"], averaged)
    same = jax.tree.map(
        lambda a, b: a is b or bool((a == b).all()), means["spectral"], state.buffers["generator"]["spectral"]
    )
    assert all(jax.tree.leaves(same))
    # With the statistics of one batch, evaluation of that batch is the forward pass of training.
    fixed = state.with_buffers(generator={**state.buffers["generator"], "batch_stats": parts[0]["batch_stats"]})
    assert_allclose(network.bind(fixed, train=False)(z[0], labels[0]), network.bind(state)(z[0], labels[0]), atol=1e-2)


def test_truncation_makes_samples_alike(trained):
    network, state = trained
    sample = jax.jit(make_sample(network, 6, 3), static_argnames=("truncation", "standing"))
    keys, labels = jax.random.split(jax.random.key(2), 16), jnp.zeros([16], jnp.int32)
    spread = [float(sample(state, keys, labels, truncation=t).std(0).mean()) for t in (0.02, 0.5, 2.0)]
    assert 0 < spread[0] < 0.5 * spread[1] < spread[2]
    assert sample(state, keys, labels, standing=2).shape == (16, 8, 8, 1)
