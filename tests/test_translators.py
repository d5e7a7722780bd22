"""Networks that translate images: layers against closed forms, sizes against published numbers, receptive fields."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from jaxgan.networks import esrgan, patchgan, resnet_translator, srgan, unet
from jaxgan.networks.layers import PReLU, instance_norm, pixel_shuffle, reflect_pad


def count_params(module, *shapes):
    """Returns the number of parameters of a module whose inputs have the given shapes."""
    inputs = [jnp.zeros((1, *shape)) for shape in shapes]
    keys = [jax.random.split(jax.random.key(0), 1)] if isinstance(module, unet.Generator) else []
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, *keys, train=False))
    return sum(x.size for x in jax.tree.leaves(variables["params"]))


def test_instance_norm_standardises_each_channel_of_each_image(key):
    class Normed(nn.Module):
        @nn.compact
        def __call__(self, x):
            return instance_norm()(x)

    x = 5.0 + 3.0 * jax.random.normal(key, (2, 4, 6, 3))
    out, x = np.asarray(Normed().apply({}, x)), np.asarray(x)
    expected = (x - x.mean((1, 2), keepdims=True)) / np.sqrt(x.var((1, 2), keepdims=True) + 1e-5)
    assert_allclose(out, expected, rtol=1e-4, atol=1e-5)


def test_pixel_shuffle_moves_channels_to_the_pixels_of_a_block():
    x = jax.random.normal(jax.random.key(0), (2, 3, 4, 2 * 9))
    y = pixel_shuffle(x, 3)
    assert y.shape == (2, 9, 12, 2)
    for i, j, c in [(0, 0, 0), (4, 7, 1), (8, 11, 1)]:
        assert_allclose(y[:, i, j, c], x[:, i // 3, j // 3, 9 * c + 3 * (i % 3) + j % 3])


def test_prelu_and_reflect_pad_equal_their_closed_forms():
    x = jnp.linspace(-2, 2, 12).reshape(1, 2, 2, 3)
    variables = PReLU().init(jax.random.key(0), x)
    assert_allclose(PReLU().apply(variables, x), np.where(x < 0, 0.25 * x, x))
    assert_allclose(reflect_pad(x, 1)[0, :, :, 0], np.pad(np.asarray(x[0, :, :, 0]), 1, mode="reflect"))


# Side of the patch by number of halvings, as the paper names them (Isola et al. 2017, section 6.1.2).
PATCHES = {0: 1, 1: 16, 2: 34, 3: 70, 4: 142, 5: 286}


@pytest.mark.parametrize(("halvings", "side"), PATCHES.items())
def test_a_logit_of_the_patchgan_depends_on_a_square_of_the_papers_size(halvings, side, monkeypatch):
    # The statistics of a norm depend on the whole image. Positive weights keep gradients from cancelling.
    monkeypatch.setattr(patchgan, "instance_norm", lambda *_, **__: lambda x: x)
    module, size = patchgan.Discriminator(halvings, width=1), max(8, 2 * side // 32 * 32)
    x = jnp.zeros((1, size, size, 1))
    variables = jax.tree.map(jnp.ones_like, jax.eval_shape(module.init, jax.random.key(0), x))
    center = lambda x: module.apply(variables, x)[0].at[size // 2**halvings // 2 - 1, :].get()
    middle = size // 2**halvings // 2 - 1
    gradient = jax.jit(jax.grad(lambda x: center(x)[middle]))(x)[0, :, :, 0]
    rows, columns = np.nonzero(np.asarray(gradient))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (side, side)


@pytest.mark.parametrize(
    ("module", "shape", "out_shape"),
    [
        (unet.Generator(channels=2, width=4, levels=4), (16, 32, 3), (16, 32, 2)),
        (resnet_translator.Generator(channels=2, width=4, blocks=1), (12, 8, 3), (12, 8, 2)),
        (patchgan.Discriminator(halvings=2, width=4), (16, 24, 3), (2, 4)),
        (srgan.Generator(channels=3, width=4, blocks=1), (4, 5, 1), (16, 20, 3)),
        (srgan.Discriminator(width=4, stages=2, units=8), (8, 12, 3), ()),
        (esrgan.Generator(channels=3, width=4, growth=2, blocks=1), (4, 5, 3), (16, 20, 3)),
    ],
    ids=lambda x: type(x).__module__.split(".")[-1] if isinstance(x, nn.Module) else None,
)
def test_output_shapes(module, shape, out_shape):
    keys = [jax.random.split(jax.random.key(0), 2)] if isinstance(module, unet.Generator) else []
    out = jax.eval_shape(
        lambda: module.init_with_output(jax.random.key(0), jnp.zeros((2, *shape)), *keys, train=False)[0]
    )
    assert out.shape == (2, *out_shape)


def conv(side, inputs, outputs, bias=True):
    """Returns the number of parameters of a convolution with square kernels."""
    return side * side * inputs * outputs + bias * outputs


def test_the_sizes_of_the_papers_networks():
    # 54.414 M, 11.378 M and 2.765 M are printed by junyanz/pytorch-CycleGAN-and-pix2pix. In its U-Net the first and the
    # innermost convolution have no bias. With instance norm its convolutions have biases that the norms subtract.
    assert count_params(unet.Generator(), (256, 256, 3)) == 54_413_955 + 64 + 512
    redundant = 64 + 128 + 256 + 9 * 2 * 256 + 128 + 64
    assert count_params(resnet_translator.Generator(), (256, 256, 3)) == 11_378_179 - redundant
    assert count_params(patchgan.Discriminator(affine=False), (256, 256, 3)) == 2_764_737 - (128 + 256 + 512)
    # Ledig et al. 2017, Figure 4. A batch norm has two parameters per channel, a PReLU one.
    block = 2 * (conv(3, 64, 64, bias=False) + 2 * 64) + 64
    upsampling = 2 * (conv(3, 64, 256) + 64)
    sr_resnet = conv(9, 3, 64) + 64 + 16 * block + conv(3, 64, 64, bias=False) + 2 * 64 + upsampling + conv(9, 64, 3)
    assert count_params(srgan.Generator(), (24, 24, 3)) == sr_resnet
    widths = [3, 64, 64, 128, 128, 256, 256, 512, 512]
    convs = conv(3, 3, 64) + sum(conv(3, i, o, False) + 2 * o for i, o in itertools.pairwise(widths[1:]))
    dense = (6 * 6 * 512 + 1) * 1024 + 1024 + 1
    assert count_params(srgan.Discriminator(), (96, 96, 3)) == convs + dense
    # 16.698 M is the size of the published RRDBNet, xinntao/ESRGAN.
    assert count_params(esrgan.Generator(), (32, 32, 3)) == 16_697_987


def test_dropout_of_the_unet_is_its_noise_and_stays_on_in_evaluation(key):
    module, x = unet.Generator(width=4, levels=3, dropouts=1), jax.random.normal(key, (3, 8, 8, 3))
    keys = jax.random.split(jax.random.key(1), 3)
    variables = module.init(key, x, keys)
    translate = jax.jit(lambda x, keys: module.apply(variables, x, keys, train=False))
    first, second = translate(x, keys), translate(x, keys[jnp.array([1, 0, 2])])
    assert (np.abs(first - second).max((1, 2, 3)) > 1e-3).tolist() == [True, True, False]


def test_the_translation_of_an_image_does_not_depend_on_its_batch(key):
    x = jax.random.normal(key, (3, 8, 8, 3))
    module = resnet_translator.Generator(width=4, blocks=1)
    variables = module.init(key, x)
    together = jax.jit(module.apply)(variables, x)
    assert_allclose(jax.jit(module.apply)(variables, x[1:2]), together[1:2], atol=1e-6)


def test_a_dense_block_is_the_identity_when_its_last_kernel_is_zero(key):
    x = jax.random.normal(key, (1, 4, 4, 3))
    block = esrgan.DenseBlock(growth=2)
    variables = block.init(key, x)
    variables["params"]["Conv_4"]["kernel"] *= 0.0
    assert_allclose(block.apply(variables, x), x)


def test_the_sr_resnet_is_its_first_features_upsampled_when_all_norms_are_zero(key):
    """The long skip connection: with scales of 0 only the first layer's features reach the upsampling."""
    x = jax.random.normal(key, (1, 3, 3, 1))
    module = srgan.Generator(channels=1, width=4, blocks=2, doublings=1)
    variables = module.init(key, x, train=False)
    is_scale = lambda path: path[-1].key == "scale"
    zeroed = jax.tree_util.tree_map_with_path(lambda path, p: 0 * p if is_scale(path) else p, variables)
    out = module.apply(zeroed, x, train=False)
    short = srgan.Generator(channels=1, width=4, blocks=0, doublings=1)
    params = zeroed["params"]
    kept = {"Conv_0": params["Conv_0"], "PReLU_0": params["PReLU_0"], "Conv_1": params["Conv_5"]}
    kept |= {"BatchNorm_0": params["BatchNorm_4"], "Conv_2": params["Conv_6"], "PReLU_1": params["PReLU_3"]}
    kept |= {"Conv_3": params["Conv_7"]}
    stats = {"BatchNorm_0": zeroed["batch_stats"]["BatchNorm_4"]}
    expected = short.apply({"params": kept, "batch_stats": stats}, x, train=False)
    assert_allclose(out, expected, atol=1e-6)
