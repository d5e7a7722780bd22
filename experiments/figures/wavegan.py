"""Table 1 of Donahue et al. 2019 on synthetic instruments: WaveGAN, SpecGAN, and phase shuffle.

python launch.py figure wavegan/table1 wavegan/phase_shuffle
"""

from typing import Any

import numpy as np

from experiments.wavegan import PAPER, Config
from jaxgan.data import audio
from jaxgan.render import pictures, plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec

STEPS = 4_000
METHODS = {"wavegan": "WaveGAN", "specgan": "SpecGAN"}
SHUFFLE_STEPS = 2_000
VARIANTS = {"shuffled": 2, "plain": 0}  # largest shift
MEASURES = {"score_instruments": "score", "fd_instruments": "fd", "class_kl": "class_kl", "copied": "copied"}


@figures.register(
    "wavegan/table1",
    paper=PAPER,
    shows="score, Fréchet distance and copies of WaveGAN's and of SpecGAN's instruments",
    minutes=14,
)
def table1() -> Figure:
    """The score is that of Inception's formula on a classifier of the four instruments; 4 is the largest.

    A sample is a copy if its spectrogram is nearer to a training sound's than half of what is usual in the data.
    """

    def measure(runs: Runs) -> Numbers:
        numbers: dict[str, Any] = {}
        for name in METHODS:
            (run,) = runs[name]
            values = run.evaluate(2_000)
            numbers |= {f"{name}/{short}": values[f"eval/{key}"] for key, short in MEASURES.items()}
            excess = values["eval/copied"] - values["eval/copied_of_training_images"]
            numbers |= {f"{name}/excess_copies": excess, f"{name}/pictures": pictures.spectrograms(run.sample(16))}
        sounds, _ = audio.labelled_sounds(audio.instruments(Config().length, Config().rate), 16, seed=2)
        numbers["data/pictures"] = pictures.spectrograms(sounds)
        return numbers | {"gain": numbers["specgan/score"] - numbers["wavegan/score"]}

    def plot(numbers: Numbers) -> Any:
        fig, axes = plots.subplots(1, 3, height=1.8)
        titles = {name: f"{title}: score {numbers[f'{name}/score']:.2f}" for name, title in METHODS.items()}
        for ax, (name, title) in zip(axes[0], {"data": "data", **titles}.items(), strict=True):
            ax.imshow(pictures.grid(np.asarray(numbers[f"{name}/pictures"]), columns=4), cmap="gray")
            ax.set_title(title)
            ax.axis("off")
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        runs={name: run_spec(f"{name}/sounds", STEPS) for name in METHODS},
        claims=(
            Claim("score of SpecGAN minus that of WaveGAN (in the paper 6.0 and 4.7, of 10)", "gain", least=0),
            *(
                Claim(
                    f"share of {title}'s samples that are copies, above that in the data",
                    f"{name}/excess_copies",
                    most=0.05,
                )
                for name, title in METHODS.items()
            ),
        ),
    )


@figures.register(
    "wavegan/phase_shuffle",
    paper=PAPER,
    shows="class balance and score of samples with and without phase shuffle, 3 seeds",
    minutes=20,
)
def phase_shuffle() -> Figure:
    """The score is that of Inception's formula on a classifier of the four instruments; 4 is the largest."""

    def measure(runs: Runs) -> Numbers:
        numbers: dict[str, Any] = {}
        for name in VARIANTS:
            (run,) = runs[name]
            values = run.evaluate(2_000)
            numbers |= {f"{name}/{key}": values[f"eval/{key}_instruments"] for key in ("score", "fd")}
            numbers[f"{name}/class_kl"] = values["eval/class_kl"]
            numbers[f"{name}/pictures"] = pictures.spectrograms(run.sample(8))
        difference = lambda key: numbers[f"shuffled/{key}"]["median"] - numbers[f"plain/{key}"]["median"]
        return numbers | {"gain": difference("score"), "kl": difference("class_kl")}

    def plot(numbers: Numbers) -> Any:
        fig, axes = plots.subplots(1, 2, height=1.6)
        for ax, (name, shift) in zip(axes[0], VARIANTS.items(), strict=True):
            ax.imshow(pictures.grid(numbers[f"{name}/pictures"], columns=8), cmap="gray")
            ax.set_title(f"shifts up to {shift}: score {numbers[f'{name}/score']['median']:.2f}")
            ax.axis("off")
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        runs={
            name: run_spec("wavegan/sounds", SHUFFLE_STEPS, shuffle=shift, seeds=3) for name, shift in VARIANTS.items()
        },
        claims=(Claim("score with phase shuffle minus score without it, medians of 3 seeds", "gain", least=0),),
    )
