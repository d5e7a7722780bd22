"""The digest of a function's source: what changes it and what does not."""

import importlib.util

import pytest

from jaxgan.reports.source_digest import source_digest

MODULE = '''
"""A module."""
import math

SIZE = 3
UNUSED = 1

def helper(x):
    """Adds SIZE."""
    return x + SIZE

def other():
    return UNUSED

@decorate("a")
def build():
    """Builds."""
    local = 2  # a comment
    return lambda: helper(local)
'''


@pytest.fixture
def digest_of(tmp_path):
    """Returns a function from a module's text to the digest of its function `build`."""

    def digest(text):
        path = tmp_path / "module.py"
        path.write_text("decorate = lambda name: lambda function: function\n" + text)
        spec = importlib.util.spec_from_file_location("module", path)
        module = importlib.util.module_from_spec(spec)
        exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
        return source_digest(module.build)

    return digest


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("x + SIZE", "x - SIZE", True),
        ("SIZE = 3", "SIZE = 4", True),
        ("local = 2", "local = 3", True),
        ("UNUSED = 1", "UNUSED = 2", False),
        ("# a comment", "# another", False),
        ("Adds SIZE.", "Adds.", False),
        ('decorate("a")', 'decorate("b")', False),
        ("import math", "import math, json", False),
    ],
)
def test_only_what_the_function_uses_changes_its_digest(digest_of, old, new, changes):
    assert old in MODULE
    assert (digest_of(MODULE) != digest_of(MODULE.replace(old, new))) is changes


def test_a_function_within_a_function_has_the_digest_of_its_module():
    def one():
        return 1

    def two():
        return 2

    assert source_digest(one) == source_digest(two)
