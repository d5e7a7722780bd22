"""Whether both sides compute the same: losses and gradients of both phases, from the same weights and noise."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import works
from benchmarks.works import Work
from jaxgan import game, latents
from jaxgan.errors import Failed
from jaxgan.game import TrainState

LIMIT = 1e-9


class Unequal(Failed):
    """The two sides do different work, so their times do not compare."""


def check(work: Work, variant: str = "eager") -> dict[str, float]:
    """Return the relative differences of losses and gradients, by name; in float64 and with torch.

    Raises Unequal where one is above `LIMIT`.
    """
    import torch

    from benchmarks.peer import Peer
    from benchmarks.peer.networks import modules
    from benchmarks.peer.weights import tensors

    state = jax.jit(lambda: game.init(works.game(work), jax.random.key(0)))()
    with jax.enable_x64(True):
        given = _given(work, state)
        ours = _ours(work, *given)
    params, buffers, real, *z, noise = given
    several = (lambda a: np.stack([a] * work.seeds)) if work.seeds > 1 else (lambda a: a)
    theirs = Peer(work, *jax.tree.map(several, (params, buffers)), variant, dtype=torch.float64)
    tensor = lambda a: None if a is None else torch.from_numpy(np.moveaxis(a, -1, 1).copy())
    found = theirs.gradients(tensor(real), *map(torch.from_numpy, z), tensor(noise))
    differences = {}
    for net, (phase, (loss, grads)) in zip(reversed(modules(work)), found.items(), strict=True):
        our_loss, our_grads = ours[phase]
        wanted = tensors(net, our_grads)
        size = lambda tree: sum(t.square().sum().item() for t in tree.values()) ** 0.5
        differences[f"{phase}_loss"] = abs(loss.item() / our_loss - 1.0)
        differences[f"{phase}_gradient"] = size({n: wanted[n] - grads[n] for n in wanted | grads}) / size(wanted)
    if worst := [f"{name} by {value:.1e}" for name, value in differences.items() if not value <= LIMIT]:
        raise Unequal(
            f"{work.name}: {variant} differs from ours in {', '.join(worst)} of its size; mend benchmarks/peer"
        )
    return differences


def _given(work: Work, state: TrainState) -> tuple[Any, ...]:
    """Parameters, buffers, reals, z of either phase, and what the penalty draws or None; NumPy, float64."""
    rng = np.random.default_rng(0)
    # Off the start, where some layers are 0 and hide others from the gradient.
    params = jax.tree.map(lambda a: np.float64(a) + 0.05 * rng.standard_normal(a.shape), state.params)
    buffers = jax.tree.map(np.float64, state.buffers)
    for part in buffers["discriminator"].get("spectral", {}).values():
        for name in part:
            layer, kernel, what = name.split("/")
            if what == "u":  # where power iteration leaves it: the two sides need not agree which pass comes first
                matrix = params["discriminator"][layer][kernel]
                part[name] = np.linalg.svd(matrix.reshape(-1, matrix.shape[-1]), full_matrices=False)[2][:1]
    draw = {"gp": (latents.uniform, [1] * len(work.shape)), "dragan": (latents.normal, work.shape)}.get(work.penalty)
    noise = None if draw is None else np.array(draw[0](latents.per_example(_key(), work.batch), *draw[1]))
    z = lambda: rng.standard_normal((work.batch, work.latent))
    return params, buffers, rng.uniform(-1.0, 1.0, (work.batch, *work.shape)), z(), z(), noise


def _key() -> jax.Array:
    return jax.random.key(1)


def _ours(work: Work, params: Any, buffers: Any, real: Any, z_d: Any, z_g: Any, _: Any) -> dict[str, tuple[float, Any]]:
    """Loss and gradients by phase."""
    state = TrainState(jnp.int32(0), params, buffers, {}, {})
    batch = {"real": real, "index": jnp.arange(work.batch, dtype=jnp.int32)}
    found = {}
    for n, z in enumerate((z_d, z_g)):
        phase = works.game(work, lambda keys: z, _key()).phases[n]

        @jax.jit
        def both(own, phase=phase):
            loss = lambda own: phase.loss(state.using(**{phase.player: own}), batch, _key())[0]
            return jax.value_and_grad(loss)(own)

        found[phase.name] = jax.device_get(both(params[phase.player]))
    return found
