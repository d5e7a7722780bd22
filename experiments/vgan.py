"""VGAN (Vondrick et al. 2016, arXiv 1609.02612): videos as a moving foreground over a background at rest.

    python launch.py train vgan/videos
    python launch.py train vgan/videos --data FOLDER

The generator makes a background image and, by 3-D convolutions, a foreground video and a mask that mixes them (Eq. 4).
The generator's loss has a term for the mean of the mask, so that the foreground appears only where it is needed.

The data are shapes that move on curves, made anew for each batch, or a folder of GIFs or of numbered frames. Videos
have 8 frames of 16 x 16 pixels by default, and the paper's have 32 of 64 x 64 (`--size 64`).
"""

import dataclasses

import optax
from jax import Array

from jaxgan.core import games, losses, prng
from jaxgan.core.game import Batch, Game, Network, Phase, Player, TrainState, input_spec
from jaxgan.data import sources, videos
from jaxgan.data.folders import find_folder
from jaxgan.evaluate.content import content_metrics
from jaxgan.networks import vgan
from jaxgan.runs import registry, targets
from jaxgan.runs.targets import Target
from jaxgan.training import experiment
from jaxgan.training.experiment import Experiment, setting

PAPER = "Vondrick et al. 2016, arXiv 1609.02612"
DATA_HELP = "a folder of GIFs or of numbered frames, or a TFDS data set, name:split; by default moving shapes"
DATASET = "moving shapes, or your videos: a folder, or a data set of TFDS"


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoConfig(experiment.Config):
    """Settings of experiments on videos."""

    steps: int = 6_000
    batch_size: int = 16
    log_every: int = 100
    sample_every: int = 500
    evaluate_every: int = 500
    save_every: int = 500
    size: int = setting(16, "side of a frame in pixels: 4 times a power of two")
    width: int = setting(16, "channels at half the size; the papers have 64")
    lr: float = setting(2e-4, "learning rate of all players")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(VideoConfig):
    """VGAN."""

    data: str = setting("", DATA_HELP)
    b1: float = setting(0.5, "Adam's beta1")
    latent: int = setting(100, "dimensions of z")
    mask: float = setting(0.1, "weight of the mean of the mask, lambda")


def target(data: str, frames: int, size: int) -> Target:
    """Returns the target of moving shapes, of the videos in the folder `data`, or of the TFDS data set of that name."""
    shape = (frames, size, size, 3)
    if not data:
        sample = videos.shapes(frames, size)
        source = lambda batch_size: sources.density(lambda key: sample(key).video)
        return targets.videos(source, shape, content_metrics)
    if folder := find_folder(data):
        load = lambda: {"real": videos.load_folder(folder, frames, size)}
        return targets.videos(lambda batch_size: sources.arrays(load, batch_size), shape)
    name, _, split = data.partition(":")
    open_videos = lambda: videos.open_tfds(name, split or "train", frames, size)
    return targets.videos(lambda batch_size: sources.images(open_videos, batch_size), shape)


@registry.register(
    "vgan/videos",
    Config(),
    paper=PAPER,
    dataset=DATASET,
    shows="foreground, background and the mask between them, without labels",
    task="video",
    minutes=3,
    test_settings={"size": 8, "width": 2, "latent": 4},
)
def build(config: Config) -> Experiment:
    """The non-saturating game of the paper with the mean of the mask in the generator's loss."""
    videos_target = dataclasses.replace(
        target(config.data, config.size // 2, config.size), decode=lambda layers: layers.video
    )
    latent = prng.normal_latent(config.latent)
    G = Network(
        "generator", vgan.Generator(config.size, config.width), (input_spec(config.latent),), convolutional=True
    )
    D = Network(
        "discriminator", vgan.Discriminator(config.width), (input_spec(*videos_target.shape),), convolutional=True
    )
    generate, discriminate = games.forward_functions(G, D, latent)

    def d_loss(state: TrainState, batch: Batch, key: Array):
        layers, state = generate(state, batch, key)
        real_logits, state = discriminate(state, batch["real"], batch, key)
        fake_logits, state = discriminate(state, layers.video, batch, key)
        scalars = {"real_logits": real_logits.mean(), "fake_logits": fake_logits.mean()}
        return losses.non_saturating.d(real_logits, fake_logits), (state, scalars)

    def g_loss(state: TrainState, batch: Batch, key: Array):
        layers, state = generate(state, batch, key)
        fake_logits, _ = discriminate(state, layers.video, batch, key)
        mask = layers.mask.mean()
        return losses.non_saturating.g(fake_logits) + config.mask * mask, (state, {"mask": mask})

    adam = optax.adam(config.lr, config.b1)
    game = Game(
        networks=(G, D),
        players={"generator": Player(("generator",), adam), "discriminator": Player(("discriminator",), adam)},
        phases=(Phase("d", "discriminator", d_loss), Phase("g", "generator", g_loss)),
    )
    return videos_target.experiment(game, G, latent, videos_target.source(config.batch_size))
