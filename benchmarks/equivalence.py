"""Checks that this project and PyTorch compute the same losses and gradients, from the same parameters and noise."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import workloads
from benchmarks.workloads import Workload
from jaxgan.core import prng
from jaxgan.core.game import TrainState, init_state
from jaxgan.errors import SystemFailure

TOLERANCE = 1e-9  # relative, in float64
PENALTY_SEED = 1


class NotEquivalent(SystemFailure):
    """The two sides compute different things, so their times cannot be compared."""


class Inputs(NamedTuple):
    """Everything that the losses of one step depend on, as float64 NumPy arrays."""

    params: Any
    buffers: Any
    real: np.ndarray  # [B, ...]
    z_d: np.ndarray  # [B, Z], of the discriminator's phase
    z_g: np.ndarray  # [B, Z], of the generator's phase
    noise: np.ndarray | None  # what the penalty draws


def check(workload: Workload, variant: str = "eager") -> dict[str, float]:
    """Returns the relative differences of the losses and gradients of both phases, by name. Needs torch.

    Args:
        workload: What to compare.
        variant: Of `benchmarks.peer.Peer`.

    Raises NotEquivalent if a difference is above `TOLERANCE`.
    """
    import torch

    from benchmarks.peer import Peer
    from benchmarks.peer.networks import build_modules
    from benchmarks.peer.weights import to_torch

    state = jax.jit(lambda: init_state(workloads.make_game(workload), jax.random.key(0)))()
    with jax.enable_x64(True):
        inputs = _make_inputs(workload, state)
        ours = _jax_gradients(workload, inputs)
    add_seeds = lambda a: np.stack([a] * workload.seeds) if workload.seeds > 1 else a
    variables = jax.tree.map(add_seeds, (inputs.params, inputs.buffers))
    peer = Peer(workload, *variables, variant, dtype=torch.float64)
    channels_first = lambda a: torch.from_numpy(np.moveaxis(a, -1, 1).copy())
    theirs = peer.gradients(
        channels_first(inputs.real),
        torch.from_numpy(inputs.z_d),
        torch.from_numpy(inputs.z_g),
        None if inputs.noise is None else channels_first(inputs.noise),
    )
    norm = lambda tensors: sum(t.square().sum().item() for t in tensors.values()) ** 0.5
    generator, discriminator = build_modules(workload)
    differences = {}
    for phase, module in (("d", discriminator), ("g", generator)):
        (our_loss, our_grads), (loss, grads) = ours[phase], theirs[phase]
        expected = to_torch(module, our_grads)
        error = {name: expected[name] - grads[name] for name in expected | grads}
        differences[f"{phase}_loss"] = abs(loss.item() / our_loss - 1.0)
        differences[f"{phase}_gradient"] = norm(error) / norm(expected)
    if large := [f"{name} by {value:.1e}" for name, value in differences.items() if not value <= TOLERANCE]:
        raise NotEquivalent(
            f"{workload.name}: PyTorch's variant {variant} differs from JAX in {', '.join(large)} (relative); "
            f"at most {TOLERANCE:.0e} is allowed; correct benchmarks/peer"
        )
    return differences


def _make_inputs(workload: Workload, state: TrainState) -> Inputs:
    rng = np.random.default_rng(0)
    # Away from initialisation, where some layers are 0 and hide others from the gradient.
    params = jax.tree.map(lambda a: np.float64(a) + 0.05 * rng.standard_normal(a.shape), state.params)
    buffers = jax.tree.map(np.float64, state.buffers)
    for collection in buffers["discriminator"].get("spectral", {}).values():
        for name in collection:
            layer, kind = name.split("/")
            # The fixed point of power iteration: the two sides need not run their passes in the same order.
            if kind == "u":
                matrix = params["discriminator"][layer]["kernel"]
                collection[name] = np.linalg.svd(matrix.reshape(-1, matrix.shape[-1]), full_matrices=False)[2][:1]
    keys = prng.as_example_keys(jax.random.key(PENALTY_SEED), workload.batch)
    noise = None
    if workload.penalty == "gp":
        noise = np.array(prng.uniform(keys, *[1] * len(workload.shape)))
    elif workload.penalty == "dragan":
        noise = np.array(prng.normal(keys, *workload.shape))
    real = rng.uniform(-1.0, 1.0, (workload.batch, *workload.shape))
    z_d, z_g = (rng.standard_normal((workload.batch, workload.latent)) for _ in range(2))
    return Inputs(params, buffers, real, z_d, z_g, noise)


def _jax_gradients(workload: Workload, inputs: Inputs) -> dict[str, tuple[float, Any]]:
    """Returns this project's loss and gradients by phase."""
    state = TrainState(jnp.int32(0), inputs.params, inputs.buffers, {}, {})
    batch = {"real": inputs.real, "index": jnp.arange(workload.batch, dtype=jnp.int32)}
    key = jax.random.key(PENALTY_SEED)
    results = {}
    for i, z in enumerate((inputs.z_d, inputs.z_g)):
        phase = workloads.make_game(workload, lambda keys: z, key).phases[i]

        @jax.jit
        def loss_and_gradients(params, phase=phase):
            loss = lambda params: phase.loss(state.with_params(**{phase.player: params}), batch, key)[0]
            return jax.value_and_grad(loss)(params)

        results[phase.name] = jax.device_get(loss_and_gradients(inputs.params[phase.player]))
    return results
