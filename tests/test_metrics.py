"""Metrics by name: known samples, required inputs, names of results, and protocols."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from jaxgan.data.datasets import Dataset, DiskDataset
from jaxgan.data.digits import digits
from jaxgan.errors import UserError
from jaxgan.evaluate import classifier, inception, metrics
from jaxgan.evaluate.reference import ReferenceSet, subset_indices
from jaxgan.evaluate.samples import EvaluatedSamples
from jaxgan.networks.inception import Features

CLASSES = tuple("0123456789")


class PixelClassifier:
    """Reads an image's class from its first pixel, and its features from other pixels."""

    protocol = {"evaluator": "first pixel", "weights": "0"}  # noqa: RUF012

    def features_and_logits(self, images):
        flat = images.reshape(len(images), -1)
        return flat[:, 10:16].astype(np.float32), np.eye(10)[flat[:, 0]]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def pixel_classifier(monkeypatch):
    monkeypatch.setattr(classifier, "train_classifier", lambda *_: PixelClassifier())
    return PixelClassifier()


def load_split(split):
    """Returns half of the digits, with their class in the first pixel."""
    data, half = digits(), slice({"train": 0, "test": 1}[split], None, 2)
    images = data.images[half].copy()
    images[:, 0, 0, 0] = data.labels[half]
    return Dataset(f"digits:{split}", images, data.labels[half], CLASSES)


def measure(name, samples, load=load_split, labels=None):
    return metrics.get([name])[name](EvaluatedSamples(samples, ReferenceSet(load), labels))


def test_distance_on_a_random_network_is_zero_for_the_reals_and_small_for_others_like_them():
    reals, others = load_split("train").images, load_split("test").images
    load = lambda split: Dataset("folder:train", reals)
    assert measure("fd_random", reals, load).values["fd_random"] == pytest.approx(0, abs=1e-3)
    close, far = (measure("fid_or_fd_random", x, load).values["fd_random"] for x in (others, 16 - others))
    assert 0 < 10 * close < far


def test_statistics_of_pixels_against_closed_forms():
    rng = np.random.default_rng(0)
    real = rng.integers(50, 151, [400, 4, 4, 3], np.uint8)
    load = lambda split: Dataset("noise:train", real)
    shifted = real + np.uint8([0, 0, 30])  # One channel is brighter.
    values = measure("pixels", shifted, load).values
    assert values["pixel_mean_error"] == pytest.approx(30)
    assert values["pixel_std_error"] == pytest.approx(0, abs=1e-9)
    assert values["pixel_diversity"] == pytest.approx(1)
    equal = np.full_like(real, 100)
    values = measure("pixels", equal, load).values
    assert values["pixel_std_error"] == pytest.approx(np.sqrt((101**2 - 1) / 12), rel=0.05)  # of a uniform integer
    assert values["pixel_diversity"] == 0
    halved = np.uint8(np.rint(100 + (real - 100.0) / 2))
    assert measure("pixels", halved, load).values["pixel_diversity"] == pytest.approx(0.5, abs=0.02)


def test_metrics_that_need_no_network_are_known_for_data_with_and_without_classes():
    unlabelled = lambda split: Dataset("noise:train", np.zeros([4, 4, 4, 3], np.uint8))
    assert metrics.default_names(ReferenceSet(unlabelled)) == ("neighbours", "pixels")
    assert {"fd", "prdc", "balance", "pixels"} <= set(metrics.default_names(ReferenceSet(load_split)))
    with pytest.raises(UserError, match="neighbours needs at least 20 training images, and there are 4"):
        measure("neighbours", np.zeros([4, 4, 4, 3], np.uint8), unlabelled)


def test_fd_equals_scipys_and_is_named_after_the_data_set(pixel_classifier):
    real, fake = load_split("train").images, np.concatenate([load_split("test").images] * 2)[:1_200]
    a, b = (np.float64(pixel_classifier.features_and_logits(x)[0]) for x in (real, fake))
    covs = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(covs[0] + covs[1] - 2 * sqrtm(covs[0] @ covs[1]).real)
    result = measure("fd", fake)
    assert result.values == {"fd_digits": pytest.approx(expected, rel=1e-6)}
    assert result.protocol == {**pixel_classifier.protocol, "data": "digits:train", "n_real": len(real)}
    assert measure("fd", real).values["fd_digits"] == pytest.approx(0.0, abs=1e-6)


def test_kd_is_named_after_the_data_set(pixel_classifier):
    images = load_split("train").images.repeat(2, 0)
    result = measure("kd", images, lambda split: Dataset("digits:2.0.0:train", images))
    assert result.values.keys() == {"kd_digits", "kd_digits_std"}


def test_prdc_uses_as_many_real_images_as_samples(pixel_classifier):
    samples = load_split("test").images[:200]
    result = measure("prdc", samples)
    assert result.protocol["n_real"] == 200
    assert result.protocol["expected_coverage"] == pytest.approx(0.97, abs=0.005)
    real = load_split("train").images[subset_indices(899, 200)]
    a, b = (pixel_classifier.features_and_logits(x)[0] for x in (real, samples))
    radii = np.sort(cdist(a, a), axis=1)[:, 5]
    assert result.values["precision"] == pytest.approx((cdist(a, b) < radii[:, None]).any(0).mean(), abs=0.006)


def test_balance_and_agreement_count_predicted_classes(pixel_classifier):
    samples, labels = np.zeros([1_000, 8, 8, 1], np.uint8), np.arange(1_000) % 10
    samples[:, 0, 0, 0] = labels
    balance = measure("balance", samples, labels=labels).values
    assert balance["classes"] == 10
    assert balance["smallest_class"] == 0.1
    assert balance["class_kl"] < 0.001
    assert measure("agreement", samples, labels=labels).values == {"agreement": 1.0, "worst_agreement": 1.0}
    samples[labels == 3, 0, 0, 0] = 4
    balance = measure("balance", samples, labels=labels).values
    assert balance["classes"] == 9
    assert balance["smallest_class"] == 0
    assert measure("agreement", samples, labels=labels).values == {"agreement": 0.9, "worst_agreement": 0.0}


def test_modes_of_stacked_images(pixel_classifier):
    load = lambda split: Dataset("grey:train", np.zeros([20, 1, 2, 1], np.uint8), np.arange(20) % 10, CLASSES)
    every = np.stack(np.meshgrid(*[np.arange(10, dtype=np.uint8)] * 3), -1).reshape(1_000, 1, 1, 3).repeat(2, 2)
    values = measure("modes", every, load).values
    assert values == {"modes": 1_000, "mode_kl": pytest.approx(0.0, abs=1e-12), "mode_kl_floor": 999 / 2_000}
    values = measure("modes", every[:1].repeat(50, 0), load).values
    assert (values["modes"], values["mode_kl"]) == (1, pytest.approx(np.log(1_000)))
    # The divergence of uniform random samples is about the floor.
    uniform = np.random.default_rng(0).integers(10, size=[26_000, 1, 1, 3], dtype=np.uint8).repeat(2, 2)
    values = measure("modes", uniform, load).values
    assert values["modes"] == 1_000
    assert values["mode_kl"] == pytest.approx(values["mode_kl_floor"], rel=0.1)


def test_neighbours_detects_copies_and_passes_other_images():
    train, test = load_split("train").images, load_split("test").images
    result = measure("neighbours", train[:100])
    assert result.values["neighbour_ratio"] == pytest.approx(0.0, abs=1e-6)
    assert result.values["copied"] == 1.0
    assert result.values["copied_of_training_images"] < 0.05
    result = measure("neighbours", np.concatenate([test[:450], train[:50]]))
    assert result.values["neighbour_ratio"] == pytest.approx(1.0, abs=0.1)
    assert result.values["copied"] == pytest.approx(0.1, abs=0.02)
    assert result.protocol["judged"] == 500
    picture = np.asarray(result.pictures["neighbours"])
    rows = np.split(picture[2:], 6)  # each with the gap below it
    assert not np.array_equal(rows[0], rows[1])
    picture = np.asarray(measure("neighbours", train[:20]).pictures["neighbours"])
    np.testing.assert_array_equal(*np.split(picture[2:], 4)[:2])  # A copy is above its original.


def test_parzen_of_training_images_equals_its_baseline():
    train = load_split("train").images
    reserved = len(train) // 6
    baseline = train[: len(train) - reserved][subset_indices(len(train) - reserved, 300)]
    result = measure("parzen", baseline)
    assert result.values["parzen"] == result.values["parzen_of_training_images"]
    assert result.protocol["data"] == "digits:test"
    assert result.protocol["kernels"] == 300
    noise = np.random.default_rng(0).integers(256, size=[300, 8, 8, 1], dtype=np.uint8)
    values = measure("parzen", noise).values
    assert values["parzen"] < values["parzen_of_training_images"]


@pytest.mark.parametrize(
    ("sha256", "names"),
    [
        (inception.SHA256 + "00", ["fid", "kid", "is"]),
        ("1234567890", ["fd_inception_12345678", "kd_inception_12345678", "is_inception_12345678"]),
    ],
)
def test_only_metrics_on_the_published_weights_are_called_fid_kid_and_inception_score(monkeypatch, sha256, names):
    calls = []

    def features(images, weights, clean=False):
        calls.append(len(images))
        flat = images.reshape(len(images), -1)
        return Features(flat[:, 10:16] / np.float32(255), flat[:, 10:20] / np.float32(100))

    monkeypatch.setattr(inception, "load_weights", lambda path: inception.Weights({}, sha256))
    monkeypatch.setattr(inception, "features", features)
    load = lambda split: Dataset("digits:train", digits().images)
    samples = digits().images[:1_100]
    evaluated = EvaluatedSamples(samples, ReferenceSet(load, limit=1_500))
    for metric, name in zip(("fid", "kid", "is"), names, strict=True):
        result = metrics.get([metric])[metric](evaluated)
        assert next(iter(result.values)) == name
        assert result.protocol["weights"] == sha256
        assert "bilinear" in result.protocol["resize"]
        assert metric == "is" or result.protocol["n_real"] == 1_500
    assert calls == [1_500, 1_100]
    metrics.fid(EvaluatedSamples(samples, ReferenceSet(load, limit=1_500)))
    assert calls == [1_500, 1_100, 1_100]  # The features of the real images are cached on disk.


def test_fewer_samples_than_features_cause_a_warning(pixel_classifier):
    with pytest.warns(UserWarning, match="the covariance of 6 features has rank 3: it was fitted to 4 samples"):
        measure("fd", load_split("test").images[:4])


def test_a_metric_says_what_it_needs(pixel_classifier):
    images, train_only = load_split("test").images[:100], lambda split: load_split("train")
    for name, samples, load, message in [
        ("fd", images, None, "has no data set of images"),
        ("agreement", images, load_split, "has no classes"),
        ("modes", images, load_split, "stack grey images as colours"),
        ("kd", images, load_split, "fewer than the 1000 of a subset; ask for more --samples"),
        ("prdc", images[:5], load_split, "too few for 5 neighbours; ask for more --samples"),
        ("parzen", images, train_only, "digits:train has no test split"),
        ("neighbours", images.repeat(3, -1), load_split, "samples of 8 x 8 x 3 cannot be compared with the pixels"),
    ]:
        with pytest.raises(UserError, match=message):
            measure(name, samples, load)
    with pytest.raises(UserError, match="no metric 'prcd'; did you mean prdc"):
        metrics.make_evaluator(("fd", "prcd"), load_split)


def test_the_test_split_may_be_missing_but_not_the_training_split():
    def load_train_only(split):
        if split == "test":
            raise UserError("there is no test split")
        return load_split(split)

    def load_nothing(split):
        raise UserError(f"{split} cannot be read")

    assert ReferenceSet(load_train_only).test is None
    with pytest.raises(UserError, match="train cannot be read"):
        _ = ReferenceSet(load_nothing).test


def test_an_evaluator_requests_the_classes_in_turn_and_returns_protocols(pixel_classifier):
    splits = []

    def load(split):
        splits.append(split)
        return load_split(split)

    evaluate = metrics.make_evaluator(("fd", "agreement"), load, classes=10)
    assert splits == []  # Nothing is read before the first call.
    samples = np.zeros([100, 8, 8, 1], np.uint8)
    samples[:, 0, 0, 0] = np.arange(100) % 10
    samples[:, 1] = np.random.default_rng(0).integers(256, size=[100, 8, 1])
    values, protocols = evaluate(samples)
    assert values.keys() == {"fd_digits", "agreement", "worst_agreement"} == protocols.keys()
    assert values["agreement"] == 1.0
    assert protocols["fd_digits"]["n_fake"] == 100
    assert evaluate(samples).values == values
    assert splits == ["train", "test"]  # The second call reads nothing.


def test_the_reference_set_reads_images_on_disk(pixel_classifier):
    data = load_split("train")
    on_disk = DiskDataset(data.name, data.shape, data.classes, len(data), lambda indices: None, lambda: data)
    values = measure("fd", data.images, lambda split: on_disk).values
    assert values["fd_digits"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("metric", "name"), [("intra_fd", "intra_fd_digits"), ("intra_fid", "intra_fid")])
def test_intra_class_distance_is_the_mean_over_classes(pixel_classifier, monkeypatch, metric, name):
    features = lambda images, *_, **__: Features(pixel_classifier.features_and_logits(images)[0], None)
    monkeypatch.setattr(inception, "load_weights", lambda path: inception.Weights({}, inception.SHA256))
    monkeypatch.setattr(inception, "features", features)
    real, fake = load_split("train"), load_split("test")
    values = measure(metric, fake.images, labels=fake.labels).values
    distances = []
    for label in range(10):
        a, b = (pixel_classifier.features_and_logits(x.images[x.labels == label])[0] for x in (real, fake))
        covs = np.cov(np.float64(a), rowvar=False), np.cov(np.float64(b), rowvar=False)
        cross = np.diag(np.sqrt(np.linalg.eigvals(covs[0] @ covs[1]).real.clip(0)))
        distances.append(np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(covs[0] + covs[1] - 2 * cross))
    assert values[name] == pytest.approx(np.mean(distances), rel=1e-3)
    assert values[f"worst_{name}"] == pytest.approx(max(distances), rel=1e-3)


def test_the_classification_accuracy_score_trains_on_samples(monkeypatch):
    recipe = classifier.TrainingRecipe(images=12_800, width=8, features=32)
    monkeypatch.setattr(classifier, "RECIPE", recipe)
    data = load_split("train")
    good = measure("cas", data.images, labels=data.labels).values
    assert good["cas"] == pytest.approx(good["cas_of_training_images"], abs=0.02)
    assert min(good["cas"], good["cas_reverse"]) > 0.8
    wrong = measure("cas", data.images, labels=(data.labels + 1) % 10).values
    assert max(wrong["cas"], wrong["cas_reverse"]) < 0.2


def test_vendi_and_copying_compare_with_real_images(pixel_classifier):
    train, test = load_split("train").images, load_split("test").images
    assert measure("vendi", train[:200].repeat(2, 0)).values["vendi"] < 10
    assert measure("copying", train[:300]).values["c_t"] < -3
    assert abs(measure("copying", test[:400]).values["c_t"]) < 3
