"""Generative Adversarial Networks (Goodfellow et al. 2014, arXiv 1406.2661).

    python launch.py train minimax/ring
    python launch.py train non_saturating/digits_conv
    python launch.py figure gan/fig1

Both objectives share the discriminator's cross-entropy (Eq. 1). With `minimax` the generator ascends it, and learns
little while the discriminator is sure; with `non_saturating` it descends the cross-entropy of the wrong labels instead
(section 3). Optimiser as in DCGAN (Radford et al. 2015).
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import testbeds
from jaxgan import figures, latents, losses, metrics, pictures, plots
from jaxgan.data.source import density
from jaxgan.figures import Claim, Figure, needs
from jaxgan.game import Network, spec
from jaxgan.networks import mlp
from jaxgan.objectives import two_player
from jaxgan.registry import Entry, Experiment

PAPER = "Goodfellow et al. 2014, arXiv 1406.2661"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(testbeds.Config):
    """The original GAN."""

    g_lr: float = 2e-4  # learning rate of the generator
    d_lr: float = 2e-4  # learning rate of the discriminator
    b1: float = 0.5  # of Adam
    b2: float = 0.999  # of Adam


def build(loss: losses.Adversarial, bed: testbeds.Bed, config: Config) -> Experiment:
    """No penalty; batch norm in both networks where they are convolutional."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    return bed.experiment(config, loss, adam(config.g_lr), adam(config.d_lr), norm=True)


for name, shows in (
    ("minimax", "the zero-sum game itself: the generator's gradient vanishes while D is sure"),
    ("non_saturating", "the loss used in practice: strong gradients, modes that come and go"),
):
    on_all = testbeds.on_all(name, Config, paper=PAPER, shows=shows, plane={"g_lr": 1e-3, "d_lr": 1e-3})
    on_all(functools.partial(build, getattr(losses, name)))


MEAN, STD = 2.0, 0.5  # of the data of fig1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line(Config):
    """A GAN on the real line. Rates fall to 0 along half a cosine, so that the game comes to rest."""

    steps: int = 10_000
    batch_size: int = 512
    latent: int = 4
    width: int = 64
    g_lr: float = 1e-3
    d_lr: float = 3e-3
    k: int = 5  # moves of the discriminator to one of the generator, Algorithm 1
    fall: int = 10_000  # steps until the rates are 0


def on_a_line(config: Line) -> Experiment:
    """Data N(2, 1/4), z of four dimensions: with one G folds the line, and p_g has jumps. ReLU in both networks."""
    G = Network("generator", mlp.Generator((1,), config.width, depth=2), (spec(config.latent),))
    D = Network("discriminator", mlp.Critic(config.width, depth=2, activation=jax.nn.relu), (spec(1),))
    falling = lambda lr, steps: optax.adam(optax.cosine_decay_schedule(lr, steps), config.b1, config.b2)
    latent = lambda keys: latents.normal(keys, config.latent)
    draw = lambda key: MEAN + STD * jax.random.normal(key, [1])
    data = jax.vmap(draw)(jax.random.split(jax.random.key(0), 4_000))
    return Experiment(
        two_player(
            G,
            D,
            losses.non_saturating,
            latent,
            g_optimizer=falling(config.g_lr, config.fall // config.k),
            d_optimizer=falling(config.d_lr, config.fall),
            n_critic=config.k,
        ),
        density(draw),
        sample=lambda state, keys: G.bind(state, train=False)(latent(keys)),
        evaluate=lambda samples: {"mean": float(samples.mean()), "std": float(samples.std())},
        picture=lambda samples: pictures.line(samples, np.asarray(data)),
        pictured=2_000,
    )


@figures.register(
    "gan/fig1",
    paper=PAPER,
    shows="a GAN on the real line, from the first steps to the end: D, the densities, and the D that is best",
    cost="2 min, 2 CPU cores",
)
def fig1() -> Figure:
    """Five seeds, of which the first is drawn; D* = p_data / (p_data + p_g) with p_g a histogram of 100,000 samples."""
    line = Entry("non_saturating/line", Line(), on_a_line, PAPER, "N(2, 1/4)", "a GAN on the real line", "")
    at, width = np.linspace(0, 4, 81), 4 / 80
    data = np.exp(-0.5 * ((at - MEAN) / STD) ** 2) / (STD * np.sqrt(2 * np.pi))
    bulk = np.abs(at - MEAN) <= 2.3263 * STD  # from the first percentile to the last

    def look(run: figures.Run, member: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        G, D = run.network("generator", member), run.network("discriminator", member)
        x = G(jax.random.normal(jax.random.key(1), [100_000, run.config.latent]))
        counts, _ = np.histogram(x, np.append(at, 4 + width) - width / 2)
        p_g = counts / len(x) / width
        return p_g, np.asarray(jax.nn.sigmoid(D(jnp.float32(at)[:, None]))), data / (data + p_g)

    def measure(runs: figures.Looks) -> figures.Numbers:
        *_, end = looks = runs["line"]
        found = np.array([look(end, member) for member in range(end.config.seeds)])
        D, best = found[:, 1, bulk], found[:, 2, bulk]
        return {
            "at": at,
            "data": data,
            "steps": [run.step for run in looks],
            "panels": np.array([look(run, 0) for run in looks]),
            "error": metrics.summary(np.abs(D - best).max(1)),
            "from_half": metrics.summary(np.abs(D - 0.5).max(1)),
        }

    def plot(found: Mapping[str, Any]) -> Any:
        page, (axes,) = plots.panels(1, 4, height=1.9, sharex=True, sharey=True)
        for ax, step, (p_g, D, best) in zip(axes, found["steps"], found["panels"], strict=True):
            ax.plot(found["at"], found["data"], ":", color="black", label="p_data")
            ax.plot(found["at"], p_g, color=plots.COLOURS[2], label="p_g")
            ax.plot(found["at"], D, "--", color=plots.COLOURS[0], label="D")
            ax.plot(found["at"], best, color=plots.COLOURS[1], linewidth=0.6, label="D*")
            ax.set(title=f"step {step:,}", xlabel="x", xlim=(0, 4), ylim=(0, 1.45))
        axes[0].set_ylabel("density, and D in [0, 1]")
        axes[0].legend(loc="upper left", ncols=2)
        return page

    return Figure(
        measure=measure,
        plot=plot,
        runs={"line": needs(line, 100, 500, 2_000, 10_000, seeds=5)},
        claims=(
            Claim("at the end, largest |D - D*| from the first percentile of the data to the last", "error", most=0.1),
            Claim("at the end, largest |D - 1/2| there", "from_half", most=0.1),
        ),
    )


@figures.register(
    "gan/saturation",
    paper=PAPER,
    shows="the slope of the generator's loss where D is sure of a fake: gone for minimax, 1 for non-saturating",
    cost="1 s, 2 CPU cores",
)
def saturation() -> Figure:
    """The slopes by autodiff, against -σ(D) and -σ(-D) in float64."""

    def measure(runs: figures.Looks) -> figures.Numbers:
        logits = np.linspace(-10.0, 10.0, 401)
        sigmoid = lambda t: 1 / (1 + np.exp(-t))
        slopes = {}
        for name in ("minimax", "non_saturating"):
            loss = getattr(losses, name).g
            slope = jax.vmap(jax.grad(lambda d, loss=loss: loss(jnp.zeros([1]), d[None])))
            slopes[name] = np.asarray(slope(jnp.float32(logits)), np.float64)
        return {
            "logits": logits,
            **slopes,
            "minimax_error": np.abs(slopes["minimax"] + sigmoid(logits)).max().item(),
            "non_saturating_error": np.abs(slopes["non_saturating"] + sigmoid(-logits)).max().item(),
            "ratio": (slopes["non_saturating"][0] / slopes["minimax"][0]).item(),
        }

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((ax,),) = plots.panels(1, 1, height=2.4, width=plots.WIDTH / 2)
        for name, label in (("minimax", "minimax"), ("non_saturating", "non-saturating")):
            ax.semilogy(found["logits"], np.abs(found[name]), label=label)
        ax.set(xlabel="D(G(z)), logit", ylabel="|slope of the generator's loss|")
        ax.legend()
        return page

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("minimax: the slope is -σ(D), largest error", "minimax_error", most=1e-6),
            Claim("non-saturating: the slope is -σ(-D), largest error", "non_saturating_error", most=1e-6),
            Claim("at D = -10 the non-saturating slope is 2.2e4 times the other", "ratio", least=2.15e4, most=2.25e4),
        ),
    )
