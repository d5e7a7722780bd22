"""Least Squares Generative Adversarial Networks (Mao et al. 2016, arXiv 1611.04076).

    python launch.py train lsgan/ring
    python launch.py train lsgan/mnist
    python launch.py figure lsgan/fig6

Networks, optimisers and data of the ring are those of the authors' script, after a notebook for unrolled GANs, but for
three things: that has the angle 0 twice, also as 2 pi, and so a mode of double mass, here the eight modes are alike;
its players move at once, here in turn; and its batch is 512, here 64, for time.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import imagesets, testbeds
from jaxgan import figures, latents, losses, metrics, pictures, plots, registry
from jaxgan.data import synthetic
from jaxgan.data.source import density
from jaxgan.evaluate.modes import modes
from jaxgan.figures import Claim, Figure, needs
from jaxgan.game import Network, spec
from jaxgan.networks import mlp
from jaxgan.objectives import two_player
from jaxgan.registry import Experiment

PAPER = "Mao et al. 2016, arXiv 1611.04076"
RING = synthetic.ring(radius=1.0, std=0.01, scale=1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(registry.Config):
    """Two layers of tanh on the ring."""

    steps: int = 35_000  # how far to train; a step is one move of each player
    batch_size: int = 64  # examples a step, over all devices; the authors have 512
    latent: int = 256  # dimensions of z, drawn from N(0, 1)
    width: int = 128  # units of a hidden layer
    gain: float = 1.4  # of the orthogonal initial weights
    g_lr: float = 1e-3  # learning rate of the generator
    d_lr: float = 1e-4  # learning rate of the discriminator
    b1: float = 0.5  # of Adam


def ring(loss: losses.Adversarial, config: Config) -> Experiment:
    """No batch norm, no penalty and no moving average."""
    layers = {"width": config.width, "depth": 2, "activation": jnp.tanh}
    layers["kernel_init"] = jax.nn.initializers.orthogonal(config.gain)
    generator = Network("generator", mlp.Generator((2,), **layers), (spec(config.latent),))
    discriminator = Network("discriminator", mlp.Critic(**layers), (spec(2),))
    latent = lambda keys: latents.normal(keys, config.latent)
    game = two_player(
        generator,
        discriminator,
        loss,
        latent,
        g_optimizer=optax.adam(config.g_lr, config.b1),
        d_optimizer=optax.adam(config.d_lr, config.b1),
    )
    sample = lambda state, keys: generator.bind(state, train=False)(latent(keys))
    evaluate = lambda samples: modes(samples, RING.modes, RING.std)
    data = np.asarray(jax.vmap(RING.draw)(jax.random.split(jax.random.key(0), 10_000)))
    picture = lambda samples: pictures.scatter(samples, data)
    return Experiment(game, density(RING.draw), sample, evaluate, picture, pictured=2_000)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Images(imagesets.Config):
    """LSGAN on images, by the networks of DCGAN."""

    batch_size: int = 64  # examples a step, over all devices
    g_lr: float = 1e-3  # learning rate of the generator
    d_lr: float = 1e-3  # learning rate of the discriminator
    b1: float = 0.5  # of Adam


@imagesets.on(
    "lsgan",
    {
        imagesets.DIGITS: Images(**imagesets.DIGITS.defaults),
        imagesets.MNIST: Images(**imagesets.MNIST.defaults | {"steps": 5_000}),
        imagesets.CIFAR10: Images(**imagesets.CIFAR10.defaults),
    },
    paper=PAPER,
    shows="least squares in place of cross-entropy",
)
def build(bed: testbeds.Bed, config: Images) -> Experiment:
    """Batch norm in both networks; the paper's rate for MNIST-like data is 1e-3."""
    adam = lambda lr: optax.adam(lr, config.b1)
    return bed.experiment(config, losses.least_squares, adam(config.g_lr), adam(config.d_lr), norm=True)


registry.register(
    "lsgan/ring",
    Config(),
    paper=PAPER,
    dataset="8 Gaussians on a ring",
    shows="least squares in place of cross-entropy",
    cost="3 min, 2 CPU cores",
)(functools.partial(ring, losses.least_squares))


@figures.register(
    "lsgan/fig1",
    paper=PAPER,
    shows="the generator's loss against D(G(z)): cross-entropy is flat for every large D, least squares at one point",
    cost="1 s, 2 CPU cores",
)
def fig1() -> Figure:
    """The losses and their slopes by autodiff, against -σ(-D) and D - c in float64."""

    def measure(runs: figures.Looks) -> figures.Numbers:
        logits = np.arange(-64, 129) / 8  # exact in float32, c = 1 among them
        numbers = {"logits": logits}
        for name in ("non_saturating", "least_squares"):
            loss = lambda d, name=name: getattr(losses, name).g(jnp.zeros([1]), d[None])
            value, slope = jax.vmap(jax.value_and_grad(loss))(jnp.float32(logits))
            numbers |= {name: np.asarray(value, np.float64), f"{name}_slope": np.asarray(slope, np.float64)}
        entropy, squares = numbers["non_saturating_slope"], numbers["least_squares_slope"]
        return numbers | {
            "entropy_error": np.abs(entropy + 1 / (1 + np.exp(logits))).max().item(),
            "squares_error": np.abs(squares - (logits - 1)).max().item(),
            "entropy_at_16": abs(entropy[-1].item()),
            "squares_at_16": abs(squares[-1].item()),
            "flat": int(np.sum(squares == 0)),
        }

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((left, right),) = plots.panels(1, 2, height=2.2)
        for name, label in (("non_saturating", "sigmoid cross-entropy"), ("least_squares", "least squares, c = 1")):
            left.plot(found["logits"], found[name], label=label)
            right.plot(found["logits"], found[f"{name}_slope"], label=label)
        left.set(title="Loss of a fake", xlabel="D(G(z))", ylabel="generator's loss", xlim=(-6, 10), ylim=(-0.5, 12))
        right.set(title="Its slope", xlabel="D(G(z))", ylabel="d loss / d D", xlim=(-6, 10), ylim=(-4, 8))
        right.axhline(0, color="0.7", linewidth=0.6, zorder=0)
        right.plot(1, 0, "o", color="black", markersize=4, label="the one flat point")
        right.legend()
        return page

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("cross-entropy: the slope is -σ(-D), largest error", "entropy_error", most=1e-6),
            Claim("least squares: the slope is D - c, largest error", "squares_error", most=1e-6),
            Claim(
                "cross-entropy: the slope has gone at D = 16, where it is σ(-16) = 1.1e-7", "entropy_at_16", most=1.2e-7
            ),
            Claim("least squares: the slope is 15 there", "squares_at_16", least=15, most=15),
            Claim("least squares: points on the grid where the slope is 0", "flat", least=1, most=1),
        ),
    )


@figures.register(
    "lsgan/fig6",
    paper=PAPER,
    shows="samples along training on a ring of 8 Gaussians, by least squares and by cross-entropy; batches of 64, "
    "where the authors have 512",
    cost="6 min, 2 CPU cores",
)
def fig6() -> Figure:
    """Modes with 2 % of 2,500 samples, within 0.15 (balls that do not touch) and within 3 std (0.03).

    The maps are those of the first seed, the numbers under them medians of all, within 0.15.
    """
    cross_entropy = registry.Entry(
        "lsgan/ring_cross_entropy",
        Config(),
        functools.partial(ring, losses.non_saturating),
        paper=PAPER,
        dataset="8 Gaussians on a ring",
        shows="what least squares is compared with",
        cost="3 min, 2 CPU cores",
    )
    at = (0, 5_000, 15_000, 25_000, 35_000)
    edges = np.linspace(-1.6, 1.6, 97)
    heat = lambda points: np.float32(np.histogram2d(*points.T, edges)[0].T)

    def measure(looks: figures.Looks) -> figures.Numbers:
        numbers: dict[str, Any] = {"steps": np.array([run.step for run in looks["LSGAN"]])}
        for name, runs in looks.items():
            seeds = range(runs[0].config.seeds)
            samples = [[run.sample(2_500, member=k) for run in runs] for k in seeds]
            for ball, radius in (("ball", 0.15), ("std", 3 * RING.std)):
                found = [[modes(x, RING.modes, RING.std, radius=radius / RING.std) for x in row] for row in samples]
                numbers[f"{name}_{ball}"] = np.array([[look["covered"] for look in row] for row in found])
                for key in ("covered", "high_quality", "mode_kl"):
                    numbers[f"{name}_{ball}_{key}"] = metrics.summary([row[-1][key] for row in found])
            numbers[f"{name}_heat"] = np.stack([heat(x) for x in samples[0]])
        for ball in ("ball", "std"):
            gain = numbers[f"LSGAN_{ball}_covered"]["median"] - numbers[f"GAN_{ball}_covered"]["median"]
            numbers[f"{ball}_gain"] = gain
        draw = jax.vmap(RING.draw)(jax.random.split(jax.random.key(0), 2_500))
        return numbers | {"data_heat": heat(np.asarray(draw))}

    def plot(found: Mapping[str, Any]) -> Any:
        from scipy.ndimage import gaussian_filter  # Takes a moment to import.

        page, axes = plots.panels(2, len(found["steps"]) + 1, height=1.25)
        for row, name in zip(axes, ("LSGAN", "GAN"), strict=True):
            for k, (ax, counts) in enumerate(zip(row, [*found[f"{name}_heat"], found["data_heat"]], strict=True)):
                soft = gaussian_filter(counts, 1.5)
                ax.imshow(soft, origin="lower", vmax=0.5 * soft.max() or 1)
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
                if k < len(found["steps"]):
                    covered = np.median(found[f"{name}_ball"][:, k])
                    ax.set_xlabel(f"median: {covered:g} of 8")
            row[0].set_ylabel(name)
        for ax, step in zip(axes[0], found["steps"], strict=False):
            ax.set_title(f"step {step:,}")
        axes[0, -1].set_title("data")
        return page

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("modes of LSGAN less those of GAN, medians of 5 seeds, within 0.15 of a mode", "ball_gain", least=0),
            Claim("the same within 3 std, 0.03", "std_gain", least=0),
        ),
        runs={"LSGAN": needs("lsgan/ring", *at, seeds=5), "GAN": needs(cross_entropy, *at, seeds=5)},
    )
