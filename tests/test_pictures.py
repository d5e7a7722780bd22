"""Previews: grids show every image, points and densities are drawn at their coordinates."""

import numpy as np
import pytest
from PIL import Image

from jaxgan.render import pictures

ORANGE, WHITE = (0xD5, 0x5E, 0x00), (255, 255, 255)


def is_colour(image, colour, tolerance=60):
    """Returns which pixels of the plotting area have about that colour, bool [SIDE, SIDE]."""
    box = (pictures.LEFT, pictures.TOP, pictures.LEFT + pictures.SIDE, pictures.TOP + pictures.SIDE)
    return np.abs(np.asarray(image.crop(box)).astype(int) - colour).sum(-1) < tolerance


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_shows_every_image_unchanged_in_order(channels):
    images = np.random.default_rng(0).integers(0, 255, [5, 4, 6, channels], dtype=np.uint8)
    canvas = np.asarray(pictures.grid(images, columns=2, scale=3)).reshape(3 * 14 + 2, 2 * 20 + 2, channels)
    tiles = [canvas[y : y + 12 : 3, x : x + 18 : 3] for y in (2, 16, 30) for x in (2, 22)]
    np.testing.assert_array_equal(tiles[:5], images)
    assert (tiles[5] == 255).all()


@pytest.mark.parametrize("n", [1, 10, 64, 100])
@pytest.mark.parametrize("side", [8, 28, 64])
def test_a_grid_is_nearly_square_and_about_512_pixels_wide(n, side):
    width, height = pictures.grid(np.zeros([n, side, side, 1], np.uint8)).size
    assert 0.7 * width <= height <= width
    assert 380 <= width <= 700


def test_a_sample_is_drawn_at_its_coordinates():
    data = np.random.default_rng(0).uniform(-1, 1, [100, 2])
    point = np.array([[0.5, -0.25]])
    y, x = np.nonzero(is_colour(pictures.scatter(point.repeat(9, 0), data, (-1.0, 1.0)), ORANGE))
    np.testing.assert_allclose([x.mean() + 0.5, y.mean() + 0.5], [0.75 * 440, 0.625 * 440], atol=0.6)
    assert 2 <= np.ptp(x) <= 6


def test_the_data_density_is_drawn_at_its_coordinates():
    data = np.random.default_rng(0).normal([0.5, -0.25], 0.01, [1000, 2])
    y, x = np.nonzero(~is_colour(pictures.scatter(np.zeros([0, 2]), data, (-1.0, 1.0)), WHITE))
    np.testing.assert_allclose([x.mean() + 0.5, y.mean() + 0.5], [0.75 * 440, 0.625 * 440], atol=1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 99.0, -99.0])
def test_samples_outside_the_limits_are_not_drawn(bad):
    data = np.random.default_rng(0).normal(size=[100, 2])
    assert not is_colour(pictures.scatter(np.full([5, 2], bad), data), ORANGE).any()
    assert not is_colour(pictures.line(np.full([5, 1], bad), data[:, :1]), ORANGE)[:-3].any()


def test_the_height_of_a_line_is_the_density():
    """Data are uniform over the axis, samples over its lower half with twice the density."""
    data, points = np.linspace(0, 1, 100_000)[:, None], np.linspace(0, 0.5, 50_000)[:, None]
    image = pictures.line(points, data, (0.0, 1.0))
    orange, blue = is_colour(image, ORANGE), ~is_colour(image, WHITE)
    assert pictures._density(data, (0.0, 1.0), 0.015).mean() == pytest.approx(1, rel=1e-3)
    assert pictures._density(points, (0.0, 1.0), 0.015)[100] == pytest.approx(2, rel=1e-3)
    np.testing.assert_allclose(np.argmax(blue[:, 330]), 440 / 3, atol=2)
    assert not orange[: 440 // 3, 300:].any()


def test_data_at_a_single_point_can_be_drawn():
    assert is_colour(pictures.scatter(np.zeros([3, 2]), np.zeros([3, 2])), ORANGE).any()
    assert is_colour(pictures.line(np.zeros([3, 1]), np.zeros([3, 1])), ORANGE).any()


@pytest.mark.parametrize("limits", [(-2.0, 2.0), (0.0, 1.0), (-0.004, 0.004), (3.0, 1234.0), (-1.7, 1.9)])
def test_ticks_are_few_round_and_within_the_limits(limits):
    ticks = pictures._ticks(limits)
    assert 4 <= len(ticks) <= 8
    assert all(len(text) <= 6 for text, _ in ticks)
    assert all(0 <= offset < pictures.SIDE for _, offset in ticks)
    assert all(limits[0] <= float(text) <= limits[1] for text, _ in ticks)


def test_save_replaces_the_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "new" / "picture.png"
    for level in (0, 200):
        pictures.save(Image.new("L", (4, 4), level), path)
        assert Image.open(path).getpixel((0, 0)) == level
    assert list(path.parent.iterdir()) == [path]
