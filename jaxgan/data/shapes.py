"""Synthetic pairs of outlines and coloured shapes, which need no download, and a segmenter of the coloured images.

The input shows the outlines of two disks, squares or triangles. The target shows them filled. Triangles are orange. The
others have one of three colours at random: red, green or blue for disks, and cyan, magenta or yellow for squares. The
translation with the least absolute error is the median of the three, which is black for disks and white for squares:
neither is the colour of any shape.
"""

import functools

import numpy as np

from jaxgan.data.datasets import Dataset

CLASSES = ("background", "disk", "square", "triangle")  # of pixels
BACKGROUND, DISK, SQUARE, TRIANGLE = range(4)
COLOURS = np.array(
    [
        [128, 128, 128],
        [230, 25, 25],
        [25, 230, 25],
        [25, 25, 230],
        [25, 230, 230],
        [230, 25, 230],
        [230, 230, 25],
        [230, 128, 25],
    ],
    np.uint8,
)
COLOUR_CLASSES = np.array([BACKGROUND, DISK, DISK, DISK, SQUARE, SQUARE, SQUARE, TRIANGLE])
# Functions of the offsets from the centre that are at most the radius inside a shape.
EXTENTS = {
    DISK: np.hypot,
    SQUARE: lambda y, x: np.maximum(abs(y), abs(x)),
    TRIANGLE: lambda y, x: np.maximum(y, 2 * abs(x) - y),
}
SHAPES_PER_IMAGE = 2
SEEDS = {"train": 0, "test": 1}
SIZES = {"train": 4_000, "test": 500}  # pairs


@functools.cache
def load_shapes(split: str, size: int = 32) -> tuple[Dataset, Dataset]:
    """Returns outlines uint8 [N, size, size, 1], black on white, and coloured shapes uint8 [N, size, size, 3].

    Args:
        split: "train" or "test".
        size: Side of the images, at least 16 and even.
    """
    rng, n = np.random.default_rng(SEEDS[split]), SIZES[split]
    outlines, filled = np.full([n, size, size, 1], 255, np.uint8), np.empty([n, size, size, 3], np.uint8)
    filled[:] = COLOURS[BACKGROUND]
    y, x = np.mgrid[:size, :size]
    for outline, image in zip(outlines, filled, strict=True):
        for quarter in rng.choice(4, SHAPES_PER_IMAGE, replace=False):  # Shapes in different quarters do not touch.
            kind = rng.integers(DISK, TRIANGLE + 1)
            colour = COLOURS[rng.choice(np.flatnonzero(kind == COLOUR_CLASSES))]
            radius = rng.integers(size // 10, size // 5 + 1)
            place = rng.integers(radius + 1, size // 2 - radius, 2)
            top, left = place + size // 2 * np.array(divmod(quarter, 2))
            extent = EXTENTS[kind](y - top, x - left)
            image[extent <= radius + 0.5] = colour
            outline[(extent <= radius + 0.5) & (extent > radius - 0.5 - (kind == TRIANGLE))] = 0
    name = f"shapes:{size}x{size}:{split}"
    return Dataset(f"{name}:outlines", outlines), Dataset(f"{name}:filled", filled)


def segment(images: np.ndarray) -> np.ndarray:
    """Returns the class of each pixel of coloured images uint8 [N, H, W, 3], int [N, H, W]: that of the nearest colour.

    White is nearest to grey, so that it counts as background, and so does black.
    """
    difference = images[..., None, :].astype(np.int32) - COLOURS.astype(np.int32)
    return COLOUR_CLASSES[np.square(difference).sum(-1).argmin(-1)]


def segmentation_scores(images: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Returns pixel accuracy, mean accuracy and mean intersection over union of the segmented images.

    These are the scores of Isola et al. 2017, section 4.1, with `segment` for the FCN, on the segmented truth.
    """
    predicted, true = segment(images).ravel(), segment(truth).ravel()
    confusion = np.bincount(len(CLASSES) * true + predicted, minlength=len(CLASSES) ** 2)
    confusion = confusion.reshape(len(CLASSES), len(CLASSES))
    correct, of_class, as_class = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    return {
        "pixel_accuracy": float(correct.sum() / confusion.sum()),
        "class_accuracy": float(np.mean(correct / of_class)),
        "class_iou": float(np.mean(correct / (of_class + as_class - correct))),
    }
