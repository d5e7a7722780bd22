"""A figure of "Spectral Normalization for GANs" (Miyato et al. 2018, arXiv 1802.05957).

python launch.py figure sngan/fig9
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.sngan import PAPER
from experiments.testbeds import DIGITS
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, run_spec
from jaxgan.runs.run import Run

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
