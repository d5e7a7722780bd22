"""Wasserstein GAN (Arjovsky et al. 2017, arXiv 1701.07875).

    python launch.py train wgan/ring

    python launch.py figure wgan/fig1 wgan/fig2 wgan/clip_boundary

The critic is kept Lipschitz by clipping its weights (Algorithm 1), which pushes them to the bounds. The figures'
critics train against generators that stay as they are.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments import critics, imagesets, testbeds
from jaxgan import figures, losses, optim, plots
from jaxgan.figures import Claim, Figure
from jaxgan.losses import Adversarial
from jaxgan.registry import Experiment

PAPER = "Arjovsky et al. 2017, arXiv 1701.07875"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(testbeds.Config):
    """WGAN with clipping, Algorithm 1."""

    g_lr: float = 5e-5  # learning rate of the generator, RMSProp
    d_lr: float = 5e-5  # learning rate of the critic, RMSProp
    clip: float = 0.01  # largest size of a critic's weight
    n_critic: int = 5  # critic moves to one of the generator


SHOWS = "a critic kept Lipschitz by clipping: stable, blunt, its weights at the bounds"


@testbeds.on_all("wgan", Config, paper=PAPER, shows=SHOWS)
def build(bed: testbeds.Bed, config: Config) -> Experiment:
    """RMSProp without momentum; the clip comes last in the critic's optimiser."""
    rmsprop = lambda lr: optax.rmsprop(lr, decay=0.99)
    clipped = optax.chain(rmsprop(config.d_lr), optim.clip_weights(config.clip))
    return bed.experiment(
        config, losses.wasserstein, rmsprop(config.g_lr), clipped, n_critic=config.n_critic, norm=True
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Images(imagesets.Config, Config):
    """WGAN on images, by the networks of DCGAN."""

    latent: int = 100  # dimensions of z, drawn from N(0, 1)
    batch_size: int = 64  # examples a step, over all devices


imagesets.on(
    "wgan",
    {
        imagesets.MNIST: Images(**imagesets.MNIST.defaults | {"steps": 12_000}),
        imagesets.CIFAR10: Images(**imagesets.CIFAR10.defaults),
    },
    paper=PAPER,
    shows=SHOWS,
)(build)

THETAS = np.linspace(-1, 1, 9)
SMALL = {"width": 64, "depth": 2, "d_lr": 1e-3}


def lines(key: Array) -> tuple[Array, Array]:
    """Example 1: for each theta a point of the segment {0} x [0, 1] and one of {theta} x [0, 1]."""
    y = jax.random.uniform(key, [2, len(THETAS)])
    return tuple(jnp.stack([jnp.float32(x), y], axis=1) for x, y in zip((0 * THETAS, THETAS), y, strict=True))


@figures.register(
    "wgan/fig1",
    paper=PAPER,
    shows="distances of parallel segments: the earth mover's is |theta|, Jensen-Shannon's jumps from 0 to log 2",
    cost="1 min, 2 CPU cores",
)
def fig1() -> Figure:
    """Both as critics estimate them: with a gradient penalty of weight 10, and as a GAN's discriminator.

    The best critic for the penalty is steeper than 1 by |theta| / 20, so that its estimate is |theta| + theta² / 20.
    """

    def measure(runs: figures.Looks) -> figures.Numbers:
        real, fake = jax.vmap(lines, out_axes=1)(jax.random.split(jax.random.key(1), 2_000))

        def least(name: str, loss: Adversarial) -> np.ndarray:
            """The loss of each critic, which training brought down."""
            Ds = [critics.critic(runs[name][-1], k) for k in range(len(THETAS))]
            return np.array([loss.d(D(r), D(f)).item() for D, r, f in zip(Ds, real, fake, strict=True)])

        em, js = -least("em", losses.wasserstein), np.log(2) - least("js", losses.minimax) / 2
        off, far = THETAS != 0, np.abs(THETAS) >= 0.5
        em_error = np.abs(em[off] / np.abs(THETAS[off]) - 1).max()
        js_error = np.abs(js[far] / np.log(2) - 1).max()
        return {"em": em, "js": js, "em_error": em_error.item(), "js_error": js_error.item()}

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((left, right),) = plots.panels(1, 2, height=2.2)
        off = np.linspace(0, 1, 21)
        for side in (-1, 1):
            left.plot(side * off, off, color="black", linewidth=0.8, label="|θ|" if side > 0 else None)
            best = "best for the penalty" if side > 0 else None
            left.plot(side * off, off + off**2 / 20, ":", color="black", linewidth=0.8, label=best)
            right.plot(
                side * off, 0 * off + np.log(2), color="black", linewidth=0.8, label="log 2" if side > 0 else None
            )
        right.plot(0, 0, ".", color="black", markersize=3)
        left.plot(THETAS, found["em"], "o", markersize=4, label="critic")
        right.plot(THETAS, found["js"], "o", markersize=4, color=plots.COLOURS[1], label="discriminator")
        left.set(xlabel="θ", ylabel="earth mover's distance", ylim=(-0.05, 1.3))
        right.set(xlabel="θ", ylabel="JS divergence, nats", ylim=(-0.05, 0.9))
        for ax in (left, right):
            ax.legend(loc="upper center", ncols=2)
        return page

    return Figure(
        measure=measure,
        plot=plot,
        runs={
            "em": critics.need(critics.penalised, lines, "lines", 3_000, penalty=10.0, **SMALL),
            "js": critics.need(critics.discriminator, lines, "lines", 3_000, **SMALL),
        },
        claims=(
            Claim("earth mover's distance of a critic: relative error of |theta|, largest", "em_error", most=0.1),
            Claim("Jensen-Shannon: relative error of log 2, largest for |theta| >= 0.5", "js_error", most=0.05),
        ),
    )


@figures.register(
    "wgan/fig2",
    paper=PAPER,
    shows="a discriminator and a clipped critic that tell two Gaussians apart: one saturates, the other is a line",
    cost="1 min, 2 CPU cores",
)
def fig2() -> Figure:
    """Reals N(0, 1/4), fakes N(4, 1/4), and a gap between the reals' last percentile and the fakes' first."""
    ends = 1.1632  # of 98 % of the mass, about the mean: 2.3263 standard deviations
    gap, mass = (ends, 4 - ends), (4 - ends, 4 + ends)

    def draw(key: Array) -> tuple[Array, Array]:
        real, fake = 0.5 * jax.random.normal(key, [2, 1, 1])
        return real, 4 + fake

    def measure(runs: figures.Looks) -> figures.Numbers:
        D, f = (critics.critic(runs[name][-1]) for name in ("discriminator", "clipped"))
        sigmoid, x = lambda x: jax.nn.sigmoid(D(x)), jnp.linspace(-4, 8, 601)[:, None]
        on = lambda low, high: jnp.linspace(low, high, 401)[:, None]
        slopes = lambda f, x: np.asarray(jax.grad(lambda x: f(x).sum())(x), np.float64)
        gap_slopes = slopes(f, on(*gap))
        return {
            "x": np.asarray(x[:, 0]),
            "discriminator": np.asarray(sigmoid(x)),
            "critic": np.asarray(f(x)),
            "saturation": np.abs(slopes(sigmoid, on(*mass))).max().item(),
            "variation": (gap_slopes.std() / np.abs(gap_slopes.mean())).item(),
        }

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((left,),) = plots.panels(1, 1, height=2.6, width=0.75 * plots.WIDTH)
        right, x = left.twinx(), found["x"]
        density = lambda mean: np.exp(-2 * (x - mean) ** 2) / np.sqrt(np.pi / 2)
        left.fill_between(x, density(0), color=plots.COLOURS[5], alpha=0.4, linewidth=0, label="density of reals")
        left.fill_between(x, density(4), color=plots.COLOURS[4], alpha=0.4, linewidth=0, label="density of fakes")
        left.plot(x, found["discriminator"], color=plots.COLOURS[1], label="discriminator, σ(D)")
        left.plot([], [], color=plots.COLOURS[2], label="clipped critic (right axis)")
        right.plot(x, found["critic"], color=plots.COLOURS[2])
        left.set(xlabel="x", ylabel="σ(D), and densities", ylim=(-0.05, 1.1))
        left.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
        right.set_ylabel("critic")
        right.spines["right"].set_visible(True)
        return page

    return Figure(
        measure=measure,
        plot=plot,
        runs={
            "discriminator": critics.need(critics.discriminator, draw, "gaussians", 3_000, width=128, d_lr=1e-3),
            "clipped": critics.need(critics.clipped, draw, "gaussians", 3_000, width=128, d_lr=5e-4),
        },
        claims=(
            Claim("discriminator: largest slope of σ(D) over 98 % of the fakes", "saturation", most=1e-2),
            Claim("critic: coefficient of variation of its slope over the gap", "variation", most=0.3),
        ),
    )


@figures.register(
    "wgan/clip_boundary",
    paper=PAPER,
    shows="clipped weights lie at the bounds: a critic of 8 Gaussians with noise, shared with wgan_gp/fig1a",
    cost="3 min, 2 CPU cores",
)
def clip_boundary() -> Figure:
    """All kernels of the critic; they start He uniform, ten times as wide as the bounds, and are clipped."""
    bound = critics.Config().clip

    def measure(runs: figures.Looks) -> figures.Numbers:
        weights = critics.kernels(critics.parameters(runs["critics"][-1]))
        counts, edges = np.histogram(weights / bound, np.linspace(-1.05, 1.05, 43))
        return {
            "share": counts / len(weights),
            "edges": edges,
            "at_bounds": np.mean(np.abs(weights) >= 0.95 * bound).item(),
        }

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((ax,),) = plots.panels(1, 1, height=2.2, width=plots.WIDTH / 2)
        ax.stairs(found["share"], found["edges"], fill=True)
        ax.set(xlabel="weight / c", ylabel="share of the weights")
        return page

    return Figure(
        measure=measure,
        plot=plot,
        runs={"critics": critics.toys(critics.clipped, 2_000, d_lr=5e-4)},
        claims=(Claim("share of the weights within 5 % of a bound", "at_bounds", least=0.5),),
    )
