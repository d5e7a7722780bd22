"""The compiled training loop: many steps in one program, including batches, noise, due phases and logged scalars."""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxgan.core import axis
from jaxgan.core.game import Batch, Game, Phase, TrainState, init_state
from jaxgan.core.update import finish_step, make_update, run_phase
from jaxgan.cpu.threefry import unrolled_key
from jaxgan.data.sources import Source
from jaxgan.data.streams import WindowData
from jaxgan.errors import UserError
from jaxgan.training.accumulator import ScalarAccumulator
from jaxgan.training.experiment import Config, Experiment


class LoopState(NamedTuple):
    """The carry of the loop."""

    state: TrainState
    accumulator: ScalarAccumulator


class LoopInputs(NamedTuple):
    """The inputs of the loop that do not change."""

    data: WindowData
    key: Array  # the run's
    num_steps: Array | int  # int32 []


# Which inputs are split over the devices.
SHARDED_INPUTS = LoopInputs(data=WindowData(replicated=False, sharded=True), key=False, num_steps=False)
StepFn = Callable[[LoopState, LoopInputs], LoopState]


class StepPart(NamedTuple):
    """A part of a step that is compiled alone: some phases, and whether it ends the step."""

    phases: tuple[Phase, ...]
    finishes: bool

    @property
    def name(self) -> str:
        """Its phases in words, such as `phase d`, or `end of step`."""
        names = ", ".join(phase.name for phase in self.phases)
        return f"phase{'s' if len(self.phases) > 1 else ''} {names}" if names else "end of step"


class TrainLoop(NamedTuple):
    """The pure functions that start and train a game.

    A step is either part of `run_steps`, or a sequence of `part` functions, of which each is a program of its own.

    Attributes:
        init: run key -> TrainState at step 0.
        run_steps: Runs `num_steps` steps.
        step_parts: due phases -> the parts of a step at which these phases are due, in order.
        part: one of these parts -> the function that runs it.
        scalar_names: shapes of a window's data -> names of all scalars that may be logged. Raises UserError if a step
            cannot be traced with these settings.
    """

    init: Callable[[Array], TrainState]
    run_steps: StepFn
    step_parts: Callable[[tuple[Phase, ...]], tuple["StepPart", ...]]
    part: Callable[["StepPart"], StepFn]
    scalar_names: Callable[[WindowData], tuple[str, ...]]


def make_train_loop(game: Game, source: Source, batch_size: int) -> TrainLoop:
    """Returns the loop that trains `game` on batches of `batch_size` examples, over all devices, from `source`.

    The number of steps is an input and not part of the program. One compiled program serves every length, and a step
    computes the same whether a run was interrupted or not.
    """
    update = make_update(game)
    due_sets = distinct_due_sets(game)
    # XLA fuses the unrolled rounds into each kernel that reads a draw. That pays for small networks. Programs with
    # convolutions would take twice as long to compile.
    is_convolutional = any(network.convolutional for network in game.networks)
    prepare_key = (lambda key: key) if is_convolutional else unrolled_key

    def draw(state: TrainState, inputs: LoopInputs) -> tuple[Batch, Array]:
        """Returns the examples of the state's step, and the run's key for noise."""
        _, data_key, noise_key = split_run_key(prepare_key(inputs.key))
        return draw_batches(source, game.num_batches, inputs.data, data_key, state.step, batch_size), noise_key

    def step(due: tuple[Phase, ...], carry: LoopState, inputs: LoopInputs) -> LoopState:
        state, accumulator = carry
        batch, noise_key = draw(state, inputs)
        after, scalars = update(due, state, batch, noise_key)
        return LoopState(after, accumulator.update(state.step, scalars))

    @jax.jit  # Traced once for shapes, values and names.
    def init(key: Array) -> TrainState:
        return init_state(game, split_run_key(key)[0])

    def run_steps(carry: LoopState, inputs: LoopInputs) -> LoopState:
        branches = [functools.partial(step, due, inputs=inputs) for due in due_sets]
        body = lambda _, carry: lax.switch(_due_index(game, due_sets, carry.state.step), branches, carry)
        return lax.fori_loop(0, inputs.num_steps, body, carry)

    def step_parts(due: tuple[Phase, ...]) -> tuple[StepPart, ...]:
        # Simultaneous losses need the parameters from before the step. One program costs less to call than several.
        if game.simultaneous or len(due_sets) == 1:
            return (StepPart(due, finishes=True),)
        return (*(StepPart((phase,), finishes=False) for phase in due), StepPart((), finishes=True))

    def part(step_part: StepPart) -> StepFn:
        if step_part.phases and step_part.finishes:
            return functools.partial(step, step_part.phases)

        def run_part(carry: LoopState, inputs: LoopInputs) -> LoopState:
            state, accumulator = carry
            if step_part.finishes:
                return LoopState(finish_step(game, state), accumulator)
            batch, noise_key = draw(state, inputs)
            (phase,) = step_part.phases
            state, scalars = run_phase(game, phase, state, state, batch, noise_key)
            return LoopState(state, accumulator.update(state.step, scalars))

        return run_part

    def scalar_names(data: WindowData) -> tuple[str, ...]:
        def scalars(data: WindowData, key: Array):
            state = init(key)
            batch = draw_batches(source, game.num_batches, data, key, state.step, batch_size)
            return update(game.phases, state, batch, key)[1]

        try:
            return tuple(jax.eval_shape(scalars, data, jax.random.key(0)))
        except (ArithmeticError, ValueError) as error:
            raise UserError(f"a step cannot be computed with these settings: {error}") from error

    return TrainLoop(init, run_steps, step_parts, part, scalar_names)


def draw_batches(source: Source, count: int, data: WindowData, key: Array, step: Array, batch_size: int) -> Batch:
    """Returns this device's examples of a step: its shards of `count` batches of the source, one after the other.

    Step s takes the source's batches count * s, count * s + 1, ... The positions "index" count on from one to the next.
    """
    index = axis.global_indices(batch_size)
    batches = [dict(source.batch(data, key, count * step + n, index)) for n in range(count)]
    if count == 1:
        return batches[0]
    batches = [batch | {"index": n * batch_size + index} for n, batch in enumerate(batches)]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *batches)


def vmap_seeds(loop: TrainLoop) -> TrainLoop:
    """Returns the loop for K seeds at once: run keys [K], and a leading axis K on everything but the shared step.

    The step keeps no such axis, so that the choice of due phases stays a branch. Batched, it would run every branch.
    """
    state = TrainState(step=None, params=0, buffers=0, opt_state=0, ema=0)
    axes = LoopState(state, 0), LoopInputs(data=None, key=0, num_steps=None)
    vmap = lambda step: jax.vmap(step, axes, axes[0])
    part = lambda step_part: vmap(loop.part(step_part))
    return TrainLoop(jax.vmap(loop.init, 0, state), vmap(loop.run_steps), loop.step_parts, part, loop.scalar_names)


def build_loop(experiment: Experiment, config: Config) -> TrainLoop:
    """Returns the loop of an experiment, for as many seeds as its config has."""
    loop = make_train_loop(experiment.game, experiment.source, config.batch_size)
    return vmap_seeds(loop) if config.seeds > 1 else loop


def run_key(config: Config) -> Array:
    """Returns the key of a run: [], or [K] for K seeds."""
    if config.seeds == 1:
        return jax.random.key(config.seed)
    return jax.vmap(jax.random.key)(config.seed + jnp.arange(config.seeds))


def data_key(config: Config) -> Array:
    """Returns the part of the run key that determines the batches: [], or [K] for K seeds."""
    key = run_key(config)
    return split_run_key(key)[1] if config.seeds == 1 else jax.vmap(split_run_key)(key)[:, 1]


def split_run_key(key: Array) -> Array:
    """Returns three keys [3] from a run key: for initialisation, data and noise."""
    return jax.random.split(key, 3)


def abstract_state(loop: TrainLoop, config: Config, sharding: Any) -> TrainState:
    """Returns the shapes and dtypes of the state, with `sharding`, as the target of restoring a checkpoint."""
    shapes = jax.eval_shape(loop.init, jax.eval_shape(lambda: run_key(config)))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), shapes)


def distinct_due_sets(game: Game) -> list[tuple[Phase, ...]]:
    """Returns the distinct sets of phases that are due together at some step. Each is one branch of the program.

    Steps are counted by inclusion and exclusion and not enumerated, because periods may be long.
    """
    edges = sorted({0, Phase.stop} | {edge for phase in game.phases for edge in (phase.start, phase.stop)})
    due_sets = {}
    for begin, end in itertools.pairwise(edges):  # Between two edges the same phases are active.
        active = [phase for phase in game.phases if phase.start <= begin < phase.stop]
        lazy = [phase for phase in active if phase.every > 1]
        for choice in itertools.product((True, False), repeat=len(lazy)):
            due, others = (tuple(itertools.compress(lazy, map(wanted.__eq__, choice))) for wanted in (True, False))
            steps = functools.reduce(_steps_with, due, range(begin, end))
            if _count_steps_without(steps, others):
                due_sets[tuple(phase for phase in active if phase not in others)] = None
    return list(due_sets)


def _steps_with(steps: range, phase: Phase) -> range:
    """Returns those of the steps at which a phase is due, by the Chinese remainder theorem."""
    divisor = math.gcd(steps.step, phase.every)
    distance, remainder = divmod(phase.start - steps.start, divisor)
    if remainder:
        return range(0)
    modulus = phase.every // divisor
    skipped = distance * pow(steps.step // divisor, -1, modulus) % modulus
    return steps[skipped::modulus]


def _count_steps_without(steps: range, phases: tuple[Phase, ...]) -> int:
    """Returns at how many of the steps none of the phases is due, by inclusion and exclusion."""
    if not phases or not steps:
        return len(steps)
    first, *rest = phases
    return _count_steps_without(steps, rest) - _count_steps_without(_steps_with(steps, first), rest)


def _due_index(game: Game, due_sets: list[tuple[Phase, ...]], step: Array) -> Array:
    """Returns the index in `due_sets` of the phases due at `step`."""
    is_due = jnp.stack([phase.is_due(step) for phase in game.phases])
    table = jnp.array([[phase in due for phase in game.phases] for due in due_sets])
    return jnp.argmax((table == is_due[None]).all(1))
