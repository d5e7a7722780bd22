"""Equivariance of generators: EQ-T and EQ-R (Karras et al. 2021, arXiv 2106.12423, appendix E).

Both compare the transformed image of a generator with its image of the transformed input, as a peak signal-to-noise
ratio in decibels over the pixels whose values are known. The generator is a function `render` from an inverse
transformation [3, 3] to images float [B, H, W, C] in [-1, 1] of always the same latents. The transformation maps the
place (x, y, 1) in an image to that in the untransformed image, in sides of the image from its centre.
"""

from collections.abc import Callable, Iterable

import numpy as np

Render = Callable[[np.ndarray], np.ndarray]

MAX_SHIFT = 1 / 8  # of a translation, in sides of the image
LANCZOS = 3  # lobes of the window of a filter
MARGIN = 2 * LANCZOS  # pixels that a filter reaches
OVERSAMPLING = 4  # points per pixel at which a filtered image is computed before it is interpolated
REACH = 32  # pixels up to which a sinc is followed when two of them are convolved


def eq_t(render: Render, draws: int = 8, seed: int = 0) -> float:
    """Returns EQ-T in decibels: random translations by whole pixels, up to an eighth of the image (E.1)."""
    rng = np.random.default_rng(seed)
    original = np.asarray(render(np.eye(3, dtype=np.float32)), np.float64)
    side = original.shape[1]

    def errors() -> Iterable[np.ndarray]:
        for _ in range(draws):
            x, y = np.rint(rng.uniform(-MAX_SHIFT, MAX_SHIFT, 2) * side).astype(int)
            inverse = np.array([[1, 0, -x / side], [0, 1, -y / side], [0, 0, 1]], np.float32)
            moved = np.asarray(render(inverse), np.float64)
            expected = np.roll(original, (y, x), (1, 2))
            rows, columns = (slice(max(t, 0), side + min(t, 0)) for t in (y, x))
            yield ((moved - expected) ** 2)[:, rows, columns].ravel()

    return psnr(errors())


def eq_r(render: Render, draws: int = 8, seed: int = 0) -> float:
    """Returns EQ-R in decibels: random rotations about the centre (E.3). Images need more than 12 pixels.

    An image that is rotated loses the frequencies that do not fit the rotated grid. The image of the rotated input is
    therefore filtered alike before the comparison.
    """
    rng = np.random.default_rng(seed)
    original = np.asarray(render(np.eye(3, dtype=np.float32)), np.float64)
    side = original.shape[1]
    if side <= 2 * MARGIN:
        raise ValueError(f"EQ-R needs images of more than {2 * MARGIN} pixels, not {side}")

    def errors() -> Iterable[np.ndarray]:
        for angle in rng.uniform(-np.pi, np.pi, draws):
            inverse = np.eye(3, dtype=np.float32)
            inverse[:2, :2] = rotation(-angle)
            rotated_input = np.asarray(render(inverse), np.float64)
            expected, is_known = rotate(original, angle)
            yield ((filter_as_rotated(rotated_input, angle) - expected) ** 2)[:, is_known].ravel()

    return psnr(errors())


def psnr(squared_errors: Iterable[np.ndarray]) -> float:
    """Returns the peak signal-to-noise ratio, in decibels, of values in [-1, 1] with these squared errors."""
    sums = np.array([(errors.sum(), errors.size) for errors in squared_errors]).sum(0)
    with np.errstate(divide="ignore"):  # A ratio without errors is infinite.
        return float(10.0 * np.log10(4.0 * sums[1] / sums[0]))


def rotation(angle: float) -> np.ndarray:
    """Returns the matrix [2, 2] that rotates places (x, y) from the x axis towards the y axis."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def rotate(images: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns images [B, H, H, C] rotated about their centre, and which pixels do not depend on the border, [H, H]."""
    from scipy.ndimage import map_coordinates  # Importing SciPy takes a moment.

    side = images.shape[1]
    center = (side - 1) / 2
    y, x = np.mgrid[:side, :side] - center
    source_x, source_y = np.einsum("ij,jyx->iyx", rotation(-angle), np.stack([x, y]))
    large = _filtered(images, rotation_filter(angle, OVERSAMPLING), OVERSAMPLING)
    place = OVERSAMPLING * (np.stack([source_y, source_x]) + center)
    planes = np.moveaxis(large, 3, 1).reshape(-1, *large.shape[1:3])
    rotated = np.stack([map_coordinates(plane, place, order=3) for plane in planes])
    rotated = np.moveaxis(rotated.reshape(len(images), -1, side, side), 1, 3)
    limit = side / 2 - MARGIN
    is_inner = lambda x, y: (np.abs(x) <= limit) & (np.abs(y) <= limit)
    return rotated, is_inner(source_x, source_y) & is_inner(x, y)


def filter_as_rotated(images: np.ndarray, angle: float) -> np.ndarray:
    """Returns images [B, H, H, C] with the frequencies that a rotation by `angle` to this grid leaves."""
    return _filtered(images, rotation_filter(-angle, 1), 1)


def rotation_filter(angle: float, oversampling: int) -> np.ndarray:
    """Returns the filter of a rotation, with `oversampling` taps per pixel along both axes.

    Its pass band is the intersection of the pixels' square of frequencies and the square of the rotated grid. It is
    the convolution of two sinc functions, times the convolution of two Lanczos windows.
    """
    from scipy.signal import fftconvolve

    place = np.arange(1 - REACH * oversampling, REACH * oversampling) / oversampling
    straight = np.stack(np.meshgrid(place, place))
    turned = np.einsum("ij,jyx->iyx", rotation(angle), straight)
    sinc = lambda place: np.sinc(place).prod(0)
    window = lambda place: (np.sinc(place / LANCZOS) * (np.abs(place) < LANCZOS)).prod(0)
    lowpass, windows = (fftconvolve(f(straight), f(turned), "same") for f in (sinc, window))
    crop = slice((REACH - MARGIN) * oversampling, (REACH + MARGIN) * oversampling - 1)
    taps = (lowpass * windows)[crop, crop]
    # At each of the positions within a pixel the taps that meet pixels have the sum 1.
    padded = np.pad(taps, [(0, 1), (0, 1)]).reshape(2 * MARGIN, oversampling, 2 * MARGIN, oversampling)
    padded = padded / padded.sum((0, 2), keepdims=True)
    return padded.reshape(2 * MARGIN * oversampling, -1)[:-1, :-1]


def _filtered(images: np.ndarray, taps: np.ndarray, oversampling: int) -> np.ndarray:
    """Returns the filtered images [B, s (H - 1) + 1, s (W - 1) + 1, C] at s = `oversampling` points per pixel."""
    from scipy.signal import fftconvolve

    b, h, w, c = images.shape
    spread = np.zeros((b, oversampling * (h - 1) + 1, oversampling * (w - 1) + 1, c))
    spread[:, ::oversampling, ::oversampling] = images
    return fftconvolve(spread, taps[None, :, :, None], "same", axes=(1, 2))
