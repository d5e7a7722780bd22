"""The Inception network: activations of another implementation, loading of weights, resizing, and batches."""

import json
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_bytes
from inception_weights import convolutions, random_images, random_weights

from jaxgan.errors import UserError
from jaxgan.evaluate import inception
from jaxgan.evaluate.inception import Weights, features, load_weights, preprocess
from jaxgan.networks.inception import Features, Inception

# Activations for one image and random weights, computed by PyTorch's functions in float64. For each block: the mean
# absolute value, then the values at some positions.
ACTIVATIONS = json.loads((Path(__file__).parent / "inception_activations.json").read_text())


class Means(nn.Module):
    """A fast replacement for the network, for tests that do not depend on its 94 convolutions."""

    def __call__(self, x):
        return Features(x.mean((1, 2)), x.max((1, 2)))


@pytest.fixture
def mean_network(monkeypatch):
    monkeypatch.setattr(inception, "Inception", Means)
    inception._compiled.cache_clear()
    yield
    inception._compiled.cache_clear()


def test_the_activations_equal_those_of_another_implementation(tmp_path):
    tensors = random_weights()
    assert len(tensors) == 566
    assert len(convolutions()) == 94
    path = tmp_path / "weights.pth"
    path.write_bytes(torch_bytes.zipped(tensors))
    weights = load_weights(path)
    path.unlink()

    is_block = lambda module, _: len(module.path) == 1 and module.name != "fc"
    run = jax.jit(lambda v, images: Inception().apply(v, preprocess(images), capture_intermediates=is_block))
    outputs, captured = run(weights.variables, random_images(1, 64, 3))
    activations = {name: x["__call__"][0] for name, x in captured["intermediates"].items()} | outputs._asdict()
    assert activations.keys() == ACTIVATIONS.keys()
    for name, (scale, *expected) in ACTIVATIONS.items():
        x = np.float64(activations[name]).ravel()
        np.testing.assert_allclose(np.abs(x).mean(), scale, rtol=1e-5, err_msg=name)
        positions = np.arange(len(expected)) * len(x) // len(expected) + 7
        np.testing.assert_allclose(x[positions], expected, rtol=0, atol=1e-5 * scale, err_msg=name)


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(torch_bytes.zipped({"fc.weight": np.zeros([1000, 2048], np.float32)}))
    with pytest.raises(UserError, match=r"no tensor Conv2d_1a_3x3.* https://github.com/mseitzer/pytorch-fid"):
        load_weights(path)
    message = r"fc.weight in .* is \[1000, 2048\] and not \[1008, 2048\]; it is not an Inception network"
    with pytest.raises(UserError, match=message):
        inception._convert_tensor({"fc.weight": np.zeros([1000, 2048])}, path, ["params", "fc", "kernel"], (2048, 1008))
    with pytest.raises(UserError, match=r"none\.pth"):
        load_weights(tmp_path / "none.pth")


def test_without_a_path_the_published_weights_are_fetched_into_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(inception, "fetch", lambda *arguments: pytest.fail(str(arguments)))
    with pytest.raises(pytest.fail.Exception, match=f"{tmp_path}/jaxgan/weights/pt_inception.*'6726825d'"):
        load_weights()


@pytest.mark.parametrize("size", [40, 400])
def test_images_are_resized_bilinearly_with_centres_at_halves_and_without_antialiasing(size):
    images = random_images(1, size, 1)
    _, h, w, _ = images.shape

    def interpolation_matrix(n):
        position = ((np.arange(299) + 0.5) * n / 299 - 0.5).clip(0, n - 1)
        return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(n)))

    expected = 2 * (interpolation_matrix(h) @ (images[0, ..., 0] / 255) @ interpolation_matrix(w).T) - 1
    resized = np.asarray(preprocess(jnp.asarray(images)))
    assert resized.shape == (1, 299, 299, 3)
    for channel in range(3):
        # Positions are rounded to float32, and between pixels the slope is at most 2 along each of the two axes.
        np.testing.assert_allclose(resized[0, ..., channel], expected, atol=4 * size * np.finfo(np.float32).eps)


def test_images_of_the_networks_size_are_only_scaled():
    images = jnp.arange(256, dtype=jnp.uint8).repeat(1050)[: 299 * 299 * 3].reshape(1, 299, 299, 3)
    np.testing.assert_allclose(preprocess(images), 2 * np.float64(images) / 255 - 1, atol=1e-6)


def test_features_are_in_order_for_any_number_of_images_and_devices(mean_network):
    images, weights = random_images(37, 20, 3), Weights({}, "")
    expected = np.stack([preprocess(jnp.asarray(image[None]))[0].mean((0, 1)) for image in images])
    for n in (1, 16, 37):  # Less than a batch, one batch, and two and a half batches, on 8 devices.
        outputs = features(images[:n], weights, batch_size=2)
        assert type(outputs.pool3) is np.ndarray
        np.testing.assert_allclose(outputs.pool3, expected[:n], atol=1e-5)
        assert outputs.logits.shape == (n, 3)


@pytest.mark.parametrize(
    "images", [np.zeros([2, 8, 8, 3]), np.zeros([8, 8, 3], np.uint8), np.zeros([0, 8, 8, 3], np.uint8)]
)
def test_arrays_other_than_uint8_images_are_refused(images):
    with pytest.raises(ValueError, match="images must be uint8"):
        features(images, Weights({}, ""))
