"""The original GAN on MNIST (Goodfellow et al. 2014, arXiv 1406.2661): the GAN of its table 1.

    python launch.py train gan/mnist
    python launch.py figure gan/table1 gan/fig2

The settings are those of the authors' mnist.yaml (goodfeli/adversarial), whose noise is normal by default. As in their
code, both players update from the parameters before the step. If the generator updates after the discriminator, the
latter wins within 2,000 steps, and all samples are alike. Training ends after 250 epochs, when the momentum has reached
its final value. A step takes 50 ms on one CPU core.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.testbeds import MNIST
from jaxgan.core import losses, prng
from jaxgan.core.game import LABEL, NOISE_KEY, Network, input_spec
from jaxgan.core.games import Latent, two_player
from jaxgan.data.datasets import Dataset
from jaxgan.networks import maxout
from jaxgan.networks.layers import Initializer
from jaxgan.runs.registry import register
from jaxgan.training import experiment
from jaxgan.training.experiment import Experiment, setting

PAPER = "Goodfellow et al. 2014, arXiv 1406.2661"
TRAIN_SPLIT = "train[:50000]"  # The other 10,000 training images serve to choose the width of a Parzen window.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(experiment.Config):
    """The settings of the authors' mnist.yaml."""

    steps: int = 125_000  # 250 epochs
    batch_size: int = 100
    log_every: int = 100
    latent: int = setting(100, "dimensions of z")
    width: int = setting(1200, "units of a hidden layer of the generator", low=6)
    units: int = setting(240, "units of a hidden layer of the discriminator; each is the maximum of five", low=5)
    lr: float = setting(0.1, "initial learning rate")
    lr_decay: float = setting(1.000004, "the learning rate is divided by this at each step, down to 1e-6")
    momentum: float = setting(0.5, "initial momentum")
    last_momentum: float = setting(0.7, "final momentum, approached linearly")
    momentum_steps: int = setting(125_000, "steps until the final momentum; 250 epochs")


def build_maxout(config: Config, latent: Latent, conditional: bool = False) -> Experiment:
    """Returns the experiment on MNIST of a ReLU generator and a maxout discriminator with dropout.

    Both players update at once, by SGD with momentum. The discriminator's loss is half the cross-entropy. The factor
    changes the steps of SGD; it would not change those of Adam.

    Args:
        config: The settings.
        latent: Draws z [B, config.latent] from example keys.
        conditional: Whether both networks receive the labels. The conditional generator has dropout as well.
    """
    lr = lambda count: jnp.maximum(config.lr * config.lr_decay ** -jnp.float32(count), 1e-6)
    momentum = optax.linear_schedule(config.momentum, config.last_momentum, config.momentum_steps)
    sgd = optax.inject_hyperparams(optax.sgd)(learning_rate=lr, momentum=momentum)
    target, cross_entropy = MNIST.target, losses.non_saturating
    half_cross_entropy = cross_entropy._replace(d=lambda real, fake: 0.5 * cross_entropy.d(real, fake))
    classes = target.classes if conditional else 0
    g_module = maxout.Generator(target.shape, config.width, classes, mean_pixels(lambda: target.data(TRAIN_SPLIT)))
    d_module = maxout.Discriminator(config.units, classes)
    g_extra, d_extra = ((LABEL, NOISE_KEY), (LABEL, NOISE_KEY)) if conditional else ((), (NOISE_KEY,))
    generator = Network("generator", g_module, (input_spec(config.latent),), g_extra)
    discriminator = Network("discriminator", d_module, (input_spec(*target.shape),), d_extra)
    game = two_player(
        generator, discriminator, half_cross_entropy, latent, g_optimizer=sgd, d_optimizer=sgd, simultaneous=True
    )
    return target.experiment(game, generator, latent, target.source(config.batch_size, split=TRAIN_SPLIT))


@register(
    "gan/mnist",
    Config(),
    paper=PAPER,
    dataset=MNIST.dataset,
    shows="the first GAN: ReLU against maxout with dropout, trained by SGD with momentum",
    task="images",
    minutes=105,
)
def build(config: Config) -> Experiment:
    """Returns the unconditional experiment with z from N(0, 1)."""
    return build_maxout(config, prng.normal_latent(config.latent))


def mean_pixels(load: Callable[[], Dataset]) -> Initializer:
    """Returns the initializer of output biases with which an untrained generator produces the mean image.

    The biases are the logits of the mean pixels, in [0, 1]. `load` is called when a run starts.
    """

    def logits() -> np.ndarray:
        mean = np.clip(load().images.mean(0, dtype=np.float64).ravel() / 255, 1e-7, 1 - 1e-7)
        return np.float32(np.log(mean) - np.log1p(-mean))

    def init(key: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
        # A callback, so that shape inference does not read the data.
        return jax.pure_callback(logits, jax.ShapeDtypeStruct(shape, dtype), vmap_method="broadcast_all")

    return init
