"""The networks of PacGAN: maxout, packs, and a generator with batch norm."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from jaxgan.networks import mlp
from jaxgan.networks.layers import batch_norm


def test_a_maxout_unit_is_the_maximum_of_its_pieces(key):
    module = mlp.MaxoutCritic(width=6, depth=2, pieces=3, kernel_init=jax.nn.initializers.normal(0.5))
    x = jax.random.normal(key, (7, 2))
    params = module.init(key, x)["params"]
    layers = [jax.tree.map(lambda p: np.asarray(p, np.float64), params[f"Dense_{k}"]) for k in range(3)]
    h = np.asarray(x, np.float64)
    for layer in layers[:2]:
        pieces = h @ layer["kernel"] + layer["bias"]
        h = np.max([pieces[:, 6 * k : 6 * (k + 1)] for k in range(3)], axis=0)
    expected = (h @ layers[2]["kernel"] + layers[2]["bias"])[:, 0]
    assert_allclose(module.apply({"params": params}, x), expected, rtol=1e-5, atol=1e-6)


class Identity(nn.Module):
    """Returns its input."""

    @nn.compact
    def __call__(self, x, train=True):
        return x


@pytest.mark.parametrize("shape", [(2,), (4, 4, 3)], ids=str)
def test_a_pack_concatenates_its_examples_along_the_channels(shape, key):
    x = jax.random.normal(key, (6, *shape))
    packed = mlp.PackedCritic(Identity(), 3).apply({}, x)
    assert_array_equal(packed, [np.concatenate(x[3 * k : 3 * (k + 1)], axis=-1) for k in range(2)])
    assert_array_equal(mlp.PackedCritic(Identity(), 1).apply({}, x), x)


def test_a_pack_changes_only_the_first_layer(key):
    critic = mlp.MaxoutCritic(width=8, pieces=5)
    shapes = lambda pack: jax.eval_shape(mlp.PackedCritic(critic, pack).init, key, jnp.zeros((pack, 2)))
    one, four = shapes(1)["params"]["critic"], shapes(4)["params"]["critic"]
    assert four.pop("Dense_0")["kernel"].shape == (4 * 2, 5 * 8)
    assert one.pop("Dense_0")["kernel"].shape == (2, 5 * 8)
    assert one == four


def test_an_incomplete_pack_is_an_error():
    with pytest.raises(ValueError, match="pack size 4 does not divide the 10 examples"):
        mlp.PackedCritic(Identity(), 4).apply({}, jnp.zeros((10, 2)))


def test_a_generator_with_batch_norm_is_invariant_to_the_scale_of_its_layers(key):
    module = mlp.Generator((2,), width=16, depth=2, norm=batch_norm)
    z = jax.random.normal(key, (64, 3))
    params, stats = (module.init(key, z)[name] for name in ("params", "batch_stats"))
    assert set(params["Dense_0"]) == set(params["Dense_1"]) == {"kernel"}
    assert set(params["Dense_2"]) == {"kernel", "bias"}
    out = lambda params: module.apply({"params": params, "batch_stats": stats}, z, mutable="batch_stats")[0]
    scaled = params | {name: {"kernel": 100.0 * params[name]["kernel"]} for name in ("Dense_0", "Dense_1")}
    assert_allclose(out(scaled), out(params), rtol=1e-3, atol=1e-3)
