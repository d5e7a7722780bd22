"""Figures of "Which Training Methods for GANs do actually Converge?" (Mescheder et al. 2018, arXiv 1801.04406).

    python launch.py figure mescheder/fig1

They use the Dirac-GAN of `experiments.dirac`, trained by the library's own update. The settings are those of the
authors' notebook: start at (1, 1), h = 0.2, 500 updates of the generator, and the penalty (reg / 2)(|psi| - 1)² with
reg 0.7. Here D is positive on reals and in the paper on fakes, so paths turn the other way.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.dirac import PAPER, H, final_radius, jacobian, make_game, simulate
from jaxgan.core import games, losses, penalties
from jaxgan.core.game import Game
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure

STEPS = 500
START = (1.0, 1.0)
NOISY_BATCH_SIZE = 1_000  # with instance noise
REG = 0.7
SCHEDULES = {
    "simultaneous": {"simultaneous": True},
    "alternating 1:1": {},
    "alternating 1:5": {"n_critic": 5},
}


class Method(NamedTuple):
    """A training method.

    Attributes:
        label: Its name in plots.
        make: Keyword options of `make_game` -> the game.
        converges: Whether it converges locally according to the paper; None if the paper's table does not list it.
        smooth: Whether its gradient field has a Jacobian at the equilibrium.
        std: Standard deviation of instance noise.
    """

    label: str
    make: Callable[..., Game]
    converges: bool | None
    smooth: bool = True
    std: float = 0.0


def _game(loss: losses.Adversarial, **options: Any) -> Callable[..., Game]:
    return functools.partial(make_game, loss, **options)


def _penalised(loss: losses.Adversarial, penalty: penalties.Penalty, weight: float) -> Callable[..., Game]:
    return functools.partial(make_game, loss, penalty=penalty, penalty_weight=weight)


def _consensus(**options: Any) -> Game:
    return games.consensus(make_game(losses.minimax, **options), 1.0)


METHODS = {
    "gan": Method("GAN, saturating", _game(losses.minimax), False),
    "non_saturating": Method("GAN, non-saturating", _game(losses.non_saturating), False),
    "wgan": Method("WGAN", _game(losses.wasserstein), None),
    "wgan_clip": Method("WGAN, clipped at 1", _game(losses.wasserstein, clip=1.0), False, smooth=False),
    "wgan_gp": Method(
        "WGAN-GP", _penalised(losses.wasserstein, penalties.gradient_penalty, REG / 2), False, smooth=False
    ),
    # The gradient of D(x) = psi x is the same everywhere, so DRAGAN's penalty is WGAN-GP's.
    "dragan": Method("DRAGAN", _penalised(losses.minimax, penalties.dragan, REG / 2), False, smooth=False),
    "noise": Method("instance noise, σ = 0.7", _game(losses.minimax, std=0.7), True, std=0.7),
    "r1": Method("R1, γ = 0.3", _penalised(losses.minimax, penalties.r1, 0.3), True),
    "r1_critical": Method("R1, γ = 1", _penalised(losses.minimax, penalties.r1, 1.0), None),
    "r2": Method("R2, γ = 0.3", _penalised(losses.minimax, penalties.r2, 0.3), True),
    "non_saturating_r1": Method("non-saturating + R1", _penalised(losses.non_saturating, penalties.r1, 0.3), None),
    "consensus": Method("consensus, 1", _consensus, True),
}


def simulate_method(method: Method, start: jax.Array, steps: int = STEPS, **schedule: Any) -> jax.Array:
    """Returns the path [steps + 1, 2] of a method from `start` [2]; `schedule` is one of `SCHEDULES`."""
    batch_size = NOISY_BATCH_SIZE if method.std else 1
    return simulate(method.make(**schedule), start, steps, std=method.std, batch_size=batch_size)


@figures.register(
    "mescheder/fig1",
    paper=PAPER,
    shows="which methods reach the equilibrium of the Dirac-GAN: R1, instance noise and consensus do",
    minutes=5 / 60,
)
def fig1() -> Figure:
    """Paths from (1, 1) with three schedules of updates, and the directions of simultaneous updates."""
    methods = {name: method for name, method in METHODS.items() if name not in ("dragan", "r2")}
    ticks = np.linspace(-2, 2, 11)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)

    def paths_and_updates(method: Method, grid: jax.Array) -> tuple[list[jax.Array], jax.Array]:
        paths = [simulate_method(method, jnp.array(START), **schedule) for schedule in SCHEDULES.values()]
        return paths, jax.vmap(lambda point: simulate_method(method, point, 1, simultaneous=True)[1])(grid)

    def measure(runs: figures.Runs) -> figures.Numbers:
        numbers: dict[str, Any] = {"grid": grid}
        for name, method in methods.items():
            compiled = jax.jit(functools.partial(paths_and_updates, method))
            paths, updated = jax.device_get(compiled(jnp.float32(grid)))
            radii = dict(zip(SCHEDULES, final_radius(np.stack(paths)).tolist(), strict=True))
            numbers |= {
                f"{name}_paths": np.stack(paths),
                f"{name}_field": (updated - grid) / H,
                f"{name}_radius": radii,
                f"{name}_least": min(radii.values()),
                f"{name}_most": max(radii.values()),
            }
        return numbers

    def plot(numbers: figures.Numbers) -> Any:
        fig, axes = plots.subplots(2, 5, sharex=True, sharey=True)
        for ax, (name, method) in zip(axes.flat, methods.items(), strict=True):
            field = numbers[f"{name}_field"]
            length = np.maximum(np.linalg.norm(field, axis=1, keepdims=True), 1e-6)
            ax.quiver(*numbers["grid"].T, *(field / length).T, color="0.75", pivot="mid", scale=16, width=0.008)
            for path, schedule in list(zip(numbers[f"{name}_paths"], SCHEDULES, strict=True))[:2]:
                ax.plot(*path.T, linewidth=0.8, label=schedule)
            ax.plot(*START, "o", color="black", markersize=2.5)
            ax.plot(0, 0, "+", color="black", markersize=6)
            ax.set(title=method.label, xlim=(-2.2, 2.2), ylim=(-2.2, 2.2), aspect="equal")
        for ax in axes[-1]:
            ax.set_xlabel("θ, generator")
        for ax in axes[:, 0]:
            ax.set_ylabel("ψ, discriminator")
        fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim(
                "saturating GAN: mean radius of the last 100 steps, smallest of three schedules",
                "gan_least",
                least=1.3,
            ),
            Claim("R1, γ = 0.3: mean radius, largest of three schedules", "r1_most", most=1e-4),
            Claim("WGAN-GP: mean radius, smallest of three schedules", "wgan_gp_least", least=0.5),
            Claim("instance noise: mean radius, largest of three schedules", "noise_most", most=0.05),
            Claim(
                "non-saturating GAN shrinks slowly: mean radius, smallest of three schedules",
                "non_saturating_least",
                least=0.05,
            ),
            Claim(
                "non-saturating GAN shrinks: mean radius, largest of three schedules", "non_saturating_most", most=1.0
            ),
        ),
    )


@figures.register(
    "mescheder/fig2",
    paper=PAPER,
    shows="the eigenvalues of R1's Jacobian: complex below γ = 1, real above, and left of 0 for every γ > 0",
    minutes=3 / 60,
)
def fig2() -> Figure:
    """Eigenvalues by autodiff through the update, in float64, against -γ/2 ± √(γ²/4 - 1/4)."""
    published = {0.0: 1.00499, 0.3: 0.97468, 1.0: 0.9, 2.0: 0.97321}  # γ: spectral radius of I + hJ

    def measure(runs: figures.Runs) -> figures.Numbers:
        def jacobian_at_zero(gamma: jax.Array) -> jax.Array:
            # h = 1 loses no digits. At γ = 1 the eigenvalue is double, and its error is the square root of J's.
            game = make_game(losses.minimax, h=1.0, penalty=penalties.r1, penalty_weight=gamma, simultaneous=True)
            return jax.jacfwd(lambda point: simulate(game, point, 1)[1])(jnp.zeros(2)) - jnp.eye(2)

        gamma = np.concatenate([np.linspace(0.0, 3.0, 300), list(published)])
        with jax.enable_x64(True):
            jacobians = np.asarray(jax.jit(jax.vmap(jacobian_at_zero))(jnp.asarray(gamma)))
        eigenvalues = np.sort_complex(np.linalg.eigvals(jacobians))
        root = np.sqrt(np.complex128(gamma**2 - 1)) / 2
        analytic = np.sort_complex(np.stack([-gamma / 2 - root, -gamma / 2 + root], axis=1))
        radii = np.abs(1 + H * eigenvalues).max(1)
        return {
            "gamma": gamma,
            "eigenvalues": eigenvalues,
            "analytic": analytic,
            "radii": radii,
            "error": np.abs(eigenvalues - analytic).max().item(),
            "complex_elsewhere": int(np.sum((np.abs(eigenvalues.imag).max(1) > 0) != (gamma < 1))),
            "radius_error": np.abs(radii[-len(published) :] - list(published.values())).max().item(),
        }

    def plot(numbers: figures.Numbers) -> Any:
        fig, ((left, right),) = plots.subplots(1, 2, height=2.2)
        order = np.argsort(numbers["gamma"])
        gamma = numbers["gamma"][order]
        for part, name, colour in (
            (np.real, "real part", plots.COLOURS[0]),
            (np.imag, "imaginary part", plots.COLOURS[1]),
        ):
            for branch in (0, 1):
                analytic, eigenvalues = (part(numbers[key][order, branch]) for key in ("analytic", "eigenvalues"))
                left.plot(gamma, analytic, color="black", linewidth=0.6)
                label = name if branch else None
                left.plot(gamma[::10], eigenvalues[::10], ".", color=colour, markersize=4, label=label)
        left.set(xlabel="γ", ylabel="eigenvalue of J at (0, 0)", title="by autodiff (dots), analytic (lines)")
        left.legend()
        right.plot(gamma, numbers["radii"][order])
        right.axhline(1.0, color="black", linewidth=0.6, linestyle=":")
        right.set(xlabel="γ", ylabel="spectral radius of I + hJ", title="h = 0.2; converges below 1")
        for ax in (left, right):
            ax.axvline(1.0, color="0.7", linewidth=0.8, zorder=0)
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("eigenvalues against the analytic ones, largest error", "error", most=1e-10),
            Claim(
                "number of γ at which they are complex although γ >= 1, or real although γ < 1",
                "complex_elsewhere",
                most=0,
            ),
            Claim(
                "spectral radii 1.00499, 0.97468, 0.9, 0.97321 at γ = 0, 0.3, 1, 2, largest error",
                "radius_error",
                most=5e-6,
            ),
        ),
    )


@figures.register(
    "mescheder/table1",
    paper=PAPER,
    shows="which methods converge locally: those with a penalty that vanishes with the gradient, noise or consensus",
    minutes=5 / 60,
)
def table1() -> Figure:
    """Spectral radii where the field is smooth at the equilibrium; simulation where it is not."""
    methods = {name: method for name, method in METHODS.items() if method.converges is not None}

    def spectral_radius(method: Method) -> float:
        step = jacobian(lambda point: simulate_method(method, point, 1, simultaneous=True)[1])
        return float(np.abs(np.linalg.eigvals(step)).max())

    def simulated_radius(method: Method) -> float:
        return float(final_radius(jax.jit(lambda: simulate_method(method, jnp.array(START)))()))

    def measure(runs: figures.Runs) -> figures.Numbers:
        spectral = {name: spectral_radius(method) for name, method in methods.items() if method.smooth}
        simulated = {name: simulated_radius(method) for name, method in methods.items() if not method.smooth}
        converges = {name: r < 1 for name, r in spectral.items()} | {name: r < 0.05 for name, r in simulated.items()}
        return {
            "spectral_radius": spectral,
            "radius": simulated,
            "converges": converges,
            "agree": sum(converges[name] == method.converges for name, method in methods.items()),
        }

    def plot(numbers: figures.Numbers) -> Any:
        fig, ((left, right),) = plots.subplots(1, 2, height=1.9)
        for ax, key, limit in ((left, "spectral_radius", 1.0), (right, "radius", 0.05)):
            names, radii = list(numbers[key]), np.array(list(numbers[key].values()))
            rows = np.arange(len(names))[::-1]
            converges = np.array([numbers["converges"][name] for name in names])
            for chosen, marker, colour, label in (
                (converges, "o", plots.COLOURS[0], "converges"),
                (~converges, "X", plots.COLOURS[1], "does not"),
            ):
                ax.plot(radii[chosen], rows[chosen], marker, color=colour, label=label, markersize=5)
            ax.axvline(limit, color="black", linewidth=0.6, linestyle=":")
            ax.set_yticks(rows, [METHODS[name].label for name in names])
            ax.set_ylim(-0.7, len(names) - 0.3)
        left.set(xlabel="spectral radius of I + hJ", title="smooth at the equilibrium: eigenvalues")
        right.set(xlabel="radius, mean of the last 100 of 500 steps", title="not smooth: simulation", xlim=(0, 1.6))
        left.legend(loc="upper left")
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        claims=(Claim("methods, out of nine, that converge or not as the paper says", "agree", least=9),),
    )
