"""Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks (Zhu et al. 2017, arXiv 1703.10593).

    python launch.py train cyclegan/plane
    python launch.py train cyclegan/mnist_inverted
    python launch.py train cyclegan/own --data-x FOLDER --data-y FOLDER
    python launch.py figure cyclegan/toy cyclegan/table5

Two generators, two discriminators, the least-squares loss, and a pool of earlier fakes for each discriminator: a game
of four networks, two players and two buffers. `cyclegan/plane` translates points of the plane from a Gaussian cloud X
to two bars Y. `cyclegan/horse2zebra` has the paper's networks and settings; the other image experiments have narrower
networks and larger batches, which suit a CPU.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxgan.core import image_pool, losses
from jaxgan.core.game import Batch, Game, Network, Phase, Player, Scalars, TrainState, input_spec
from jaxgan.data import datasets, sources
from jaxgan.data.datasets import Dataset, ImageData
from jaxgan.data.folders import find_folder, load_folder
from jaxgan.data.pairs import hold_out
from jaxgan.data.synthetic import Density
from jaxgan.errors import UserError
from jaxgan.evaluate import classifier
from jaxgan.evaluate.classifier import FeatureClassifier
from jaxgan.evaluate.kernel import mmd
from jaxgan.evaluate.paired import mean_absolute_error
from jaxgan.networks import mlp, patchgan, resnet_translator
from jaxgan.runs import targets, translation
from jaxgan.runs.registry import CPU, register
from jaxgan.runs.translation import HeldOut, Translations, require_shape
from jaxgan.settings import setting
from jaxgan.training import experiment
from jaxgan.training.experiment import Experiment
from jaxgan.training.sampling import make_translator

PAPER = "Zhu et al. 2017, arXiv 1703.10593"
SHOWS = "translation without pairs: four networks, two players and pools of fakes in one game"
CLOUD_STD = 0.5
MMD_STD = CLOUD_STD  # standard deviation of the Gaussian kernel by which sets of points are compared


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(experiment.Config):
    """CycleGAN on points of the plane."""

    steps: int = setting(30_000, "training steps; a step updates the generators once, then the discriminators once")
    batch_size: int = setting(128, "points per step from each domain, over all devices")
    width: int = setting(64, "units of a hidden layer")
    lr: float = setting(1e-3, "initial learning rate of both players")
    hold: int = setting(15_000, "steps at the initial learning rate")
    decay: int = setting(15_000, "steps after that in which the learning rate falls linearly to 0")
    b1: float = setting(0.5, "Adam's beta1")
    adversarial: float = setting(1.0, "weight of the adversarial losses")
    cycle: float = setting(10.0, "weight of the cycle-consistency losses, lambda")
    pool: int = setting(256, "earlier fakes that are kept for each discriminator")


def cycle_gan(
    generators: tuple[Network, Network],
    discriminators: tuple[Network, Network],
    *,
    g_optimizer: optax.GradientTransformation,
    d_optimizer: optax.GradientTransformation,
    adversarial: float,
    cycle: float,
    pools: Mapping[str, Any],
    backward_cycle: float | None = None,
    identity: float = 0.0,
) -> Game:
    """Returns the game of Eq. 3 on batches of unpaired examples "x" and "y".

    Args:
        generators: G: X -> Y and F: Y -> X.
        discriminators: That of Y, then that of X.
        g_optimizer: The optimizer of both generators.
        d_optimizer: The optimizer of both discriminators.
        adversarial: Weight of the adversarial losses in the generators' loss.
        cycle: Weight of the cycle-consistency losses.
        pools: An empty `image_pool` for each discriminator, by its name.
        backward_cycle: Weight of |G(F(y)) - y|, if it is another than that of |F(G(x)) - x|.
        identity: Weight of |G(y) - y| + |F(x) - x| (section 5.2), for domains with equal numbers of channels.
    """
    backward_cycle = cycle if backward_cycle is None else backward_cycle
    G, F = generators
    D_y, D_x = discriminators

    def g_loss(state: TrainState, batch: Batch, key: Array) -> tuple[Array, tuple[TrainState, Scalars]]:
        x, y = batch["x"], batch["y"]
        forward, backward = G.bind(state), F.bind(state)
        fake_y, fake_x = forward(x), backward(y)
        # As in the authors' code, the generators' squares are not halved; those of the discriminators are.
        fooling_loss = lambda D, fake: losses.least_squares.g(D.bind(state)(fake))
        adversarial_loss = 2.0 * (fooling_loss(D_y, fake_y) + fooling_loss(D_x, fake_x))
        cycle_x, cycle_y = losses.l1(backward(fake_y), x), losses.l1(forward(fake_x), y)
        total = adversarial * adversarial_loss + cycle * cycle_x + backward_cycle * cycle_y
        scalars = {"adversarial": adversarial_loss, "cycle": cycle_x + cycle_y}
        if identity:
            scalars["identity"] = losses.l1(forward(y), y) + losses.l1(backward(x), x)
            total += identity * scalars["identity"]
        return total, (state, scalars)

    def d_loss(state: TrainState, batch: Batch, key: Array) -> tuple[Array, tuple[TrainState, Scalars]]:
        total = jnp.zeros([])
        for n, (D, real, generator, source) in enumerate(((D_y, "y", G, "x"), (D_x, "x", F, "y"))):
            fake = generator.bind(state)(batch[source])
            pool = f"{D.name}_pool"
            shown, updated_pool = image_pool.query(state.buffers[pool], fake, jax.random.fold_in(key, n))
            critic = D.bind(state)
            total += losses.least_squares.d(critic(batch[real]), critic(shown))
            state = state.with_buffers(**{pool: updated_pool})
        return total, (state, {})

    return Game(
        networks=(G, F, D_y, D_x),
        players={
            "generators": Player((G.name, F.name), g_optimizer),
            "discriminators": Player((D_y.name, D_x.name), d_optimizer),
        },
        phases=(Phase("g", "generators", g_loss), Phase("d", "discriminators", d_loss)),
        buffers={f"{name}_pool": pool for name, pool in pools.items()},
    )


def cloud(key: Array) -> Array:
    """Draws a point [2] of X, a Gaussian of standard deviation 1/2 about the origin."""
    return CLOUD_STD * jax.random.normal(key, [2])


def bars(key: Array) -> Array:
    """Draws a point [2] of Y, two vertical bars of length 2 at -1 and 1 on the first axis."""
    side, along, across = jax.random.split(key, 3)
    center = 2.0 * jax.random.bernoulli(side).astype(jnp.float32) - 1.0
    return jnp.stack([center + 0.05 * jax.random.normal(across), jax.random.uniform(along, minval=-1.0)])


def sample_points(sample: Callable[[Array], Array], n: int, seed: int) -> np.ndarray:
    """Draws n points [n, 2] with `sample`, such as `cloud` or `bars`."""
    return np.asarray(jax.vmap(sample)(jax.random.split(jax.random.key(seed), n)))


@functools.cache
def evaluation_points() -> np.ndarray:
    """Returns the 2,000 points of Y that samples are compared with."""
    return sample_points(bars, 20_000, seed=0)[:2_000]


TARGET = targets.density(
    Density(bars, std=0.05, modes=np.float32([[-1.0, 0.0], [1.0, 0.0]]), num_modes=2),
    evaluate=lambda samples: {"mmd": mmd(samples[:2_000], evaluation_points(), MMD_STD)},
)


@register(
    "cyclegan/plane",
    Config(),
    paper=PAPER,
    dataset="a Gaussian cloud and two bars in the plane",
    shows=SHOWS,
    task="translation",
    minutes=1,
)
def build(config: Config) -> Experiment:
    """Samples are translations of points of X to Y."""
    generator = mlp.Generator((2,), config.width, depth=2)
    critic = mlp.Critic(config.width, depth=2)
    generators = tuple(Network(name, generator, (input_spec(2),)) for name in ("forward", "backward"))
    discriminators = tuple(Network(name, critic, (input_spec(2),)) for name in ("critic_y", "critic_x"))
    adam = optax.adam(optax.linear_schedule(config.lr, 0.0, config.decay, config.hold), config.b1)
    game = cycle_gan(
        generators,
        discriminators,
        g_optimizer=adam,
        d_optimizer=adam,
        adversarial=config.adversarial,
        cycle=config.cycle,
        pools={network.name: image_pool.empty(config.pool, 2) for network in discriminators},
    )
    source = sources.unpaired(sources.density(cloud), sources.density(bars))
    return TARGET.experiment(game, generators[0], jax.vmap(cloud), source)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageConfig(experiment.Config):
    """CycleGAN on images."""

    steps: int = setting(2_000, "training steps; a step updates the generators once, then the discriminators once")
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
    lr: float = setting(2e-4, "initial learning rate of both players")
    hold: int = setting(1_000, "steps at the initial learning rate", low=0)
    decay: int = setting(1_000, "steps after that in which the learning rate falls linearly to 0")
    b1: float = setting(0.5, "Adam's beta1")
    adversarial: float = setting(1.0, "weight of the adversarial losses")
    cycle: float = setting(10.0, "weight of the forward cycle loss |F(G(x)) - x|, lambda")
    backward_cycle: float = setting(10.0, "weight of the backward cycle loss |G(F(y)) - y|, lambda")
    identity: float = setting(0.0, "weight of the identity losses |G(y) - y| and |F(x) - x|")
    pool: int = setting(50, "earlier fakes that are kept for each discriminator")
    flip: bool = setting(False, "mirror images horizontally with probability 1/2")
    jitter: int = setting(0, "pixels by which images are larger than a random crop of them", low=0)


Translate = Callable[[np.ndarray], np.ndarray]  # images uint8 -> images uint8
Truth = Callable[[Dataset], Dataset | None]  # images -> their true translations, or None
LoadDomain = Callable[[str, int], ImageData]  # ("train" or "test", side) -> images


def build_on_images(
    domains: tuple[LoadDomain, LoadDomain],
    config: ImageConfig,
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
    shape = (config.size, config.size, channels)
    if config.size % 4:
        raise UserError(f"size {config.size} must be a multiple of 4; use {config.size - config.size % 4 + 4}")
    if config.batch_size > config.pool:
        raise UserError(
            f"batch_size {config.batch_size} does not fit pool {config.pool}; use --pool {config.batch_size}"
        )
    generator = resnet_translator.Generator(channels, config.width, blocks=config.blocks)
    critic = patchgan.Discriminator(config.halvings, config.width, affine=False)
    network = functools.partial(Network, inputs=(input_spec(*shape),), convolutional=True)
    generators = tuple(network(name, generator) for name in ("forward", "backward"))
    discriminators = tuple(network(name, critic) for name in ("critic_y", "critic_x"))
    adam = optax.adam(optax.linear_schedule(config.lr, 0.0, config.decay, config.hold), config.b1)
    game = cycle_gan(
        generators,
        discriminators,
        g_optimizer=adam,
        d_optimizer=adam,
        adversarial=config.adversarial,
        cycle=config.cycle,
        backward_cycle=config.backward_cycle,
        identity=config.identity,
        pools={network.name: image_pool.empty(config.pool, *shape) for network in discriminators},
    )

    def load(n: int, split: str, side: int = config.size) -> ImageData:
        return require_shape(domains[n](split, side), (side, side, channels), "choose other --size or --channels")

    def images(n: int) -> sources.Source:
        load_larger = functools.partial(load, n, "train", config.size + config.jitter)
        crop = config.size if config.jitter else None
        return sources.images(load_larger, config.batch_size, config.flip, crop=crop)

    source = sources.unpaired(images(0), images(1))

    def held_out(n: int) -> HeldOut:
        def load_test() -> tuple[Dataset, Dataset | None]:
            data = load(n, "test").in_memory()
            return data, truth(data)

        return HeldOut(load_test, shape)

    make = functools.partial(translation.experiment, game, source=source, multiple=4)
    backward = make(
        generators[1], held_out=held_out(1), measure=lambda translations: {}, data=functools.partial(load, 0)
    )

    def measure_both(translations: Translations) -> Mapping[str, float]:
        translate = make_translator(backward)
        back = lambda images: translate(translations.state, images, 0)
        cycle = mean_absolute_error(back(translations.outputs), translations.inputs).mean()
        return {"cycle": float(cycle), **measure(translations, back)}

    forward = make(
        generators[0],
        held_out=held_out(0),
        measure=measure_both,
        evaluator="translations of held-out images",
        data=functools.partial(load, 1),
    )
    return dataclasses.replace(forward, backward=backward)


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

    The classifier of MNIST judges, for inverted digits on their negatives.
    """
    judge, negatives = digit_classifier(), 255 - translations.inputs
    kept = lambda digits: float(np.mean(judge.predict(digits) == translations.labels))
    return {
        "class_kept": kept(255 - translations.outputs),
        "class_kept_backward": kept(backward(negatives)),
        **translation.paired_errors(translations),
    }


@register(
    "cyclegan/mnist_inverted",
    ImageConfig(),
    paper=PAPER,
    dataset="half of the digits of MNIST and the negatives of the other half, 28x28",
    shows=SHOWS,
    task="translation",
    minutes=None,
    test_settings={"width": 4, "blocks": 1},
)
def build_inverted(config: ImageConfig) -> Experiment:
    """No digit is in both domains. The evaluation has the true translation, the negative."""
    halves = lambda first, second: lambda split, side: load_digits(first if split == "train" else second)
    x = halves("train[:30000]", "test[:5000]")
    y = halves("train[30000:]", "test[5000:]")
    return build_on_images((x, lambda split, side: invert(y(split, side))), config, 1, measure_digits, invert)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnConfig(ImageConfig):
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
    return build_on_images(domains, config, config.channels, lambda translations, backward: {})


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
