"""CycleGAN on images (Zhu et al. 2017, arXiv 1703.10593): digits and their negatives, and your own images.

    python launch.py train cyclegan/mnist_inverted
    python launch.py train cyclegan/own --data-x FOLDER --data-y FOLDER
    python launch.py figure cyclegan/table5

`cyclegan/horse2zebra` has the paper's networks and settings. The others have narrower networks and larger batches,
which suit a CPU.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from experiments import cyclegan
from experiments.cyclegan import PAPER
from jaxgan.data import datasets, sources
from jaxgan.data.datasets import Dataset, ImageData
from jaxgan.data.folders import find_folder, load_folder
from jaxgan.data.pairs import hold_out
from jaxgan.errors import UserError
from jaxgan.evaluate import classifier
from jaxgan.evaluate.classifier import FeatureClassifier
from jaxgan.evaluate.paired import mean_absolute_error
from jaxgan.networks import patchgan, resnet_translator
from jaxgan.runs import translation
from jaxgan.runs.registry import CPU, register
from jaxgan.runs.translation import HeldOut, Translations, require_shape
from jaxgan.settings import setting
from jaxgan.training.experiment import Experiment
from jaxgan.training.sampling import make_translator

SHOWS = "images translated without pairs: residual generators, discriminators of patches, identity loss"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(cyclegan.Config):
    """CycleGAN on images."""

    steps: int = 2_000
    batch_size: int = setting(8, "images per step from each domain, over all devices")
    log_every: int = 100
    sample_every: int = 500
    evaluate_every: int = 500
    save_every: int = 500
    size: int = setting(28, "side of the images in pixels, a multiple of 4")
    width: int = setting(8, "channels of the generators at the full size, and of the discriminators' first layers")
    blocks: int = setting(2, "residual blocks of a generator")
    halvings: int = setting(
        1, "convolutions of stride 2 of a discriminator; 0 to 5 for patches of 1, 16, 34, 70, 142, 286", low=0, high=5
    )
    lr: float = 2e-4
    hold: int = setting(1_000, "steps at the initial learning rate", low=0)
    decay: int = 1_000
    cycle: float = setting(10.0, "weight of the forward cycle loss |F(G(x)) - x|, lambda")
    backward_cycle: float = setting(10.0, "weight of the backward cycle loss |G(F(y)) - y|, lambda")
    identity: float = setting(0.0, "weight of the identity losses |G(y) - y| and |F(x) - x|")
    pool: int = 50
    flip: bool = setting(False, "mirror images horizontally with probability 1/2")
    jitter: int = setting(0, "pixels by which images are larger than a random crop of them", low=0)


Translate = Callable[[np.ndarray], np.ndarray]  # images uint8 -> images uint8
LoadDomain = Callable[[str, int], ImageData]  # ("train" or "test", side) -> images
Truth = Callable[[Dataset], Dataset | None]  # images -> their true translations, or None


def build_on(
    domains: tuple[LoadDomain, LoadDomain],
    config: Config,
    channels: int,
    measure: Callable[[Translations, Translate], Mapping[str, float]],
    truth: Truth = lambda data: None,
) -> Experiment:
    """Returns the experiment on two sets of images, which samples translations of X, and of Y `backward`.

    Args:
        domains: Load X and Y, with square images of a given side.
        config: The settings.
        channels: Of both domains.
        measure: Metrics of the translations of X, which also gets a function that translates backward.
        truth: The true translations in both directions, if they are known.
    """
    check_settings(config)
    size, shape = config.size, (config.size, config.size, channels)
    game = cyclegan.build_game(
        resnet_translator.Generator(channels, config.width, blocks=config.blocks),
        patchgan.Discriminator(config.halvings, config.width, affine=False),
        shape,
        config,
        backward_cycle=config.backward_cycle,
        identity=config.identity,
    )

    def load(n: int, split: str, side: int = size) -> ImageData:
        return require_shape(domains[n](split, side), (side, side, channels), "choose other --size or --channels")

    training = [training_images(functools.partial(load, n, "train"), config) for n in (0, 1)]
    source = sources.unpaired(*training)

    def direction(n: int, measure: translation.Measure) -> Experiment:
        """Returns the experiment that samples translations of X (0) or Y (1)."""

        def load_test() -> tuple[Dataset, Dataset | None]:
            data = load(n, "test").in_memory()
            return data, truth(data)

        return translation.experiment(
            game,
            game.networks[n],
            source,
            HeldOut(load_test, shape),
            multiple=4,
            measure=measure,
            evaluator="translations of held-out images",
            data=functools.partial(load, 1 - n),
        )

    backward = direction(1, lambda translations: {})

    def measure_both(translations: Translations) -> Mapping[str, float]:
        back = lambda images: make_translator(backward)(translations.state, images, 0)
        cycle = mean_absolute_error(back(translations.outputs), translations.inputs).mean()
        return {"cycle": float(cycle), **measure(translations, back)}

    return dataclasses.replace(direction(0, measure_both), backward=backward)


def training_images(load: Callable[[int], ImageData], config: Config) -> sources.Source:
    """Returns a source of the images that `load` returns for a given side, cropped and mirrored as the config asks."""
    crop = config.size if config.jitter else None
    return sources.images(lambda: load(config.size + config.jitter), config.batch_size, config.flip, crop=crop)


def check_settings(config: Config) -> None:
    """Raises UserError for a size that the generators cannot halve twice, and for a pool smaller than a batch."""
    if config.size % 4:
        raise UserError(f"size {config.size} must be a multiple of 4; use {config.size - config.size % 4 + 4}")
    if config.batch_size > config.pool:
        raise UserError(
            f"batch_size {config.batch_size} does not fit pool {config.pool}; use --pool {config.batch_size}"
        )


def invert(data: Dataset) -> Dataset:
    """Returns the negatives of images, with their labels."""
    return dataclasses.replace(data, name=f"{data.name}:inverted", images=255 - data.images)


def load_digits(split: str) -> Dataset:
    """Returns a split of MNIST."""
    return datasets.load_tfds("mnist", split)


@functools.cache
def digit_classifier() -> FeatureClassifier:
    """Returns the classifier of MNIST."""
    return classifier.train_classifier(load_digits("train"), load_digits("test"), classifier.RECIPE)


def measure_digits(translations: Translations, backward: Translate) -> dict[str, float]:
    """Returns the shares of digits whose class is kept by G and by F, and the errors of G against the negative.

    The class of a digit is that of a classifier of MNIST, for inverted digits on their negatives.
    """
    mnist_classifier, negatives = digit_classifier(), 255 - translations.inputs
    kept = lambda digits: float(np.mean(mnist_classifier.predict(digits) == translations.labels))
    return {
        "class_kept": kept(255 - translations.outputs),
        "class_kept_backward": kept(backward(negatives)),
        **translation.paired_errors(translations),
    }


@register(
    "cyclegan/mnist_inverted",
    Config(),
    paper=PAPER,
    dataset="half of the digits of MNIST and the negatives of the other half, 28x28",
    shows=SHOWS,
    task="translation",
    minutes=5,
    test_settings={"width": 4, "blocks": 1},
)
def build_inverted(config: Config) -> Experiment:
    """No digit is in both domains. The evaluation has the true translation, the negative."""
    halves = lambda first, second: lambda split, side: load_digits(first if split == "train" else second)
    x = halves("train[:30000]", "test[:5000]")
    y = halves("train[30000:]", "test[5000:]")
    return build_on((x, lambda split, side: invert(y(split, side))), config, 1, measure_digits, invert)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnConfig(Config):
    """CycleGAN on the user's images."""

    data_x: str = setting("x", "domain X: a folder of images, or a TFDS data set as NAME or NAME:SPLIT")
    data_y: str = setting("y", "domain Y: a folder of images, or a TFDS data set as NAME or NAME:SPLIT")
    channels: Literal[1, 3] = setting(3, "channels of the images, 1 (grey) or 3 (RGB)")


# 64 pixels, narrow, for a CPU.
OWN = OwnConfig(
    size=64, width=16, blocks=4, halvings=2, batch_size=2, steps=20_000, hold=10_000, decay=10_000, flip=True, jitter=8
)
# Section 7.2 and appendix 7.1: 200 epochs of 1,334 images in batches of one, and the rate decays in the second half.
# Identity loss is for paintings only (section 5.2).
HORSE_TO_ZEBRA = OwnConfig(
    data_x="cycle_gan/horse2zebra:trainA",
    data_y="cycle_gan/horse2zebra:trainB",
    size=256,
    width=64,
    blocks=9,
    halvings=3,
    batch_size=1,
    steps=266_800,
    hold=133_400,
    decay=133_400,
    flip=True,
    jitter=30,
)


def load_domain(data: str, size: int, channels: int, split: str) -> ImageData:
    """Returns the part of a folder or of a TFDS data set that is for training ("train"), or held out ("test")."""
    name, _, part = data.partition(":")
    if folder := find_folder(name):
        return hold_out(load_folder(folder, size, channels)[0], split)
    return hold_out(datasets.open_tfds(name, part or "train", size=size), split)


def build_own(config: OwnConfig) -> Experiment:
    """One image in ten of either domain is held out, and at most 1,000."""

    domain = lambda data: lambda split, side: load_domain(data, side, config.channels, split)
    domains = domain(config.data_x), domain(config.data_y)
    return build_on(domains, config, config.channels, lambda translations, backward: {})


for _name, _config, _dataset, _hardware in (
    ("own", OWN, "your images: two folders, or data sets of TFDS", CPU),
    ("horse2zebra", HORSE_TO_ZEBRA, "1,067 photographs of horses and 1,334 of zebras, 256x256", "1 GPU"),
):
    register(
        f"cyclegan/{_name}",
        _config,
        paper=PAPER,
        dataset=_dataset,
        shows=SHOWS,
        task="translation",
        minutes=None,
        hardware=_hardware,
    )(build_own)
