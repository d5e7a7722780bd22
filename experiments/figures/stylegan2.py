"""Figures of StyleGAN (Karras et al. 2019) and StyleGAN2 (Karras et al. 2020)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.stylegan2 import PAPER
from jaxgan.core import optim, prng
from jaxgan.evaluate import digits_svm
from jaxgan.networks.stylegan2 import modulated_conv
from jaxgan.render import pictures, plots
from jaxgan.render.outputs import to_uint8
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec

STYLEGAN = "Karras et al. 2019, arXiv 1812.04948"
SCALES = tuple(10.0**n for n in (-2, -1, 0, 1, 2))
DIGITS = {"digits": run_spec("stylegan2/digits", 2_000)}
PSIS = (0.0, 0.25, 0.5, 0.75, 1.0)


def _measure_unit(runs: Runs) -> Numbers:
    key = jax.random.key(0)
    x, kernel = jax.random.normal(key, [16, 16, 16, 64]), jax.random.normal(key, [3, 3, 64, 64]) / 24.0  # / √(9 * 64)
    style = jnp.exp(0.5 * jax.random.normal(key, [16, 64]))

    @jax.jit
    def std(scale: Array) -> Array:
        out = [modulated_conv(x, kernel, scale * style, demodulate)[:, 1:-1, 1:-1] for demodulate in (True, False)]
        return jnp.stack([y.std() for y in out])

    demodulated, modulated = np.array([std(jnp.float32(scale)) for scale in SCALES]).T
    return {
        "demodulated": demodulated.tolist(),
        "modulated": modulated.tolist(),
        "largest error": float(np.abs(demodulated - 1.0).max()),
        "slope": float(np.polyfit(np.log(SCALES), np.log(modulated), 1)[0]),
    }


def _plot_unit(numbers: Numbers) -> Any:
    fig, axes = plots.subplots(1, 1, width=3.3)
    for name in ("modulated", "demodulated"):
        axes[0, 0].plot(SCALES, numbers[name], marker="o", label=name)
    axes[0, 0].set(xscale="log", yscale="log", xlabel="scale of the styles", ylabel="standard deviation of the output")
    axes[0, 0].legend()
    return fig


@figures.register(
    "stylegan2/unit",
    paper=PAPER,
    shows="demodulation gives outputs of standard deviation 1, whatever the scale of the styles",
    minutes=1 / 60,
)
def unit() -> Figure:
    """A 3 x 3 convolution of 64 channels on normal noise, with log-normal styles."""
    return Figure(
        measure=_measure_unit,
        plot=_plot_unit,
        claims=(
            Claim("demodulated: largest distance of the standard deviation from 1", "largest error", most=0.05),
            Claim("without: power of the scale with which it grows", "slope", 0.95, 1.05),
        ),
    )


EVERY, PENALTY, STEPS, MEMBERS = 16, 0.5, 8_000, 64


def _quadratic(lazy: bool) -> np.ndarray:
    """Returns x over the steps [STEPS, MEMBERS]: Adam on 0.5 (x - 1 - noise)² + 0.5 PENALTY x², from 0."""
    optimizer = optim.lazy_adam(0.01, EVERY) if lazy else optax.adam(0.01, 0.0, 0.99)

    def apply(grad: Array, x: Array, state: Any) -> tuple[Array, Any]:
        with jax.numpy_dtype_promotion("standard"):
            update, state = optimizer.update(grad, state, x)
        return x + update, state

    def step(carry: Any, step_key: tuple[Array, Array]) -> tuple[Any, Array]:
        (x, state), (n, key) = carry, step_key
        grad = x - 1.0 - jax.random.normal(key, [MEMBERS])
        if not lazy:
            x, state = apply(grad + PENALTY * x, x, state)
        else:
            x, state = apply(grad, x, state)
            x, state = jax.lax.cond(
                n % EVERY == 0, lambda x, s: apply(EVERY * PENALTY * x, x, s), lambda x, s: (x, s), x, state
            )
        return (x, state), x

    x = jnp.zeros([MEMBERS])
    steps = jnp.arange(STEPS), jax.random.split(jax.random.key(0), STEPS)
    return np.asarray(jax.jit(lambda: jax.lax.scan(step, (x, optimizer.init(x)), steps)[1])())


def _measure_lazy(runs: Runs) -> Numbers:
    paths = {name: _quadratic(name == "lazy") for name in ("eager", "lazy")}
    means = {name: float(path[STEPS // 2 :].mean()) for name, path in paths.items()}
    return {
        **{name: path.mean(1)[::20] for name, path in paths.items()},
        "means": means,
        "ratio": means["lazy"] / means["eager"],
    }


def _plot_lazy(numbers: Numbers) -> Any:
    fig, axes = plots.subplots(1, 1, width=3.3)
    for name in ("eager", "lazy"):
        axes[0, 0].plot(20 * np.arange(len(numbers[name])), numbers[name], label=name)
    axes[0, 0].set(xlabel="step", ylabel="mean x of 64 runs")
    axes[0, 0].legend()
    return fig


@figures.register(
    "stylegan2/lazy",
    paper=PAPER,
    shows="a penalty every 16 steps, 16 times as heavy and with corrected Adam, has the effect of one at every step",
    minutes=3 / 60,
)
def lazy() -> Figure:
    """Adam on a noisy quadratic with a quadratic penalty, 8,000 steps in 64 runs; the minimum is 2/3."""
    return Figure(
        measure=_measure_lazy,
        plot=_plot_lazy,
        claims=(Claim("mean of x over the last half: lazy / at every step", "ratio", 0.98, 1.02),),
    )


def _styles(run: Any, n: int, seed: int) -> tuple[Array, Any]:
    """Returns the styles [n, L, W] of n latents, and the function from styles to uint8 images with constant noise."""
    G = run.network("generator")
    keys = jax.random.split(jax.random.key(seed), n)
    noise_keys = jnp.broadcast_to(jax.random.key(0), [n])
    ws = G(prng.normal(keys, run.config.latent), keys, method="styles")
    synthesise = jax.jit(lambda ws: G(ws, noise_keys, method="synthesise"))
    return ws, lambda ws: to_uint8(np.asarray(synthesise(ws)))


def _measure_mixing(runs: Runs) -> Numbers:
    (run,) = runs["digits"]
    n = 500
    ws, synthesise = _styles(run, n, seed=0)
    other = jnp.roll(ws, 1, 0)
    layers = ws.shape[1]
    swap = lambda low, high: jnp.concatenate([ws[:, :low], other[:, low:high], ws[:, high:]], 1)
    before = digits_svm.classify(synthesise(ws))
    swaps = {"coarse": (0, 2), "middle": (2, layers - 2), "fine": (layers - 2, layers)}
    changed = {name: float((digits_svm.classify(synthesise(swap(*s))) != before).mean()) for name, s in swaps.items()}
    # Rows have the remaining styles of one image and columns the swapped styles of others.
    side, tiles = 6, []
    first = ws[:side]
    for low, high in swaps.values():
        rows = [
            jnp.concatenate(
                [
                    first[i, None, :low].repeat(side, 0),
                    ws[side : 2 * side, low:high],
                    first[i, None, high:].repeat(side, 0),
                ],
                1,
            )
            for i in range(side)
        ]
        padded = jnp.resize(jnp.concatenate(rows), (n, *ws.shape[1:]))
        tiles.append(synthesise(padded)[: side * side])
    sources = synthesise(ws)
    return {
        "changed": changed,
        "ratio": changed["coarse"] / max(changed["fine"], 1e-3),
        "grids": np.stack(tiles),
        "rows": sources[:side],
        "columns": sources[side : 2 * side],
    }


def _plot_mixing(numbers: Numbers) -> Any:
    fig, axes = plots.subplots(1, 3, height=2.8)
    for ax, grid, (name, share) in zip(axes[0], numbers["grids"], numbers["changed"].items(), strict=True):
        side = len(numbers["rows"])
        blank = np.full_like(grid[:1], 255)
        rows = [np.concatenate([blank, numbers["columns"]])]
        rows += [np.concatenate([numbers["rows"][i, None], grid[side * i : side * (i + 1)]]) for i in range(side)]
        ax.imshow(pictures.grid(np.concatenate(rows), side + 1), cmap="gray")
        ax.set_title(f"{name} styles of the columns")
        ax.set(xticks=[], yticks=[], xlabel=f"class changes in {share:.0%}")
    return fig


@figures.register(
    "stylegan/fig3",
    paper=STYLEGAN,
    shows="style mixing: the styles of small resolutions determine the digit, those of the full size its stroke",
    minutes=4,
)
def mixing() -> Figure:
    """Two of six layers of `stylegan2/digits` have the styles of another image; a classifier judges 500 pairs."""
    return Figure(
        measure=_measure_mixing,
        plot=_plot_mixing,
        claims=(Claim("share of changed classes: two coarsest layers / two finest layers", "ratio", least=1.5),),
        runs=DIGITS,
    )


def _measure_truncation(runs: Runs) -> Numbers:
    (run,) = runs["digits"]
    samples = [run.sample(200, truncation=psi, noise="const") for psi in PSIS]
    pixels = [x.reshape(len(x), -1) / 255.0 for x in samples]
    diversity = [float(np.linalg.norm(x[:100] - x[100:], axis=1).mean()) for x in pixels]
    return {
        "diversity": diversity,
        "at 0": diversity[0],
        "smallest step": float(np.diff(diversity).min()),
        "samples": np.stack([x[:10] for x in samples]),
    }


def _plot_truncation(numbers: Numbers) -> Any:
    fig, axes = plots.subplots(1, 2, height=2.4)
    samples = numbers["samples"]
    axes[0, 0].imshow(pictures.grid(samples.reshape(-1, *samples.shape[2:]), samples.shape[1]), cmap="gray")
    axes[0, 0].set(xticks=[], yticks=[], ylabel=f"ψ from {PSIS[0]:g} to {PSIS[-1]:g}")
    axes[0, 1].plot(PSIS, numbers["diversity"], marker="o")
    axes[0, 1].set(xlabel="ψ", ylabel="mean distance of two images")
    return fig


@figures.register(
    "stylegan/fig8",
    paper=STYLEGAN,
    shows="truncation: with ψ falling to 0 all images approach the same one",
    minutes=4,
)
def truncation() -> Figure:
    """Samples of `stylegan2/digits` with equal noise; distances are means over 100 pairs, with pixels in [0, 1]."""
    return Figure(
        measure=_measure_truncation,
        plot=_plot_truncation,
        claims=(
            Claim("distance of two images at ψ = 0", "at 0", most=1e-6),
            Claim("growth of the distance from each ψ to the next, smallest", "smallest step", least=0.0),
        ),
        runs=DIGITS,
    )
