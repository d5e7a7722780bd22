"""Phase shuffle in WaveGAN (Donahue et al. 2019, table 1), on synthetic instruments.

python launch.py figure wavegan/phase_shuffle
"""

from typing import Any

from experiments.wavegan import PAPER
from jaxgan.render import pictures, plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec

STEPS = 6_000
VARIANTS = {"shuffled": 2, "plain": 0}  # largest shift


@figures.register(
    "wavegan/phase_shuffle",
    paper=PAPER,
    shows="class balance and score of samples with and without phase shuffle, 3 seeds",
    minutes=None,
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
        runs={name: run_spec("wavegan/sounds", STEPS, shuffle=shift, seeds=3) for name, shift in VARIANTS.items()},
        claims=(Claim("score with phase shuffle minus score without it, medians of 3 seeds", "gain", least=0),),
    )
