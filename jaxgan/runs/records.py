"""Measures a trained run with named metrics and records each number with everything that it depends on."""

import datetime
import functools
from collections.abc import Sequence
from typing import Any

from PIL import Image

from jaxgan.errors import UserError
from jaxgan.evaluate import metrics
from jaxgan.evaluate.reference import ReferenceSet
from jaxgan.evaluate.samples import EvaluatedSamples
from jaxgan.render.outputs import Images
from jaxgan.runs.run import Run
from jaxgan.settings import check_values
from jaxgan.training import workdir
from jaxgan.training.metric_log import summarise_seeds
from jaxgan.training.sampling import EvaluationSettings, cyclic_labels, evaluation_count


def measure(
    run: Run, names: Sequence[str], reference: ReferenceSet, n: int, seed: int = 0
) -> tuple[list[dict[str, Any]], dict[str, Image.Image]]:
    """Measures n samples of each seed of a run. Runs that translate images give at most one per held-out image.

    Args:
        run: A run that generates images.
        names: Keys of `metrics.METRICS`.
        reference: The real images to compare with.
        n: Samples per seed.
        seed: Seed of the latents.

    Returns:
        records: One per number: `metric`, `value` (for several seeds a summary over them), and its protocol.
        pictures: Pictures of the first seed's samples, by name.

    Raises UserError for an unknown metric, for a value out of range, and for runs that do not generate images.
    """
    check_values(EvaluationSettings, samples=n, seed=seed)
    chosen = metrics.get(names)
    if not isinstance(run.experiment.output, Images):
        raise UserError(f"{run.entry.name} generates {run.experiment.output.name}, and --metrics measure images")
    n = evaluation_count(run.experiment, n)
    labels = cyclic_labels(run.experiment, n) if run.experiment.classes else None

    def draw(member: int) -> EvaluatedSamples:
        translate = functools.partial(run.translate, member=member) if run.experiment.inputs else None
        return EvaluatedSamples(run.sample(n, seed, member), reference, labels, translate)

    seeds = [draw(member) for member in range(run.config.seeds)]
    protocol = workdir.protocol(run.entry.name, run.config, step=run.step, seed=run.config.seed, seeds=run.config.seeds)
    protocol |= {"sample_seed": seed, "hardware": workdir.hardware(), "date": datetime.date.today().isoformat()}
    records, pictures = [], {}
    for metric in chosen.values():
        results = [metric(samples) for samples in seeds]
        for name in results[0].values:
            values = [result.values[name] for result in results]
            value = summarise_seeds(values if len(values) > 1 else values[0])
            records.append({"metric": name, "value": value, "n_fake": n, **results[0].protocol, **protocol})
        pictures |= results[0].pictures
    return records, pictures
