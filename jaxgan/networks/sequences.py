"""Language models by one step at a time, what is done with their steps, and a classifier of sequences.

A model is a function `step(h, c, token) -> (h, c, logits)`: `network.bind(state)` of a `Network` over an `LstmStep`.
Sampling, likelihoods and roll-outs scan over it. They begin from `start`, the step's first inputs. Tokens are
int32 [B], or float32 [B, V] with a distribution over the vocabulary.
"""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax

from jaxgan.networks.layers import Conv, Initializer, dropout

Step = Callable[[Array, Array, Array], tuple[Array, Array, Array]]
Start = tuple[Array, Array, Array]  # h [B, H], c [B, H], token


class LstmStep(nn.Module):
    """Maps h [B, H], c [B, H] and the last token to h, c and the logits [B, V] of the next token."""

    vocabulary: int
    embedding: int = 32
    hidden: int = 32
    param_init: Initializer = nn.initializers.normal(0.1)  # of all parameters, as in SeqGAN's code

    @nn.compact
    def __call__(self, h: Array, c: Array, token: Array, train: bool = True) -> tuple[Array, Array, Array]:
        x = embed(self.param("embedding", self.param_init, (self.vocabulary, self.embedding)), token)
        dense = lambda size: nn.Dense(size, kernel_init=self.param_init, bias_init=self.param_init)
        i, f, o, g = jnp.split(dense(4 * self.hidden)(jnp.concatenate([x, h], -1)), 4, axis=-1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        h = nn.sigmoid(o) * jnp.tanh(c)
        return h, c, dense(self.vocabulary)(h)

    def start(self, batch_size: int) -> Start:
        """Returns the inputs before the first token: zeros, and a token without an embedding."""
        zeros = jnp.zeros((batch_size, self.hidden))
        return zeros, zeros, jnp.full(batch_size, self.vocabulary, jnp.int32)


class SequenceClassifier(nn.Module):
    """Maps tokens int32 [B, T], or distributions [B, T, V], to logits [B] (Kim 2014; Yu et al. 2017, section 3.3).

    Convolutions of several lengths, the largest value of each channel over time, and a highway layer. With PRNG keys,
    one for each example [B], dropout precedes the last layer.
    """

    vocabulary: int
    lengths: tuple[int, ...] = (1, 2, 3, 4, 5)  # sides of the kernels
    width: int = 32  # channels for each length
    embedding: int = 32
    keep_prob: float = 0.75  # probability that dropout keeps a feature

    @nn.compact
    def __call__(self, x: Array, keys: Array | None = None, train: bool = True) -> Array:
        x = embed(self.param("embedding", nn.initializers.normal(1.0), (self.vocabulary, self.embedding)), x)
        x = jnp.concatenate([nn.relu(Conv(self.width, (k,), padding="VALID")(x)).max(1) for k in self.lengths], -1)
        gate = nn.sigmoid(nn.Dense(x.shape[-1], bias_init=nn.initializers.constant(-2.0))(x))
        x = gate * nn.relu(nn.Dense(x.shape[-1])(x)) + (1.0 - gate) * x
        x = x if keys is None else dropout(x, keys, self.keep_prob)
        return nn.Dense(1, name="output")(x)[:, 0]


def embed(table: Array, x: Array) -> Array:
    """Returns rows of a table [V, E] for tokens int32 [...], zeros for the token V; or their means for x [..., V]."""
    if jnp.issubdtype(x.dtype, jnp.integer):
        return jnp.take(table, x, axis=0, mode="fill", fill_value=0)
    return x @ table


def complete(step: Step, start: Start, uniforms: Array, tokens: Array, lengths: Array) -> Array:
    """Returns tokens int32 [B, T]: the first `lengths` [B] are those given, and the model draws the others.

    Args:
        step: The model.
        start: Its first inputs.
        uniforms: Numbers in [0, 1) that decide the draws, [B, T].
        tokens: int32 [B, T].
        lengths: int32 [B], between 0 and T.
    """

    def advance(carry, xs):
        (h, c, last), (t, u, given) = carry, xs
        h, c, logits = step(h, c, last)
        token = jnp.where(t < lengths, given, draw(logits, u))
        return (h, c, token), token

    times = jnp.arange(tokens.shape[1])
    return lax.scan(advance, start, (times, uniforms.T, tokens.T))[1].T


def sample(step: Step, start: Start, uniforms: Array) -> Array:
    """Returns sequences int32 [B, T] that the model draws, as the numbers `uniforms` [B, T] in [0, 1) decide."""
    return complete(step, start, uniforms, jnp.zeros(uniforms.shape, jnp.int32), jnp.zeros(len(uniforms), jnp.int32))


def draw(logits: Array, uniforms: Array) -> Array:
    """Returns tokens int32 [B] from the distributions softmax(logits) [B, V], by inversion at `uniforms` [B]."""
    cumulative = jnp.cumsum(nn.softmax(logits), -1)
    token = (cumulative <= uniforms[:, None]).sum(-1, dtype=jnp.int32)
    return jnp.minimum(token, logits.shape[-1] - 1)  # Rounding may leave the sum below 1.


def log_likelihood(step: Step, start: Start, tokens: Array) -> Array:
    """Returns the log-probability in nats of each token of tokens int32 [B, T], given those before it: [B, T]."""

    def advance(carry, token):
        h, c, logits = step(*carry)
        return (h, c, token), jnp.take_along_axis(nn.log_softmax(logits), token[:, None], -1)[:, 0]

    return lax.scan(advance, start, tokens.T)[1].T


def gumbel_softmax(step: Step, start: Start, noise: Array, temperature: Array | float) -> Array:
    """Returns one-hot sequences [B, T, V] that the model draws, with the gradient of a softmax at a temperature.

    The value is exactly one-hot. The gradient is that of softmax((logits + noise) / temperature), the straight-through
    estimator of Jang et al. 2017, section 2.2.

    Args:
        step: The model.
        start: Its first inputs.
        noise: Draws of the standard Gumbel distribution, [B, T, V].
        temperature: Positive.
    """

    def advance(carry, noise):
        h, c, logits = step(*carry)
        soft = nn.softmax((logits + noise) / temperature)
        hard = nn.one_hot(soft.argmax(-1), soft.shape[-1], dtype=soft.dtype)
        token = lax.stop_gradient(hard - soft) + soft
        return (h, c, token), token

    h, c, token = start
    first = nn.one_hot(token, noise.shape[-1], dtype=noise.dtype)  # All zeros, for the token without an embedding.
    return lax.scan(advance, (h, c, first), noise.swapaxes(0, 1))[1].swapaxes(0, 1)
