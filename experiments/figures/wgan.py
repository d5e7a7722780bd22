"""Figures of Wasserstein GAN (Arjovsky et al. 2017, arXiv 1701.07875).

    python launch.py figure wgan/fig1 wgan/fig2 wgan/clip_boundary

All critics are trained against fixed generators, see `fixed_generator`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.figures import fixed_generator
from experiments.wgan import PAPER
from jaxgan.core import losses
from jaxgan.core.losses import Adversarial
from jaxgan.core.penalties import Critic
from jaxgan.render import plots
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, register

THETAS = np.linspace(-1, 1, 9)
SMALL = {"width": 64, "depth": 2, "d_lr": 1e-3}


def parallel_segments(key: Array) -> tuple[Array, Array]:
    """Draws a real from the segment {0} x [0, 1] and a fake from {theta} x [0, 1] for each theta (Example 1)."""
    y = jax.random.uniform(key, [2, len(THETAS)])
    return tuple(jnp.stack([jnp.float32(x), y], axis=1) for x, y in zip((0 * THETAS, THETAS), y, strict=True))


@register(
    "wgan/fig1",
    paper=PAPER,
    shows="distances of parallel segments: the earth mover's is |theta|, Jensen-Shannon's jumps from 0 to log 2",
    minutes=1,
)
def fig1() -> Figure:
    """Both distances, estimated by critics with a gradient penalty of weight 10 and by discriminators of a GAN.

    The optimal critic under this penalty has slope 1 + |theta| / 20, so that its estimate is |theta| + theta^2 / 20.
    """

    def measure(runs: Runs) -> Numbers:
        real, fake = jax.vmap(parallel_segments, out_axes=1)(jax.random.split(jax.random.key(1), 2_000))

        def trained_losses(name: str, loss: Adversarial) -> np.ndarray:
            """Returns the loss of each trained critic."""
            critics = [fixed_generator.critic(runs[name][-1], k) for k in range(len(THETAS))]
            return np.array([loss.d(D(r), D(f)).item() for D, r, f in zip(critics, real, fake, strict=True)])

        em = -trained_losses("em", losses.wasserstein)
        js = np.log(2) - trained_losses("js", losses.minimax) / 2
        nonzero, large = THETAS != 0, np.abs(THETAS) >= 0.5
        em_error = np.abs(em[nonzero] / np.abs(THETAS[nonzero]) - 1).max()
        js_error = np.abs(js[large] / np.log(2) - 1).max()
        return {"em": em, "js": js, "em_error": em_error.item(), "js_error": js_error.item()}

    def plot(numbers: Numbers) -> Any:
        fig, ((left, right),) = plots.subplots(1, 2, height=2.2)
        theta = np.linspace(0, 1, 21)
        black = {"color": "black", "linewidth": 0.8}
        for sign in (-1, 1):  # Each half is a line of its own, because the divergence jumps at 0.
            label = lambda text, sign=sign: text if sign > 0 else None
            left.plot(sign * theta, theta, **black, label=label("|θ|"))
            left.plot(sign * theta, theta + theta**2 / 20, ":", **black, label=label("optimum with penalty"))
            right.plot(sign * theta, 0 * theta + np.log(2), **black, label=label("log 2"))
        right.plot(0, 0, ".", color="black", markersize=3)
        left.plot(THETAS, numbers["em"], "o", markersize=4, label="critic")
        right.plot(THETAS, numbers["js"], "o", markersize=4, color=plots.COLOURS[1], label="discriminator")
        left.set(xlabel="θ", ylabel="earth mover's distance", ylim=(-0.05, 1.3))
        right.set(xlabel="θ", ylabel="JS divergence, nats", ylim=(-0.05, 0.9))
        for ax in (left, right):
            ax.legend(loc="upper center", ncols=2)
        return fig

    run = fixed_generator.critic_run
    return Figure(
        measure=measure,
        plot=plot,
        runs={
            "em": run(fixed_generator.penalised, parallel_segments, "lines", 3_000, penalty=10.0, **SMALL),
            "js": run(fixed_generator.discriminator, parallel_segments, "lines", 3_000, **SMALL),
        },
        claims=(
            Claim("earth mover's distance by a critic: largest error relative to |theta|", "em_error", most=0.1),
            Claim(
                "Jensen-Shannon divergence by a discriminator: largest error relative to log 2 for |theta| >= 0.5",
                "js_error",
                most=0.05,
            ),
        ),
    )


@register(
    "wgan/fig2",
    paper=PAPER,
    shows="a discriminator and a clipped critic of two distant Gaussians: the first saturates, the second is linear",
    minutes=1,
)
def fig2() -> Figure:
    """Reals from N(0, 1/4), fakes from N(4, 1/4). The gap lies between their central 98 %."""
    half_width = 1.1632  # of the interval about the mean that holds 98 % of the mass: 2.3263 standard deviations
    gap, fakes = (half_width, 4 - half_width), (4 - half_width, 4 + half_width)

    def sample_pairs(key: Array) -> tuple[Array, Array]:
        real, fake = 0.5 * jax.random.normal(key, [2, 1, 1])
        return real, 4 + fake

    def slopes(f: Critic, low: float, high: float) -> np.ndarray:
        x = jnp.linspace(low, high, 401)[:, None]
        return np.asarray(jax.grad(lambda x: f(x).sum())(x), np.float64)

    def measure(runs: Runs) -> Numbers:
        discriminator, critic = (fixed_generator.critic(runs[name][-1]) for name in ("discriminator", "clipped"))
        probability = lambda x: jax.nn.sigmoid(discriminator(x))
        x = jnp.linspace(-4, 8, 601)[:, None]
        gap_slopes = slopes(critic, *gap)
        return {
            "x": np.asarray(x[:, 0]),
            "discriminator": np.asarray(probability(x)),
            "critic": np.asarray(critic(x)),
            "saturation": np.abs(slopes(probability, *fakes)).max().item(),
            "variation": (gap_slopes.std() / np.abs(gap_slopes.mean())).item(),
        }

    def plot(numbers: Numbers) -> Any:
        fig, ((left,),) = plots.subplots(1, 1, height=2.6, width=0.75 * plots.WIDTH)
        right, x = left.twinx(), numbers["x"]
        density = lambda mean: np.exp(-2 * (x - mean) ** 2) / np.sqrt(np.pi / 2)
        left.fill_between(x, density(0), color=plots.COLOURS[5], alpha=0.4, linewidth=0, label="density of reals")
        left.fill_between(x, density(4), color=plots.COLOURS[4], alpha=0.4, linewidth=0, label="density of fakes")
        left.plot(x, numbers["discriminator"], color=plots.COLOURS[1], label="discriminator, σ(D)")
        left.plot([], [], color=plots.COLOURS[2], label="clipped critic (right axis)")
        right.plot(x, numbers["critic"], color=plots.COLOURS[2])
        left.set(xlabel="x", ylabel="σ(D), and densities", ylim=(-0.05, 1.1))
        left.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
        right.set_ylabel("critic")
        right.spines["right"].set_visible(True)
        return fig

    run = fixed_generator.critic_run
    return Figure(
        measure=measure,
        plot=plot,
        runs={
            "discriminator": run(fixed_generator.discriminator, sample_pairs, "gaussians", 3_000, width=128, d_lr=1e-3),
            "clipped": run(fixed_generator.clipped, sample_pairs, "gaussians", 3_000, width=128, d_lr=5e-4),
        },
        claims=(
            Claim("discriminator: largest slope of σ(D) over the central 98 % of the fakes", "saturation", most=1e-2),
            Claim("clipped critic: coefficient of variation of its slope over the gap", "variation", most=0.3),
        ),
    )


@register(
    "wgan/clip_boundary",
    paper=PAPER,
    shows="clipped weights lie at the bounds: a critic of 8 Gaussians with noise, from the run of wgan_gp/fig1a",
    minutes=3,
)
def clip_boundary() -> Figure:
    """The weights of all kernels. They are initialised He uniform, ten times as wide as the bounds, then clipped."""
    bound = fixed_generator.Config().clip

    def measure(runs: Runs) -> Numbers:
        weights = fixed_generator.kernel_weights(fixed_generator.critic_params(runs["critics"][-1]))
        counts, edges = np.histogram(weights / bound, np.linspace(-1.05, 1.05, 43))
        return {
            "share": counts / len(weights),
            "edges": edges,
            "at_bounds": np.mean(np.abs(weights) >= 0.95 * bound).item(),
        }

    def plot(numbers: Numbers) -> Any:
        fig, ((ax,),) = plots.subplots(1, 1, height=2.2, width=plots.WIDTH / 2)
        ax.stairs(numbers["share"], numbers["edges"], fill=True)
        ax.set(xlabel="weight / c", ylabel="share of the weights")
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        runs={"critics": fixed_generator.toys_run(fixed_generator.clipped, 2_000, d_lr=5e-4)},
        claims=(Claim("share of the weights within 5 % of a bound", "at_bounds", least=0.5),),
    )
