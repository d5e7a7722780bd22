"""Sets of labelled images that image experiments are tried on, with the convolutional networks that fit their size.

A paper's file has the objective, the optimisers and the settings, and registers itself as `method/set`.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from experiments import testbeds
from jaxgan import augment, latents, optim, pictures, registry
from jaxgan.data import datasets
from jaxgan.data.digits import digits
from jaxgan.data.folder import folder
from jaxgan.data.source import Source, images, stacked
from jaxgan.evaluate import measures
from jaxgan.game import KEY, LABEL, Game, Network, spec
from jaxgan.losses import Adversarial
from jaxgan.networks import dcgan, resnet
from jaxgan.objectives import Latent, two_player
from jaxgan.registry import Experiment


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(testbeds.Config):
    """What experiments on images have besides."""

    latent: int = 128  # dimensions of z, drawn from N(0, 1)
    width: int = 64  # channels at half the size
    flip: bool = False  # mirror images, left to right, half of the time
    dequantise: bool = False  # spread each grey level over the part of the range that it stands for
    diffaug: bool = False  # the discriminator sees images in other colours, shifted and with a part cut out
    bfloat16: bool = False  # networks compute in bfloat16; parameters stay float32


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images, and the smallest map of the convolutional networks for their size."""

    name: str
    dataset: str
    shape: tuple[int, int, int]
    base: int  # pixels
    data: Callable[[str], datasets.Images]  # split -> images
    cost: str
    defaults: Mapping[str, Any]
    classes: int = 10
    measures: tuple[str, ...] = ("fd", "prdc", "balance")  # taken while training
    of: Callable[[Source], Source] = lambda source: source  # what is made of batches of the data

    def networks(self, config: Config, norm: bool = True, classes: int = 0) -> tuple[nn.Module, nn.Module]:
        """DCGAN's generator and discriminator, the latter with batch norm or without."""
        size, _, channels = self.shape
        return (
            dcgan.Generator(size, channels, config.width, self.base, classes=classes),
            dcgan.Discriminator(config.width, self.base, norm, classes=classes),
        )

    def resnets(self, config: Config, **options: Any) -> tuple[nn.Module, nn.Module]:
        """SN-GAN's residual networks, the generator twice as wide; `options` are what both of them have."""
        size, _, channels = self.shape
        wide = 2 * config.width
        ups = dcgan.halvings(size, self.base)
        return (
            resnet.Generator(channels, (wide,) * ups, wide, self.base, **options),
            resnet.Critic((config.width,) * 4, **options),
        )

    def source(self, batch_size: int, split: str = "train", flip: bool = False, dequantise: bool = False) -> Source:
        """Batches of the training images, or of another part of them."""
        return self.of(images(lambda: self.data(split), batch_size, flip, dequantise))

    def network(self, name: str, module: nn.Module, first: Any, config: Config, *beside: Any) -> Network:
        """A network of the game, whose inputs begin with `first`."""
        return Network(name, module, (first, *beside), jnp.bfloat16 if config.bfloat16 else None)

    def two_player(
        self,
        config: Config,
        networks: tuple[nn.Module, nn.Module],
        loss: Adversarial,
        g_optimizer: optax.GradientTransformation,
        d_optimizer: optax.GradientTransformation,
        *,
        conditional: bool = False,
        latent: Latent | None = None,
        pack: int = 1,
        **options: Any,
    ) -> Experiment:
        """The game of an objective on this set; `options` are those of `objectives.two_player`.

        The discriminator takes a number of images that `pack` divides.
        """
        labels = (LABEL,) if conditional else ()
        latent = latent or (lambda keys: latents.normal(keys, config.latent))
        generator = self.network("generator", networks[0], spec(config.latent), config, *labels)
        packed = jax.ShapeDtypeStruct((pack, *self.shape), jnp.float32)
        discriminator = self.network("discriminator", networks[1], packed, config, *labels)
        game = two_player(
            generator,
            discriminator,
            loss,
            latent,
            g_optimizer=g_optimizer,
            d_optimizer=d_optimizer,
            augment=DIFFAUG if config.diffaug else None,
            **{"ema": optim.ema_decay(config.ema_half_life, config.batch_size), **options},
        )
        source = self.source(config.batch_size, flip=config.flip, dequantise=config.dequantise)
        return self.look(game, generator, latent, source, conditional)

    def experiment(
        self,
        config: Config,
        loss: Adversarial,
        g_optimizer: optax.GradientTransformation,
        d_optimizer: optax.GradientTransformation,
        *,
        norm: bool = False,
        **options: Any,
    ) -> Experiment:
        """The game of an objective by DCGAN's networks, as on a `Testbed`."""
        return self.two_player(config, self.networks(config, norm), loss, g_optimizer, d_optimizer, **options)

    def look(
        self, game: Game, generator: Network, latent: Latent, source: Source, conditional: bool = False
    ) -> Experiment:
        """A game on this set, and how it is looked at."""
        classes = self.classes if conditional else 0
        noise = lambda keys: [keys] if KEY in generator.inputs else []
        sample = lambda state, keys, *labels: generator.bind(state, train=False)(latent(keys), *labels, *noise(keys))
        return Experiment(
            game,
            source,
            sample,
            evaluate=measures.during(
                (*self.measures, "agreement") if conditional else self.measures, self.data, classes
            ),
            picture=pictures.grid,
            pictured=100,
            classes=classes,
            data=self.data,
        )


DIFFAUG = augment.compose(augment.colour, augment.translation, augment.cutout)
PERIODS = {"log_every": 100, "sample_every": 500, "evaluate_every": 500, "save_every": 500}

DIGITS = ImageSet(
    name="digits",
    dataset="1,797 handwritten digits, 8x8",
    shape=(8, 8, 1),
    base=2,
    data=lambda split: digits(),
    cost="1 min, 2 CPU cores",
    defaults={**PERIODS, "steps": 3_000, "batch_size": 64, "latent": 32, "width": 32},
)
MNIST = ImageSet(
    name="mnist",
    dataset="60,000 handwritten digits, 28x28",
    shape=(28, 28, 1),
    base=7,
    data=functools.partial(datasets.tfds, "mnist"),
    cost="about 20 min, 2 CPU cores",
    defaults={**PERIODS, "steps": 2_500},
)
STACKED_MNIST = dataclasses.replace(
    MNIST,
    name="stacked_mnist",
    dataset="three digits as the colours of one image, 1,000 modes",
    shape=(28, 28, 3),
    cost="hours, 2 CPU cores",
    classes=1_000,
    measures=("modes",),
    of=stacked,
)
CIFAR10 = ImageSet(
    name="cifar10",
    dataset="50,000 colour images, 32x32",
    shape=(32, 32, 3),
    base=4,
    data=functools.partial(datasets.tfds, "cifar10"),
    cost="hours, a GPU",
    defaults={**{name: 10 * steps for name, steps in PERIODS.items()}, "steps": 100_000, "width": 128},
)


def own(data: str, size: int, channels: int) -> ImageSet:
    """Anybody's images: a folder of them, or a data set of TFDS by name, cropped and resized to size x size."""
    base = size
    while base % 2 == 0 and base >= 8:
        base //= 2

    def load(split: str) -> datasets.Images:
        path = Path(data)
        return folder(path, size, channels)[0] if path.is_dir() else datasets.records(data, split, size=size)

    return ImageSet(
        name="own",
        dataset="a folder of images, or any data set of TFDS",
        shape=(size, size, channels),
        base=base,
        data=load,
        cost="as long as it is given",
        defaults=PERIODS,
        classes=0,
        measures=(),
    )


def on(
    method: str, configs: Mapping[ImageSet, Config], *, paper: str, shows: str
) -> Callable[[Callable[[ImageSet, Any], Experiment]], Callable[[ImageSet, Any], Experiment]]:
    """Register `build(set, config)` as `method/set` on each of the sets, with its config."""

    def add(build: Callable[[ImageSet, Any], Experiment]) -> Callable[[ImageSet, Any], Experiment]:
        for made, config in configs.items():
            put = registry.register(
                f"{method}/{made.name}", config, paper=paper, dataset=made.dataset, shows=shows, cost=made.cost
            )
            put(functools.partial(build, made))
        return build

    return add
