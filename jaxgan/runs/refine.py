"""Sampling after training: better samples from a run by its discriminator, and directions in its latent space.

`directions` and the `sample_*` functions take a `Run` of one generator named "generator" and one discriminator named
"discriminator". They raise UserError if the run has other networks or latents, or if a number is out of range.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan.core import prng
from jaxgan.core.game import LABEL
from jaxgan.core.terms import logits_of
from jaxgan.errors import UserError
from jaxgan.runs.run import Run
from jaxgan.training.sampling import cyclic_labels

CHUNK = 64  # samples per call

Critic = Callable[[Array], Array]  # z [B, Z] -> logits [B] of the images generated from z


class Directions(NamedTuple):
    """Directions in latent space."""

    vectors: np.ndarray  # [k, Z], of norm 1
    strengths: np.ndarray  # [k], the factor by which the generator's first layer stretches each, largest first


class _Networks(NamedTuple):
    """A run's networks with averaged parameters, as functions of latents and labels."""

    latent: Callable[[Array], Array]  # example keys -> z
    generate: Callable[[Array, Array], Array]
    discriminate: Callable[[Array, Array], Array]  # images, labels -> logits


def _networks(run: Run, member: int) -> _Networks:
    """Raises UserError if the run has other networks, or networks with inputs other than latents and labels."""
    networks = {network.name: network for network in run.experiment.game.networks}
    pair = [networks.get("generator"), networks.get("discriminator")]
    known = None not in pair and run.experiment.latent is not None and len(pair[1].inputs) == 1
    if not known or any(set(network.extra_inputs) - {LABEL} for network in pair):
        raise UserError(f"{run.entry.name} does not have one generator and one discriminator without further inputs")
    call = lambda network, x, labels: run.network(network.name, member)(x, *([labels] if network.extra_inputs else []))
    return _Networks(
        run.experiment.latent,
        lambda z, labels: call(pair[0], z, labels),
        lambda x, labels: logits_of(call(pair[1], x, labels)),
    )


def _draw(
    run: Run, n: int, seed: int, labels: Sequence[int] | None, draw: Callable[[Array, Array], Array]
) -> np.ndarray:
    """Returns images uint8 from `draw(example keys, labels)`, chunk by chunk."""
    labels, draw = np.int32(labels) if labels is not None else cyclic_labels(run.experiment, n), jax.jit(draw)
    chunks = []
    for start in range(0, n, CHUNK):
        keys = prng.example_keys(jax.random.key(seed), start + jnp.arange(CHUNK))
        chunks.append(draw(keys, np.resize(labels[start : start + CHUNK], CHUNK)))
    return run.experiment.output.postprocess(np.concatenate(jax.device_get(chunks))[:n])


def sample_truncated(
    run: Run, n: int, limit: float, seed: int = 0, member: int = 0, labels: Sequence[int] | None = None
) -> np.ndarray:
    """Returns n samples whose normal latents have no entry beyond `limit`: entries outside are drawn again.

    Small limits trade diversity for quality. Reference: Brock et al. 2018 (BigGAN), arXiv 1809.11096, section 3.1.
    """
    _require_in_range("the limit", limit, 0.0, float("inf"))
    networks = _networks(run, member)
    _require_normal(run, networks.latent)

    def draw(keys: Array, labels: Array) -> Array:
        size = jax.eval_shape(networks.latent, keys).shape[1:]
        z = jax.vmap(lambda key: jax.random.truncated_normal(key, -limit, limit, size))(keys)
        return networks.generate(z, labels)

    return _draw(run, n, seed, labels, draw)


def sample_scaled(
    run: Run, n: int, psi: float, seed: int = 0, member: int = 0, labels: Sequence[int] | None = None
) -> np.ndarray:
    """Returns n samples from latents times psi, between 0 and 1: they move towards their mean, which must be 0.

    StyleGAN truncates its styles in this way (Karras et al. 2018, arXiv 1812.04948, appendix B); here it is z. Normal
    latents become those of N(0, psi^2 I).
    """
    _require_in_range("psi", psi, 0.0, 1.0)
    networks = _networks(run, member)
    if _moments(networks.latent).largest_mean > 0.1:
        raise UserError(f"the latents of {run.entry.name} do not have mean 0, which psi needs")
    return _draw(run, n, seed, labels, lambda keys, labels: networks.generate(psi * networks.latent(keys), labels))


def acceptance(logits: Array, largest: float, gamma: float = 0.0, epsilon: float = 1e-8) -> Array:
    """Returns the probability that rejection sampling accepts each sample (DRS, Algorithm 1).

    It is σ(F) with F = D - M - log(1 - e^(D - M - ε)) - γ, M the largest logit. With γ = 0 it is e^(D - M), and
    accepted samples have the density of the data if the discriminator is optimal for the cross-entropy.

    Reference: Azadi et al. 2018, arXiv 1810.06758.
    """
    return jax.nn.sigmoid(acceptance_logits(logits, largest, epsilon) - gamma)


def acceptance_logits(logits: Array, largest: float, epsilon: float = 1e-8) -> Array:
    """Returns F of `acceptance` without γ."""
    below = jnp.minimum(logits - largest, 0.0) - epsilon
    return below - jnp.log(-jnp.expm1(below))


def sample_rejected(
    run: Run,
    n: int,
    share: float = 0.2,
    seed: int = 0,
    member: int = 0,
    labels: Sequence[int] | None = None,
    burn_in: int = 10_000,
) -> np.ndarray:
    """Returns n samples that passed discriminator rejection sampling (Azadi et al. 2018, arXiv 1810.06758).

    Each is accepted with the probability `acceptance`. The largest logit is estimated over a burn-in, and raised when a
    larger one appears.

    Args:
        run: A run whose discriminator was trained by cross-entropy; other logits give a heuristic.
        n: How many samples.
        share: γ is the quantile 1 - share of F over the burn-in, so that somewhat more than this share is accepted.
        seed: Seed of the latents and of the decisions.
        member: Which of the seeds that were trained together.
        labels: The class of each sample.
        burn_in: Samples from which the largest logit and γ are estimated.
    """
    _require_in_range("the accepted share", share, 0.0, 1.0)
    networks = _networks(run, member)
    wanted = np.int32(labels) if labels is not None else cyclic_labels(run.experiment, n)

    @jax.jit
    def propose(key: Array, labels: Array) -> tuple[Array, Array]:
        x = networks.generate(networks.latent(prng.example_keys(key, jnp.arange(CHUNK))), labels)
        return x, networks.discriminate(x, labels)

    def proposals(key: Array, labels: np.ndarray):
        for step in range(10_000 * len(labels)):
            yield propose(jax.random.fold_in(key, step), np.resize(labels, CHUNK))

    burn_key, key, coin_key = jax.random.split(jax.random.key(seed), 3)
    classes = np.unique(wanted)
    logits = []
    for step in range(-(-burn_in // CHUNK)):
        rolled = np.resize(np.roll(classes, -step * CHUNK), CHUNK)
        logits.append(propose(jax.random.fold_in(burn_key, step), rolled)[1])
    logits = jnp.concatenate(logits)
    largest = float(logits.max())
    gamma = float(jnp.quantile(acceptance_logits(logits, largest), 1.0 - share))
    rng = np.random.default_rng(np.asarray(jax.random.key_data(coin_key)))
    kept = np.empty([n, *jax.eval_shape(propose, key, np.resize(classes, CHUNK))[0].shape[1:]], np.float32)
    for index, label in enumerate(classes):
        places, filled = np.flatnonzero(wanted == label), 0
        for x, d in proposals(jax.random.fold_in(key, index), np.array([label])):
            largest = max(largest, float(d.max()))
            accepted = np.asarray(x)[rng.random(CHUNK) < np.asarray(acceptance(d, largest, gamma))]
            room = places[filled : filled + len(accepted)]
            kept[room], filled = accepted[: len(room)], filled + len(room)
            if filled == len(places):
                break
        else:
            raise UserError(f"almost no sample of {run.entry.name} is accepted; use a larger share than {share}")
    return run.experiment.output.postprocess(kept)


def langevin(key: Array, z: Array, critic: Critic, steps: int, step_size: float) -> Array:
    """Returns latents after Langevin steps on the energy E(z) = ||z||^2 / 2 - D(G(z)).

    z <- z - step_size / 2 ∇E(z) + √step_size n with n from N(0, I). E(z) is the paper's -log p_0(z) - d(G(z)) for the
    prior p_0 = N(0, I) and logits d, up to a constant. For an optimal D the samples G(z) have the density of the data
    in the limit of many small steps. Reference: Che et al. 2020 (DDLS), arXiv 2003.06060, Algorithm 1.

    Args:
        key: One key per example, or one for all.
        z: Latents [B, Z].
        critic: Latents to logits [B].
        steps: How many.
        step_size: ε of the paper.
    """
    keys = prng.as_example_keys(key, len(z))
    energy = lambda z: 0.5 * (z**2).sum() - critic(z).sum()

    def step(i: Array, z: Array) -> Array:
        noise = prng.normal(prng.fold_in(keys, i), *z.shape[1:])
        return z - 0.5 * step_size * jax.grad(energy)(z) + jnp.sqrt(jnp.float32(step_size)) * noise

    return jax.lax.fori_loop(0, steps, step, z)


def sample_langevin(
    run: Run,
    n: int,
    steps: int = 100,
    step_size: float = 0.01,
    seed: int = 0,
    member: int = 0,
    labels: Sequence[int] | None = None,
) -> np.ndarray:
    """Returns n samples whose latents took `langevin` steps. Raises UserError if latents are not normal."""
    networks = _networks(run, member)
    _require_normal(run, networks.latent)

    def draw(keys: Array, labels: Array) -> Array:
        critic = lambda z: networks.discriminate(networks.generate(z, labels), labels)
        z = langevin(prng.fold_in(keys, 1), networks.latent(keys), critic, steps, step_size)
        return networks.generate(z, labels)

    return _draw(run, n, seed, labels, draw)


def _require_in_range(name: str, value: float, low: float, high: float) -> None:
    """Raises UserError unless low < value <= high."""
    if not low < value <= high:
        raise UserError(f"{name} {value} must be above {low:g}" + (f" and at most {high:g}" if high < 1e9 else ""))


class _Moments(NamedTuple):
    std: float
    largest: float  # entry
    largest_mean: float  # of an entry


@functools.cache
def _moments(latent: Callable[[Array], Array]) -> _Moments:
    z = latent(jax.random.split(jax.random.key(0), 2_000))
    return _Moments(float(z.std()), float(jnp.abs(z).max()), float(jnp.abs(z.mean(0)).max()))


def _require_normal(run: Run, latent: Callable[[Array], Array]) -> None:
    moments = _moments(latent)
    if abs(moments.std - 1.0) > 0.1 or moments.largest < 2.5:
        raise UserError(f"the latents of {run.entry.name} are not drawn from N(0, I), which this sampling needs")


def directions(run: Run, k: int = 5, member: int = 0) -> Directions:
    """Returns the k directions in which the generator's first layer changes most (SeFa).

    They are the eigenvectors n of A'A with the largest eigenvalues, for the first layer A z + b: the directions of
    norm 1 with the largest ||A n||^2. Move z along one to edit a sample. The authors' code (genforce/sefa) scales the
    weights of each output to norm 1 before; here they are as in the paper. Raises UserError if the generator has no
    linear first layer. Reference: Shen & Zhou 2020, arXiv 2007.06600, Eq. 4.
    """
    networks = _networks(run, member)
    size = jax.eval_shape(networks.latent, jax.random.split(jax.random.key(0), 1)).shape[1]
    params = run.seed_states[member].with_ema().params["generator"]
    first = params.get("Dense_0", {}).get("kernel")
    if first is None or first.shape[0] < size:
        raise UserError(f"the generator of {run.entry.name} does not begin with a linear layer of z")
    weights = np.float64(first)[:size]  # One-hot labels, if there are any, follow z.
    eigenvalues, vectors = np.linalg.eigh(weights @ weights.T)
    order = eigenvalues.argsort()[::-1][:k]
    return Directions(vectors[:, order].T, np.sqrt(eigenvalues[order].clip(0)))


def sample_moved(
    run: Run,
    n: int,
    direction: int,
    distance: float,
    seed: int = 0,
    member: int = 0,
    labels: Sequence[int] | None = None,
) -> np.ndarray:
    """Returns n samples from latents that are moved by `distance` along one of the `directions`, counted from 0."""
    networks = _networks(run, member)
    size = jax.eval_shape(networks.latent, jax.random.split(jax.random.key(0), 1)).shape[1]
    if not 0 <= direction < size:
        raise UserError(f"direction {direction} must be from 0 to {size - 1}, as latents have {size} entries")
    vectors, _ = directions(run, direction + 1, member)
    step = np.float32(distance * vectors[direction])[None]
    return _draw(run, n, seed, labels, lambda keys, labels: networks.generate(networks.latent(keys) + step, labels))
