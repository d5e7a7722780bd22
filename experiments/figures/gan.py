"""Figures of the original GAN (Goodfellow et al. 2014): a GAN on the real line, and the slopes of its two losses."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import gan
from jaxgan.core import losses, prng
from jaxgan.data.synthetic import Density
from jaxgan.networks import mlp
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec
from jaxgan.runs import targets
from jaxgan.runs.registry import Entry
from jaxgan.runs.run import Run
from jaxgan.training.experiment import Experiment, setting
from jaxgan.training.metric_log import summarise_seeds

MEAN, STD = 2.0, 0.5
LINE = Density(lambda key: MEAN + STD * jax.random.normal(key, [1]), STD, np.float32([[MEAN]]), 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LineConfig(gan.Config):
    """A GAN on the real line. Learning rates decay to 0 along half a cosine, so that the players come to rest."""

    steps: int = 10_000
    batch_size: int = 512
    latent: int = 4
    width: int = 64
    g_lr: float = 1e-3
    d_lr: float = 3e-3
    k: int = setting(5, "discriminator updates per generator update, Algorithm 1")
    fall: int = setting(10_000, "steps until the learning rates are 0")


def build_line(config: LineConfig) -> Experiment:
    """Returns the experiment on N(2, 1/4), with ReLU in both networks.

    z has four dimensions. With one dimension the generator folds the line, and p_g has jumps.
    """
    adam = lambda lr, updates: optax.adam(optax.cosine_decay_schedule(lr, updates), config.b1, config.b2)
    moments = lambda samples: {"mean": float(samples.mean()), "std": float(samples.std())}
    return targets.density(LINE, moments).two_player(
        config,
        mlp.Generator((1,), config.width, depth=2),
        mlp.Critic(config.width, depth=2, activation=nn.relu),
        losses.non_saturating,
        prng.normal_latent(config.latent),
        g_optimizer=adam(config.g_lr, config.fall // config.k),
        d_optimizer=adam(config.d_lr, config.fall),
        n_critic=config.k,
    )


BIN = 4 / 80
X = np.linspace(0, 4, 81)
P_DATA = np.exp(-0.5 * ((X - MEAN) / STD) ** 2) / (STD * np.sqrt(2 * np.pi))
BULK = np.abs(X - MEAN) <= 2.3263 * STD  # from the first percentile of the data to the last


def curves(run: Run, member: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns p_g, D and the optimal D* = p_data / (p_data + p_g) at `X`. p_g is a histogram of 100,000 samples."""
    G, D = run.network("generator", member), run.network("discriminator", member)
    samples = G(jax.random.normal(jax.random.key(1), [100_000, run.config.latent]))
    counts, _ = np.histogram(samples, np.append(X, 4 + BIN) - BIN / 2)
    p_g = counts / len(samples) / BIN
    return p_g, np.asarray(jax.nn.sigmoid(D(jnp.float32(X)[:, None]))), P_DATA / (P_DATA + p_g)


def _measure_line(runs: Runs) -> Numbers:
    *_, last = runs["line"]
    _, D, optimal = np.array([curves(last, member) for member in range(last.config.seeds)])[:, :, BULK].swapaxes(0, 1)
    return {
        "x": X,
        "p_data": P_DATA,
        "steps": [run.step for run in runs["line"]],
        "panels": np.array([curves(run, 0) for run in runs["line"]]),
        "error": summarise_seeds(np.abs(D - optimal).max(1)),
        "from_half": summarise_seeds(np.abs(D - 0.5).max(1)),
    }


def _plot_line(numbers: Numbers) -> Any:
    fig, (axes,) = plots.subplots(1, 4, height=1.9, sharex=True, sharey=True)
    x = numbers["x"]
    for ax, step, (p_g, D, optimal) in zip(axes, numbers["steps"], numbers["panels"], strict=True):
        ax.plot(x, numbers["p_data"], ":", color="black", label="p_data")
        ax.plot(x, p_g, color=plots.COLOURS[2], label="p_g")
        ax.plot(x, D, "--", color=plots.COLOURS[0], label="D")
        ax.plot(x, optimal, color=plots.COLOURS[1], linewidth=0.6, label="D*")
        ax.set(title=f"step {step:,}", xlabel="x", xlim=(0, 4), ylim=(0, 1.45))
    axes[0].set_ylabel("density, and D in [0, 1]")
    axes[0].legend(loc="upper left", ncols=2)
    return fig


@figures.register(
    "gan/fig1",
    paper=gan.PAPER,
    shows="a GAN on the real line during training: the densities of data and samples, D, and the optimal D",
    minutes=2,
)
def fig1() -> Figure:
    """Five seeds, of which the first is drawn."""
    line = Entry("non_saturating/line", LineConfig(), build_line)
    return Figure(
        measure=_measure_line,
        plot=_plot_line,
        runs={"line": run_spec(line, 100, 500, 2_000, 10_000, seeds=5)},
        claims=(
            Claim("at the end, largest |D - D*| between the 1st and 99th percentile of the data", "error", most=0.1),
            Claim("at the end, largest |D - 1/2| between the same percentiles", "from_half", most=0.1),
        ),
    )


def _measure_slopes(runs: Runs) -> Numbers:
    logits = np.linspace(-10.0, 10.0, 401)
    sigmoid = lambda t: 1 / (1 + np.exp(-t))

    def slopes(loss: losses.Adversarial) -> np.ndarray:
        slope = jax.vmap(jax.grad(lambda logit: loss.g(logit[None])))
        return np.asarray(slope(jnp.float32(logits)), np.float64)

    minimax, non_saturating = slopes(losses.minimax), slopes(losses.non_saturating)
    return {
        "logits": logits,
        "minimax": minimax,
        "non_saturating": non_saturating,
        "minimax_error": np.abs(minimax + sigmoid(logits)).max().item(),
        "non_saturating_error": np.abs(non_saturating + sigmoid(-logits)).max().item(),
        "ratio": (non_saturating[0] / minimax[0]).item(),
    }


def _plot_slopes(numbers: Numbers) -> Any:
    fig, ((ax,),) = plots.subplots(1, 1, height=2.4, width=plots.WIDTH / 2)
    for name, label in (("minimax", "minimax"), ("non_saturating", "non-saturating")):
        ax.semilogy(numbers["logits"], np.abs(numbers[name]), label=label)
    ax.set(xlabel="D(G(z)), logit", ylabel="|slope of the generator's loss|")
    ax.legend()
    return fig


@figures.register(
    "gan/saturation",
    paper=gan.PAPER,
    shows="the slope of the generator's loss where D rejects a fake: 0 for minimax, 1 for non-saturating",
    minutes=1 / 60,
)
def saturation() -> Figure:
    """The slopes by automatic differentiation, compared with -σ(D) and -σ(-D) in float64."""
    return Figure(
        measure=_measure_slopes,
        plot=_plot_slopes,
        claims=(
            Claim("minimax: largest error of the slope -σ(D)", "minimax_error", most=1e-6),
            Claim("non-saturating: largest error of the slope -σ(-D)", "non_saturating_error", most=1e-6),
            Claim("non-saturating slope over minimax slope at D = -10", "ratio", least=2.15e4, most=2.25e4),
        ),
    )
