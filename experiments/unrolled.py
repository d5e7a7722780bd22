"""Unrolled Generative Adversarial Networks (Metz et al. 2016, arXiv 1611.02163): eight Gaussians on a ring.

    python launch.py train unrolled/ring
    python launch.py figure unrolled/fig2

The generator descends the minimax loss at the discriminator that `unroll` further moves of its own would make; with
none it is the original GAN, and sits on a mode or two. Setting of the paper's appendix A: z in R^256, orthogonal
weights, ReLU, a discriminator with one hidden layer. Scaled down for time: batch 256 and 15,000 steps, where the paper
has 512 and 25,000. The rescue is no part of the paper: same networks, no unrolling, the non-saturating loss and a
strong R1, which came to all 8 modes with three seeds of five and stayed on one with two.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from jax import Array

from jaxgan import figures, latents, losses, metrics, objectives, penalties, pictures, plots, registry
from jaxgan.data import synthetic
from jaxgan.data.source import density
from jaxgan.evaluate.modes import modes
from jaxgan.figures import Claim, Figure, needs
from jaxgan.game import Network, spec
from jaxgan.networks import mlp
from jaxgan.networks.layers import Initializer
from jaxgan.objectives import Penalty, two_player
from jaxgan.registry import Entry, Experiment

PAPER = "Metz et al. 2016, arXiv 1611.02163"
RING = synthetic.ring(scale=1.0)
NEAR = 0.3  # radius of a mode; without an average of weights G's modes are wider than the data's


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(registry.Config):
    """The original GAN with the networks of appendix A."""

    steps: int = 15_000  # how far to train; a step is one batch, and one move of the discriminator
    latent: int = 256  # dimensions of z, drawn from N(0, 1)
    width: int = 128  # units of a hidden layer
    lr: float = 1e-4  # of Adam, for both
    b1: float = 0.5  # of Adam
    b2: float = 0.999  # of Adam


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unrolled(Config):
    """Unrolled GAN."""

    unroll: int = 10  # moves of the discriminator that the generator looks ahead


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rescue(Config):
    """The non-saturating GAN with R1."""

    b1: float = 0.0  # of Adam
    b2: float = 0.99  # of Adam
    gamma: float = 16.0  # weight of half the mean squared gradient norm at reals


class Discriminator(nn.Module):
    """Points [B, 2] to logits [B]; it sees them at a quarter of their size."""

    width: int
    kernel_init: Initializer

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        return mlp.Critic(self.width, 1, nn.relu, self.kernel_init)(x / 4.0)


def build(config: Config, loss: losses.Adversarial = losses.minimax, penalty: Penalty | None = None) -> Experiment:
    """The game without looking ahead."""
    orthogonal = nn.initializers.orthogonal(0.8)
    generator = Network(
        "generator", mlp.Generator((2,), config.width, 2, kernel_init=orthogonal), (spec(config.latent),)
    )
    discriminator = Network("discriminator", Discriminator(config.width, orthogonal), (spec(2),))
    latent = lambda keys: latents.normal(keys, config.latent)
    adam = optax.adam(config.lr, config.b1, config.b2, eps_root=1e-16)
    game = two_player(generator, discriminator, loss, latent, g_optimizer=adam, d_optimizer=adam, penalty=penalty)
    sample = lambda state, keys: generator.bind(state, train=False)(latent(keys))
    picture = lambda samples: pictures.scatter(samples, RING.modes, limits=(-4.0, 4.0))
    evaluate = lambda samples: modes(samples, RING.modes, RING.std, radius=NEAR / RING.std)
    return Experiment(game, density(RING.draw), sample, evaluate, picture, pictured=2_000)


@registry.register(
    "unrolled/ring",
    Unrolled(),
    paper=PAPER,
    dataset="8 Gaussians on a ring",
    shows="a generator that looks ahead spreads over the modes where the original GAN sits on one",
    cost="3 min, 2 CPU cores",
)
def unrolled(config: Unrolled) -> Experiment:
    """The game with the generator looking ahead."""
    experiment = build(config)
    return dataclasses.replace(experiment, game=objectives.unrolled(experiment.game, config.unroll))


def rescue(config: Rescue) -> Experiment:
    """The same networks with the non-saturating loss and R1."""
    r1 = lambda critic, real, fake, key: config.gamma * penalties.r1(critic, real)
    return build(config, losses.non_saturating, r1)


def _entry(name: str, config: Config, make: Callable[[Any], Experiment]) -> Entry:
    return Entry(name, config, make, PAPER, "8 Gaussians on a ring", "for unrolled/fig2", "2 min, 2 CPU cores")


@figures.register(
    "unrolled/fig2",
    paper=PAPER,
    shows="looking ten steps ahead spreads the generator over 8 modes where it sits on one; a strong R1 may do so too",
    cost="23 min, 1 CPU core",
)
def fig2() -> Figure:
    """Samples of the first seed; below them the modes of five seeds, median and range, in 2,500 samples of each."""
    rows = {"unrolled": "K = 10", "plain": "K = 0", "rescue": "R1, γ = 16"}
    at = (0, 3_000, 6_000, 9_000, 12_000, 15_000)
    edges = np.linspace(-3.2, 3.2, 65)
    heat = lambda points: np.histogram2d(points[:, 1], points[:, 0], bins=edges)[0].astype(np.float32)

    def measure(runs: figures.Looks) -> figures.Numbers:
        data = np.asarray(jax.vmap(RING.draw)(jax.random.split(jax.random.key(0), 2_500)))
        found: dict[str, Any] = {"at": [run.step for run in runs["plain"]], "data heat": heat(data)}
        counts = {}
        for name, seen in runs.items():
            samples = [[run.sample(2_500, member=m) for run in seen] for m in range(seen[0].config.seeds)]
            made = [[seen[0].experiment.evaluate(points) for points in one] for one in samples]
            for key, column in (("covered", "modes"), ("high_quality", "near a mode"), ("mode_kl", "KL")):
                counts[name, column] = np.array([[look[key] for look in one] for one in made])
                found[f"{name} {column}"] = counts[name, column].tolist()  # [seeds, steps]
            found[f"{name} heat"] = np.stack([heat(points) for points in samples[0]])
        few = (counts["plain", "modes"][:, -5:] <= 3).sum(1) >= 4
        spread = (counts["unrolled", "modes"][:, -1] == 8) & (counts["unrolled", "KL"][:, -1] < 0.2)
        least, most = counts["rescue", "modes"][:, -2:].min(1), counts["rescue", "KL"][:, -2:].max(1)
        return found | {
            "plain collapsed": int(few.sum()),
            "unrolled spread": int(spread.sum()),
            "rescue spread": int(((least == 8) & (most < 0.1)).sum()),
            "rescue end modes": metrics.summary(least),
            "rescue end KL": metrics.summary(most),
        }

    def plot(found: Mapping[str, Any]) -> Any:
        page, axes = plots.panels(len(rows), len(found["at"]) + 1, height=1.12)
        for line, (name, label) in zip(axes, rows.items(), strict=True):
            for ax, image in zip(line, [*found[f"{name} heat"], found["data heat"]], strict=True):
                ax.imshow(np.sqrt(image), origin="lower", extent=(-3.2, 3.2, -3.2, 3.2))
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
            for ax, seeds in zip(line, np.transpose(found[f"{name} modes"]), strict=False):
                ax.set_xlabel(f"modes {np.median(seeds):.0f} ({seeds.min():.0f}–{seeds.max():.0f})", fontsize=7)
            line[0].set_ylabel(label)
        for ax, title in zip(axes[0], [*(f"step {step:,}" for step in found["at"]), "data"], strict=True):
            ax.set_title(title)
        return page

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("K = 0: seeds of 5 with at most 3 modes at 4 or all of the last 5 looks", "plain collapsed", least=4),
            Claim("K = 10: seeds of 5 with 8 modes and KL from uniform < 0.2 at the end", "unrolled spread", least=4),
            Claim(
                "R1, γ = 16: modes at the last 2 of 5 looks, the lesser, median of 5 seeds",
                "rescue end modes",
                least=8,
            ),
            Claim(
                "R1, γ = 16: KL from uniform at the last 2 looks, the greater, median of 5 seeds",
                "rescue end KL",
                most=0.1,
            ),
        ),
        runs={
            "unrolled": needs("unrolled/ring", *at, unroll=10, seeds=5),
            "plain": needs(_entry("unrolled/plain", Config(), build), *at, seeds=5),
            "rescue": needs(_entry("unrolled/r1_rescue", Rescue(), rescue), *at, seeds=5),
        },
    )
