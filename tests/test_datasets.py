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
    data, (left_out, changed) = folders.load_folder(photos, size=16)
    assert not changed
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
    first, notes = folders.load_folder(photos, size=16, channels=1)
    assert first.images.shape == (4, 16, 16, 1)
    monkeypatch.setattr(folders, "_read", None)
    again, notes_again = folders.load_folder(photos, size=16, channels=1)
    np.testing.assert_array_equal(again.images, first.images)
    np.testing.assert_array_equal(again.labels, first.labels)
    assert notes_again == notes
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache_folder.parent.parent))
    write_image(photos / "cat" / "new.png", 16, 16)
    assert len(folders.load_folder(photos, size=16, channels=1)[0].images) == 5
    for file in cache_folder.iterdir():  # A truncated cache file is replaced.
        file.write_bytes(file.read_bytes()[:100])
    with pytest.warns(UserWarning, match="cannot be read and is computed again"):
        assert len(folders.load_folder(photos, size=16, channels=1)[0].images) == 5


# A picture whose left half is dark and whose right half is bright, 16 x 16, as grey levels of 16 bits.
HALVES = np.repeat(np.uint16([[5_000] * 8 + [60_000] * 8]), 16, axis=0)
DARK, BRIGHT = round(5_000 / 257), round(60_000 / 257)


def halves(mode):
    """Returns the picture with 8 bits in a mode of Pillow."""
    return Image.fromarray(np.rint(HALVES / 257).astype(np.uint8)).convert(mode)


def load_one(path, channels=3):
    """Returns the only image of a folder, its left and right half's means, and the changes to its file."""
    data, notes = folders.load_folder(path.parent, size=16, channels=channels)
    assert not notes.left_out
    assert len(data.images) == 1
    return data.images[0].mean((0, 2))[[2, 13]], notes.changed.get(path.name, [])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16"])
def test_every_mode_of_an_opaque_png_keeps_its_brightness(tmp_path, mode, channels):
    path = tmp_path / "folder" / "a.png"
    path.parent.mkdir()
    (Image.fromarray(HALVES) if mode == "I;16" else halves(mode)).save(path)
    means, changed = load_one(path, channels)
    np.testing.assert_allclose(means, [0, 255] if mode == "1" else [DARK, BRIGHT], atol=2)
    assert not changed


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_transparent_images_are_shown_over_white(tmp_path, mode):
    path = tmp_path / "folder" / "a.png"
    path.parent.mkdir()
    image = halves("P") if mode == "P" else halves("L").convert(mode)
    if mode == "P":
        image.save(path, transparency=image.getpixel((0, 0)))
    else:
        image.putalpha(Image.fromarray(np.where(HALVES > 30_000, 255, 0).astype(np.uint8)))
        image.save(path)
    means, changed = load_one(path)
    np.testing.assert_allclose(means, [255, BRIGHT], atol=2)
    assert changed == [folders.TRANSPARENT]


def test_cmyk_colours_are_converted_and_said(tmp_path):
    path = tmp_path / "folder" / "a.jpg"
    path.parent.mkdir()
    Image.new("RGB", (16, 16), (250, 20, 10)).convert("CMYK").save(path, quality=95)
    data, notes = folders.load_folder(path.parent, size=16)
    np.testing.assert_allclose(data.images.mean((0, 1, 2)), [250, 20, 10], atol=4)
    assert notes.changed == {"a.jpg": [folders.CMYK]}
    assert notes.sentences() == ["1 file has CMYK colours, converted without a colour profile: a.jpg"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(tmp_path, orientation):
    from PIL import ImageOps

    path = tmp_path / "folder" / "a.png"
    path.parent.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, [16, 16, 3], np.uint8)
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)
    data, notes = folders.load_folder(path.parent, size=16)
    with Image.open(path) as stored:
        np.testing.assert_array_equal(data.images[0], np.asarray(ImageOps.exif_transpose(stored)))
    assert notes.changed == ({} if orientation == 1 else {"a.png": [folders.TURNED]})


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_of_an_animation_the_first_picture_is_taken(tmp_path, suffix):
    path = tmp_path / "folder" / f"a.{suffix}"
    path.parent.mkdir()
    frames = [Image.new("RGB", (16, 16), (value,) * 3) for value in (40, 200)]
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    means, changed = load_one(path)
    np.testing.assert_allclose(means, 40, atol=1)
    assert changed == [folders.ANIMATED]


def test_what_is_no_file_is_named_as_left_out(tmp_path):
    root = tmp_path / "folder"
    write_image(root / "a.png", 16, 16)
    os.mkfifo(root / "pipe.png")
    (root / "dead.png").symlink_to(root / "nothing")
    (root / "empty.png").mkdir()
    (root / "linked").symlink_to(tmp_path)
    (root / ".hidden").mkdir()
    write_image(root / ".hidden" / "b.png", 16, 16)
    Image.fromarray(HALVES).save(root / "animated.gif")
    Image.new("RGB", (16, 16)).save(root / b"\xff.txt".decode("utf-8", "surrogateescape"), format="png")
    data, (left_out, _) = folders.load_folder(root, size=16)
    assert len(data.images) == 1
    assert left_out == {
        "pipe.png": "is a named pipe and no file",
        "dead.png": "is a link to nothing",
        "empty.png": "is an empty folder",
        "linked": "is a link to a folder, which is not followed",
        "animated.gif": "is not one of png, jpg, jpeg, webp",
        "\ufffd.txt": "is not named as an image",
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/nowhere/photos", "the folder /nowhere/photos does not exist"),
        ("./photos", "does not exist"),
        ("A b", "exist"),
    ],
)
def test_a_path_that_does_not_exist_is_not_taken_for_a_data_set(name, message):
    with pytest.raises(UserError, match=message):
        folders.find_folder(name)


def test_names_of_tfds_and_folders_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path("archive.zip").touch()
    assert folders.find_folder("photos") == Path("photos")
    assert folders.find_folder("mnist") is None
    assert folders.find_folder("cycle_gan/horse2zebra:3.0.0") is None
    with pytest.raises(UserError, match=r"archive.zip is a file; give a folder"):
        folders.find_folder("archive.zip")


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
