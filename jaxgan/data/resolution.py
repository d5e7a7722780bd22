"""Pairs of low and high resolution, made from images by a stated filter."""

import numpy as np
from PIL import Image

from jaxgan.data.datasets import Dataset
from jaxgan.errors import Problem


def low_high(data: Dataset, factor: int) -> tuple[Dataset, Dataset]:
    """Return the images at 1 / `factor` of their size, and themselves; raises Problem where they do not divide.

    The filter is Pillow's bicubic one: Keys's kernel with a = -1/2, as wide as the smaller image's pixels, so that
    nothing aliases. So is that of Matlab's imresize, by which the literature on super-resolution makes its inputs. The
    two agree to rounding but for the outermost two pixels, where Matlab mirrors the image and Pillow leaves out what is
    beyond it: there they differ by up to 17 grey levels on Set5. Published PSNRs leave out such a border.
    """
    h, w, c = data.shape
    if h % factor or w % factor:
        raise Problem(
            f"images of {h} x {w} do not divide by {factor}; crop them to {h - h % factor} x {w - w % factor}"
        )
    shrink = lambda image: np.asarray(
        Image.fromarray(image).resize((w // factor, h // factor), Image.Resampling.BICUBIC)
    )
    small = np.stack([shrink(image[..., 0] if c == 1 else image) for image in data.images])
    low = small.reshape(len(data), h // factor, w // factor, c)
    return Dataset(f"{data.name}:bicubic/{factor}", low, data.labels, data.classes), data
