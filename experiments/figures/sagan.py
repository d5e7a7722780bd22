"""Figures of Self-Attention GANs (Zhang et al. 2018, arXiv 1805.08318).

python launch.py figure sagan/unit
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.sagan import PAPER
from jaxgan.networks.resnet import SelfAttention
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs

SIDE, CHANNELS, BLOCK = 8, 32, 2  # of the feature map; keys and values are pooled over blocks


def shuffle_blocks(x: jax.Array, order: np.ndarray) -> jax.Array:
    """Returns feature maps [B, H, W, C] with their blocks of BLOCK x BLOCK pixels in another order."""
    b, h, w, c = x.shape
    blocks = x.reshape(b, h // BLOCK, BLOCK, w // BLOCK, BLOCK, c).swapaxes(2, 3)
    blocks = blocks.reshape(b, len(order), BLOCK, BLOCK, c)[:, order]
    return blocks.reshape(b, h // BLOCK, w // BLOCK, BLOCK, BLOCK, c).swapaxes(2, 3).reshape(x.shape)


@figures.register(
    "sagan/unit",
    paper=PAPER,
    shows="the attention layer: the identity at first; its weights sum to 1; it does not know where a pixel is",
    minutes=5 / 60,
)
def unit() -> Figure:
    """Properties of the layer with random weights. Positions are exchanged in blocks, over which keys are pooled."""

    def measure(runs: Runs) -> Numbers:
        layer = SelfAttention(spectral=False)
        x = jax.random.normal(jax.random.key(0), [4, SIDE, SIDE, CHANNELS])
        params = layer.init(jax.random.key(1), x)["params"]
        apply = jax.jit(lambda params, x: layer.apply({"params": params}, x, mutable="intermediates"))
        at_start, _ = apply(params, x)
        on = {**params, "gamma": jnp.float32(1.0)}
        y, sown = apply(on, x)
        (weights,) = sown["intermediates"]["weights"]
        order = np.random.default_rng(0).permutation((SIDE // BLOCK) ** 2)
        shuffled = apply(on, shuffle_blocks(x, order))[0]
        reordered = shuffle_blocks(y, order)
        return {
            "weights": np.asarray(weights[0]),
            "x": np.ravel(x[0, ..., :4]),
            "at_start": np.ravel(at_start[0, ..., :4]),
            "y": np.ravel(y[0, ..., :4]),
            "shuffled": np.ravel(shuffled[0, ..., :4]),
            "reordered": np.ravel(reordered[0, ..., :4]),
            "identity_error": jnp.abs(at_start - x).max().item(),
            "row_error": np.abs(np.asarray(weights, np.float64).sum(-1) - 1).max().item(),
            "shuffle_error": jnp.abs(shuffled - reordered).max().item(),
            "change": jnp.abs(y - x).max().item(),
        }

    def plot(numbers: Numbers) -> Any:
        fig, ((left, middle, right),) = plots.subplots(1, 3, height=2.2)
        image = left.imshow(numbers["weights"], aspect="auto", vmin=0)
        fig.colorbar(image, ax=left, label="weight")
        left.set(xlabel=f"key, of {(SIDE // BLOCK) ** 2}", ylabel=f"query, of {SIDE**2}", title="Attention weights")
        dots = {"marker": ".", "linestyle": "", "markersize": 2.5, "alpha": 0.6}
        middle.plot(numbers["x"], numbers["y"], color=plots.COLOURS[1], label="γ = 1", **dots)
        middle.plot(numbers["x"], numbers["at_start"], color=plots.COLOURS[0], label="γ = 0, as initialised", **dots)
        middle.set(xlabel="input", ylabel="output", title="The identity at first")
        middle.legend(loc="upper left", markerscale=3)
        right.plot(numbers["reordered"], numbers["shuffled"], color=plots.COLOURS[1], **dots)
        right.set(xlabel="output, then shuffled", ylabel="output of the shuffled input", title="Positions exchanged")
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("as initialised, γ = 0: largest difference of output and input", "identity_error", most=0),
            Claim("largest error of the sum of a query's weights, which is 1", "row_error", most=1e-6),
            Claim(
                "γ = 1, positions exchanged: largest difference from the exchanged output", "shuffle_error", most=1e-5
            ),
            Claim("γ = 1: largest change of the input, so that the last claim is not empty", "change", least=0.1),
        ),
    )
