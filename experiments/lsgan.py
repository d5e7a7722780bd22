"""Least Squares Generative Adversarial Networks (Mao et al. 2016, arXiv 1611.04076).

python launch.py figure lsgan/fig1
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import figures, losses, plots
from jaxgan.figures import Claim, Figure

PAPER = "Mao et al. 2016, arXiv 1611.04076"


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
