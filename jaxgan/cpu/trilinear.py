"""The trilinear form <conv(x, kernel), g> and its partial maps, evaluated with `lax` or with matrix products.

The operands are x [B, H, W, I], kernel [h, w, I / groups, O] and g [B, H', W', O]. A function that evaluates a partial
map takes the form and the three operands, one of which is None, and returns the gradient of the form in that operand:
the convolution if g is None, its input gradient, which is also the transposed convolution, if x is None, and its kernel
gradient if kernel is None.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]

PATCH_BYTES = 4 * 2**20  # per chunk of the kernel gradient; more exceeds the cache, fewer make the products inefficient


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class TrilinearForm:
    """Shapes and settings of a convolution.

    Attributes:
        x_shape: Shape of the images x, [B, H, W, I].
        kernel_shape: Shape of the kernel, [h, w, I / groups, O], or [h, w, O, I] if `flipped`.
        strides: Strides in H and W.
        padding: Zeros (low, high) that are added to x in H and in W. Negative values crop.
        groups: Number of groups into which the channels are divided.
        flipped: Whether the kernel is that of a transposed convolution: flipped in h and w, with I and O swapped.
    """

    x_shape: tuple[int, ...]
    kernel_shape: tuple[int, ...]
    strides: Pair
    padding: Padding
    groups: int = 1
    flipped: bool = False

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of the convolution's output and of g, [B, H', W', O]."""
        axes = zip(self.x_shape[1:3], self.padding, self.kernel_shape, self.strides, strict=False)
        channels = self.kernel_shape[2 if self.flipped else 3]
        return self.x_shape[0], *((n + sum(p) - k) // s + 1 for n, p, k, s in axes), channels


Evaluate = Callable[[TrilinearForm, Array | None, Array | None, Array | None], Array]


def with_unflipped_kernel(
    evaluate: Evaluate, form: TrilinearForm, x: Array | None, kernel: Array | None, g: Array | None
) -> Array:
    """Returns the partial map by `evaluate`, which is called with an unflipped form and kernel."""
    if not form.flipped:
        return evaluate(form, x, kernel, g)
    h, w, o, i = form.kernel_shape
    form = dataclasses.replace(form, kernel_shape=(h, w, i, o), flipped=False)
    flip = lambda kernel: kernel[::-1, ::-1].swapaxes(2, 3)
    return flip(evaluate(form, x, None, g)) if kernel is None else evaluate(form, x, flip(kernel), g)


def evaluate_per_group(
    evaluate: Evaluate, form: TrilinearForm, x: Array | None, kernel: Array | None, g: Array | None
) -> Array:
    """Returns the partial map by one call of `evaluate` for each group, with the channels of that group.

    On the CPU this is several times faster than a grouped convolution of `lax`. Kernel gradients run in a loop, which
    is compiled once. The other maps are slow in a loop and are unrolled.
    """
    (h, w, i, o), groups = form.kernel_shape, form.groups
    group_o = o // groups
    form = dataclasses.replace(form, x_shape=(*form.x_shape[:3], i), kernel_shape=(h, w, i, group_o), groups=1)

    def evaluate_group(n: Array | int) -> Array:
        channels = lambda t, size: t if t is None else lax.dynamic_slice_in_dim(t, n * size, size, -1)
        return evaluate(form, channels(x, i), channels(kernel, group_o), channels(g, group_o))

    if kernel is None:
        return jnp.moveaxis(lax.map(evaluate_group, jnp.arange(groups)), 0, 3).reshape(h, w, i, o)
    return jnp.concatenate([evaluate_group(n) for n in range(groups)], -1)


def evaluate_with_lax(form: TrilinearForm, x: Array | None, kernel: Array | None, g: Array | None) -> Array:
    """Returns the partial map by a convolution of `lax` or its transpose. The form must not be flipped."""
    if g is None:
        return _convolve(form, x, kernel)
    if x is None:
        x = jax.ShapeDtypeStruct(form.x_shape, g.dtype)
        return jax.linear_transpose(lambda x: _convolve(form, x, kernel), x)(g)[0]
    kernel = jax.ShapeDtypeStruct(form.kernel_shape, g.dtype)
    return jax.linear_transpose(lambda kernel: _convolve(form, x, kernel), kernel)(g)[0]


def _convolve(form: TrilinearForm, x: Array, kernel: Array) -> Array:
    if (form.kernel_shape[:2], form.padding, form.groups) == ((1, 1), ((0, 0), (0, 0)), 1):
        return x[:, :: form.strides[0], :: form.strides[1]] @ kernel[0, 0]  # 2 to 4 times faster than `lax`
    options = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "feature_group_count": form.groups}
    return lax.conv_general_dilated(x, kernel, form.strides, form.padding, **options)


def evaluate_with_matmul(form: TrilinearForm, x: Array | None, kernel: Array | None, g: Array | None) -> Array:
    """Returns the kernel gradient by matrix products, which needs one group, and the other maps by `lax`."""
    if kernel is not None:
        return evaluate_with_lax(form, x, kernel, g)
    return _kernel_gradient(form, x, g)


def _kernel_gradient(form: TrilinearForm, x: Array, g: Array) -> Array:
    """Returns the sum of image patches times g, over chunks that fit the cache: up to 10 times faster than `lax`."""
    (b, h, w, o), (kh, kw, i, _), (sh, sw) = g.shape, form.kernel_shape, form.strides
    n = largest_divisor_within(b, h * w * kh * kw * i * x.dtype.itemsize, PATCH_BYTES)

    def product(x: Array, g: Array) -> Array:
        x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *((*p, 0) for p in form.padding), (0, 0, 0)))
        columns = jnp.concatenate([x[:, :, j : j + sw * (w - 1) + 1 : sw] for j in range(kw)], -1)
        patches = jnp.concatenate([columns[:, j : j + sh * (h - 1) + 1 : sh] for j in range(kh)], -1)
        # XLA runs transpose(g) @ patches up to twice as fast as transpose(patches) @ g; the barrier keeps the order.
        return lax.optimization_barrier(g.reshape(-1, o).T) @ patches.reshape(-1, kh * kw * i)

    return sum_over_chunks(product, n, x, g).T.reshape(form.kernel_shape)


def largest_divisor_within(count: int, item_bytes: int, max_bytes: int) -> int:
    """Returns the largest divisor n of `count` for which n items of `item_bytes` fit `max_bytes`, or 1 if none does."""
    return next(n for n in range(count, 0, -1) if count % n == 0 and (n * item_bytes <= max_bytes or n == 1))


def map_chunks(f: Callable[[Array], Array], chunk_size: int, x: Array) -> Array:
    """Returns f(x) for x [B, ...], computed on `chunk_size` rows at a time.

    `f` must treat rows independently, and `chunk_size` must divide B.
    """
    if chunk_size == len(x):
        return f(x)
    y = lax.map(f, x.reshape(-1, chunk_size, *x.shape[1:]))
    return y.reshape(len(x), *y.shape[2:])


def sum_over_chunks(f: Callable[..., Any], chunk_size: int, *operands: Array) -> Any:
    """Returns the sum of f over chunks of `chunk_size` rows of the operands [B, ...]. It must divide B."""
    if chunk_size == len(operands[0]):
        return f(*operands)
    chunks = [t.reshape(-1, chunk_size, *t.shape[1:]) for t in operands]
    zero = jax.tree.map(lambda t: jnp.zeros(t.shape, t.dtype), jax.eval_shape(f, *(t[0] for t in chunks)))
    return lax.scan(lambda total, chunk: (jax.tree.map(jnp.add, total, f(*chunk)), None), zero, tuple(chunks))[0]
