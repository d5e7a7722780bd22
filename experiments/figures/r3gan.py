"""Figures of "The GAN is dead; long live the GAN!" (Huang et al. 2024, arXiv 2501.05441).

python launch.py figure r3gan/dirac
python launch.py figure r3gan/toy2d
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import dirac, r3gan, testbeds
from experiments.figures.several_densities import sample_each, side_by_side
from experiments.r3gan import PAPER
from jaxgan.core import losses, penalties
from jaxgan.data import synthetic
from jaxgan.evaluate.modes import mode_coverage
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, run_spec
from jaxgan.runs.registry import Entry
from jaxgan.training.experiment import Experiment
from jaxgan.training.metric_log import summarise_seeds


@figures.register(
    "r3gan/dirac",
    paper=PAPER,
    shows="RpGAN alone is no more stable than the GAN: their Jacobians at the equilibrium are equal; R1 stabilises it",
    minutes=3 / 60,
)
def dirac_paths() -> Figure:
    """RpGAN with and without R1, γ = 0.3, from (1, 1), with alternating updates."""
    labels = {"bare": "RpGAN", "r1": "RpGAN + R1"}
    r1 = {"penalty": penalties.r1, "penalty_weight": 0.3}

    def path(**options: Any) -> np.ndarray:
        game = dirac.make_game(losses.relativistic, **options)
        return np.asarray(jax.jit(lambda: dirac.simulate(game, jnp.ones(2), 500))())

    def jacobian(loss: losses.AdversarialLoss, **options: Any) -> np.ndarray:
        game = dirac.make_game(loss, h=1.0, simultaneous=True, **options)
        return dirac.jacobian(lambda point: dirac.simulate(game, point, 1)[1]) - np.eye(2)

    def spectral_radius(jacobian: np.ndarray) -> float:
        return np.abs(np.linalg.eigvals(np.eye(2) + dirac.H * jacobian)).max().item()

    def measure(runs: figures.Runs) -> figures.Numbers:
        paths = {"bare": path(), "r1": path(**r1)}
        bare_jacobian = jacobian(losses.relativistic)
        return {
            **{f"{name}_path": path for name, path in paths.items()},
            **{f"{name}_radius": dirac.final_radius(path).item() for name, path in paths.items()},
            "jacobian_error": np.abs(bare_jacobian - jacobian(losses.minimax)).max().item(),
            "slope": np.abs(bare_jacobian[0, 1]).item(),
            "bare_spectral": spectral_radius(bare_jacobian),
            "r1_spectral": spectral_radius(jacobian(losses.relativistic, **r1)),
        }

    def plot(numbers: figures.Numbers) -> Any:
        fig, ((left, right),) = plots.subplots(1, 2, height=2.2)
        for name, label in labels.items():
            path = numbers[f"{name}_path"]
            left.plot(*path.T, linewidth=0.8, label=label)
            right.semilogy(np.linalg.norm(path, axis=1), label=label)
        left.plot(0, 0, "+", color="black")
        left.set(xlabel="θ, generator", ylabel="ψ, discriminator", aspect="equal")
        right.set(xlabel="step", ylabel="distance to the equilibrium")
        right.legend()
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("RpGAN's Jacobian at the equilibrium against the GAN's, largest error", "jacobian_error", most=1e-10),
            Claim("its slope f'(0) is 1/2", "slope", least=0.5 - 1e-10, most=0.5 + 1e-10),
            Claim("RpGAN does not converge: spectral radius of I + hJ", "bare_spectral", least=1.0),
            Claim("RpGAN: mean radius of the last 100 of 500 steps", "bare_radius", least=0.05),
            Claim("RpGAN + R1 converges: spectral radius of I + hJ", "r1_spectral", most=1.0),
            Claim("RpGAN + R1: mean radius of the last 100 of 500 steps", "r1_radius", most=1e-4),
        ),
    )


DENSITIES = {
    "line": synthetic.line(),
    "circle": synthetic.circle(),
    "25 Gaussians": synthetic.grid(),
    "8 Gaussians": synthetic.ring(),
}
CLAIMED = ("line", "circle", "25 Gaussians")  # for which the authors say that lazy penalties fail
PENALTY_PERIODS = {"full": 1, "lazy": 8}  # steps between penalties


STEPS = 10_000


def build_densities(config: r3gan.Config) -> Experiment:
    """Returns the experiment of R3GAN on all `DENSITIES`. Learning rates fall to 0, so that samples come to rest."""
    schedule = lambda lr, updates_per_step: optax.cosine_decay_schedule(lr, round(STEPS * updates_per_step))
    on = lambda density: r3gan.build(testbeds.plane("plane", density, ""), config, schedule)
    return side_by_side(on, list(DENSITIES.values()))


@figures.register(
    "r3gan/toy2d",
    paper=PAPER,
    shows="R1 and R2 at every step, and at every eighth eight times as heavy, on the data for which the authors report "
    "that the latter fails (app. E); networks of two layers of 128 units",
    minutes=11,
    hardware="1 CPU core",
)
def toy2d() -> Figure:
    """Three seeds, of which the first is drawn. The paper gives no settings for these data."""

    def measure(runs: figures.Runs) -> figures.Numbers:
        numbers: dict[str, Any] = {}
        for method, (run,) in runs.items():
            samples = sample_each(run, 5_000)
            for k, (name, density) in enumerate(DENSITIES.items()):
                coverage = [
                    mode_coverage(points, density.modes, density.std, density.num_modes) for points in samples[:, k]
                ]
                for key in ("covered", "high_quality", "mode_kl"):
                    numbers[f"{name} {method} {key}"] = summarise_seeds([values[key] for values in coverage])
                numbers[f"{name} {method} samples"] = samples[0, k, :1_500]
                numbers[f"{name} {method} missing"] = density.num_modes - numbers[f"{name} {method} covered"]["median"]
        for name in DENSITIES:
            full, lazy = (np.array(numbers[f"{name} {method} mode_kl"]["seeds"], float) for method in PENALTY_PERIODS)
            numbers[f"{name} ratio"] = summarise_seeds(lazy / np.maximum(full, 1e-9))
        return numbers

    def plot(numbers: figures.Numbers) -> Any:
        fig, axes = plots.subplots(len(PENALTY_PERIODS), len(DENSITIES), height=1.85)
        for row, (method, every) in zip(axes, PENALTY_PERIODS.items(), strict=True):
            for ax, (name, density) in zip(row, DENSITIES.items(), strict=True):
                side = 1.3 * np.abs(density.modes).max()
                ax.plot(*density.modes.T, ".", color="0.75", markersize=4)
                points = numbers[f"{name} {method} samples"]
                ax.plot(*points.T, ".", color=plots.COLOURS[0], markersize=1, alpha=0.5)
                ax.set(xlim=(-side, side), ylim=(-side, side), xticks=[], yticks=[], aspect="equal")
                kl, covered = (numbers[f"{name} {method} {key}"]["median"] for key in ("mode_kl", "covered"))
                ax.set_xlabel(f"KL {kl:.3f}, {covered:.0f} of {density.num_modes}", fontsize=7)
            row[0].set_ylabel("every step" if every == 1 else f"every {every} steps, × {every}")
        for ax, name in zip(axes[0], DENSITIES, strict=True):
            ax.set_title(name)
        return fig

    entry = Entry("r3gan/densities", r3gan.Config(gamma=0.01), build_densities)
    claims = []
    for name in CLAIMED:
        median = "median of 3 seeds"
        claims += [
            Claim(
                f"{name}, at every step: modes or segments that are missing, {median}", f"{name} full missing", most=0
            ),
            Claim(f"{name}, at every step: KL from uniform, {median}", f"{name} full mode_kl", most=0.05),
            Claim(
                f"{name}: KL with lazy penalties as a multiple of that at every step, {median}",
                f"{name} ratio",
                least=5,
            ),
        ]
    return Figure(
        measure=measure,
        plot=plot,
        claims=tuple(claims),
        runs={method: run_spec(entry, STEPS, seeds=3, every=every) for method, every in PENALTY_PERIODS.items()},
    )
