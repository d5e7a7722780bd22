"""Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network (Ledig et al. 2017, 1609.04802).

    python launch.py train srgan/cifar10
    python launch.py train srgan/own --data FOLDER
    python launch.py figure srgan/fig2

The generator, SRResNet, is trained on the squared error of pixels first, and then against a discriminator and on the
squared error of features. Differences from the paper:
- Features are those of the last convolution of a small classifier of CIFAR-10, for all data, and not VGG's.
- Low-resolution images are scaled to [-1, 1] and not to [0, 1], which the first convolution makes up for.
- Adam's state is kept between the two stages.
`srgan/own` has the paper's networks, crops and settings, with fewer steps of pretraining; `srgan/cifar10` enlarges 8x8
pixels to 32x32 with narrower networks, which suit a CPU.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxgan.core import losses
from jaxgan.core.game import Batch, Game, Loss, Network, Params, Phase, Player, Scalars, TrainState, input_spec
from jaxgan.core.losses import AdversarialLoss
from jaxgan.data import datasets, sources
from jaxgan.data.datasets import Dataset, ImageData
from jaxgan.data.folders import find_folder, load_folder
from jaxgan.data.pairs import hold_out
from jaxgan.data.resolution import enlarge, low_high_resolution
from jaxgan.evaluate import classifier, paired
from jaxgan.evaluate.super_resolution import EVALUATOR, FACTOR, fidelity, inner_luma
from jaxgan.networks import srgan
from jaxgan.runs import translation
from jaxgan.runs.registry import CPU, register
from jaxgan.runs.translation import HeldOut, Translations, require_shape
from jaxgan.settings import setting
from jaxgan.training import experiment
from jaxgan.training.experiment import Experiment
from jaxgan.training.sampling import chunk_size

PAPER = "Ledig et al. 2017, arXiv 1609.04802"
SHOWS = "super-resolution by 4: pixels first, then features and a discriminator"
FEATURE_LAYERS = 3  # convolutions of the classifier of 32 x 32 pixels

PixelLoss = Callable[[Array, Array], Array]
ContentLoss = Callable[[Sequence[Array], Sequence[Array]], Array]  # feature maps of two sets of images -> scalar


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(experiment.Config):
    """SRGAN."""

    steps: int = 3_000
    batch_size: int = setting(16, "images per step, over all devices")
    log_every: int = 100
    sample_every: int = 500
    evaluate_every: int = 500
    save_every: int = 500
    pretrain: int = setting(2_000, "steps of the generator on pixels alone, before the discriminator joins")
    size: int = setting(32, "side in pixels of the large images that are trained on, a multiple of 16")
    width: int = setting(32, "channels of the generator, and of the discriminator's first layers")
    blocks: int = setting(4, "residual blocks of the generator")
    stages: int = setting(3, "halvings of the discriminator")
    units: int = setting(128, "units of the discriminator's hidden dense layer")
    lr: float = setting(1e-4, "learning rate of both players")
    decay: int = setting(500, "adversarial steps after which the learning rate falls, once")
    pixels: float = setting(0.0, "weight of the pixel loss in the adversarial stage")
    content: float = setting(1.0, "weight of the content loss, on features")
    adversarial: float = setting(1e-3, "weight of the generator's adversarial loss")
    flip: bool = setting(True, "mirror images horizontally with probability 1/2")


def super_resolution(
    generator: Network,
    discriminator: Network,
    features: Network,
    *,
    optimizers: tuple[optax.GradientTransformation, optax.GradientTransformation],
    loss: AdversarialLoss,
    pixel_loss: PixelLoss,
    content_loss: ContentLoss,
    weights: tuple[float, float, float],
    pretrain: int,
) -> Game:
    """Returns the game on pairs of small images "x" and large images "y".

    Args:
        generator: x to y.
        discriminator: Large images to logits.
        features: Large images to feature maps. It belongs to no player.
        optimizers: Of the generator and of the discriminator.
        loss: The adversarial loss.
        pixel_loss: Distance of images, minimised alone at first.
        content_loss: Distance of feature maps.
        weights: Of pixel loss, content loss and adversarial loss after pretraining.
        pretrain: Steps on the pixel loss alone.
    """
    pixel_weight, content_weight, adversarial_weight = weights

    def d_loss(state: TrainState, batch: Batch, key: Array) -> tuple[Array, tuple[TrainState, Scalars]]:
        fake = generator.bind(state)(batch["x"])
        real_logits, state = discriminator(state, batch["y"])
        fake_logits, state = discriminator(state, fake)
        scalars = {"real_logits": real_logits.mean(), "fake_logits": fake_logits.mean()}
        return loss.d(real_logits, fake_logits), (state, scalars)

    def g_loss(state: TrainState, batch: Batch, key: Array) -> tuple[Array, tuple[TrainState, Scalars]]:
        real = batch["y"]
        fake, state = generator(state, batch["x"])
        D, maps = discriminator.bind(state), features.bind(state, train=False)
        scalars = {
            "pixels": pixel_loss(fake, real),
            "content": content_loss(maps(fake), maps(real)),
            "adversarial": loss.generator_loss(D(real), D(fake)),
        }
        total = pixel_weight * scalars["pixels"] + content_weight * scalars["content"]
        return total + adversarial_weight * scalars["adversarial"], (state, scalars)

    g_optimizer, d_optimizer = optimizers
    return Game(
        networks=(generator, discriminator, features),
        players={
            "generator": Player((generator.name,), g_optimizer),
            "discriminator": Player((discriminator.name,), d_optimizer),
        },
        phases=(
            Phase("pretrain", "generator", pretraining_loss(generator, pixel_loss), stop=pretrain),
            Phase("d", "discriminator", d_loss, start=pretrain),
            Phase("g", "generator", g_loss, start=pretrain),
        ),
    )


def pretraining_loss(generator: Network, pixel_loss: PixelLoss) -> Loss:
    """Returns the loss of the generator on pixels alone."""

    def loss(state: TrainState, batch: Batch, key: Array) -> tuple[Array, tuple[TrainState, Scalars]]:
        fake, state = generator(state, batch["x"])
        return pixel_loss(fake, batch["y"]), (state, {})

    return loss


def activated_distance(fake: Sequence[Array], real: Sequence[Array]) -> Array:
    """Returns the mean squared difference of the last feature map after its activation (Eq. 5)."""
    return losses.l2(nn.relu(fake[-1]), nn.relu(real[-1]))


def feature_network(size: int, channels: int) -> Network:
    """Returns the convolutions of the classifier of CIFAR-10 as a network that belongs to no player."""

    @functools.cache
    def load() -> Params:
        train, test = (datasets.load_tfds("cifar10", split) for split in ("train", "test"))
        params = classifier.train_classifier(train, test, classifier.RECIPE).variables["params"]
        return {name: params[name] for name in params if name.startswith("Conv")}

    module = classifier.FeatureMaps(classifier.RECIPE, FEATURE_LAYERS)
    return Network("features", module, (input_spec(size, size, channels),), convolutional=True, pretrained=load)


LoadImages = Callable[[Any, str], ImageData]  # (config, "train" or "test") -> large images


def build_super_resolution(
    load: LoadImages,
    config: Config,
    generator: nn.Module,
    loss: AdversarialLoss,
    pixel_loss: PixelLoss,
    content_loss: ContentLoss,
    optimizers: tuple[optax.GradientTransformation, optax.GradientTransformation],
) -> Experiment:
    """Returns the experiment on large images of three channels, which are reduced by Pillow's bicubic filter.

    Args:
        load: Returns the images of "train" and "test". Those for training are cropped to `config.size`.
        config: The settings.
        generator: Small images to images that are `FACTOR` times as large.
        loss: The adversarial loss.
        pixel_loss: Minimised alone at first.
        content_loss: Distance of the classifier's feature maps.
        optimizers: Of generator and discriminator.
    """
    size, small = config.size, config.size // FACTOR
    network = functools.partial(Network, convolutional=True)
    features = feature_network(size, 3)
    d_module = srgan.Discriminator(config.width, config.stages, config.units)
    game = super_resolution(
        network("generator", generator, (input_spec(small, small, 3),)),
        network("discriminator", d_module, (input_spec(size, size, 3),)),
        features,
        optimizers=optimizers,
        loss=loss,
        pixel_loss=pixel_loss,
        content_loss=content_loss,
        weights=(config.pixels, config.content, config.adversarial),
        pretrain=config.pretrain,
    )

    def load_pair(split: str) -> tuple[ImageData, ImageData]:
        large = load(config, split)
        return low_high_resolution(require_shape(large, (*large.shape[:2], 3), "use colour images"), FACTOR)

    source = sources.paired(lambda: load_pair("train"), config.batch_size, config.flip, crop=small)
    held_out = HeldOut(lambda: tuple(data.in_memory() for data in load_pair("test")), (small, small, 3))
    return translation.experiment(
        game,
        game.networks[0],
        source,
        held_out,
        measure=functools.partial(measure, features),
        evaluator=EVALUATOR,
        data=functools.partial(load, config),
        preview=lambda t: [t.inputs, enlarge(t.inputs, FACTOR), t.outputs, t.truth],
    )


def measure(features: Network, translations: Translations) -> dict[str, float]:
    """Returns metrics of the outputs, and with the prefix `bicubic_` those of bicubic enlargement.

    These are PSNR, SSIM, `sharpness`, which is the mean square of the differences of adjacent pixels relative to that
    of the truth, and `classifier_distance`, the squared distance of the classifier's last feature maps to those of the
    truth, relative to their squared norm. The latter is no published perceptual measure: the training minimises it.
    """
    params = translations.state.params[features.name]
    maps = lambda images: last_feature_maps(features.module, params, images)
    energy = lambda images: paired.high_frequency_energy(inner_luma(images))
    truth, values = translations.truth, {}
    true_maps = maps(truth)
    for prefix, images in (("", translations.outputs), ("bicubic_", enlarge(translations.inputs, FACTOR))):
        scores = fidelity(images, truth) | {"sharpness": energy(images) / energy(truth)}
        scores["classifier_distance"] = float(np.sum((maps(images) - true_maps) ** 2) / np.sum(true_maps**2))
        values |= {f"{prefix}{name}": value for name, value in scores.items()}
    return values


def last_feature_maps(module: nn.Module, params: Params, images: np.ndarray) -> np.ndarray:
    """Returns the last feature maps, after the activation, of images uint8 [N, H, W, C], float32."""
    n = chunk_size(images.shape[1:])
    chunks = [_last_feature_maps(module, params, images[start : start + n]) for start in range(0, len(images), n)]
    return np.concatenate(jax.device_get(chunks))


@functools.partial(jax.jit, static_argnums=0)
def _last_feature_maps(module: nn.Module, params: Params, images: Array) -> Array:
    return nn.relu(module.apply({"params": params}, images.astype(jnp.float32) / 127.5 - 1.0)[-1])


def adam_pair(config: Config) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """Returns Adam for both players; the rate falls to a tenth after `config.decay` adversarial steps."""
    rate = lambda step: optax.piecewise_constant_schedule(config.lr, {step: 0.1})
    return optax.adam(rate(config.pretrain + config.decay)), optax.adam(rate(config.decay))


def load_cifar10(config: Config, split: str) -> Dataset:
    """Returns the training images, or the first 1,000 test images, of CIFAR-10."""
    return datasets.load_tfds("cifar10", "train" if split == "train" else "test[:1000]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnConfig(Config):
    """SRGAN on the user's photographs."""

    data: str = setting("photographs", "a folder of images, or the name of a TFDS data set")
    image_size: int = setting(256, "side in pixels that images are resized to, before they are cropped to `size`")


def load_own(config: OwnConfig, split: str) -> ImageData:
    """Returns the user's images for training, or every tenth of them."""
    if folder := find_folder(config.data):
        return hold_out(load_folder(folder, config.image_size)[0], split)
    return hold_out(datasets.open_tfds(config.data, size=config.image_size), split)


Build = Callable[[LoadImages, Any], Experiment]


def register_on(
    method: str,
    cifar10: Config,
    own: OwnConfig,
    *,
    paper: str,
    shows: str,
    minutes: float | None = None,
    test_settings: Mapping[str, Any] | None = None,
) -> Callable[[Build], Build]:
    """Returns a decorator that registers `build(load, config)` as METHOD/cifar10, and as METHOD/own with `own`.

    `minutes` are those of METHOD/cifar10.
    """
    own_data = f"your photographs, {own.size // FACTOR}x{own.size // FACTOR} to {own.size}x{own.size}"
    experiments = (
        ("cifar10", cifar10, load_cifar10, "50,000 colour images, 8x8 to 32x32", minutes, CPU),
        ("own", own, load_own, own_data, None, "1 GPU"),
    )

    def add(build: Build) -> Build:
        for name, config, load, dataset, expected, hardware in experiments:
            register(
                f"{method}/{name}",
                config,
                paper=paper,
                dataset=dataset,
                shows=shows,
                task="translation",
                minutes=expected,
                hardware=hardware,
                test_settings=test_settings,
            )(functools.partial(build, load))
        return build

    return add


# Sections 3.2 and 3.3, with 10^5 instead of 10^6 steps of pretraining.
OWN = OwnConfig(
    size=96,
    width=64,
    blocks=16,
    stages=4,
    units=1024,
    steps=300_000,
    pretrain=100_000,
    decay=100_000,
    content=0.006,
    batch_size=16,
)


@register_on(
    "srgan",
    Config(),
    OWN,
    paper=PAPER,
    shows=SHOWS,
    test_settings={"width": 4, "blocks": 1, "units": 8, "pretrain": 1},
)
def build(load: LoadImages, config: Config) -> Experiment:
    """Returns SRGAN on large images of three channels."""
    generator = srgan.Generator(3, config.width, config.blocks)
    optimizers = adam_pair(config)
    return build_super_resolution(
        load, config, generator, losses.non_saturating, losses.l2, activated_distance, optimizers
    )
