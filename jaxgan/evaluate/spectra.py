"""Sounds as small pictures, so that the metrics of images measure them."""

import numpy as np

from jaxgan.render import pictures

SIDE = 32


def pictures_of(sounds: np.ndarray) -> np.ndarray:
    """Returns grey pictures uint8 [N, 32, 32, 1] of the spectrograms of sounds float32 [N, T] in [-1, 1].

    Each pixel is the mean over a block of `pictures.spectrograms`, in which brightness is loudness in decibels.
    """
    spectrograms = pictures.spectrograms(sounds)
    height, width = (n // SIDE * SIDE for n in spectrograms.shape[1:3])
    blocks = spectrograms[:, :height, :width].reshape(len(sounds), SIDE, height // SIDE, SIDE, width // SIDE)
    return np.rint(blocks.mean((2, 4))).astype(np.uint8)[..., None]
