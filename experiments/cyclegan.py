"""Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks (Zhu et al. 2017, arXiv 1703.10593).

    python launch.py train cyclegan/plane
    python launch.py figure cyclegan/toy

Two generators, two discriminators, the least-squares loss, and a pool of earlier fakes for each discriminator: a game
of four networks, two players and two buffers. `cyclegan/plane` translates points of the plane from a Gaussian cloud X
to two bars Y. `cyclegan_images.py` translates images.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxgan.core import image_pool, losses
from jaxgan.core.game import Batch, Game, Loss, Network, Phase, Player, Scalars, TrainState, input_spec
from jaxgan.data import sources
from jaxgan.data.synthetic import Density
from jaxgan.evaluate.kernel import mmd
from jaxgan.networks import mlp
from jaxgan.runs import targets
from jaxgan.runs.registry import register
from jaxgan.settings import setting
from jaxgan.training import experiment
from jaxgan.training.experiment import Experiment

PAPER = "Zhu et al. 2017, arXiv 1703.10593"
SHOWS = "translation without pairs: four networks, two players and pools of fakes in one game"
CLOUD_STD = 0.5
MMD_STD = CLOUD_STD  # standard deviation of the Gaussian kernel by which sets of points are compared


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(experiment.Config):
    """CycleGAN; the defaults are those for points of the plane."""

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
    pool: int,
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
        pool: How many earlier fakes are kept for each discriminator.
        backward_cycle: Weight of |G(F(y)) - y|, if it is another than that of |F(G(x)) - x|.
        identity: Weight of |G(y) - y| + |F(x) - x| (section 5.2), for domains with equal numbers of channels.
    """
    backward_cycle = cycle if backward_cycle is None else backward_cycle
    (G, F), (D_y, D_x) = generators, discriminators
    g_loss = generators_loss(generators, discriminators, adversarial, (cycle, backward_cycle), identity)
    return Game(
        networks=(G, F, D_y, D_x),
        players={
            "generators": Player((G.name, F.name), g_optimizer),
            "discriminators": Player((D_y.name, D_x.name), d_optimizer),
        },
        phases=(
            Phase("g", "generators", g_loss),
            Phase("d", "discriminators", discriminators_loss(generators, discriminators)),
        ),
        buffers={f"{D.name}_pool": image_pool.empty(pool, *D.inputs[0].shape[1:]) for D in discriminators},
    )


def generators_loss(
    generators: tuple[Network, Network],
    discriminators: tuple[Network, Network],
    adversarial: float,
    cycles: tuple[float, float],
    identity: float,
) -> Loss:
    """Returns the loss of both generators, with the weights of `cycle_gan`; `cycles` are forward and backward."""
    (G, F), (D_y, D_x), (forward_cycle, backward_cycle) = generators, discriminators, cycles

    def loss(state: TrainState, batch: Batch, key: Array) -> tuple[Array, tuple[TrainState, Scalars]]:
        x, y = batch["x"], batch["y"]
        forward, backward = G.bind(state), F.bind(state)
        fake_y, fake_x = forward(x), backward(y)
        # As in the authors' code, the generators' squares are not halved; those of the discriminators are.
        fooling_loss = lambda D, fake: losses.least_squares.g(D.bind(state)(fake))
        adversarial_loss = 2.0 * (fooling_loss(D_y, fake_y) + fooling_loss(D_x, fake_x))
        cycle_x, cycle_y = losses.l1(backward(fake_y), x), losses.l1(forward(fake_x), y)
        total = adversarial * adversarial_loss + forward_cycle * cycle_x + backward_cycle * cycle_y
        scalars = {"adversarial": adversarial_loss, "cycle": cycle_x + cycle_y}
        if identity:
            scalars["identity"] = losses.l1(forward(y), y) + losses.l1(backward(x), x)
            total += identity * scalars["identity"]
        return total, (state, scalars)

    return loss


def discriminators_loss(generators: tuple[Network, Network], discriminators: tuple[Network, Network]) -> Loss:
    """Returns the sum of the losses of both discriminators, which are shown fakes from their pools."""
    (G, F), (D_y, D_x) = generators, discriminators

    def loss(state: TrainState, batch: Batch, key: Array) -> tuple[Array, tuple[TrainState, Scalars]]:
        total = jnp.zeros([])
        for n, (D, real, generator, source) in enumerate(((D_y, "y", G, "x"), (D_x, "x", F, "y"))):
            fake = generator.bind(state)(batch[source])
            buffer = f"{D.name}_pool"
            shown, updated_pool = image_pool.query(state.buffers[buffer], fake, jax.random.fold_in(key, n))
            critic = D.bind(state)
            total += losses.least_squares.d(critic(batch[real]), critic(shown))
            state = state.with_buffers(**{buffer: updated_pool})
        return total, (state, {})

    return loss


def build_game(generator: nn.Module, critic: nn.Module, shape: tuple[int, ...], config: Config, **options: Any) -> Game:
    """Returns `cycle_gan` with two generators and two discriminators of equal architectures, and the config's weights.

    Args:
        generator: Examples [B, *shape] to examples of the same shape.
        critic: Examples to logits.
        shape: Of one example of either domain.
        config: The settings.
        **options: Further arguments of `cycle_gan`.
    """
    network = functools.partial(Network, inputs=(input_spec(*shape),), convolutional=len(shape) == 3)
    adam = optax.adam(optax.linear_schedule(config.lr, 0.0, config.decay, config.hold), config.b1)
    return cycle_gan(
        (network("forward", generator), network("backward", generator)),
        (network("critic_y", critic), network("critic_x", critic)),
        g_optimizer=adam,
        d_optimizer=adam,
        adversarial=config.adversarial,
        cycle=config.cycle,
        pool=config.pool,
        **options,
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
    game = build_game(mlp.Generator((2,), config.width, depth=2), mlp.Critic(config.width, depth=2), (2,), config)
    source = sources.unpaired(sources.density(cloud), sources.density(bars))
    return TARGET.experiment(game, game.networks[0], jax.vmap(cloud), source)
