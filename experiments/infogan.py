"""InfoGAN (Chen et al. 2016, arXiv 1606.03657), on the ring of 8 Gaussians.

    python launch.py train infogan/ring
    python launch.py figure infogan/ring

The generator receives a categorical code c besides the noise. A network Q predicts c from the discriminator's features
of the fake. L_I = H(c) - E[-log Q(c|x)] is a lower bound of the mutual information of code and fake (Eq. 5), and both
players maximise it. z has the dimensions of the paper's MNIST experiment. The discriminator has an R1 penalty, which
the paper does not have. After 6,000 steps the samples of each code lie around one mode, often with a wider spread than
the data.
"""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from experiments import testbeds
from experiments.testbeds import RING, Testbed
from jaxgan.core import losses, optim, penalties, prng
from jaxgan.core.game import Batch, Game, Network, Phase, Player, TrainState, input_spec
from jaxgan.networks import mlp
from jaxgan.networks.layers import leaky_relu
from jaxgan.training.experiment import Experiment, setting

PAPER = "Chen et al. 2016, arXiv 1606.03657"
NUM_CODES = 8  # as many as the ring has modes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(testbeds.Config):
    """InfoGAN."""

    steps: int = 10_000
    latent: int = setting(62, "dimensions of z, drawn from U(-1, 1)")
    info: float = setting(1.0, "weight of L_I; with 0 the game is a plain GAN that may ignore the code")
    b1: float = setting(0.0, "beta1 of Adam")
    b2: float = setting(0.99, "beta2 of Adam")
    gamma: float = setting(0.4, "weight of R1, half the mean squared gradient norm at reals")


class Discriminator(nn.Module):
    """Points [B, 2] to logits [B] and features [B, width]."""

    width: int

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> tuple[Array, Array]:
        for _ in range(2):
            x = leaky_relu(nn.Dense(self.width, kernel_init=mlp.HE_UNIFORM)(x))
        return nn.Dense(1, kernel_init=mlp.HE_UNIFORM)(x)[:, 0], x


def scale_gradient(x: Array, weight: float) -> Array:
    """Returns x, and multiplies the gradient that flows back through it by `weight`."""
    return weight * x + (1.0 - weight) * jax.lax.stop_gradient(x)


def information_bound(code_logits: Array, code: Array) -> Array:
    """Returns L_I in nats for uniformly drawn codes int32 [B] and Q's logits [B, K] (Eq. 5)."""
    cross_entropy = optax.softmax_cross_entropy_with_integer_labels(code_logits, code).mean()
    return math.log(code_logits.shape[1]) - cross_entropy


def generator_input(z: Array, code: Array) -> Array:
    """Returns z [B, Z] followed by the one-hot code, [B, Z + NUM_CODES], for codes int32 [B]."""
    return jnp.concatenate([z, jax.nn.one_hot(code, NUM_CODES)], axis=1)


@testbeds.register_on(
    "infogan",
    {RING: Config()},
    paper=PAPER,
    shows="a code that can be predicted from the sample: each of its values becomes one mode, without labels",
)
def build(testbed: Testbed, config: Config) -> Experiment:
    """Returns the experiment of three networks and two players: Q trains with the generator, always with weight 1."""
    shape, width = testbed.target.shape, config.width
    q_module = mlp.Generator((NUM_CODES,), width, depth=1, activation=leaky_relu)
    G = Network("generator", mlp.Generator(shape, width, depth=2), (input_spec(config.latent + NUM_CODES),))
    D = Network("discriminator", Discriminator(width), (input_spec(*shape),))
    Q = Network("q", q_module, (input_spec(width),))
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)

    def draw_inputs(keys: Array) -> tuple[Array, Array]:
        z_keys, code_keys = jnp.unstack(jax.vmap(jax.random.split)(keys), axis=1)
        code = jax.vmap(lambda key: jax.random.randint(key, (), 0, NUM_CODES))(code_keys)
        return generator_input(prng.uniform(z_keys, config.latent, minval=-1.0), code), code

    def forward(state: TrainState, batch: Batch, key: Array) -> tuple[Array, Array, Array, Array]:
        inputs, code = draw_inputs(prng.example_keys(key, batch["index"]))
        fake, _ = G(state, inputs)
        (fake_logits, features), _ = D(state, fake)
        (real_logits, _), _ = D(state, batch["real"])
        code_logits, _ = Q(state, scale_gradient(features, config.info))
        return fake, real_logits, fake_logits, information_bound(code_logits, code)

    def d_loss(state: TrainState, batch: Batch, key: Array):
        fake, real_logits, fake_logits, information = forward(state, batch, key)
        critic = lambda x: D(state, x)[0][0]
        r1 = config.gamma * penalties.r1(critic, batch["real"], fake, key)
        return losses.non_saturating.d(real_logits, fake_logits) - information + r1, (state, {"penalty": r1})

    def g_loss(state: TrainState, batch: Batch, key: Array):
        _, _, fake_logits, information = forward(state, batch, key)
        return losses.non_saturating.g(fake_logits) - information, (state, {"information": information})

    game = Game(
        networks=(G, D, Q),
        players={
            "generator": Player(("generator", "q"), adam(config.g_lr)),
            "discriminator": Player(("discriminator",), adam(config.d_lr)),
        },
        phases=(Phase("d", "discriminator", d_loss), Phase("g", "generator", g_loss)),
        ema={"generator": optim.ema_decay(config.ema_half_life, config.batch_size)},
    )
    latent = lambda keys: draw_inputs(keys)[0]
    return testbed.target.experiment(game, G, latent, testbed.target.source(config.batch_size))
