"""Metrics of samples by name. Each returns its values with the protocol without which they cannot be compared."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxgan.errors import UserError, did_you_mean
from jaxgan.evaluate import inception, pixels
from jaxgan.evaluate.frechet import frechet_distance, moments
from jaxgan.evaluate.kernel import kernel_distance
from jaxgan.evaluate.modes import kl_divergence
from jaxgan.evaluate.neighbours import expected_coverage, prdc
from jaxgan.evaluate.reference import LoadSplit, ReferenceSet, subset_indices
from jaxgan.evaluate.samples import EvaluatedSamples, MetricResult, require_enough
from jaxgan.training.experiment import Evaluation

K = 5  # neighbours in precision, recall, density and coverage
EVEN_SHARE_DIVISOR = 5  # A class is present if it has a fifth of an even share of the samples: 2 % with ten classes.

Metric = Callable[[EvaluatedSamples], MetricResult]


def fd(s: EvaluatedSamples) -> MetricResult:
    """Fréchet distance on the feature classifier, named after the data set."""
    real = s.reference.classifier_features
    distance = frechet_distance(real.moments, moments([s.classifier_outputs[0]]))
    return MetricResult({f"fd_{s.reference.name}": distance}, real.protocol)


def kd(s: EvaluatedSamples) -> MetricResult:
    """Kernel distance on the feature classifier, named after the data set."""
    real = s.reference.classifier_features
    return _kernel_result(f"kd_{s.reference.name}", real.features, s.classifier_outputs[0], real.protocol)


def fid(s: EvaluatedSamples) -> MetricResult:
    """Fréchet Inception distance."""
    real = s.reference.inception_features
    distance = frechet_distance(real.moments, moments([s.inception.pool3]))
    return MetricResult({_inception_name("fid", "fd_inception", s): distance}, real.protocol)


def kid(s: EvaluatedSamples) -> MetricResult:
    """Kernel Inception distance."""
    real = s.reference.inception_features
    name, n = _inception_name("kid", "kd_inception", s), len(real.features)
    return _kernel_result(name, real.features, s.inception.pool3, real.protocol | {"n_real": n})


def inception_score_metric(s: EvaluatedSamples) -> MetricResult:
    """Inception score."""
    from scipy.special import softmax  # Importing SciPy takes a moment.

    from jaxgan.evaluate.inception_score import inception_score

    mean, std = require_enough(lambda: inception_score(softmax(np.float64(s.inception.logits), axis=1)))
    name = _inception_name("is", "is_inception", s)
    protocol = inception.protocol(s.reference.inception_weights) | {"splits": 10}
    return MetricResult({name: mean, f"{name}_std": std}, protocol)


def precision_recall(s: EvaluatedSamples) -> MetricResult:
    """Precision, recall, density and coverage on the feature classifier, with as many real images as samples."""
    real, n = s.reference.classifier_features, len(s.samples)
    rows = subset_indices(len(real.features), n)
    values = require_enough(lambda: prdc(real.features[rows], s.classifier_outputs[0], K))
    expected = round(expected_coverage(len(rows), n, K), 4)
    return MetricResult(values, real.protocol | {"n_real": len(rows), "k": K, "expected_coverage": expected})


def balance(s: EvaluatedSamples) -> MetricResult:
    """Class balance: classes present, share of the rarest class, KL divergence from the data's classes in nats."""
    train = s.reference.train
    real = np.bincount(train.labels, minlength=len(train.classes))
    counts, n = np.bincount(s.predicted_classes, minlength=len(real)), len(s.samples)
    values = {
        "classes": float(np.sum(counts >= n / len(real) / EVEN_SHARE_DIVISOR)),
        "smallest_class": float(counts.min() / n),
        "class_kl": kl_divergence(counts, real),
    }
    return MetricResult(values, s.reference.classifier.protocol | {"data": train.name, "n_real": int(real.sum())})


def agreement(s: EvaluatedSamples) -> MetricResult:
    """Fraction of class-conditional samples that are classified as requested: of all, and of the worst class."""
    if s.labels is None:
        raise UserError("agreement needs class-conditional samples, and this experiment has no classes")
    correct = s.predicted_classes == s.labels
    by_class = [correct[s.labels == label].mean() for label in np.unique(s.labels)]
    values = {"agreement": float(correct.mean()), "worst_agreement": float(min(by_class))}
    return MetricResult(values, s.reference.classifier.protocol)


def stacked_modes(s: EvaluatedSamples) -> MetricResult:
    """Modes of Stacked MNIST that have a sample, of 1,000, and KL divergence of the samples from uniform in nats.

    `mode_kl_floor` is about the divergence of as many uniform samples. PacGAN takes 26,000 samples.
    """
    (n, *_, channels), classes = s.samples.shape, len(s.reference.train.classes)
    if channels == 1 or s.reference.train.images.shape[-1] != 1:
        raise UserError(
            f"modes needs samples that stack grey images as colours, as Stacked MNIST, not {channels} channel(s)"
        )
    grey = np.moveaxis(s.samples, -1, 0).reshape(n * channels, *s.samples.shape[1:-1], 1)
    predicted = s.reference.classifier.features_and_logits(grey)[1].argmax(1).reshape(channels, n)
    counts = np.bincount(np.ravel_multi_index(tuple(predicted), [classes] * channels), minlength=classes**channels)
    values = {
        "modes": float(np.sum(counts > 0)),
        "mode_kl": kl_divergence(counts, np.ones(len(counts))),
        "mode_kl_floor": (len(counts) - 1) / (2 * n),
    }
    return MetricResult(values, s.reference.classifier.protocol | {"of_modes": len(counts)})


METRICS: dict[str, Metric] = {
    "fd": fd,
    "kd": kd,
    "prdc": precision_recall,
    "balance": balance,
    "agreement": agreement,
    "modes": stacked_modes,
    "neighbours": pixels.neighbours,
    "pixels": pixels.statistics,
    "parzen": pixels.parzen_window,
    "fid": fid,
    "kid": kid,
    "is": inception_score_metric,
}

PIXEL_METRICS = ("neighbours", "pixels")  # They need no network, and no classes of the data.
CLASSIFIER_METRICS = ("fd", "prdc", "balance")


def default_names(reference: ReferenceSet) -> tuple[str, ...]:
    """Returns names of metrics that can be measured with a reference set and without a download."""
    return PIXEL_METRICS if reference.train.labels is None else CLASSIFIER_METRICS + PIXEL_METRICS


def get(names: Sequence[str]) -> dict[str, Metric]:
    """Returns the metrics of those names. Raises UserError with the closest names for an unknown one."""
    for name in names:
        if name not in METRICS:
            raise UserError(f"no metric {name!r}; {did_you_mean(name, METRICS)}")
    return {name: METRICS[name] for name in names}


def make_evaluator(names: Sequence[str], load_split: LoadSplit, classes: int = 0) -> Callable[[np.ndarray], Evaluation]:
    """Returns a function that measures samples: `make_evaluator(("fd", "prdc"), partial(load_tfds, "mnist"))`.

    It takes samples uint8 [N, H, W, C] and returns an `Evaluation` with the protocol of each value, including `n_fake`.
    The images are read at the first call, and kept for the next ones.

    Args:
        names: Keys of `METRICS`.
        load_split: Loads the splits of the data set.
        classes: Number of classes of class-conditional samples; sample i is expected to be of class i % classes.

    Raises UserError for an unknown name.
    """
    metrics, reference = get(names), ReferenceSet(load_split)

    def evaluate(samples: np.ndarray) -> Evaluation:
        n = len(samples)
        labels = (np.arange(n) % classes).astype(np.int32) if classes else None
        evaluated = EvaluatedSamples(samples, reference, labels)
        values, protocols = {}, {}
        for metric in metrics.values():
            result = metric(evaluated)
            values |= result.values
            protocols |= dict.fromkeys(result.values, result.protocol | {"n_fake": n})
        return Evaluation(values, protocols)

    return evaluate


def _inception_name(published_name: str, other_name: str, s: EvaluatedSamples) -> str:
    """Returns the metric's common name on the published weights, else a name that contains the weights' digest."""
    weights = s.reference.inception_weights
    return published_name if inception.is_published(weights) else f"{other_name}_{weights.sha256[:8]}"


def _kernel_result(name: str, real: np.ndarray, fake: np.ndarray, protocol: dict[str, Any]) -> MetricResult:
    distance = require_enough(lambda: kernel_distance(real, fake))
    values = {name: distance["mean"], f"{name}_std": distance["std"]}
    return MetricResult(values, protocol | {"subsets": "100 of 1,000"})
