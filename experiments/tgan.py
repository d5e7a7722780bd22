"""TGAN (Saito et al. 2017, arXiv 1611.06624): latents over time, and a critic with clipped singular values.

    python launch.py train tgan/videos
    python launch.py train tgan/videos --data FOLDER

A generator of latents makes one latent for each frame by convolutions over time. A generator of images draws each frame
from this latent and from the video's own. The critic of Wasserstein GAN is kept Lipschitz by clipping the singular
values of its layers at every fifth update, in place of its parameters.

As in the authors' code, both players update at every step; here the critic is first, and there they update together.
The critic is VGAN's: it has biases in batch norm, and the authors' has none. The data are those of `vgan/videos`.
Videos have 8 frames of 16 x 16 pixels by default, and the paper's have 16 of 64 x 64 (`--size 64 --frames 16`).
"""

import dataclasses

import optax

from experiments import vgan as vgan_experiment
from experiments.vgan import DATA_HELP, DATASET, VideoConfig
from jaxgan.core import games, losses, optim, prng
from jaxgan.core.game import Network, input_spec
from jaxgan.errors import UserError
from jaxgan.networks import tgan, vgan
from jaxgan.runs import registry
from jaxgan.training.experiment import Experiment, setting

PAPER = "Saito et al. 2017, arXiv 1611.06624"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(VideoConfig):
    """TGAN. The learning rate is for a few thousand steps; that of the authors' code is 5e-5."""

    data: str = setting("", DATA_HELP)
    frames: int = setting(8, "frames of a video, a power of two")
    latent: int = setting(100, "dimensions of z, and of the latent of each frame")
    lr: float = 5e-4
    clip_every: int = setting(5, "updates of the critic per clipping of its singular values", low=1)


@registry.register(
    "tgan/videos",
    Config(),
    paper=PAPER,
    dataset=DATASET,
    shows="a latent for each frame by convolutions over time, and a critic with clipped singular values",
    task="video",
    minutes=4,
    test_settings={"size": 8, "frames": 4, "width": 2, "latent": 4},
)
def build(config: Config) -> Experiment:
    """RMSProp without momentum for both networks.

    Raises UserError if the number of frames is not a power of two, or too small for the critic.
    """
    frames, shortest = config.frames, config.size // vgan.BASE
    if frames < shortest or frames & (frames - 1):
        raise UserError(f"frames is {frames}; use a power of two of at least {shortest}, a quarter of the size")
    target = vgan_experiment.target(config.data, frames, config.size)
    latent = prng.uniform_latent(config.latent)
    generator = tgan.Generator(frames, config.size, target.shape[-1], config.width)
    G = Network("generator", generator, (input_spec(config.latent),), convolutional=True)
    D = Network("discriminator", vgan.Discriminator(config.width), (input_spec(*target.shape),), convolutional=True)
    rmsprop = optim.rmsprop(config.lr)
    game = games.two_player(
        G,
        D,
        losses.wasserstein,
        latent,
        g_optimizer=rmsprop,
        d_optimizer=optax.chain(rmsprop, optim.clip_singular_values(config.clip_every)),
    )
    return target.experiment(game, G, latent, target.source(config.batch_size))
