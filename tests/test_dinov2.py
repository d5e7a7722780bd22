"""DINOv2 against `transformers` on random weights, PyTorch's bicubic interpolation, and files of tensors."""

import json
import struct

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from jaxgan.data.datasets import Dataset
from jaxgan.errors import UserError
from jaxgan.evaluate import dinov2, metrics
from jaxgan.evaluate.reference import ReferenceSet
from jaxgan.evaluate.samples import EvaluatedSamples
from jaxgan.io.safetensors import read_tensors
from jaxgan.networks.dinov2 import DINOv2, bicubic_matrix

TINY = DINOv2(dims=24, depth=2, heads=3, patch=14, grid=5)


def write_tensors(path, tensors):
    """Writes a safetensors file."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    names = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64"}
    for name, x in tensors.items():
        kind = names[x.dtype.name]
        header[name] = {"dtype": kind, "shape": x.shape, "data_offsets": [offset, offset + x.nbytes]}
        offset += x.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(x.tobytes() for x in tensors.values()))


def published_tensors(seed=0):
    """Returns random tensors with the names and shapes of a published file for `TINY`."""
    shapes = jax.eval_shape(TINY.init, jax.random.key(0), jnp.zeros([1, 14, 14, 3]))
    rng, tensors = np.random.default_rng(seed), {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(shapes):
        keys = tuple(key.key for key in path)[1:]
        axes = {2: (1, 0), 4: (3, 2, 0, 1)}.get(len(leaf.shape)) if keys[-1] == "kernel" else None
        x = 0.3 * rng.normal(size=leaf.shape).astype(np.float32)
        tensors[dinov2.published_name(keys)] = np.ascontiguousarray(x if axes is None else x.transpose(axes))
    return tensors


def test_tensors_are_read_by_name(tmp_path):
    path = tmp_path / "file.safetensors"
    values = np.arange(6).reshape(2, 3) / 4
    tensors = {"a": np.float32(values), "b": values.astype(ml_dtypes.bfloat16), "c": np.int64([7]), "d": np.float16(2)}
    write_tensors(path, tensors)
    for name, x in read_tensors(path).items():
        assert x.dtype == tensors[name].dtype
        assert_array_equal(x, tensors[name])
    assert list(read_tensors(path, ["c"])) == ["c"]
    with pytest.raises(UserError, match="has no tensor 'e'"):
        read_tensors(path, ["e"])


@pytest.mark.parametrize("damage", [lambda b: b[:-3], lambda b: b[:20], lambda b: b"\xff" * 8 + b[8:], lambda b: b""])
def test_damaged_files_are_refused(tmp_path, damage):
    path = tmp_path / "file.safetensors"
    write_tensors(path, {"a": np.ones(4, np.float32)})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="is not a safetensors file"):
        read_tensors(path)


def test_the_network_is_that_of_transformers(tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = transformers.Dinov2Config(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, patch_size=14, image_size=70
    )
    config.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    write_tensors(file, published_tensors() | {"embeddings.mask_token": np.zeros([1, 24], np.float32)})
    model, info = transformers.Dinov2Model.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())  # The names are those of published files.
    weights = dinov2.load_weights(file, TINY)
    for size in (70, 42):
        images = np.random.default_rng(1).normal(size=(2, size, size, 3)).astype(np.float32)
        with torch.no_grad():
            expected = model.eval()(torch.tensor(images.transpose(0, 3, 1, 2))).pooler_output.numpy()
        assert_allclose(jax.jit(TINY.apply)(weights.variables, images), expected, rtol=1e-3, atol=1e-4)


def test_positions_are_resized_as_pytorch_does():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(37, 37)).astype(np.float32)
    matrix = bicubic_matrix(37, 16)
    resize = torch.nn.functional.interpolate
    expected = resize(torch.tensor(x)[None, None], size=(16, 16), mode="bicubic", align_corners=False)[0, 0].numpy()
    assert_allclose(matrix @ x @ matrix.T, expected, atol=1e-5)


def test_a_bicubic_matrix_keeps_constants_and_lines():
    matrix = np.float64(bicubic_matrix(20, 7))
    assert_allclose(matrix.sum(1), 1, atol=1e-6)
    assert_allclose(matrix @ np.arange(20), (np.arange(7) + 0.5) * 20 / 7 - 0.5, atol=0.05)


def test_files_of_other_networks_are_refused(tmp_path):
    tensors = published_tensors()
    write_tensors(tmp_path / "other", tensors | {"layernorm.weight": np.ones(5, np.float32)})
    with pytest.raises(UserError, match=r"layernorm\.weight"):
        dinov2.load_weights(tmp_path / "other", TINY)
    del tensors["layernorm.weight"]
    write_tensors(tmp_path / "missing", tensors)
    with pytest.raises(UserError, match=r"has no tensor 'layernorm\.weight'"):
        dinov2.load_weights(tmp_path / "missing", TINY)


def test_the_distance_reports_backbone_and_resize(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(dinov2, "load_weights", lambda: dinov2.Weights({}, "abc"))
    monkeypatch.setattr(dinov2, "features", lambda images, weights: images.reshape(len(images), -1)[:, :4] / 255)
    images = np.random.default_rng(0).integers(256, size=(40, 8, 8, 1), dtype=np.uint8)
    reference = ReferenceSet(lambda split: Dataset("noise:train", images))
    result = metrics.fd_dinov2(EvaluatedSamples(images, reference))
    assert result.values["fd_dinov2"] == pytest.approx(0, abs=1e-9)
    expected = {"evaluator": "DINOv2 ViT-L/14", "weights": "abc", "resize": dinov2.RESIZE}
    assert expected.items() <= result.protocol.items()
