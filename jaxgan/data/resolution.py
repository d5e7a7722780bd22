"""Pairs of low and high resolution images for super-resolution."""

import numpy as np
from PIL import Image

from jaxgan.data.datasets import ImageData, map_images
from jaxgan.errors import UserError


def low_high_resolution(data: ImageData, factor: int) -> tuple[ImageData, ImageData]:
    """Returns the images reduced to 1 / `factor` of their size, and the original data set.

    The filter is Pillow's bicubic one: Keys's kernel with a = -1/2, stretched by `factor` against aliasing. Matlab's
    imresize, which the literature on super-resolution uses for its inputs, has the same kernel. The two agree to
    rounding except for the outermost two pixels, because Matlab mirrors the image at its border and Pillow truncates
    the kernel there; on Set5 these pixels differ by up to 17 grey levels. Published PSNRs exclude such a border.

    Args:
        data: Images uint8 [H, W, C]. Those on disk are reduced when they are read.
        factor: Ratio of the two resolutions.

    Raises UserError if height or width is not divisible by `factor`.
    """
    h, w, c = data.shape
    if h % factor or w % factor:
        raise UserError(
            f"images of {h} x {w} are not divisible by {factor}; crop them to {h - h % factor} x {w - w % factor}"
        )

    def shrink(image: np.ndarray) -> np.ndarray:
        small = Image.fromarray(image[..., 0] if c == 1 else image)
        small = small.resize((w // factor, h // factor), Image.Resampling.BICUBIC)
        return np.asarray(small).reshape(h // factor, w // factor, c)

    return map_images(data, f"{data.name}:bicubic/{factor}", shrink), data


def enlarge(images: np.ndarray, factor: int) -> np.ndarray:
    """Returns images uint8 [N, H factor, W factor, C], enlarged by Pillow's bicubic filter, from [N, H, W, C]."""
    n, h, w, c = images.shape
    grey = lambda image: image[..., 0] if c == 1 else image
    resize = lambda image: Image.fromarray(grey(image)).resize((w * factor, h * factor), Image.Resampling.BICUBIC)
    return np.stack([np.asarray(resize(image)) for image in images]).reshape(n, h * factor, w * factor, c)
