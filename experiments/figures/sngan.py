"""Figures of "Spectral Normalization for GANs" (Miyato et al. 2018, arXiv 1802.05957).

    python launch.py figure sngan/fig3 sngan/fig9

Both measure the same run of SN-GAN on 8x8 digits, with a critic a quarter as wide as the paper's.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.sngan import PAPER, Config, adam_pair
from experiments.testbeds import DIGITS
from jaxgan.core import losses, optim
from jaxgan.core.game import Params
from jaxgan.networks import sngan
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, run_spec
from jaxgan.runs.registry import Entry
from jaxgan.runs.run import Run
from jaxgan.training.experiment import Experiment

STEPS = (0, 100, 250, 500, 1_000, 1_500, 2_000, 2_500)


def normalised_kernels(run: Run, member: int) -> dict[str, np.ndarray]:
    """Returns the critic's kernels by layer as matrices [inputs, units], divided by their estimated spectral norms.

    The estimates are those of the next training pass, which the pass writes to the network's buffers.
    """
    (critic,) = (network for network in run.experiment.game.networks if network.name == "discriminator")
    state = run.seed_states[member]
    _, after = jax.jit(critic)(state, jnp.zeros([1, *DIGITS.target.shape]))
    spectral = jax.tree_util.tree_leaves_with_path(after.buffers["discriminator"])
    sigmas = {path[-1].key.split("/")[0]: x for path, x in spectral if path[-1].key.endswith("/sigma")}
    kernels = {name: np.asarray(layer["kernel"], np.float64) for name, layer in state.params["discriminator"].items()}
    return {name: k.reshape(-1, k.shape[-1]) / np.float64(sigmas[name]) for name, k in kernels.items()}


@figures.register(
    "sngan/fig9",
    paper=PAPER,
    shows="the spectral norm of each layer of the critic, by an exact SVD: near 1 throughout training",
    minutes=3,
)
def fig9() -> Figure:
    """Three seeds of a critic a quarter as wide as the paper's, from initialisation on."""

    def measure(runs: figures.Runs) -> figures.Numbers:
        norms: dict[str, list[list[float]]] = {}  # by layer, seed and step
        for member in range(runs["sngan"][0].config.seeds):
            kernels_by_step = [normalised_kernels(run, member) for run in runs["sngan"]]
            for layer in kernels_by_step[0]:
                by_step = [np.linalg.svd(kernels[layer], compute_uv=False)[0] for kernels in kernels_by_step]
                norms.setdefault(layer, []).append(by_step)
        late = np.array(list(norms.values()))[:, :, STEPS.index(1_000) :]
        return {
            "steps": np.array([run.step for run in runs["sngan"]]),
            **{layer: np.array(values) for layer, values in norms.items()},
            "layers": sorted(norms),
            "least": late.min().item(),
            "most": late.max().item(),
            "error": np.abs(1 / late - 1).max().item(),
        }

    def plot(numbers: figures.Numbers) -> Any:
        fig, ((left, right),) = plots.subplots(1, 2, height=2.4)
        left.fill_between([1_000, STEPS[-1]], 0.9, 1.15, color="black", alpha=0.08, linewidth=0, label="claimed")
        for layer in numbers["layers"]:
            name = layer.lower().replace("_", " ")
            plots.median_band(left, numbers["steps"], numbers[layer], name)
            plots.median_band(right, numbers["steps"], np.abs(1 / numbers[layer] - 1), name)
        left.set(xlabel="step", ylabel="spectral norm σ(W / σ̂)", ylim=(0.85, 1.75), title="After normalisation")
        right.set(xlabel="step", ylabel="|σ̂ / σ - 1|", yscale="log", title="Power iteration against exact SVD")
        left.legend(ncols=2)
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        runs={"sngan": run_spec("sngan/digits", *STEPS, seeds=3)},
        claims=(
            Claim("all layers from step 1,000 on, all seeds: the smallest spectral norm", "least", least=0.9),
            Claim("all layers from step 1,000 on, all seeds: the largest spectral norm", "most", most=1.15),
        ),
    )


CLIP = 0.01


def _critic_kernels(params: Params) -> dict[str, np.ndarray]:
    """Returns the critic's kernels by layer as matrices [inputs, units]."""
    layers = {name: layer["kernel"] for name, layer in params.items() if "kernel" in layer}
    return {name: np.float64(kernel).reshape(-1, kernel.shape[-1]) for name, kernel in layers.items()}


def weight_normalised_kernels(params: Params) -> dict[str, np.ndarray]:
    """Returns the kernels of a critic with weight norm: each unit's weights have the norm that is its scale."""
    scales = {
        name.split("/")[0]: np.float64(scale)
        for layer in params.values()
        for name, scale in layer.items()
        if name.endswith("/scale")
    }
    return {name: k / np.linalg.norm(k, axis=0) * scales[name] for name, k in _critic_kernels(params).items()}


def weight_norm(train: bool, layer: nn.Module) -> Any:
    """Returns the layer with its kernel divided by the norm of each unit's weights, times a learned scale."""
    return nn.WeightNorm(layer)


def plain(train: bool, layer: nn.Module) -> Any:
    """Returns the layer as it is."""
    return layer


def build_weight_norm(config: Config) -> Experiment:
    """Returns SN-GAN with weight norm (Salimans & Kingma 2016) in place of spectral norm."""
    return _build(config, weight_norm, *adam_pair(config))


def build_clipped(config: Config) -> Experiment:
    """Returns SN-GAN with the critic's kernels clipped after each update in place of spectral norm."""
    g_optimizer, d_optimizer = adam_pair(config)
    is_kernel = lambda params: jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)
    clip = optax.masked(optim.clip_weights(CLIP), is_kernel)
    return _build(config, plain, g_optimizer, optax.chain(d_optimizer, clip))


def _build(config: Config, normalise: Any, *optimizers: optax.GradientTransformation) -> Experiment:
    size, _, channels = DIGITS.target.shape
    networks = (
        sngan.Generator(size, channels, config.width, DIGITS.base),
        sngan.Critic(config.width, DIGITS.base, normalise),
    )
    return DIGITS.two_player(config, losses.hinge, *optimizers, networks=networks)


def effective_rank(matrix: np.ndarray) -> float:
    """Returns exp of the entropy of the shares of the squared singular values: how many of them carry the energy."""
    energy = np.linalg.svd(matrix, compute_uv=False) ** 2
    share = energy[energy > 0] / energy.sum()
    return np.exp(-(share * np.log(share)).sum()).item()


LABELS = {"sngan": "spectral norm", "weight_norm": "weight norm", "clipped": f"clipping, c = {CLIP}"}
LAYERS = ("Conv_0", "Conv_1", "Conv_2", "Conv_3", "Conv_4")  # The last layer has one unit, so its rank is 1.


@figures.register(
    "sngan/fig3",
    paper=PAPER,
    shows="squared singular values of the critic's layers: few dominate with weight clipping and weight norm, many "
    "count with spectral norm; 8x8 digits in place of CIFAR-10",
    minutes=6,
)
def fig3() -> Figure:
    """The same networks, loss and optimizer with three normalisations of the critic's weights, three seeds.

    The effective rank of a layer is exp of the entropy of the shares of its squared singular values.
    """

    def kernels(name: str, run: Run, member: int) -> dict[str, np.ndarray]:
        params = run.seed_states[member].params["discriminator"]
        if name == "sngan":
            return normalised_kernels(run, member)
        return weight_normalised_kernels(params) if name == "weight_norm" else _critic_kernels(params)

    def measure(runs: figures.Runs) -> figures.Numbers:
        numbers: dict[str, Any] = {}
        for name, examined in runs.items():
            by_seed = [kernels(name, examined[-1], member) for member in range(examined[-1].config.seeds)]
            numbers[f"{name} rank"] = np.array([[effective_rank(k[layer]) for layer in LAYERS] for k in by_seed])
            for layer in LAYERS:
                energy = np.linalg.svd(by_seed[0][layer], compute_uv=False) ** 2
                numbers[f"{name} {layer}"] = energy / energy[0]
        ranks = {name: np.median(numbers[f"{name} rank"], axis=0) for name in LABELS}
        numbers |= {f"over {name}": (ranks["sngan"] / ranks[name]).min().item() for name in ("weight_norm", "clipped")}
        return numbers

    def plot(numbers: figures.Numbers) -> Any:
        fig, (axes,) = plots.subplots(1, len(LAYERS) + 1, height=1.9, width_ratios=[1] * len(LAYERS) + [1.6])
        for k, (ax, layer) in enumerate(zip(axes, LAYERS, strict=False)):
            for name, label in LABELS.items():
                energy = numbers[f"{name} {layer}"]
                ax.plot(np.arange(1, len(energy) + 1), energy, label=label)
            ax.set(title=f"layer {k + 1}", xlabel="index", ylim=(0, 1.05))
            ax.set_yticks([0, 0.5, 1], [] if k else None)
            ax.xaxis.get_major_locator().set_params(integer=True, nbins=4)
        axes[0].set_ylabel("σ² / largest σ²")
        for k, name in enumerate(LABELS):
            places = np.arange(1, len(LAYERS) + 1) + 0.25 * (k - 1)
            axes[-1].bar(places, np.median(numbers[f"{name} rank"], axis=0), width=0.22, color=plots.COLOURS[k])
        axes[-1].set(title="effective rank", xlabel="layer", xticks=range(1, len(LAYERS) + 1))
        fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
        return fig

    config = Config(**DIGITS.defaults | {"width": 16})
    entry = lambda name, build: Entry(f"{name}/digits", config, build)
    rank = "effective rank, median of 3 seeds: spectral norm's over that of"
    return Figure(
        measure=measure,
        plot=plot,
        runs={
            "sngan": run_spec("sngan/digits", *STEPS, seeds=3),
            "weight_norm": run_spec(entry("weight_norm", build_weight_norm), STEPS[-1], seeds=3),
            "clipped": run_spec(entry("clipped", build_clipped), STEPS[-1], seeds=3),
        },
        claims=(
            Claim(f"{rank} weight norm, the least of layers 1 to 5", "over weight_norm", least=1.5),
            Claim(f"{rank} weight clipping, the least of layers 1 to 5", "over clipped", least=1.5),
        ),
    )
