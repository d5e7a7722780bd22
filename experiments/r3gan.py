"""The GAN is dead; long live the GAN! (Huang et al. 2024, arXiv 2501.05441).

    python launch.py train r3gan/digits

A relativistic loss that pairs each real with a fake, and both zero-centred penalties at every step: applied lazily,
says appendix E, they fail on small problems. In r3gan/toy2d, with the networks and settings of the testbeds (the paper
gives none) for 10,000 steps, they do not: the grid loses a few modes, the ring, the line and the circle nothing.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments import dirac, testbeds
from jaxgan import figures, losses, metrics, penalties, plots
from jaxgan.data import synthetic
from jaxgan.figures import Claim, Figure, needs
from jaxgan.registry import Entry, Experiment

PAPER = "Huang et al. 2024, arXiv 2501.05441"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(testbeds.Config):
    """RpGAN + R1 + R2."""

    b1: float = 0.0  # of Adam
    b2: float = 0.99  # of Adam
    gamma: float = 0.4  # weight of half the mean squared gradient norms at reals and at fakes
    every: int = 1  # steps between penalties; above 1 they weigh as many times more, and D's Adam is slowed to match


@testbeds.on_all(
    "r3gan",
    Config,
    paper=PAPER,
    shows="relativistic pairing with R1 and R2: converges locally, and covers the modes",
)
def build(bed: testbeds.Bed, config: Config) -> Experiment:
    """No batch norm in the discriminator: the penalties are on gradients at single examples."""
    slower = 1.0 if config.every == 1 else config.every / (config.every + 1)  # D moves that much more often.

    def penalty(critic: penalties.Critic, real: Array, fake: Array, key: Array) -> Array:
        return config.gamma * (penalties.r1(critic, real) + penalties.r2(critic, fake))

    return bed.experiment(
        config,
        losses.relativistic,
        optax.adam(config.g_lr, config.b1, config.b2),
        optax.adam(slower * config.d_lr, config.b1**slower, config.b2**slower),
        penalty=penalty,
        penalty_every=config.every,
    )


@figures.register(
    "r3gan/dirac",
    paper=PAPER,
    shows="RpGAN alone is no more stable than the GAN: at the equilibrium it has the same Jacobian, and R1 mends it",
    cost="3 s, 2 CPU cores",
)
def on_dirac() -> Figure:
    """RpGAN without and with R1, γ = 0.3, from (1, 1), in turns."""
    labels = {"bare": "RpGAN", "r1": "RpGAN + R1"}

    def measure(runs: figures.Looks) -> figures.Numbers:
        path = lambda penalty: jax.jit(
            lambda: dirac.play(dirac.make_game(losses.relativistic, penalty=penalty), jnp.ones(2), 500)
        )()
        paths = {"bare": np.asarray(path(None)), "r1": np.asarray(path(dirac.zero_centred("real", 0.3)))}

        def jacobian(loss: losses.Adversarial, penalty: Any = None) -> np.ndarray:
            game = dirac.make_game(loss, h=1.0, penalty=penalty, simultaneous=True)
            return dirac.jacobian(lambda point: dirac.play(game, point, 1)[1]) - np.eye(2)

        bare, r1 = jacobian(losses.relativistic), jacobian(losses.relativistic, dirac.zero_centred("real", 0.3))
        spectral = lambda j: np.abs(np.linalg.eigvals(np.eye(2) + dirac.H * j)).max().item()
        return {
            **{f"{name}_path": path for name, path in paths.items()},
            **{f"{name}_radius": dirac.radius(path).item() for name, path in paths.items()},
            "jacobian_error": np.abs(bare - jacobian(losses.minimax)).max().item(),
            "slope": np.abs(bare[0, 1]).item(),
            "bare_spectral": spectral(bare),
            "r1_spectral": spectral(r1),
        }

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((left, right),) = plots.panels(1, 2, height=2.2)
        for name, label in labels.items():
            path = found[f"{name}_path"]
            left.plot(*path.T, linewidth=0.8, label=label)
            right.semilogy(np.linalg.norm(path, axis=1), label=label)
        left.plot(0, 0, "+", color="black")
        left.set(xlabel="θ, generator", ylabel="ψ, discriminator", aspect="equal")
        right.set(xlabel="step", ylabel="distance to the equilibrium")
        right.legend()
        return page

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("RpGAN's Jacobian at the equilibrium against the GAN's, largest error", "jacobian_error", most=1e-10),
            Claim("its slope f'(0) is 1/2", "slope", least=0.5 - 1e-10, most=0.5 + 1e-10),
            Claim("RpGAN: spectral radius of I + hJ; it does not converge", "bare_spectral", least=1.0),
            Claim("RpGAN: mean radius of the last 100 of 500 steps", "bare_radius", least=0.05),
            Claim("RpGAN + R1: spectral radius of I + hJ; it converges", "r1_spectral", most=1.0),
            Claim("RpGAN + R1: mean radius of the last 100 of 500 steps", "r1_radius", most=1e-4),
        ),
    )


@figures.register(
    "r3gan/toy2d",
    paper=PAPER,
    shows="R1 and R2 at every step cover the ring; at every eighth, eight times as heavy, they should fail (app. E)",
    cost="5 min, 1 CPU core",
)
def toy2d() -> Figure:
    """Samples on four densities, of the ring those of the first of three seeds, and how well the modes are covered."""
    densities = {
        "ring": synthetic.ring(),
        "grid": synthetic.grid(),
        "line": synthetic.line(),
        "circle": synthetic.circle(),
    }
    methods = {"full": 1, "lazy": 8}  # steps between penalties

    def entry(name: str) -> str | Entry:
        if name in ("ring", "grid"):
            return f"r3gan/{name}"
        make = functools.partial(build, testbeds.plane(name, densities[name], name))
        return Entry(f"r3gan/{name}", Config(), make, PAPER, name, "for r3gan/toy2d", "1 min, 2 CPU cores")

    def measure(runs: figures.Looks) -> figures.Numbers:
        found: dict[str, Any] = {}
        for label, (run,) in runs.items():
            samples = [run.sample(5_000, member=m) for m in range(run.config.seeds)]
            made = [run.experiment.evaluate(points) for points in samples]
            found |= {f"{label} {key}": metrics.summary([one[key] for one in made]) for key in made[0]}
            found[f"{label} samples"] = samples[0][:1_500]
        for name in densities:
            full, lazy = (np.array(found[f"{name} {method} mode_kl"]["seeds"], float) for method in methods)
            found[f"{name} ratio"] = metrics.summary(lazy / np.maximum(full, 1e-9))
        return found

    def plot(found: Mapping[str, Any]) -> Any:
        page, axes = plots.panels(len(methods), len(densities), height=1.85)
        for line, (method, every) in zip(axes, methods.items(), strict=True):
            for ax, (name, made) in zip(line, densities.items(), strict=True):
                side = 1.3 * np.abs(made.modes).max()
                ax.plot(*made.modes.T, ".", color="0.75", markersize=4)
                ax.plot(*found[f"{name} {method} samples"].T, ".", color=plots.COLOURS[0], markersize=1, alpha=0.5)
                ax.set(xlim=(-side, side), ylim=(-side, side), xticks=[], yticks=[], aspect="equal")
                kl, near = (found[f"{name} {method} {key}"]["median"] for key in ("mode_kl", "high_quality"))
                ax.set_xlabel(f"KL {kl:.3f}, {near:.0%} within 3σ", fontsize=7)
            line[0].set_ylabel("every step" if every == 1 else f"every {every} steps, × {every}")
        for ax, name in zip(axes[0], densities, strict=True):
            ax.set_title(name)
        return page

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("ring, at every step: modes of 8, median of 3 seeds", "ring full covered", least=8),
            Claim("ring, at every step: KL of the modes from uniform", "ring full mode_kl", most=0.05),
            Claim("ring, lazily: KL as a multiple of that at every step", "ring ratio", least=5),
        ),
        runs={
            f"{name} {method}": needs(entry(name), 10_000, seeds=3 if name == "ring" else 1, every=every)
            for name in densities
            for method, every in methods.items()
        },
    )
