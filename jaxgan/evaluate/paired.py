"""Comparison of images with their ground truth: mean absolute error, PSNR and SSIM. Images are uint8 [N, H, W, C]."""

import numpy as np

SSIM_RADIUS, SSIM_STD = 5, 1.5  # pixels, of the Gaussian window
SSIM_K1, SSIM_K2 = 0.01, 0.03


def mean_absolute_error(images: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns the mean absolute difference of each image, float64 [N], in grey levels of 255."""
    return np.abs(np.float64(images) - np.float64(truth)).mean((1, 2, 3))


def psnr(images: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns the peak signal-to-noise ratio of each image, float64 [N], in dB; infinite for equal images."""
    error = np.square(np.float64(images) - np.float64(truth)).mean((1, 2, 3))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255.0**2 / error)


def ssim(images: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns the structural similarity of each image, float64 [N], 1 for equal images (Wang et al. 2004, Eq. 13).

    The window is Gaussian with 11 x 11 pixels, and only windows inside the image count. Channels are averaged. Raises
    ValueError for images of fewer than 11 pixels on a side.
    """
    side = 2 * SSIM_RADIUS + 1
    if min(images.shape[1:3]) < side:
        h, w = images.shape[1:3]
        raise ValueError(f"SSIM needs images of at least {side} x {side} pixels, not {h} x {w}")
    x, y = np.float64(images), np.float64(truth)
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y, cov = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2, _blur(x * y) - mean_x * mean_y
    c1, c2 = (SSIM_K1 * 255) ** 2, (SSIM_K2 * 255) ** 2
    similarity = (2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return similarity.mean((1, 2, 3))


def luma(images: np.ndarray) -> np.ndarray:
    """Returns the Y channel of colour images, float64 [N, H, W, 1] in [16, 235] (ITU-R BT.601).

    The literature on super-resolution measures PSNR and SSIM on it. Grey images are returned unchanged.
    """
    if images.shape[-1] == 1:
        return np.float64(images)
    return 16.0 + np.float64(images) @ np.array([[65.481], [128.553], [24.966]]) / 255.0


def high_frequency_energy(images: np.ndarray) -> float:
    """Returns the mean square of the differences of adjacent pixels, a measure of sharpness, over all images."""
    x = np.float64(images)
    return float(np.square(np.diff(x, axis=1)).mean() + np.square(np.diff(x, axis=2)).mean())


def _blur(x: np.ndarray) -> np.ndarray:
    """Returns x [N, H, W, C] filtered by the Gaussian window, without the pixels whose window is not inside."""
    offsets = np.arange(-SSIM_RADIUS, SSIM_RADIUS + 1)
    weights = np.exp(-0.5 * (offsets / SSIM_STD) ** 2)
    weights /= weights.sum()
    h, w = (n - 2 * SSIM_RADIUS for n in x.shape[1:3])
    x = sum(weight * x[:, n : n + h] for n, weight in enumerate(weights))
    return sum(weight * x[:, :, n : n + w] for n, weight in enumerate(weights))
