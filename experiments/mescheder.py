"""Which Training Methods for GANs do actually Converge? (Mescheder et al. 2018, arXiv 1801.04406): its figures.

    python launch.py figure mescheder/fig1

On the Dirac-GAN of `dirac`, played by the library's own update. Settings of the authors' notebook: start at (1, 1),
h = 0.2, 500 steps, a step being one move of the generator; their penalty (reg / 2)(|psi| - 1)² with reg 0.7. D is
positive on reals where the paper's is on fakes, so that paths turn the other way.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.dirac import PAPER, H, jacobian, make_game, play, radius, zero_centred
from jaxgan import figures, losses, objectives, penalties, plots
from jaxgan.figures import Claim, Figure
from jaxgan.game import Game

STEPS = 500
START = (1.0, 1.0)
DRAWS = 1_000  # of instance noise
MODES = {
    "simultaneous": {"simultaneous": True},
    "alternating 1:1": {},
    "alternating 1:5": {"n_critic": 5},
}


def one_centred(critic: penalties.Critic, real: jax.Array, fake: jax.Array, key: jax.Array) -> jax.Array:
    """WGAN-GP's penalty with the weight of the notebook."""
    return 0.5 * 0.7 * penalties.gradient_penalty(critic, real, fake, key)


def dragan(critic: penalties.Critic, real: jax.Array, fake: jax.Array, key: jax.Array) -> jax.Array:
    """DRAGAN's penalty with the same weight; the gradient of D(x) = psi x is the same everywhere."""
    return 0.5 * 0.7 * penalties.dragan(critic, real, key)


class Method(NamedTuple):
    """A way to train, and whether the paper has it converge locally (None: the paper's table does not list it)."""

    label: str
    game: Callable[..., Game]
    converges: bool | None
    smooth: bool = True  # whether its field has a Jacobian at the equilibrium
    std: float = 0.0  # of instance noise


def _consensus(**options: Any) -> Game:
    return objectives.consensus(make_game(losses.minimax, **options), 1.0)


_game = functools.partial(functools.partial, make_game)
METHODS = {
    "gan": Method("GAN, saturating", _game(losses.minimax), False),
    "non_saturating": Method("GAN, non-saturating", _game(losses.non_saturating), False),
    "wgan": Method("WGAN", _game(losses.wasserstein), None),
    "wgan_clip": Method("WGAN, clipped at 1", _game(losses.wasserstein, clip=1.0), False, smooth=False),
    "wgan_gp": Method("WGAN-GP", _game(losses.wasserstein, penalty=one_centred), False, smooth=False),
    "dragan": Method("DRAGAN", _game(losses.minimax, penalty=dragan), False, smooth=False),
    "noise": Method("instance noise, σ = 0.7", _game(losses.minimax, std=0.7), True, std=0.7),
    "r1": Method("R1, γ = 0.3", _game(losses.minimax, penalty=zero_centred("real", 0.3)), True),
    "r1_critical": Method("R1, γ = 1", _game(losses.minimax, penalty=zero_centred("real", 1.0)), None),
    "r2": Method("R2, γ = 0.3", _game(losses.minimax, penalty=zero_centred("fake", 0.3)), True),
    "non_saturating_r1": Method(
        "non-saturating + R1", _game(losses.non_saturating, penalty=zero_centred("real", 0.3)), None
    ),
    "consensus": Method("consensus, 1", _consensus, True),
}


def run(method: Method, start: jax.Array, steps: int = STEPS, **options: Any) -> jax.Array:
    """The path [steps + 1, 2] of a method; `options` say how the players take turns."""
    draws = DRAWS if method.std else 1
    return play(method.game(**options), start, steps, std=method.std, draws=draws)


@figures.register(
    "mescheder/fig1",
    paper=PAPER,
    shows="which methods reach the equilibrium of the Dirac-GAN: R1, instance noise and consensus do",
    cost="5 s, 2 CPU cores",
)
def fig1() -> Figure:
    """Paths from (1, 1) in three ways to take turns, and the directions of simultaneous steps."""
    drawn = {name: method for name, method in METHODS.items() if name not in ("dragan", "r2")}
    lines = np.linspace(-2, 2, 11)
    grid = np.stack(np.meshgrid(lines, lines), axis=-1).reshape(-1, 2)

    def all_of(method: Method, grid: jax.Array) -> tuple[list[jax.Array], jax.Array]:
        paths = [run(method, jnp.array(START), **options) for options in MODES.values()]
        return paths, jax.vmap(lambda point: run(method, point, 1, simultaneous=True)[1])(grid)

    def measure(runs: figures.Looks) -> figures.Numbers:
        found: dict[str, Any] = {"grid": grid}
        for name, method in drawn.items():
            paths, after = jax.device_get(jax.jit(functools.partial(all_of, method))(jnp.float32(grid)))
            radii = dict(zip(MODES, radius(np.stack(paths)).tolist(), strict=True))
            found |= {f"{name}_paths": np.stack(paths), f"{name}_field": (after - grid) / H, f"{name}_radius": radii}
            found |= {f"{name}_least": min(radii.values()), f"{name}_most": max(radii.values())}
        return found

    def plot(found: Mapping[str, Any]) -> Any:
        page, axes = plots.panels(2, 5, sharex=True, sharey=True)
        for ax, (name, method) in zip(axes.flat, drawn.items(), strict=True):
            field = found[f"{name}_field"]
            length = np.maximum(np.linalg.norm(field, axis=1, keepdims=True), 1e-6)
            ax.quiver(*found["grid"].T, *(field / length).T, color="0.75", pivot="mid", scale=16, width=0.008)
            for path, mode in list(zip(found[f"{name}_paths"], MODES, strict=True))[:2]:
                ax.plot(*path.T, linewidth=0.8, label=mode)
            ax.plot(*START, "o", color="black", markersize=2.5)
            ax.plot(0, 0, "+", color="black", markersize=6)
            ax.set(title=method.label, xlim=(-2.2, 2.2), ylim=(-2.2, 2.2), aspect="equal")
        for ax in axes[-1]:
            ax.set_xlabel("θ, generator")
        for ax in axes[:, 0]:
            ax.set_ylabel("ψ, discriminator")
        page.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
        return page

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim(
                "saturating GAN: mean radius of the last 100 steps, least of three modes of play",
                "gan_least",
                least=1.3,
            ),
            Claim("R1, γ = 0.3: the same, most of three modes", "r1_most", most=1e-4),
            Claim("WGAN-GP: the same, least of three modes", "wgan_gp_least", least=0.5),
            Claim("instance noise: the same, most of three modes", "noise_most", most=0.05),
            Claim("non-saturating GAN: it shrinks slowly, least of three modes", "non_saturating_least", least=0.05),
            Claim("non-saturating GAN: it shrinks, most of three modes", "non_saturating_most", most=1.0),
        ),
    )


@figures.register(
    "mescheder/fig2",
    paper=PAPER,
    shows="the eigenvalues of R1's Jacobian: complex below γ = 1, real above, and left of 0 for every γ > 0",
    cost="3 s, 2 CPU cores",
)
def fig2() -> Figure:
    """Eigenvalues by autodiff through the update, in float64, against -γ/2 ± √(γ²/4 - 1/4)."""
    marked = {0.0: 1.00499, 0.3: 0.97468, 1.0: 0.9, 2.0: 0.97321}  # γ: spectral radius of I + hJ

    def measure(runs: figures.Looks) -> figures.Numbers:
        def at_zero(gamma: jax.Array) -> jax.Array:
            # A step of 1 loses no digits, which the double eigenvalue at γ = 1 would turn into their roots.
            game = make_game(losses.minimax, h=1.0, penalty=zero_centred("real", gamma), simultaneous=True)
            return jax.jacfwd(lambda point: play(game, point, 1)[1])(jnp.zeros(2)) - jnp.eye(2)

        gamma = np.concatenate([np.linspace(0.0, 3.0, 300), list(marked)])
        with jax.enable_x64(True):
            jacobians = np.asarray(jax.jit(jax.vmap(at_zero))(jnp.asarray(gamma)))
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
            "radius_error": np.abs(radii[-len(marked) :] - list(marked.values())).max().item(),
        }

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((left, right),) = plots.panels(1, 2, height=2.2)
        order = np.argsort(found["gamma"])
        gamma = found["gamma"][order]
        for part, name, colour in (
            (np.real, "real part", plots.COLOURS[0]),
            (np.imag, "imaginary part", plots.COLOURS[1]),
        ):
            for branch in (0, 1):
                left.plot(gamma, part(found["analytic"][order, branch]), color="black", linewidth=0.6)
                left.plot(
                    gamma[::10],
                    part(found["eigenvalues"][order, branch])[::10],
                    ".",
                    color=colour,
                    markersize=4,
                    label=name if branch else None,
                )
        left.set(xlabel="γ", ylabel="eigenvalue of J at (0, 0)", title="by autodiff (dots), analytic (lines)")
        left.legend()
        right.plot(gamma, found["radii"][order])
        right.axhline(1.0, color="black", linewidth=0.6, linestyle=":")
        right.set(xlabel="γ", ylabel="spectral radius of I + hJ", title="h = 0.2; converges below 1")
        for ax in (left, right):
            ax.axvline(1.0, color="0.7", linewidth=0.8, zorder=0)
        return page

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("eigenvalues against the analytic ones, largest error", "error", most=1e-10),
            Claim(
                "values of γ where they are complex though γ >= 1, or real though γ < 1", "complex_elsewhere", most=0
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
    cost="5 s, 2 CPU cores",
)
def table1() -> Figure:
    """Spectral radii where the field is smooth at the equilibrium; simulation where it is not."""
    rows = {name: method for name, method in METHODS.items() if method.converges is not None}

    def measure(runs: figures.Looks) -> figures.Numbers:
        jacobian_of = lambda method: jacobian(lambda point: run(method, point, 1, simultaneous=True)[1])
        smooth = {name: jacobian_of(method) for name, method in rows.items() if method.smooth}
        spectral = {name: float(np.abs(np.linalg.eigvals(step)).max()) for name, step in smooth.items()}
        simulate = lambda method: radius(jax.jit(lambda: run(method, jnp.array(START)))())
        simulated = {name: float(simulate(method)) for name, method in rows.items() if not method.smooth}
        found = {name: r < 1 for name, r in spectral.items()} | {name: r < 0.05 for name, r in simulated.items()}
        return {
            "spectral_radius": spectral,
            "radius": simulated,
            "converges": found,
            "agree": sum(found[name] == method.converges for name, method in rows.items()),
        }

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((left, right),) = plots.panels(1, 2, height=1.9)
        for ax, key, limit in ((left, "spectral_radius", 1.0), (right, "radius", 0.05)):
            values = found[key]
            at = np.arange(len(values))[::-1]
            yes = np.array([found["converges"][name] for name in values])
            for which, marker, colour, label in (
                (yes, "o", plots.COLOURS[0], "converges"),
                (~yes, "X", plots.COLOURS[1], "does not"),
            ):
                ax.plot(
                    np.array(list(values.values()))[which], at[which], marker, color=colour, label=label, markersize=5
                )
            ax.axvline(limit, color="black", linewidth=0.6, linestyle=":")
            ax.set_yticks(at, [METHODS[name].label for name in values])
            ax.set_ylim(-0.7, len(values) - 0.3)
        left.set(xlabel="spectral radius of I + hJ", title="smooth at the equilibrium: eigenvalues")
        right.set(xlabel="radius, mean of the last 100 of 500 steps", title="not smooth: simulation", xlim=(0, 1.6))
        left.legend(loc="upper left")
        return page

    return Figure(
        measure=measure,
        plot=plot,
        claims=(Claim("methods of the nine that converge, or not, as the paper has it", "agree", least=9),),
    )
