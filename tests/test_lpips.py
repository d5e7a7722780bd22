"""LPIPS against its formula in NumPy, and against the same layers in PyTorch."""

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose
from test_vgg import LAYERS, TINY, tensors
from torch_bytes import zipped

from jaxgan.data.datasets import Dataset
from jaxgan.errors import UserError
from jaxgan.evaluate import lpips, metrics, vgg
from jaxgan.evaluate.backbones import imagenet_input
from jaxgan.evaluate.reference import ReferenceSet
from jaxgan.evaluate.samples import EvaluatedSamples
from jaxgan.networks.vgg import VGG16Stages

CHANNELS = (2, 4, 8, 16, 16)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Returns random weights of a narrow VGG-16, and linear ones."""
    folder, rng = tmp_path_factory.mktemp("lpips"), np.random.default_rng(1)
    (folder / "vgg.pth").write_bytes(zipped(tensors()))
    linear = {f"lin{i}.model.1.weight": rng.random((1, c, 1, 1)).astype(np.float32) for i, c in enumerate(CHANNELS)}
    (folder / "linear.pth").write_bytes(zipped(linear))
    return vgg.load_weights(folder / "vgg.pth", TINY), lpips.load_linear(folder / "linear.pth")


def test_distance_is_the_weighted_squared_difference_of_unit_vectors():
    a, b = np.float32([[3, 4], [0, 2]]).reshape(1, 1, 2, 2), np.float32([[3, 4], [5, 0]]).reshape(1, 1, 2, 2)
    # The first pixel is equal; the second differs by (-1, 1).
    assert_allclose(lpips.distance([a, a], [b, a], [np.float32([0.5, 0.25])] * 2), [0.75 / 2], rtol=1e-6)


def test_the_stages_are_those_of_pytorch(weights):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(2).normal(size=(1, 32, 32, 3)).astype(np.float32)
    y, index, w, expected = torch.tensor(x.transpose(0, 3, 1, 2)), 0, tensors(), []
    for width in LAYERS:
        if width:
            kernel, bias = (torch.tensor(w[f"features.{index}.{kind}"]) for kind in ("weight", "bias"))
            y = torch.relu(torch.nn.functional.conv2d(y, kernel, bias, padding=1))
        else:
            expected.append(y)
            y = torch.nn.functional.max_pool2d(y, 2)
        index += 2 if width else 1
    outputs = VGG16Stages(2).apply({"params": weights[0].variables["params"]}, x)
    for output, stage in zip(outputs, expected, strict=True):
        assert_allclose(output, stage.numpy().transpose(0, 2, 3, 1), rtol=1e-3, atol=1e-5)


def test_diversity_is_the_distance_of_a_pair(weights):
    images = np.random.default_rng(3).integers(256, size=(2, 16, 16, 3), dtype=np.uint8)
    params = weights[0].variables["params"]
    stages = jax.jit(lambda x: VGG16Stages(2).apply({"params": params}, imagenet_input(x, 64)))(images)
    (expected,) = lpips.distance([x[:1] for x in stages], [x[1:] for x in stages], weights[1])
    assert expected > 1e-3
    assert_allclose(lpips.diversity(images, params, weights[1]), expected, rtol=1e-3)


def test_the_metric_compares_with_training_images_and_reports_its_weights(monkeypatch, weights):
    monkeypatch.setattr(vgg, "load_weights", lambda: weights[0])
    monkeypatch.setattr(lpips, "load_linear", lambda: weights[1])
    monkeypatch.setattr(lpips, "diversity", lambda images, params, linear: float(images.mean()))
    images = np.full([5, 16, 16, 3], 7, np.uint8)
    reference = ReferenceSet(lambda split: Dataset("noise:train", images))
    result = metrics.get(["lpips"])["lpips"](EvaluatedSamples(2 * images[:4], reference))
    assert result.values == {"lpips": 14, "lpips_of_training_images": 7}
    expected = {"weights": weights[0].sha256, "linear_weights": lpips.SHA256, "resize": lpips.RESIZE, "n_real": 4}
    assert expected.items() <= result.protocol.items()


def test_other_files_and_single_images_are_refused(tmp_path, weights):
    (tmp_path / "other.pth").write_bytes(zipped({"lin0.model.1.weight": np.ones([1, 2, 1, 1], np.float32)}))
    with pytest.raises(UserError, match=r"no tensor lin1\.model\.1\.weight"):
        lpips.load_linear(tmp_path / "other.pth")
    with pytest.raises(ValueError, match="two images"):
        lpips.diversity(np.zeros([1, 8, 8, 3], np.uint8), {}, weights[1])
