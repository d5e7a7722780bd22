"""Improved Training of Wasserstein GANs (Gulrajani et al. 2017, arXiv 1704.00028).

    python launch.py train wgan_gp/swiss_roll
    python launch.py train wgan_gp/mnist

The critic's gradient is held at norm 1 between real and fake examples (Eq. 3). Algorithm 1 has beta1 = 0; the authors'
toy and MNIST scripts have 0.5, and the toys a penalty of 0.1, which is what the testbeds take.

    python launch.py figure wgan_gp/fig1a wgan_gp/fig1b wgan_gp/norm1

The figures' critics train against a fixed generator, data with noise from N(0, 1), as in the authors' toy script. It
takes 100,000 steps at rates of 1e-4 (Adam) and 5e-5 (RMSProp); to be done in minutes, fig1a takes 2,000 steps and
fig1b 1,000 at ten times those.
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
from jaxgan import figures, latents, losses, penalties, plots
from jaxgan.figures import Claim, Figure
from jaxgan.game import Params
from jaxgan.registry import Experiment

PAPER = "Gulrajani et al. 2017, arXiv 1704.00028"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(testbeds.Config):
    """WGAN-GP, Algorithm 1."""

    b1: float = 0.5  # of Adam
    b2: float = 0.9  # of Adam
    penalty: float = 10.0  # weight of the gradient penalty, lambda
    n_critic: int = 5  # critic moves to one of the generator


SHOWS = "a critic of gradient norm 1 where it matters, and a loss that falls with quality"


@testbeds.on_all(
    "wgan_gp",
    Config,
    paper=PAPER,
    shows=SHOWS,
    plane={"penalty": 0.1},
)
def build(bed: testbeds.Bed, config: Config) -> Experiment:
    """No batch norm in the critic: the penalty is on the gradient at single examples (section 4)."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)

    def penalty(critic: penalties.Critic, real: Array, fake: Array, key: Array) -> Array:
        return config.penalty * penalties.gradient_penalty(critic, real, fake, key)

    return bed.experiment(
        config, losses.wasserstein, adam(config.g_lr), adam(config.d_lr), penalty=penalty, n_critic=config.n_critic
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Images(imagesets.Config, Config):
    """WGAN-GP on images, by the networks of DCGAN, with batch norm in the generator alone."""

    g_lr: float = 1e-4  # learning rate of the generator
    d_lr: float = 1e-4  # learning rate of the critic


imagesets.on(
    "wgan_gp",
    {
        imagesets.MNIST: Images(**imagesets.MNIST.defaults | {"steps": 12_000}, batch_size=50),
        imagesets.CIFAR10: Images(**imagesets.CIFAR10.defaults, batch_size=64, dequantise=True),
    },
    paper=PAPER,
    shows=SHOWS,
)(build)

TITLES = {"ring": "8 Gaussians", "grid": "25 Gaussians", "swiss_roll": "Swiss roll"}
KINDS = {"clipped": "weight clipping", "penalised": "gradient penalty"}


@figures.register(
    "wgan_gp/fig1a",
    paper=PAPER,
    shows="value surfaces of critics against a fixed generator, 2,000 steps at ten times the paper's learning rates",
    cost="8 min, 2 CPU cores",
)
def fig1a() -> Figure:
    """A clipped critic sees the bulk of the data; one with a gradient penalty sees its modes.

    A mode counts if D is above its eight neighbours on a lattice of spacing 0.05 somewhere within 0.25 of it.
    """
    at = np.linspace(-3, 3, 121)

    def measure(runs: figures.Looks) -> figures.Numbers:
        found, correlation = {"at": at}, {}
        real, fake = jax.vmap(critics.noisy(*critics.DATA.values()))(jax.random.split(jax.random.key(1), 4_000))
        for k, (data, density) in enumerate(critics.DATA.items()):
            points = jnp.concatenate([real[:, k], fake[:, k]])
            ratio = critics.log_ratio(density, points)
            for kind in KINDS:
                D = critics.critic(runs[kind][-1], k)
                correlation[kind] = np.corrcoef(D(points), ratio)[0, 1].item()
                found |= {f"correlation/{kind}/{data}": correlation[kind]}
                found |= {f"surface/{kind}/{data}": critics.surface(D, at)}
            found[f"margin/{data}"] = correlation["penalised"] - correlation["clipped"]
            found[f"points/{data}"] = np.asarray(real[:400, k])
        for kind in KINDS:
            found[f"peaks/{kind}"] = critics.peaks(
                found[f"surface/{kind}/ring"], at, critics.DATA["ring"].modes, radius=0.25
            )
        return found

    def plot(found: Mapping[str, Any]) -> Any:
        page, axes = plots.panels(2, 3, height=2.2, sharex=True, sharey=True)
        for row, (kind, label) in zip(axes, KINDS.items(), strict=True):
            row[0].set_ylabel(label)
            for ax, data in zip(row, TITLES, strict=True):
                values = found[f"surface/{kind}/{data}"]
                ax.plot(*found[f"points/{data}"].T, ".", color=plots.COLOURS[1], markersize=2)
                ax.contour(found["at"], found["at"], values, levels=16, linewidths=0.8)
                ax.set(aspect="equal", xlim=(-3, 3), ylim=(-3, 3))
        for ax, title in zip(axes[0], TITLES.values(), strict=True):
            ax.set_title(title)
        return page

    return Figure(
        measure=measure,
        plot=plot,
        runs={
            "clipped": critics.toys(critics.clipped, 2_000, d_lr=5e-4),
            "penalised": critics.toys(critics.penalised, 2_000, d_lr=1e-3),
        },
        claims=(
            *(
                Claim(
                    f"{title}: correlation of D with log p_real / p_fake on held-out reals and fakes, "
                    "gradient penalty above clipping by",
                    f"margin/{data}",
                    least=0.2,
                )
                for data, title in TITLES.items()
            ),
            Claim("gradient penalty: of 8 modes, those with a peak of D within 0.25", "peaks/penalised", least=6),
            Claim("clipping: of 8 modes, those with a peak of D within 0.25", "peaks/clipped", most=2),
        ),
    )


CLIPS = {"c = 0.1": 0.1, "c = 0.01": 0.01, "c = 0.001": 0.001}
PENALTY = "gradient penalty"
ROLL = critics.noisy(critics.DATA["swiss_roll"])
DEEP = {"depth": 12, "batch_size": 64}


def layer_norms(params: Params, real: Array, fake: Array) -> np.ndarray:
    """Norms [depth] of the gradient of E D(fake) - E D(real) in a ReLU critic's activations [B, width], from the first.

    The squares are summed in float64: those of a gradient that vanishes are below what float32 holds.
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


@figures.register(
    "wgan_gp/fig1b",
    paper=PAPER,
    shows="gradient norms through a critic of 12 layers, and its weights, 1,000 steps at ten times the paper's rates",
    cost="4 min, 2 CPU cores",
)
def fig1b() -> Figure:
    """With weights at ±c of random signs the norm changes by c sqrt(width / 2) from a layer to the one before it.

    Where training reaches all layers, as it does at c = 0.1 alone, it aligns the signs of all live units, which makes
    that c width / 2; weights of units that died before stay where they started.
    """
    names = [*CLIPS, PENALTY]

    def measure(runs: figures.Looks) -> figures.Numbers:
        real, fake = (x[:, 0] for x in jax.vmap(ROLL)(jax.random.split(jax.random.key(1), 256)))
        found = {}
        for name in names:
            run = runs[name][-1]
            params = critics.parameters(run)
            norms = np.log10(layer_norms(params, real, fake) + 1e-300)
            found[f"norms/{name}"] = norms
            found[f"slope/{name}"] = -np.polyfit(np.arange(len(norms)), norms, 1)[0].item()
            weights = critics.kernels(params)
            edge = np.quantile(np.abs(weights), 0.999).item() if name == PENALTY else 1.02 * CLIPS[name]
            counts, found[f"edges/{name}"] = np.histogram(weights, np.linspace(-edge, edge, 52))
            found[f"share/{name}"] = counts / len(weights)
            if name in CLIPS:
                theory = np.log10(CLIPS[name] * np.sqrt(run.config.width / 2))
                found[f"theory/{name}"] = theory.item()
                found[f"gap/{name}"] = abs(found[f"slope/{name}"] - theory).item()
                found[f"at_bounds/{name}"] = np.mean(np.abs(weights) >= 0.95 * CLIPS[name]).item()
        found["at_bounds/least"] = min(found[f"at_bounds/{name}"] for name in CLIPS)
        found[f"at_bounds/{PENALTY}"] = np.mean(np.abs(np.abs(weights) - 0.01) <= 0.05 * 0.01).item()
        return found

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((left, *right),) = plots.panels(1, 3, height=2.3, width_ratios=(2, 1, 1))
        for name, colour in zip(names, plots.COLOURS, strict=False):
            norms = found[f"norms/{name}"]
            layers = np.arange(1, len(norms) + 1)
            left.plot(layers, norms, "o-", markersize=3, color=colour, label=name)
            if name in CLIPS:
                line = norms[-1] - found[f"theory/{name}"] * (layers - layers[-1])
                left.plot(layers, line, ":", color="black", linewidth=0.8)
        left.plot([], [], ":", color="black", linewidth=0.8, label="c sqrt(width / 2)")
        left.set(xlabel="layer of the critic", ylabel="log10 of the gradient norm")
        left.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
        for ax, name, colour in zip(right, ("c = 0.01", PENALTY), (plots.COLOURS[1], plots.COLOURS[3]), strict=True):
            ax.stairs(found[f"share/{name}"], found[f"edges/{name}"], fill=True, color=colour)
            ax.set(title=name, xlabel="weight")
        right[0].set_ylabel("share of the weights")
        return page

    bounds = {"c = 0.001": {"most": -1.2}, "c = 0.01": {"most": -0.5}, "c = 0.1": {"least": 0.05}}
    bounds |= {PENALTY: {"least": -0.15, "most": 0.15}}
    slope = "slope of log10 of the gradient norm, a layer towards the input"
    return Figure(
        measure=measure,
        plot=plot,
        runs={
            name: critics.need(critics.clipped, ROLL, "swiss_roll", 1_000, d_lr=5e-4, clip=clip, **DEEP)
            for name, clip in CLIPS.items()
        }
        | {PENALTY: critics.need(critics.penalised, ROLL, "swiss_roll", 1_000, d_lr=1e-3, **DEEP)},
        claims=(
            *(Claim(f"{name}: {slope}", f"slope/{name}", **bounds[name]) for name in names),
            *(
                Claim(f"{name}: distance of the slope to log10(c sqrt(width / 2))", f"gap/{name}", most=0.3)
                for name in CLIPS
            ),
            Claim("clipping: share of the weights within 5 % of ±c, the least of three", "at_bounds/least", least=0.6),
            Claim("gradient penalty: share of the weights within 5 % of ±0.01", f"at_bounds/{PENALTY}", most=0.01),
        ),
    )


@figures.register(
    "wgan_gp/norm1",
    paper=PAPER,
    shows="the norm of the critic's gradient between real and fake examples, before and after training",
    cost="1 min, 2 CPU cores",
)
def norm1() -> Figure:
    """On draws that training did not see."""

    def measure(runs: figures.Looks) -> figures.Numbers:
        key, mix = jax.random.split(jax.random.key(1))
        real, fake = (x[:, 0] for x in jax.vmap(ROLL)(jax.random.split(key, 4_000)))
        epsilon = latents.uniform(latents.per_example(mix, len(real)), 1)
        between = epsilon * real + (1.0 - epsilon) * fake
        start, end = (np.asarray(penalties.norm(critics.critic(run), between)) for run in runs["critic"])
        return {"start": start, "end": end, "median": np.median(end).item()}

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((ax,),) = plots.panels(1, 1, height=2.4, width=plots.WIDTH / 2)
        bins = np.linspace(0, 3, 101)
        ax.hist(found["start"], bins, alpha=0.6, color=plots.COLOURS[5], label="before training")
        ax.hist(found["end"], bins, alpha=0.8, color=plots.COLOURS[1], label="after 2,000 steps")
        ax.axvline(1, color="black", linewidth=0.8, linestyle=":")
        ax.set(xlabel="gradient norm of D on interpolates", ylabel="examples of 4,000")
        ax.legend()
        return page

    return Figure(
        measure=measure,
        plot=plot,
        runs={"critic": critics.need(critics.penalised, ROLL, "swiss_roll", 0, 2_000, penalty=10.0)},
        claims=(Claim("median gradient norm, penalty of weight 10", "median", least=0.8, most=1.2),),
    )
