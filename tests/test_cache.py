"""Results on disk: found again, and computed again after any damage."""

import warnings

import numpy as np
import pytest

from jaxgan.io import cache

ARRAYS = {"features": np.arange(12, dtype=np.float32).reshape(3, 4), "labels": np.int32([1, 2, 3])}
ABOUT = {"accuracy": 0.5, "classes": ["a", "b"]}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "jaxgan" / "things"


def memoise(make, key=3):
    return cache.memoise("things", "a/b: ü" + 300 * "x", {"key": key}, make)


def never():
    raise AssertionError("computed again")


def assert_right(result):
    arrays, about = result
    assert about == ABOUT
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_a_result_is_found_again_under_its_key(folder):
    memoise(lambda: (ARRAYS, ABOUT))
    assert_right(memoise(never))
    with pytest.raises(AssertionError, match="computed again"):
        memoise(never, key=4)


def test_any_damage_means_compute_again_with_a_warning(folder):
    memoise(lambda: (ARRAYS, ABOUT))
    (path,) = folder.iterdir()
    good = path.read_bytes()
    flipped = [bytes([*good[:i], good[i] ^ 0xFF, *good[i + 1 :]]) for i in range(0, len(good), 7)]
    truncated = [good[:n] for n in (0, 1, 60, len(good) // 2, len(good) - 1)]
    noticed = 0
    for damaged in [*truncated, b"\0" * len(good), b"{}", *flipped]:
        path.write_bytes(damaged)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert_right(memoise(lambda: (ARRAYS, ABOUT)))
        noticed += len(caught)
        assert all("cannot be read and is computed again" in str(warning.message) for warning in caught)
        assert_right(memoise(never))
    assert noticed > 0.8 * len(flipped)  # Times and attributes of files in an archive mean nothing.


def test_a_file_that_belongs_to_another_key_is_not_used(folder):
    memoise(lambda: (ARRAYS, ABOUT))
    (path,) = folder.iterdir()
    memoise(lambda: ({}, None), key=4)
    (other,) = set(folder.iterdir()) - {path}
    path.write_bytes(other.read_bytes())
    with pytest.warns(UserWarning, match="it belongs to another key"):
        assert_right(memoise(lambda: (ARRAYS, ABOUT)))


def test_a_cache_that_cannot_be_written_or_read_is_done_without(tmp_path, folder):
    folder.parent.write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="cannot be read"):
        assert_right(memoise(lambda: (ARRAYS, ABOUT)))
