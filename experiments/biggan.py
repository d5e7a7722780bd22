"""BigGAN (Brock et al. 2018, arXiv 1809.11096).

    python launch.py train biggan/digits
    python launch.py train biggan/cifar10
    python launch.py sample runs/biggan/digits --truncation 0.5 --standing 16

Classes enter the generator through one embedding that all blocks share, and each block receives a part of z. The hinge
loss, spectral norm in both networks and a projection critic are those of SAGAN. Orthogonal regularisation of the
generator keeps samples good when z is drawn from a truncated normal distribution.

`cifar10` has the settings of the CIFAR script in github.com/ajbrock/BigGAN-PyTorch. Differences from it:
- Kernels are initialised orthogonally, as in the paper, and the critic's as in SN-GAN. The script draws them from
  N(0, 0.02).
- The averaged generator has averaged batch statistics. Standing statistics of fresh samples are an option of sampling.
The 8 x 8 digits have four times the learning rates and one critic step for each step of the generator.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from experiments import defaults, testbeds
from experiments.defaults import ImageSet
from experiments.testbeds import CIFAR10, DIGITS
from jaxgan.core import losses, prng, regularisers
from jaxgan.core.game import Network, TrainState
from jaxgan.networks import biggan, dcgan, resnet
from jaxgan.training.experiment import Experiment, setting

PAPER = "Brock et al. 2018, arXiv 1809.11096"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(defaults.ImageConfig):
    """BigGAN, appendix C."""

    embedding: int = setting(128, "dimensions of the class vectors")
    attention: int = setting(0, "side of the feature maps with self-attention; 0 for none", low=0)
    g_lr: float = 2e-4
    d_lr: float = 2e-4
    b1: float = setting(0.0, "beta1 of Adam")
    b2: float = setting(0.999, "beta2 of Adam")
    n_critic: int = setting(1, "critic updates per generator update")
    orthogonal: float = setting(1e-4, "weight of the generator's orthogonal regularisation")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """How latents are drawn, and how batch norm normalises."""

    truncation: float | None = setting(None, "limit of the latents' absolute values; None draws from N(0, 1)")
    standing: int = setting(0, "batches of fresh samples whose mean statistics batch norm uses; 0: running ones", low=0)


ON_CIFAR10 = {
    "steps": 500_000,
    "batch_size": 50,
    "latent": 128,
    "width": 256,
    "n_critic": 4,
    "orthogonal": 0.0,
    "ema_half_life": 1.4e6,  # a decay of 0.9999 per update of the generator
    "flip": True,
}


@testbeds.register_on(
    "biggan",
    {
        DIGITS: Config(
            **DIGITS.defaults | {"latent": 24, "width": 32, "embedding": 16, "b1": 0.5, "g_lr": 8e-4, "d_lr": 8e-4}
        ),
        CIFAR10: Config(**CIFAR10.defaults | ON_CIFAR10),
    },
    paper=PAPER,
    shows="a class embedding and parts of z in every block, orthogonal regularisation, truncated latents",
    task="conditional images",
    minutes={DIGITS: 4},
)
def build(testbed: ImageSet, config: Config) -> Experiment:
    """Each fake is given to the critic with the label that it was generated for."""
    size, _, channels = testbed.target.shape
    halvings = dcgan.num_halvings(size, testbed.base)
    generator = biggan.Generator(
        channels,
        (config.width,) * halvings,
        config.width,
        testbed.base,
        testbed.classes,
        config.embedding,
        config.attention,
    )
    widths = (config.width,) * 4
    critic = resnet.Critic(widths, classes=testbed.classes, attention=config.attention, widen_first=True)
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    experiment = testbed.two_player(
        config,
        losses.hinge,
        adam(config.g_lr),
        adam(config.d_lr),
        networks=(generator, critic),
        terms=(regularisers.orthogonal(config.orthogonal, d_weight=0.0),) if config.orthogonal else (),
        n_critic=config.n_critic,
        conditional=True,
    )
    sample = make_sample(experiment.game.networks[0], config.latent, testbed.classes)
    return dataclasses.replace(experiment, sample=sample, interpolate=None, sample_options=SampleOptions())


def make_sample(G: Network, latents: int, classes: int) -> Any:
    """Returns the `Experiment.sample` whose options are those of `SampleOptions`."""

    def draw(keys: Array, truncation: float | None) -> Array:
        if truncation is None:
            return prng.normal(keys, latents)
        return jax.vmap(lambda key: jax.random.truncated_normal(key, -truncation, truncation, [latents]))(keys)

    def sample(
        state: TrainState, keys: Array, labels: Array, truncation: float | None = None, standing: int = 0
    ) -> Array:
        if standing:
            fresh_keys = prng.example_keys(jax.random.key(0), jnp.arange(standing * len(keys)))
            fresh_labels = jnp.arange(standing * len(keys), dtype=jnp.int32) % classes
            split = lambda x: x.reshape(standing, len(keys), *x.shape[1:])
            state = with_standing_statistics(G, state, split(draw(fresh_keys, truncation)), split(fresh_labels))
        return G.bind(state, train=False)(draw(keys, truncation), labels)

    return sample


def with_standing_statistics(G: Network, state: TrainState, z: Array, labels: Array) -> TrainState:
    """Returns the state with G's batch statistics replaced by their means over N batches (section 3, appendix B).

    Args:
        G: The generator; its other buffers stay as they are.
        state: The state.
        z: Latents [N, B, Z].
        labels: Labels [N, B].
    """
    momentum = 0.9  # of `layers.batch_norm`
    old = state.buffers[G.name]["batch_stats"]

    def statistics(inputs: tuple[Array, Array]) -> Any:
        new = G(state, *inputs, train=True)[1].buffers[G.name]["batch_stats"]
        return jax.tree.map(lambda new, old: (new - momentum * old) / (1.0 - momentum), new, old)

    means = jax.tree.map(lambda x: x.mean(0), jax.lax.map(statistics, (z, labels)))
    return state.with_buffers(**{G.name: {**state.buffers[G.name], "batch_stats": means}})
