"""Tests of audio: instruments, WAV files, phase shuffle, and WaveGAN's networks."""

import wave

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import first_window_data
from numpy.testing import assert_allclose

from experiments import wavegan as wavegan_experiment
from jaxgan.data import audio, spectrograms
from jaxgan.errors import UserError
from jaxgan.evaluate import spectra
from jaxgan.networks import wavegan

RATE = 8_000


def write_wav(path, values, rate=RATE, width=2):
    """Writes values [T, channels] in [-1, 1] as PCM of so many bytes."""
    with wave.open(str(path), "wb") as file:
        file.setparams((values.shape[1], width, rate, len(values), "NONE", "not compressed"))
        integers = np.rint(values * (2 ** (8 * width - 1) - 1)).astype(np.int64) + (128 if width == 1 else 0)
        file.writeframes(integers.ravel().astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width].tobytes())


def sine(frequency, seconds, rate):
    return np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate).astype(np.float32)


def test_instruments_are_loud_finite_and_balanced():
    sounds, labels = audio.labelled_sounds(audio.instruments(1_024, RATE), 200, seed=0)
    assert sounds.dtype == np.float32
    assert np.isfinite(sounds).all()
    peaks = np.abs(sounds).max(1)
    assert ((peaks > 0.49) & (peaks < 0.91)).all()
    assert np.bincount(labels, minlength=4).min() > 25
    assert len(np.unique(np.round(peaks, 4))) > 150


def test_pictures_of_sounds_show_the_frequency():
    low, high = (np.stack([sine(f, 0.512, RATE)]) for f in (500, 3_000))
    rows = [spectra.pictures_of(x)[0, :, :, 0].mean(1).argmax() for x in (low, high)]
    assert spectra.pictures_of(low).shape == (1, 32, 32, 1)
    assert_allclose(rows, [32 * (1 - 500 / 4_000), 32 * (1 - 3_000 / 4_000)], atol=1)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_wav_files_of_all_widths_are_read(tmp_path, width):
    expected = 0.5 * sine(440, 0.1, RATE)
    write_wav(tmp_path / "a.wav", expected[:, None], width=width)
    assert_allclose(audio.read_wav(tmp_path / "a.wav", RATE), expected, atol=1.1 / 2 ** (8 * width - 1) + 1e-6)


def test_stereo_is_averaged_and_other_rates_are_resampled(tmp_path):
    stereo = np.stack([sine(200, 0.5, 44_100), 0 * sine(200, 0.5, 44_100)], 1)
    write_wav(tmp_path / "a.wav", stereo, rate=44_100)
    mono = audio.read_wav(tmp_path / "a.wav", RATE)
    assert len(mono) == RATE // 2
    assert_allclose(mono[200:-200], 0.5 * sine(200, 0.5, RATE)[200:-200], atol=0.005)


def test_sounds_are_cut_and_padded_to_the_length(tmp_path):
    write_wav(tmp_path / "long.wav", np.full((100, 1), 0.5))
    write_wav(tmp_path / "short.wav", np.full((10, 1), 0.5))
    sounds = np.asarray(audio.from_int16(jnp.asarray(audio.load_folder(tmp_path, 50, RATE))))
    assert_allclose(sounds, [[0.5] * 50, [0.5] * 10 + [0.0] * 40], atol=1e-4)


def test_labels_are_subfolders(tmp_path):
    for i, label in enumerate(("zero", "one", "bed")):
        (tmp_path / label).mkdir()
        write_wav(tmp_path / label / "a.wav", np.full((4, 1), 0.25 * (i + 1)))
    config = wavegan_experiment.Config(data=str(tmp_path), labels="zero, one", length=1_024, rate=RATE)
    sounds = first_window_data(wavegan_experiment.target(config).source(2)).replicated["real"]
    assert_allclose(np.asarray(sounds)[:, 0] / 32_767, [0.25, 0.5], atol=1e-4)
    (tmp_path / "bed" / "a.wav").unlink()
    with pytest.raises(UserError, match="bed has no WAV file"):
        audio.load_folder(tmp_path, 4, RATE, ["zero", "bed"])
    with pytest.raises(UserError, match="two is not a folder"):
        audio.load_folder(tmp_path, 4, RATE, ["two"])
    with pytest.raises(UserError, match="labels zero need a data set"):
        wavegan_experiment.target(wavegan_experiment.Config(labels="zero"))


def test_bad_audio_is_explained(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        audio.load_folder(tmp_path / "missing", 16, RATE)
    with pytest.raises(UserError, match="has no WAV file"):
        audio.load_folder(tmp_path, 16, RATE)
    (tmp_path / "a.wav").write_bytes(b"RIFF nothing")
    with pytest.raises(UserError, match=r"a\.wav is not a readable WAV file"):
        audio.load_folder(tmp_path, 16, RATE)
    write_wav(tmp_path / "a.wav", np.zeros((0, 1)))
    with pytest.raises(UserError, match=r"a\.wav has no sound"):
        audio.load_folder(tmp_path, 16, RATE)


def test_phase_shuffle_is_a_reflected_shift_that_differs_between_examples(key):
    x = jnp.broadcast_to(jnp.arange(6.0)[None, :, None], (40, 6, 1))
    shifted = np.asarray(wavegan.phase_shuffle(x, jax.random.split(key, 40), 2))[..., 0]
    expected = [[2, 1, 0, 1, 2, 3], [1, 0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 4], [2, 3, 4, 5, 4, 3]]
    assert {tuple(row) for row in shifted.astype(int).tolist()} == {tuple(row) for row in expected}
    unshifted = wavegan.phase_shuffle(x, jax.random.split(key, 40), 0)
    assert (unshifted == x).all()


def test_copies_of_the_sounds_of_a_folder_are_found(tmp_path):
    sounds, _ = audio.labelled_sounds(audio.instruments(1_024, RATE), 40, seed=0)
    for i, sound in enumerate(sounds[:30]):
        write_wav(tmp_path / f"{i}.wav", sound[:, None])
    config = wavegan_experiment.Config(data=str(tmp_path), length=1_024, rate=RATE)
    evaluate = lambda samples: wavegan_experiment.target(config).evaluate(samples).values
    copies, others = evaluate(sounds[:10]), evaluate(sounds[30:])
    assert copies["copied"] == 1
    assert others["copied"] < 1
    assert copies["neighbour_ratio"] < 0.1 < others["neighbour_ratio"]


def test_wavegans_networks_fit_together(key):
    generator, critic = wavegan.Generator(64, width=2), wavegan.Critic(width=2, shuffle=2)
    z, keys = jax.random.normal(key, [3, 4]), jax.random.split(key, 3)
    sounds = generator.apply(generator.init(key, z), z)
    assert sounds.shape == (3, 64)
    params = critic.init(key, sounds, keys)
    assert critic.apply(params, sounds, keys).shape == (3,)


def test_the_papers_networks_have_the_papers_shapes(key):
    G, D = wavegan.Generator(), wavegan.Critic()
    z, keys = jnp.zeros((1, 100)), jax.random.split(key, 1)
    shapes = jax.eval_shape(G.init, key, z)["params"]
    assert shapes["Dense_0"]["kernel"].shape == (100, 16 * 1024)
    assert [shapes[f"ConvTranspose_{i}"]["kernel"].shape for i in range(5)] == [
        (25, 1024, 512), (25, 512, 256), (25, 256, 128), (25, 128, 64), (25, 64, 1),
    ]  # fmt: skip
    assert jax.eval_shape(D.init, key, jnp.zeros((1, 16_384)), keys)["params"]["Dense_0"]["kernel"].shape == (16_384, 1)
    with pytest.raises(ValueError, match="1000 values are not 16 times a power of 4"):
        wavegan.num_layers(1_000)


def test_the_inverse_transform_returns_the_sound():
    sounds = np.random.default_rng(0).normal(size=(2, 128)).astype(np.float32)
    back = spectrograms.inverse_stft(spectrograms.stft(jnp.asarray(sounds), 16))
    assert_allclose(back, sounds, atol=1e-4)
    noise = np.random.default_rng(1).normal(size=(200, 8, 17)).astype(np.complex64)
    power = np.square(spectrograms.inverse_stft(jnp.asarray(noise))).mean(0)
    assert power[:4].max() < 8 * power[8:-8].mean()  # The ends are not louder than a quarter of a window permits.


def test_griffin_and_lims_iterations_bring_the_spectrogram_nearer(monkeypatch):
    sounds = np.stack([sine(f, 256 / RATE, RATE) / 2 for f in (500, 1_200, 2_000)])
    normalisation = spectrograms.measure_normalisation(sounds, 16)
    images = spectrograms.to_images(jnp.asarray(sounds), 16, normalisation)
    assert images.shape == (3, 16, 16, 1)
    assert np.abs(images).max() <= 1
    magnitude = lambda sounds: jnp.abs(spectrograms.stft(sounds, 16)[..., :16])

    def error(iterations):
        monkeypatch.setattr(spectrograms, "ITERATIONS", iterations)
        back = spectrograms.to_sounds(images, normalisation)
        assert back.shape == sounds.shape
        return float(jnp.linalg.norm(magnitude(back) - magnitude(jnp.asarray(sounds))))

    loud = np.abs(spectrograms.to_sounds(images + 0.5, normalisation))
    assert_allclose(loud.max(1), 1, rtol=1e-5)  # Made quieter as a whole, so that few values are at the limit.
    assert (loud > 0.999).mean() < 0.02

    # Each iteration brings the magnitudes nearer to those wanted (Griffin & Lim 1984, section IV).
    assert error(16) < error(1) < error(0)
