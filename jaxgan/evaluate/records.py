"""Measures of a trained run as records: each number with all that it depends on."""

import datetime
from collections.abc import Sequence
from typing import Any

from PIL import Image

from jaxgan import metrics, workdir
from jaxgan.errors import Problem
from jaxgan.evaluate.measures import Subject, get
from jaxgan.evaluate.reals import Reals
from jaxgan.run import Run, in_turn


def measure(
    run: Run, names: Sequence[str], reals: Reals, n: int, seed: int = 0
) -> tuple[list[dict[str, Any]], dict[str, Image.Image]]:
    """Measure n samples of each of a run's seeds by the measures of those names.

    Returns:
        records: One a number: `metric`, `value` (for several seeds with its median and spread), and its protocol.
        pictures: Of the first seed's samples, by name.
    """
    measures = get(names)
    labels = in_turn(run.experiment, n) if run.experiment.classes else None
    subjects = [Subject(run.sample(n, seed, member), reals, labels) for member in range(run.config.seeds)]
    if subjects[0].samples.ndim != 4:
        raise Problem(f"samples of {run.entry.name} are points, and --metrics are of images")
    about = workdir.protocol(run.entry, run.config, step=run.step, seed=run.config.seed, seeds=run.config.seeds)
    about |= {"sample_seed": seed, "hardware": workdir.hardware(), "date": datetime.date.today().isoformat()}
    records, pictures = [], {}
    for take in measures.values():
        found = [take(subject) for subject in subjects]
        for metric in found[0].values:
            values = [one.values[metric] for one in found]
            value = metrics.summary(values if len(values) > 1 else values[0])
            records.append({"metric": metric, "value": value, "n_fake": n, **found[0].protocol, **about})
        pictures |= found[0].pictures
    return records, pictures
