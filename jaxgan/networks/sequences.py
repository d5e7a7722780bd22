"""Language models by one step at a time, what is done with their steps, and a classifier of sequences.

A model is a function `step(h, c, token) -> (h, c, logits)`: `network.bind(state)` of a `Network` over an `LstmStep`.
Sampling, likelihoods and roll-outs scan over it. They begin from `start`, the step's first inputs. Tokens are
int32 [B], or float32 [B, V] with a distribution over the vocabulary.
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
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


def sample(step: Step, start: Start, uniforms: Array) -> Array:
    """Returns sequences int32 [B, T] that the model draws, as the numbers `uniforms` [B, T] in [0, 1) decide."""

    def advance(carry: Start, u: Array) -> tuple[Start, Array]:
        h, c, logits = step(*carry)
        token = draw(logits, u)
        return (h, c, token), token

    return lax.scan(advance, start, uniforms.T)[1].T


def roll_outs(step: Step, start: Start, tokens: Array, uniforms: Array) -> Array:
    """Returns int32 [B, T - 1, N, T]: N completions of the first 1, ..., T - 1 tokens of each sequence.

    A beginning of t tokens needs T - t draws. One of T - t tokens needs the t draws that are missing to T, so that one
    row of the computation makes both, one after the other.

    Args:
        step: The model.
        start: Its first inputs for B sequences.
        tokens: The sequences, int32 [B, T].
        uniforms: Numbers in [0, 1) that decide the draws, [B, T - 1, N, T]. Those of given tokens are not used.
    """
    b, _, n, length = uniforms.shape
    shorter = np.arange(1, length // 2 + 1)  # tokens given in the first part of each row; in the second `longer`
    longer = length - shorter

    def read(carry: Start, token: Array) -> tuple[Start, Start]:
        h, c, _ = step(*carry)
        return (h, c, token), (h, c, token)

    beginnings = lax.scan(read, start, tokens.T)[1]  # [T, B, ...], after 1, ..., T tokens

    def rows(x: Array) -> Array:
        """Returns x [P, B, ...] as [P B N, ...]."""
        return jnp.repeat(x.reshape(-1, *x.shape[2:]), n, axis=0)

    first, second = (jax.tree.map(lambda x, t=t: rows(x[t - 1]), beginnings) for t in (shorter, longer))
    parts = [[uniforms[:, t - 1, :, t:] for t in pair] for pair in zip(shorter, longer, strict=True)]
    u = jnp.stack([jnp.concatenate(pair, -1) for pair in parts]).reshape(-1, length)
    switch = jnp.repeat(jnp.asarray(longer), b * n)

    def advance(carry: Start, xs: tuple[Array, Array]) -> tuple[Start, Array]:
        s, u = xs
        select = lambda new, old: jnp.where((s == switch).reshape(-1, *[1] * (old.ndim - 1)), new, old)
        h, c, logits = step(*jax.tree.map(select, second, carry))
        token = draw(logits, u)
        return (h, c, token), token

    drawn = lax.scan(advance, first, (jnp.arange(length), u.T))[1]
    drawn = drawn.T.reshape(-1, b, n, length)
    completed = []
    for t in range(1, length):
        new = drawn[min(t, length - t) - 1]
        new = new[..., : length - t] if t <= length - t else new[..., t:]
        given = jnp.broadcast_to(tokens[:, None, :t], (b, n, t))
        completed.append(jnp.concatenate([given, new], -1))
    return jnp.stack(completed, 1)


def draw(logits: Array, uniforms: Array) -> Array:
    """Returns tokens int32 [B] from the distributions softmax(logits) [B, V], by inversion at `uniforms` [B].

    The sums over the vocabulary are products with triangular matrices, within blocks and then of blocks. On a CPU they
    take half the time of a cumulative sum.
    """
    vocabulary = logits.shape[-1]
    block = math.isqrt(vocabulary - 1) + 1
    blocks = -(-vocabulary // block)
    upper = lambda size, diagonal: jnp.triu(jnp.ones((size, size), logits.dtype), diagonal)
    p = jnp.pad(nn.softmax(logits), ((0, 0), (0, blocks * block - vocabulary))).reshape(-1, blocks, block)
    within = p @ upper(block, 0)
    before = within[..., -1] @ upper(blocks, 1)
    token = (within + before[..., None] <= uniforms[:, None, None]).sum((1, 2), dtype=jnp.int32)
    return jnp.minimum(token, vocabulary - 1)  # Rounding may leave the sum below 1.


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
