"""Figures of the original GAN on MNIST (Goodfellow et al. 2014): Parzen log-likelihood, and nearest neighbours.

    python launch.py figure gan/table1 gan/fig2

Both figures measure the same run: 250 epochs, one seed.
"""

from typing import Any

import numpy as np

from experiments.gan_mnist import PAPER, TRAIN_SPLIT
from experiments.testbeds import MNIST
from jaxgan.evaluate.neighbours import nearest
from jaxgan.evaluate.parzen import parzen
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec

VALIDATION_SPLIT = "train[50000:]"  # for the choice of the window's width
STEPS = (30_000, 75_000, 125_000)  # 60, 150 and 250 epochs
EPOCH = 500  # steps
RUNS = {"GAN": run_spec("gan/mnist", *STEPS)}
PUBLISHED = {"DBN": 138, "stacked CAE": 121, "deep GSN": 214, "GAN": 225}  # nats, table 1 of the paper
ROWS, COLUMNS = 6, 9  # of the samples shown


def flatten(images: np.ndarray) -> np.ndarray:
    """Returns images [N, ...] with pixels in [0, 255] as rows float32 [N, D] in [0, 1]."""
    return np.float32(images).reshape(len(images), -1) / 255


def parzen_log_likelihood(samples: np.ndarray) -> dict[str, float]:
    """Returns the Parzen window log-likelihood in nats of MNIST's test images under samples [N, ...] in [0, 255]."""
    valid, test = MNIST.target.data(VALIDATION_SPLIT).images[:1_000], MNIST.target.data("test").images
    return parzen(flatten(samples), flatten(valid), flatten(test))


def _measure_table1(runs: Runs) -> Numbers:
    from sklearn.cluster import MiniBatchKMeans  # Takes a second to import.

    *earlier, last = runs["GAN"]
    train = MNIST.target.data(TRAIN_SPLIT).images
    subset = train[np.random.default_rng(0).choice(len(train), 10_000, replace=False)]
    k_means = MiniBatchKMeans(500, random_state=0, n_init=1, batch_size=4096, max_iter=10)
    k_means.fit(np.float32(subset).reshape(len(subset), -1))
    results = {
        "samples": parzen_log_likelihood(last.sample(10_000)),
        "training images": parzen_log_likelihood(subset),
        "k-means": parzen_log_likelihood(k_means.cluster_centers_),
    }
    by_step = [parzen_log_likelihood(run.sample(10_000))["log_likelihood"] for run in earlier]
    numbers = {f"{name} {key}": value for name, values in results.items() for key, value in values.items()}
    by_step.append(numbers["samples log_likelihood"])
    return numbers | {"epochs": np.array(STEPS[: len(by_step)]) / EPOCH, "log_likelihoods": np.array(by_step)}


def _plot_table1(numbers: Numbers) -> Any:
    fig, ((ax, curve),) = plots.subplots(1, 2, height=2.2, width_ratios=[2, 1])
    measured = {"GAN, here": "samples", "training images": "training images", "their 500 means": "k-means"}
    rows = [(f"{name}, paper", nats, plots.COLOURS[5]) for name, nats in PUBLISHED.items()]
    rows += [(label, numbers[f"{key} log_likelihood"], plots.COLOURS[0]) for label, key in measured.items()]
    for y, (_, nats, colour) in enumerate(rows):
        ax.barh(y, nats, color=colour)
        ax.text(nats + 3, y, f"{nats:.0f}", va="center", fontsize=7)
    ax.set(yticks=range(len(rows)), yticklabels=[label for label, *_ in rows], xlabel="log-likelihood, nats")
    ax.invert_yaxis()
    curve.plot(numbers["epochs"], numbers["log_likelihoods"], marker="o")
    curve.set(xlabel="epoch", ylabel="log-likelihood, nats", ylim=(0, 1.1 * numbers["log_likelihoods"].max()))
    return fig


@figures.register(
    "gan/table1",
    paper=PAPER,
    shows="log-likelihood of MNIST's test images by a Parzen window on 10,000 samples; the paper has 225 ± 2 nats",
    minutes=110,
)
def table1() -> Figure:
    """For comparison, windows on 10,000 training images and on the 500 centres of k-means on these images."""
    return Figure(
        measure=_measure_table1,
        plot=_plot_table1,
        claims=(
            Claim("log-likelihood of the test images, nats", "samples log_likelihood", least=180, most=320),
            Claim("log-likelihood above that of the stacked CAE, 121 nats", "samples log_likelihood", least=121),
        ),
        runs=RUNS,
    )


def _measure_fig2(runs: Runs) -> Numbers:
    *_, run = runs["GAN"]
    train = MNIST.target.data(TRAIN_SPLIT).images
    samples = run.sample(2_000)
    indices, distances = nearest(flatten(samples), flatten(train))
    _, between_reals = nearest(flatten(train[::25]), flatten(np.delete(train, np.s_[::25], axis=0)))
    return {
        "samples": samples[: ROWS * COLUMNS],
        "neighbours": train[indices[COLUMNS - 1 : ROWS * COLUMNS : COLUMNS]],  # of the last sample of each row
        "distance": float(np.median(distances)),
        "among": float(np.median(between_reals)),
        "ratio": float(np.median(distances) / np.median(between_reals)),
    }


def _plot_fig2(numbers: Numbers) -> Any:
    fig, ((ax,),) = plots.subplots(1, 1, height=3.0, width=0.75 * plots.WIDTH)
    tile = lambda images, n: images.reshape(ROWS, n, 28, 28).swapaxes(1, 2).reshape(ROWS * 28, n * 28)
    gap = np.full((ROWS * 28, 8), 255, np.uint8)
    panels = [tile(numbers["samples"], COLUMNS), gap, tile(numbers["neighbours"], 1)]
    ax.imshow(np.concatenate(panels, axis=1), cmap="gray", interpolation="nearest")
    ax.set(xticks=[14 * COLUMNS, 28 * COLUMNS + 22], xticklabels=["samples", "nearest in training"], yticks=[])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return fig


@figures.register(
    "gan/fig2",
    paper=PAPER,
    shows="samples, and the training image nearest to the last sample of each row: digits that are not copies",
    minutes=110,
)
def fig2() -> Figure:
    """Distances in pixel space of 2,000 samples, and of every 25th training image to the other training images."""
    return Figure(
        measure=_measure_fig2,
        plot=_plot_fig2,
        claims=(
            Claim("median distance to the nearest training image: samples over training images", "ratio", least=0.5),
        ),
        runs=RUNS,
    )
