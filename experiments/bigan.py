"""BiGAN (Donahue et al. 2016, arXiv 1605.09782), also ALI (Dumoulin et al. 2016, arXiv 1606.00704).

    python launch.py train bigan/digits
    python launch.py train bigan/mnist

An encoder E maps images to latents, and the discriminator compares the pairs (x, E(x)) and (G(z), z). It maximises
E log D(x, E(x)) + E log(1 - D(G(z), z)). G and E minimise the cross-entropy with exchanged targets,
-E log D(G(z), z) - E log(1 - D(x, E(x))). The optimal E inverts G.

`eval/reconstruction` is the mean absolute error of G(E(x)) on training images, and `eval/neighbour_accuracy` the share
of them whose nearest other image, by the distance of codes, has their class. On the 8x8 digits the networks are fully
connected, on other images DCGAN's, and E is a discriminator that returns codes.
"""

import dataclasses

import jax
import numpy as np
import optax

from experiments import conditionings, testbeds
from experiments.defaults import ImageSet
from jaxgan.core import games, losses, optim, prng
from jaxgan.core.game import Network, TrainState, input_spec
from jaxgan.core.terms import Forward, Term
from jaxgan.networks import heads
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
    testbeds.on_images(Config),
    paper=PAPER,
    shows="an encoder that inverts the generator, learned by a critic of pairs of image and code",
)
def build(images: ImageSet, config: Config) -> Experiment:
    """Generator and encoder are one player."""
    image, code = input_spec(*images.target.shape), input_spec(config.latent)
    G = images.network(config, "generator", images.generator(config), code)
    E = images.network(config, "encoder", images.discriminator(config, heads.Code(config.latent)), image)
    D = images.network(config, "discriminator", images.discriminator(config, heads.Pair(config.width)), image, code)
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
        from scipy.spatial.distance import cdist  # Takes a moment to import.

        data = images.target.data("train").in_memory()
        x = np.float32(data.images[:JUDGED]) / 127.5 - 1.0
        z, reconstruction = jax.device_get(encode(state, x))
        distances = cdist(z, z)
        np.fill_diagonal(distances, np.inf)
        same = data.labels[:JUDGED][distances.argmin(1)] == data.labels[:JUDGED]
        return {"reconstruction": float(np.abs(reconstruction - x).mean()), "neighbour_accuracy": float(same.mean())}

    return images.target.experiment(game, G, latent, images.source(config), evaluate_state)
