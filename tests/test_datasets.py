"""Data sets from TFDS and from folders: decoding, error messages, and caching on disk."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxgan.data import datasets, folders
from jaxgan.errors import UserError, command_name

DATA = os.environ.get("JAXGAN_DATA_DIR")
needs_data = pytest.mark.skipif(not DATA or not Path(DATA, "mnist").exists(), reason="JAXGAN_DATA_DIR has no mnist")


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "jaxgan" / "data"


def write_image(path, height, width, value=100, mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full([height, width, 3] if mode == "RGB" else [height, width], value, np.uint8)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def photos(tmp_path):
    """A folder with two classes of images of several sizes and formats, and with unusable files of every kind."""
    root = tmp_path / "photos"
    write_image(root / "cat" / "a.png", 20, 30, 10)
    write_image(root / "cat" / "b.JPG", 16, 16, 20, format="JPEG")
    write_image(root / "dog" / "c.webp", 40, 16, 30, lossless=True)
    write_image(root / "dog" / "grey.png", 16, 16, 40, mode="L")
    write_image(root / "dog" / "tiny.png", 8, 90)
    write_image(root / "dog" / "really.png", 16, 16, format="JPEG")
    (root / "dog" / "notes.txt").write_text("no image")
    (root / "cat" / "cut.png").write_bytes((root / "cat" / "a.png").read_bytes()[:60])
    return root


def test_a_folder_gives_images_classes_and_the_reason_for_each_unusable_file(photos):
    data, left_out = folders.load_folder(photos, size=16)
    assert data.images.shape == (4, 16, 16, 3)
    assert data.images.dtype == np.uint8
    assert data.classes == ("cat", "dog")
    np.testing.assert_array_equal(data.labels, [0, 0, 1, 1])
    np.testing.assert_allclose(data.images.mean((1, 2, 3)), [10, 20, 30, 40], atol=1)
    assert set(left_out) == {"cat/cut.png", "dog/tiny.png", "dog/really.png", "dog/notes.txt"}
    assert left_out["dog/tiny.png"] == "is 90 x 8, too small"
    assert left_out["dog/really.png"] == "is a JPEG in spite of its suffix"
    assert left_out["cat/cut.png"].startswith("is damaged")
    assert datasets.describe(data)["classes"] == {"cat": 2, "dog": 2}


def test_strict_refuses_a_folder_with_unusable_files(photos):
    with pytest.raises(UserError, match=r"4 files of .*photos are not usable: .*tiny.png is 90 x 8, too small"):
        folders.load_folder(photos, size=16, strict=True)


def test_a_folder_is_cached_until_a_file_changes(photos, cache_folder, monkeypatch):
    first, left_out = folders.load_folder(photos, size=16, channels=1)
    assert first.images.shape == (4, 16, 16, 1)
    monkeypatch.setattr(folders, "_read", None)
    again, left_out_again = folders.load_folder(photos, size=16, channels=1)
    np.testing.assert_array_equal(again.images, first.images)
    np.testing.assert_array_equal(again.labels, first.labels)
    assert left_out_again == left_out
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache_folder.parent.parent))
    write_image(photos / "cat" / "new.png", 16, 16)
    assert len(folders.load_folder(photos, size=16, channels=1)[0].images) == 5
    for file in cache_folder.iterdir():  # A truncated cache file is replaced.
        file.write_bytes(file.read_bytes()[:100])
    assert len(folders.load_folder(photos, size=16, channels=1)[0].images) == 5


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no usable image"),
        ({"x.txt": None}, "has no usable image: x.txt is not named as an image"),
        ({"a.png": 16, "cat/b.png": 16}, "images both in subfolders and outside of them"),
    ],
)
def test_errors_name_the_folder_or_argument_that_is_wrong(tmp_path, files, message):
    root = tmp_path / "folder"
    root.mkdir()
    for name, side in files.items():
        write_image(root / name, side, side) if side else (root / name).write_text("")
    with pytest.raises(UserError, match=message):
        folders.load_folder(root, size=16)
    with pytest.raises(UserError, match="is not a folder"):
        folders.load_folder(tmp_path / "nowhere", size=16)
    with pytest.raises(UserError, match="channels 4 must be 1 or 3"):
        folders.load_folder(root, size=16, channels=4)


def test_crop_and_resize_takes_the_centre_and_preserves_constants():
    image = np.zeros([10, 30, 3], np.uint8)
    image[:, 10:20] = 200
    np.testing.assert_array_equal(datasets.crop_and_resize(image, 10), 200)
    np.testing.assert_array_equal(datasets.crop_and_resize(image, 5), 200)
    assert datasets.crop_and_resize(image[..., :1], 5).shape == (5, 5, 1)


def test_the_error_for_an_unprepared_data_set_has_the_command_that_prepares_it(tmp_path):
    command = f"{command_name()} data mnist --data-dir {tmp_path}"
    with pytest.raises(UserError, match=re.escape(f"`{command}` prepares it")):
        datasets.load_tfds("mnist", directory=tmp_path)


@needs_data
@pytest.mark.filterwarnings("ignore")
def test_mnist_is_decoded_without_tensorflow():
    import sys

    data = datasets.load_tfds("mnist", "test[:500]")
    assert "tensorflow" not in sys.modules
    assert data.images.shape == (500, 28, 28, 1)
    assert data.classes == tuple("0123456789")
    assert data.name == "mnist:3.0.1:test[:500]"
    assert datasets.load_tfds("mnist", "test[:500]", size=14).images.shape == (500, 14, 14, 1)
    # Labels belong to the images: a one has less ink than a zero.
    mean = lambda digit: data.images[data.labels == digit].mean()
    assert mean(0) > 1.5 * mean(1)


@needs_data
@pytest.mark.filterwarnings("ignore")
def test_a_data_set_on_disk_equals_the_one_in_memory():
    in_memory = datasets.load_tfds("mnist", "test[:300]", size=14)
    on_disk = datasets.open_tfds("mnist", "test[:300]", size=14)
    indices = np.array([7, 299, 0, 7])
    for a, b in zip(on_disk.read(indices), in_memory.read(indices), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(on_disk) == 300
    assert datasets.describe(on_disk) == datasets.describe(in_memory)
    np.testing.assert_array_equal(on_disk.in_memory().images, in_memory.images)


@needs_data
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("mnist", "tran", "Unknown split 'tran'"),
        ("sr_set5", "set5", r"has images of several sizes, \(344, 228, 3\), \(280, 280, 3\); give the `size`"),
        ("pix2pix_facades", "train", 'has no feature "image"; choose a `feature` from id, input_image'),
    ],
)
def test_errors_name_the_split_size_or_feature_that_is_wrong(name, split, message):
    if not Path(DATA, name).exists():
        pytest.skip(f"JAXGAN_DATA_DIR has no {name}")
    with pytest.raises(UserError, match=message):
        datasets.load_tfds(name, split)


@needs_data
@pytest.mark.filterwarnings("ignore")
def test_the_error_for_a_damaged_record_names_it(tmp_path):
    folder = datasets.prepared_folder("mnist")
    copy = tmp_path / "mnist" / folder.name
    copy.mkdir(parents=True)
    for file in folder.iterdir():
        if "train" not in file.name:
            (copy / file.name).write_bytes(file.read_bytes())
    records = next(copy.glob("mnist-test*"))
    data = bytearray(records.read_bytes())
    data[100_000:100_400] = bytes(400)
    records.write_bytes(data)
    with pytest.raises(UserError, match=r"record \d+ of mnist:3.0.1:test is damaged"):
        datasets.load_tfds("mnist", "test", directory=tmp_path)
    good, bad = (datasets.open_tfds("mnist", "test", directory=d) for d in (None, tmp_path))
    indices = np.arange(5)  # Records before the damaged one can still be read.
    np.testing.assert_array_equal(bad.read(indices)[0], good.read(indices)[0])
