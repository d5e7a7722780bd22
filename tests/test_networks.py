"""Tests of layers against flax and closed forms, and of the sizes of DCGAN and fully connected networks."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, PartitionSpec
from numpy.testing import assert_allclose

from jaxgan.core import axis
from jaxgan.networks import dcgan, mlp
from jaxgan.networks.layers import Conv, ConvTranspose, batch_norm, equalised_lr

GENERATORS = {
    "dcgan": dcgan.Generator(16, channels=3, width=4),
    "image": mlp.Generator((8, 8, 1), width=16, out=nn.tanh),
    "points": mlp.Generator((2,), width=16),
}
CRITICS = {
    "dcgan": (dcgan.Discriminator(width=4), (16, 16, 3)),
    "dcgan without norm": (dcgan.Discriminator(width=4, norm=False), (16, 16, 3)),
    "image": (mlp.Critic(width=16), (8, 8, 1)),
    "points": (mlp.Critic(width=16), (2,)),
}


def count_params(module, *shape):
    """Returns the number of parameters."""
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, *shape)), train=False))
    return sum(x.size for x in jax.tree.leaves(variables["params"]))


def assert_close(actual, expected, rtol=1e-5):
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=rtol, atol=1e-6), actual, expected)


@pytest.mark.parametrize(
    "options", [{}, {"padding": "VALID", "use_bias": False}, {"padding": ((1, 2), (0, 1))}], ids=str
)
@pytest.mark.parametrize("classes", [(Conv, nn.Conv), (ConvTranspose, nn.ConvTranspose)], ids=["conv", "transposed"])
def test_convolutions_equal_those_of_flax(classes, options, key):
    options = {"strides": (2, 1), "bias_init": nn.initializers.normal(), **options}
    layer, flax_layer = (module(5, (4, 3), **options) for module in classes)
    x = jax.random.normal(key, (2, 6, 7, 3))
    variables = layer.init(key, x)
    assert_close(variables, flax_layer.init(key, x), rtol=0)
    assert_close(layer.apply(variables, x), flax_layer.apply(variables, x))


class Normed(nn.Module):
    """A network that consists of one batch norm layer."""

    @nn.compact
    def __call__(self, x, train=True):
        return batch_norm(train, scale_init=nn.initializers.normal())(x)


def test_batch_norm_equals_its_closed_form(key):
    x = 3.0 + 2.0 * jax.random.normal(key, (8, 3, 2, 5))
    variables = Normed().init(key, x)
    out, stats = Normed().apply(variables, x, mutable="batch_stats")
    evaluated = Normed().apply({**variables, **stats}, x, train=False)
    x, scale = np.asarray(x), np.asarray(variables["params"]["BatchNorm_0"]["scale"])
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    running = {"mean": 0.1 * mean, "var": 0.9 + 0.1 * var}
    assert_close(stats["batch_stats"]["BatchNorm_0"], running)
    assert_close(out, (x - mean) / np.sqrt(var + 1e-5) * scale, rtol=1e-4)
    assert_close(evaluated, (x - running["mean"]) / np.sqrt(running["var"] + 1e-5) * scale, rtol=1e-4)


@pytest.mark.parametrize("parallel", ["shard_map", "pmap"])
@pytest.mark.parametrize("module", [Normed(), CRITICS["dcgan"][0]], ids=["batch norm", "dcgan"])
def test_batch_norm_on_eight_devices_equals_one_device(module, parallel, key):
    x = 1.0 + jax.random.normal(key, (16, 16, 16, 3))
    variables = jax.jit(lambda: module.init(key, x, train=False))()
    weight = jnp.arange(16.0)  # With equal weights the gradients through batch norm would be 0.

    def step(params, x, weight):
        def loss(params):
            out, updates = module.apply({**variables, "params": params}, x, mutable="batch_stats")
            return (weight * (out**2).reshape(len(out), -1).mean(1)).mean(), (out, updates)

        grads, (out, updates) = jax.grad(loss, has_aux=True)(params)
        return axis.pmean(grads), updates, out

    expected = jax.jit(step)(variables["params"], x, weight)
    if parallel == "pmap":
        shard = lambda t: t.reshape(8, 2, *t.shape[1:])
        grads, updates, out = jax.pmap(step, axis.AXIS_NAME, in_axes=(None, 0, 0))(
            variables["params"], shard(x), shard(weight)
        )
        actual = *jax.tree.map(lambda t: t[3], (grads, updates)), out.reshape(expected[2].shape)
    else:
        mesh = jax.make_mesh((8,), (axis.AXIS_NAME,), (AxisType.Auto,))
        replicated, sharded = PartitionSpec(), PartitionSpec(axis.AXIS_NAME)
        specs = {"in_specs": (replicated, sharded, sharded), "out_specs": (replicated, replicated, sharded)}
        actual = jax.jit(jax.shard_map(step, mesh=mesh, check_vma=False, **specs))(variables["params"], x, weight)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-3, atol=1e-5 * np.abs(b).max()), actual, expected)


def test_batch_norm_communicates_only_in_training(key):
    mesh, sharded = jax.make_mesh((8,), (axis.AXIS_NAME,), (AxisType.Auto,)), PartitionSpec(axis.AXIS_NAME)
    variables = Normed().init(key, jnp.zeros((1, 3)))
    normalise = lambda train: jax.shard_map(
        lambda x: Normed().apply(variables, x, train, mutable="batch_stats")[0],
        mesh=mesh,
        in_specs=sharded,
        out_specs=sharded,
        check_vma=False,
    )
    x = jnp.zeros((8, 3))
    assert "psum" in str(jax.make_jaxpr(normalise(True))(x))
    assert "psum" not in str(jax.make_jaxpr(normalise(False))(x))


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_map_examples_independently_to_their_shape(name, key):
    module = GENERATORS[name]
    z = jax.random.normal(key, (6, 5))
    variables = jax.jit(lambda: module.init(key, z, train=False))()
    generate = jax.jit(lambda z: module.apply(variables, z, train=False))
    shape = getattr(module, "shape", (16, 16, 3))
    images = generate(10.0 * z)
    assert images.shape == (6, *shape)
    assert images.dtype == jnp.float32
    assert (jnp.abs(images).max() <= 1) == (name != "points")
    assert_close(generate(z)[:2], generate(z[:2]))


@pytest.mark.parametrize("name", CRITICS)
def test_critics_map_examples_independently_to_logits(name, key):
    module, shape = CRITICS[name]
    x = jax.random.normal(key, (6, *shape))
    variables = jax.jit(lambda: module.init(key, x, train=False))()
    critic = jax.jit(lambda x: module.apply(variables, x, train=False))
    logits = critic(x)
    assert logits.shape == (6,)
    assert logits.dtype == jnp.float32
    assert_close(critic(x[:2]), logits[:2])


def test_numbers_of_parameters():
    def generator(z, widths, channels, base):  # dense layer, kernels, scale and bias of batch norm
        kernels = sum(16 * i * o for i, o in zip(widths, [*widths[1:], channels], strict=True))
        return z * base**2 * widths[0] + kernels + channels + 2 * sum(widths)

    def discriminator(widths, channels, base, norm):  # one bias, or scale and bias, per channel
        kernels = sum(16 * i * o for i, o in zip([channels, *widths], widths, strict=False))
        return kernels + widths[0] + (1 + norm) * sum(widths[1:]) + base**2 * widths[-1] + 1

    assert count_params(dcgan.Generator(64, 3, width=128), 100) == generator(100, [1024, 512, 256, 128], 3, 4)
    assert count_params(dcgan.Generator(28, base=7), 100) == generator(100, [128, 64], 1, 7)
    assert count_params(dcgan.Discriminator(128), 64, 64, 3) == discriminator([128, 256, 512, 1024], 3, 4, True)
    assert count_params(dcgan.Discriminator(32, norm=False), 32, 32, 3) == discriminator([32, 64, 128], 3, 4, False)
    assert count_params(mlp.Generator((2,)), 2) == 2 * 512 + 2 * 512**2 + 512 * 2 + 3 * 512 + 2
    assert count_params(mlp.Critic(128, depth=1), 28, 28, 1) == 784 * 128 + 128 + 128 + 1


def test_dcgan_initial_weights_are_normal_as_in_the_paper(key):
    module = dcgan.Generator(16)
    params = jax.jit(lambda: module.init(key, jnp.zeros((1, 100)), train=False))()["params"]
    kernel, scale = params["ConvTranspose_0"]["kernel"], params["BatchNorm_0"]["scale"]
    assert_allclose([kernel.mean(), kernel.std()], [0, 0.02], atol=1e-3)
    assert_allclose([scale.mean(), scale.std()], [1, 0.02], atol=5e-3)


@pytest.mark.parametrize("size", [4, 28, 100])
def test_size_that_cannot_be_halved_to_the_base_raises(size, key):
    with pytest.raises(ValueError, match="use size "):
        dcgan.Generator(size).init(key, jnp.zeros((1, 8)))


def test_error_names_the_nearest_sizes(key):
    with pytest.raises(ValueError, match=r"image size 100 is not base 4 .* use size 64 or 128"):
        dcgan.Discriminator().init(key, jnp.zeros((1, 100, 100, 3)))


@pytest.mark.parametrize(
    ("layer_class", "flax_class", "fan_in", "options"),
    [
        (Conv, nn.Conv, 9 * 6, {"kernel": (3, 3)}),
        (Conv, nn.Conv, 9 * 2, {"kernel": (3, 3), "groups": 3}),
        (ConvTranspose, nn.ConvTranspose, 9 * 6, {"kernel": (3, 3), "strides": (2, 2)}),
        (nn.Dense, nn.Dense, 6, {}),
    ],
    ids=["conv", "grouped", "transposed", "dense"],
)
def test_equalised_lr_equals_a_layer_with_a_scaled_kernel(layer_class, flax_class, fan_in, options, key):
    bias_init = nn.initializers.normal()

    class Equalised(nn.Module):
        @nn.compact
        def __call__(self, x):
            return equalised_lr(layer_class, 300, gain=1.5, bias_init=bias_init, **options)(x)

    x = jax.random.normal(key, (2, 5, 5, 6))
    variables = jax.jit(Equalised().init)(key, x)
    (params,) = variables["params"].values()
    assert_allclose([params["kernel"].mean(), params["kernel"].std()], [0, 1], atol=0.05)
    flax_names = {"kernel": "kernel_size", "groups": "feature_group_count"}
    plain = flax_class(300, **{flax_names.get(name, name): value for name, value in options.items()})
    scaled = {**params, "kernel": params["kernel"] * 1.5 / np.sqrt(fan_in)}
    assert_close(Equalised().apply(variables, x), plain.apply({"params": scaled}, x), rtol=1e-4)


def test_adam_changes_equalised_layers_at_equal_relative_rates(key):
    """Adam's first step changes each weight by the learning rate, whatever the gradient."""

    class TwoLayers(nn.Module):
        @nn.compact
        def __call__(self, x):
            return equalised_lr(nn.Dense, 1, gain=1.0)(nn.relu(equalised_lr(nn.Dense, 200, use_bias=False)(x)))

    x = jax.random.normal(key, (8, 20))
    params = jax.jit(TwoLayers().init)(key, x)["params"]
    adam = optax.adam(0.01)
    grads = jax.jit(jax.grad(lambda params: (TwoLayers().apply({"params": params}, x) ** 2).sum()))(params)
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = jax.jit(adam.update)(grads, adam.init(params))
    for name, fan_in, gain in (("Dense_0", 20, np.sqrt(2)), ("Dense_1", 200, 1.0)):
        change = np.abs(updates[name]["kernel"]) * gain / np.sqrt(fan_in)
        assert_allclose(np.median(change) / (gain / np.sqrt(fan_in)), 0.01, rtol=1e-3)
