"""Spectral Normalization for GANs (Miyato et al. 2018, arXiv 1802.05957), on 8x8 digits.

    python launch.py train sngan/digits_conv
    python launch.py figure sngan/fig9

The critic is the paper's for CIFAR-10 (Table 3) with one halving fewer and a quarter as wide. The hinge loss and Adam
are those of its ResNets, but for β1 = 0.5 and one step of the critic to one of the generator: with their 0 and five,
the critic had won on the digits after 1,000 steps, its loss was exactly 0 and nothing moved. A step's passes of reals
and of fakes each move the power iteration, so that it takes two turns a step; the generator's step moves nothing.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import testbeds
from jaxgan import figures, losses, plots
from jaxgan.figures import Claim, Figure, needs
from jaxgan.networks import dcgan, sngan
from jaxgan.registry import Experiment, register
from jaxgan.run import Run

PAPER = "Miyato et al. 2018, arXiv 1802.05957"
(DIGITS,) = (bed for bed in testbeds.ALL if bed.name == "digits_conv")
BED = dataclasses.replace(
    DIGITS,
    networks=lambda config, norm: (
        dcgan.Generator(8, width=config.width, base=2),
        sngan.Critic(config.width, base=2),
    ),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(testbeds.Config):
    """SN-GAN."""

    g_lr: float = 2e-4  # learning rate of the generator
    d_lr: float = 2e-4  # learning rate of the critic
    b1: float = 0.5  # of Adam
    b2: float = 0.9  # of Adam


@register(
    "sngan/digits_conv",
    Config(**{**DIGITS.defaults, "steps": 3_000, "width": 16}),
    paper=PAPER,
    dataset=BED.dataset,
    shows="a critic whose layers all have a spectral norm of 1, with the hinge loss",
    cost=BED.cost,
)
def build(config: Config) -> Experiment:
    """No other penalty or normalisation in the critic; batch norm in the generator."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    return BED.experiment(config, losses.hinge, adam(config.g_lr), adam(config.d_lr))


def normalised(run: Run, member: int) -> dict[str, np.ndarray]:
    """The critic's kernels by layer, as the next pass of training will use them: matrices of as many columns as units.

    The pass itself says by which value it divides.
    """
    (critic,) = (n for n in run.experiment.game.networks if n.name == "discriminator")
    state = run.members[member]
    _, after = jax.jit(critic)(state, jnp.zeros([1, *BED.shape]))
    spectral = jax.tree_util.tree_leaves_with_path(after.buffers["discriminator"])
    values = {path[-1].key.split("/")[0]: x for path, x in spectral if path[-1].key.endswith("/sigma")}
    kernels = {name: np.asarray(layer["kernel"], np.float64) for name, layer in state.params["discriminator"].items()}
    return {name: k.reshape(-1, k.shape[-1]) / np.float64(values[name]) for name, k in kernels.items()}


@figures.register(
    "sngan/fig9",
    paper=PAPER,
    shows="the spectral norm of each layer of the critic, by an exact SVD: near 1 throughout training",
    cost="3 min, 2 CPU cores",
)
def fig9() -> Figure:
    """Three seeds of a critic a quarter as wide as the paper's, looked at from before training on."""
    at = (0, 100, 250, 500, 1_000, 1_500, 2_000, 2_500)

    def measure(runs: figures.Looks) -> figures.Numbers:
        norms: dict[str, list[list[float]]] = {}  # of a layer: by seed, by step
        for member in range(runs["sngan"][0].config.seeds):
            seen = [normalised(run, member) for run in runs["sngan"]]
            for layer in seen[0]:
                one = [np.linalg.svd(kernels[layer], compute_uv=False)[0] for kernels in seen]
                norms.setdefault(layer, []).append(one)
        late = np.array(list(norms.values()))[:, :, at.index(1_000) :]
        return {
            "steps": np.array([run.step for run in runs["sngan"]]),
            **{layer: np.array(of) for layer, of in norms.items()},
            "layers": sorted(norms),
            "least": late.min().item(),
            "most": late.max().item(),
            "error": np.abs(1 / late - 1).max().item(),
        }

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((left, right),) = plots.panels(1, 2, height=2.4)
        left.fill_between([1_000, at[-1]], 0.9, 1.15, color="black", alpha=0.08, linewidth=0, label="claimed")
        for layer in found["layers"]:
            name = layer.lower().replace("_", " ")
            plots.band(left, found["steps"], found[layer], name)
            plots.band(right, found["steps"], np.abs(1 / found[layer] - 1), name)
        left.set(xlabel="step", ylabel="spectral norm σ(W / σ̂)", ylim=(0.85, 1.75), title="After normalisation")
        right.set(xlabel="step", ylabel="|σ̂ / σ - 1|", yscale="log", title="Power iteration against exact SVD")
        left.legend(ncols=2)
        return page

    return Figure(
        measure=measure,
        plot=plot,
        runs={"sngan": needs("sngan/digits_conv", *at, seeds=3)},
        claims=(
            Claim("all layers from step 1,000 on, all seeds: the smallest spectral norm", "least", least=0.9),
            Claim("all layers from step 1,000 on, all seeds: the largest spectral norm", "most", most=1.15),
        ),
    )
