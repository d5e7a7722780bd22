"""The trilinear form <conv(x, kernel), g> and its partial maps, evaluated with `lax` or with matrix products.

The operands are x [B, *size, I], kernel [*sides, I / groups, O] and g [B, *out_size, O]. A function that evaluates a
partial map takes the form and the three operands, one of which is None, and returns the gradient of the form in that
operand: the convolution if g is None, its input gradient, which is also the transposed convolution, if x is None, and
its kernel gradient if kernel is None.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

Pair = tuple[int, int]
Padding = tuple[Pair, ...]

PATCH_BYTES = 4 * 2**20  # per chunk of the kernel gradient; more exceeds the cache, fewer make the products inefficient


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class TrilinearForm:
    """Shapes and settings of a convolution.

    Attributes:
        x_shape: Shape of x, [B, *size, I].
        kernel_shape: Shape of the kernel, [*sides, I / groups, O], or [*sides, O, I] if `flipped`.
        strides: Stride in each axis.
        padding: Zeros (low, high) that are added to x in each axis. Negative values crop.
        groups: Number of groups into which the channels are divided.
        flipped: Whether the kernel is that of a transposed convolution: flipped in each axis, with I and O swapped.
    """

    x_shape: tuple[int, ...]
    kernel_shape: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Padding
    groups: int = 1
    flipped: bool = False

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of the convolution's output and of g, [B, *out_size, O]."""
        axes = zip(self.x_shape[1:-1], self.padding, self.kernel_shape[:-2], self.strides, strict=True)
        channels = self.kernel_shape[-2 if self.flipped else -1]
        return self.x_shape[0], *((n + sum(p) - k) // s + 1 for n, p, k, s in axes), channels


Evaluate = Callable[[TrilinearForm, Array | None, Array | None, Array | None], Array]


def with_unflipped_kernel(
    evaluate: Evaluate, form: TrilinearForm, x: Array | None, kernel: Array | None, g: Array | None
) -> Array:
    """Returns the partial map by `evaluate`, which is called with an unflipped form and kernel."""
    if not form.flipped:
        return evaluate(form, x, kernel, g)
    *sides, o, i = form.kernel_shape
    form = dataclasses.replace(form, kernel_shape=(*sides, i, o), flipped=False)
    flip = lambda kernel: lax.rev(kernel, range(len(sides))).swapaxes(-2, -1)
    return flip(evaluate(form, x, None, g)) if kernel is None else evaluate(form, x, flip(kernel), g)


def evaluate_per_group(
    evaluate: Evaluate, form: TrilinearForm, x: Array | None, kernel: Array | None, g: Array | None
) -> Array:
    """Returns the partial map by one call of `evaluate` for each group, with the channels of that group.

    On the CPU this is several times faster than a grouped convolution of `lax`. Kernel gradients run in a loop, which
    is compiled once. The other maps are slow in a loop and are unrolled.
    """
    (*sides, i, o), groups = form.kernel_shape, form.groups
    group_o = o // groups
    form = dataclasses.replace(form, x_shape=(*form.x_shape[:-1], i), kernel_shape=(*sides, i, group_o), groups=1)

    def evaluate_group(n: Array | int) -> Array:
        channels = lambda t, size: t if t is None else lax.dynamic_slice_in_dim(t, n * size, size, -1)
        return evaluate(form, channels(x, i), channels(kernel, group_o), channels(g, group_o))

    if kernel is None:
        return jnp.moveaxis(lax.map(evaluate_group, jnp.arange(groups)), 0, -2).reshape(*sides, i, o)
    return jnp.concatenate([evaluate_group(n) for n in range(groups)], -1)


def with_first_axis_in_channels(
    evaluate: Evaluate, form: TrilinearForm, x: Array | None, kernel: Array | None, g: Array | None
) -> Array:
    """Returns the partial map by `evaluate`, which is called without the first spatial axis.

    The taps of the kernel along this axis become channels, and the positions of the output along it become examples:
    a convolution of videos is one of B T' images. The form must have one group and must not be flipped.
    """
    (b, _, *size, i), (side, *sides, _, o), (t, *out_size) = form.x_shape, form.kernel_shape, form.out_shape[1:-1]

    def unfold(x: Array) -> Array:
        x = _pad(x, (form.padding[0], *[(0, 0)] * len(size)))
        return jnp.concatenate(_taps(x, 1, side, form.strides[0]), -1).reshape(b * t, *size, side * i)

    inner = TrilinearForm((b * t, *size, side * i), (*sides, side * i, o), form.strides[1:], form.padding[1:])
    inner_kernel = None if kernel is None else jnp.moveaxis(kernel, 0, -3).reshape(inner.kernel_shape)
    inner_g = None if g is None else g.reshape(b * t, *out_size, o)
    result = evaluate(inner, None if x is None else unfold(x), inner_kernel, inner_g)
    if g is None:
        return result.reshape(form.out_shape)
    if kernel is None:
        return jnp.moveaxis(result.reshape(*sides, side, i, o), -3, 0)
    return jax.linear_transpose(unfold, jax.ShapeDtypeStruct(form.x_shape, result.dtype))(result)[0]


def with_blocks_in_channels(
    evaluate: Evaluate, form: TrilinearForm, x: Array | None, kernel: Array | None, g: Array | None
) -> Array:
    """Returns the partial map by `evaluate`, which is called with strides of 1.

    Blocks of `strides` entries of x become one entry each, with more channels, and the kernel is padded with zeros to a
    multiple of the strides. The input gradient is then not a convolution of examples that are mostly zeros. The form
    must have one group and must not be flipped.
    """
    (b, *size, i), (*sides, _, o), strides = form.x_shape, form.kernel_shape, form.strides
    taps = [-(-k // s) for k, s in zip(sides, strides, strict=True)]  # blocks that the kernel covers
    counts = [t + r - 1 for t, r in zip(form.out_shape[1:-1], taps, strict=True)]  # blocks of x
    axes = list(zip(size, form.padding, counts, strides, strict=True))
    padding = tuple((low, count * s - n - low) for n, (low, _), count, s in axes)
    block_size = math.prod(strides) * i
    inner = TrilinearForm((b, *counts, block_size), (*taps, block_size, o), (1,) * len(size), ((0, 0),) * len(size))

    def block_x(x: Array) -> Array:
        return _move_blocks(_pad(x, padding), 1, counts, strides).reshape(inner.x_shape)

    def block_kernel(kernel: Array) -> Array:
        padding = [(0, r * s - k) for r, s, k in zip(taps, strides, sides, strict=True)]
        return _move_blocks(jnp.pad(kernel, [*padding, (0, 0), (0, 0)]), 0, taps, strides).reshape(inner.kernel_shape)

    result = evaluate(inner, None if x is None else block_x(x), None if kernel is None else block_kernel(kernel), g)
    if g is None:
        return result
    block, shape = (block_kernel, form.kernel_shape) if kernel is None else (block_x, form.x_shape)
    return jax.linear_transpose(block, jax.ShapeDtypeStruct(shape, result.dtype))(result)[0]


def _move_blocks(x: Array, first: int, counts: Sequence[int], strides: Sequence[int]) -> Array:
    """Returns x [..., c s, d t, ...] as [..., c, d, s, t, ...], for axes from `first` on of counts c, d times s, t."""
    n = len(counts)
    split = [length for pair in zip(counts, strides, strict=True) for length in pair]
    x = x.reshape(*x.shape[:first], *split, *x.shape[first + n :])
    outer, inner = range(first, first + 2 * n, 2), range(first + 1, first + 2 * n, 2)
    return x.transpose(*range(first), *outer, *inner, *range(first + 2 * n, x.ndim))


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
    n = len(form.strides)
    if (form.kernel_shape[:-2], form.padding, form.groups) == ((1,) * n, ((0, 0),) * n, 1):
        x = x[:, *(slice(None, None, s) for s in form.strides)]
        return x @ kernel.reshape(kernel.shape[-2:])  # 2 to 4 times faster than `lax`
    axes = "DHW"[-n:]
    options = {"dimension_numbers": (f"N{axes}C", f"{axes}IO", f"N{axes}C"), "feature_group_count": form.groups}
    return lax.conv_general_dilated(x, kernel, form.strides, form.padding, **options)


def evaluate_with_matmul(form: TrilinearForm, x: Array | None, kernel: Array | None, g: Array | None) -> Array:
    """Returns the kernel gradient by matrix products, which needs one group, and the other maps by `lax`."""
    if kernel is not None:
        return evaluate_with_lax(form, x, kernel, g)
    *sides, i, o = form.kernel_shape
    if o >= i or max(form.strides) > 1:
        return _kernel_gradient(form, x, g)
    # With the roles of x and g exchanged, patches have fewer channels.
    swapped = TrilinearForm(g.shape, (*sides, o, i), form.strides, tuple((k - 1, k - 1) for k in sides))
    gradient = _kernel_gradient(swapped, g, _pad(x, form.padding))
    return lax.rev(gradient, range(len(sides))).swapaxes(-2, -1)


def _kernel_gradient(form: TrilinearForm, x: Array, g: Array) -> Array:
    """Returns the sum of patches of x times g, over chunks that fit the cache: up to 10 times faster than `lax`."""
    (b, *out_size, o), (*sides, i, _) = g.shape, form.kernel_shape
    patch_size = math.prod(sides) * i
    n = largest_divisor_within(b, math.prod(out_size) * patch_size * x.dtype.itemsize, PATCH_BYTES)

    def product(x: Array, g: Array) -> Array:
        patches = _pad(x, form.padding)
        for axis in reversed(range(len(sides))):
            patches = jnp.concatenate(_taps(patches, 1 + axis, sides[axis], form.strides[axis]), -1)
        # XLA runs transpose(g) @ patches up to twice as fast as transpose(patches) @ g; the barrier keeps the order.
        return lax.optimization_barrier(g.reshape(-1, o).T) @ patches.reshape(-1, patch_size)

    return sum_over_chunks(product, n, x, g).T.reshape(form.kernel_shape)


def _pad(x: Array, padding: Padding) -> Array:
    """Returns x [B, *size, C] with zeros (low, high) added along each axis; negative values crop."""
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *((*p, 0) for p in padding), (0, 0, 0)))


def _taps(x: Array, axis: int, side: int, stride: int) -> list[Array]:
    """Returns what each of `side` taps of a kernel sees of x along an axis: slices of equal length."""
    length = (x.shape[axis] - side) // stride * stride + 1
    return [lax.slice_in_dim(x, j, j + length, stride, axis) for j in range(side)]


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
