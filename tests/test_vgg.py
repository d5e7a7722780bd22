"""VGG-16 against the same layers in PyTorch, its file of weights, and what precision and recall on it report."""

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose
from torch_bytes import zipped

from jaxgan.data.datasets import Dataset
from jaxgan.errors import UserError
from jaxgan.evaluate import metrics, vgg
from jaxgan.evaluate.reference import ReferenceSet
from jaxgan.evaluate.samples import EvaluatedSamples
from jaxgan.networks.vgg import VGG16

TINY = VGG16(width=2, hidden=6)
# Channels of torchvision's configuration "D" for width 2; 0 is max pooling.
LAYERS = (2, 2, 0, 4, 4, 0, 8, 8, 8, 0, 16, 16, 16, 0, 16, 16, 16, 0)


def tensors():
    """Returns random tensors with the names and shapes of torchvision's file for `TINY`."""
    rng, channels, index, result = np.random.default_rng(0), 3, 0, {}
    draw = lambda *shape: (rng.normal(size=shape) * np.sqrt(2 / max(1, np.prod(shape[1:])))).astype(np.float32)
    for width in LAYERS:
        if width:
            result |= {f"features.{index}.weight": draw(width, channels, 3, 3), f"features.{index}.bias": draw(width)}
            channels = width
        index += 2 if width else 1
    for name, inputs in (("0", 7 * 7 * 16), ("3", 6), ("6", 6)):
        result |= {f"classifier.{name}.weight": draw(6, inputs), f"classifier.{name}.bias": draw(6)}
    return result


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg") / "vgg.pth"
    path.write_bytes(zipped(tensors()))
    return vgg.load_weights(path, TINY)


def test_the_network_is_that_of_pytorch(weights):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(1).normal(size=(2, 224, 224, 3)).astype(np.float32)
    y, index, w = torch.tensor(x.transpose(0, 3, 1, 2)), 0, {k: torch.tensor(v) for k, v in tensors().items()}
    for width in LAYERS:
        if width:
            y = torch.relu(
                torch.nn.functional.conv2d(y, w[f"features.{index}.weight"], w[f"features.{index}.bias"], padding=1)
            )
        else:
            y = torch.nn.functional.max_pool2d(y, 2)
        index += 2 if width else 1
    y = y.flatten(1)
    for name in ("0", "3"):
        y = torch.relu(torch.nn.functional.linear(y, w[f"classifier.{name}.weight"], w[f"classifier.{name}.bias"]))
    assert y.std() > 0.01
    assert_allclose(jax.jit(TINY.apply)(weights.variables, x), y.numpy(), rtol=1e-3, atol=1e-5)


def test_the_full_network_has_torchvisions_number_of_parameters():
    shapes = jax.eval_shape(VGG16().init, jax.random.key(0), np.zeros([1, 224, 224, 3], np.float32))
    last_layer = 4096 * 1000 + 1000  # It is not needed.
    assert sum(x.size for x in jax.tree.leaves(shapes)) == 138_357_544 - last_layer


def test_files_of_other_networks_are_refused(tmp_path):
    changed = tensors()
    del changed["features.28.bias"]
    (tmp_path / "other.pth").write_bytes(zipped(changed))
    with pytest.raises(UserError, match=r"has no tensor features\.28\.bias"):
        vgg.load_weights(tmp_path / "other.pth", TINY)


def test_precision_and_recall_report_backbone_and_resize(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(vgg, "load_weights", lambda: vgg.Weights({}, "abc"))
    monkeypatch.setattr(vgg, "features", lambda images, weights: images.reshape(len(images), -1)[:, :4] / 255)
    images = np.random.default_rng(0).integers(256, size=(40, 8, 8, 1), dtype=np.uint8)
    reference = ReferenceSet(lambda split: Dataset("noise:train", images))
    result = metrics.get(["prdc_vgg"])["prdc_vgg"](EvaluatedSamples(images, reference))
    assert result.values["precision_vgg"] == result.values["recall_vgg"] == 1
    expected = {"evaluator": "VGG-16", "weights": "abc", "resize": vgg.RESIZE, "n_real": 40}
    assert expected.items() <= result.protocol.items()
