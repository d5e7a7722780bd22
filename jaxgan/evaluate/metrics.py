"""Metrics of samples by name. Each returns its values with the protocol without which they cannot be compared."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxgan.data.datasets import Dataset
from jaxgan.errors import UserError, did_you_mean
from jaxgan.evaluate import classifier, inception, lpips, pixels, random_network, vgg
from jaxgan.evaluate.diversity import copying_test, feature_likelihood, vendi_score
from jaxgan.evaluate.frechet import frechet_distance, moments
from jaxgan.evaluate.kernel import kernel_distance
from jaxgan.evaluate.modes import kl_divergence
from jaxgan.evaluate.neighbours import expected_coverage, prdc
from jaxgan.evaluate.reference import LoadSplit, ReferenceSet, subset_indices
from jaxgan.evaluate.samples import EvaluatedSamples, MetricResult, require_enough
from jaxgan.evaluate.super_resolution import set5
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


def classifier_score(s: EvaluatedSamples) -> MetricResult:
    """The formula of the Inception score on the feature classifier's classes; at most their number."""
    from scipy.special import softmax

    from jaxgan.evaluate.inception_score import inception_score

    mean, std = require_enough(lambda: inception_score(softmax(np.float64(s.classifier_outputs[1]), axis=1)))
    name, protocol = f"score_{s.reference.name}", s.reference.classifier.protocol | {"splits": 10}
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
    _require_labels("agreement", s)
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


def intra_fd(s: EvaluatedSamples) -> MetricResult:
    """Fréchet distance within each class on the feature classifier: the mean over the classes, and the worst class."""
    _require_labels("intra_fd", s)
    name, real = f"intra_fd_{s.reference.name}", s.reference.classifier_features
    return MetricResult(_within_classes(name, s, real.features, s.classifier_outputs[0]), real.protocol)


def intra_fid(s: EvaluatedSamples) -> MetricResult:
    """Fréchet Inception distance within each class: the mean over the classes, and the worst class."""
    _require_labels("intra_fid", s)
    name, weights = _inception_name("intra_fid", "intra_fd_inception", s), s.reference.inception_weights
    values = _within_classes(name, s, s.reference.all_inception_features, s.inception.pool3)
    return MetricResult(values, s.reference.protocol | inception.protocol(weights))


def _within_classes(name: str, s: EvaluatedSamples, real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    """Returns the mean and the largest Fréchet distance between features of the same class of reals and samples."""
    of_class = lambda x, labels, label: require_enough(lambda: moments([x[labels == label]]))
    distances = [
        frechet_distance(of_class(real, s.reference.labels, label), of_class(fake, s.labels, label))
        for label in np.unique(s.labels)
    ]
    return {name: float(np.mean(distances)), f"worst_{name}": float(max(distances))}


def classification_accuracy(s: EvaluatedSamples) -> MetricResult:
    """Classification accuracy score: of a classifier that is trained on samples, for real images, and the reverse.

    `cas` is the accuracy on test images (training images, if there is no test split) of the feature classifier's recipe
    trained on the samples and their requested classes. `cas_of_training_images` is that of the recipe trained on the
    training images. `cas_reverse` is the accuracy of the latter on the samples. Reference: Ravuri & Vinyals 2019,
    arXiv 1905.10887, section 3, whose classifiers are ResNets.
    """
    _require_labels("cas", s)
    train, test = s.reference.train, s.reference.test
    samples = Dataset(f"samples of {train.name}", s.samples, s.labels, train.classes)
    own = classifier.train_classifier(samples, test or train, classifier.RECIPE)
    values = {
        "cas": own.protocol["accuracy"],
        "cas_of_training_images": s.reference.classifier.protocol["accuracy"],
        "cas_reverse": float((s.predicted_classes == s.labels).mean()),
    }
    real = s.reference.classifier.protocol
    protocol = {"evaluator": "classifier trained on samples", "recipe": real["recipe"], "data": (test or train).name}
    return MetricResult(values, protocol | {"n_real": len((test or train).images), "weights": real["weights"]})


def vendi(s: EvaluatedSamples) -> MetricResult:
    """Vendi score on the feature classifier: the effective number of distinct samples, and of training images."""
    real, n = s.reference.classifier_features, len(s.samples)
    rows = subset_indices(len(real.features), n)
    values = {
        "vendi": vendi_score(s.classifier_outputs[0]),
        "vendi_of_training_images": vendi_score(real.features[rows]),
    }
    return MetricResult(values, real.protocol | {"n_real": len(rows)})


def copying(s: EvaluatedSamples) -> MetricResult:
    """C_T test of copying on the feature classifier, a z-score.

    Below -3, samples lie closer to training images than test images do. Raises UserError if there is no test split.
    """
    real, held_out = s.reference.classifier_features, _held_out_features(s)
    score = copying_test(real.features, held_out, s.classifier_outputs[0])
    return MetricResult({"c_t": score}, real.protocol | {"n_test": len(held_out), "cells": 3})


def likelihood(s: EvaluatedSamples) -> MetricResult:
    """Likelihood of features of the feature classifier under Gaussians around those of samples, see the function.

    In nats per dimension, of test images, and how much larger that of training images is. At most 5,000 images of each
    kind are compared. Raises UserError if there is no test split.
    """
    real, held_out = s.reference.classifier_features, _held_out_features(s)
    few = lambda x: x[subset_indices(len(x), 5_000)]
    train, test, fake = few(real.features), few(held_out), few(s.classifier_outputs[0])
    of_train, of_test = feature_likelihood(train, test, fake)
    protocol = real.protocol | {"n_real": len(train), "n_test": len(test), "n_fake": len(fake)}
    return MetricResult({"likelihood": of_test, "likelihood_gap": of_train - of_test}, protocol)


def _held_out_features(s: EvaluatedSamples) -> np.ndarray:
    """Returns the feature classifier's features of the test images. Raises UserError if there are none."""
    if s.reference.test is None:
        raise UserError(f"{s.reference.train.name} has no test split, which this metric compares with")
    return s.reference.classifier.features_and_logits(s.reference.test.images)[0]


def inception_precision_recall(s: EvaluatedSamples) -> MetricResult:
    """Improved precision and recall, density and coverage on the Inception network, with as many reals as samples."""
    real, fake = s.reference.inception_features, s.inception.pool3
    n = min(len(real.features), len(fake))
    rows, fake_rows = subset_indices(len(real.features), n), subset_indices(len(fake), n)
    values = require_enough(lambda: prdc(real.features[rows], fake[fake_rows], K))
    values = {f"{name}_inception": value for name, value in values.items()}
    return MetricResult(values, real.protocol | {"n_real": n, "k": K})


def vgg_precision_recall(s: EvaluatedSamples) -> MetricResult:
    """Improved precision and recall, density and coverage on VGG-16, with as many real images as samples."""
    real = s.reference.vgg_features(len(s.samples))
    fake = s.vgg[subset_indices(len(s.vgg), len(real))]
    values = {f"{name}_vgg": value for name, value in require_enough(lambda: prdc(real, fake, K)).items()}
    return MetricResult(
        values, s.reference.protocol | vgg.protocol(s.reference.vgg_weights) | {"n_real": len(real), "k": K}
    )


def lpips_diversity(s: EvaluatedSamples) -> MetricResult:
    """Mean LPIPS distance of random pairs of samples, and of as many training images."""
    weights, linear, real = s.reference.vgg_weights, lpips.load_linear(), s.reference.train.images
    score = lambda images: require_enough(lambda: lpips.diversity(images, weights.variables["params"], linear))
    real = real[subset_indices(len(real), len(s.samples))]
    protocol = {"evaluator": "LPIPS 0.1, VGG-16", "weights": weights.sha256, "linear_weights": lpips.SHA256}
    protocol |= {"resize": lpips.RESIZE, "data": s.reference.train.name, "n_real": len(real)}
    return MetricResult({"lpips": score(s.samples), "lpips_of_training_images": score(real)}, protocol)


def clean_fid(s: EvaluatedSamples) -> MetricResult:
    """Fréchet Inception distance with clean-fid's antialiased bicubic resize."""
    real = s.reference.clean_inception_features
    distance = frechet_distance(real.moments, moments([s.clean_inception.pool3]))
    return MetricResult({_inception_name("clean_fid", "clean_fd_inception", s): distance}, real.protocol)


def fd_dinov2(s: EvaluatedSamples) -> MetricResult:
    """Fréchet distance on DINOv2."""
    real = s.reference.dinov2_features
    return MetricResult({"fd_dinov2": frechet_distance(real.moments, moments([s.dinov2]))}, real.protocol)


def fd_random(s: EvaluatedSamples) -> MetricResult:
    """Fréchet distance on a network of random weights, which needs neither classes nor a download."""
    real = s.reference.random_features
    distance = require_enough(lambda: frechet_distance(real.moments, moments([random_network.features(s.samples)])))
    return MetricResult({"fd_random": distance}, real.protocol)


def fid_or_fd_random(s: EvaluatedSamples) -> MetricResult:
    """Fréchet Inception distance where its weights and an accelerator are at hand, and else that on random weights."""
    return (fid if inception.at_hand() else fd_random)(s)


METRICS: dict[str, Metric] = {
    "fd": fd,
    "kd": kd,
    "score": classifier_score,
    "prdc": precision_recall,
    "balance": balance,
    "agreement": agreement,
    "intra_fd": intra_fd,
    "cas": classification_accuracy,
    "vendi": vendi,
    "copying": copying,
    "likelihood": likelihood,
    "modes": stacked_modes,
    "neighbours": pixels.neighbours,
    "pixels": pixels.statistics,
    "parzen": pixels.parzen_window,
    "fd_random": fd_random,
    "fid_or_fd_random": fid_or_fd_random,
    "fid": fid,
    "intra_fid": intra_fid,
    "kid": kid,
    "is": inception_score_metric,
    "clean_fid": clean_fid,
    "fd_dinov2": fd_dinov2,
    "prdc_inception": inception_precision_recall,
    "set5": set5,
    "prdc_vgg": vgg_precision_recall,
    "lpips": lpips_diversity,
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


def _require_labels(metric: str, s: EvaluatedSamples) -> None:
    if s.labels is None:
        raise UserError(f"{metric} needs class-conditional samples, and this experiment has no classes")


def _inception_name(published_name: str, other_name: str, s: EvaluatedSamples) -> str:
    """Returns the metric's common name on the published weights, else a name that contains the weights' digest."""
    weights = s.reference.inception_weights
    return published_name if inception.is_published(weights) else f"{other_name}_{weights.sha256[:8]}"


def _kernel_result(name: str, real: np.ndarray, fake: np.ndarray, protocol: dict[str, Any]) -> MetricResult:
    distance = require_enough(lambda: kernel_distance(real, fake))
    values = {name: distance["mean"], f"{name}_std": distance["std"]}
    return MetricResult(values, protocol | {"subsets": "100 of 1,000"})
