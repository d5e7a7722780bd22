"""Figure 2 of SRGAN (Ledig et al. 2017, arXiv 1609.04802), on CIFAR-10.

python launch.py figure srgan/fig2
"""

from typing import Any

from experiments.srgan import PAPER
from jaxgan.data.resolution import enlarge
from jaxgan.evaluate.super_resolution import FACTOR
from jaxgan.render import plots
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, register, run_spec

PRETRAIN, STEPS = 12_000, 12_700
SHOWN = 8


@register(
    "srgan/fig2",
    paper=PAPER,
    shows="8x8 pixels enlarged to 32x32: bicubic, SRResNet, SRGAN and the truth",
    minutes=15,
)
def fig2() -> Figure:
    """One run at the end of its pretraining on pixels, which is SRResNet, and at its end.

    Training is reduced to 12,700 steps, at four times the paper's learning rate, and the classifier of CIFAR-10 is
    trained before it (3 minutes).
    PSNR and SSIM are of the Y channel, on 1,000 held-out images. Sharpness is the mean square of the differences of
    adjacent pixels, relative to the truth.
    """

    def measure(runs: Runs) -> Numbers:
        numbers: dict[str, Any] = {}
        for label, run in zip(("SRResNet", "SRGAN"), runs["SRGAN"], strict=True):
            low = run.experiment.inputs.load()
            truth = run.experiment.data("test").in_memory().images
            outputs = run.sample(len(low))
            values = run.experiment.evaluate(outputs, run.state).values
            numbers |= {f"{label}, {name}": values[name] for name in ("psnr", "ssim", "sharpness")}
            numbers |= {f"bicubic, {name}": values[f"bicubic_{name}"] for name in ("psnr", "ssim", "sharpness")}
            numbers[label] = outputs[:SHOWN]
        numbers |= {"bicubic": enlarge(low[:SHOWN], FACTOR), "truth": truth[:SHOWN]}
        numbers["gain"] = numbers["SRResNet, psnr"] - numbers["bicubic, psnr"]
        numbers["cost"] = numbers["SRResNet, psnr"] - numbers["SRGAN, psnr"]
        return numbers

    def plot(numbers: Numbers) -> Any:
        labels = ("bicubic", "SRResNet", "SRGAN")
        titles = {label: f"{label}\n{numbers[f'{label}, psnr']:.1f} dB" for label in labels}
        return plots.image_columns({name: numbers[name] for name in (*labels, "truth")}, titles)

    return Figure(
        runs={"SRGAN": run_spec("srgan/cifar10", PRETRAIN, STEPS, pretrain=PRETRAIN, lr=4e-4)},
        measure=measure,
        plot=plot,
        claims=(
            Claim("PSNR of SRResNet above that of bicubic enlargement, in dB", "gain", least=1.0),
            Claim("PSNR of SRResNet above that of SRGAN, in dB", "cost", least=0.0),
            Claim("sharpness of SRGAN, relative to the truth", "SRGAN, sharpness", least=0.7, most=1.3),
            Claim("sharpness of SRResNet, relative to the truth", "SRResNet, sharpness", most=0.7),
        ),
    )
