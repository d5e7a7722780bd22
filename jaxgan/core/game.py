"""The description of a GAN as data: networks, players that train them, and phases that say who trains when.

Conventions: images are float32 [B, H, W, C] in [-1, 1]; points are float32 [B, 2]; labels are int32 [B]; logits are
float32 [B]; latents z are float32 [B, Z]; PRNG keys are typed (`jax.random.key`). A batch is a dict: "real" holds the
examples, "label" their labels if there are any, and "index" int32 [B] their positions in the whole batch.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxgan.core import prng

Params = chex.ArrayTree
Buffers = chex.ArrayTree
Batch = Mapping[str, Array]
Scalars = Mapping[str, Array]


class Averages(NamedTuple):
    """Moving averages of one network: of its parameters, and of its buffers such as batch statistics."""

    params: Params
    buffers: Buffers


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Everything that training changes, and everything that a checkpoint stores.

    Attributes:
        step: int32 [], the number of steps taken.
        params: Parameters by network name.
        buffers: Non-differentiable state by name: each network's (batch statistics, spectral vectors) and each of
            `Game.buffers` (an image pool, a moving anchor).
        opt_state: Optimizer state by player name.
        ema: Moving averages by network name.
    """

    step: Array
    params: dict[str, Params]
    buffers: dict[str, Buffers]
    opt_state: dict[str, optax.OptState]
    ema: dict[str, Averages]

    def with_params(self, **params: Params) -> "TrainState":
        """Returns the state with the parameters of the given networks replaced."""
        return dataclasses.replace(self, params={**self.params, **params})

    def with_buffers(self, **buffers: Buffers) -> "TrainState":
        """Returns the state with the given buffers replaced."""
        return dataclasses.replace(self, buffers={**self.buffers, **buffers})

    def with_ema(self) -> "TrainState":
        """Returns the state with averaged parameters and buffers in place of the current ones, for sampling."""
        averaged = self.with_params(**{name: average.params for name, average in self.ema.items()})
        return averaged.with_buffers(**{name: average.buffers for name, average in self.ema.items()})


# (state, batch, key) -> (scalar to minimise, (state with updated buffers, scalars to log)). With several devices the
# batch is the shard of one of them, and the mean over the whole batch is `axis.batch_mean`.
Loss = Callable[[TrainState, Batch, Array], tuple[Array, tuple[TrainState, Scalars]]]
# (state, batch, key) -> (state with updated buffers, scalars to log)
BufferUpdate = Callable[[TrainState, Batch, Array], tuple[TrainState, Scalars]]


class ExtraInput(NamedTuple):
    """A network input beyond the first: its shape, and how it is taken from a batch and a key for noise."""

    spec: jax.ShapeDtypeStruct
    take: Callable[[Batch, Array], Array]


def input_spec(*shape: int, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    """Returns the shape of a network input for one example, with a leading batch axis of 1."""
    return jax.ShapeDtypeStruct((1, *shape), dtype)


# The class labels of the batch, int32 [B].
LABEL = ExtraInput(input_spec(dtype=jnp.int32), lambda batch, key: batch["label"])
# One PRNG key per example, for noise inside the network such as dropout.
NOISE_KEY = ExtraInput(
    input_spec(dtype=jax.eval_shape(jax.random.key, 0).dtype),
    lambda batch, key: prng.example_keys(key, batch["index"]),
)


@dataclasses.dataclass(frozen=True)
class Network:
    """A named flax module that is called as a pure function: `out, state = network(state, *inputs)`.

    Attributes:
        name: Its key in `TrainState.params` and `TrainState.buffers`.
        module: Its `__call__` takes the inputs and the keyword `train`.
        inputs: `input_spec` of the inputs that the caller supplies, usually one.
        extra_inputs: Further inputs that come from the batch, such as `LABEL` and `NOISE_KEY`.
        convolutional: Whether it contains convolutions. On the CPU such games run one step per dispatch, because
            XLA's CPU convolutions are several times slower inside a loop.
        dtype: Computation dtype such as bfloat16, if not that of the parameters. Outputs are always float32.
        pretrained: Returns the initial parameters as host arrays and remembers them. By default they are drawn.
    """

    name: str
    module: nn.Module
    inputs: tuple[jax.ShapeDtypeStruct, ...]
    extra_inputs: tuple[ExtraInput, ...] = ()
    convolutional: bool = False
    dtype: Any = None
    pretrained: Callable[[], Params] | None = None

    def init(self, key: Array) -> tuple[Params, Buffers]:
        """Returns initial parameters and the module's other collections."""
        variables = self.module.init(key, *self.zero_inputs(), train=False)
        params = variables.pop("params")
        if self.pretrained is not None:  # By a callback, so that shape inference does not load them.
            params = jax.pure_callback(self.pretrained, jax.eval_shape(lambda: params), vmap_method="broadcast_all")
        return params, variables

    def zero_inputs(self) -> tuple[Array, ...]:
        """Returns zero-filled inputs for one example, for shape inference."""
        return tuple(_zeros(spec) for spec in (*self.inputs, *(extra.spec for extra in self.extra_inputs)))

    def __call__(self, state: TrainState, *inputs: Array, train: bool = True, **options: Any) -> tuple[Any, TrainState]:
        """Returns the output, and the state with this network's buffers updated if `train`.

        `options` are further keyword arguments of the module, or `method`, the name of a method to call in place of
        `__call__`.
        """
        buffers = state.buffers[self.name]
        params = state.params[self.name]
        if self.dtype is not None:
            params, inputs = _cast_floating((params, inputs), self.dtype)
        apply = functools.partial(self.module.apply, {"params": params, **buffers}, *inputs, train=train, **options)
        out, changed = apply(mutable=list(buffers)) if train and buffers else (apply(), None)
        out = out if self.dtype is None else _cast_floating(out, jnp.float32)
        return out, state if changed is None else state.with_buffers(**{self.name: changed})

    def extra_args(self, batch: Batch, key: Array) -> tuple[Array, ...]:
        """Returns the values of `extra_inputs` for a batch; `key` is the source of noise."""
        return tuple(extra.take(batch, key) for extra in self.extra_inputs)

    def bind(self, state: TrainState, train: bool = True) -> Callable[..., Any]:
        """Returns the network as a function of its inputs alone. Updates of its buffers are discarded."""
        return lambda *inputs, **options: self(state, *inputs, train=train, **options)[0]


def _zeros(spec: jax.ShapeDtypeStruct) -> Array:
    if jnp.issubdtype(spec.dtype, jax.dtypes.prng_key):
        return jax.random.split(jax.random.key(0), spec.shape)
    return jnp.zeros(spec.shape, spec.dtype)


def _cast_floating(tree: Any, dtype: Any) -> Any:
    """Casts the floating-point leaves of a tree."""
    return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


@dataclasses.dataclass(frozen=True)
class Player:
    """The networks that are trained together, and their optimizer."""

    networks: tuple[str, ...]
    optimizer: optax.GradientTransformation

    def update(
        self, grads: Mapping[str, Params], opt_state: optax.OptState, params: Mapping[str, Params], state: TrainState
    ) -> tuple[dict[str, Params], optax.OptState]:
        """Returns the parameters after one update of the optimizer, and the optimizer's new state.

        Args:
            grads: Gradients by network name.
            opt_state: The optimizer's state.
            params: Parameters of the player's networks by name.
            state: Holds the buffers of these networks, which `optim.project` sees.
        """
        buffers = {name: state.buffers[name] for name in self.networks}
        optimizer = optax.with_extra_args_support(self.optimizer)
        with jax.numpy_dtype_promotion("standard"):  # optax raises decay rates to integer powers.
            updates, opt_state = optimizer.update(grads, opt_state, params, buffers=buffers)
        return optax.apply_updates(params, updates), opt_state


@dataclasses.dataclass(frozen=True)
class Phase:
    """One kind of update, at steps start, start + every, ... before stop.

    Attributes:
        name: Prefix of its scalars.
        player: Takes a gradient step on `loss`. With None the phase trains nothing and only updates buffers, such as an
            augmentation probability.
        loss: A `Loss`, or a `BufferUpdate` if there is no player.
        every: Steps between updates.
        start: The first step.
        stop: The step before which the phase ends.
        batches: Which of the step's batches it sees, one after the other: `(1,)` is a second batch, separate from
            another phase's `(0,)`, and `(0, 1)` a batch of twice the size.
    """

    name: str
    player: str | None
    loss: Loss | BufferUpdate
    every: int = 1
    start: int = 0
    stop: int = 2**31 - 1
    batches: tuple[int, ...] = (0,)

    def is_due(self, step: int | Array) -> bool | Array:
        """Returns whether the phase runs at this step."""
        return (self.start <= step) & (step < self.stop) & ((step - self.start) % self.every == 0)


@dataclasses.dataclass(frozen=True)
class Game:
    """A GAN without its data. The phases that are due at one step run in the order given.

    Attributes:
        networks: All networks. One that belongs to no player stays as it was initialised.
        players: Players by name.
        phases: The updates, in order.
        buffers: Initial values of the objective's own buffers, as host arrays.
        ema: decay(step) of the moving averages, by network name.
        simultaneous: Whether all phases of a step see the parameters from before that step.

    Raises ValueError for unknown, duplicate or clashing names, an `every` below 1, and phases without valid `batches`.
    """

    networks: tuple[Network, ...]
    players: Mapping[str, Player]
    phases: tuple[Phase, ...]
    buffers: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    ema: Mapping[str, Callable[[Array], Array]] = dataclasses.field(default_factory=dict)
    simultaneous: bool = False

    def __post_init__(self) -> None:
        networks = [network.name for network in self.networks]
        phases = [phase.name for phase in self.phases]
        trained = [name for player in self.players.values() for name in player.networks]
        _check_known("player's network", trained, networks)
        phase_players = [phase.player for phase in self.phases if phase.player is not None]
        _check_known("phase's player", phase_players, list(self.players))
        _check_known("averaged network", self.ema, networks)
        _check_unique("network", networks)
        if clashes := sorted(set(self.buffers) & set(networks)):
            raise ValueError(f"buffer {clashes[0]} has the name of a network; rename it")
        _check_unique("phase", phases)
        for phase in self.phases:
            if phase.every < 1:
                raise ValueError(f"phase {phase.name}: every is {phase.every}; it must be at least 1")
            if not phase.batches or min(phase.batches) < 0:
                raise ValueError(f"phase {phase.name}: batches are {phase.batches}; name at least one of 0, 1, ...")

    @property
    def num_batches(self) -> int:
        """How many batches a step draws."""
        return 1 + max(n for phase in self.phases for n in phase.batches)

    def batches_of(self, phase: Phase, batch: Batch) -> Batch:
        """Returns the part of a step's examples that a phase sees.

        Args:
            phase: One of the game's phases.
            batch: The examples of the step: `num_batches` batches, one after the other.
        """
        if self.num_batches == 1:
            return batch
        split = lambda x: jnp.split(x, self.num_batches)
        return jax.tree.map(lambda x: jnp.concatenate([split(x)[n] for n in phase.batches]), dict(batch))

    def due_phases(self, step: int) -> tuple[Phase, ...]:
        """Returns the phases that run at this step."""
        return tuple(phase for phase in self.phases if phase.is_due(step))


def _check_known(what: str, names: Any, known: list[str]) -> None:
    if unknown := sorted(set(names) - set(known)):
        raise ValueError(f"unknown {what} {', '.join(unknown)}; the game has {', '.join(known)}")


def _check_unique(what: str, names: list[str]) -> None:
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"duplicate {what}: {', '.join(duplicates)}")


def load_pretrained(game: Game) -> None:
    """Calls `Network.pretrained` of all networks that have it.

    To be called before `init_state` is compiled: it may run JAX, which the callback in the compiled program must not.
    """
    for network in game.networks:
        if network.pretrained is not None:
            network.pretrained()


def init_state(game: Game, key: Array) -> TrainState:
    """Returns the state at step 0."""
    keys = jax.random.split(key, len(game.networks))
    variables = {network.name: network.init(k) for network, k in zip(game.networks, keys, strict=True)}
    params = {name: p for name, (p, _) in variables.items()}
    buffers = {name: b for name, (_, b) in variables.items()} | jax.tree.map(jnp.asarray, dict(game.buffers))
    ema = {name: Averages(params[name], buffers[name]) for name in game.ema}
    return TrainState(jnp.int32(0), params, buffers, init_optimizers(game, params), ema)


def init_optimizers(game: Game, params: Mapping[str, Params]) -> dict[str, optax.OptState]:
    """Returns the initial optimizer state of each player, for parameters by network name."""
    return {
        name: player.optimizer.init({n: params[n] for n in player.networks}) for name, player in game.players.items()
    }
