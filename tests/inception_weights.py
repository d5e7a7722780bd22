"""Random weights with the names and shapes of the published Inception file, equal on every machine."""

import numpy as np

# name: input channels, output channels, kernel height, kernel width
STEM = {
    "Conv2d_1a_3x3": (3, 32, 3, 3),
    "Conv2d_2a_3x3": (32, 32, 3, 3),
    "Conv2d_2b_3x3": (32, 64, 3, 3),
    "Conv2d_3b_1x1": (64, 80, 1, 1),
    "Conv2d_4a_3x3": (80, 192, 3, 3),
}


def convolutions() -> dict[str, tuple[int, int, int, int]]:
    """Returns the shapes of the 94 convolutions by name, in the order of `STEM`."""
    shapes = dict(STEM)
    for block, n, pooled in ("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64):
        shapes |= _block(block, branch1x1=(n, 64, 1, 1), branch5x5_1=(n, 48, 1, 1), branch5x5_2=(48, 64, 5, 5))
        shapes |= _block(block, branch3x3dbl_1=(n, 64, 1, 1), branch3x3dbl_2=(64, 96, 3, 3))
        shapes |= _block(block, branch3x3dbl_3=(96, 96, 3, 3), branch_pool=(n, pooled, 1, 1))
    shapes |= _block("6a", branch3x3=(288, 384, 3, 3), branch3x3dbl_1=(288, 64, 1, 1))
    shapes |= _block("6a", branch3x3dbl_2=(64, 96, 3, 3), branch3x3dbl_3=(96, 96, 3, 3))
    for block, c in ("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192):
        shapes |= _block(block, branch1x1=(768, 192, 1, 1), branch_pool=(768, 192, 1, 1))
        shapes |= _block(block, branch7x7_1=(768, c, 1, 1), branch7x7_2=(c, c, 1, 7), branch7x7_3=(c, 192, 7, 1))
        shapes |= _block(block, branch7x7dbl_1=(768, c, 1, 1), branch7x7dbl_2=(c, c, 7, 1), branch7x7dbl_3=(c, c, 1, 7))
        shapes |= _block(block, branch7x7dbl_4=(c, c, 7, 1), branch7x7dbl_5=(c, 192, 1, 7))
    shapes |= _block("7a", branch3x3_1=(768, 192, 1, 1), branch3x3_2=(192, 320, 3, 3), branch7x7x3_1=(768, 192, 1, 1))
    shapes |= _block("7a", branch7x7x3_2=(192, 192, 1, 7), branch7x7x3_3=(192, 192, 7, 1))
    shapes |= _block("7a", branch7x7x3_4=(192, 192, 3, 3))
    for block, n in ("7b", 1280), ("7c", 2048):
        shapes |= _block(block, branch1x1=(n, 320, 1, 1), branch_pool=(n, 192, 1, 1))
        shapes |= _block(
            block, branch3x3_1=(n, 384, 1, 1), branch3x3_2a=(384, 384, 1, 3), branch3x3_2b=(384, 384, 3, 1)
        )
        shapes |= _block(block, branch3x3dbl_1=(n, 448, 1, 1), branch3x3dbl_2=(448, 384, 3, 3))
        shapes |= _block(block, branch3x3dbl_3a=(384, 384, 1, 3), branch3x3dbl_3b=(384, 384, 3, 1))
    return shapes


def random_weights() -> dict[str, np.ndarray]:
    """Returns the 566 tensors by name, float32. Their values depend only on the order of the names."""
    draw, tensors = _uniform(), {}
    for name, (i, o, h, w) in convolutions().items():
        tensors[f"{name}.conv.weight"] = draw(-1, 1, o, i, h, w) * np.float32(np.sqrt(6 / (i * h * w)))
        tensors[f"{name}.bn.weight"] = draw(0.5, 1.5, o)
        tensors[f"{name}.bn.bias"] = draw(-0.5, 0.5, o)
        tensors[f"{name}.bn.running_mean"] = draw(-0.5, 0.5, o)
        tensors[f"{name}.bn.running_var"] = draw(0.5, 2, o)
        tensors[f"{name}.bn.num_batches_tracked"] = np.array(0)
    return tensors | {"fc.weight": draw(-0.05, 0.05, 1008, 2048), "fc.bias": draw(-1, 1, 1008)}


def random_images(n: int, size: int, channels: int) -> np.ndarray:
    """Returns images uint8 [n, size, size - 3, channels]."""
    raw = np.random.PCG64(1).random_raw(n * size * (size - 3) * channels)
    return (raw >> np.uint64(56)).astype(np.uint8).reshape(n, size, size - 3, channels)


def _block(block: str, **branches: tuple[int, int, int, int]) -> dict[str, tuple[int, int, int, int]]:
    return {f"Mixed_{block}.{branch}": shape for branch, shape in branches.items()}


def _uniform():
    bits = np.random.PCG64(0)  # NumPy guarantees this bit stream, but not those of its distributions.

    def draw(low: float, high: float, *shape: int) -> np.ndarray:
        x = (bits.random_raw(int(np.prod(shape))) >> np.uint64(40)).astype(np.float32) / np.float32(2**24)
        return (np.float32(low) + np.float32(high - low) * x).reshape(shape)

    return draw
