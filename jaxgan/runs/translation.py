"""Experiments that translate images: their samples are made from held-out images, and may have a known truth."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jax import Array
from PIL import Image

from jaxgan.core.game import NOISE_KEY, Game, Network, TrainState
from jaxgan.data.datasets import Dataset, ImageData
from jaxgan.data.sources import Source
from jaxgan.errors import UserError
from jaxgan.evaluate import paired
from jaxgan.render import outputs, pictures
from jaxgan.training.experiment import Evaluation, Experiment, Inputs

PREVIEW_COUNT = 16


class Translations(NamedTuple):
    """Held-out images and what became of them, to be measured. Images are uint8 [N, H, W, C].

    Attributes:
        inputs: The images that were translated.
        outputs: Their translations.
        truth: Their true translations, or None if there are none.
        labels: The classes of the inputs, int32 [N], or None.
        state: The state that translated them.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    truth: np.ndarray | None
    labels: np.ndarray | None
    state: TrainState


Measure = Callable[[Translations], Mapping[str, float]]


@dataclasses.dataclass(frozen=True, eq=False)
class HeldOut:
    """Images that are held out from training, to show and to measure translations.

    Attributes:
        load: Returns the images, and their true translations or None. Called once, when they are first needed.
        shape: [H, W, C] of the images.
    """

    load: Callable[[], tuple[Dataset, Dataset | None]]
    shape: tuple[int, int, int]

    @functools.cached_property
    def data(self) -> tuple[Dataset, Dataset | None]:
        """The images and their true translations, in memory."""
        return self.load()


def experiment(
    game: Game,
    translator: Network,
    source: Source,
    held_out: HeldOut,
    *,
    multiple: int = 1,
    measure: Measure | None = None,
    evaluator: str = "pixels of held-out pairs",
    data: Callable[[str], ImageData] | None = None,
    preview: Callable[[Translations], list[np.ndarray]] | None = None,
) -> Experiment:
    """Returns the experiment whose samples are translations of held-out images by one network of a game.

    Args:
        game: The game.
        translator: The network of it that translates. Noise inside it, such as dropout, stays on.
        source: The game's batches.
        held_out: The images that are shown and measured.
        multiple: Number of which heights and widths must be multiples.
        measure: Metrics of translations; `paired_errors` by default where there is a truth.
        evaluator: What `measure` compares, for the protocol.
        data: split name -> real images of the translations' kind, for metrics such as a Fréchet distance.
        preview: Columns of pictures; inputs, outputs and truth by default.
    """
    measure = measure or paired_errors
    preview = preview or show_columns

    def sample(state: TrainState, keys: Array, images: Array) -> Array:
        noise = [keys] if NOISE_KEY in translator.extra_inputs else []
        return translator.bind(state, train=False)(images, *noise)

    def collect(samples: np.ndarray, state: TrainState | None) -> Translations:
        inputs, truth = held_out.data
        rows = np.arange(len(samples)) % len(inputs)
        labels = inputs.labels[rows] if inputs.labelled else None
        return Translations(inputs.images[rows], samples, None if truth is None else truth.images[rows], labels, state)

    def evaluate(samples: np.ndarray, state: TrainState) -> Evaluation:
        values = {name: float(value) for name, value in measure(collect(samples, state)).items()}
        protocol = {"evaluator": evaluator, "data": held_out.data[0].name, "n_fake": len(samples)}
        return Evaluation(values, dict.fromkeys(values, protocol))

    def picture(samples: np.ndarray) -> Image.Image:
        return pictures.rows(preview(collect(samples, None)))

    return Experiment(
        game,
        source,
        sample,
        evaluate=evaluate,
        output=outputs.Images(picture),
        preview_count=PREVIEW_COUNT,
        inputs=Inputs(lambda: held_out.data[0].images, held_out.shape, multiple),
        data=data,
    )


def paired_errors(translations: Translations) -> dict[str, float]:
    """Returns means over the images: L1 distance in grey levels, PSNR in dB, and SSIM. Without a truth, nothing."""
    if translations.truth is None:
        return {}
    images = translations.outputs, translations.truth
    values = {"l1": paired.mean_absolute_error(*images), "psnr": paired.psnr(*images), "ssim": paired.ssim(*images)}
    return {name: float(value.mean()) for name, value in values.items()}


def show_columns(translations: Translations) -> list[np.ndarray]:
    """Returns inputs, outputs and, where there is one, the truth."""
    truth = [] if translations.truth is None else [translations.truth]
    return [translations.inputs, translations.outputs, *truth]


def require_shape(data: ImageData, shape: tuple[int, ...], hint: str) -> ImageData:
    """Returns the data set. Raises UserError, with the hint, if its images do not have the given shape [H, W, C]."""
    if tuple(data.shape) != tuple(shape):
        have, need = (" x ".join(map(str, s)) for s in (data.shape, shape))
        raise UserError(f"{data.name} has images of {have}, and the networks take {need}; {hint}")
    return data
