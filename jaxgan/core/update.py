"""One training step of any game."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxgan.core import axis
from jaxgan.core.game import Batch, Game, Params, Phase, Scalars, TrainState
from jaxgan.errors import UserError

Update = Callable[[tuple[Phase, ...], TrainState, Batch, Array], tuple[TrainState, Scalars]]


def make_update(game: Game) -> Update:
    """Returns the pure function `update(phases, state, batch, key) -> (state, scalars)`, one step of the game.

    The given phases run in order. Each differentiates its loss in the parameters of its player alone, averages the
    gradients, the scalars and the buffers that the loss changed over the devices, and applies the optimizer. After the
    last phase the moving averages and the step are updated. Scalars are named `phase/name`; `phase/loss` is always
    among them.

    `key` is the same at every step: the randomness of a phase depends on it, on the step, and on the index of the
    phase in the game, so it does not depend on which other phases are due.

    What a loss returns is checked when it is traced. Raises UserError, with the name of the phase, if that is not
    `(scalar, (state, scalars))`, if parameters or the structure of a buffer differ, or if the batch lacks an entry.
    """

    def run_phase(
        phase: Phase, state: TrainState, loss_state: TrainState, batch: Batch, key: Array
    ) -> tuple[TrainState, Scalars]:
        player = game.players[phase.player]

        def loss(trainable: dict[str, Params]):
            before = loss_state.with_params(**trainable)
            value, after, scalars = _checked_loss(phase, before, batch, key)
            changed = {name: b for name, b in after.buffers.items() if b is not loss_state.buffers[name]}
            return value, (changed, {"loss": value, **scalars})

        grad = jax.grad(loss, has_aux=True)
        grads, (changed, scalars) = axis.pmean(grad({name: loss_state.params[name] for name in player.networks}))
        params = {name: state.params[name] for name in player.networks}
        with jax.numpy_dtype_promotion("standard"):  # optax raises decay rates to integer powers.
            updates, opt_state = player.optimizer.update(grads, state.opt_state[phase.player], params)
        state = state.with_params(**optax.apply_updates(params, updates)).with_buffers(**changed)
        state = dataclasses.replace(state, opt_state={**state.opt_state, phase.player: opt_state})
        return state, {f"{phase.name}/{name}": value for name, value in scalars.items()}

    def update(phases: tuple[Phase, ...], state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Scalars]:
        key, params_before, scalars = jax.random.fold_in(key, state.step), state.params, {}
        for phase in phases:
            loss_state = state.with_params(**params_before) if game.simultaneous else state
            phase_key = jax.random.fold_in(key, game.phases.index(phase))
            state, phase_scalars = run_phase(phase, state, loss_state, batch, phase_key)
            scalars |= phase_scalars
        decays = {name: decay(state.step) for name, decay in game.ema.items()}
        ema = {n: optax.incremental_update(state.params[n], state.ema[n], 1.0 - d) for n, d in decays.items()}
        return dataclasses.replace(state, step=state.step + 1, ema=ema), scalars

    return update


def _checked_loss(phase: Phase, before: TrainState, batch: Batch, key: Array) -> tuple[Array, TrainState, Scalars]:
    """Evaluates a phase's loss and returns (value, state, scalars). Raises UserError if it breaks its contract."""
    name = f"the loss of phase {phase.name!r}"
    try:
        result = phase.loss(before, batch, key)
    except KeyError as error:
        missing = error.args[0] if error.args else None
        if not isinstance(missing, str) or missing in batch or missing in before.buffers or missing in before.params:
            raise
        hint = "; use data with classes" if missing == "label" else ""
        raise UserError(f"{name} needs {missing!r}, but the batch has only {', '.join(batch)}{hint}") from error
    try:
        value, (after, scalars) = result
    except (TypeError, ValueError):
        raise UserError(f"{name} must return (scalar, (state, scalars)), not {_describe(result)}") from None
    if not isinstance(after, TrainState) or not isinstance(scalars, Mapping):
        returned = f"(..., ({_describe(after)}, {_describe(scalars)}))"
        raise UserError(f"{name} must return (scalar, (state, scalars)), not {returned}")
    for what, x in {"value": value, **scalars}.items():
        if jnp.shape(x) != () or not jnp.issubdtype(jnp.result_type(x), jnp.floating):
            subject = name if what == "value" else f"the scalar {what!r} of {name}"
            raise UserError(f"{subject} must be a floating-point scalar, not {_describe(x)}; take its mean")
    _check_state(name, before, after)
    return value, after, scalars


def _check_state(name: str, before: TrainState, after: TrainState) -> None:
    """Raises UserError if a loss changed parameters, or the names, shapes or dtypes of buffers."""
    for network, params in before.params.items():
        if after.params.get(network) is not params:
            raise UserError(
                f"{name} returned other parameters of {network!r}; only an optimizer changes them"
            )
    if undeclared := sorted(after.buffers.keys() - before.buffers.keys()):
        raise UserError(f"{name} adds the buffer {undeclared[0]!r}; declare its initial value in Game.buffers")
    for buffer, old in before.buffers.items():
        new = after.buffers.get(buffer)
        if new is not old and _structure(new) != _structure(old):
            raise UserError(
                f"{name} changes the structure of buffer {buffer!r}: {_describe(new)}, before {_describe(old)}"
            )


def _structure(tree: Any) -> Any:
    return jax.tree.structure(tree), [(jnp.shape(x), jnp.result_type(x)) for x in jax.tree.leaves(tree)]


def _describe(x: Any) -> str:
    """Returns the type, shapes and dtypes of a value in a few words."""
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return f"{x.dtype}{list(x.shape)}"
    if isinstance(x, tuple | list):
        return f"({', '.join(map(_describe, x))})"
    if isinstance(x, Mapping):
        return f"{{{', '.join(f'{k}: {_describe(v)}' for k, v in x.items())}}}"
    return type(x).__name__
