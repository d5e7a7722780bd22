"""The Fréchet distance of disturbed images (Heusel et al. 2017, arXiv 1706.08500, figure 3).

python launch.py figure ttur/fig3
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.figures.ttur import PAPER
from experiments.testbeds import MNIST
from jaxgan.evaluate.metrics import make_evaluator
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs

IMAGES = 1_000  # test images that are disturbed
LEVELS = 4

Disturb = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]  # (images [N, H, W] in [0, 255], level from 0)


def noise(images: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Mixes images with Gaussian noise of standard deviation 128, up to three quarters of it."""
    return images + 0.25 * level * (rng.normal(0, 128, images.shape) - images)


def blur(images: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Convolves images with a Gaussian of up to 1.5 pixels."""
    from scipy.ndimage import gaussian_filter  # Takes a moment to import.

    return gaussian_filter(images, (0, 0.5 * level, 0.5 * level))


def rectangles(images: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Sets five squares of up to nine pixels a side to black."""
    images, side = images.copy(), 3 * level
    for image in images:
        for row, column in rng.integers(0, images.shape[1] - side + 1, size=[5, 2]):
            image[row : row + side, column : column + side] = 0
    return images


def swirl(images: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Rotates pixels about the centre by an angle of up to three radians, which falls off with their radius."""
    from scipy.ndimage import map_coordinates

    centre = (images.shape[1] - 1) / 2
    y, x = np.mgrid[: images.shape[1], : images.shape[2]] - centre
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    angle = angle + level * np.exp(-radius / (centre / 2))
    places = np.stack([centre + radius * np.sin(angle), centre + radius * np.cos(angle)])
    return np.stack([map_coordinates(image, places, order=1) for image in images])


def salt_and_pepper(images: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Sets up to 30 % of the pixels to black or white."""
    hit = rng.random(images.shape) < 0.1 * level
    return np.where(hit, 255.0 * rng.integers(0, 2, images.shape), images)


DISTURBANCES: dict[str, Disturb] = {
    "Gaussian noise": noise,
    "blur": blur,
    "black rectangles": rectangles,
    "swirl": swirl,
    "salt and pepper": salt_and_pepper,
}


@figures.register(
    "ttur/fig3",
    paper=PAPER,
    shows="the Fréchet distance of disturbed images rises with the disturbance; 1,000 MNIST images and the features of "
    "a digit classifier in place of CelebA and Inception",
    minutes=3,
    uses_classifier=True,
)
def fig3() -> Figure:
    """Levels 0 to 3 of five disturbances of test images. The reference is the training set."""

    def measure(runs: Runs) -> Numbers:
        evaluate = make_evaluator(("fd",), MNIST.target.data)
        clean = np.float64(MNIST.target.data("test").in_memory().images[:IMAGES, ..., 0])
        numbers: dict[str, Any] = {}
        for name, disturb in DISTURBANCES.items():
            rng = np.random.default_rng(0)
            levels = [disturb(clean, level, rng) for level in range(LEVELS)]
            levels = [np.uint8(np.rint(images.clip(0, 255)))[..., None] for images in levels]
            numbers[name] = np.array([evaluate(images).values["fd_mnist"] for images in levels])
            numbers[f"{name} images"] = np.stack([images[:2, ..., 0] for images in levels])
        numbers["rising"] = sum(bool((np.diff(numbers[name]) > 0).all()) for name in DISTURBANCES)
        return numbers

    def plot(numbers: Numbers) -> Any:
        fig, axes = plots.subplots(2, len(DISTURBANCES), height=1.35, height_ratios=[1.7, 1])
        for (curve, panel), name in zip(axes.T, DISTURBANCES, strict=True):
            curve.plot(range(LEVELS), numbers[name], "o-", markersize=3)
            curve.set(title=name, xticks=range(LEVELS), ylim=(0, None))
            images = numbers[f"{name} images"]  # [levels, 2, H, W]
            strip = np.pad(images, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=255)
            strip = strip.transpose(1, 2, 0, 3).reshape(-1, LEVELS * strip.shape[-1])
            panel.imshow(strip, cmap="gray", interpolation="nearest")
            panel.set(xticks=[], yticks=[], xlabel="level 0 to 3")
            panel.spines[:].set_visible(False)
        axes[0, 0].set_ylabel("Fréchet distance")
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim(f"disturbances, of {len(DISTURBANCES)}, whose distance rises at every level", "rising", least=5),
        ),
    )
