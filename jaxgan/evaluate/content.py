"""Whether the content of a video stays the same, and how it moves: for one bright shape before a dark background."""

from typing import NamedTuple

import numpy as np


class Content(NamedTuple):
    """The shape in each frame of videos [N, T, H, W, 3]."""

    mask: np.ndarray  # bool [N, T, H, W]
    visible: np.ndarray  # bool [N, T], whether there is a shape
    colours: np.ndarray  # [N, T, 3], mean colour in [-1, 1]; 0 where there is no shape
    centres: np.ndarray  # [N, T, 2], row and column in pixels; the middle of the frame where there is no shape


def find_shapes(videos: np.ndarray) -> Content:
    """Returns colour and place of the shape in each frame of videos uint8 [N, T, H, W, 3].

    Its pixels are those of which a channel is in the brighter half of the range, see `data.videos.shapes`.
    """
    x = np.float32(videos) / 127.5 - 1.0
    mask = x.max(-1) > 0
    area = mask.sum((2, 3))
    weights = mask / np.maximum(area, 1)[..., None, None]
    middle = (np.array(x.shape[2:4]) - 1) / 2
    positions = np.stack(np.meshgrid(*map(np.arange, x.shape[2:4]), indexing="ij"), -1)
    centres = np.einsum("nthw,hwk->ntk", weights, positions)
    colours = np.einsum("nthw,nthwc->ntc", weights, x)
    return Content(mask, area > 0, colours, np.where(area[..., None] > 0, centres, middle))


def content_metrics(videos: np.ndarray) -> dict[str, float]:
    """Returns `acd`, `visible` and `motion` of videos uint8 [N, T, H, W, 3].

    acd: Average content distance, see `average_content_distance`. A video without shapes counts as 0.
    visible: Share of the frames with a shape.
    motion: Mean distance of a shape's centre from that in the frame before, in pixels.
    """
    content = find_shapes(videos)
    motion = np.linalg.norm(np.diff(content.centres, axis=1), axis=-1).mean()
    acd = average_content_distance(content.colours)
    return {"acd": acd, "visible": float(content.visible.mean()), "motion": float(motion)}


def average_content_distance(colours: np.ndarray) -> float:
    """Returns the mean distance between the shape's colours [N, T, 3] in two frames of a video.

    The mean over videos of 1 / (T (T - 1)) Σ_s Σ_{t != s} ||c_s - c_t|| for the colours c_t of frame t.

    Reference: Tulyakov et al. 2018, section 4, whose colours have another scale.
    """
    n, t, _ = colours.shape
    distances = np.linalg.norm(colours[:, :, None] - colours[:, None], axis=-1)
    return float(distances.sum() / (n * t * (t - 1)))
