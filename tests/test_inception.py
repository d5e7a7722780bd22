import json
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_bytes
from inception_weights import convolutions, random_images, random_weights

from jaxgan.errors import Problem
from jaxgan.evaluate import inception
from jaxgan.evaluate.inception import Weights, features, load, prepare
from jaxgan.networks.inception import Features, Inception

# Of one image and random weights, by another implementation: PyTorch's functions in float64. For each block the mean of
# the absolute values, and then the values at some places.
ACTIVATIONS = json.loads((Path(__file__).parent / "inception_activations.json").read_text())


class Means(nn.Module):
    """In the network's place where its 94 convolutions would only take time."""

    def __call__(self, x):
        return Features(x.mean((1, 2)), x.max((1, 2)))


@pytest.fixture
def means(monkeypatch):
    monkeypatch.setattr(inception, "Inception", Means)
    inception._compiled.cache_clear()
    yield
    inception._compiled.cache_clear()


def test_the_activations_are_those_of_another_implementation(tmp_path):
    tensors = random_weights()
    assert len(tensors) == 566
    assert len(convolutions()) == 94
    path = tmp_path / "weights.pth"
    path.write_bytes(torch_bytes.zipped(tensors))
    weights = load(path)
    path.unlink()

    blocks = lambda module, _: len(module.path) == 1 and module.name != "fc"
    run = jax.jit(lambda v, images: Inception().apply(v, prepare(images), capture_intermediates=blocks))
    out, kept = run(weights.variables, random_images(1, 64, 3))
    found = {name: x["__call__"][0] for name, x in kept["intermediates"].items()} | out._asdict()
    assert found.keys() == ACTIVATIONS.keys()
    for name, (scale, *want) in ACTIVATIONS.items():
        x = np.float64(found[name]).ravel()
        np.testing.assert_allclose(np.abs(x).mean(), scale, rtol=1e-5, err_msg=name)
        places = np.arange(len(want)) * len(x) // len(want) + 7
        np.testing.assert_allclose(x[places], want, rtol=0, atol=1e-5 * scale, err_msg=name)


def test_weights_of_another_network_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    path.write_bytes(torch_bytes.zipped({"fc.weight": np.zeros([1000, 2048], np.float32)}))
    with pytest.raises(Problem, match=r"no tensor Conv2d_1a_3x3.* https://github.com/mseitzer/pytorch-fid"):
        load(path)
    with pytest.raises(Problem, match=r"fc.weight in .* is \[1000, 2048\] and not \[1008, 2048\]: .* another network"):
        inception._tensor({"fc.weight": np.zeros([1000, 2048])}, path, ["params", "fc", "kernel"], (2048, 1008))
    with pytest.raises(Problem, match="is not there"):
        load(tmp_path / "none.pth")
    # Without a path it is the published file, kept in the cache.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(inception, "fetch", lambda *asked: pytest.fail(str(asked)))
    with pytest.raises(pytest.fail.Exception, match=f"{tmp_path}/jaxgan/weights/pt_inception.*'6726825d'"):
        load()


@pytest.mark.parametrize("size", [40, 400])
def test_images_are_resized_bilinearly_with_centres_at_halves_and_no_filter(size):
    images = random_images(1, size, 1)
    _, h, w, _ = images.shape

    def weigh(n):
        place = ((np.arange(299) + 0.5) * n / 299 - 0.5).clip(0, n - 1)
        return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(n)))

    want = 2 * (weigh(h) @ (images[0, ..., 0] / 255) @ weigh(w).T) - 1
    found = np.asarray(prepare(jnp.asarray(images)))
    assert found.shape == (1, 299, 299, 3)
    for channel in range(3):
        # Places are rounded to float32, and between pixels the slope is at most 2 along each of the two axes.
        np.testing.assert_allclose(found[0, ..., channel], want, atol=4 * size * np.finfo(np.float32).eps)


def test_images_of_the_networks_size_stay_as_they_are():
    images = jnp.arange(256, dtype=jnp.uint8).repeat(1050)[: 299 * 299 * 3].reshape(1, 299, 299, 3)
    np.testing.assert_allclose(prepare(images), 2 * np.float64(images) / 255 - 1, atol=1e-6)


def test_features_come_in_order_from_all_devices_and_any_number_of_images(means):
    images, weights = random_images(37, 20, 3), Weights({}, "")
    want = np.stack([prepare(jnp.asarray(image[None]))[0].mean((0, 1)) for image in images])
    for n in (1, 16, 37):  # A part of a batch, a whole one, and two and a part, on 8 devices.
        found = features(images[:n], weights, batch_size=2)
        assert type(found.pool3) is np.ndarray
        np.testing.assert_allclose(found.pool3, want[:n], atol=1e-5)
        assert found.logits.shape == (n, 3)


@pytest.mark.parametrize(
    "images", [np.zeros([2, 8, 8, 3]), np.zeros([8, 8, 3], np.uint8), np.zeros([0, 8, 8, 3], np.uint8)]
)
def test_other_than_images_of_bytes_are_refused(images):
    with pytest.raises(ValueError, match="images are uint8"):
        features(images, Weights({}, ""))
