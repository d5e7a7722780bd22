"""Table 1 of SeqGAN (Yu et al. 2017): the oracle's likelihood of sequences, before and after the game.

python launch.py figure seqgan/table1
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.seqgan import PAPER, Config
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec
from jaxgan.training.metric_log import summarise_seeds

MLE_STEPS = Config().mle_steps
STEPS = (0, 500, 1_000, 2_000, MLE_STEPS, 4_500, 5_500, 6_500, 7_500, 8_500)
TITLES = {"seqgan": "SeqGAN", "gumbel": "Gumbel-softmax"}
SAMPLES = 2_000


@figures.register(
    "seqgan/table1",
    paper=PAPER,
    shows="negative log-likelihood of samples by the oracle: random, maximum likelihood, SeqGAN, 3 seeds",
    minutes=8,
)
def table1() -> Figure:
    """Each seed has an oracle of its own, so differences are taken seed by seed. Gumbel-softmax has one seed."""

    def measure(runs: Runs) -> Numbers:
        numbers: dict[str, Any] = {"steps": np.array([run.step for run in runs["seqgan"]])}
        for name in TITLES:
            values = [run.evaluate(SAMPLES) for run in runs[name]]
            for key in ("nll_oracle", "nll_of_data", "nll_oracle_of_data"):
                of_seeds = lambda x: x["seeds"] if isinstance(x, Mapping) else [x]
                numbers[f"{name}/{key}"] = np.array([of_seeds(value[f"eval/{key}"]) for value in values]).T  # [K, T]
        nll, mle = numbers["seqgan/nll_oracle"], STEPS.index(MLE_STEPS)
        by_seed = {"random": nll[:, 0], "mle": nll[:, mle], "seqgan": nll[:, -1]}
        by_seed["gumbel"] = numbers["gumbel/nll_oracle"][:, -1]
        by_seed["data"] = numbers["seqgan/nll_oracle_of_data"][:, -1]
        numbers |= {name: summarise_seeds(values) for name, values in by_seed.items()}
        numbers["random_minus_mle"] = float((by_seed["random"] - by_seed["mle"]).min())
        gain = by_seed["mle"] - by_seed["seqgan"]
        numbers["gain"] = summarise_seeds(gain)
        standard_error = gain.std(ddof=1) / np.sqrt(len(gain))
        numbers["gain_in_standard_errors"] = float(gain.mean() / max(standard_error, 1e-9))
        return numbers

    def plot(numbers: Numbers) -> Any:
        fig, ((left, right),) = plots.subplots(1, 2, height=2.4)
        for name, title in TITLES.items():
            plots.median_band(left, numbers["steps"], numbers[f"{name}/nll_oracle"], title)
            plots.median_band(right, numbers["steps"], numbers[f"{name}/nll_of_data"], title)
        left.axhline(numbers["data"]["median"], color="black", linewidth=0.8, linestyle=":", label="data")
        for ax, label in ((left, "samples, by the oracle"), (right, "data, by the generator")):
            ax.axvline(MLE_STEPS, color="grey", linewidth=0.8)
            ax.set(xlabel="step", ylabel="nats per token", title=f"Negative log-likelihood of {label}")
        left.legend()
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        runs={
            "seqgan": run_spec("seqgan/oracle", *STEPS, seeds=3),
            "gumbel": run_spec("gumbel_gan/oracle", *STEPS),
        },
        claims=(
            Claim("random minus maximum likelihood, nats per token, least of 3 seeds", "random_minus_mle", least=0),
            Claim(
                "maximum likelihood minus SeqGAN, mean of 3 seeds in standard errors",
                "gain_in_standard_errors",
                least=2,
            ),
        ),
    )
