"""The trilinear form <conv(x, kernel), g> and its partial maps, evaluated with `lax` or with matrix products.

The operands are x [B, *size, I], kernel [*sides, I / groups, O] and g [B, *out_size, O]. A function that evaluates a
partial map takes the form and the three operands, one of which is None, and returns the gradient of the form in that
operand: the convolution if g is None, its input gradient, which is also the transposed convolution, if x is None, and
its kernel gradient if kernel is None.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

Pair = tuple[int, int]
Padding = tuple[Pair, ...]

IMAGE_CHANNELS, WIDE_SIDE = 4, 7  # channels up to which, and sides of kernels from which, `_convolve_to_image` is used
MAX_NARROW = 32  # channels up to which `lax` is slow for RGB images, measured on images of 16 to 64 pixels
# Channels up to which one operand's taps are not all copied, if neither operand has more than twice those of the other.
MAX_BALANCED = 64
TAP_BYTES = 4 * 2**20  # per chunk of the kernel gradient; more exceeds the cache, fewer make the products inefficient


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


def used_taps(form: TrilinearForm) -> tuple[range, ...]:
    """Returns the taps of the kernel along each axis, of the unflipped kernel, without those that only see padding."""
    sides = form.kernel_shape[:-2]
    axes = zip(form.x_shape[1:-1], form.out_shape[1:-1], sides, form.strides, form.padding, strict=True)

    def is_used(tap: int, size: int, out_size: int, stride: int, low: int) -> bool:
        first = max(0, -((tap - low) // stride))  # position of the output at which the tap is not before x
        return first < out_size and first * stride + tap - low < size

    used = ([t for t in range(k) if is_used(t, n, out, s, low)] or [0] for n, out, k, s, (low, _) in axes)
    return tuple(range(taps[0], taps[-1] + 1) for taps in used)


def with_used_taps(
    evaluate: Evaluate, form: TrilinearForm, x: Array | None, kernel: Array | None, g: Array | None
) -> Array:
    """Returns the partial map by `evaluate`, which is called without the taps of the kernel that only see padding."""
    used, sides = used_taps(form), form.kernel_shape[:-2]
    axes = zip(form.padding, used, sides, strict=True)
    padding = tuple((low - taps.start, high - (k - taps.stop)) for (low, high), taps, k in axes)
    stored = [range(k - t.stop, k - t.start) if form.flipped else t for t, k in zip(used, sides, strict=True)]
    kernel_shape = (*map(len, used), *form.kernel_shape[-2:])
    inner = dataclasses.replace(form, kernel_shape=kernel_shape, padding=padding)
    crop = lambda kernel: kernel[tuple(slice(taps.start, taps.stop) for taps in stored)]
    if kernel is not None:
        return evaluate(inner, x, crop(kernel), g)
    gradient = evaluate(inner, x, None, g)
    return jax.linear_transpose(crop, jax.ShapeDtypeStruct(form.kernel_shape, gradient.dtype))(gradient)[0]


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
    """Returns the kernel gradient by products of taps, which need one group, and the other maps by `lax`."""
    if kernel is not None:
        return with_unflipped_kernel(_evaluate_by_channels, form, x, kernel, g)
    o, i = form.out_shape[-1], form.x_shape[-1]
    if len(form.strides) > 1 and max(form.strides) == 1 and max(i, o) <= min(2 * i, 2 * o, MAX_BALANCED):
        return with_unflipped_kernel(_kernel_gradient_with_taps_of_both, form, x, None, g)
    if o >= i or max(form.strides) > 1:
        return evaluate_with_taps(form, x, None, g)
    # With the roles of x and g exchanged, the taps of fewer channels are copied.
    sides = form.kernel_shape[:-2]
    swapped = TrilinearForm(g.shape, (*sides, o, i), form.strides, tuple((k - 1, k - 1) for k in sides))
    gradient = evaluate_with_taps(swapped, g, None, _pad(x, form.padding))
    return gradient if form.flipped else lax.rev(gradient, range(len(sides))).swapaxes(-2, -1)


def _kernel_gradient_with_taps_of_both(form: TrilinearForm, x: Array, _: None, g: Array) -> Array:
    """Returns the kernel gradient by one matrix product. The form must have strides of 1 and must not be flipped.

    Taps along the first axis are slices of g, and those along the others slices of x. A kernel of 3 x 3 then copies
    each of them three times, where `evaluate_with_taps` copies x nine times and multiplies narrower matrices.
    """
    side, *other_sides, i, o = form.kernel_shape
    b, *out_size, _ = form.out_shape
    as_matrix = lambda slices: jnp.concatenate(slices, -1).reshape(-1, len(slices) * slices[0].shape[-1])

    def product(x: Array, g: Array) -> Array:
        slices = [_pad(x, form.padding)]
        for axis, other_side in enumerate(other_sides, 2):
            slices = [tap for t in slices for tap in _taps(t, axis, other_side, 1)]
        g = _pad(g, ((side - 1, side - 1), *[(0, 0)] * len(other_sides)))
        return as_matrix(slices).T @ as_matrix(_taps(g, 1, side, 1)[::-1])

    positions = (out_size[0] + side - 1) * math.prod(out_size[1:])
    copied = math.prod(other_sides) * i + side * o
    n = largest_divisor_within(b, positions * copied * x.dtype.itemsize, TAP_BYTES)
    gradient = sum_over_chunks(product, n, x, g).reshape(*other_sides, i, side, o)
    return jnp.moveaxis(gradient, -2, 0)


def _evaluate_by_channels(form: TrilinearForm, x: Array | None, kernel: Array | None, g: Array | None) -> Array:
    """Returns the output or the input gradient by `lax`, in the form that is fastest for the channels of images."""
    *sides, i, o = form.kernel_shape
    has_wide_kernel = form.groups == 1 and len(sides) == 2 and max(form.strides) == 1 and min(sides) >= WIDE_SIDE
    if has_wide_kernel and g is None and o <= IMAGE_CHANNELS:
        return _convolve_to_image(form, x, kernel)
    if has_wide_kernel and x is None and i <= IMAGE_CHANNELS:  # The input gradient is a convolution of g.
        padding = tuple((k - 1 - low, k - 1 - high) for k, (low, high) in zip(sides, form.padding, strict=True))
        swapped = TrilinearForm(form.out_shape, (*sides, o, i), form.strides, padding)
        return _convolve_to_image(swapped, g, lax.rev(kernel, (0, 1)).swapaxes(-2, -1))
    return _with_four_channels(form, x, kernel, g)


def _convolve_to_image(form: TrilinearForm, x: Array, kernel: Array) -> Array:
    """Returns a convolution with few output channels and strides of 1.

    Taps along the first axis become output channels of a convolution along the second axis, and are then added. With 7
    x 7 taps this takes a third of the time, and with 9 x 9 about the same.
    """
    (h, w, i, o), out_h = form.kernel_shape, form.out_shape[1]
    x = _pad(x, (form.padding[0], (0, 0)))
    along_second = TrilinearForm(x.shape, (1, w, i, h * o), (1, 1), ((0, 0), form.padding[1]))
    taps = _convolve(along_second, x, kernel.transpose(1, 2, 0, 3).reshape(along_second.kernel_shape))
    return sum(taps[:, a : a + out_h, :, a * o : (a + 1) * o] for a in range(h))


def _with_four_channels(form: TrilinearForm, x: Array | None, kernel: Array | None, g: Array | None) -> Array:
    """Returns the output or the input gradient by `lax`, with a zero channel added to three that are summed over.

    That is done for `MAX_NARROW` channels of the result and less, for which three channels take up to three times as
    long as four. For more the fourth channel would take a quarter longer.
    """
    *sides, i, o = form.kernel_shape
    if form.groups > 1 or math.prod(sides) == 1:
        return evaluate_with_lax(form, x, kernel, g)
    pad_last = lambda t: jnp.pad(t, [*[(0, 0)] * (t.ndim - 1), (0, 1)])
    if g is None and i == 3 and o <= MAX_NARROW:
        kernel = pad_last(kernel.swapaxes(-2, -1)).swapaxes(-2, -1)
        form = dataclasses.replace(form, x_shape=(*form.x_shape[:-1], 4), kernel_shape=kernel.shape)
        x = pad_last(x)
    elif x is None and o == 3 and i <= MAX_NARROW:
        form = dataclasses.replace(form, kernel_shape=(*sides, i, 4))
        kernel, g = pad_last(kernel), pad_last(g)
    return evaluate_with_lax(form, x, kernel, g)


def evaluate_with_taps(form: TrilinearForm, x: Array | None, kernel: Array | None, g: Array | None) -> Array:
    """Returns the partial map by one matrix product for each tap of the kernel. The form must have one group.

    Each tap sees its own slice of x, which is copied. The kernel gradient is computed over chunks that fit the cache,
    up to 10 times faster than by `lax`. The other maps are fast only for outputs of few positions: they read the kernel
    once, in its own memory layout.
    """
    (b, *out_size, o), i, taps = form.out_shape, form.x_shape[-1], math.prod(form.kernel_shape[:-2])
    indices = "toi" if form.flipped else "tio"
    tap_slices = functools.partial(_tap_slices, form)
    if kernel is None:
        product = lambda x, g: jnp.einsum(f"tni,no->{indices}", tap_slices(x), g.reshape(-1, o))
        n = largest_divisor_within(b, math.prod(out_size) * taps * i * x.dtype.itemsize, TAP_BYTES)
        return sum_over_chunks(product, n, x, g).reshape(form.kernel_shape)
    kernel = kernel.reshape(taps, *kernel.shape[-2:])
    if g is None:
        return jnp.einsum(f"tni,{indices}->tno", tap_slices(x), kernel).sum(0).reshape(form.out_shape)
    slices = jnp.einsum(f"no,{indices}->tni", g.reshape(-1, o), kernel)
    return jax.linear_transpose(tap_slices, jax.ShapeDtypeStruct(form.x_shape, slices.dtype))(slices)[0]


def _tap_slices(form: TrilinearForm, x: Array) -> Array:
    """Returns what each tap sees of x [B, *size, I], in the order of the kernel in memory: [taps, B positions, I]."""
    slices = [_pad(x, form.padding)]
    for axis, (side, stride) in enumerate(zip(form.kernel_shape[:-2], form.strides, strict=True)):
        slices = [tap for t in slices for tap in _taps(t, 1 + axis, side, stride)]
    return jnp.stack(slices[::-1] if form.flipped else slices).reshape(len(slices), -1, x.shape[-1])


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
