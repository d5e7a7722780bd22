"""PacGAN: The power of two samples in generative adversarial networks (Lin et al. 2017, arXiv 1712.04086).

    python launch.py train pacgan/grid --pack 4 --batch-size 400
    python launch.py figure pacgan/table1

The discriminator receives several samples of one origin as one input (a pack), and can therefore detect a lack of
variety. Otherwise this is the original GAN.

The authors' script for points in the plane has layers of 400 units in the generator and of 200 in the discriminator,
initial weights from N(0, 0.02^2), Adam with a learning rate of 1e-4, and 400,000 steps of 100 packs, which take more
than three hours of one CPU core. Here the layers have 64 and 32 units. The standard deviation of the weights is scaled
as 1 / sqrt(width), so that activations keep their size, and the learning rate as 1 / width. The learning rates of
64,000 steps then add up to those of the authors' 400,000.

On the grid a discriminator of packs of four stays at chance for a long time: five seeds leave it between steps 40,000
and 64,000. With other initial weights (standard deviation 0.1 or 0.2, or He uniform), alternating updates, a third of
the learning rate or a generator of 200 units it does not leave chance within 8,000 steps; with maxout layers of 200
units it begins to. Without batch norm in the generator it leaves chance at once, but covers no more modes at step
20,000.
"""

import dataclasses
import functools
import math

import jax
import optax

from experiments import defaults, testbeds
from experiments.defaults import ImageSet
from experiments.testbeds import STACKED_MNIST
from jaxgan.core import losses, prng
from jaxgan.data import synthetic
from jaxgan.data.synthetic import Density
from jaxgan.evaluate.modes import mode_coverage
from jaxgan.networks import mlp
from jaxgan.networks.layers import batch_norm
from jaxgan.runs import registry, targets
from jaxgan.training import experiment
from jaxgan.training.experiment import Experiment, setting

PAPER = "Lin et al. 2017, arXiv 1712.04086"
SHOWS = "a discriminator that receives two samples at once, and so detects a lack of variety"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(experiment.Config):
    """PacGAN on points in the plane."""

    batch_size: int = setting(200, "examples per step, over all devices: `pack` times the number of packs")
    pack: int = setting(2, "examples per input of the discriminator; 1 is the original GAN")
    latent: int = setting(2, "dimensions of z, drawn from N(0, 1)")
    g_width: int = setting(64, "units of a hidden layer of the generator")
    d_width: int = setting(32, "units of a hidden layer of the discriminator; each is the maximum of five")
    weight_std: float = setting(0.05, "standard deviation of the initial weights")
    lr: float = setting(6.25e-4, "learning rate of both players")
    b1: float = setting(0.8, "beta1 of Adam")


def build(density: Density, config: Config) -> Experiment:
    """Returns the experiment on a density, with batch norm in the generator alone and simultaneous updates."""
    kernel_init = jax.nn.initializers.normal(config.weight_std)
    # Each step updates the moving averages twice, once per player, and so keeps 0.95 of them.
    norm = functools.partial(batch_norm, momentum=math.sqrt(0.95))
    evaluate = lambda samples: mode_coverage(samples, density.modes, density.std, share=0)
    return targets.density(density, evaluate).two_player(
        config,
        mlp.Generator((2,), config.g_width, depth=4, kernel_init=kernel_init, norm=norm),
        mlp.PackedCritic(mlp.MaxoutCritic(config.d_width, kernel_init=kernel_init), config.pack),
        losses.non_saturating,
        prng.normal_latent(config.latent),
        g_optimizer=optax.adam(config.lr, config.b1),
        d_optimizer=optax.adam(config.lr, config.b1),
        pack=config.pack,
        simultaneous=True,
    )


DENSITIES = {
    "grid": (synthetic.grid(scale=1.0), "25 Gaussians on a grid"),
    "ring": (synthetic.ring(radius=1.0, std=0.01, scale=1.0), "8 Gaussians on a ring"),
}
for name, (density, dataset) in DENSITIES.items():
    registry.register(
        f"pacgan/{name}",
        Config(),
        paper=PAPER,
        dataset=dataset,
        shows=SHOWS,
        task="2-D",
        minutes=1,
    )(functools.partial(build, density))


@dataclasses.dataclass(frozen=True, kw_only=True)
class StackedConfig(defaults.ImageConfig):
    """PacGAN on Stacked MNIST, section 4.2."""

    batch_size: int = setting(128, "examples per step, over all devices: `pack` times the number of packs")
    pack: int = setting(2, "images per input of the discriminator; 1 is DCGAN")
    latent: int = setting(100, "dimensions of z, drawn from U(-1, 1)")
    g_lr: float = 2e-4
    d_lr: float = 2e-4
    b1: float = setting(0.5, "beta1 of Adam")


@testbeds.register_on(
    "pacgan",
    {STACKED_MNIST: StackedConfig(**STACKED_MNIST.defaults | {"steps": 100_000})},
    paper=PAPER,
    shows=SHOWS,
)
def build_stacked(images: ImageSet, config: StackedConfig) -> Experiment:
    """Returns the experiment of DCGAN with packs. The generator updates twice per step, as in the authors' script."""
    generator, discriminator = images.dcgan(config)
    adam = lambda lr: optax.adam(lr, config.b1)
    packed = images.two_player(
        config,
        losses.non_saturating,
        adam(config.g_lr),
        adam(config.d_lr),
        networks=(generator, mlp.PackedCritic(discriminator, config.pack)),
        latent=prng.uniform_latent(config.latent),
        pack=config.pack,
    )
    d, g = packed.game.phases
    phases = (d, g, dataclasses.replace(g, name="g_again"))
    return dataclasses.replace(packed, game=dataclasses.replace(packed.game, phases=phases))
