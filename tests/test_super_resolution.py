"""The benchmark Set5: sizes of its own, and a network that is bicubic enlargement scores as bicubic does."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from experiments import srgan
from jaxgan.core.game import Network, TrainState, input_spec
from jaxgan.data import datasets
from jaxgan.data.datasets import DiskDataset
from jaxgan.data.resolution import enlarge
from jaxgan.errors import UserError
from jaxgan.evaluate import paired, super_resolution
from jaxgan.evaluate.classifier import RECIPE, FeatureMaps
from jaxgan.evaluate.samples import EvaluatedSamples
from jaxgan.runs.translation import Translations


@pytest.fixture
def photos(monkeypatch):
    """Replaces Set5 by two images of unequal sizes, of which one is no multiple of 4."""
    y, x = np.mgrid[:45, :52]
    image = np.uint8(127 + 100 * np.sin(x / 3)[..., None] * np.cos(y / 4)[..., None] * np.ones(3))
    images = [image, image[:40, :40]]
    read = lambda indices: ([images[i] for i in indices], [0] * len(indices))
    monkeypatch.setattr(datasets, "open_tfds", lambda *_: DiskDataset("set5", image.shape, (), 2, read, lambda: None))
    return images


def test_set5_is_measured_on_images_of_any_size(photos):
    shapes = []

    def translate(images):
        shapes.append(images.shape)
        return enlarge(images, 4)

    values, protocol, _ = super_resolution.set5(
        EvaluatedSamples(np.zeros([1, 8, 8, 3], np.uint8), None, None, translate)
    )
    assert shapes == [(1, 11, 13, 3), (1, 10, 10, 3)]
    assert values["set5_psnr"] == values["set5_bicubic_psnr"] > 15
    assert values["set5_ssim"] == values["set5_bicubic_ssim"] < 1
    assert (protocol["data"], protocol["n_real"]) == ("set5", 2)


def test_what_does_not_enlarge_images_is_refused(photos):
    samples = np.zeros([1, 8, 8, 3], np.uint8)
    with pytest.raises(UserError, match="does not translate images"):
        super_resolution.set5(EvaluatedSamples(samples, None))
    with pytest.raises(UserError, match="enlarge images 4 times, and this one makes images of 11 x 13 from 11 x 13"):
        super_resolution.set5(EvaluatedSamples(samples, None, None, lambda images: images))


def test_fidelity_leaves_out_the_border_and_colour():
    rng = np.random.default_rng(0)
    truth = rng.integers(60, 200, [2, 24, 24, 3], np.uint8)
    changed = truth.copy()
    changed[:, :4], changed[:, :, -4:] = 0, 255
    assert super_resolution.fidelity(changed, truth) == {"psnr": np.inf, "ssim": 1.0}
    brighter = truth + np.uint8(10)
    error = 10 * (65.481 + 128.553 + 24.966) / 255  # of Y
    psnr = super_resolution.fidelity(brighter, truth)["psnr"]
    assert_allclose(psnr, 20 * np.log10(255 / error), rtol=1e-6)
    assert paired.luma(truth).min() > 16


def test_the_classifier_distance_is_relative_to_the_truth(photos):
    """With a kernel of one input pixel the maps are that pixel, if it is positive."""
    kernel = np.zeros([4, 4, 3, RECIPE.width], np.float32)
    kernel[1, 1, 0] = 1.0  # of the even pixels of the first channel
    features = Network("features", FeatureMaps(RECIPE, 1), (input_spec(8, 8, 3),))
    params = {"features": {"Conv_0": {"kernel": kernel, "bias": np.zeros(RECIPE.width, np.float32)}}}
    state = TrainState(jnp.int32(0), params, {}, {}, {})
    truth = np.stack([photos[0][:24, :24]] * 2)
    pixels = lambda images: np.maximum(np.float64(images[:, ::2, ::2, 0]) / 127.5 - 1.0, 0.0)
    outputs = truth[:, ::-1]
    values = srgan.measure(features, Translations(truth[:, ::4, ::4], outputs, truth, None, state))
    expected = np.sum((pixels(outputs) - pixels(truth)) ** 2) / np.sum(pixels(truth) ** 2)
    assert_allclose(values["classifier_distance"], expected, rtol=1e-4)
    same = srgan.measure(features, Translations(truth[:, ::4, ::4], truth, truth, None, state))
    assert (same["classifier_distance"], same["sharpness"], same["ssim"]) == (0.0, 1.0, 1.0)
    assert same["bicubic_classifier_distance"] == values["bicubic_classifier_distance"] > 0
