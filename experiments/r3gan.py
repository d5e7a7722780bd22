"""The GAN is dead; long live the GAN! (Huang et al. 2024, arXiv 2501.05441).

    python launch.py train r3gan/digits

A relativistic loss that pairs each real with a fake, and both zero-centred penalties at every step: applied lazily they
fail on small problems (appendix E).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments import dirac, testbeds
from jaxgan import figures, losses, penalties, plots
from jaxgan.figures import Claim, Figure
from jaxgan.registry import Experiment

PAPER = "Huang et al. 2024, arXiv 2501.05441"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(testbeds.Config):
    """RpGAN + R1 + R2."""

    b1: float = 0.0  # of Adam
    b2: float = 0.99  # of Adam
    gamma: float = 0.4  # weight of half the mean squared gradient norms at reals and at fakes


@testbeds.on_all(
    "r3gan",
    Config,
    paper=PAPER,
    shows="relativistic pairing with R1 and R2: converges locally, and covers the modes",
)
def build(bed: testbeds.Testbed, config: Config) -> Experiment:
    """No batch norm in the discriminator: the penalties are on gradients at single examples."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)

    def penalty(critic: penalties.Critic, real: Array, fake: Array, key: Array) -> Array:
        return config.gamma * (penalties.r1(critic, real) + penalties.r2(critic, fake))

    return bed.experiment(config, losses.relativistic, adam(config.g_lr), adam(config.d_lr), penalty=penalty)


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
