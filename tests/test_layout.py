"""Imports between the folders of the library go one way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# From the lowest layer to the highest; folders of one layer do not import each other, with these exceptions.
LAYERS = [
    {"errors"},
    {"settings"},
    {"io", "cpu"},
    {"render"},
    {"core"},
    {"networks", "data"},
    {"training"},
    {"evaluate"},
    {"runs"},
    {"reports"},
    {"cli", "__init__"},
    {"__main__"},
]
LEVEL = {folder: level for level, folders in enumerate(LAYERS) for folder in folders}
FILES = sorted((ROOT / "jaxgan").rglob("*.py"))


def imports(path):
    """Yields the module and the names of each import in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module, [alias.name for alias in node.names]


def folder_of(path):
    """Returns the part of the library that a file belongs to."""
    return path.relative_to(ROOT / "jaxgan").with_suffix("").parts[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    own = folder_of(path)
    for module, names in imports(path):
        top, *rest = module.split(".")
        assert top not in ("experiments", "tests", "benchmarks", "launch")
        if top == "jaxgan":
            for other in [rest[0]] if rest else names:
                assert other == own or LEVEL[other] < LEVEL[own], f"{own} imports {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_private_names_are_not_used_by_other_modules(path):
    for module, names in imports(path):
        if module.startswith("jaxgan"):
            private = [name for name in names if name.startswith("_")]
            assert not private, f"{module}: {private}"


def test_every_folder_has_a_layer():
    assert {folder_of(path) for path in FILES} == set(LEVEL)
