"""Winograd convolution F(2 x 2, r x r) for r = 2, 3 and 4 (Lavin & Gray 2016, arXiv 1509.09308, section 4).

Each operand of the trilinear form <conv(x, kernel), g> is transformed linearly to (r + 1)² points for each tile of
2 x 2 outputs. The form is then a matrix product at each point. A tile takes (r + 1)² multiplications, where direct
convolution takes 4 r²: 1.78, 2.25 and 2.56 times as many for kernels of side 2, 3 and 4. A kernel of side r s with
stride s is treated as one of side r with stride 1, on images whose pixels are blocks of s x s.

A partial map transforms the two given operands, multiplies, and applies the transpose of the third operand's transform.
The rounding error in float32 is about that of direct convolution for r = 2 and 3, and 4 to 5 times as large for r = 4.
"""

import math
from collections.abc import Iterable

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxgan.cpu.trilinear import Pair, TrilinearForm, largest_divisor_within, map_chunks, sum_over_chunks

Weights = tuple[tuple[float, ...], ...]

# Transforms of one axis to r + 1 points, by r: of r kernel taps, of the r + 1 pixels of a tile, and of its two outputs.
# Taps and outputs are the coefficients of polynomials, evaluated at infinity and at the first r of 0, 1, -1 and 2; the
# transform of pixels is the transpose of interpolation. For r = 3 they are the paper's G, B' and A, where the last rows
# of B' and A have the other sign.
TAPS = {
    2: ((1, 0), (1, 1), (0, 1)),
    3: ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1)),
    4: ((1 / 2,) + (0,) * 3, (-1 / 2,) * 4, (-1 / 6, 1 / 6) * 2, (1 / 6, 1 / 3, 2 / 3, 4 / 3), (0, 0, 0, 1)),
}
PIXELS = {
    2: ((1, -1, 0), (0, 1, 0), (0, -1, 1)),
    3: ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1)),
    4: ((2, -1, -2, 1, 0), (0, -2, -1, 1, 0), (0, 2, -3, 1, 0), (0, -1, 0, 1, 0), (0, 2, -1, -2, 1)),
}
OUTPUTS = {
    2: ((1, 0), (1, 1), (0, 1)),
    3: ((1, 0), (1, 1), (1, -1), (0, 1)),
    4: ((1, 0), (1, 1), (1, -1), (1, 2), (0, 1)),
}

# Of direct convolution. From here on maps take 0.4 to 0.9 of the time of other methods, with few exceptions of up to
# 1.15 (one image of 16 x 16, 128 to 128 channels, 3 x 3: 0.55 to 0.8). For fewer, transforms do not pay for compiling.
MIN_MULTIPLICATIONS = 2**25
# Products per transformed number, of blocks and of outputs together: at 32 to 32 channels the gain is gone.
MIN_CHANNELS = 16
POINT_BYTES = 12 * 2**20  # per chunk of the larger operand; more exceeds the cache, fewer make the products inefficient


def is_supported(form: TrilinearForm, dtype: jnp.dtype) -> bool:
    """Returns whether `evaluate` can evaluate the form and is expected to be faster than other methods.

    That takes two spatial axes, float32 or float64, one group, a kernel whose sides are both 2, both 3 or both 4 times
    the stride along the same axis, and at least `MIN_MULTIPLICATIONS` and `MIN_CHANNELS`.
    """
    if len(form.strides) != 2:
        return False
    (h, w), (sh, sw) = form.kernel_shape[:2], form.strides
    r, block_size, o = h // sh, sh * sw * form.x_shape[-1], form.out_shape[-1]
    has_precision = dtype in (jnp.float32, jnp.float64)
    multiplications = math.prod(form.out_shape[:3]) * math.prod(form.kernel_shape)
    is_large = multiplications >= MIN_MULTIPLICATIONS and block_size * o >= MIN_CHANNELS * (block_size + o)
    return has_precision and is_large and form.groups == 1 and r in TAPS and (h, w) == (r * sh, r * sw)


def evaluate(form: TrilinearForm, x: Array | None, kernel: Array | None, g: Array | None) -> Array:
    """Returns the partial map in the operand that is None, computed over chunks of images that fit the cache."""
    r = form.kernel_shape[0] // form.strides[0]
    (b, h, w, o), (sh, sw), c = form.out_shape, form.strides, form.x_shape[3]
    tiles = -(-h // 2), -(-w // 2)
    transform_x = lambda x: _transform_images(form, r, tiles, x)
    transform_g = lambda g: _transform_outputs(r, tiles, g)
    itemsize = jnp.result_type(*(t for t in (x, kernel, g) if t is not None)).itemsize
    n = largest_divisor_within(b, (r + 1) ** 2 * math.prod(tiles) * max(sh * sw * c, o) * itemsize, POINT_BYTES)
    if kernel is None:
        subscripts = "pnc,pno->poc" if form.flipped else "pnc,pno->pco"
        points = sum_over_chunks(lambda x, g: jnp.einsum(subscripts, transform_x(x), transform_g(g)), n, x, g)
        return _transform_kernel_transpose(form, r, points)
    kernel_points = _transform_kernel(form, r, kernel)
    if g is None:
        convolve = lambda x: _transform_outputs_transpose(transform_x(x) @ kernel_points, r, tiles, (h, w))
        return map_chunks(convolve, n, x)

    def input_gradient(g: Array) -> Array:
        return _transform_images_transpose(form, r, tiles, transform_g(g) @ kernel_points.swapaxes(1, 2))

    return map_chunks(input_gradient, n, g)


def _transform_images(form: TrilinearForm, r: int, tiles: Pair, x: Array) -> Array:
    """Transforms images [B, H, W, C] to points [(r + 1)², B tiles, s s C]."""
    (sh, sw), (th, tw), (b, _, _, c) = form.strides, tiles, x.shape
    n, m = 2 * th + r - 1, 2 * tw + r - 1
    x = lax.pad(x, jnp.zeros((), x.dtype), _pads(form, n, m))
    x = x.reshape(b, n, sh, m, sw, c).swapaxes(2, 3).reshape(b, n, m, -1)
    x = _combine_by_row(PIXELS[r], [x[:, i : i + 2 * th - 1 : 2] for i in range(r + 1)], 0)
    x = _combine(PIXELS[r], [x[:, :, :, j : j + 2 * tw - 1 : 2] for j in range(r + 1)], 1)
    return x.reshape((r + 1) ** 2, -1, sh * sw * c)


def _transform_images_transpose(form: TrilinearForm, r: int, tiles: Pair, points: Array) -> Array:
    """Transforms points to images by the transpose of `_transform_images`, which adds tiles where they overlap."""
    (sh, sw), (th, tw), c = form.strides, tiles, form.x_shape[3]
    pairs = r // 2  # by which the pixels of a tile reach beyond its outputs

    def sum_tiles(terms: list[Array], axis: int) -> Array:
        """Returns pixel pairs [tiles + pairs, 2] along an axis: the sums of the tiles that have them."""
        tile_pixels = [_weighted_sum(weights, terms) for weights in _transposed(PIXELS[r])]
        no_pads = [(0, 0)] * terms[0].ndim
        shift = lambda i, y: jnp.pad(tile_pixels[i + 2 * y], [*no_pads[:axis], (y, pairs - y), *no_pads[axis + 1 :]])
        return jnp.stack([sum(shift(i, y) for y in range(pairs + 1) if i + 2 * y <= r) for i in (0, 1)], axis + 1)

    x = sum_tiles(list(points.reshape(r + 1, r + 1, -1, th, tw, sh * sw * c)), 2)
    x = sum_tiles(list(x), 3)  # [B, th + pairs, 2, tw + pairs, 2, s s C]
    n, m = 2 * (th + pairs), 2 * (tw + pairs)
    x = x.reshape(-1, n, m, sh, sw, c).swapaxes(2, 3).reshape(-1, n * sh, m * sw, c)
    return lax.pad(x, jnp.zeros((), x.dtype), [(-low, -high, 0) for low, high, _ in _pads(form, n, m)])


def _pads(form: TrilinearForm, n: int, m: int) -> list[tuple[int, int, int]]:
    """Returns the arguments of `lax.pad` that pad images to n x m blocks."""
    axes = zip(form.padding, (n, m), form.strides, form.x_shape[1:3], strict=True)
    return [(0, 0, 0), *((low, blocks * s - size - low, 0) for (low, _), blocks, s, size in axes), (0, 0, 0)]


def _transform_kernel(form: TrilinearForm, r: int, kernel: Array) -> Array:
    """Transforms a kernel to points [(r + 1)², s s C, O], with the memory layout of the kernel."""
    (sh, sw), (i, o) = form.strides, kernel.shape[2:]
    if form.flipped:
        taps = kernel[::-1, ::-1].reshape(r, sh, r, sw, i, o).transpose(0, 2, 4, 1, 3, 5).reshape(r, r, i, -1)
    else:
        taps = kernel.reshape(r, sh, r, sw, i, o).swapaxes(1, 2).reshape(r, r, -1, o)
    points = _combine(TAPS[r], list(_combine(TAPS[r], list(taps), 1)), 1)
    points = points.reshape(-1, *taps.shape[2:])
    return points.swapaxes(1, 2) if form.flipped else points


def _transform_kernel_transpose(form: TrilinearForm, r: int, points: Array) -> Array:
    """Transforms points, which have the memory layout of the kernel, to a kernel by the transpose of its transform."""
    (sh, sw), (i, o) = form.strides, form.kernel_shape[2:]
    # A matrix product, because XLA would fuse a sum into each reader of the gradient and compute it again in each.
    taps = jnp.asarray(np.kron(TAPS[r], TAPS[r]).T, points.dtype) @ points.reshape(len(points), -1)
    if form.flipped:
        return taps.reshape(r, r, i, sh, sw, o).transpose(0, 3, 1, 4, 2, 5).reshape(form.kernel_shape)[::-1, ::-1]
    return taps.reshape(r, r, sh, sw, i, o).swapaxes(1, 2).reshape(form.kernel_shape)


def _transform_outputs(r: int, tiles: Pair, g: Array) -> Array:
    """Transforms outputs [B, h, w, O] to points [(r + 1)², B tiles, O]."""
    (_, h, w, o), (th, tw) = g.shape, tiles
    g = jnp.pad(g, ((0, 0), (0, 2 * th - h), (0, 2 * tw - w), (0, 0)))
    g = _combine_by_row(OUTPUTS[r], [g[:, i::2] for i in (0, 1)], 0)
    g = _combine(OUTPUTS[r], [g[:, :, :, j::2] for j in (0, 1)], 1)
    return g.reshape((r + 1) ** 2, -1, o)


def _transform_outputs_transpose(points: Array, r: int, tiles: Pair, size: Pair) -> Array:
    """Transforms points to outputs [B, *size, O] by the transpose of `_transform_outputs`."""
    (th, tw), (h, w), o = tiles, size, points.shape[-1]
    cells = _combine_by_row(_transposed(OUTPUTS[r]), list(points.reshape(r + 1, r + 1, -1, th, tw, o)), 3)
    cells = _combine(_transposed(OUTPUTS[r]), list(cells), 4)  # [B, th, 2, tw, 2, O]
    return cells.reshape(-1, 2 * th, 2 * tw, o)[:, :h, :w]


def _combine(weights: Weights, terms: list[Array], axis: int) -> Array:
    """Returns the matrix `weights` times the list `terms`, with its rows as a new axis; fuses into one short loop."""
    ones = [1] * terms[0].ndim
    column = lambda i: jnp.array([row[i] for row in weights], terms[i].dtype).reshape(*ones[:axis], -1, *ones[axis:])
    return sum(column(i) * jnp.expand_dims(term, axis) for i, term in enumerate(terms))


def _combine_by_row(weights: Weights, terms: list[Array], axis: int) -> Array:
    """Returns the same as `_combine`, one row at a time, without zero weights.

    This is faster if XLA would otherwise fuse the result with the next transform.
    """
    return jnp.stack([_weighted_sum(row, terms) for row in weights], axis)


def _weighted_sum(weights: Iterable[float], terms: list[Array]) -> Array:
    """Returns the weighted sum of the terms, without computing those of weight 0."""
    first, *rest = (t if w == 1 else w * t for w, t in zip(weights, terms, strict=True) if w)
    return sum(rest, first)


def _transposed(weights: Weights) -> Weights:
    return tuple(zip(*weights, strict=True))
