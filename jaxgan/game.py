"""A game is data: networks, players who own them, and phases in which a player takes one step.

Conventions, said once: images are float32 [B, H, W, C] in [-1, 1], points float32 [B, 2]; labels int32 [B]; logits
float32 [B]; latents z float32 [B, Z]; keys are typed. A batch is a dict with the examples under "real", their labels,
where there are any, under "label", and under "index" the position of each in the whole batch, int32 [B].
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxgan import latents

Params = Any
Buffers = Any
Batch = Mapping[str, Array]
Metrics = Mapping[str, Array]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that training changes, and all that a checkpoint holds."""

    step: Array  # int32 []
    params: dict[str, Params]  # by network
    buffers: dict[str, Buffers]  # by network, and the objective's own: what changes but is not differentiated
    opt: dict[str, optax.OptState]  # by player
    ema: dict[str, Params]  # by network

    def using(self, **params: Params) -> "TrainState":
        """The state with other parameters for the networks named."""
        return dataclasses.replace(self, params={**self.params, **params})

    def holding(self, **buffers: Buffers) -> "TrainState":
        """The state with other contents in the buffers named."""
        return dataclasses.replace(self, buffers={**self.buffers, **buffers})

    def averaged(self) -> "TrainState":
        """The state with the moving averages in place of the parameters, for sampling and evaluation."""
        return self.using(**self.ema)


# A loss returns the scalar that is minimised, the state with whatever buffers it changed, and metrics (scalars).
Loss = Callable[[TrainState, Batch, Array], tuple[Array, tuple[TrainState, Metrics]]]


@dataclasses.dataclass(frozen=True)
class Network:
    """A named module, called as a pure function: `out, state = network(state, *inputs)`."""

    name: str
    module: nn.Module  # its __call__ takes the inputs and `train`
    inputs: tuple[jax.ShapeDtypeStruct, ...]  # one example's, with a leading axis of 1
    dtype: Any = None  # in which it computes, if not in that of its parameters, such as bfloat16; outputs are float32

    def init(self, key: Array) -> tuple[Params, Buffers]:
        """Parameters, and the module's other collections."""
        variables = self.module.init(key, *self.zeros(), train=False)
        return variables.pop("params"), variables

    def zeros(self) -> tuple[Array, ...]:
        """Inputs of no meaning."""
        keyed = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        blank = lambda x: jax.random.split(jax.random.key(0), x.shape) if keyed(x) else jnp.zeros(x.shape, x.dtype)
        return tuple(blank(x) for x in self.inputs)

    def __call__(self, state: TrainState, *inputs: Array, train: bool = True) -> tuple[Any, TrainState]:
        """Output, and the state with this network's buffers updated if it trains and has any."""
        buffers = state.buffers[self.name]
        params = state.params[self.name]
        if self.dtype is not None:
            params, inputs = _cast((params, inputs), self.dtype)
        apply = functools.partial(self.module.apply, {"params": params, **buffers}, *inputs, train=train)
        out, changed = apply(mutable=list(buffers)) if train and buffers else (apply(), None)
        out = out if self.dtype is None else _cast(out, jnp.float32)
        return out, state if changed is None else state.holding(**{self.name: changed})

    def beside(self, batch: Batch, key: Array) -> tuple[Array, ...]:
        """What goes with a first input, as `inputs` declares it: labels of the batch where int32, keys for noise."""
        take = lambda x: batch["label"] if x.dtype == jnp.int32 else latents.each(key, batch["index"])
        return tuple(take(x) for x in self.inputs[1:])

    def bind(self, state: TrainState, train: bool = True) -> Callable[..., Any]:
        """The network as a function of its inputs alone; what it would do to its buffers is dropped."""
        return lambda *inputs: self(state, *inputs, train=train)[0]


def _cast(tree: Any, dtype: Any) -> Any:
    """The tree with its floating leaves of that type."""
    return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


@dataclasses.dataclass(frozen=True)
class Player:
    """Who learns: the networks whose parameters this player moves, and how."""

    networks: tuple[str, ...]
    optimizer: optax.GradientTransformation


@dataclasses.dataclass(frozen=True)
class Phase:
    """One kind of move: `player` descends `loss` at the steps start, start + every, ... before stop."""

    name: str
    player: str
    loss: Loss
    every: int = 1
    start: int = 0
    stop: int = 2**31 - 1

    def due(self, step: int | Array) -> bool | Array:
        """Whether the phase is played at this step."""
        return (self.start <= step) & (step < self.stop) & ((step - self.start) % self.every == 0)


@dataclasses.dataclass(frozen=True)
class Game:
    """All there is to know about a GAN but its data. Phases due at one step are played in the order given."""

    networks: tuple[Network, ...]
    players: Mapping[str, Player]
    phases: tuple[Phase, ...]
    buffers: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # initial contents, host arrays
    ema: Mapping[str, Callable[[Array], Array]] = dataclasses.field(default_factory=dict)  # network: decay(step)
    simultaneous: bool = False  # all phases of a step see the parameters from before it

    def __post_init__(self) -> None:
        """Refuse a game whose names do not meet."""
        names = [n.name for n in self.networks]
        phases = [p.name for p in self.phases]
        for what, found, known in (
            ("player's network", [n for player in self.players.values() for n in player.networks], names),
            ("phase's player", [p.player for p in self.phases], self.players),
            ("averaged network", self.ema, names),
        ):
            if unknown := sorted(set(found) - set(known)):
                raise ValueError(f"unknown {what} {', '.join(unknown)}; the game has {', '.join(known)}")
        for what, found in (("network", names), ("phase", phases)):
            if twice := sorted({n for n in found if found.count(n) > 1}):
                raise ValueError(f"two of one {what}: {', '.join(twice)}")
        if late := [p.name for p in self.phases if p.every < 1]:
            raise ValueError(f"phase {late[0]}: every must be at least 1")

    def due(self, step: int) -> tuple[Phase, ...]:
        """The phases played at this step."""
        return tuple(p for p in self.phases if p.due(step))


def spec(*shape: int, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    """The shape of one example, as `Network.inputs` wants it: with a leading axis of 1."""
    return jax.ShapeDtypeStruct((1, *shape), dtype)


LABEL = spec(dtype=jnp.int32)  # the class of an example
KEY = spec(dtype=jax.eval_shape(jax.random.key, 0).dtype)  # a key for the noise inside a network


def init(game: Game, key: Array) -> TrainState:
    """The state at step 0."""
    keys = jax.random.split(key, len(game.networks))
    made = {n.name: n.init(k) for n, k in zip(game.networks, keys, strict=True)}
    params = {n: p for n, (p, _) in made.items()}
    buffers = {n: b for n, (_, b) in made.items()} | jax.tree.map(jnp.asarray, dict(game.buffers))
    opt = {name: p.optimizer.init({n: params[n] for n in p.networks}) for name, p in game.players.items()}
    return TrainState(jnp.int32(0), params, buffers, opt, {n: params[n] for n in game.ema})
