"""MoCoGAN (Tulyakov et al. 2018, arXiv 1707.04993): videos whose content and motion have latents of their own.

    python launch.py train mocogan/videos
    python launch.py train mocogan/moving_digits
    python launch.py figure mocogan/fig4

One latent, the content, is the same in all frames; a recurrent network makes another one for each frame, the motion. A
discriminator of images judges one random frame of a video, and a discriminator of videos judges all of them. They are
two players, and the generator's loss is the sum of both (Eq. 7). There are no categories of motion here. As in the
authors' code, the recurrent network starts from a random state, and noise is added before each convolution of the
discriminators. Without noise, the discriminator of videos was nearly certain after 1,000 steps.

The data are those of `vgan/videos`, or the digits of scikit-learn that move. Videos have 8 frames of 16 x 16 pixels by
default, and the paper's have 16 of 64 x 64 (`--size 64 --frames 16`).
"""

import dataclasses

import jax
import optax
from jax import Array

from experiments import vgan as vgan_experiment
from experiments.vgan import DATA_HELP, DATASET, VideoConfig
from jaxgan.core import losses, prng
from jaxgan.core.game import NOISE_KEY, Batch, Game, Network, Phase, Player, TrainState, input_spec
from jaxgan.data import sources, videos
from jaxgan.data.digits import digits
from jaxgan.errors import UserError
from jaxgan.networks import mocogan
from jaxgan.runs import registry, targets
from jaxgan.runs.targets import Target, latent_spec
from jaxgan.training.experiment import Experiment, setting

PAPER = "Tulyakov et al. 2018, arXiv 1707.04993"
SHOWS = "content and motion of a video, each with a latent of its own"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DigitsConfig(VideoConfig):
    """MoCoGAN."""

    frames: int = setting(8, "frames of a video", low=4)
    content: int = setting(50, "dimensions of the content latent")
    motion: int = setting(10, "dimensions of the noise and of the motion latent in each frame")
    b1: float = setting(0.5, "Adam's beta1")
    weight_decay: float = setting(1e-5, "weight decay of all players")
    noise: float = setting(0.2, "standard deviation of the noise before each convolution of the discriminators")
    g_width: int = setting(32, "channels of the generator at half the size; the paper has 64")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(DigitsConfig):
    """MoCoGAN on shapes, or on a folder."""

    data: str = setting("", DATA_HELP)


def random_frames(videos: Array, keys: Array) -> Array:
    """Returns one frame [B, H, W, C] of each video [B, T, H, W, C], as its key [B] decides."""
    choose = lambda video, key: video[jax.random.randint(key, (), 0, len(video))]
    return jax.vmap(choose)(videos, keys)


def three_player(config: DigitsConfig, target: Target) -> Experiment:
    """Returns the game of a generator and two discriminators on a target of videos.

    Raises UserError if the videos are too short for the discriminator of videos.
    """
    frames, size, _, channels = target.shape
    shortest = mocogan.shortest_video(size)
    if frames < shortest:
        raise UserError(
            f"frames {frames} are too few for frames of {size} x {size} pixels; use --frames {shortest} or more"
        )
    latent = prng.normal_latent(config.content + (1 + frames) * config.motion)
    generator = mocogan.Generator(frames, size, channels, config.content, config.motion, config.g_width)
    G = Network("generator", generator, (latent_spec(latent),), convolutional=True)
    discriminator = lambda name, *shape: Network(
        name, mocogan.Discriminator(config.width, config.noise), (input_spec(*shape),), (NOISE_KEY,), convolutional=True
    )
    D_I = discriminator("image_discriminator", size, size, channels)
    D_V = discriminator("video_discriminator", *target.shape)

    def generate(state: TrainState, batch: Batch, key: Array) -> tuple[Array, TrainState, Array, Array, Array]:
        """Returns videos, the state, and three sets of example keys: for frames, and for noise."""
        z_keys, *keys = (prng.example_keys(k, batch["index"]) for k in jax.random.split(key, 4))
        fake, state = G(state, latent(z_keys))
        return fake, state, *keys

    def d_image_loss(state: TrainState, batch: Batch, key: Array):
        fake, state, frame_keys, real_keys, fake_keys = generate(state, batch, key)
        real_logits, state = D_I(state, random_frames(batch["real"], frame_keys), real_keys)
        fake_logits, state = D_I(state, random_frames(fake, frame_keys), fake_keys)
        return losses.non_saturating.d(real_logits, fake_logits), (state, {})

    def d_video_loss(state: TrainState, batch: Batch, key: Array):
        fake, state, _, real_keys, fake_keys = generate(state, batch, key)
        real_logits, state = D_V(state, batch["real"], real_keys)
        fake_logits, state = D_V(state, fake, fake_keys)
        return losses.non_saturating.d(real_logits, fake_logits), (state, {})

    def g_loss(state: TrainState, batch: Batch, key: Array):
        fake, state, frame_keys, image_keys, video_keys = generate(state, batch, key)
        image_logits, _ = D_I(state, random_frames(fake, frame_keys), image_keys)
        video_logits, _ = D_V(state, fake, video_keys)
        image_loss, video_loss = losses.non_saturating.g(image_logits), losses.non_saturating.g(video_logits)
        return image_loss + video_loss, (state, {"image": image_loss, "video": video_loss})

    adam = optax.chain(optax.add_decayed_weights(config.weight_decay), optax.adam(config.lr, config.b1))
    game = Game(
        networks=(G, D_I, D_V),
        players={network.name: Player((network.name,), adam) for network in (G, D_I, D_V)},
        phases=(
            Phase("d_image", "image_discriminator", d_image_loss),
            Phase("d_video", "video_discriminator", d_video_loss),
            Phase("g", "generator", g_loss),
        ),
    )
    return target.experiment(game, G, latent, target.source(config.batch_size))


@registry.register(
    "mocogan/videos",
    Config(),
    paper=PAPER,
    dataset=DATASET,
    shows=SHOWS,
    task="video",
    minutes=6,
    test_settings={"size": 8, "frames": 4, "width": 2, "g_width": 2, "content": 3, "motion": 2},
)
def build(config: Config) -> Experiment:
    """MoCoGAN on the data of `vgan/videos`."""
    return three_player(config, vgan_experiment.target(config.data, config.frames, config.size))


@registry.register(
    "mocogan/moving_digits",
    DigitsConfig(),
    paper=PAPER,
    dataset="1,797 handwritten digits, 8x8, that move",
    shows=SHOWS,
    task="video",
    minutes=4,
    test_settings={"width": 2, "g_width": 2},
)
def build_digits(config: DigitsConfig) -> Experiment:
    """MoCoGAN on grey videos."""
    sample = lambda key: videos.moving_digits(digits().images, config.frames, config.size)(key)
    source = lambda batch_size: sources.density(sample)
    return three_player(config, targets.videos(source, (config.frames, config.size, config.size, 1)))
