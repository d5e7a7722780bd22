"""The small classifier: it learns, the same at each time, and is kept."""

import dataclasses

import numpy as np
import pytest

from jaxgan import cache
from jaxgan.data.datasets import Dataset
from jaxgan.data.digits import digits
from jaxgan.errors import Problem
from jaxgan.evaluate import small

QUICK = dataclasses.replace(small.RECIPE, images=10_000, width=8, features=16, batch_size=32)


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def parts():
    data, odd = digits(), np.arange(len(digits().images)) % 2 == 1
    part = lambda name, rows: Dataset(name, data.images[rows], data.labels[rows], data.classes)
    return part("digits:odd", odd), part("digits:even", ~odd)


def test_it_learns_digits_and_is_trained_once(monkeypatch):
    train, test = parts()
    first = small.classifier(train, test, QUICK)
    features, logits = first.look(test.images)
    assert features.shape == (len(test.images), 16)
    assert logits.shape == (len(test.images), 10)
    accuracy = (first.classify(test.images) == test.labels).mean()
    assert accuracy > 0.9
    assert first.protocol["accuracy"] == pytest.approx(accuracy, abs=1e-5)
    assert first.protocol["accuracy_on"] == "digits:even"
    monkeypatch.setattr(small, "_train", None)  # It is not trained again.
    again = small.classifier(train, test, QUICK)
    assert again.protocol == first.protocol
    np.testing.assert_array_equal(again.look(test.images)[1], logits)


def test_the_same_again_by_the_same_recipe_and_another_by_another(tmp_path, monkeypatch):
    train, test = parts()
    quick = dataclasses.replace(QUICK, images=500)
    weights = lambda recipe: small.classifier(train, test, recipe).protocol["weights"]
    first = weights(quick)
    assert weights(dataclasses.replace(quick, seed=1)) != first
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert weights(quick) == first
    (kept,) = cache.folder("classifiers").iterdir()
    kept.write_bytes(kept.read_bytes()[:1000])  # Cut off: it is made again.
    assert weights(quick) == first


def test_what_an_image_gives_does_not_depend_on_the_others():
    train, test = parts()
    found = small.classifier(train, test, dataclasses.replace(QUICK, images=500))
    many, one = found.look(test.images)[0], found.look(test.images[700:701])[0]
    np.testing.assert_allclose(many[700:701], one, rtol=1e-5, atol=1e-6)


def test_without_a_test_split_a_tenth_is_held_out():
    train, _ = parts()
    found = small.classifier(train, None, dataclasses.replace(QUICK, images=500))
    assert found.protocol["accuracy_on"] == "every 10th of digits:odd"


def test_what_cannot_be_is_said():
    train, test = parts()
    with pytest.raises(Problem, match="digits:odd has no labels"):
        small.classifier(dataclasses.replace(train, labels=None), test)
    found = small.classifier(train, test, dataclasses.replace(QUICK, images=500))
    with pytest.raises(Problem, match="sees images of 8 x 8 x 1, not of 8 x 8 x 3"):
        found.look(np.zeros([2, 8, 8, 3], np.uint8))
