"""BiGAN (Donahue et al. 2016, arXiv 1605.09782), also ALI (Dumoulin et al. 2016, arXiv 1606.00704), on the 8x8 digits.

    python launch.py train bigan/digits

An encoder E maps images to latents, and the discriminator compares the pairs (x, E(x)) and (G(z), z). The optimal E
inverts G. `eval/reconstruction` is the mean absolute error of G(E(x)) on training images, and `eval/neighbour_accuracy`
the share of them whose nearest other image, by the distance of codes, has their class. Networks are fully connected.
"""

import dataclasses

import jax
import numpy as np
import optax

from experiments import conditionings, testbeds
from experiments.defaults import DenseImageSet
from experiments.testbeds import DENSE_DIGITS
from jaxgan.core import games, losses, optim, prng
from jaxgan.core.game import Network, TrainState, input_spec
from jaxgan.core.terms import Forward, Term
from jaxgan.data.digits import digits
from jaxgan.evaluate.neighbours import nearest
from jaxgan.networks.autoencoder import Encoder, PairCritic
from jaxgan.training.experiment import Experiment

PAPER = "Donahue et al. 2016, arXiv 1605.09782"
JUDGED = 500  # training images whose codes are examined

# G and E minimise the cross-entropy with exchanged targets.
BOTH_SIDES = losses.Relativistic(
    d=losses.non_saturating.d,
    g=lambda real_logits, fake_logits: losses.non_saturating.d(fake_logits, real_logits),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(conditionings.Config):
    """BiGAN."""


def pairs(encoder: Network, discriminator: Network) -> Term:
    """Returns the term that shows the discriminator the pairs (x, E(x)) and (G(z), z) instead of images."""

    def change(forward: Forward) -> Forward:
        def generate(state: TrainState, z, batch, key):
            fake, state = forward.generate(state, z, batch, key)
            return (fake, z), state

        return forward._replace(
            generate=generate,
            real=lambda state, batch, key: (batch["real"], encoder(state, batch["real"])[0]),
            discriminate=lambda state, pair, batch, key: discriminator(state, *pair),
        )

    return Term("pairs", forward=change)


@testbeds.register_on(
    "bigan",
    {DENSE_DIGITS: Config(**DENSE_DIGITS.defaults)},
    paper=PAPER,
    shows="an encoder that inverts the generator, learned by a critic of pairs of image and code",
)
def build(images: DenseImageSet, config: Config) -> Experiment:
    """Generator and encoder are one player."""
    g_module, _ = images.with_head(config)
    image, code = input_spec(*images.target.shape), input_spec(config.latent)
    G, E = Network("generator", g_module, (code,)), Network("encoder", Encoder(config.latent, config.width), (image,))
    D = Network("discriminator", PairCritic(config.width), (image, code))
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    latent = prng.normal_latent(config.latent)
    game = games.two_player(
        G,
        D,
        BOTH_SIDES,
        latent,
        g_optimizer=adam(config.g_lr),
        d_optimizer=adam(config.d_lr),
        terms=(pairs(E, D),),
        g_networks=(E,),
        ema=optim.ema_decay(config.ema_half_life, config.batch_size),
    )

    @jax.jit
    def encode(state: TrainState, x):
        z = E.bind(state.with_ema(), train=False)(x)
        return z, G.bind(state.with_ema(), train=False)(z)

    def evaluate_state(state: TrainState) -> dict[str, float]:
        data = digits()
        x = np.float32(data.images[:JUDGED]) / 127.5 - 1.0
        z, reconstruction = jax.device_get(encode(state, x))
        far = np.eye(JUDGED) * 1e6  # Puts an example far from itself.
        index, _ = nearest(np.hstack([z, far]), np.hstack([z, 0 * far]))
        same = data.labels[:JUDGED][index] == data.labels[:JUDGED]
        return {"reconstruction": float(np.abs(reconstruction - x).mean()), "neighbour_accuracy": float(same.mean())}

    return images.target.experiment(game, G, latent, images.source(config), evaluate_state)
