"""Spectral Normalization for GANs (Miyato et al. 2018, arXiv 1802.05957).

    python launch.py train sngan/digits
    python launch.py train sngan/mnist
    python launch.py train sngan/own --data PATH --size 64 --flip
    python launch.py figure sngan/fig9

All experiments have the hinge loss. The networks on digits are the paper's convolutional ones (Table 3), with as many
halvings as the images have room for: at half the paper's width on MNIST and at a quarter on the 8x8 digits. Adam on
MNIST is that of setting C.

sngan/cifar10 is the authors' configuration of the residual networks (Table 4): batches of 128 for the generator and of
64 for the critic, five critic steps, learning rates that fall to 0, dequantised images, and no averaged generator.

Differences from the paper:
- On the 8x8 digits Adam has beta1 = 0.5, and the critic takes one step per step of the generator. With 0 and five, as
  for the residual networks, the critic had won after 1,000 steps: its loss was exactly 0 and nothing changed any more.
- In each step of the critic the passes over reals and over fakes each advance the power iteration, so it makes two
  iterations per step. The generator's step does not advance it.
"""

import dataclasses
from typing import Any

import optax

from experiments import defaults, own_images, testbeds
from experiments.defaults import ImageSet
from experiments.testbeds import CIFAR10, DIGITS, MNIST
from jaxgan.core import losses
from jaxgan.networks import sngan
from jaxgan.training.experiment import Experiment, setting

PAPER = "Miyato et al. 2018, arXiv 1802.05957"
SHOWS = "a critic whose layers all have spectral norm 1, with the hinge loss"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(defaults.ImageConfig):
    """SN-GAN."""

    g_lr: float = 2e-4
    d_lr: float = 2e-4
    b1: float = setting(0.5, "beta1 of Adam")
    b2: float = setting(0.9, "beta2 of Adam")
    n_critic: int = setting(1, "critic updates per generator update")
    g_batches: int = setting(1, "size of the generator's batch, in batches of the critic")
    decay: int | None = setting(
        None, "steps over which the learning rates fall linearly to 0; None keeps them constant"
    )


def adam_pair(config: Config) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """Returns Adam for the generator and for the critic."""

    def adam(lr: float, every: int) -> optax.GradientTransformation:
        rate = optax.linear_schedule(lr, 0.0, config.decay // every) if config.decay else lr
        return optax.adam(rate, config.b1, config.b2)

    return adam(config.g_lr, config.n_critic), adam(config.d_lr, 1)


def schedule(config: Config) -> dict[str, Any]:
    """Returns the arguments of `two_player` that say how often, and on how many examples, the generator is updated."""
    return {"n_critic": config.n_critic, "g_batches": tuple(range(config.g_batches))}


@own_images.register_own("sngan", Config(steps=50_000, **testbeds.PERIODS), paper=PAPER, shows=SHOWS)
@testbeds.register_on(
    "sngan",
    {
        DIGITS: Config(**DIGITS.defaults | {"width": 16}),
        MNIST: Config(**MNIST.defaults | {"width": 32}, batch_size=64, b2=0.999),
    },
    paper=PAPER,
    shows=SHOWS,
)
def build_convolutional(testbed: ImageSet, config: Config) -> Experiment:
    """No penalty and no other normalisation in the critic; batch norm in the generator."""
    size, _, channels = testbed.target.shape
    networks = sngan.Generator(size, channels, config.width, testbed.base), sngan.Critic(config.width, testbed.base)
    return testbed.two_player(config, losses.hinge, *adam_pair(config), networks=networks, **schedule(config))


# Table 4, and the authors' script (sn_cifar10_unconditional.yml): 50,000 steps of the generator.
RESIDUAL = CIFAR10.defaults | {
    "steps": 250_000,
    "batch_size": 64,
    "b1": 0.0,
    "n_critic": 5,
    "g_batches": 2,
    "ema_half_life": 0.0,
    "decay": 250_000,
    "dequantise": True,
}


@testbeds.register_on("sngan", {CIFAR10: Config(**RESIDUAL)}, paper=PAPER, shows=SHOWS)
def build_residual(testbed: ImageSet, config: Config) -> Experiment:
    """Batch norm in the generator; only spectral norm in the critic."""
    networks = testbed.resnets(config)
    return testbed.two_player(config, losses.hinge, *adam_pair(config), networks=networks, **schedule(config))
