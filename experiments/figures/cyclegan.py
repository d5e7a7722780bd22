"""Figures of CycleGAN (Zhu et al. 2017, arXiv 1703.10593), on points of the plane and on digits and their negatives.

python launch.py figure cyclegan/toy cyclegan/table5
"""

from typing import Any

import numpy as np

from experiments.cyclegan import MMD_STD, PAPER, bars, cloud, sample_points
from experiments.cyclegan_images import digit_classifier
from jaxgan.evaluate.kernel import mmd
from jaxgan.evaluate.paired import mean_absolute_error
from jaxgan.render import plots
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, register, run_spec
from jaxgan.training.metric_log import summarise_seeds

IMAGE_STEPS = 800
SHOWN = 8
LOSSES = {  # Table 5
    "full": {},
    "GAN alone": {"cycle": 0.0, "backward_cycle": 0.0},
    "cycle alone": {"adversarial": 0.0},
    "GAN + forward cycle": {"backward_cycle": 0.0},
    "GAN + backward cycle": {"cycle": 0.0},
}


@register(
    "cyclegan/toy",
    paper=PAPER,
    shows="points of the plane translated without pairs: adversarial and cycle loss together, and each of them alone",
    minutes=3,
)
def toy() -> Figure:
    """Three loss functions with three seeds each. MMDs are relative to that of two samples of Y."""
    settings = {"full": {}, "GAN alone": {"cycle": 0.0}, "cycle alone": {"adversarial": 0.0}}
    n = 2_000  # points

    def measure(runs: Runs) -> Numbers:
        x, y = sample_points(cloud, n, seed=1), sample_points(bars, n, seed=2)
        real_mmd = mmd(y, sample_points(bars, n, seed=3), MMD_STD)
        numbers: dict[str, Any] = {"x": x, "y": y, "real_mmd": real_mmd}
        for label, (run,) in runs.items():
            members = range(run.config.seeds)
            fakes = [np.asarray(run.network("forward", member)(x)) for member in members]
            cycled = [np.asarray(run.network("backward", member)(fakes[member])) for member in members]
            numbers[f"{label}, G(x)"], numbers[f"{label}, F(G(x))"] = fakes[0], cycled[0]
            by_seed = {
                "mmd": np.array([mmd(fake, y, MMD_STD) for fake in fakes]) / real_mmd,
                "cycle": np.array([np.abs(c - x).mean() for c in cycled]) / x.std(),
                "moved": np.array([np.abs(fake - x).mean() for fake in fakes]) / x.std(),
            }
            numbers |= {f"{label}, {name}": summarise_seeds(values) for name, values in by_seed.items()}
        median = lambda name: numbers[name]["median"]
        numbers["cycle_ratio"] = median("GAN alone, cycle") / median("full, cycle")
        numbers["mmd_ratio"] = median("cycle alone, mmd") / median("full, mmd")
        return numbers

    def plot(numbers: Numbers) -> Any:
        fig, axes = plots.subplots(2, 3, height=2.2, sharex=True, sharey=True)
        hue = numbers["x"][:, 0].argsort().argsort() / n  # The rank of x on the first axis is the colour in all panels.
        for (top, bottom), label in zip(axes.T, settings, strict=True):
            for ax, key, data in ((top, "G(x)", "y"), (bottom, "F(G(x))", "x")):
                ax.scatter(*numbers[data].T, s=2, c="0.8", linewidths=0)
                ax.scatter(*numbers[f"{label}, {key}"].T, s=2, c=hue, linewidths=0)
                ax.set(aspect="equal", xlim=(-2, 2), ylim=(-2, 2))
            top.set_title(f"{label}\nMMD {numbers[f'{label}, mmd']['median']:.1f} times that of data")
            bottom.set_title(f"cycle error {numbers[f'{label}, cycle']['median']:.3f} std")
        axes[0, 0].set_ylabel("G(x), over Y in grey")
        axes[1, 0].set_ylabel("F(G(x)), over X in grey")
        return fig

    return Figure(
        runs={label: run_spec("cyclegan/plane", 30_000, seeds=3, **changed) for label, changed in settings.items()},
        measure=measure,
        plot=plot,
        claims=(
            Claim("full loss: mean |F(G(x)) - x| in standard deviations of x", "full, cycle", most=0.05),
            Claim("full loss: MMD of G(x) and Y, relative to that of two samples of Y", "full, mmd", most=3.0),
            Claim("GAN alone: cycle error relative to that of the full loss", "cycle_ratio", least=5.0),
            Claim("cycle alone: MMD of G(x) and Y, relative to that of the full loss", "mmd_ratio", least=5.0),
        ),
    )


@register(
    "cyclegan/table5",
    paper=PAPER,
    shows="digits and their negatives translated without pairs: which losses keep the class of a digit",
    minutes=10,
)
def table5() -> Figure:
    """Five losses. A classifier of MNIST judges G(x) on its negative, and F(y) as it is.

    Training is reduced to 800 steps of 8 images per domain, at five times the paper's learning rate, so that it takes 8
    minutes on one CPU core.
    """

    def measure(runs: Runs) -> Numbers:
        numbers: dict[str, Any] = {}
        classifier = digit_classifier()
        kept = lambda digits, labels: float(np.mean(classifier.predict(digits) == labels))
        for label, (run,) in runs.items():
            x, y = run.experiment.inputs.load()[:1_000], run.experiment.backward.inputs.load()[:1_000]
            labels = [classifier.predict(x), classifier.predict(255 - y)]
            there, back = run.translate(x), run.translate(y, backward=True)
            cycled = run.translate(there, backward=True)
            numbers["x"], numbers[label] = x[:SHOWN], there[:SHOWN]
            numbers[f"{label}, kept"] = kept(255 - there, labels[0])
            numbers[f"{label}, kept backward"] = kept(back, labels[1])
            numbers[f"{label}, cycle"] = float(mean_absolute_error(cycled, x).mean())
        least = min(numbers["full, kept"], numbers["full, kept backward"])
        numbers |= {"full, kept in both": least, "full above GAN": numbers["full, kept"] - numbers["GAN alone, kept"]}
        numbers["full above cycle"] = numbers["full, kept"] - numbers["cycle alone, kept"]
        return numbers

    def plot(numbers: Numbers) -> Any:
        short = {label: label.replace("GAN + ", "GAN +\n") for label in LOSSES}
        titles = {label: f"{short[label]}\nkept {100 * numbers[f'{label}, kept']:.0f} %" for label in LOSSES}
        return plots.image_columns({name: numbers[name] for name in ("x", *LOSSES)}, titles)

    half = IMAGE_STEPS // 2
    spec = lambda settings: run_spec("cyclegan/mnist_inverted", IMAGE_STEPS, lr=1e-3, hold=half, decay=half, **settings)
    return Figure(
        runs={label: spec(settings) for label, settings in LOSSES.items()},
        measure=measure,
        plot=plot,
        claims=(
            Claim(
                "full loss: share of digits that keep their class, in the worse direction",
                "full, kept in both",
                least=0.9,
            ),
            Claim("share kept with the full loss, minus that of the GAN alone", "full above GAN", least=0.0),
            Claim("share kept with the full loss, minus that of the cycle alone", "full above cycle", least=0.0),
        ),
    )
