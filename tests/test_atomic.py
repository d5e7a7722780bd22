"""A file is replaced as a whole, or stays as it was."""

import pytest

from jaxgan.io import atomic


def test_a_file_is_replaced_on_success(tmp_path):
    path = tmp_path / "new" / "file.txt"
    atomic.write_text(path, "old")
    with atomic.replacing(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_stays_and_the_temporary_one_goes_after_an_exception(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def write_and_fail():
        with atomic.replacing(path) as temporary:
            temporary.write_text("part")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
