"""On Convergence and Stability of GANs (Kodali et al. 2017, arXiv 1705.07215): DRAGAN.

    python launch.py train dragan/digits
    python launch.py figure dragan/fig_sharp

The original GAN with its discriminator's gradient held at norm 1 around the data, where a sharp discriminator would
drive the generator to few modes. Networks and optimiser are those of the authors' script for MNIST, 784-128-1 with z
from U(-1, 1)^100 and 200,000 steps. Here they are 64-128-1, on 8x8 digits, which need no download; the figure takes
60,000 steps, after a first version of 20,000 in which the original GAN's gradient had not grown threefold yet.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import optax
from jax import Array

from experiments import imagesets, testbeds
from jaxgan import figures, latents, losses, metrics, penalties, pictures, plots, registry
from jaxgan.data.digits import digits
from jaxgan.data.source import images
from jaxgan.evaluate.classifier import class_balance
from jaxgan.figures import Claim, Figure, needs
from jaxgan.game import Network, spec
from jaxgan.networks import mlp
from jaxgan.objectives import two_player
from jaxgan.registry import Experiment

PAPER = "Kodali et al. 2017, arXiv 1705.07215"
SHOWS = "the original GAN with a gradient of norm 1 around the data"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(registry.Config):
    """DRAGAN by fully connected networks."""

    batch_size: int = 128  # examples a step, over all devices
    latent: int = 100  # dimensions of z, drawn from U(-1, 1)
    width: int = 128  # units of the one hidden layer
    lr: float = 1e-4  # learning rate of both players
    b1: float = 0.5  # of Adam
    b2: float = 0.9  # of Adam
    penalty: float = 10.0  # weight of the gradient penalty, lambda; 0 is the original GAN


@registry.register(
    "dragan/digits",
    Config(),
    paper=PAPER,
    dataset="1,797 handwritten digits, 8x8",
    shows=SHOWS,
    cost="1 min, 2 CPU cores",
)
def build(config: Config) -> Experiment:
    """One hidden layer in each network, and no batch norm."""
    shape = (8, 8, 1)
    g_module = mlp.Generator(shape, config.width, depth=1, out=jax.nn.tanh)
    d_module = mlp.Critic(config.width, depth=1, activation=jax.nn.relu)
    generator = Network("generator", g_module, (spec(config.latent),))
    discriminator = Network("discriminator", d_module, (spec(*shape),))
    latent = lambda keys: latents.uniform(keys, config.latent, minval=-1.0)

    def penalty(critic: penalties.Critic, real: Array, fake: Array, key: Array) -> Array:
        return config.penalty * penalties.dragan(critic, real, key)

    game = two_player(
        generator,
        discriminator,
        losses.non_saturating,
        latent,
        g_optimizer=optax.adam(config.lr, config.b1, config.b2),
        d_optimizer=optax.adam(config.lr, config.b1, config.b2),
        penalty=penalty if config.penalty else None,
    )
    sample = lambda state, keys: generator.bind(state, train=False)(latent(keys))
    return Experiment(game, images(digits, config.batch_size), sample, class_balance, pictures.grid, pictured=100)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Images(imagesets.Config):
    """DRAGAN on images, by the networks of DCGAN, with batch norm in the generator alone."""

    latent: int = 100  # dimensions of z, drawn from N(0, 1)
    batch_size: int = 64  # examples a step, over all devices
    g_lr: float = 1e-4  # learning rate of the generator
    d_lr: float = 1e-4  # learning rate of the discriminator
    b1: float = 0.5  # of Adam
    b2: float = 0.9  # of Adam
    penalty: float = 10.0  # weight of the gradient penalty, lambda


@imagesets.on(
    "dragan",
    {
        imagesets.MNIST: Images(**imagesets.MNIST.defaults | {"steps": 5_000}),
        imagesets.CIFAR10: Images(**imagesets.CIFAR10.defaults),
    },
    paper=PAPER,
    shows=SHOWS,
)
def on_images(bed: testbeds.Bed, config: Images) -> Experiment:
    """Moves in turn, one each."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)

    def penalty(critic: penalties.Critic, real: Array, fake: Array, key: Array) -> Array:
        return config.penalty * penalties.dragan(critic, real, key)

    return bed.experiment(config, losses.non_saturating, adam(config.g_lr), adam(config.d_lr), penalty=penalty)


@figures.register(
    "dragan/fig_sharp",
    paper=PAPER,
    shows="the discriminator's gradient at reals: it grows without the penalty, and stays near 1 with it. The paper's "
    "is on MNIST; here 64-128-1 networks learn 8x8 digits for 60,000 steps, not 200,000, in 3 seeds",
    cost="5 min, 2 CPU cores",
)
def fig_sharp() -> Figure:
    """The mean gradient norm over all reals along training; its ratio is that of the last look to the first, step 0."""
    at = range(0, 60_001, 6_000)

    def measure(looks: figures.Looks) -> figures.Numbers:
        real = np.float32(digits().images) / 127.5 - 1
        numbers: dict[str, Any] = {"steps": np.array([run.step for run in looks["GAN"]])}
        for name, runs in looks.items():
            sharpness = lambda run, k: float(penalties.norm(run.network("discriminator", k), real).mean())
            norms = np.array([[sharpness(run, k) for run in runs] for k in range(runs[0].config.seeds)])
            numbers |= {
                f"{name}_norm": norms,
                f"{name}_ratio": metrics.summary(norms[:, -1] / norms[:, 0]),
                f"{name}_end": metrics.summary(norms[:, -1]),
                f"{name}_samples": runs[-1].sample(36),
            }
        return numbers

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((curve, *shown),) = plots.panels(1, 3, height=2.2, width_ratios=[1.6, 1, 1])
        for name, ax in zip(("GAN", "DRAGAN"), shown, strict=True):
            plots.band(curve, found["steps"] / 1e3, found[f"{name}_norm"], name)
            ax.imshow(pictures.grid(found[f"{name}_samples"]), cmap="gray")
            ax.set(title=f"{name}, samples at the end", xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        curve.axhline(1, color="black", linewidth=0.8, linestyle=":")
        curve.set(title="Discriminator at reals", xlabel="steps / 1000", ylabel="mean gradient norm")
        curve.set_ylim(0)
        curve.legend()
        return page

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("GAN: the gradient norm at the end over that at the start, median of 3", "GAN_ratio", least=3),
            Claim("DRAGAN: the same", "DRAGAN_ratio", least=0.5, most=2),
        ),
        runs={
            "GAN": needs("dragan/digits", *at, seeds=3, penalty=0.0),
            "DRAGAN": needs("dragan/digits", *at, seeds=3),
        },
    )
