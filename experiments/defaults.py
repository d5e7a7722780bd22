"""Default networks and settings for a kind of data: points in the plane, images, images with dense networks.

`experiments.testbeds` has the data sets.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxgan.core import ada, augment, optim, prng
from jaxgan.core.augment import Augmentation
from jaxgan.core.game import Network
from jaxgan.core.games import Latent
from jaxgan.core.losses import AdversarialLoss
from jaxgan.data.sources import Source
from jaxgan.errors import UserError
from jaxgan.networks import dcgan, mlp, resnet
from jaxgan.runs import registry
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
class Points(Testbed):
    """Points in the plane, with fully connected networks of two hidden layers."""

    task: str = "2-D"

    def default_networks(self, config: Config, batch_norm: bool) -> Networks:
        """Returns networks without batch norm."""
        return self.generator(config), self.discriminator(config)

    def generator(self, config: Config) -> nn.Module:
        """Returns a generator."""
        return mlp.Generator(self.target.shape, config.width, depth=2)

    def discriminator(self, config: Config, head: nn.Module | None = None) -> nn.Module:
        """Returns a discriminator that ends in `head`, if there is one."""
        return mlp.Critic(config.width, depth=2, head=head)


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
        discriminator = dcgan.Discriminator(config.width, self.base, batch_norm, classes=classes)
        return self.generator(config, classes), discriminator

    def generator(
        self, config: Config, classes: int = 0, batch_norm: bool = True, channels: int | None = None
    ) -> nn.Module:
        """Returns a generator, which receives labels if `classes` > 0. `channels` are those of its images."""
        size, _, own_channels = self.target.shape
        return dcgan.Generator(
            size, channels or own_channels, config.width, self.base, norm=batch_norm, classes=classes
        )

    def discriminator(
        self, config: Config, head: nn.Module | None = None, spectral: int = 0, batch_norm: bool = False
    ) -> nn.Module:
        """Returns a discriminator that ends in `head`, if there is one.

        `spectral` is the number of power iterations of spectral norm; with 0 there is none. A head that returns codes
        makes an encoder of it, see `jaxgan.networks.heads`.
        """
        return dcgan.Discriminator(config.width, self.base, batch_norm, spectral=spectral, head=head)

    def with_head(self, config: Config, head: nn.Module | None = None, classes: int = 0, spectral: int = 1) -> Networks:
        """Returns a generator with labels if `classes` > 0, and a discriminator with spectral norm and a head."""
        return self.generator(config, classes), self.discriminator(config, head, spectral)

    def network(self, config: ImageConfig, name: str, module: nn.Module, *inputs: jax.ShapeDtypeStruct) -> Network:
        """Returns a `Network` of a module that is built of this testbed's networks."""
        return Network(name, module, inputs, convolutional=self.convolutional, dtype=compute_dtype(config))

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
    """Labelled images with fully connected networks of two hidden layers, without batch norm."""

    convolutional: bool = False

    def default_networks(self, config: Config, batch_norm: bool) -> Networks:
        """Returns networks without spectral norm."""
        return self.with_head(config, spectral=0)

    def generator(
        self, config: Config, classes: int = 0, batch_norm: bool = True, channels: int | None = None
    ) -> nn.Module:
        """Returns a generator, see `ImageSet.generator`."""
        height, width, own_channels = self.target.shape
        shape = (height, width, channels or own_channels)
        return mlp.Generator(shape, config.width, depth=2, out=jnp.tanh, classes=classes)

    def discriminator(
        self, config: Config, head: nn.Module | None = None, spectral: int = 0, batch_norm: bool = False
    ) -> nn.Module:
        """Returns a discriminator, see `ImageSet.discriminator`."""
        return mlp.Critic(config.width, depth=2, spectral=spectral, head=head)


def compute_dtype(config: ImageConfig) -> Any:
    """Returns the `Network.dtype` that the config asks for."""
    return jnp.bfloat16 if config.bfloat16 else None
