"""PacGAN: The power of two samples in generative adversarial networks (Lin et al. 2017, arXiv 1712.04086).

    python launch.py train pacgan/grid --pack 4 --batch-size 400
    python launch.py figure pacgan/table1

The discriminator judges some samples of one origin at once, and so sees what the generator leaves out. All else is the
original GAN. The authors' script for points of the plane has layers of 400 units in the generator, of 200 in the
discriminator, weights from N(0, 0.02^2), Adam at 1e-4 and 400,000 steps of 100 packs, which take hours. Here layers
have 64 and 32 units and there are 20,000 steps. With the width go the deviation of the weights, as 1 / sqrt(width), so
that signals keep their size, and Adam's rate, as 1 / width: the steps add up to those of 125,000 at the authors' rate.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import imagesets
from jaxgan import figures, latents, losses, metrics, pictures, plots, registry
from jaxgan.data import synthetic
from jaxgan.data.source import density
from jaxgan.evaluate.modes import modes
from jaxgan.figures import Claim, Figure, needs
from jaxgan.game import Network, spec
from jaxgan.networks import mlp
from jaxgan.networks.layers import batch_norm
from jaxgan.objectives import two_player
from jaxgan.registry import Experiment

PAPER = "Lin et al. 2017, arXiv 1712.04086"
SHOWS = "a discriminator that sees two samples at once, so that it sees what the generator leaves out"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(registry.Config):
    """PacGAN on points of the plane."""

    steps: int = 20_000  # how far to train; a step is one move of both players
    batch_size: int = 200  # examples a step, over all devices: `pack` times as many as there are packs
    pack: int = 2  # examples that the discriminator judges as one; 1 is the original GAN
    latent: int = 2  # dimensions of z, drawn from N(0, 1)
    g_width: int = 64  # units of a hidden layer of the generator
    d_width: int = 32  # units of a hidden layer of the discriminator, each the largest of five
    weight_std: float = 0.05  # of the initial weights
    lr: float = 6.25e-4  # learning rate of both players
    b1: float = 0.8  # of Adam


def build(made: synthetic.Density, config: Config) -> Experiment:
    """Batch norm in the generator alone."""
    normal = jax.nn.initializers.normal(config.weight_std)
    norm = functools.partial(batch_norm, momentum=math.sqrt(0.95))  # 0.95 a step, of which each player sees one batch.
    g_module = mlp.Generator((2,), config.g_width, depth=4, kernel_init=normal, norm=norm)
    d_module = mlp.Packed(mlp.MaxoutCritic(config.d_width, kernel_init=normal), config.pack)
    generator = Network("generator", g_module, (spec(config.latent),))
    discriminator = Network("discriminator", d_module, (jax.ShapeDtypeStruct((config.pack, 2), jnp.float32),))
    latent = lambda keys: latents.normal(keys, config.latent)
    game = two_player(
        generator,
        discriminator,
        losses.non_saturating,
        latent,
        g_optimizer=optax.adam(config.lr, config.b1),
        d_optimizer=optax.adam(config.lr, config.b1),
        simultaneous=True,
    )
    sample = lambda state, keys: generator.bind(state, train=False)(latent(keys))
    evaluate = lambda samples: modes(samples, made.modes, made.std, share=0)
    data = np.asarray(jax.vmap(made.draw)(jax.random.split(jax.random.key(0), 10_000)))
    picture = lambda samples: pictures.scatter(samples, data)
    return Experiment(game, density(made.draw), sample, evaluate, picture, pictured=2_500)


BEDS = {
    "grid": (synthetic.grid(scale=1.0), "25 Gaussians on a grid"),
    "ring": (synthetic.ring(radius=1.0, std=0.01, scale=1.0), "8 Gaussians on a ring"),
}
for bed, (made, dataset) in BEDS.items():
    registry.register(
        f"pacgan/{bed}",
        Config(),
        paper=PAPER,
        dataset=dataset,
        shows=SHOWS,
        cost="1 min, 2 CPU cores",
    )(functools.partial(build, made))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stacked(imagesets.Config):
    """PacGAN on Stacked MNIST, section 4.2."""

    batch_size: int = 128  # examples a step, over all devices: `pack` times as many as there are packs
    pack: int = 2  # images that the discriminator judges as one; 1 is DCGAN
    latent: int = 100  # dimensions of z, drawn from U(-1, 1)
    g_lr: float = 2e-4  # learning rate of the generator
    d_lr: float = 2e-4  # learning rate of the discriminator
    b1: float = 0.5  # of Adam


@imagesets.on(
    "pacgan",
    {imagesets.STACKED_MNIST: Stacked(**imagesets.STACKED_MNIST.defaults | {"steps": 100_000})},
    paper=PAPER,
    shows=SHOWS,
)
def stacked(made: imagesets.ImageSet, config: Stacked) -> Experiment:
    """The generator moves twice to each move of the discriminator, as in the authors' script."""
    g_module, d_module = made.networks(config)
    adam = lambda lr: optax.adam(lr, config.b1)
    experiment = made.two_player(
        config,
        (g_module, mlp.Packed(d_module, config.pack)),
        losses.non_saturating,
        adam(config.g_lr),
        adam(config.d_lr),
        latent=lambda keys: latents.uniform(keys, config.latent, minval=-1.0),
        pack=config.pack,
    )
    d, g = experiment.game.phases
    game = dataclasses.replace(experiment.game, phases=(d, g, dataclasses.replace(g, name="g_again")))
    return dataclasses.replace(experiment, game=game)


@figures.register(
    "pacgan/table1",
    paper=PAPER,
    shows="modes reached, quality and balance of samples, where the discriminator sees one or four at once; networks "
    "of a sixth of the authors' width and 20,000 steps for their 400,000, in 5 seeds",
    cost="10 min, 2 CPU cores",
)
def table1() -> Figure:
    """Of 2,500 samples: modes with one or more within 3 std, the part that is, and its KL from even, in nats."""
    packs = {"GAN": 1, "PacGAN4": 4}
    columns = {"covered": "modes", "high_quality": "high quality", "mode_kl": "reverse KL"}

    def measure(looks: figures.Looks) -> figures.Numbers:
        numbers: dict[str, Any] = {}
        for label, (run,) in looks.items():
            samples = [run.sample(2_500, member=k) for k in range(run.config.seeds)]
            made = BEDS[label.split()[0]][0]
            found = [modes(x, made.modes, made.std, share=0) for x in samples]
            numbers[f"{label} samples"] = samples[0]
            for key in columns:
                numbers[f"{label} {key}"] = metrics.summary([seed[key] for seed in found])
                numbers[f"{label} {key} mean"] = float(np.mean([seed[key] for seed in found]))
        for bed in BEDS:
            for key in ("covered", "mode_kl"):
                mean = lambda method: numbers[f"{bed} {method} {key} mean"]
                numbers[f"{bed} {key} gain"] = mean("PacGAN4") - mean("GAN")
        return numbers

    def plot(found: Mapping[str, Any]) -> Any:
        page, axes = plots.panels(2, len(packs) + 1, height=1.9)
        for row, (bed, (made, _)) in zip(axes, BEDS.items(), strict=True):
            side = 1.3 * np.abs(made.modes).max()
            *shown, dots = row
            for ax, method in zip(shown, packs, strict=True):
                ax.plot(*made.modes.T, "o", color="0.8", markersize=5, zorder=0)
                ax.plot(*found[f"{bed} {method} samples"].T, ".", markersize=1, alpha=0.5)
                ax.set(xlim=(-side, side), ylim=(-side, side), xticks=[], yticks=[], aspect="equal")
                ax.spines[:].set_visible(False)
                covered, quality, kl = (found[f"{bed} {method} {key} mean"] for key in columns)
                ax.set_xlabel(f"{covered:.1f} modes, {quality:.0%} hq, KL {kl:.2f}")
            for k, method in enumerate(packs):
                seeds = np.array(found[f"{bed} {method} covered"]["seeds"])
                dots.plot(k + np.linspace(-0.15, 0.15, len(seeds)), seeds, "o", markersize=3)
                dots.plot([k - 0.3, k + 0.3], [seeds.mean()] * 2, color="black", linewidth=0.8)
            dots.set(xticks=range(len(packs)), xticklabels=packs.values(), ylabel=f"modes of {len(made.modes)}")
            dots.yaxis.get_major_locator().set_params(integer=True)
            row[0].set_ylabel(bed)
        for ax, method in zip(axes[0], packs, strict=False):
            ax.set_title(method)
        axes[0, -1].set_title("5 seeds and their mean")
        axes[-1, -1].set_xlabel("samples in a pack")
        return page

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("grid: modes of PacGAN4 less those of GAN, means of 5 seeds", "grid covered gain", least=3),
            Claim("grid: the same of the reverse KL, nats", "grid mode_kl gain", most=0),
        ),
        runs={
            f"{bed} {method}": needs(f"pacgan/{bed}", 20_000, seeds=5, pack=m, batch_size=100 * m)
            for bed in BEDS
            for method, m in packs.items()
        },
    )
