"""WaveGAN (Donahue et al. 2019, arXiv 1802.04208): raw audio by 1-D convolutions.

    python launch.py train wavegan/sounds
    python launch.py train wavegan/sounds --data FOLDER --length 16384 --rate 16000 --width 64 --batch-size 64 \\
        --lr 1e-4 --n-critic 5 --ema-half-life 0

The critic is trained as in WGAN-GP. Between its layers each example's features are shifted by up to two values at
random (phase shuffle, section 3.2), so that it cannot recognise fakes by the phase of the artefacts of upsampling.

The data are four synthetic instruments, made anew for each batch, the WAV files of a folder, or a TFDS data set. The
defaults are small, for a CPU: a quarter of the paper's length and batch, a fifth of its width, and as narrow networks
bear it, four times its learning rate with one critic update in place of 5. Samples are drawn from a moving average of
the generator, which the paper does not have: without it samples have more noise.
"""

import dataclasses
import functools

import numpy as np
import optax

from jaxgan.core import losses, optim, penalties, prng
from jaxgan.data import audio, sources
from jaxgan.data.datasets import Dataset
from jaxgan.data.folders import find_folder
from jaxgan.errors import UserError
from jaxgan.evaluate import spectra
from jaxgan.networks import wavegan
from jaxgan.runs import registry, targets
from jaxgan.runs.targets import Target
from jaxgan.training import experiment
from jaxgan.training.experiment import Experiment, setting

PAPER = "Donahue et al. 2019, arXiv 1802.04208"
DATASET = "four synthetic instruments, or your sounds: a folder of WAV files, or a data set of TFDS"
REFERENCE_SOUNDS = {"train": 8_000, "test": 2_000}


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaseConfig(experiment.Config):
    """Settings that WaveGAN and SpecGAN share."""

    steps: int = 4_000
    batch_size: int = 16
    log_every: int = 100
    sample_every: int = 1_000
    evaluate_every: int = 1_000
    save_every: int = 1_000
    data: str = setting("", "a folder of WAV files, or a TFDS data set, name:split; by default synthetic instruments")
    labels: str = setting("", "take only these subfolders, or labels of the TFDS data set: zero,one; by default all")
    length: int = setting(4_096, "values of a sound: 16 times a power of 4")
    rate: int = setting(8_000, "values per second")
    latent: int = setting(100, "dimensions of z, from U(-1, 1)")
    width: int = setting(12, "channels of the largest feature map; the paper has 64")
    lr: float = setting(4e-4, "learning rate of both players; the paper has 1e-4")
    b1: float = setting(0.5, "Adam's beta1")
    b2: float = setting(0.9, "Adam's beta2")
    penalty: float = setting(10.0, "weight of the gradient penalty, lambda")
    n_critic: int = setting(2, "critic updates per generator update; the paper has 5")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    """WaveGAN."""

    n_critic: int = setting(1, "critic updates per generator update; the paper has 5")
    shuffle: int = setting(2, "largest shift of phase shuffle; 0 for none", low=0)
    ema_half_life: float = setting(10_000.0, "half-life of the averaged generator, in images; 0 keeps no average")


@functools.cache
def instrument_pictures(split: str, length: int, rate: int) -> Dataset:
    """Returns the labelled pictures of instruments that samples are compared with."""
    sounds, labels = audio.labelled_sounds(
        audio.instruments(length, rate), REFERENCE_SOUNDS[split], seed=list(REFERENCE_SOUNDS).index(split)
    )
    return Dataset(f"instruments:{length}@{rate}:{split}", spectra.pictures_of(sounds), labels, audio.INSTRUMENTS)


def target(config: BaseConfig) -> Target:
    """Returns the target of the instruments, or of the config's folder or TFDS data set."""
    length, rate = config.length, config.rate
    labels = tuple(label.strip() for label in config.labels.split(",") if label.strip())
    if labels and not config.data:
        raise UserError(f"labels {config.labels} need a data set that has them; give its folder or name with --data")
    if not config.data:
        sample = audio.instruments(length, rate)
        source = lambda batch_size: sources.density(lambda key: sample(key)[0])
        metrics = ("fd", "balance", "score", "neighbours")
        return targets.audio(source, length, rate, lambda split: instrument_pictures(split, length, rate), metrics)

    name, _, split = config.data.partition(":")

    @functools.cache
    def load() -> np.ndarray:
        if folder := find_folder(name):
            return audio.load_folder(folder, length, rate, labels)
        return audio.load_tfds(name, split or "train", length, rate, labels)

    scale = lambda batch: batch | {"real": audio.from_int16(batch["real"])}
    source = lambda batch_size: sources.mapped(sources.arrays(lambda: {"real": load()}, batch_size), scale)

    def load_pictures(split: str) -> Dataset:
        sounds = np.asarray(audio.from_int16(load()))
        return Dataset(f"sounds:{length}@{rate}:train", spectra.pictures_of(sounds))

    return targets.audio(source, length, rate, load_pictures, ("neighbours",))


@registry.register(
    "wavegan/sounds",
    Config(),
    paper=PAPER,
    dataset=DATASET,
    shows="raw audio from 1-D convolutions, and a critic that is blind to the phase of upsampling",
    task="audio",
    minutes=6,
    test_settings={"length": 256, "width": 2, "n_critic": 2},
)
def build(config: Config) -> Experiment:
    """WGAN-GP with a critic that receives a key per example for its shifts."""
    adam = optax.adam(config.lr, config.b1, config.b2)
    return target(config).two_player(
        config,
        wavegan.Generator(config.length, config.width),
        wavegan.Critic(config.width, config.shuffle),
        losses.wasserstein,
        prng.uniform_latent(config.latent),
        g_optimizer=adam,
        d_optimizer=adam,
        d_noise=True,
        penalty=penalties.gradient_penalty,
        penalty_weight=config.penalty,
        n_critic=config.n_critic,
        convolutional=True,
        ema=optim.ema_decay(config.ema_half_life, config.batch_size) if config.ema_half_life else None,
    )
