"""Tests of audio and video in prepared TFDS data sets, which are written here as TFDS writes them."""

import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter
from helpers import first_window_data
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

from experiments import vgan, wavegan
from jaxgan.data import audio, sources, videos
from jaxgan.data.tfds_records import open_records
from jaxgan.errors import UserError
from jaxgan.runs import registry

RATE = 8_000


def write_data_set(directory, name, split, features, examples):
    """Writes a data set; `features` are (module, class, options) by name, and `examples` lists of bytes or integers."""
    folder = directory / name / "1.0.0"
    folder.mkdir(parents=True, exist_ok=True)
    template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    splits = [{"name": split, "shardLengths": [str(len(examples))], "filepathTemplate": template}]
    info = {"name": name, "version": "1.0.0", "fileFormat": "array_record", "splits": splits}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    prefix = "tensorflow_datasets.core.features"
    about = {n: {"pythonClassName": f"{prefix}.{kind}", **options} for n, (kind, options) in features.items()}
    python_class = f"{prefix}.features_dict.FeaturesDict"
    (folder / "features.json").write_text(
        json.dumps({"featuresDict": {"features": about}, "pythonClassName": python_class})
    )
    writer = ArrayRecordWriter(str(folder / f"{name}-{split}.array_record-00000-of-00001"), "group_size:1")
    for values in examples:
        example = tf_example_pb2.Example()
        for key, value in values.items():
            feature = example.features.feature[key]
            (feature.bytes_list if isinstance(value[0], bytes) else feature.int64_list).value.extend(value)
        writer.write(example.SerializeToString())
    writer.close()


def png(frame):
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """Three grey videos uint8 [3, 5, 8, 8] in a data set "waves", of which the last is too short for 5 frames."""
    monkeypatch.setenv("JAXGAN_DATA_DIR", str(tmp_path))
    clips = np.random.default_rng(0).integers(0, 256, (3, 5, 8, 8), np.uint8)
    examples = [{"video": [png(frame) for frame in clip[: 4 if i == 2 else 5]]} for i, clip in enumerate(clips)]
    write_data_set(tmp_path, "waves", "train", {"video": ("video_feature.Video", {})}, examples)
    return clips


def test_videos_are_read_by_index_and_in_memory(clips):
    data = videos.open_tfds("waves", "train", 4, 8)
    expected = np.stack([clips[:, :4]] * 3, -1)
    assert (len(data), data.shape) == (3, (4, 8, 8, 3))
    assert_array_equal(data.read(np.array([2, 0]))[0], expected[[2, 0]])
    assert_array_equal(data.in_memory().images, expected)
    with pytest.raises(UserError, match=r"video 2 of waves:1.0.0:train has 4 frames, fewer than the 5 of a clip"):
        videos.open_tfds("waves", "train", 5, 8).in_memory()


def test_an_experiment_trains_on_videos_by_name(clips):
    source = vgan.target("waves", 4, 8).source(3)
    batch = source.batch(first_window_data(source), jax.random.key(0), jnp.int32(0), jnp.arange(3))
    in_any_order = lambda x: np.sort(np.asarray(x).reshape(3, -1), 0)
    assert_allclose(in_any_order(batch["real"]), in_any_order(np.stack([clips[:, :4]] * 3, -1) / 127.5 - 1), atol=1e-6)
    assert isinstance(source, sources.Source)


def test_sounds_are_resampled_cut_and_padded(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXGAN_DATA_DIR", str(tmp_path))
    sounds = np.int16(2**14 * np.sin(np.arange(2 * 600) / 5).reshape(2, 600))
    features = {"audio": ("audio_feature.Audio", {"audio": {"sampleRate": str(RATE)}}), "label": ("x.ClassLabel", {})}
    examples = [{"audio": sounds[0].tolist(), "label": [1]}, {"audio": sounds[1, :100].tolist(), "label": [0]}]
    write_data_set(tmp_path, "speech", "test", features, examples)
    loaded = audio.load_tfds("speech", "test", 256, RATE)
    assert loaded.dtype == np.int16
    assert_allclose(loaded[0], sounds[0, :256], atol=1)
    assert_allclose(loaded[1], np.pad(sounds[1, :100], (0, 156)), atol=1)
    assert_allclose(audio.load_tfds("speech", "test", 128, RATE // 2)[0, 8:-8], sounds[0, 16:240:2], atol=300)
    config = wavegan.Config(data="speech:test", length=256, rate=RATE)
    source = wavegan.target(config).source(2)
    assert_allclose(first_window_data(source).replicated["real"], loaded)
    (tmp_path / "speech" / "1.0.0" / "label.labels.txt").write_text("yes\nno\n_unknown_\n")
    assert_array_equal(audio.load_tfds("speech", "test", 256, RATE, ["no", "_unknown_"]), loaded[:1])
    with pytest.raises(UserError, match="has no label 'zero', only yes, no, _unknown_; if the archive"):
        audio.load_tfds("speech", "test", 256, RATE, ["yes", "zero"])
    with pytest.raises(UserError, match="has no sound with the label _unknown_"):
        audio.load_tfds("speech", "test", 256, RATE, ["_unknown_"])


def test_what_cannot_be_read_is_explained(clips, tmp_path):
    with pytest.raises(UserError, match="has no split 'test'; choose one of train"):
        open_records("waves", "test")
    with pytest.raises(UserError, match="has no feature of kind Audio, only video"):
        audio.load_tfds("waves", "train", 256, RATE)
    (tmp_path / "old" / "1.0.0").mkdir(parents=True)
    (tmp_path / "old" / "1.0.0" / "dataset_info.json").write_text("{}")
    with pytest.raises(UserError, match="is not in the format array_record"):
        open_records("old")
    with pytest.raises(UserError, match="moving_mnist is not prepared in"):
        open_records("moving_mnist")


def test_methods_on_fashion_mnist_read_it(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXGAN_DATA_DIR", str(tmp_path))
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
    image = {"dtype": "uint8", "shape": {"dimensions": ["28", "28", "1"]}}
    features = {
        "image": ("image_feature.Image", {"image": image}),
        "label": ("class_label_feature.ClassLabel", {"classLabel": {"numClasses": "10"}}),
    }
    examples = [{"image": [png(image)], "label": [n]} for n, image in enumerate(images)]
    write_data_set(tmp_path, "fashion_mnist", "train", features, examples)
    experiment = registry.get("hinge/fashion_mnist").build(registry.get("hinge/fashion_mnist").config)
    assert_array_equal(experiment.data("train").in_memory().images[..., 0], images)
    batch = experiment.source.batch(
        first_window_data(experiment.source), jax.random.key(0), jnp.int32(0), jnp.arange(3)
    )
    assert_allclose(batch["real"][..., 0], images[batch["label"]] / 127.5 - 1, atol=1e-6)
