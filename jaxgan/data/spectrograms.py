"""Spectrograms as images that can be turned back into sound (Donahue et al. 2019, section 4)."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

EPSILON = 1e-6  # added to magnitudes before the logarithm
CLIP = 3.0  # standard deviations of log-magnitude that become 1
ITERATIONS = 16  # of Griffin-Lim


class Normalisation(NamedTuple):
    """Mean and standard deviation of the log-magnitudes of each frequency, float32 [bins]."""

    mean: np.ndarray
    std: np.ndarray


def measure_normalisation(sounds: np.ndarray, bins: int) -> Normalisation:
    """Returns the statistics of sounds float32 [N, T] that `to_images` needs."""
    log_magnitude = np.log(np.abs(stft(jnp.asarray(sounds), bins)[..., :bins]) + EPSILON)
    return Normalisation(np.asarray(log_magnitude.mean((0, 1))), np.asarray(log_magnitude.std((0, 1))))


def to_images(sounds: Array, bins: int, normalisation: Normalisation) -> Array:
    """Returns images float32 [N, bins, T / bins, 1] in [-1, 1] of sounds float32 [N, T].

    Windows have 2 bins values and overlap by half. Log-magnitudes are normalised by frequency, and clipped at three
    standard deviations. The highest frequency is left out. Frequency rises with the row.
    """
    log_magnitude = jnp.log(jnp.abs(stft(sounds, bins)[..., :bins]) + EPSILON)
    mean, std = (jnp.asarray(x)[None, None] for x in normalisation)
    return jnp.clip((log_magnitude - mean) / (CLIP * std), -1.0, 1.0).swapaxes(1, 2)[..., None]


def to_sounds(images: Array, normalisation: Normalisation) -> Array:
    """Returns sounds float32 [N, T] of images float32 [N, bins, frames, 1], with phases found by Griffin & Lim 1984.

    A sound that exceeds [-1, 1] is made quieter as a whole: cutting it off would be heard as clicks.
    """
    mean, std = (jnp.asarray(x)[None, None] for x in normalisation)
    magnitude = jnp.exp(images[..., 0].swapaxes(1, 2) * CLIP * std + mean)
    magnitude = jnp.pad(magnitude, ((0, 0), (0, 0), (0, 1))).astype(jnp.complex64)
    bins = images.shape[1]

    def iterate(_: int, phases: Array) -> Array:
        spectrum = stft(inverse_stft(magnitude * phases), bins)
        return spectrum / (jnp.abs(spectrum) + EPSILON).astype(spectrum.dtype)

    angles = jax.random.uniform(jax.random.key(0), magnitude.shape[1:], maxval=2 * math.pi)
    phases = jnp.broadcast_to(jax.lax.complex(jnp.cos(angles), jnp.sin(angles))[None], magnitude.shape)
    phases = jax.lax.fori_loop(0, ITERATIONS, iterate, phases)
    sounds = inverse_stft(magnitude * phases)
    return sounds / jnp.maximum(1.0, jnp.abs(sounds).max(1, keepdims=True))


def _window(bins: int) -> Array:
    """Returns Hann's window [2 bins]; windows at a distance of `bins` add up to one."""
    return jnp.asarray(np.hanning(2 * bins + 1)[:-1], jnp.float32)


def stft(sounds: Array, bins: int) -> Array:
    """Returns the spectrum complex64 [N, T / bins, bins + 1] of sounds [N, T].

    The first and the last window exceed the sound by a quarter of their length. Its ends are then at half the height of
    a window, and `inverse_stft` does not amplify errors there.
    """
    halves = jnp.pad(sounds, ((0, 0), (bins // 2, bins // 2))).reshape(len(sounds), -1, bins)
    frames = jnp.concatenate([halves[:, :-1], halves[:, 1:]], -1)
    return jnp.fft.rfft(frames * _window(bins)[None, None])


def inverse_stft(spectrum: Array) -> Array:
    """Returns the sounds [N, T] whose spectrum is nearest to [N, frames, bins + 1] in the least squares sense."""
    bins = spectrum.shape[-1] - 1
    window = _window(bins)[None, None]

    def overlap_add(frames: Array) -> Array:
        first = jnp.pad(frames[..., :bins], ((0, 0), (0, 1), (0, 0)))
        second = jnp.pad(frames[..., bins:], ((0, 0), (1, 0), (0, 0)))
        return (first + second).reshape(len(frames), -1)[:, bins // 2 : -(bins // 2)]

    frames = jnp.fft.irfft(spectrum)
    weight = overlap_add(jnp.broadcast_to(window**2, (1, *frames.shape[1:])))
    return overlap_add(frames * window) / weight
