"""PSNR and SSIM of enlarged images, measured as in the literature on super-resolution, and the benchmark Set5."""

import numpy as np

from jaxgan.data import datasets
from jaxgan.data.datasets import Dataset
from jaxgan.data.resolution import enlarge, low_high_resolution
from jaxgan.errors import UserError
from jaxgan.evaluate import paired
from jaxgan.evaluate.samples import EvaluatedSamples, MetricResult

FACTOR = 4  # of the papers' tables
BORDER = 4  # pixels at each side that are left out (Ledig et al. 2017, section 3.1)
EVALUATOR = f"Y channel without {BORDER} pixels at each side"


def inner_luma(images: np.ndarray) -> np.ndarray:
    """Returns the Y channel of images uint8 [N, H, W, C] without `BORDER` pixels at each side, float64."""
    return paired.luma(images)[:, BORDER:-BORDER, BORDER:-BORDER]


def fidelity(images: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Returns mean `psnr`, in dB, and `ssim` of the inner Y channel of images uint8 [N, H, W, C]."""
    y, true_y = inner_luma(images), inner_luma(truth)
    return {"psnr": float(paired.psnr(y, true_y).mean()), "ssim": float(paired.ssim(y, true_y).mean())}


def set5(s: EvaluatedSamples) -> MetricResult:
    """PSNR and SSIM on the five photographs of Set5, reduced to a quarter and enlarged again, and those of bicubic.

    The samples themselves do not matter. The photographs are the split `set5` of a data set `sr_set5`.
    """
    if s.translate is None:
        raise UserError("set5 measures networks that enlarge images, and this experiment does not translate images")
    data = datasets.open_tfds("sr_set5", "set5")
    values: dict[str, list[float]] = {}
    for image in data.read_records(np.arange(len(data)))[0]:
        h, w = (n - n % FACTOR for n in image.shape[:2])
        low, high = (x.images for x in low_high_resolution(Dataset(data.name, image[None, :h, :w]), FACTOR))
        enlarged = s.translate(low)
        if enlarged.shape != high.shape:
            raise UserError(
                f"set5 measures networks that enlarge images {FACTOR} times, and this one makes images of "
                f"{enlarged.shape[1]} x {enlarged.shape[2]} from {low.shape[1]} x {low.shape[2]}"
            )
        for prefix, images in (("set5", enlarged), ("set5_bicubic", enlarge(low, FACTOR))):
            for name, value in fidelity(images, high).items():
                values.setdefault(f"{prefix}_{name}", []).append(value)
    means = {name: float(np.mean(each)) for name, each in values.items()}
    return MetricResult(means, {"evaluator": EVALUATOR, "data": data.name, "n_real": len(data), "n_fake": len(data)})
