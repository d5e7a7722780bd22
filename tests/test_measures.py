"""Measures by name: what they find on samples that are known, what they need, and under which name."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from jaxgan.data.datasets import Dataset, Records
from jaxgan.data.digits import digits
from jaxgan.errors import Problem
from jaxgan.evaluate import inception, measures, small
from jaxgan.evaluate.reals import Reals, some
from jaxgan.evaluate.subject import Subject
from jaxgan.networks.inception import Features

CLASSES = tuple("0123456789")


class Judge:
    """Sees in an image the class that its first pixel names, and takes some pixels for its features."""

    protocol = {"evaluator": "a judge", "weights": "0"}  # noqa: RUF012

    def look(self, images):
        flat = images.reshape(len(images), -1)
        return flat[:, 10:16].astype(np.float32), np.eye(10)[flat[:, 0]]


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def judged(monkeypatch):
    monkeypatch.setattr(small, "classifier", lambda *_: Judge())


def parts(split):
    """Digits whose first pixel is their class, half of them for training."""
    of, half = digits(), slice({"train": 0, "test": 1}[split], None, 2)
    images = of.images[half].copy()
    images[:, 0, 0, 0] = of.labels[half]
    return Dataset(f"digits:{split}", images, of.labels[half], CLASSES)


def take(name, samples, data=parts, labels=None):
    return measures.get([name])[name](Subject(samples, Reals(data), labels))


def test_fd_and_kd_are_as_scipy_says_and_named_after_the_data(judged):
    real, fake = parts("train").images, np.concatenate([parts("test").images] * 2)[:1_200]
    a, b = (np.float64(Judge().look(x)[0]) for x in (real, fake))
    covs = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    want = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(covs[0] + covs[1] - 2 * sqrtm(covs[0] @ covs[1]).real)
    found = take("fd", fake)
    assert found.values == {"fd_digits": pytest.approx(want, rel=1e-6)}
    assert found.protocol == {**Judge.protocol, "data": "digits:train", "n_real": len(real)}
    assert take("fd", real).values["fd_digits"] == pytest.approx(0.0, abs=1e-6)
    data = lambda split: Dataset("digits:2.0.0:train", np.concatenate([real, real]))
    found = take("kd", fake, data)
    assert found.values.keys() == {"kd_digits", "kd_digits_std"}


def test_prdc_takes_as_many_reals_as_samples(judged):
    samples = parts("test").images[:200]
    found = take("prdc", samples)
    assert found.protocol["n_real"] == 200
    assert found.protocol["expected_coverage"] == pytest.approx(0.97, abs=0.005)
    a, b = Judge().look(parts("train").images[some(899, 200)])[0], Judge().look(samples)[0]
    radii = np.sort(cdist(a, a), axis=1)[:, 5]
    assert found.values["precision"] == pytest.approx((cdist(a, b) < radii[:, None]).any(0).mean(), abs=0.006)


def test_balance_and_agreement_count_what_is_seen(judged):
    samples, labels = np.zeros([1_000, 8, 8, 1], np.uint8), np.arange(1_000) % 10
    samples[:, 0, 0, 0] = labels
    found = take("balance", samples, labels=labels).values
    assert found["classes"] == 10
    assert found["smallest_class"] == 0.1
    assert found["class_kl"] < 0.001
    assert take("agreement", samples, labels=labels).values == {"agreement": 1.0, "worst_agreement": 1.0}
    samples[labels == 3, 0, 0, 0] = 4
    found = take("balance", samples, labels=labels).values
    assert found["classes"] == 9
    assert found["smallest_class"] == 0
    assert take("agreement", samples, labels=labels).values == {"agreement": 0.9, "worst_agreement": 0.0}


def test_modes_of_stacked_images(judged):
    data = lambda split: Dataset("grey:train", np.zeros([20, 1, 2, 1], np.uint8), np.arange(20) % 10, CLASSES)
    every = np.stack(np.meshgrid(*[np.arange(10, dtype=np.uint8)] * 3), -1).reshape(1_000, 1, 1, 3).repeat(2, 2)
    found = take("modes", every, data).values
    assert found == {"modes": 1_000, "mode_kl": pytest.approx(0.0, abs=1e-12), "mode_kl_floor": 999 / 2_000}
    found = take("modes", every[:1].repeat(50, 0), data).values
    assert (found["modes"], found["mode_kl"]) == (1, pytest.approx(np.log(1_000)))
    # Even samples are about at the floor.
    even = np.random.default_rng(0).integers(10, size=[26_000, 1, 1, 3], dtype=np.uint8).repeat(2, 2)
    found = take("modes", even, data).values
    assert found["modes"] == 1_000
    assert found["mode_kl"] == pytest.approx(found["mode_kl_floor"], rel=0.1)


def test_copies_are_found_and_other_images_are_not():
    train, test = parts("train").images, parts("test").images
    found = take("neighbours", train[:100])
    assert found.values["neighbour_ratio"] == pytest.approx(0.0, abs=1e-6)
    assert found.values["copied"] == 1.0
    assert found.values["copied_of_training_images"] < 0.05
    found = take("neighbours", np.concatenate([test[:450], train[:50]]))
    assert found.values["neighbour_ratio"] == pytest.approx(1.0, abs=0.1)
    assert found.values["copied"] == pytest.approx(0.1, abs=0.02)
    assert found.protocol["judged"] == 500
    picture = np.asarray(found.pictures["neighbours"])
    rows = np.split(picture[2:], 6)  # each with a gap below it
    assert not np.array_equal(rows[0], rows[1])
    picture = np.asarray(take("neighbours", train[:20]).pictures["neighbours"])
    np.testing.assert_array_equal(*np.split(picture[2:], 4)[:2])  # A copy stands above its original.


def test_parzen_stands_beside_the_same_of_training_images():
    train = parts("train").images
    left = len(train) // 6
    same = train[: len(train) - left][some(len(train) - left, 300)]
    found = take("parzen", same)
    assert found.values["parzen"] == found.values["parzen_of_training_images"]
    assert found.protocol["data"] == "digits:test"
    assert found.protocol["kernels"] == 300
    noise = np.random.default_rng(0).integers(256, size=[300, 8, 8, 1], dtype=np.uint8)
    found = take("parzen", noise).values
    assert found["parzen"] < found["parzen_of_training_images"]


@pytest.mark.parametrize(
    ("sha256", "names"),
    [
        (inception.SHA256 + "00", ["fid", "kid", "is"]),
        ("1234567890", ["fd_inception_12345678", "kd_inception_12345678", "is_inception_12345678"]),
    ],
)
def test_only_on_the_published_weights_are_they_fid_kid_and_inception_score(monkeypatch, sha256, names):
    seen = []

    def features(images, weights):
        seen.append(len(images))
        flat = images.reshape(len(images), -1)
        return Features(flat[:, 10:16] / np.float32(255), flat[:, 10:20] / np.float32(100))

    monkeypatch.setattr(inception, "load", lambda path: inception.Weights({}, sha256))
    monkeypatch.setattr(inception, "features", features)
    data = lambda split: Dataset("digits:train", digits().images)
    reals, samples = Reals(data, limit=1_500), digits().images[:1_100]
    subject = Subject(samples, reals)
    for name, called in zip(("fid", "kid", "is"), names, strict=True):
        found = measures.get([name])[name](subject)
        assert next(iter(found.values)) == called
        assert found.protocol["weights"] == sha256
        assert "bilinear" in found.protocol["resize"]
        assert name == "is" or found.protocol["n_real"] == 1_500
    assert seen == [1_500, 1_100]
    again = Reals(data, limit=1_500)
    measures.fid(Subject(samples, again))
    assert seen == [1_500, 1_100, 1_100]  # The reals' are kept.


def test_fewer_samples_than_features_are_warned_of(judged):
    with pytest.warns(UserWarning, match="the covariance of 6 features has rank 3: it was fitted to 4 samples"):
        take("fd", parts("test").images[:4])


def test_what_a_measure_needs_is_said(judged):
    images, grey = parts("test").images[:100], lambda split: parts("train")
    for name, samples, data, sentence in [
        ("fd", images, None, "names no images that its samples could be compared with"),
        ("agreement", images, parts, "has no classes"),
        ("modes", images, parts, "grey images stacked as colours"),
        ("kd", images, parts, "fewer than the 1000 of a subset; ask for more --samples"),
        ("prdc", images[:5], parts, "too few for 5 neighbours; ask for more --samples"),
        ("parzen", images, grey, "digits:train has no test split"),
        ("neighbours", images.repeat(3, -1), parts, "samples of 8 x 8 x 3 cannot be compared pixel by pixel"),
    ]:
        with pytest.raises(Problem, match=sentence):
            take(name, samples, data)
    with pytest.raises(Problem, match="no metric 'prcd'; did you mean prdc"):
        measures.during(("fd", "prcd"), parts)


def test_a_test_split_that_is_missing_is_none():
    def data(split):
        if split == "test":
            raise Problem("there is no test")
        return parts(split)

    assert Reals(data).test is None
    with pytest.raises(Problem, match="cannot be read"):
        _ = Reals(lambda split: _refuse()).test


def _refuse():
    raise Problem("it cannot be read")


def test_during_asks_for_each_class_in_turn_and_keeps_the_protocol(judged):
    evaluate = measures.during(("fd", "agreement"), parts, classes=10)
    samples = np.zeros([100, 8, 8, 1], np.uint8)
    samples[:, 0, 0, 0] = np.arange(100) % 10
    samples[:, 1] = np.random.default_rng(0).integers(256, size=[100, 8, 1])
    found = evaluate(samples)
    assert found.keys() == {"fd_digits", "agreement", "worst_agreement"} == evaluate.protocol.keys()
    assert found["agreement"] == 1.0
    assert evaluate.protocol["fd_digits"]["n_fake"] == 100


def test_records_on_the_disk_are_compared_with_too(judged):
    of = parts("train")
    records = Records(of.name, of.shape, of.classes, len(of), lambda numbers: None, lambda: of)
    found = take("fd", of.images, lambda split: records).values
    assert found["fd_digits"] == pytest.approx(0.0, abs=1e-6)
