"""Figures of Improved Training of Wasserstein GANs (Gulrajani et al. 2017, arXiv 1704.00028).

    python launch.py figure wgan_gp/fig1a wgan_gp/fig1b wgan_gp/norm1

The critics are trained against a fixed generator, data with noise from N(0, 1), as in the authors' toy script. That
script takes 100,000 steps at learning rates of 1e-4 (Adam) and 5e-5 (RMSProp). To finish in minutes, fig1a takes 2,000
steps and fig1b 1,000, at ten times these rates.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.figures import fixed_generator
from experiments.figures.fixed_generator import TOYS, critic_run, noisy_data, toys_run
from experiments.wgan_gp import PAPER
from jaxgan.core import losses, penalties, prng
from jaxgan.core.game import Params
from jaxgan.core.penalties import Critic
from jaxgan.render import plots
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, register

TITLES = {"ring": "8 Gaussians", "grid": "25 Gaussians", "swiss_roll": "Swiss roll"}
METHODS = {"clipped": "weight clipping", "penalised": "gradient penalty"}


def contrast_of_turns(D: Critic, spiral: np.ndarray, real: np.ndarray) -> float:
    """Returns the mean of D on the Swiss roll minus that between its turns, in standard deviations of D on the data.

    Args:
        D: The critic.
        spiral: Points of the roll, equally spaced in their angle, over one and a half turns [N, 2].
        real: The data.
    """
    turn = 2 * (len(spiral) - 1) // 3  # The angle goes from 1.5 pi to 4.5 pi.
    inner, outer = spiral[:-turn], spiral[turn:]
    value = lambda points: np.asarray(D(jnp.float32(points)), np.float64)
    along, between = (value(inner) + value(outer)) / 2, value((inner + outer) / 2)
    return ((along - between).mean() / value(real).std()).item()


@register(
    "wgan_gp/fig1a",
    paper=PAPER,
    shows="value surfaces of critics against a fixed generator, 2,000 steps at ten times the paper's learning rates",
    minutes=8,
)
def fig1a() -> Figure:
    """A clipped critic captures the bulk of the data; a critic with the gradient penalty captures their modes.

    A mode counts if D has a local maximum within 0.25 of it, on a lattice of spacing 0.05. On the Swiss roll D is
    compared along two neighbouring turns and halfway between them, at the same angles.
    """
    axis = np.linspace(-3, 3, 121)

    def measure(runs: Runs) -> Numbers:
        numbers: dict[str, Any] = {"axis": axis}
        real, _ = jax.vmap(noisy_data(*TOYS.values()))(jax.random.split(jax.random.key(1), 4_000))
        for k, (data, density) in enumerate(TOYS.items()):
            numbers[f"points/{data}"] = np.asarray(real[:400, k])
            for method in METHODS:
                D = fixed_generator.critic(runs[method][-1], k)
                values = fixed_generator.values_on_lattice(D, axis)
                numbers[f"surface/{method}/{data}"] = values
                if data == "swiss_roll":
                    numbers[f"contrast/{method}"] = contrast_of_turns(D, density.modes, np.asarray(real[:, k]))
                else:
                    peaks = fixed_generator.count_peaks(values, axis, density.modes, radius=0.25)
                    numbers[f"peaks/{method}/{data}"] = peaks
        return numbers

    def plot(numbers: Numbers) -> Any:
        fig, axes = plots.subplots(2, 3, height=2.2, sharex=True, sharey=True)
        for row, (method, label) in zip(axes, METHODS.items(), strict=True):
            row[0].set_ylabel(label)
            for ax, data in zip(row, TITLES, strict=True):
                values = numbers[f"surface/{method}/{data}"]
                ax.plot(*numbers[f"points/{data}"].T, ".", color=plots.COLOURS[1], markersize=2)
                ax.contour(numbers["axis"], numbers["axis"], values, levels=16, linewidths=0.8)
                ax.set(aspect="equal", xlim=(-3, 3), ylim=(-3, 3))
                if data == "swiss_roll":
                    ax.set_xlabel(f"contrast {numbers[f'contrast/{method}']:.2f}", fontsize=7)
                else:
                    ax.set_xlabel(f"peaks at {numbers[f'peaks/{method}/{data}']} modes", fontsize=7)
        for ax, title in zip(axes[0], TITLES.values(), strict=True):
            ax.set_title(title)
        return fig

    peaks = "with a peak of D within 0.25"
    contrast = "Swiss roll: D on the roll minus D between its turns, in standard deviations of D on the data"
    return Figure(
        measure=measure,
        plot=plot,
        runs={
            "clipped": toys_run(fixed_generator.clipped, 2_000, d_lr=5e-4),
            "penalised": toys_run(fixed_generator.penalised, 2_000, d_lr=1e-3),
        },
        claims=(
            Claim(f"gradient penalty: modes, of 8, {peaks}", "peaks/penalised/ring", least=6),
            Claim(f"weight clipping: modes, of 8, {peaks}", "peaks/clipped/ring", most=2),
            Claim(f"gradient penalty: modes, of 25, {peaks}", "peaks/penalised/grid", least=20),
            Claim(f"weight clipping: modes, of 25, {peaks}", "peaks/clipped/grid", most=5),
            Claim(f"gradient penalty, {contrast}", "contrast/penalised", least=0.5),
            Claim(f"weight clipping, {contrast}", "contrast/clipped", most=0.2),
        ),
    )


CLIPS = {"c = 0.1": 0.1, "c = 0.01": 0.01, "c = 0.001": 0.001}
PENALTY = "gradient penalty"
SWISS_ROLL = noisy_data(TOYS["swiss_roll"])
DEEP = {"depth": 12, "batch_size": 64}


def activation_gradient_norms(params: Params, real: Array, fake: Array) -> np.ndarray:
    """Returns the gradient norms [depth] of E D(fake) - E D(real) in the activations [2 B, width] of each hidden layer.

    Args:
        params: Parameters of an `mlp.Critic` with ReLU.
        real: Points [B, D].
        fake: Points [B, D].

    Squares are summed in float64, because those of a vanishing gradient are below the range of float32.
    """
    *hidden, last = (params[f"Dense_{i}"] for i in range(len(params)))
    shape = len(real) + len(fake), last["kernel"].shape[0]

    def loss(offsets: list[Array]) -> Array:
        x = jnp.concatenate([real, fake])
        for layer, offset in zip(hidden, offsets, strict=True):
            x = jax.nn.relu(x @ layer["kernel"] + layer["bias"][None]) + offset
        logits = (x @ last["kernel"])[:, 0]
        return losses.wasserstein.d(logits[: len(real)], logits[len(real) :])

    grads = jax.grad(loss)([jnp.zeros(shape)] * len(hidden))
    return np.array([np.linalg.norm(np.float64(g)) for g in grads])


def live_weights(params: Params, points: np.ndarray) -> np.ndarray:
    """Returns the weights [N] that join inputs or units that are active at one point at least, of an `mlp.Critic`."""
    x, live, kept = np.float64(points), np.ones(points.shape[1], bool), []
    for i in range(len(params)):
        kernel, bias = (np.float64(params[f"Dense_{i}"][name]) for name in ("kernel", "bias"))
        x = np.maximum(x @ kernel + bias, 0)
        live_out = (x > 0).any(0) if i < len(params) - 1 else np.ones(kernel.shape[1], bool)
        kept.append(kernel[live][:, live_out].ravel())
        live = live_out
    return np.concatenate(kept)


@register(
    "wgan_gp/fig1b",
    paper=PAPER,
    shows="gradient norms through a critic of 12 layers, and its weights, 1,000 steps at ten times the paper's rates",
    minutes=4,
)
def fig1b() -> Figure:
    """Gradient norms by layer, for three clipping bounds c and for the gradient penalty.

    With weights of random sign at ±c the norm changes by the factor c sqrt(width / 2) from one layer to the layer
    before it, if half the units are active. Where training reaches all layers, which happens only at c = 0.1, it aligns
    the signs, and the factor is c width / 2. Units that are never active get no gradient, and their weights stay inside
    the bounds, so that only the weights between live units are counted.
    """
    names = [*CLIPS, PENALTY]

    def measure(runs: Runs) -> Numbers:
        real, fake = (x[:, 0] for x in jax.vmap(SWISS_ROLL)(jax.random.split(jax.random.key(1), 256)))
        numbers: dict[str, Any] = {}
        weights, live = {}, {}
        for name in names:
            params = fixed_generator.critic_params(runs[name][-1])
            live[name] = live_weights(params, np.concatenate([real, fake]))
            norms = np.log10(activation_gradient_norms(params, real, fake) + 1e-300)
            numbers[f"norms/{name}"] = norms
            numbers[f"slope/{name}"] = -np.polyfit(np.arange(len(norms)), norms, 1)[0].item()
            weights[name] = fixed_generator.kernel_weights(params)
            edge = np.quantile(np.abs(weights[name]), 0.999).item() if name == PENALTY else 1.02 * CLIPS[name]
            counts, numbers[f"edges/{name}"] = np.histogram(weights[name], np.linspace(-edge, edge, 52))
            numbers[f"share/{name}"] = counts / len(weights[name])
        for name, clip in CLIPS.items():
            width = runs[name][-1].config.width
            theory, aligned = np.log10(clip * np.sqrt(width / 2)), np.log10(clip * width / 2)
            numbers[f"theory/{name}"] = theory.item()
            numbers[f"aligned/{name}"] = aligned.item()
            numbers[f"gap/{name}"] = abs(numbers[f"slope/{name}"] - theory).item()
            numbers[f"above_random/{name}"] = (numbers[f"slope/{name}"] - theory).item()
            numbers[f"below_aligned/{name}"] = (aligned - numbers[f"slope/{name}"]).item()
            numbers[f"at_bounds/{name}"] = np.mean(np.abs(live[name]) >= 0.95 * clip).item()
            numbers[f"live/{name}"] = len(live[name]) / len(weights[name])
        numbers[f"at_bounds/{PENALTY}"] = np.mean(np.abs(np.abs(weights[PENALTY]) - 0.01) <= 0.05 * 0.01).item()
        return numbers

    def plot(numbers: Numbers) -> Any:
        fig, ((left, *right),) = plots.subplots(1, 3, height=2.3, width_ratios=(2, 1, 1))
        dotted = {"linestyle": ":", "color": "black", "linewidth": 0.8}
        for name, colour in zip(names, plots.COLOURS, strict=False):
            norms = numbers[f"norms/{name}"]
            layers = np.arange(1, len(norms) + 1)
            left.plot(layers, norms, "o-", markersize=3, color=colour, label=name)
            if name in CLIPS:
                factor = numbers[f"{'aligned' if name == 'c = 0.1' else 'theory'}/{name}"]
                left.plot(layers, norms[-1] - factor * (layers - layers[-1]), **dotted)
        left.plot([], [], **dotted, label="c √(w/2); c w/2 at c = 0.1")
        left.set(xlabel="layer of the critic", ylabel="log10 of the gradient norm")
        left.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
        for ax, name, colour in zip(right, ("c = 0.01", PENALTY), (plots.COLOURS[1], plots.COLOURS[3]), strict=True):
            ax.stairs(numbers[f"share/{name}"], numbers[f"edges/{name}"], fill=True, color=colour)
            ax.set(title=name, xlabel="weight")
        right[0].set_ylabel("share of the weights")
        return fig

    bounds = {"c = 0.001": {"most": -1.2}, "c = 0.01": {"most": -0.5}, "c = 0.1": {"least": 0.05}}
    bounds |= {PENALTY: {"least": -0.15, "most": 0.15}}
    slope = "change of log10 of the gradient norm per layer towards the input"
    distance = "distance of this slope from log10(c √(w/2)), w = 512"
    live = "share of the weights between live units within 5 % of ±c"
    return Figure(
        measure=measure,
        plot=plot,
        runs={
            name: critic_run(fixed_generator.clipped, SWISS_ROLL, "swiss_roll", 1_000, d_lr=5e-4, clip=clip, **DEEP)
            for name, clip in CLIPS.items()
        }
        | {PENALTY: critic_run(fixed_generator.penalised, SWISS_ROLL, "swiss_roll", 1_000, d_lr=1e-3, **DEEP)},
        claims=(
            *(Claim(f"{name}: {slope}", f"slope/{name}", **bounds[name]) for name in names),
            *(Claim(f"{name}: {distance}", f"gap/{name}", most=0.3) for name in ("c = 0.01", "c = 0.001")),
            Claim("c = 0.1: this slope minus log10(c √(w/2)), for random signs", "above_random/c = 0.1", least=0),
            Claim("c = 0.1: log10(c w/2), for equal signs, minus this slope", "below_aligned/c = 0.1", least=0),
            Claim(f"the paper's c = 0.01: {live}", "at_bounds/c = 0.01", least=0.6),
            Claim("gradient penalty: share of the weights within 5 % of ±0.01", f"at_bounds/{PENALTY}", most=0.01),
        ),
    )


@register(
    "wgan_gp/norm1",
    paper=PAPER,
    shows="the norm of the critic's gradient between real and fake examples, before and after training",
    minutes=1,
)
def norm1() -> Figure:
    """Gradient norms at points that training did not use."""

    def measure(runs: Runs) -> Numbers:
        key, mix_key = jax.random.split(jax.random.key(1))
        real, fake = (x[:, 0] for x in jax.vmap(SWISS_ROLL)(jax.random.split(key, 4_000)))
        epsilon = prng.uniform(prng.as_example_keys(mix_key, len(real)), 1)
        between = epsilon * real + (1.0 - epsilon) * fake
        norms = lambda run: np.asarray(penalties.gradient_norm(fixed_generator.critic(run), between))
        start, end = (norms(run) for run in runs["critic"])
        return {"start": start, "end": end, "median": np.median(end).item()}

    def plot(numbers: Numbers) -> Any:
        fig, ((ax,),) = plots.subplots(1, 1, height=2.4, width=plots.WIDTH / 2)
        bins = np.linspace(0, 3, 101)
        ax.hist(numbers["start"], bins, alpha=0.6, color=plots.COLOURS[5], label="before training")
        ax.hist(numbers["end"], bins, alpha=0.8, color=plots.COLOURS[1], label="after 2,000 steps")
        ax.axvline(1, color="black", linewidth=0.8, linestyle=":")
        ax.set(xlabel="gradient norm of D between reals and fakes", ylabel="examples of 4,000")
        ax.legend()
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        runs={"critic": critic_run(fixed_generator.penalised, SWISS_ROLL, "swiss_roll", 0, 2_000, penalty=10.0)},
        claims=(Claim("median gradient norm with a penalty of weight 10", "median", least=0.8, most=1.2),),
    )
