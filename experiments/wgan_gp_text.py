"""Characters by WGAN-GP (Gulrajani et al. 2017, arXiv 1704.00028, section 5.4), and by weight clipping.

    python launch.py train wgan_gp/text
    python launch.py train wgan_gp/text --data book.txt
    python launch.py figure wgan_gp/text

The generator's softmax goes to the critic as it is, and no character is ever drawn. Samples are the most likely
characters. The text is the documentation of Python's `help`, or a file. The networks are those of the authors' code
with 48 channels in place of 512, 3 blocks in place of 5 and 5 critic updates in place of 10. In the same time on a CPU
these take five times as many updates as 64 channels, 5 blocks and batches of 64, and updates are what samples lack.

`wgan/text` clips the weights of the same critic to [-0.01, 0.01] and uses RMSProp, as WGAN does. In the paper this
fails to learn.
"""

import dataclasses
import functools
from pathlib import Path

import optax

from experiments import wgan_gp
from jaxgan.core import losses, optim, penalties, prng
from jaxgan.data import text
from jaxgan.networks import char_resnet
from jaxgan.runs import registry, targets
from jaxgan.training import experiment
from jaxgan.training.experiment import Experiment, setting

DATASET = "Python's documentation, or a text file of yours; 32 characters"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(experiment.Config):
    """Settings that both variants share."""

    steps: int = 8_000
    batch_size: int = 32
    log_every: int = 100
    sample_every: int = 1_000
    evaluate_every: int = 1_000
    save_every: int = 1_000
    data: str = setting("", "a UTF-8 text file; by default the documentation of Python's help")
    alphabet: str = setting(text.ALPHABET, "the characters that are told apart; all others are one more character")
    length: int = setting(32, "characters of an example")
    latent: int = setting(128, "dimensions of z, from N(0, 1)")
    width: int = setting(48, "channels of both networks; the authors have 512")
    blocks: int = setting(3, "residual blocks of each network; the authors have 5")
    n_critic: int = setting(5, "critic updates per generator update; the authors' code has 10")
    lr: float = setting(1e-4, "learning rate of both players")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PenaltyConfig(Config):
    """Gradient penalty and Adam."""

    lr: float = 1e-3
    b1: float = setting(0.5, "Adam's beta1")
    b2: float = setting(0.9, "Adam's beta2")
    penalty: float = setting(10.0, "weight of the gradient penalty, lambda")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClippingConfig(Config):
    """Weight clipping and RMSProp, with WGAN's settings."""

    lr: float = 5e-5
    clip: float = setting(0.01, "bound on the absolute value of each weight of the critic")


def two_player(config: Config, optimizer: optax.GradientTransformation, **options) -> Experiment:
    """Returns the experiment of Wasserstein losses on the text; `options` are those of `games.two_player`."""
    path = Path(config.data) if config.data else None
    load = lambda: text.windows(text.read_text(path), config.length, config.alphabet)
    data = targets.text(load, text.vocabulary(config.alphabet), config.length)
    return data.two_player(
        config,
        char_resnet.Generator(*data.shape, config.width, config.blocks),
        char_resnet.Critic(config.width, config.blocks),
        losses.wasserstein,
        prng.normal_latent(config.latent),
        g_optimizer=optimizer,
        n_critic=config.n_critic,
        convolutional=True,
        **options,
    )


register = functools.partial(
    registry.register,
    paper=wgan_gp.PAPER,
    dataset=DATASET,
    task="text",
    test_settings={"width": 4, "blocks": 1},
)


@register(
    "wgan_gp/text",
    PenaltyConfig(),
    shows="characters without sampling: the critic compares softmax outputs with one-hot text",
    minutes=5,
)
def penalised(config: PenaltyConfig) -> Experiment:
    """Adam, and a gradient penalty between text and samples."""
    adam = optax.adam(config.lr, config.b1, config.b2)
    return two_player(config, adam, d_optimizer=adam, penalty=penalties.gradient_penalty, penalty_weight=config.penalty)


@register(
    "wgan/text",
    ClippingConfig(),
    shows="the same networks with weight clipping, which learn no words",
    minutes=3,
)
def clipped(config: ClippingConfig) -> Experiment:
    """RMSProp, and the critic's weights clipped after each update."""
    rmsprop = optim.rmsprop(config.lr)
    return two_player(config, rmsprop, d_optimizer=optax.chain(rmsprop, optim.clip_weights(config.clip)))
