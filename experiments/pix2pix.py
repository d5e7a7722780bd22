"""Image-to-Image Translation with Conditional Adversarial Networks (Isola et al. 2017, arXiv 1611.07004).

    python launch.py train pix2pix/shapes
    python launch.py train pix2pix/facades
    python launch.py train pix2pix/own --data-x INPUTS --data-y TARGETS
    python launch.py figure pix2pix/table1 pix2pix/fig6 pix2pix/fig7

A U-Net translates an image. A PatchGAN sees the image beside its translation, and the L1 distance to the true
translation is added with weight 100. Dropout in the U-Net is the only noise. `pix2pix/facades256` has the paper's
networks and settings; the others have narrower networks and larger batches, which suit a CPU.
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import jax.numpy as jnp
import optax
from jax import Array

from jaxgan.core import losses
from jaxgan.core.game import NOISE_KEY, Batch, Game, Network, Phase, Player, Scalars, TrainState, input_spec
from jaxgan.data import datasets, sources
from jaxgan.data.datasets import Dataset, ImageData
from jaxgan.data.folders import find_folder
from jaxgan.data.pairs import hold_out, load_paired_folders, load_side_by_side
from jaxgan.data.shapes import load_shapes, segmentation_scores
from jaxgan.errors import UserError
from jaxgan.networks import patchgan, unet
from jaxgan.runs import translation
from jaxgan.runs.registry import CPU, register
from jaxgan.runs.translation import HeldOut, Measure, Translations, paired_errors, require_shape
from jaxgan.settings import setting
from jaxgan.training import experiment
from jaxgan.training.experiment import Experiment

PAPER = "Isola et al. 2017, arXiv 1611.07004"
SHOWS = "a conditional GAN with an L1 loss: a U-Net against a discriminator of patches"

LoadPairs = Callable[[str, int], tuple[ImageData, ImageData]]  # ("train" or "test", side) -> inputs and targets


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(experiment.Config):
    """pix2pix."""

    steps: int = 4_000
    batch_size: int = setting(16, "pairs per step, over all devices")
    log_every: int = 100
    sample_every: int = 1_000
    evaluate_every: int = 1_000
    save_every: int = 1_000
    size: int = setting(32, "side of the images in pixels, a multiple of 2 ** levels")
    levels: int = setting(5, "how many times the U-Net halves the size")
    width: int = setting(16, "channels of the U-Net at half the size, and of the discriminator's first layer")
    halvings: int = setting(
        1, "convolutions of stride 2 of the discriminator; 0 to 5 for patches of 1, 16, 34, 70, 142, 286", low=0, high=5
    )
    dropouts: int = setting(2, "decoder blocks with dropout", low=0)
    lr: float = setting(2e-4, "learning rate of both players")
    b1: float = setting(0.5, "Adam's beta1")
    l1: float = setting(100.0, "weight of the L1 distance, lambda")
    adversarial: float = setting(1.0, "weight of the adversarial loss in the generator's loss")
    conditional: bool = setting(True, "whether the discriminator sees the input image")
    flip: bool = setting(False, "mirror pairs horizontally with probability 1/2")
    jitter: int = setting(0, "pixels by which images are larger than a random crop of them", low=0)


def pix2pix(
    generator: Network,
    discriminator: Network,
    *,
    g_optimizer: optax.GradientTransformation,
    d_optimizer: optax.GradientTransformation,
    l1: float,
    adversarial: float,
    conditional: bool,
) -> Game:
    """Returns the game of Eq. 4 on batches of pairs "x" and "y".

    Args:
        generator: x to y, with example keys for dropout.
        discriminator: x and y, concatenated, to logits of patches; y alone if not `conditional`.
        g_optimizer: The generator's optimizer.
        d_optimizer: The discriminator's optimizer.
        l1: Weight of the mean absolute difference of G(x) and y.
        adversarial: Weight of the adversarial loss in the generator's loss.
        conditional: Whether the discriminator sees x.
    """

    def discriminate(state: TrainState, x: Array, y: Array) -> Array:
        images = jnp.concatenate([x, y], axis=-1) if conditional else y
        return discriminator.bind(state)(images).ravel()

    def translate(state: TrainState, batch: Batch, key: Array) -> Array:
        return generator.bind(state)(batch["x"], *generator.extra_args(batch, key))

    def d_loss(state: TrainState, batch: Batch, key: Array) -> tuple[Array, tuple[TrainState, Scalars]]:
        x, fake = batch["x"], translate(state, batch, key)
        real_logits, fake_logits = discriminate(state, x, batch["y"]), discriminate(state, x, fake)
        scalars = {"real_logits": real_logits.mean(), "fake_logits": fake_logits.mean()}
        # Section 3.3: the objective is divided by 2, which slows down D relative to G.
        return 0.5 * losses.non_saturating.d(real_logits, fake_logits), (state, scalars)

    def g_loss(state: TrainState, batch: Batch, key: Array) -> tuple[Array, tuple[TrainState, Scalars]]:
        fake = translate(state, batch, key)
        fooling_loss = losses.non_saturating.g(discriminate(state, batch["x"], fake))
        distance = losses.l1(fake, batch["y"])
        scalars = {"adversarial": fooling_loss, "l1": distance}
        return adversarial * fooling_loss + l1 * distance, (state, scalars)

    return Game(
        networks=(generator, discriminator),
        players={
            "generator": Player((generator.name,), g_optimizer),
            "discriminator": Player((discriminator.name,), d_optimizer),
        },
        phases=(Phase("d", "discriminator", d_loss), Phase("g", "generator", g_loss)),
    )


def build_on(
    load: LoadPairs, config: Config, channels: tuple[int, int], measure: Measure = paired_errors
) -> Experiment:
    """Returns the experiment on pairs of images.

    Args:
        load: Returns inputs and targets of a split, with square images of a given side.
        config: The settings.
        channels: Of inputs and of targets.
        measure: Metrics of translations.
    """
    size, (inputs, outputs) = config.size, channels
    require_multiple(config)
    keys = (NOISE_KEY,) if config.dropouts else ()
    g_module = unet.Generator(outputs, config.width, config.levels, config.dropouts)
    generator = Network("generator", g_module, (input_spec(size, size, inputs),), keys, convolutional=True)
    seen = inputs + outputs if config.conditional else outputs
    d_module = patchgan.Discriminator(config.halvings, config.width)
    discriminator = Network("discriminator", d_module, (input_spec(size, size, seen),), convolutional=True)
    adam = optax.adam(config.lr, config.b1)
    game = pix2pix(
        generator,
        discriminator,
        g_optimizer=adam,
        d_optimizer=adam,
        l1=config.l1,
        adversarial=config.adversarial,
        conditional=config.conditional,
    )

    def load_checked(split: str, side: int) -> tuple[ImageData, ImageData]:
        hint = "choose other --channels"
        x, y = load(split, side)
        return require_shape(x, (side, side, inputs), hint), require_shape(y, (side, side, outputs), hint)

    crop = size if config.jitter else None
    source = sources.paired(lambda: load_checked("train", size + config.jitter), config.batch_size, config.flip, crop)
    held_out = HeldOut(lambda: tuple(data.in_memory() for data in load_checked("test", size)), (size, size, inputs))
    targets = lambda split: load(split, size)[1]
    return translation.experiment(
        game, generator, source, held_out, multiple=2**config.levels, measure=measure, data=targets
    )


def require_multiple(config: Config) -> None:
    """Raises UserError if the U-Net cannot halve the size as often as the config asks."""
    if config.size % 2**config.levels:
        raise UserError(
            f"size {config.size} is not a multiple of 2 ** levels = {2**config.levels}; use --levels "
            f"{(config.size & -config.size).bit_length() - 1} or less"
        )


def measure_shapes(translations: Translations) -> dict[str, float]:
    """Returns `paired_errors` and the scores of the segmented outputs."""
    scores = segmentation_scores(translations.outputs, translations.truth)
    return paired_errors(translations) | scores


@register(
    "pix2pix/shapes",
    Config(),
    paper=PAPER,
    dataset="outlines of disks and squares, and coloured shapes, 32x32, generated",
    shows=SHOWS,
    task="translation",
    minutes=4,
    test_settings={"width": 4, "levels": 3},
)
def build_shapes(config: Config) -> Experiment:
    """Several colours are right for each shape, so that the L1 distance alone gives none of them."""
    return build_on(load_shapes, config, (1, 3), measure_shapes)


def load_facades(split: str, size: int) -> tuple[Dataset, Dataset]:
    """Returns label maps and photographs; the data set calls its test split "val"."""
    tfds_split = "train" if split == "train" else "val"
    load = functools.partial(datasets.load_tfds, "pix2pix_facades", tfds_split, size=size)
    return load(feature="input_image"), load(feature="target_image")


FACADES = Config(size=64, levels=6, width=24, halvings=2, dropouts=2, batch_size=4, steps=6_000, flip=True, jitter=8)
FACADES_128 = dataclasses.replace(FACADES, size=128, levels=7, width=32, halvings=3, dropouts=3, jitter=15)
# Section 6.2, and the authors' script for facades: 200 epochs of 400 pairs in batches of one.
FACADES_256 = Config(
    size=256, levels=8, width=64, halvings=3, dropouts=3, batch_size=1, steps=80_000, flip=True, jitter=30
)


def build_facades(config: Config) -> Experiment:
    """Label maps to photographs."""
    return build_on(load_facades, config, (3, 3))


for _name, _config, _hardware, _minutes in (
    ("facades", FACADES, CPU, 10),
    ("facades128", FACADES_128, CPU, None),
    ("facades256", FACADES_256, "1 GPU", None),
):
    register(
        f"pix2pix/{_name}",
        _config,
        paper=PAPER,
        dataset=f"400 label maps of facades and their photographs, {_config.size}x{_config.size}",
        shows=SHOWS,
        task="translation",
        minutes=_minutes,
        hardware=_hardware,
    )(build_facades)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnConfig(Config):
    """pix2pix on the user's pairs."""

    data_x: str = setting("pairs", "folder of inputs, or of files with input and target side by side, or a TFDS name")
    data_y: str = setting("", "folder of targets with the same names, or empty for files side by side")
    direction: Literal["AtoB", "BtoA"] = setting("AtoB", "for files side by side: whether A, on the left, is the input")
    channels_x: Literal[1, 3] = setting(3, "channels of the inputs, 1 (grey) or 3 (RGB)")
    channels_y: Literal[1, 3] = setting(3, "channels of the targets, 1 (grey) or 3 (RGB)")


OWN = OwnConfig(**dataclasses.asdict(FACADES))


@register(
    "pix2pix/own",
    OWN,
    paper=PAPER,
    dataset="your pairs: two folders with equal names, files with both halves, or pix2pix data of TFDS",
    shows=SHOWS,
    task="translation",
    minutes=None,
)
def build_own(config: OwnConfig) -> Experiment:
    """Every tenth pair is held out."""
    channels = config.channels_x, config.channels_y

    def load(split: str, side: int) -> tuple[ImageData, ImageData]:
        x = find_folder(config.data_x)
        if config.data_y:
            pair = load_paired_folders(Path(config.data_x), Path(config.data_y), side, channels)
        elif x is not None:
            pair = load_side_by_side(x, side, config.direction, channels)
        else:
            features = ("input_image", "target_image")[:: 1 if config.direction == "AtoB" else -1]
            pair = tuple(datasets.load_or_open_tfds(config.data_x, size=side, feature=feature) for feature in features)
        return hold_out(pair[0], split), hold_out(pair[1], split)

    return build_on(load, config, channels)
