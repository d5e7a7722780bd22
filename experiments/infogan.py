"""InfoGAN (Chen et al. 2016, arXiv 1606.03657), on the ring of 8 Gaussians.

    python launch.py train infogan/ring
    python launch.py figure infogan/ring

A categorical code c enters the generator beside the noise, and a network Q on the features of the discriminator guesses
it from the fake. L_I = H(c) - E[-log Q(c|x)] is at most the mutual information of code and fake (Eq. 5); both players
gain from it. The noise is that of the paper's MNIST; the discriminator has R1 besides, which the paper's has not.
After 6,000 steps the samples of a code lie about one mode, often more widely than the data do.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments import testbeds
from jaxgan import figures, latents, losses, metrics, optim, penalties, plots
from jaxgan.data import synthetic
from jaxgan.evaluate.modes import modes
from jaxgan.figures import Claim, Figure, needs
from jaxgan.game import Batch, Game, Network, Phase, Player, TrainState, spec
from jaxgan.networks import mlp
from jaxgan.networks.layers import leaky_relu
from jaxgan.registry import Experiment, register
from jaxgan.run import Run

PAPER = "Chen et al. 2016, arXiv 1606.03657"
DATA = synthetic.ring()
CODES = len(DATA.modes)
(BED,) = (bed for bed in testbeds.ALL if bed.name == "ring")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(testbeds.Config):
    """InfoGAN."""

    steps: int = 10_000  # how far to train; a step is one batch, and one move of each player
    latent: int = 62  # dimensions of z, drawn from U(-1, 1)
    info: float = 1.0  # weight of L_I; 0 gives a plain GAN with a code that it need not use
    b1: float = 0.0  # of Adam
    b2: float = 0.99  # of Adam
    gamma: float = 0.4  # weight of half the mean squared gradient norm at reals


class Discriminator(nn.Module):
    """Points [B, 2] to logits [B] and features [B, width]."""

    width: int

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> tuple[Array, Array]:
        for _ in range(2):
            x = leaky_relu(nn.Dense(self.width, kernel_init=mlp.HE)(x))
        return nn.Dense(1, kernel_init=mlp.HE)(x)[:, 0], x


def scale_gradient(x: Array, weight: float) -> Array:
    """Return x, through which `weight` times the gradient goes."""
    return weight * x + (1.0 - weight) * jax.lax.stop_gradient(x)


def information(logits: Array, code: Array) -> Array:
    """L_I in nats, of codes int32 [B] that are drawn evenly: H(c) less the cross-entropy of Q's logits [B, K]."""
    return math.log(logits.shape[1]) - optax.softmax_cross_entropy_with_integer_labels(logits, code).mean()


@register(
    "infogan/ring",
    Config(),
    paper=PAPER,
    dataset=BED.dataset,
    shows="a code that the discriminator's features give away: each of its values becomes one mode, without labels",
    cost=BED.cost,
)
def build(config: Config) -> Experiment:
    """Three networks, two players: Q learns with the generator, and always with weight 1."""
    G = Network("generator", mlp.Generator((2,), config.width, depth=2), (spec(config.latent + CODES),))
    D = Network("discriminator", Discriminator(config.width), (spec(2),))
    Q = Network("q", mlp.Generator((CODES,), config.width, depth=1, activation=leaky_relu), (spec(config.width),))
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)

    def draw(keys: Array) -> tuple[Array, Array]:
        z_keys, code_keys = jnp.unstack(jax.vmap(jax.random.split)(keys), axis=1)
        code = jax.vmap(lambda key: jax.random.randint(key, (), 0, CODES))(code_keys)
        return given(latents.uniform(z_keys, config.latent, minval=-1.0), code), code

    def play(state: TrainState, batch: Batch, key: Array) -> tuple[Array, Array, Array]:
        inputs, code = draw(latents.each(key, batch["index"]))
        fake, _ = G(state, inputs)
        (fake_logits, features), _ = D(state, fake)
        (real_logits, _), _ = D(state, batch["real"])
        guess, _ = Q(state, scale_gradient(features, config.info))
        return real_logits, fake_logits, information(guess, code)

    def d_loss(state: TrainState, batch: Batch, key: Array):
        real_logits, fake_logits, known = play(state, batch, key)
        r1 = config.gamma * penalties.r1(lambda x: D(state, x)[0][0], batch["real"])
        return losses.non_saturating.d(real_logits, fake_logits) - known + r1, (state, {"penalty": r1})

    def g_loss(state: TrainState, batch: Batch, key: Array):
        real_logits, fake_logits, known = play(state, batch, key)
        return losses.non_saturating.g(real_logits, fake_logits) - known, (state, {"information": known})

    game = Game(
        networks=(G, D, Q),
        players={
            "generator": Player(("generator", "q"), adam(config.g_lr)),
            "discriminator": Player(("discriminator",), adam(config.d_lr)),
        },
        phases=(Phase("d", "discriminator", d_loss), Phase("g", "generator", g_loss)),
        ema={"generator": optim.ema_decay(config.ema_half_life, config.batch_size)},
    )
    sample = lambda state, keys: G.bind(state, train=False)(draw(keys)[0])
    return Experiment(game, BED.source(config), sample, BED.evaluate, BED.picture, BED.pictured)


def given(z: Array, code: Array) -> Array:
    """What the generator sees: z [B, Z] and the code int32 [B], one-hot."""
    return jnp.concatenate([z, jax.nn.one_hot(code, CODES)], axis=1)


def agreement(points: np.ndarray, code: np.ndarray) -> float:
    """Of the points [N, 2] within 3 stds of a mode, the part whose code is their mode's, codes being matched to modes.

    The matching is the best one (Hungarian), so that chance is somewhat above 1 / 8.
    """
    from scipy.optimize import linear_sum_assignment  # Takes a moment to import.

    distance = np.linalg.norm(points[:, None] - DATA.modes, axis=-1)
    near = distance.min(1) <= 3 * DATA.std
    counts = np.zeros([CODES, CODES])
    np.add.at(counts, (code[near], distance.argmin(1)[near]), 1)
    return float(counts[linear_sum_assignment(-counts)].sum() / near.sum()) if near.any() else math.nan


def look(run: Run, member: int, n: int = 4_000) -> tuple[np.ndarray, np.ndarray, float]:
    """Points [n, 2] of the averaged generator, their codes [n], each alike often, and L_I in nats."""
    code = jnp.arange(n) % CODES
    z = jax.random.uniform(jax.random.key(0), [n, run.config.latent], minval=-1.0)
    points = run.network("generator", member)(given(z, code))
    _, features = run.network("discriminator", member)(points)
    known = information(run.network("q", member)(features), code)
    return np.asarray(points), np.asarray(code), float(known)


@figures.register(
    "infogan/ring",
    paper=PAPER,
    shows="the code of InfoGAN names the mode of a sample; that of a plain GAN, which may use it too, does not",
    cost="2 min, 2 CPU cores",
)
def ring() -> Figure:
    """Both games on five seeds, the first drawn; codes are matched to modes, and only samples near modes count."""
    at = (0, 250, 500, 1_000, 3_000, 6_000)

    def measure(runs: figures.Looks) -> figures.Numbers:
        found: dict[str, Any] = {"steps": np.array([run.step for run in runs["infogan"]])}
        for name, seen in runs.items():
            looks = [[look(run, member) for run in seen] for member in range(seen[0].config.seeds)]
            found[f"{name}_information"] = np.array([[known for _, _, known in one] for one in looks])
            found[f"{name}_points"], found["code"], _ = looks[0][-1]
            last = [one[-1] for one in looks]
            found[f"{name}_agreement"] = metrics.summary([agreement(points, code) for points, code, _ in last])
            quality = [modes(points, DATA.modes, DATA.std) for points, _, _ in last]
            for key in ("high_quality", "covered"):
                found[f"{name}_{key}"] = metrics.summary([q[key] for q in quality])
        return found

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((left, middle, right),) = plots.panels(1, 3, height=2.4)
        colours = np.array([*plots.COLOURS, "black"])[found["code"]]
        for ax, name, title in ((left, "infogan", "InfoGAN"), (middle, "gan", "Plain GAN")):
            near = 100 * found[f"{name}_high_quality"]["median"]
            ax.scatter(*found[f"{name}_points"][:2_000].T, s=3, c=colours[:2_000], linewidths=0)
            ax.set_title(f"{title}, coloured by code\n{near:.0f} % near a mode")
            ax.set(xlabel="x", ylabel="y", aspect="equal", xlim=(-1.8, 1.8), ylim=(-1.8, 1.8))
        right.axhline(math.log(CODES), color="black", linewidth=0.8, label="H(c) = ln 8")
        for name, label in (("infogan", "InfoGAN"), ("gan", "plain GAN")):
            plots.band(right, found["steps"], found[f"{name}_information"], label)
        right.set(xlabel="step", ylabel="$L_I$, nats", title="What Q knows of the code")
        right.legend()
        return page

    return Figure(
        measure=measure,
        plot=plot,
        runs={
            "infogan": needs("infogan/ring", *at, seeds=5),
            "gan": needs("infogan/ring", *at, seeds=5, info=0.0),
        },
        claims=(
            Claim("InfoGAN: samples whose code is their mode's", "infogan_agreement", least=0.9),
            Claim("a plain GAN: samples whose code is their mode's, twice 1 / 8 at most", "gan_agreement", most=0.25),
        ),
    )
