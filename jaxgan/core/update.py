"""One training step of any game."""

import contextlib
import dataclasses
import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxgan.core import axis, prng
from jaxgan.core.game import Averages, Batch, Buffers, Game, Params, Phase, Scalars, TrainState
from jaxgan.errors import UserError

Update = Callable[[tuple[Phase, ...], TrainState, Batch, Array], tuple[TrainState, Scalars]]


def make_update(game: Game) -> Update:
    """Returns the pure function `update(phases, state, batch, key) -> (state, scalars)`, one step of the game.

    It runs the given phases in order with `run_phase`, then `finish_step`. In a simultaneous game the losses of all
    phases see the parameters from before the step. Scalars are named `phase/name`.
    """

    def update(phases: tuple[Phase, ...], state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Scalars]:
        params_before, scalars = state.params, {}
        for phase in phases:
            loss_state = state.with_params(**params_before) if game.simultaneous else state
            state, phase_scalars = run_phase(game, phase, state, loss_state, batch, key)
            scalars |= phase_scalars
        return finish_step(game, state), scalars

    return update


def run_phase(
    game: Game, phase: Phase, state: TrainState, loss_state: TrainState, batch: Batch, key: Array
) -> tuple[TrainState, Scalars]:
    """Runs one phase: differentiates its loss in its player's parameters alone and applies the player's optimizer.

    A phase without a player only updates buffers. Gradients, scalars and changed buffers are averaged over the devices.
    What the loss returns is checked when it is traced.

    Args:
        game: The game.
        phase: One of its phases.
        state: The state to update.
        loss_state: The state at which the loss is evaluated, usually `state`.
        batch: The examples of the step, or this device's shard of them: `Game.num_batches` batches, one after the
            other.
        key: The same at every step. The randomness of a phase depends on it, on the step, and on the index of the phase
            in the game, so it does not depend on which other phases are due.

    Returns:
        The state, and scalars named `phase/name`, for a phase with a player also `phase/loss`.

    Raises UserError, with the name of the phase, if the loss does not take `(state, batch, key)`, does not return
    `(scalar, (state, scalars))`, changes anything but the values of buffers, or asks for something that does not exist.
    Other errors of the loss pass through with a note that names the phase.
    """
    batch = game.batches_of(phase, batch)
    phase_key = prng.materialise(jax.random.fold_in(jax.random.fold_in(key, state.step), game.phases.index(phase)))
    if phase.player is None:
        after, scalars = _checked_update(phase, loss_state, batch, phase_key)
        changed, scalars = axis.pmean((_changed_buffers(loss_state, after), scalars))
        return state.with_buffers(**changed), {f"{phase.name}/{name}": value for name, value in scalars.items()}
    player = game.players[phase.player]

    def loss(trainable: dict[str, Params]):
        before = loss_state.with_params(**trainable)
        value, after, scalars = _checked_loss(phase, before, batch, phase_key)
        return value, (_changed_buffers(loss_state, after), {"loss": value} | scalars)

    grad = jax.grad(loss, has_aux=True)
    grads, (changed, scalars) = axis.pmean(grad({name: loss_state.params[name] for name in player.networks}))
    state = state.with_buffers(**changed)
    params = {name: state.params[name] for name in player.networks}
    params, opt_state = player.update(grads, state.opt_state[phase.player], params, state)
    state = dataclasses.replace(state.with_params(**params), opt_state={**state.opt_state, phase.player: opt_state})
    return state, {f"{phase.name}/{name}": value for name, value in scalars.items()}


def finish_step(game: Game, state: TrainState) -> TrainState:
    """Returns the state after a step: the moving averages follow the parameters, and the step is counted."""
    ema = {}
    for name, decay in game.ema.items():
        current = Averages(state.params[name], state.buffers[name])
        ema[name] = optax.incremental_update(current, state.ema[name], 1.0 - decay(state.step))
    return dataclasses.replace(state, step=state.step + 1, ema=ema)


def _changed_buffers(before: TrainState, after: TrainState) -> dict[str, Buffers]:
    return {name: buffer for name, buffer in after.buffers.items() if buffer is not before.buffers[name]}


def _checked_loss(phase: Phase, before: TrainState, batch: Batch, key: Array) -> tuple[Array, TrainState, Scalars]:
    """Evaluates a phase's loss and returns (value, state, scalars). Raises UserError if it breaks its contract."""
    name = f"the loss of phase {phase.name!r}"
    result = _call_strictly(name, phase.loss, before, batch, key)
    try:
        value, (after, scalars) = result
    except (TypeError, ValueError):
        raise UserError(f"{name} must return (scalar, (state, scalars)), not {_describe(result)}") from None
    if not isinstance(after, TrainState) or not isinstance(scalars, Mapping):
        returned = f"(..., ({_describe(after)}, {_describe(scalars)}))"
        raise UserError(f"{name} must return (scalar, (state, scalars)), not {returned}")
    if "loss" in scalars:
        raise UserError(f"a scalar of {name} is named 'loss', which is the name of its value; rename the scalar")
    _check_state(name, before, after)
    return _checked_scalar(name, value), after, _checked_scalars(name, scalars)


def _checked_update(phase: Phase, before: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Scalars]:
    """Evaluates a phase without a player and returns (state, scalars). Raises UserError if it breaks its contract."""
    name = f"the update of phase {phase.name!r}"
    result = _call_strictly(name, phase.loss, before, batch, key)
    is_pair = isinstance(result, tuple) and len(result) == 2
    if not (is_pair and isinstance(result[0], TrainState) and isinstance(result[1], Mapping)):
        raise UserError(f"{name} has no player, so it must return (state, scalars), not {_describe(result)}")
    after, scalars = result
    _check_state(name, before, after)
    return after, _checked_scalars(name, scalars)


def _call_strictly(name: str, f: Callable[..., Any], state: TrainState, batch: Batch, key: Array) -> Any:
    """Calls a loss without implicit promotion of dtypes or ranks. Explains the errors of that, and missing names."""
    try:
        inspect.signature(f).bind(state, batch, key)
    except TypeError:
        raise UserError(f"{name} must take (state, batch, key), but it takes {inspect.signature(f)}") from None
    try:
        with strict_promotion(name):
            return f(state, batch, key)
    except UserError:
        raise
    except KeyError as error:
        missing = error.args[0] if error.args else None
        if not isinstance(missing, str) or missing in batch or missing in state.buffers or missing in state.params:
            error.add_note(f"in {name}")
            raise
        buffers = sorted(state.buffers.keys() - state.params.keys())
        known = f"the batch has {', '.join(batch)}, the game has the networks {', '.join(state.params)}"
        known += f" and the buffers {', '.join(buffers)}" if buffers else ""
        hint = "; use data with classes" if missing == "label" else ""
        raise UserError(f"{name} asks for {missing!r} at {_location(error)}; {known}{hint}") from error
    except Exception as error:
        error.add_note(f"in {name}")
        raise


@contextlib.contextmanager
def strict_promotion(name: str) -> Iterator[None]:
    """Within the context, mixed dtypes and ranks are a UserError that says where `name` mixes them."""
    try:
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            yield
    except ValueError as error:
        if "promotion" not in str(error):
            raise
        problem = str(error).split(". ")[0].splitlines()[0]
        raise UserError(f"{name} mixes dtypes or ranks at {_location(error)}: {problem}") from error


def _location(error: BaseException) -> str:
    """Returns FILE:LINE of the innermost frame of an error that is not in an installed library."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename and frame.filename != __file__]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else "an unknown line"


def _checked_scalar(name: str, x: Any) -> Array:
    """Returns a scalar as an array. Raises UserError if it is something else, or not of a floating-point dtype."""
    if isinstance(x, float):
        return jnp.asarray(x, jnp.result_type(float))
    if not hasattr(x, "dtype") or x.shape != () or not jnp.issubdtype(x.dtype, jnp.floating):
        hint = "; take its mean" if getattr(x, "shape", ()) else "; use jnp.float32(...)"
        raise UserError(f"{name} must be a floating-point scalar, not {_describe(x)}{hint}")
    return jnp.asarray(x)


def _checked_scalars(name: str, scalars: Scalars) -> dict[str, Array]:
    return {key: _checked_scalar(f"the scalar {key!r} of {name}", x) for key, x in scalars.items()}


def _check_state(name: str, before: TrainState, after: TrainState) -> None:
    """Raises UserError if a loss changed anything but buffers, or the names, shapes or dtypes of those."""
    for field in ("step", "opt_state", "ema"):
        if getattr(after, field) is not getattr(before, field):
            raise UserError(f"{name} returned another state.{field}; a loss changes only state.buffers")
    for network, params in before.params.items():
        if after.params.get(network) is not params:
            raise UserError(f"{name} returned other parameters of {network!r}; only an optimizer changes them")
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
