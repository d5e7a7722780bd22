"""Spectral Normalization for GANs (Miyato et al. 2018, arXiv 1802.05957).

    python launch.py train sngan/digits
    python launch.py train sngan/mnist
    python launch.py figure sngan/fig9

On digits the networks are the paper's convolutional ones (Table 3), with one halving for each that the images have room
for, half as wide, and on the small ones a quarter; on CIFAR-10 its residual ones (Table 4). All have the hinge loss.
On the small digits Adam has β1 = 0.5 and the critic one step to one of the generator: with the 0 and five of the
residual networks, the critic had won after 1,000 steps, its loss was exactly 0 and nothing moved. On MNIST it is Adam
of setting C. The paper's residual generator learns from batches twice as large as the critic's; here both have the
same. A step's passes of reals and of fakes each move the power iteration, so that it takes two turns a step; the
generator's step moves nothing.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import imagesets
from jaxgan import figures, losses, plots
from jaxgan.figures import Claim, Figure, needs
from jaxgan.networks import sngan
from jaxgan.registry import Experiment
from jaxgan.run import Run

PAPER = "Miyato et al. 2018, arXiv 1802.05957"
SHOWS = "a critic whose layers all have a spectral norm of 1, with the hinge loss"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(imagesets.Config):
    """SN-GAN."""

    g_lr: float = 2e-4  # learning rate of the generator
    d_lr: float = 2e-4  # learning rate of the critic
    b1: float = 0.5  # of Adam
    b2: float = 0.9  # of Adam
    n_critic: int = 1  # steps of the critic to one of the generator
    decay: int | None = None  # steps in which the learning rates fall to 0 along a line; they stay if not given


def adams(config: Config) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """The generator's Adam and the critic's."""

    def adam(lr: float, every: int) -> optax.GradientTransformation:
        rate = optax.linear_schedule(lr, 0.0, config.decay // every) if config.decay else lr
        return optax.adam(rate, config.b1, config.b2)

    return adam(config.g_lr, config.n_critic), adam(config.d_lr, 1)


@imagesets.on(
    "sngan",
    {
        imagesets.DIGITS: Config(**imagesets.DIGITS.defaults | {"width": 16}),
        imagesets.MNIST: Config(**imagesets.MNIST.defaults | {"width": 32}, batch_size=64, b2=0.999),
    },
    paper=PAPER,
    shows=SHOWS,
)
def convolutional(images: imagesets.ImageSet, config: Config) -> Experiment:
    """No other penalty or normalisation in the critic; batch norm in the generator."""
    size, _, channels = images.shape
    networks = sngan.Generator(size, channels, config.width, images.base), sngan.Critic(config.width, images.base)
    return images.two_player(config, networks, losses.hinge, *adams(config), n_critic=config.n_critic)


# Table 4, and the authors' script: 50,000 steps of the generator.
RESIDUAL = imagesets.CIFAR10.defaults | {
    "steps": 250_000,
    "batch_size": 64,
    "b1": 0.0,
    "n_critic": 5,
    "decay": 250_000,
    "dequantise": True,
}


@imagesets.on("sngan", {imagesets.CIFAR10: Config(**RESIDUAL)}, paper=PAPER, shows=SHOWS)
def residual(images: imagesets.ImageSet, config: Config) -> Experiment:
    """Batch norm in the generator, and in the critic nothing but spectral norm."""
    networks = images.resnets(config)
    return images.two_player(config, networks, losses.hinge, *adams(config), n_critic=config.n_critic)


def normalised(run: Run, member: int) -> dict[str, np.ndarray]:
    """The critic's kernels by layer, as the next pass of training will use them: matrices of as many columns as units.

    The pass itself says by which value it divides.
    """
    (critic,) = (n for n in run.experiment.game.networks if n.name == "discriminator")
    state = run.members[member]
    _, after = jax.jit(critic)(state, jnp.zeros([1, *imagesets.DIGITS.shape]))
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
        runs={"sngan": needs("sngan/digits", *at, seeds=3)},
        claims=(
            Claim("all layers from step 1,000 on, all seeds: the smallest spectral norm", "least", least=0.9),
            Claim("all layers from step 1,000 on, all seeds: the largest spectral norm", "most", most=1.15),
        ),
    )
