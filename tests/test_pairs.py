"""Pairs of images from folders: by name, side by side, and errors that name the file."""

import numpy as np
import pytest
from PIL import Image

from jaxgan.data.datasets import Dataset
from jaxgan.data.pairs import hold_out, load_paired_folders, load_side_by_side
from jaxgan.errors import UserError


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def save(path, value, size=(6, 6), mode="RGB"):
    """Writes an image whose pixels all have the given value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value,) * 3).save(path)


def test_files_are_paired_by_name_without_suffix(tmp_path):
    for n, name in enumerate(("b", "a", "sub/a")):
        save(tmp_path / f"x/{name}.png", 10 * n)
        save(tmp_path / f"y/{name}.webp", 10 * n + 5)
    (tmp_path / "x" / "notes.txt").write_text("not an image")
    for _ in range(2):  # The second time from the cache.
        x, y = load_paired_folders(tmp_path / "x", tmp_path / "y", 4, channels=(3, 1))
        assert x.shape == (4, 4, 3)
        assert y.shape == (4, 4, 1)
        np.testing.assert_allclose(x.images[:, 0, 0, 0], [10, 0, 20], atol=1)
        np.testing.assert_allclose(y.images[:, 0, 0, 0], [15, 5, 25], atol=2)


def test_the_halves_of_a_file_are_a_pair_in_either_direction(tmp_path):
    halves = np.concatenate([np.full([4, 4, 3], 10, np.uint8), np.full([4, 4, 3], 200, np.uint8)], axis=1)
    Image.fromarray(halves).save(tmp_path / "1.png")
    for direction, values in (("AtoB", [10, 200]), ("BtoA", [200, 10])):
        pair = load_side_by_side(tmp_path, 4, direction)
        assert [int(data.images.mean()) for data in pair] == values
    save(tmp_path / "2.png", 0, size=(7, 4))
    with pytest.raises(UserError, match=r"2.png is 7 pixels wide; two images side by side have an even width"):
        load_side_by_side(tmp_path, 4)


def test_folders_that_are_not_paired_are_refused(tmp_path):
    x, y = tmp_path / "x", tmp_path / "y"
    x.mkdir()
    with pytest.raises(UserError, match="x has no images"):
        load_paired_folders(x, y, 4)
    for name in "abc":
        save(x / f"{name}.png", 0)
    for name in "ab":
        save(y / f"{name}.png", 0)
    with pytest.raises(UserError, match=r"x has 3 images and .*y has 2; c of .*x has no image of the same name in"):
        load_paired_folders(x, y, 4)
    save(y / "c.png", 0, size=(6, 8))
    with pytest.raises(UserError, match="the images of the pair c have unequal sizes, 6 x 6 and 6 x 8"):
        load_paired_folders(x, y, 4)
    (y / "c.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"c.png is damaged"):
        load_paired_folders(x, y, 4)
    save(x / "a.jpg", 0)
    with pytest.raises(UserError, match="two images called a"):
        load_paired_folders(x, y, 4)


def test_every_tenth_image_is_held_out():
    data = Dataset("data", np.arange(25, dtype=np.uint8).reshape(25, 1, 1, 1), np.arange(25, dtype=np.int32))
    assert hold_out(data, "test").labels.tolist() == [0, 10, 20]
    assert len(hold_out(data, "train")) == 22
    with pytest.raises(UserError, match="needs at least 2"):
        hold_out(Dataset("one", data.images[:1]), "train")
