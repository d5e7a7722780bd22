"""Trains five methods on six small data sets and writes benchmarks/results/toys.json: `python docs/toys.py`.

Runs are in runs/NAME, and those that are trained already are only evaluated. It takes about half an hour on two CPU
cores.
"""

import datetime
import json
from pathlib import Path

import jaxgan
from jaxgan.training import workdir

METHODS = ("minimax", "non_saturating", "wgan", "wgan_gp", "r3gan")
TESTBEDS = ("dirac", "ring", "grid", "swiss_roll", "digits", "digits_conv")
RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results" / "toys.json"


def main() -> None:
    """Trains, evaluates 2,000 samples of each run, and writes one record per run."""
    records = []
    for testbed in TESTBEDS:
        for method in METHODS:
            run = jaxgan.train(f"{method}/{testbed}")
            conditions = {"hardware": workdir.hardware(), "date": datetime.date.today().isoformat()}
            records.append(run.evaluate(samples=2_000) | {"seed": run.config.seed} | conditions)
            RESULTS.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
