"""Figures of Self-Attention GANs (Zhang et al. 2018, arXiv 1805.08318).

    python launch.py figure sagan/unit sagan/fig5

fig5 of the paper shows attention maps on ImageNet. Here the data have a dependency over a distance that can be counted:
two marks in opposite corners of an image are always of one kind.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.sagan import PAPER
from jaxgan.core import losses, prng
from jaxgan.data import sources
from jaxgan.networks import mlp, resnet
from jaxgan.networks.resnet import SelfAttention
from jaxgan.render import outputs, plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec
from jaxgan.runs.registry import Entry
from jaxgan.runs.run import Run
from jaxgan.runs.targets import Target
from jaxgan.training import experiment
from jaxgan.training.experiment import Evaluation, Experiment, setting
from jaxgan.training.metric_log import summarise_seeds

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


# Four marks of 4 x 4 pixels in [-1, 1], and where their pairs stand in an image of 16 x 16.
MARKS = np.float32(
    [
        [[1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1]],
        [[1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]],
        [[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]],
        [[1, 0, 0, 1], [1, 0, 0, 1], [1, 0, 0, 1], [1, 0, 0, 1]],
    ]
)
IMAGE_SIDE, FIRST, SECOND = 16, slice(1, 5), slice(11, 15)
ATTENTION = 8  # side of the critic's feature map that attention is applied to


def draw_pair(key: jax.Array) -> jax.Array:
    """Draws an image [16, 16, 1] with one of the four marks in the first and in the last corner."""
    mark = 2 * jax.random.choice(key, MARKS)[..., None] - 1
    image = -jnp.ones([IMAGE_SIDE, IMAGE_SIDE, 1])
    return image.at[FIRST, FIRST].set(mark).at[SECOND, SECOND].set(mark)


def kinds(images: np.ndarray) -> np.ndarray:
    """Returns the kinds [N, 2] of the marks nearest to the two corners of images uint8 [N, 16, 16, 1]."""
    x = np.float32(images[..., 0]) / 255
    corners = np.stack([x[:, FIRST, FIRST], x[:, SECOND, SECOND]], axis=1)
    return np.square(corners[:, :, None] - MARKS).sum((-1, -2)).argmin(-1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairConfig(experiment.Config):
    """A fully connected generator and a residual critic of one block."""

    steps: int = 3_000
    batch_size: int = 32
    latent: int = setting(16, "dimensions of z")
    g_width: int = setting(128, "units of the generator's hidden layers")
    d_width: int = setting(16, "channels of the critic")
    attention: int = setting(ATTENTION, "side of the feature map with attention, or 0", low=0)
    g_lr: float = setting(5e-4, "learning rate of the generator")
    d_lr: float = setting(2e-3, "learning rate of the critic")


def build_pairs(config: PairConfig) -> Experiment:
    """Returns SAGAN's loss, optimizers and spectral norm on pairs of marks.

    A unit of the critic's only block sees six pixels, and the sum over its feature map relates none of them to another,
    unless attention does.
    """
    target = Target(
        shape=(IMAGE_SIDE, IMAGE_SIDE, 1),
        source=lambda batch_size: sources.density(draw_pair),
        evaluate=lambda samples: Evaluation({"consistency": float(np.equal(*kinds(samples).T).mean())}),
        output=outputs.Images(),
        preview_count=64,
    )
    return target.two_player(
        config,
        mlp.Generator(target.shape, config.g_width, depth=2, out=jnp.tanh),
        resnet.Critic((config.d_width,), downs=1, attention=config.attention),
        losses.hinge,
        prng.normal_latent(config.latent),
        convolutional=True,
        g_optimizer=optax.adam(config.g_lr, 0.0, 0.9),
        d_optimizer=optax.adam(config.d_lr, 0.0, 0.9),
    )


def attention_map(run: Run, images: np.ndarray) -> np.ndarray:
    """Returns the attention [N, 4, 4] to each key of the position in the middle of the first mark, in the critic."""
    (critic,) = (network for network in run.experiment.game.networks if network.name == "discriminator")
    state = run.seed_states[0]
    variables = {"params": state.params[critic.name], **state.buffers[critic.name]}
    x = np.float32(images) / 127.5 - 1
    _, sown = critic.module.apply(variables, x, train=False, mutable="intermediates")
    (weights,) = jax.tree.leaves(sown)
    weights = np.asarray(weights).reshape(len(x), ATTENTION, ATTENTION, ATTENTION // 2, ATTENTION // 2)
    return weights[:, 1, 1]


@figures.register(
    "sagan/fig5",
    paper=PAPER,
    shows="two marks that must be alike in opposite corners: a critic with attention sees whether they are, one whose "
    "convolutions see six pixels does not",
    minutes=5,
)
def fig5() -> Figure:
    """The share of 2,000 samples whose marks are of one kind, three seeds. By chance it is a quarter."""
    labels = {"attention": "with attention", "convolutions": "convolutions alone"}

    def measure(runs: Runs) -> Numbers:
        data = np.asarray(jax.vmap(draw_pair)(jax.random.split(jax.random.key(0), 18)))
        numbers: dict[str, Any] = {"data": np.uint8(np.rint((data + 1) * 127.5))}
        for name, (run,) in runs.items():
            samples = [run.sample(2_000, member=member) for member in range(run.config.seeds)]
            found = [kinds(images) for images in samples]
            numbers[f"{name} consistency"] = summarise_seeds([np.equal(*k.T).mean() for k in found])
            numbers[f"{name} kinds"] = summarise_seeds([float(len(np.unique(k[:, 0]))) for k in found])
            numbers[f"{name} samples"] = samples[0][:18]
        (run,) = runs["attention"]
        numbers["map"] = attention_map(run, numbers["data"]).mean(0)
        median = lambda name: numbers[f"{name} consistency"]["median"]
        return numbers | {"gain": median("attention") - median("convolutions")}

    def plot(numbers: Numbers) -> Any:
        fig, ((*panels, attention, shares),) = plots.subplots(1, 5, height=1.9, width_ratios=[1, 1, 1, 1.15, 1.2])
        images = {"data": numbers["data"]} | {label: numbers[f"{name} samples"] for name, label in labels.items()}
        for ax, (title, tiles) in zip(panels, images.items(), strict=True):
            tiles = np.pad(tiles[:16, ..., 0], [(0, 0), (0, 1), (0, 1)], constant_values=255)
            side = 4 * (IMAGE_SIDE + 1)
            tiles = tiles.reshape(4, 4, IMAGE_SIDE + 1, IMAGE_SIDE + 1).swapaxes(1, 2).reshape(side, side)
            ax.imshow(tiles, cmap="gray", interpolation="nearest")
            ax.set(title=title, xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        shown = attention.imshow(numbers["map"], vmin=0, extent=(0, IMAGE_SIDE, IMAGE_SIDE, 0))
        attention.plot(3, 3, "o", color="white", markeredgecolor="black", markersize=5)
        attention.set(title="attention of ○", xticks=[], yticks=[])
        fig.colorbar(shown, ax=attention, shrink=0.7)
        for k, name in enumerate(labels):
            seeds = np.array(numbers[f"{name} consistency"]["seeds"], float)
            shares.plot(np.full(len(seeds), k), seeds, "o", markersize=4, color=plots.COLOURS[k])
        shares.axhline(0.25, color="black", linewidth=0.8, linestyle=":", label="chance")
        shares.set(xlim=(-0.6, 1.6), ylim=(0, 1.05), ylabel="pairs alike", xticks=(0, 1))
        shares.set_xticklabels(["attention", "convolutions"], fontsize=6)
        shares.legend(loc="center right")
        return fig

    entry = Entry("sagan/pairs", PairConfig(), build_pairs)
    settings = {"attention": {}, "convolutions": {"attention": 0}}
    return Figure(
        measure=measure,
        plot=plot,
        runs={name: run_spec(entry, 3_000, seeds=3, **changes) for name, changes in settings.items()},
        claims=(
            Claim("share of pairs that are alike, with attention minus without, medians of 3 seeds", "gain", least=0.1),
        ),
    )
