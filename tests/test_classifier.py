"""The feature classifier: it learns, its training is deterministic, and its weights are cached."""

import dataclasses

import numpy as np
import pytest

from jaxgan.data.datasets import Dataset
from jaxgan.data.digits import digits
from jaxgan.errors import UserError
from jaxgan.evaluate import classifier
from jaxgan.io import cache

QUICK = dataclasses.replace(classifier.RECIPE, images=10_000, width=8, features=16, batch_size=32)
QUICKEST = dataclasses.replace(QUICK, images=500)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def odd_and_even_digits():
    data, odd = digits(), np.arange(len(digits().images)) % 2 == 1
    select = lambda name, rows: Dataset(name, data.images[rows], data.labels[rows], data.classes)
    return select("digits:odd", odd), select("digits:even", ~odd)


def test_it_learns_digits_and_is_trained_once(monkeypatch):
    train, test = odd_and_even_digits()
    first = classifier.train_classifier(train, test, QUICK)
    features, logits = first.features_and_logits(test.images)
    assert features.shape == (len(test.images), 16)
    assert logits.shape == (len(test.images), 10)
    accuracy = (first.predict(test.images) == test.labels).mean()
    assert accuracy > 0.9
    assert first.protocol["accuracy"] == pytest.approx(accuracy, abs=1e-5)
    assert first.protocol["accuracy_on"] == "digits:even"
    monkeypatch.setattr(classifier, "_train", None)  # Training again would fail.
    second = classifier.train_classifier(train, test, QUICK)
    assert second.protocol == first.protocol
    np.testing.assert_array_equal(second.features_and_logits(test.images)[1], logits)


def test_the_weights_depend_on_the_recipe_alone(tmp_path, monkeypatch):
    train, test = odd_and_even_digits()
    weights = lambda recipe: classifier.train_classifier(train, test, recipe).protocol["weights"]
    first = weights(QUICKEST)
    assert weights(dataclasses.replace(QUICKEST, seed=1)) != first
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert weights(QUICKEST) == first
    (path,) = cache.cache_dir("classifiers").iterdir()
    for length in (1000, 0):  # A truncated or empty file is replaced.
        path.write_bytes(path.read_bytes()[:length])
        with pytest.warns(UserWarning, match="cannot be read and is computed again"):
            assert weights(QUICKEST) == first


def test_the_features_of_an_image_do_not_depend_on_other_images():
    train, test = odd_and_even_digits()
    network = classifier.train_classifier(train, test, QUICKEST)
    many, single = network.features_and_logits(test.images)[0], network.features_and_logits(test.images[700:701])[0]
    np.testing.assert_allclose(many[700:701], single, rtol=1e-5, atol=1e-6)


def test_without_a_test_split_a_tenth_is_held_out():
    train, _ = odd_and_even_digits()
    network = classifier.train_classifier(train, None, QUICKEST)
    assert network.protocol["accuracy_on"] == "every 10th of digits:odd"


def test_missing_labels_and_other_image_shapes_are_refused():
    train, test = odd_and_even_digits()
    with pytest.raises(UserError, match="digits:odd has no classes"):
        classifier.train_classifier(dataclasses.replace(train, labels=None), test)
    network = classifier.train_classifier(train, test, QUICKEST)
    with pytest.raises(UserError, match="takes uint8 images of 8 x 8 x 1, not uint8 images of 8 x 8 x 3"):
        network.features_and_logits(np.zeros([2, 8, 8, 3], np.uint8))
