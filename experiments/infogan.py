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
import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from experiments import defaults, testbeds
from experiments.defaults import Testbed
from experiments.testbeds import RING
from jaxgan.core import games, losses, optim, penalties, prng
from jaxgan.core.game import Network, input_spec
from jaxgan.core.terms import Pass, Term
from jaxgan.networks import mlp
from jaxgan.networks.heads import Outputs
from jaxgan.networks.layers import leaky_relu
from jaxgan.training.experiment import Experiment, setting

PAPER = "Chen et al. 2016, arXiv 1606.03657"
NUM_CODES = 8  # as many as the ring has modes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(defaults.Config):
    """InfoGAN."""

    steps: int = 10_000
    latent: int = setting(62, "dimensions of z, drawn from U(-1, 1)")
    info: float = setting(1.0, "weight of L_I; with 0 the game is a plain GAN that may ignore the code")
    b1: float = setting(0.0, "beta1 of Adam")
    b2: float = setting(0.99, "beta2 of Adam")
    gamma: float = setting(0.4, "weight of R1, half the mean squared gradient norm at reals")


class Discriminator(nn.Module):
    """Maps points [B, 2] to "logits" [B] and "features" [B, width]."""

    width: int

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Outputs:
        for _ in range(2):
            x = leaky_relu(nn.Dense(self.width, kernel_init=mlp.HE_UNIFORM)(x))
        return {"logits": nn.Dense(1, kernel_init=mlp.HE_UNIFORM)(x)[:, 0], "features": x}


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


def draw(keys: Array, noise: int) -> Array:
    """Returns latents [B, noise + NUM_CODES]: noise from U(-1, 1), then a uniformly drawn code."""
    z_keys, code_keys = jnp.unstack(jax.vmap(jax.random.split)(keys), axis=1)
    code = jax.vmap(lambda key: jax.random.randint(key, (), 0, NUM_CODES))(code_keys)
    return generator_input(prng.uniform(z_keys, noise, minval=-1.0), code)


def information(q: Network, weight: float) -> Term:
    """Returns -L_I of the fakes, which Q always minimises with weight 1, and the others with `weight` (Eq. 6)."""

    def minus_bound(p: Pass) -> Array:
        code_logits, _ = q(p.state, scale_gradient(p.fake_out["features"], weight))
        return -information_bound(code_logits, p.z[:, -NUM_CODES:].argmax(1))

    return Term("minus_information", d=minus_bound, g=minus_bound)


@testbeds.register_on(
    "infogan",
    {RING: Config()},
    paper=PAPER,
    shows="a code that can be predicted from the sample: each of its values becomes one mode, without labels",
)
def build(testbed: Testbed, config: Config) -> Experiment:
    """Returns the experiment of three networks and two players: Q trains with the generator."""
    shape, width = testbed.target.shape, config.width
    q_module = mlp.Generator((NUM_CODES,), width, depth=1, activation=leaky_relu)
    G = Network("generator", mlp.Generator(shape, width, depth=2), (input_spec(config.latent + NUM_CODES),))
    D = Network("discriminator", Discriminator(width), (input_spec(*shape),))
    Q = Network("q", q_module, (input_spec(width),))
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    latent = functools.partial(draw, noise=config.latent)
    game = games.two_player(
        G,
        D,
        losses.non_saturating,
        latent,
        g_optimizer=adam(config.g_lr),
        d_optimizer=adam(config.d_lr),
        penalty=penalties.r1,
        penalty_weight=config.gamma,
        terms=(information(Q, config.info),),
        g_networks=(Q,),
        ema=optim.ema_decay(config.ema_half_life, config.batch_size),
    )
    return testbed.target.experiment(game, G, latent, testbed.target.source(config.batch_size))
