"""StyleGAN3: signals and filters, parameter counts, equivariance, and agreement with a statement in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import signal, special

from jaxgan.evaluate import equivariance
from jaxgan.networks import stylegan3
from jaxgan.networks.stylegan3 import layer_signals

SIZE = 32
SIGNALS = layer_signals(SIZE, 4, 6, layers=4, critical=1)


@pytest.fixture(scope="module")
def networks():
    """Returns generators T and R by name, with variables, and a function from inverse transformations to images."""

    def make(rotation):
        G = stylegan3.Generator(1, SIGNALS, critical=1, rotation=rotation, features=5)
        z = jax.random.normal(jax.random.key(1), [3, 5])
        variables = jax.jit(lambda: G.init(jax.random.key(0), z, train=False))()
        # Untrained images have a low contrast, which would count as equality.
        render = jax.jit(
            lambda inverse: 4.0 * G.apply(variables, styles(G, variables, z), inverse, False, method="synthesise")
        )
        return G, variables, lambda inverse: render(jnp.float32(inverse))

    styles = lambda G, variables, z: G.apply(variables, z, train=False, method="styles")
    return {name: make(name == "R") for name in "TR"}


def test_signals_are_those_of_the_authors():
    """Sizes and channels in logs of the authors' code at 1,024 pixels, --cfg=stylegan3-t."""
    sizes = [36, 36, 52, 52, 84, 148, 148, 276, 276, 532, 1044, 1044, 1044, 1024, 1024]
    channels = [512] * 7 + [323, 203, 128, 81, 51, 32, 32, 32]
    signals = layer_signals(1024, 32, 512)
    assert [s.size for s in signals] == sizes
    assert [s.channels for s in signals] == channels
    assert [s.rate for s in layer_signals(28, 8, 8, layers=3, critical=1)] == [14, 28, 28, 28]
    with pytest.raises(ValueError, match="size 36 must be divisible by 8"):
        layer_signals(36, 8, 8, first_stopband=2.0)


@pytest.mark.parametrize(("rotation", "count"), [(False, 22_313_167), (True, 15_093_151)])
def test_numbers_of_parameters_are_those_of_the_authors(rotation, count):
    """R: the total in a log of the authors' code at 1,024 pixels. T: the paper says 22.3 million."""
    scale = 2 if rotation else 1
    G = stylegan3.Generator(3, layer_signals(1024, scale * 32, scale * 512), rotation=rotation)
    variables = jax.eval_shape(lambda: G.init(jax.random.key(0), jnp.zeros([1, 512]), train=False))
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == count


def test_filters_are_windowed_sinc_and_jinc():
    expected = signal.firwin(12, 4.0, width=2 * 3.0, fs=32.0)
    assert_allclose(stylegan3.lowpass(12, 4.0, 3.0, 32.0), expected, rtol=1e-10)
    x = (np.arange(12) - 5.5) / 32.0
    r = np.hypot(*np.meshgrid(x, x))
    beta = signal.kaiser_beta(signal.kaiser_atten(12, 2 * 3.0 / 16.0))
    taps = special.j1(8 * np.pi * r) / r * np.outer(np.kaiser(12, beta), np.kaiser(12, beta))
    assert_allclose(stylegan3.radial_lowpass(12, 4.0, 3.0, 32.0), taps / taps.sum(), rtol=1e-10)


@pytest.mark.parametrize("taps", [stylegan3.lowpass(12, 4.0, 3.0, 32.0), stylegan3.radial_lowpass(12, 4.0, 3.0, 32.0)])
def test_filter_matrices_convolve(taps, key):
    x = jax.random.normal(key, [2, 26, 30, 3])
    kernel = np.outer(taps, taps) if taps.ndim == 1 else taps
    full = signal.convolve(x, kernel[None, :, :, None], "valid")[:, ::2, ::2]
    square = jnp.pad(x[:, :, :26], [(0, 0)] * 4)
    matrices = stylegan3.filter_matrices(taps, 26, 8, 1, 2)
    assert_allclose(stylegan3.apply_filter(square, matrices), full[:, :, :8], atol=1e-5)


def test_images_move_with_the_input(networks):
    """Untrained. Without margins the border would limit T's value, and R's filters that of rotations."""
    _, _, move_t = networks["T"]
    _, _, move_r = networks["R"]
    assert move_t(np.eye(3)).std() > 0.1
    assert equivariance.eq_t(move_t, draws=4) > 45
    assert equivariance.eq_t(move_r, draws=4) > 45
    assert equivariance.eq_r(move_r, draws=2) > equivariance.eq_r(move_t, draws=2) + 10


def test_magnitudes_are_averaged_in_training_and_divide_the_input(networks):
    G, variables, _ = networks["T"]
    z = jax.random.normal(jax.random.key(2), [3, 5])

    @jax.jit
    def first_magnitude():
        _, updated = G.apply(variables, z, train=True, mutable=["average"])
        ws = G.apply(variables, z, train=False, method="styles")
        waves = G.apply(variables, ws, method=lambda G, ws: G.input(ws[:, 0], jnp.eye(3)))
        return updated["average"]["layers_0"]["magnitude"], 0.999 + 0.001 * (waves**2).mean()

    assert_allclose(*first_magnitude(), rtol=1e-5)


@pytest.mark.parametrize("name", ["T", "R"])
def test_networks_agree_with_a_statement_in_numpy(networks, name):
    """With random biases, magnitudes and input poses, and a translation of the input."""
    G, variables, _ = networks[name]
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda x: x + 0.2 * np.abs(rng.standard_normal(x.shape)).astype(np.float32), variables)
    ws = rng.standard_normal([2, G.num_layers, 5]).astype(np.float32)
    inverse = np.float32([[1, 0, 0.1], [0, 1, -0.05], [0, 0, 1]])
    images = jax.jit(lambda ws: G.apply(variables, ws, inverse, False, method="synthesise"))(ws)
    expected = synthesise(variables, ws, inverse, rotation=name == "R")
    assert_allclose(images, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def synthesise(variables, ws, inverse, rotation):
    """Returns the images of `SIGNALS`' generator in float64, with grouped kernels and the authors' padding."""
    params, ws = jax.tree.map(np.float64, variables["params"]), np.float64(ws)
    dense = lambda p, w: w @ p["kernel"] / np.sqrt(w.shape[1]) + p["bias"]
    first, fourier = SIGNALS[0], jax.tree.map(np.float64, variables["fourier"]["input"])
    x = []
    for cos, sin, tx, ty in dense(params["input"]["Dense_0"], ws[:, 0]):
        length = np.hypot(cos, sin)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, length]]) / length
        matrix = turn @ np.array([[1, 0, -tx / length], [0, 1, -ty / length], [0, 0, 1]]) @ inverse
        place = (np.arange(first.size) + 0.5 - first.size / 2) / first.rate
        place = np.stack([*np.meshgrid(place, place), np.ones([first.size] * 2)])
        moved = np.einsum("ij,jyx->iyx", matrix, place)[:2]
        waves = np.sin(2 * np.pi * (np.einsum("ci,iyx->yxc", fourier["frequencies"], moved) + fourier["phases"]))
        x.append(waves @ params["input"]["kernel"] / np.sqrt(first.channels))
    x = np.stack(x)
    for n, (before, after) in enumerate(zip([first, *SIGNALS], SIGNALS, strict=False)):
        p, to_image = params[f"layers_{n}"], n == len(SIGNALS) - 1
        style = dense(p["Dense_0"], ws[:, n + 1])
        kernel = p["kernel"][None] * style[:, None, None, :, None]
        scale = np.sqrt(kernel.shape[3]) if to_image else np.sqrt((kernel**2).sum((1, 2, 3), keepdims=True))
        x = x / np.sqrt(np.float64(variables["average"][f"layers_{n}"]["magnitude"]))
        full = [
            [
                signal.convolve(image, k[::-1, ::-1, ::-1, o], "full")[:, :, len(p["kernel"][0, 0]) - 1]
                for o in range(k.shape[3])
            ]
            for image, k in zip(x, kernel / scale, strict=True)
        ]
        x = np.moveaxis(np.array(full), 1, 3) + p["bias"]
        if to_image:
            break
        rate = 2 * max(before.rate, after.rate)
        up, down = rate // before.rate, rate // after.rate
        raising = signal.firwin(6 * up, before.cutoff, width=2 * before.half_width, fs=rate)
        lowering = signal.firwin(6 * down, after.cutoff, width=2 * after.half_width, fs=rate)
        taps_2d = np.outer(lowering, lowering)
        if rotation and n < len(SIGNALS) - 2:
            taps_2d = stylegan3.radial_lowpass(6 * down, after.cutoff, after.half_width, rate)
        total = (after.size - 1) * down + 1 - x.shape[1] * up + 6 * up + 6 * down - 2
        low = (total + up) // 2
        large = np.zeros([len(x), x.shape[1] * up, x.shape[2] * up, x.shape[3]])
        large[:, ::up, ::up] = x
        pads = [(0, 0)] + 2 * [(max(low, 0), max(total - low, 0))] + [(0, 0)]
        crop = slice(max(-low, 0), large.shape[1] + max(low, 0) + max(total - low, 0) - max(low - total, 0))
        large = np.pad(large, pads)[:, crop, crop]
        x = signal.convolve(large, up**2 * np.outer(raising, raising)[None, :, :, None], "valid")
        x = np.sqrt(2) * np.where(x > 0, x, 0.2 * x)
        x = signal.convolve(x, taps_2d[None, :, :, None], "valid")[:, ::down, ::down]
        assert x.shape[1] == after.size
    return 0.25 * x
