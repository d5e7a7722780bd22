"""Data sets from TFDS and from folders: what is read, what is refused, and that it is read once."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxgan.data import datasets, folder
from jaxgan.errors import Problem

DATA = os.environ.get("JAXGAN_DATA_DIR")
needs_data = pytest.mark.skipif(not DATA or not Path(DATA, "mnist").exists(), reason="JAXGAN_DATA_DIR has no mnist")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "jaxgan" / "data"


def write(path, height, width, value=100, mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full([height, width, 3] if mode == "RGB" else [height, width], value, np.uint8)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def photos(tmp_path):
    """Two classes of images of several sizes and formats, and files of every kind that cannot serve."""
    root = tmp_path / "photos"
    write(root / "cat" / "a.png", 20, 30, 10)
    write(root / "cat" / "b.JPG", 16, 16, 20, format="JPEG")
    write(root / "dog" / "c.webp", 40, 16, 30, lossless=True)
    write(root / "dog" / "grey.png", 16, 16, 40, mode="L")
    write(root / "dog" / "tiny.png", 8, 90)
    write(root / "dog" / "really.png", 16, 16, format="JPEG")
    (root / "dog" / "notes.txt").write_text("no image")
    (root / "cat" / "cut.png").write_bytes((root / "cat" / "a.png").read_bytes()[:60])
    return root


def test_a_folder_becomes_images_and_classes_and_says_what_it_left_out(photos):
    data, odd = folder.folder(photos, size=16)
    assert data.images.shape == (4, 16, 16, 3)
    assert data.images.dtype == np.uint8
    assert data.classes == ("cat", "dog")
    np.testing.assert_array_equal(data.labels, [0, 0, 1, 1])
    np.testing.assert_allclose(data.images.mean((1, 2, 3)), [10, 20, 30, 40], atol=1)
    assert set(odd) == {"cat/cut.png", "dog/tiny.png", "dog/really.png", "dog/notes.txt"}
    assert odd["dog/tiny.png"] == "is 90 x 8, too small"
    assert odd["dog/really.png"] == "is a JPEG in truth"
    assert odd["cat/cut.png"].startswith("is damaged")
    assert datasets.statistics(data)["classes"] == {"cat": 2, "dog": 2}


def test_a_folder_is_refused_where_that_is_asked(photos):
    with pytest.raises(Problem, match=r"4 files of .*photos cannot serve: .*tiny.png is 90 x 8, too small"):
        folder.folder(photos, size=16, refuse=True)


def test_what_was_read_is_kept_until_a_file_changes(photos, cache, monkeypatch):
    first, odd = folder.folder(photos, size=16, channels=1)
    assert first.images.shape == (4, 16, 16, 1)
    monkeypatch.setattr(folder, "_read", None)
    again, odd_again = folder.folder(photos, size=16, channels=1)
    np.testing.assert_array_equal(again.images, first.images)
    np.testing.assert_array_equal(again.labels, first.labels)
    assert odd_again == odd
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent.parent))
    write(photos / "cat" / "new.png", 16, 16)
    assert len(folder.folder(photos, size=16, channels=1)[0].images) == 5
    for file in cache.iterdir():  # A cache that was cut off is made again.
        file.write_bytes(file.read_bytes()[:100])
    assert len(folder.folder(photos, size=16, channels=1)[0].images) == 5


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "has no image to train on"),
        ({"x.txt": None}, "has no image to train on: x.txt is not named as an image"),
        ({"a.png": 16, "cat/b.png": 16}, "beside the folders of its classes"),
    ],
)
def test_a_folder_that_cannot_serve_is_named(tmp_path, files, sentence):
    root = tmp_path / "odd"
    root.mkdir()
    for name, side in files.items():
        write(root / name, side, side) if side else (root / name).write_text("")
    with pytest.raises(Problem, match=sentence):
        folder.folder(root, size=16)
    with pytest.raises(Problem, match="is not a folder"):
        folder.folder(tmp_path / "nowhere", size=16)
    with pytest.raises(Problem, match="channels 4 must be 1 or 3"):
        folder.folder(root, size=16, channels=4)


def test_fit_takes_the_middle_and_keeps_constants():
    image = np.zeros([10, 30, 3], np.uint8)
    image[:, 10:20] = 200
    np.testing.assert_array_equal(datasets.fit(image, 10), 200)
    np.testing.assert_array_equal(datasets.fit(image, 5), 200)
    assert datasets.fit(image[..., :1], 5).shape == (5, 5, 1)


def test_a_data_set_that_is_not_prepared_is_answered_with_the_command(tmp_path):
    with pytest.raises(Problem, match=rf"`python launch\.py data mnist --data-dir {tmp_path}` prepares it"):
        datasets.tfds("mnist", directory=tmp_path)


@needs_data
@pytest.mark.filterwarnings("ignore")
def test_mnist_is_read_without_tensorflow():
    import sys

    data = datasets.tfds("mnist", "test[:500]")
    assert "tensorflow" not in sys.modules
    assert data.images.shape == (500, 28, 28, 1)
    assert data.classes == tuple("0123456789")
    assert data.name == "mnist:3.0.1:test[:500]"
    assert datasets.tfds("mnist", "test[:500]", size=14).images.shape == (500, 14, 14, 1)
    # Whiter at the middle than at the rim, and labels that go with the images: a one is thinner than a nought.
    mean = lambda digit: data.images[data.labels == digit].mean()
    assert mean(0) > 1.5 * mean(1)


@needs_data
@pytest.mark.filterwarnings("ignore")
def test_records_are_what_is_read_whole():
    whole, one_by_one = datasets.tfds("mnist", "test[:300]", size=14), datasets.records("mnist", "test[:300]", size=14)
    numbers = np.array([7, 299, 0, 7])
    for a, b in zip(one_by_one.take(numbers), whole.take(numbers), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(one_by_one) == 300
    assert datasets.statistics(one_by_one) == datasets.statistics(whole)


@needs_data
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "split", "sentence"),
    [
        ("mnist", "tran", "Unknown split 'tran'"),
        ("sr_set5", "set5", r"has images of several sizes, \(344, 228, 3\), \(280, 280, 3\); say which `size`"),
        ("pix2pix_facades", "train", 'has no feature "image"; it has id, input_image'),
    ],
)
def test_what_cannot_be_read_is_named(name, split, sentence):
    if not Path(DATA, name).exists():
        pytest.skip(f"JAXGAN_DATA_DIR has no {name}")
    with pytest.raises(Problem, match=sentence):
        datasets.tfds(name, split)


@needs_data
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_record_is_named(tmp_path):
    there = datasets.prepared("mnist")
    copy = tmp_path / "mnist" / there.name
    copy.mkdir(parents=True)
    for file in there.iterdir():
        if "train" not in file.name:
            (copy / file.name).write_bytes(file.read_bytes())
    records = next(copy.glob("mnist-test*"))
    data = bytearray(records.read_bytes())
    data[100_000:100_400] = bytes(400)
    records.write_bytes(data)
    with pytest.raises(Problem, match=r"record \d+ of mnist:3.0.1:test is damaged"):
        datasets.tfds("mnist", "test", directory=tmp_path)
    good, bad = (datasets.records("mnist", "test", directory=d) for d in (None, tmp_path))
    numbers = np.arange(5)
    np.testing.assert_array_equal(bad.take(numbers)[0], good.take(numbers)[0])  # Those before it are read.
