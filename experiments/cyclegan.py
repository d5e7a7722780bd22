"""Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks (Zhu et al. 2017, arXiv 1703.10593).

    python launch.py train cyclegan/plane
    python launch.py figure cyclegan/toy

Two generators, two discriminators, least squares and a pool of earlier fakes for each discriminator: a game of four
networks, two players and two buffers. The toy translates points of the plane, from a Gaussian cloud to two bars.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxgan import figures, losses, metrics, pictures, plots, pool, registry
from jaxgan.data.source import density, unpaired
from jaxgan.evaluate.kernel import mmd
from jaxgan.figures import Claim, Figure, needs
from jaxgan.game import Batch, Game, Network, Phase, Player, TrainState, spec
from jaxgan.networks import mlp
from jaxgan.registry import Experiment

SCALE = 0.5  # of the kernel by which points are compared, the standard deviation of the cloud
PAPER = "Zhu et al. 2017, arXiv 1703.10593"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(registry.Config):
    """CycleGAN on points of the plane."""

    steps: int = 30_000  # how far to train; a step is one move of the generators, then one of the discriminators
    batch_size: int = 128  # points a step from each domain, over all devices
    width: int = 64  # units of a hidden layer
    lr: float = 1e-3  # learning rate of both players
    hold: int = 15_000  # steps at this rate
    decay: int = 15_000  # steps in which it falls to 0
    b1: float = 0.5  # of Adam
    adversarial: float = 1.0  # weight of the adversarial losses
    cycle: float = 10.0  # weight of the cycle losses, lambda
    pool: int = 256  # earlier fakes of each domain that a discriminator may be shown


def cycle_gan(
    g: tuple[Network, Network],
    d: tuple[Network, Network],
    g_optimizer: optax.GradientTransformation,
    d_optimizer: optax.GradientTransformation,
    adversarial: float,
    cycle: float,
    pools: Mapping[str, Any],
) -> Game:
    """The game of G: X -> Y, F: Y -> X and the discriminators of Y and of X, on batches of "x" and "y" (Eq. 3).

    `pools` has the discriminators' names.
    """
    (G, F), (D_y, D_x) = g, d

    def g_loss(state: TrainState, batch: Batch, key: Array):
        x, y = batch["x"], batch["y"]
        forward, backward = G.bind(state), F.bind(state)
        fake_y, fake_x = forward(x), backward(y)
        # The authors' code has no half here, and halves the discriminators' loss.
        fooled = 2.0 * sum(losses.least_squares.g(None, D.bind(state)(f)) for D, f in ((D_y, fake_y), (D_x, fake_x)))
        back = losses.l1(backward(fake_y), x) + losses.l1(forward(fake_x), y)
        return adversarial * fooled + cycle * back, (state, {"adversarial": fooled, "cycle": back})

    def d_loss(state: TrainState, batch: Batch, key: Array):
        total = jnp.zeros([])
        for n, (D, real, generator, given) in enumerate(((D_y, "y", G, "x"), (D_x, "x", F, "y"))):
            fake = generator.bind(state)(batch[given])
            fake, held = pool.query(state.buffers[f"{D.name}_pool"], fake, jax.random.fold_in(key, n))
            critic = D.bind(state)
            total += losses.least_squares.d(critic(batch[real]), critic(fake))
            state = state.holding(**{f"{D.name}_pool": held})
        return total, (state, {})

    return Game(
        networks=(*g, *d),
        players={
            "generators": Player((G.name, F.name), g_optimizer),
            "discriminators": Player((D_y.name, D_x.name), d_optimizer),
        },
        phases=(Phase("g", "generators", g_loss), Phase("d", "discriminators", d_loss)),
        buffers={f"{name}_pool": held for name, held in pools.items()},
    )


def cloud(key: Array) -> Array:
    """X: a point of a round Gaussian [2] with a standard deviation of one half."""
    return 0.5 * jax.random.normal(key, [2])


def bars(key: Array) -> Array:
    """Y: a point [2] of one of two upright bars, at -1 and 1."""
    side, along, across = jax.random.split(key, 3)
    at = 2.0 * jax.random.bernoulli(side).astype(jnp.float32) - 1.0
    return jnp.stack([at + 0.05 * jax.random.normal(across), jax.random.uniform(along, minval=-1.0)])


def draw(of: Any, n: int, seed: int) -> np.ndarray:
    """Draw n points [n, 2] of a domain."""
    return np.asarray(jax.vmap(of)(jax.random.split(jax.random.key(seed), n)))


@registry.register(
    "cyclegan/plane",
    Config(),
    paper=PAPER,
    dataset="a Gaussian cloud and two bars in the plane",
    shows="translation without pairs: four networks, two players and pools of fakes in one game",
    cost="1 min, 2 CPU cores",
)
def plane(config: Config) -> Experiment:
    """Samples are translations of X to Y."""
    module = mlp.Generator((2,), config.width, depth=2)
    critic = mlp.Critic(config.width, depth=2)
    g = tuple(Network(name, module, (spec(2),)) for name in ("forward", "backward"))
    d = tuple(Network(name, critic, (spec(2),)) for name in ("critic_y", "critic_x"))
    rate = optax.linear_schedule(config.lr, 0.0, config.decay, config.hold)
    adam = optax.adam(rate, config.b1)
    pools = {network.name: pool.empty(config.pool, 2) for network in d}
    game = cycle_gan(g, d, adam, adam, config.adversarial, config.cycle, pools)
    target = draw(bars, 20_000, seed=0)
    return Experiment(
        game,
        source=unpaired(density(cloud), density(bars)),
        sample=lambda state, keys: g[0].bind(state, train=False)(jax.vmap(cloud)(keys)),
        evaluate=lambda samples: {"mmd": mmd(samples[:2_000], target[:2_000], SCALE)},
        picture=lambda samples: pictures.scatter(samples, target),
        pictured=2_000,
    )


@figures.register(
    "cyclegan/toy",
    paper=PAPER,
    shows="points of the plane translated without pairs: adversarial and cycle loss, and each of them alone",
    cost="3 min, 2 CPU cores",
)
def toy() -> Figure:
    """Three ablations, three seeds each; distances are compared with that of two samples of the data."""
    ablations = {"full": {}, "GAN alone": {"cycle": 0.0}, "cycle alone": {"adversarial": 0.0}}
    last, n = 30_000, 2_000

    def measure(runs: figures.Looks) -> figures.Numbers:
        x, y = draw(cloud, n, seed=1), draw(bars, n, seed=2)
        floor = mmd(y, draw(bars, n, seed=3), SCALE)
        found: dict[str, Any] = {"x": x, "y": y, "real_mmd": floor}
        for label, (run,) in runs.items():
            maps = [(run.network("forward", k), run.network("backward", k)) for k in range(run.config.seeds)]
            fakes = [np.asarray(forward(x)) for forward, _ in maps]
            back = [np.asarray(backward(fake)) for (_, backward), fake in zip(maps, fakes, strict=True)]
            found[f"{label}, G(x)"], found[f"{label}, F(G(x))"] = fakes[0], back[0]
            distance = np.array([mmd(fake, y, SCALE) for fake in fakes]) / floor
            error = np.array([np.abs(b - x).mean() for b in back]) / x.std()
            moved = np.array([np.abs(fake - x).mean() for fake in fakes]) / x.std()
            for name, value in (("mmd", distance), ("cycle", error), ("moved", moved)):
                found[f"{label}, {name}"] = metrics.summary(value)
        middle = lambda name: found[name]["median"]
        found["cycle_ratio"] = middle("GAN alone, cycle") / middle("full, cycle")
        found["mmd_ratio"] = middle("cycle alone, mmd") / middle("full, mmd")
        return found

    def plot(found: Mapping[str, Any]) -> Any:
        page, axes = plots.panels(2, 3, height=2.2, sharex=True, sharey=True)
        hue = found["x"][:, 0].argsort().argsort() / n  # A point keeps the colour of its place in X.
        for (top, bottom), label in zip(axes.T, ablations, strict=True):
            for ax, key, behind in ((top, "G(x)", "y"), (bottom, "F(G(x))", "x")):
                ax.scatter(*found[behind].T, s=2, c="0.8", linewidths=0)
                ax.scatter(*found[f"{label}, {key}"].T, s=2, c=hue, linewidths=0)
                ax.set(aspect="equal", xlim=(-2, 2), ylim=(-2, 2))
            top.set_title(f"{label}\nMMD {found[f'{label}, mmd']['median']:.1f} times that of data")
            bottom.set_title(f"cycle error {found[f'{label}, cycle']['median']:.3f} std")
        axes[0, 0].set_ylabel("G(x), over Y in grey")
        axes[1, 0].set_ylabel("F(G(x)), over X in grey")
        return page

    return Figure(
        runs={label: needs("cyclegan/plane", last, seeds=3, **fields) for label, fields in ablations.items()},
        measure=measure,
        plot=plot,
        claims=(
            Claim("full: mean |F(G(x)) - x| in standard deviations of x", "full, cycle", most=0.05),
            Claim("full: MMD of G(x) and Y, over that of two samples of Y", "full, mmd", most=3.0),
            Claim("GAN alone: cycle error, over that of the full loss", "cycle_ratio", least=5.0),
            Claim("cycle alone: MMD of G(x) and Y, over that of the full loss", "mmd_ratio", least=5.0),
        ),
    )
