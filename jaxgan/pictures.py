"""Pictures in ten milliseconds or so, from numpy and Pillow alone."""

import functools
import math
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 440  # px, of the square that is drawn in
LEFT, TOP, RIGHT, BOTTOM = 58, 34, 14, 32  # px, about it
INK = "#333333"
SAMPLES, DATA = "#D55E00", "#56B4E9"  # Vermilion and sky blue of Okabe and Ito 2008.

Limits = tuple[float, float]


def grid(images: np.ndarray, columns: int | None = None, scale: int | None = None) -> Image.Image:
    """Lay out images uint8 [N, H, W, C], C 1 or 3, row by row; as default near square, about 512 px wide."""
    n, h, w, c = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    scale = scale or max(1, round(512 / (columns * w)))
    gap = 2
    tiles = np.full([rows * columns, h * scale + gap, w * scale + gap, c], 255, np.uint8)
    tiles[:n, gap:, gap:] = images.repeat(scale, 1).repeat(scale, 2)
    page = tiles.reshape(rows, columns, *tiles.shape[1:]).swapaxes(1, 2).reshape(rows * tiles.shape[1], -1, c)
    page = np.pad(page, [(0, gap), (0, gap), (0, 0)], constant_values=255)
    return Image.fromarray(page[..., 0] if c == 1 else page)


def scatter(points: np.ndarray, data: np.ndarray, limits: Limits | None = None) -> Image.Image:
    """Draw points [N, 2] over the density of data [M, 2], both axes from limits[0] to limits[1]."""
    limits = limits or _around(data)
    shade = _density(data, limits, blur=0.008)
    shade = np.sqrt(shade / shade.max(initial=1e-9))  # The root brings out what is rare.
    return _draw(_dots(points, limits), _mask(0.8 * shade.T[::-1]), limits, limits)


def line(points: np.ndarray, data: np.ndarray, limits: Limits | None = None) -> Image.Image:
    """Draw the density of points [N, 1] as a line over that of data [M, 1] as an area."""
    limits = limits or _around(data)
    found, true = _density(points, limits, blur=0.015), _density(data, limits, blur=0.015)
    top = 1.5 * float(true.max(initial=1e-9))
    samples = _mask(1.75 - np.abs(_below(found, top)))
    return _draw(samples, _mask(0.6 * np.clip(_below(true, top) + 0.5, 0, 1)), limits, (0.0, top))


def save(image: Image.Image, path: str | Path) -> None:
    """Write a picture; a reader sees the old file or the new one, never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        image.save(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _around(data: np.ndarray) -> Limits:
    """Limits with a margin about data, which may be a single point."""
    low, high = float(data.min()), float(data.max())
    margin = 0.15 * (high - low) or 1.0
    return low - margin, high + margin


def _cells(points: np.ndarray, limits: Limits, n: int) -> np.ndarray:
    """Of the points [N, D] inside the limits, the cells [D, N] of n an axis that they fall in."""
    low, high = limits
    inside = points[((points > low) & (points < high)).all(1)]
    return np.minimum((inside - low) / (high - low) * n, n - 1).astype(int).T


def _density(data: np.ndarray, limits: Limits, blur: float, bins: int = 128) -> np.ndarray:
    """The density of data [N, D], D 1 or 2, at SIDE pixels an axis: a histogram, blurred by a part of the range."""
    shape = (bins,) * data.shape[1]
    counts = np.bincount(np.ravel_multi_index(_cells(data, limits, bins), shape), minlength=math.prod(shape))
    density = (counts / len(data) * (bins / (limits[1] - limits[0])) ** len(shape)).astype(np.float32).reshape(shape)
    middles = lambda n: (np.arange(n, dtype=np.float32) + 0.5) / n
    kernel = np.exp(-0.5 * ((middles(SIDE)[:, None] - middles(bins)) / blur) ** 2)
    kernel /= kernel.sum(1, keepdims=True)
    return kernel @ density if len(shape) == 1 else kernel @ density @ kernel.T


def _below(curve: np.ndarray, top: float) -> np.ndarray:
    """How far below the curve each pixel lies, in pixels; at right angles to it, for lines of one width."""
    curve = curve / top * SIDE
    return (curve - np.arange(SIDE)[::-1, None] - 0.5) / np.hypot(1, np.gradient(curve))


def _dots(points: np.ndarray, limits: Limits, radius: int = 4, opacity: float = 0.5) -> Image.Image:
    """How much of each pixel the points cover: drawn at twice the size, darker where they lie on each other."""
    size = 2 * SIDE + 2 * radius  # A margin, so that no dot runs over an edge and in at the other.
    x, y = _cells(points, limits, 2 * SIDE) + radius
    dx, dy = np.mgrid[-radius : radius + 1, -radius : radius + 1].reshape(2, -1)
    disk = (dy * size + dx)[dx**2 + dy**2 <= radius**2]
    counts = np.bincount(((size - 1 - y) * size + x + disk[:, None]).ravel(), minlength=size * size)
    counts = counts.reshape(size, size)[radius:-radius, radius:-radius]
    cover = 255 * (1 - (1 - opacity) ** np.arange(counts.max() + 1))
    return Image.fromarray(cover.astype(np.uint8)[counts]).reduce(2)


def _mask(opacity: np.ndarray) -> Image.Image:
    return Image.fromarray((255 * np.clip(opacity, 0, 1)).astype(np.uint8))


def _draw(samples: Image.Image, data: Image.Image, x: Limits, y: Limits) -> Image.Image:
    """Paint two masks of SIDE x SIDE in a frame with ticks, the samples on top, and name them above it."""
    page = Image.new("RGB", (LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM), "white")
    page.paste(DATA, (LEFT, TOP), data)
    page.paste(SAMPLES, (LEFT, TOP), samples)
    draw, font = ImageDraw.Draw(page), _font()
    right, bottom = LEFT + SIDE, TOP + SIDE
    draw.rectangle((LEFT - 1, TOP - 1, right, bottom), outline=INK)
    for text, at in _ticks(x):
        draw.line((LEFT + at, bottom, LEFT + at, bottom + 5), INK)
        draw.text((LEFT + at, bottom + 9), text, INK, font, anchor="mt")
    for text, at in _ticks(y):
        draw.line((LEFT - 6, bottom - 1 - at, LEFT - 1, bottom - 1 - at), INK)
        draw.text((LEFT - 10, bottom - 1 - at), text, INK, font, anchor="rm")
    for text, colour, at in (("samples", SAMPLES, right - 190), ("data density", DATA, right - 100)):
        draw.rectangle((at, TOP // 2 - 5, at + 10, TOP // 2 + 5), colour)
        draw.text((at + 17, TOP // 2), text, INK, font, anchor="lm")
    return page


def _ticks(limits: Limits) -> list[tuple[str, int]]:
    """Round numbers within the limits, four to ten, and their pixels from the low end."""
    low, high = limits
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = max(m * power for m in (1, 2, 5) if m * power <= (high - low) / 4)
    values = [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return [(f"{v:.4g}", round((v - low) / (high - low) * (SIDE - 1))) for v in values]


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=14)
