"""Terms of a two-player game: what a method adds to the losses, to the state and to the forward pass.

A method is a `Term`, and `games.two_player` takes any number of them. A term reads a `Pass`: the reals, the fakes and
the discriminator's outputs of one phase, and the networks as functions.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan.core import prng
from jaxgan.core.game import Batch, Network, Params, TrainState
from jaxgan.core.losses import AdversarialLoss
from jaxgan.core.penalties import Penalty


class Forward(NamedTuple):
    """The functions by which a two-player game runs its networks.

    Attributes:
        draw: (state, batch, key) -> z, the generator's input.
        generate: (state, z, batch, key) -> (fakes, state).
        real: (state, batch, key) -> what the discriminator is shown as real.
        discriminate: (state, x, batch, key) -> (outputs, state). Outputs are logits [B], or a dict with "logits".
    """

    draw: Callable[[TrainState, Batch, Array], Any]
    generate: Callable[[TrainState, Any, Batch, Array], tuple[Any, TrainState]]
    real: Callable[[TrainState, Batch, Array], Any]
    discriminate: Callable[[TrainState, Any, Batch, Array], tuple[Any, TrainState]]


def logits_of(outputs: Any) -> Array:
    """Returns the logits [B] among the outputs of a discriminator."""
    return outputs["logits"] if isinstance(outputs, Mapping) else outputs


@dataclasses.dataclass(frozen=True)
class Pass:
    """One pass of a batch through both networks, in a phase of either player.

    Attributes:
        state: Parameters, step and buffers.
        batch: The batch, with "label" if there are labels.
        key: A key for a term's own noise.
        z: The generator's input.
        real: What the discriminator is shown as real, [B, ...].
        fake: Examples [B, ...] generated from z.
        real_out: The discriminator's outputs for `real`.
        fake_out: Its outputs for `fake`.
        forward: The functions that made these.
        drawn: The generator's input before terms changed it.
        buffer: The term's own buffer.
    """

    state: TrainState
    batch: Batch
    key: Array
    z: Any
    real: Any
    fake: Any
    real_out: Any
    fake_out: Any
    forward: Forward
    drawn: Any = None
    buffer: Any = None

    @property
    def real_logits(self) -> Array:
        """Logits [B] of the reals."""
        return logits_of(self.real_out)

    @property
    def fake_logits(self) -> Array:
        """Logits [B] of the fakes."""
        return logits_of(self.fake_out)

    @property
    def label(self) -> Array:
        """Class labels int32 [B], of reals and fakes alike."""
        return self.batch["label"]

    def example_keys(self, n: int = 0) -> Array:
        """Returns example keys [B] for the n-th draw of a term."""
        return prng.fold_in(prng.example_keys(self.key, self.batch["index"]), n)

    def generate(self, z: Any) -> Any:
        """Returns the fakes generated from z. Updates of the generator's buffers are discarded."""
        return self.forward.generate(self.state, z, self.batch, self.key)[0]

    def discriminate(self, x: Any) -> Any:
        """Returns the discriminator's outputs for x. Updates of its buffers are discarded."""
        return self.forward.discriminate(self.state, x, self.batch, self.key)[0]

    def critic(self, x: Any) -> Array:
        """Returns the discriminator's logits [B] for x."""
        return logits_of(self.discriminate(x))


Objective = Callable[[Pass], Array]


@dataclasses.dataclass(frozen=True)
class Term:
    """What one method adds to a two-player game. Every part is optional.

    Attributes:
        name: Name of its scalar in the log, and of its buffer.
        d: A scalar that is added to the discriminator's loss, with its weight.
        g: A scalar that is added to the generator's loss, with its weight.
        buffer: Initial value of the buffer that it keeps, a pytree of arrays, or a function that returns it from zeros
            in the shape of each network's parameters. Scalars in a dict are logged.
        update: The buffer after a phase of the discriminator.
        forward: Changes how both players draw latents, generate examples and discriminate them.
    """

    name: str
    d: Objective | None = None
    g: Objective | None = None
    buffer: Any = None
    update: Callable[[Pass], Any] | None = None
    forward: Callable[[Forward], Forward] | None = None


def adversarial(loss: AdversarialLoss) -> Term:
    """Returns a loss on logits as a term."""
    return Term(
        "adversarial",
        d=lambda p: loss.d(p.real_logits, p.fake_logits),
        g=lambda p: loss.generator_loss(p.real_logits, p.fake_logits),
    )


def penalised(penalty: Penalty, weight: float, name: str = "penalty") -> Term:
    """Returns weight * penalty as a term of the discriminator's loss, so that several penalties can be added."""
    return Term(name, d=lambda p: weight * penalty(p.critic, p.real, p.fake, p.example_keys()))


def compose_forward(terms: tuple[Term, ...], forward: Forward) -> Forward:
    """Returns the forward functions changed by the terms in order; the last one is the outermost."""
    changes = (term.forward for term in terms if term.forward is not None)
    return functools.reduce(lambda forward, change: change(forward), changes, forward)


def initial_buffers(terms: tuple[Term, ...], networks: tuple[Network, ...]) -> dict[str, Any]:
    """Returns the terms' initial buffers for `Game.buffers`. Raises ValueError if two terms have the same name."""

    def zero_params() -> dict[str, Params]:
        shapes = {network.name: jax.eval_shape(network.init, jax.random.key(0))[0] for network in networks}
        return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)

    names = [term.name for term in terms]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two terms have the name {duplicates[0]!r}; give one another name")
    initial = lambda buffer: buffer(zero_params()) if callable(buffer) else buffer
    return {term.name: initial(term.buffer) for term in terms if term.buffer is not None}


def for_term(p: Pass, n: int, term: Term) -> Pass:
    """Returns the pass as the n-th term sees it: with its own key and buffer."""
    return dataclasses.replace(p, key=jax.random.fold_in(p.key, n), buffer=p.state.buffers.get(term.name))


def logged_scalars(name: str, buffer: Any) -> dict[str, Array]:
    """Returns the floating-point scalars of an updated buffer that is a dict, as `name_key`, for the log."""
    is_scalar = lambda x: isinstance(x, Array) and x.shape == () and jnp.issubdtype(x.dtype, jnp.floating)
    entries = buffer.items() if isinstance(buffer, Mapping) else ()
    return {f"{name}_{key}": x for key, x in entries if is_scalar(x)}
