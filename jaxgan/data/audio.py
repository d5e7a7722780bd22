"""Audio: synthetic instruments, folders of WAV files, and TFDS data sets."""

import math
import wave
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan.data.datasets import first_line
from jaxgan.data.tfds_records import open_records
from jaxgan.errors import UserError

INSTRUMENTS = ("string", "bell", "drum", "chirp")
PENTATONIC = (0, 2, 4, 7, 9)  # semitones above the lowest note


def instruments(length: int, rate: int) -> Callable[[Array], tuple[Array, Array]]:
    """Returns the function that draws a sound from a key: float32 [length] in [-1, 1], and its class, int32 [].

    The classes are `INSTRUMENTS`, all equally likely. Pitch and loudness are drawn for each sound. Pitches are notes of
    a pentatonic scale on A.

    Args:
        length: Values of a sound.
        rate: Values per second.
    """
    seconds = jnp.arange(length) / rate
    duration = length / rate

    def string(key: Array) -> Array:
        """Returns ten harmonics of which the higher ones decay sooner: the imaginary part of the sum of zⁿ / n."""
        z = jnp.exp(jax.lax.complex(-1.5 * seconds / duration, 2 * math.pi * _pitch(key, 110, 330) * seconds))
        weights = jnp.array([1 / n for n in range(10, 0, -1)] + [0.0])
        return jnp.polyval(weights.astype(z.dtype), z).imag

    def bell(key: Array) -> Array:
        """Returns a sine whose frequency is modulated by another one, with a decaying depth (Chowning 1973)."""
        pitch = _pitch(key, 220, 660)
        envelope = jnp.exp(-seconds * 3 / duration)
        modulation = 4 * envelope * jnp.sin(2.8 * math.pi * pitch * seconds)
        return envelope * jnp.sin(2 * math.pi * pitch * seconds + modulation)

    def drum(key: Array) -> Array:
        """Returns a falling tone and a burst of noise."""
        pitch_key, noise_key = jax.random.split(key)
        fall = jnp.exp(-seconds * 12 / duration)
        phase = 2 * math.pi * jnp.cumsum(_pitch(pitch_key, 55, 110) * (1 + 3 * fall)) / rate
        noise = jax.random.normal(noise_key, seconds.shape)
        return jnp.exp(-seconds * 6 / duration) * jnp.sin(phase) + 0.5 * fall * noise

    def chirp(key: Array) -> Array:
        """Returns a tone that rises by one octave or by two."""
        pitch_key, rise_key = jax.random.split(key)
        octaves = jax.random.randint(rise_key, (), 1, 3).astype(jnp.float32)
        frequency = _pitch(pitch_key, 220, 440) * 2 ** (octaves * seconds / duration)
        return jnp.sin(2 * math.pi * jnp.cumsum(frequency) / rate) * jnp.sin(math.pi * seconds / duration)

    def sample(key: Array) -> tuple[Array, Array]:
        label_key, loudness_key, key = jax.random.split(key, 3)
        label = jax.random.randint(label_key, (), 0, len(INSTRUMENTS))
        sound = jax.lax.switch(label, (string, bell, drum, chirp), key)
        peak = jax.random.uniform(loudness_key, minval=0.5, maxval=0.9)
        return peak * sound / jnp.abs(sound).max(), label

    return sample


def _pitch(key: Array, low: float, high: float) -> Array:
    """Draws one of the frequencies in Hz from `low` to `high` that belong to the pentatonic scale on `low`."""
    semitones = range(math.floor(12 * math.log2(high / low) + 1e-9) + 1)
    return jax.random.choice(key, jnp.array([low * 2 ** (n / 12) for n in semitones if n % 12 in PENTATONIC]))


def load_folder(path: Path, length: int, rate: int, labels: Sequence[str] = ()) -> np.ndarray:
    """Returns the WAV files below a folder as mono sounds int16 [N, length] at `rate` values per second.

    Channels are averaged, and other rates are resampled. Longer files are cut at the end, and shorter ones are padded
    with silence. With labels only files below the subfolders of these names are read.

    Raises UserError if there is no WAV file in the folder, or in one of the subfolders, and for a file that is empty,
    damaged, or not in PCM of 8, 16, 24 or 32 bits.
    """
    files = []
    for folder in [path / label for label in labels] or [path]:
        if not folder.is_dir():
            raise UserError(f"{folder} is not a folder")
        sounds = sorted(p for p in folder.rglob("*") if p.suffix.lower() == ".wav")
        if not sounds:
            raise UserError(f"{folder} has no WAV file")
        files += sounds
    return np.stack([_fit(read_wav(file, rate), length) for file in files])


def read_wav(file: Path, rate: int) -> np.ndarray:
    """Returns a WAV file as mono float32 [T] in [-1, 1] at `rate` values per second. Raises UserError if it is bad."""
    try:
        with wave.open(str(file)) as reader:
            channels, width, file_rate, frames = reader.getparams()[:4]
            data = reader.readframes(frames)
    except (wave.Error, EOFError, OSError) as error:
        raise UserError(f"{file} is not a readable WAV file in PCM ({first_line(error)})") from error
    values = _from_pcm(data, width)
    if not len(values):
        raise UserError(f"{file} has no sound")
    mono = values[: len(values) // channels * channels].reshape(-1, channels).mean(1)
    return _resample(mono, file_rate, rate)


def load_tfds(
    name: str, split: str, length: int, rate: int, labels: Sequence[str] = (), directory: Path | None = None
) -> np.ndarray:
    """Returns the sounds of a split of a prepared TFDS data set as int16 [N, length], as `load_folder` does.

    Args:
        name: TFDS name of a data set with a feature of kind `Audio`, such as `speech_commands`.
        split: Name of a split.
        length: Values of a sound.
        rate: Values per second.
        labels: Names of the classes that are taken; all if there are none.
        directory: Folder of all TFDS data sets; `datasets.data_dir()` if not given.

    Raises UserError as `tfds_records.open_records` does, if there is no audio of 16 bits with a known rate, for a label
    that the data set does not have, and if no sound has one of the labels.
    """
    records = open_records(name, split, directory)
    feature = records.feature_of_kind("Audio")
    own_rate = int(records.features[feature].get("audio", {}).get("sampleRate", 0))
    label_feature = records.feature_of_kind("ClassLabel") if labels else None
    numbers = records.label_numbers(label_feature, labels) if labels else None
    sounds = []
    for index in range(records.length):
        (record,) = records.read(np.array([index]))
        if labels and record[label_feature].int64_list.value[0] not in numbers:
            continue
        values = np.array(record[feature].int64_list.value, np.float32) / 2**15
        if not (len(values) and own_rate):
            raise UserError(f"{records.name} has no audio of 16 bits with a sample rate; give a folder of WAV files")
        sounds.append(_fit(_resample(values, own_rate, rate), length))
    if not sounds:
        raise UserError(f"{records.name} has no sound with the label {' or '.join(labels)}")
    return np.stack(sounds)


def _resample(sound: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Returns a sound float32 [T] in [-1, 1] at another number of values per second."""
    if from_rate == to_rate:
        return sound
    from scipy.signal import resample_poly  # Importing SciPy takes a moment.

    divisor = math.gcd(to_rate, from_rate)
    return np.clip(resample_poly(sound, to_rate // divisor, from_rate // divisor), -1, 1).astype(np.float32)


def _from_pcm(data: bytes, width: int) -> np.ndarray:
    """Returns values in [-1, 1] from little-endian PCM of `width` bytes a value."""
    data = data[: len(data) // width * width]
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    # The bytes become the upper ones of 32 bits.
    padded = np.zeros((len(data) // width, 4), np.uint8)
    padded[:, 4 - width :] = np.frombuffer(data, np.uint8).reshape(-1, width)
    return (padded.view("<i4")[:, 0] / 2**31).astype(np.float32)


def _fit(sound: np.ndarray, length: int) -> np.ndarray:
    fitted = np.zeros(length, np.float32)
    fitted[: len(sound)] = sound[:length]
    return np.rint(32767 * fitted).astype(np.int16)


def from_int16(sounds: Array) -> Array:
    """Returns sounds int16 [...] as float32 in [-1, 1]."""
    return sounds.astype(jnp.float32) / 32767.0


def labelled_sounds(
    sample: Callable[[Array], tuple[Array, Array]], count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns `count` sounds float32 [N, T] from `instruments`, and their classes int32 [N]."""
    with jax.ensure_compile_time_eval():
        sounds, labels = jax.jit(jax.vmap(sample))(jax.random.split(jax.random.key(seed), count))
    return np.asarray(sounds), np.asarray(labels)
