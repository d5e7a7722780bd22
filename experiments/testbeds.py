"""The data sets that experiments are tried on, each with networks of a suitable size.

A paper's file states its loss, optimizers and settings once and registers them as `method/testbed` on several testbeds.
"""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
import optax

from jaxgan.core import ada, augment, optim, prng
from jaxgan.core.augment import Augmentation
from jaxgan.core.games import Latent
from jaxgan.core.losses import AdversarialLoss
from jaxgan.data import datasets, sources, synthetic
from jaxgan.data.digits import digits
from jaxgan.data.folders import MAX_SIZE, find_folder, load_folder
from jaxgan.data.sources import Source
from jaxgan.errors import UserError
from jaxgan.evaluate.digits_svm import class_balance
from jaxgan.networks import dcgan, mlp, resnet
from jaxgan.runs import registry, targets
from jaxgan.runs.targets import Target
from jaxgan.training import experiment
from jaxgan.training.experiment import Experiment, setting

Networks = tuple[nn.Module, nn.Module]  # generator, discriminator


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(experiment.Config):
    """Settings of experiments on the small testbeds."""

    latent: int = setting(2, "dimensions of z")
    width: int = setting(128, "units of a hidden layer, or channels at the largest resolution")
    ema_half_life: float = setting(20_000.0, "half-life of the averaged generator, in images; 0 keeps no average")
    g_lr: float = setting(1e-3, "learning rate of the generator")
    d_lr: float = setting(1e-3, "learning rate of the discriminator")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageConfig(Config):
    """Settings of experiments on sets of images."""

    latent: int = 128
    width: int = setting(64, "channels at half the image size")
    flip: bool = setting(False, "mirror images horizontally with probability 1/2")
    dequantise: bool = setting(False, "add uniform noise of one grey level")
    augment: Literal["none", "diffaug", "ada"] = setting("none", "augmentation of what the discriminator sees")
    bfloat16: bool = setting(False, "compute in bfloat16; parameters stay float32")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnImages(ImageConfig):
    """Settings of experiments on a user's images."""

    data: str = setting("cifar10", "a folder of images, or the name of a TFDS data set")
    size: int = setting(32, "side of the square that images are cropped and resized to, in pixels", high=MAX_SIZE)
    channels: Literal[1, 3] = setting(3, "channels of the images")


DIFFAUG = augment.always(augment.compose(augment.colour, augment.translation, augment.cutout))


def augmentation(config: ImageConfig) -> Augmentation | None:
    """Returns the augmentation that the config asks for. Raises UserError for an unknown one."""
    makers = {"none": lambda: None, "diffaug": lambda: DIFFAUG, "ada": lambda: ada.adaptive(config.batch_size)}
    if config.augment not in makers:
        raise UserError(f"unknown augmentation {config.augment!r}; use {', '.join(makers)}")
    return makers[config.augment]()


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Testbed:
    """A target with default networks and settings.

    Attributes:
        name: The second part of `method/testbed`.
        dataset: The data in a few words.
        target: The data, and how samples are shown and measured.
        networks: (config, batch_norm) -> generator and discriminator, with or without batch norm in the latter.
        defaults: Settings that differ from the config's defaults.
        task: The heading in `list`.
        minutes: Typical training time on `hardware`.
        hardware: What `minutes` refers to.
        convolutional: Whether the networks contain convolutions.
    """

    name: str
    dataset: str
    target: Target
    defaults: Mapping[str, Any]
    networks: Callable[[Config, bool], Networks] | None = None
    task: str = "images"
    minutes: float | None = 1
    hardware: str = registry.CPU
    convolutional: bool = False

    def default_networks(self, config: Config, batch_norm: bool) -> Networks:
        """Returns the testbed's own generator and discriminator."""
        return self.networks(config, batch_norm)

    def two_player(
        self,
        config: Config,
        loss: AdversarialLoss,
        g_optimizer: optax.GradientTransformation,
        d_optimizer: optax.GradientTransformation,
        *,
        networks: Networks | None = None,
        batch_norm: bool = False,
        latent: Latent | None = None,
        **options: Any,
    ) -> Experiment:
        """Returns the experiment of a loss on this testbed.

        Args:
            config: The settings.
            loss: What the players minimise.
            g_optimizer: The generator's optimizer.
            d_optimizer: The discriminator's optimizer.
            networks: Generator and discriminator; the testbed's own by default.
            batch_norm: Whether the testbed's own convolutional discriminator has batch norm.
            latent: Draws z from example keys; N(0, 1) by default.
            **options: Arguments of `Target.two_player` and `games.two_player`.
        """
        generator, discriminator = networks or self.default_networks(config, batch_norm)
        ema = optim.ema_decay(config.ema_half_life, config.batch_size) if config.ema_half_life else None
        return self.target.two_player(
            config,
            generator,
            discriminator,
            loss,
            latent or prng.normal_latent(config.latent),
            g_optimizer=g_optimizer,
            d_optimizer=d_optimizer,
            convolutional=self.convolutional,
            **{"ema": ema, **options},
        )


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ImageSet(Testbed):
    """Labelled images with convolutional networks; `base` is the side of the smallest feature map in pixels."""

    base: int
    convolutional: bool = True

    @property
    def classes(self) -> int:
        """The number of classes."""
        return self.target.classes

    def default_networks(self, config: Config, batch_norm: bool) -> Networks:
        """Returns DCGAN's networks."""
        return self.dcgan(config, batch_norm)

    def dcgan(self, config: Config, batch_norm: bool = True, classes: int = 0) -> Networks:
        """Returns DCGAN's generator and discriminator, the latter with or without batch norm."""
        size, _, channels = self.target.shape
        return (
            dcgan.Generator(size, channels, config.width, self.base, classes=classes),
            dcgan.Discriminator(config.width, self.base, batch_norm, classes=classes),
        )

    def with_head(self, config: Config, head: nn.Module | None = None, classes: int = 0, spectral: int = 1) -> Networks:
        """Returns a generator, and a discriminator without batch norm that ends in `head`, if there is one.

        With `classes` > 0 the generator receives labels. `spectral` is the number of power iterations of spectral norm
        in the discriminator; with 0 it has none.
        """
        size, _, channels = self.target.shape
        return (
            dcgan.Generator(size, channels, config.width, self.base, classes=classes),
            dcgan.Discriminator(config.width, self.base, norm=False, spectral=spectral, head=head),
        )

    def resnets(self, config: Config, **options: Any) -> Networks:
        """Returns SN-GAN's residual networks, the generator twice as wide; `options` go to both."""
        size, _, channels = self.target.shape
        g_width = 2 * config.width
        g_widths = (g_width,) * dcgan.num_halvings(size, self.base)
        return (
            resnet.Generator(channels, g_widths, g_width, self.base, **options),
            resnet.Critic((config.width,) * 4, **options),
        )

    def source(self, config: ImageConfig, split: str = "train") -> Source:
        """Returns batches of the images, flipped and dequantised as the config says."""
        return self.target.source(config.batch_size, split=split, flip=config.flip, dequantise=config.dequantise)

    def two_player(
        self,
        config: ImageConfig,
        loss: AdversarialLoss,
        g_optimizer: optax.GradientTransformation,
        d_optimizer: optax.GradientTransformation,
        **options: Any,
    ) -> Experiment:
        """Returns the experiment of a loss on these images, see `Testbed.two_player`."""
        image_options = {
            "source": self.source(config),
            "augment": augmentation(config),
            "dtype": compute_dtype(config),
        }
        return super().two_player(config, loss, g_optimizer, d_optimizer, **image_options | options)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class DenseImageSet(ImageSet):
    """Labelled images with fully connected networks of two hidden layers."""

    convolutional: bool = False

    def default_networks(self, config: Config, batch_norm: bool) -> Networks:
        """Returns networks without batch norm."""
        return self.with_head(config, spectral=0)

    def with_head(self, config: Config, head: nn.Module | None = None, classes: int = 0, spectral: int = 1) -> Networks:
        """Returns a generator and a discriminator, see `ImageSet.with_head`."""
        generator = mlp.Generator(self.target.shape, config.width, depth=2, out=jnp.tanh, classes=classes)
        return generator, mlp.Critic(config.width, depth=2, spectral=spectral, head=head)


def compute_dtype(config: ImageConfig) -> Any:
    """Returns the `Network.dtype` that the config asks for."""
    return jnp.bfloat16 if config.bfloat16 else None


def image_set(
    name: str,
    dataset: str,
    load_split: Callable[[str], datasets.ImageData],
    shape: tuple[int, int, int],
    base: int,
    *,
    classes: int = 10,
    metrics: tuple[str, ...] = ("fd", "prdc", "balance"),
    transform: Callable[[Source], Source] = lambda source: source,
    **fields: Any,
) -> ImageSet:
    """Returns an `ImageSet`; `fields` are its further attributes."""
    target = targets.images(load_split, shape, classes=classes, metrics=metrics, transform=transform)
    return ImageSet(name=name, dataset=dataset, target=target, base=base, **fields)


def plane(name: str, density: synthetic.Density, dataset: str, **defaults: Any) -> Testbed:
    """Returns the testbed of a density in the plane, with networks of two hidden layers."""
    networks = lambda config, _: (mlp.Generator((2,), config.width, depth=2), mlp.Critic(config.width, depth=2))
    target = targets.density(density)
    return Testbed(name=name, dataset=dataset, target=target, networks=networks, defaults=defaults, task="2-D")


RING = plane("ring", synthetic.ring(), "8 Gaussians on a ring")
GRID = plane("grid", synthetic.grid(), "25 Gaussians on a grid")
SWISS_ROLL = plane("swiss_roll", synthetic.swiss_roll(), "Swiss roll in the plane")
SMALL_DIGITS = targets.images(lambda split: digits(), (8, 8, 1), classes=10, evaluate=class_balance)
DIGITS_MLP = Testbed(
    name="digits",
    dataset="1,797 handwritten digits, 8x8",
    target=SMALL_DIGITS,
    networks=lambda config, _: (
        mlp.Generator((8, 8, 1), config.width, depth=2, out=jnp.tanh),
        mlp.Critic(config.width, depth=2),
    ),
    defaults={"steps": 15_000, "batch_size": 64, "latent": 32, "width": 256},
)
DIGITS_CONV = Testbed(
    name="digits_conv",
    dataset="1,797 handwritten digits, 8x8",
    target=SMALL_DIGITS,
    networks=lambda config, batch_norm: (
        dcgan.Generator(8, width=config.width, base=2),
        dcgan.Discriminator(config.width, base=2, norm=batch_norm),
    ),
    defaults={
        "steps": 5_000,
        "sample_every": 1_000,
        "evaluate_every": 1_000,
        "save_every": 1_000,
        "batch_size": 64,
        "latent": 32,
        "width": 32,
    },
    convolutional=True,
)
SMALL = (RING, GRID, SWISS_ROLL, DIGITS_MLP, DIGITS_CONV)

PERIODS = {"log_every": 100, "sample_every": 500, "evaluate_every": 500, "save_every": 500}

DIGITS = image_set(
    name="digits",
    dataset="1,797 handwritten digits, 8x8",
    load_split=lambda split: digits(),
    shape=(8, 8, 1),
    base=2,
    defaults={**PERIODS, "steps": 3_000, "batch_size": 64, "latent": 32, "width": 32},
)
DENSE_DIGITS = DenseImageSet(
    name="digits",
    dataset="1,797 handwritten digits, 8x8",
    target=DIGITS.target,
    base=2,
    defaults={
        "steps": 10_000,
        **dict.fromkeys(("sample_every", "evaluate_every", "save_every"), 5_000),
        "batch_size": 64,
        "latent": 32,
        "width": 128,
    },
)
MNIST = image_set(
    name="mnist",
    dataset="60,000 handwritten digits, 28x28",
    load_split=functools.partial(datasets.load_tfds, "mnist"),
    shape=(28, 28, 1),
    base=7,
    minutes=20,
    defaults={**PERIODS, "steps": 2_500},
)
STACKED_MNIST = image_set(
    name="stacked_mnist",
    dataset="three digits as the colours of one image, 1,000 modes",
    load_split=functools.partial(datasets.load_tfds, "mnist"),
    shape=(28, 28, 3),
    base=7,
    minutes=None,
    classes=1_000,
    metrics=("modes",),
    transform=sources.stack_channels,
    defaults=MNIST.defaults,
)
CIFAR10 = image_set(
    name="cifar10",
    dataset="50,000 colour images, 32x32",
    load_split=functools.partial(datasets.load_tfds, "cifar10"),
    shape=(32, 32, 3),
    base=4,
    minutes=None,
    hardware="1 GPU",
    defaults={**{name: 10 * steps for name, steps in PERIODS.items()}, "steps": 100_000, "width": 128},
)


def own_images(data: str, size: int, channels: int) -> ImageSet:
    """Returns the testbed of a user's images.

    Args:
        data: A folder of images, or the name of a TFDS data set.
        size: Side of the square that images are cropped and resized to.
        channels: 1 or 3.
    """
    if size % 2 or size < 8:
        nearest = " or ".join(str(n) for n in (size - size % 2, size + size % 2) if n >= 8) or "8"
        raise UserError(f"size {size} must be an even number of at least 8, because DCGAN halves it; use {nearest}")
    base = size
    while base % 2 == 0 and base >= 8:
        base //= 2

    def load_split(split: str) -> datasets.ImageData:
        folder = find_folder(data)
        if folder is None:
            try:
                datasets.prepared_folder(data)
            except UserError as error:
                raise UserError(f"there is no folder {data}, and {error}") from error
            return datasets.open_tfds(data, split, size=size)
        images, notes = load_folder(folder, size, channels)
        for sentence in notes.sentences() if split == "train" else ():
            warnings.warn(f"{folder}: {sentence}", stacklevel=2)
        return images

    return image_set(
        name="own",
        dataset="a folder of images, or any data set of TFDS",
        load_split=load_split,
        shape=(size, size, channels),
        base=base,
        hardware="1 GPU",
        classes=0,
        metrics=("fid_or_fd_random",),
        minutes=None,
        defaults=PERIODS,
    )


Build = Callable[[Any, Any], Experiment]  # (testbed, config) -> experiment


def register_on(
    method: str,
    configs: Mapping[Testbed, Config],
    *,
    paper: str,
    shows: str,
    task: str | None = None,
    minutes: Mapping[Testbed, float | None] | None = None,
    test_settings: Mapping[str, Any] | None = None,
) -> Callable[[Build], Build]:
    """Returns a decorator that registers `build(testbed, config)` as `method/testbed` for each testbed and config.

    `minutes` are training times that differ from the testbed's own; None where they were not measured.
    """

    def add(build: Build) -> Build:
        for testbed, config in configs.items():
            registry.register(
                f"{method}/{testbed.name}",
                config,
                paper=paper,
                dataset=testbed.dataset,
                shows=shows,
                task=task or testbed.task,
                minutes=(minutes or {}).get(testbed, testbed.minutes),
                hardware=testbed.hardware,
                test_settings=test_settings,
            )(functools.partial(build, testbed))
        return build

    return add


def register_own(method: str, config: Config, *, paper: str, shows: str) -> Callable[[Build], Build]:
    """Returns a decorator that registers `build(testbed, config)` as `method/own`, on a user's images.

    `config` has the defaults. Its class gets the settings of `OwnImages`, if it does not have them.
    """
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    if not isinstance(config, OwnImages):
        own_class = dataclasses.make_dataclass(
            "OwnConfig", [], bases=(type(config), OwnImages), frozen=True, kw_only=True
        )
        own_class.__doc__ = type(config).__doc__
        config = own_class(**fields)

    def build_own(build: Build, config: OwnImages) -> Experiment:
        return build(own_images(config.data, config.size, config.channels), config)

    def add(build: Build) -> Build:
        registry.register(
            f"{method}/own",
            config,
            paper=paper,
            dataset="a folder of images, or any data set of TFDS",
            shows=shows,
            task="images",
            minutes=None,
            hardware="1 GPU",
        )(functools.partial(build_own, build))
        return build

    return add


def on_small(config: type[Config], plane: Mapping[str, Any] | None = None) -> dict[Testbed, Config]:
    """Returns the config of each small testbed: its defaults, and in the plane also the settings in `plane`."""
    extra = lambda testbed: plane or {} if testbed.task == "2-D" else {}
    return {testbed: config(**{**testbed.defaults, **extra(testbed)}) for testbed in SMALL}
