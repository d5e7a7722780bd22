"""Pictures of samples, drawn in about ten milliseconds with NumPy and Pillow."""

import functools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxgan.io import atomic

SIDE = 440  # pixels, width and height of the plotting area
LEFT, TOP, RIGHT, BOTTOM = 58, 34, 14, 32  # pixels, margins around it
INK = "#333333"
SAMPLES, DATA = "#D55E00", "#56B4E9"  # vermilion and sky blue of Okabe and Ito 2008

Limits = tuple[float, float]


def grid(images: np.ndarray, columns: int | None = None, scale: int | None = None) -> Image.Image:
    """Returns images uint8 [N, H, W, C], C 1 or 3, laid out row by row.

    Args:
        images: The images.
        columns: Images per row; by default the grid is nearly square.
        scale: Integer magnification; by default the picture is about 512 pixels wide.
    """
    n, h, w, c = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    scale = scale or max(1, round(512 / (columns * w)))
    gap = 2
    tiles = np.full([rows * columns, h * scale + gap, w * scale + gap, c], 255, np.uint8)
    tiles[:n, gap:, gap:] = images.repeat(scale, 1).repeat(scale, 2)
    canvas = tiles.reshape(rows, columns, *tiles.shape[1:]).swapaxes(1, 2).reshape(rows * tiles.shape[1], -1, c)
    canvas = np.pad(canvas, [(0, gap), (0, gap), (0, 0)], constant_values=255)
    return Image.fromarray(canvas[..., 0] if c == 1 else canvas)


def rows(columns: Sequence[np.ndarray]) -> Image.Image:
    """Returns images side by side, such as inputs, outputs and the truth: columns of uint8 [N, h, w, c].

    Smaller images are enlarged to the size of the largest, by repeating pixels. If N is large a row holds image i of
    all columns, then image i + 1.
    """
    n, k = len(columns[0]), len(columns)
    h, w, c = (max(images.shape[axis] for images in columns) for axis in (1, 2, 3))
    enlarge = lambda x: np.broadcast_to(x.repeat(h // x.shape[1], 1).repeat(w // x.shape[2], 2), [n, h, w, c])
    tiles = np.stack([enlarge(images) for images in columns], axis=1).reshape(n * k, h, w, c)
    return grid(tiles, columns=k * max(1, round(math.sqrt(n / k))))


def scatter(points: np.ndarray, data: np.ndarray, limits: Limits | None = None) -> Image.Image:
    """Returns a picture of points [N, 2] over the density of data [M, 2].

    Both axes span `limits`, by default the range of the data with a margin. Points outside the limits are not drawn.
    """
    limits = limits or _padded_range(data)
    density = _density(data, limits, blur=0.008)
    opacity = np.sqrt(density / density.max(initial=1e-9))  # The root makes low densities visible.
    return _compose(_dots(points, limits), _mask(0.8 * opacity.T[::-1]), limits, limits)


def line(points: np.ndarray, data: np.ndarray, limits: Limits | None = None) -> Image.Image:
    """Returns a picture of the density of points [N, 1] as a line, and the density of data [M, 1] as an area.

    The horizontal axis spans `limits`, by default the range of the data with a margin.
    """
    limits = limits or _padded_range(data)
    sample_density, data_density = _density(points, limits, blur=0.015), _density(data, limits, blur=0.015)
    top = 1.5 * float(data_density.max(initial=1e-9))
    samples = _mask(1.75 - np.abs(_distance_below(sample_density, top)))
    area = _mask(0.6 * np.clip(_distance_below(data_density, top) + 0.5, 0, 1))
    return _compose(samples, area, limits, (0.0, top))


def spectrograms(audio: np.ndarray) -> np.ndarray:
    """Returns spectrograms uint8 [N, 128, about 128, 1] of audio [N, T] in [-1, 1].

    Time goes to the right, and frequency upwards from 0 to half the sampling rate. Each window has 256 values. White is
    the loudness of a sine of amplitude 1, and black is 80 dB below it.
    """
    size, floor = 256, -80.0  # decibels
    hop = max(1, audio.shape[1] // 128)
    padded = np.pad(audio, [(0, 0), (size // 2, size // 2)])
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)[:, ::hop] * window
    amplitude = np.abs(np.fft.rfft(frames))[..., : size // 2] / (window.sum() / 2)
    decibels = 20 * np.log10(np.maximum(amplitude, 10 ** (floor / 20)))
    grey = np.clip(255 * (1 - decibels / floor), 0, 255).astype(np.uint8)
    return grey.swapaxes(1, 2)[:, ::-1, :, None]


def save(image: Image.Image, path: str | Path) -> None:
    """Writes a picture atomically, in the format of the path's suffix. Missing folders are created."""
    with atomic.replacing(Path(path)) as temporary:
        image.save(temporary)


def _padded_range(data: np.ndarray) -> Limits:
    """Returns the range of the data with a margin, which is 1 if all data are equal."""
    low, high = float(data.min()), float(data.max())
    margin = 0.15 * (high - low) or 1.0
    return low - margin, high + margin


def _cells(points: np.ndarray, limits: Limits, n: int) -> np.ndarray:
    """Returns the indices [D, K] of the K points [N, D] inside the limits, on a grid of n cells per axis."""
    low, high = limits
    inside = points[((points > low) & (points < high)).all(1)]
    return np.minimum((inside - low) / (high - low) * n, n - 1).astype(int).T


def _density(data: np.ndarray, limits: Limits, blur: float, bins: int = 128) -> np.ndarray:
    """Returns the density of data [N, D], D 1 or 2, at SIDE pixels per axis: a blurred histogram.

    `blur` is the standard deviation of the Gaussian filter, as a fraction of the range.
    """
    shape = (bins,) * data.shape[1]
    counts = np.bincount(np.ravel_multi_index(_cells(data, limits, bins), shape), minlength=math.prod(shape))
    density = (counts / len(data) * (bins / (limits[1] - limits[0])) ** len(shape)).astype(np.float32).reshape(shape)
    centres = lambda n: (np.arange(n, dtype=np.float32) + 0.5) / n
    kernel = np.exp(-0.5 * ((centres(SIDE)[:, None] - centres(bins)) / blur) ** 2)
    kernel /= kernel.sum(1, keepdims=True)
    return kernel @ density if len(shape) == 1 else kernel @ density @ kernel.T


def _distance_below(curve: np.ndarray, top: float) -> np.ndarray:
    """Returns the distance in pixels of each pixel below the curve, perpendicular to it: lines get an equal width."""
    curve = curve / top * SIDE
    return (curve - np.arange(SIDE)[::-1, None] - 0.5) / np.hypot(1, np.gradient(curve))


def _dots(points: np.ndarray, limits: Limits, radius: int = 4, opacity: float = 0.5) -> Image.Image:
    """Returns an opacity mask of the points, drawn at twice the size for antialiasing; overlaps are more opaque."""
    size = 2 * SIDE + 2 * radius  # With a margin, so that no dot wraps around an edge.
    x, y = _cells(points, limits, 2 * SIDE) + radius
    dx, dy = np.mgrid[-radius : radius + 1, -radius : radius + 1].reshape(2, -1)
    disk = (dy * size + dx)[dx**2 + dy**2 <= radius**2]
    counts = np.bincount(((size - 1 - y) * size + x + disk[:, None]).ravel(), minlength=size * size)
    counts = counts.reshape(size, size)[radius:-radius, radius:-radius]
    opacities = 255 * (1 - (1 - opacity) ** np.arange(counts.max() + 1))
    return Image.fromarray(opacities.astype(np.uint8)[counts]).reduce(2)


def _mask(opacity: np.ndarray) -> Image.Image:
    return Image.fromarray((255 * np.clip(opacity, 0, 1)).astype(np.uint8))


def _compose(samples: Image.Image, data: Image.Image, x: Limits, y: Limits) -> Image.Image:
    """Returns two opacity masks [SIDE, SIDE] in colour, the samples on top, with a frame, ticks and a legend."""
    canvas = Image.new("RGB", (LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM), "white")
    canvas.paste(DATA, (LEFT, TOP), data)
    canvas.paste(SAMPLES, (LEFT, TOP), samples)
    draw, font = ImageDraw.Draw(canvas), _font()
    right, bottom = LEFT + SIDE, TOP + SIDE
    draw.rectangle((LEFT - 1, TOP - 1, right, bottom), outline=INK)
    for text, offset in _ticks(x):
        draw.line((LEFT + offset, bottom, LEFT + offset, bottom + 5), INK)
        draw.text((LEFT + offset, bottom + 9), text, INK, font, anchor="mt")
    for text, offset in _ticks(y):
        draw.line((LEFT - 6, bottom - 1 - offset, LEFT - 1, bottom - 1 - offset), INK)
        draw.text((LEFT - 10, bottom - 1 - offset), text, INK, font, anchor="rm")
    for text, colour, left in (("samples", SAMPLES, right - 190), ("data density", DATA, right - 100)):
        draw.rectangle((left, TOP // 2 - 5, left + 10, TOP // 2 + 5), colour)
        draw.text((left + 17, TOP // 2), text, INK, font, anchor="lm")
    return canvas


def _ticks(limits: Limits) -> list[tuple[str, int]]:
    """Returns labels of four or more round numbers within the limits, and their pixels from the lower limit."""
    from matplotlib.ticker import MaxNLocator  # Importing it takes 0.1 s, and pictures of images do not need it.

    low, high = limits
    values = MaxNLocator(nbins=7, steps=[1, 2, 5, 10], min_n_ticks=4).tick_values(low, high)
    values = [v for v in values.tolist() if low <= v <= high]  # The locator adds one tick outside either end.
    return [(f"{v:.4g}", round((v - low) / (high - low) * (SIDE - 1))) for v in values]


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=14)
