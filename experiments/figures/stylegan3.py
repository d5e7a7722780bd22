"""Equivariance of StyleGAN3 (Karras et al. 2021, arXiv 2106.12423, figure 5 left, on untrained networks).

python launch.py figure stylegan3/eq_t
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from experiments.stylegan3 import PAPER
from jaxgan.evaluate import equivariance
from jaxgan.networks import stylegan2, stylegan3
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs

SIZE, WIDTH, MAX_WIDTH, FEATURES, LAYERS = 32, 16, 32, 32, 6
LATENTS, DRAWS = 8, 8
SHIFT = 4  # pixels by which the input of the pictures moves to the right
NAMES = ("StyleGAN2", "T without margins", "StyleGAN3-T", "StyleGAN3-R")


def alias_free(rotation: bool, margin: int = 10) -> stylegan3.Generator:
    """Returns a generator of six layers, with `margin` pixels around feature maps."""
    signals = stylegan3.layer_signals(SIZE, WIDTH, MAX_WIDTH, LAYERS, margin=margin)
    return stylegan3.Generator(1, signals, rotation=rotation, features=FEATURES)


def moved_constant(constant: Array, inverse: Array) -> Array:
    """Returns StyleGAN2's input [H, H, C] moved by a translation: its Fourier series, which repeats it, at new places.

    `inverse` is a transformation [3, 3] as in `jaxgan.evaluate.equivariance`, of which the translation is used.
    """
    cycles = jnp.fft.fftfreq(len(constant), 1 / len(constant))
    angle = 2.0 * jnp.pi * (cycles[:, None] * inverse[1, 2] + cycles[None] * inverse[0, 2])
    spectrum = jnp.fft.fft2(constant, axes=(0, 1)) * lax.complex(jnp.cos(angle), jnp.sin(angle))[..., None]
    return jnp.fft.ifft2(spectrum, axes=(0, 1)).real


def render(G: nn.Module) -> Callable[[np.ndarray], Array]:
    """Returns a function from inverse transformations to images of 8 latents, with standard deviation 0.5."""
    key = jax.random.key(0)
    z, keys = jax.random.normal(key, [LATENTS, FEATURES]), jax.random.split(key, LATENTS)
    has_noise = isinstance(G, stylegan2.Generator)
    extra = (keys,) if has_noise else ()
    variables = jax.jit(lambda: G.init(key, z, *extra, train=False))()
    ws = G.apply(variables, z, *extra, train=False, method="styles")

    @jax.jit
    def images(inverse: Array) -> Array:
        if not has_noise:
            return G.apply(variables, ws, inverse, False, method="synthesise")
        params = variables["params"]
        synthesis = params["synthesis"]
        moved = {**params, "synthesis": {**synthesis, "constant": moved_constant(synthesis["constant"], inverse)}}
        return G.apply({**variables, "params": moved}, ws, keys, False, method="synthesise")

    scale = 0.5 / float(images(jnp.eye(3)).std())
    return lambda inverse: scale * images(jnp.float32(inverse))


def _measure(runs: Runs) -> Numbers:
    widths = stylegan2.widths_by_size(SIZE, 4, WIDTH, MAX_WIDTH)
    generators = (
        stylegan2.Generator(1, widths, features=FEATURES, depth=2),
        alias_free(rotation=False, margin=0),
        alias_free(rotation=False),
        alias_free(rotation=True),
    )
    eq_t, eq_r, pictures = {}, {}, []
    right = np.array([[1, 0, -SHIFT / SIZE], [0, 1, 0], [0, 0, 1]])
    for name, G in zip(NAMES, generators, strict=True):
        move = render(G)
        eq_t[name] = equivariance.eq_t(move, DRAWS)
        if isinstance(G, stylegan3.Generator):
            eq_r[name] = equivariance.eq_r(move, DRAWS)
        original, moved = (np.asarray(move(inverse)[0, ..., 0]) for inverse in (np.eye(3), right))
        error = np.where(np.arange(SIZE) < SHIFT, 0.0, moved - np.roll(original, SHIFT, 1))
        pictures.append([original, moved, error])
    return {
        "eq_t": eq_t,
        "eq_r": eq_r,
        "pictures": np.float32(pictures),
        "gain of T": eq_t["StyleGAN3-T"] - eq_t["StyleGAN2"],
        "gain of margins": eq_t["StyleGAN3-T"] - eq_t["T without margins"],
        "gain of R": eq_r["StyleGAN3-R"] - eq_r["StyleGAN3-T"],
    }


def _plot(numbers: Numbers) -> Any:
    fig, axes = plots.subplots(3, len(NAMES), height=1.6)
    for column, (name, rows) in enumerate(zip(NAMES, numbers["pictures"], strict=True)):
        for ax, picture in zip(axes[:, column], rows, strict=True):
            ax.imshow(picture, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
        axes[0, column].set_title(name, fontsize=8)
        eq_r = numbers["eq_r"].get(name)
        lines = [f"EQ-T {numbers['eq_t'][name]:.1f} dB", "" if eq_r is None else f"EQ-R {eq_r:.1f} dB"]
        axes[2, column].set_xlabel("\n".join(lines), fontsize=8)
    for ax, label in zip(
        axes[:, 0], ("image", f"input {SHIFT} pixels\nto the right", "difference from\nmoved image"), strict=True
    ):
        ax.set_ylabel(label, fontsize=8)
    return fig


@figures.register(
    "stylegan3/eq_t",
    paper=PAPER,
    shows="untrained images of StyleGAN3 move with the input; those of StyleGAN2, whose input is a constant, do not",
    minutes=0.5,
)
def eq_t() -> Figure:
    """Untrained generators at 32 x 32 pixels, 8 latents, 8 translations and rotations; images have the contrast 0.5."""
    return Figure(
        measure=_measure,
        plot=_plot,
        claims=(
            Claim("EQ-T of StyleGAN3-T minus that of StyleGAN2, dB", "gain of T", least=20),
            Claim("EQ-T of StyleGAN3-T with margins minus without, dB", "gain of margins", least=20),
            Claim("EQ-R of StyleGAN3-R minus that of T, dB", "gain of R", least=20),
        ),
    )
