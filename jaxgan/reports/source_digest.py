"""A digest of the source of a function, to notice that a result was made by code that has changed since."""

import ast
import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any


def source_digest(function: Callable[..., Any]) -> str:
    """Returns eight hexadecimal digits of a function's source, and of everything in its module that it uses.

    Comments, layout, docstrings, decorators of the function, imports, and other parts of the module do not matter. For
    a function that is not defined at the top of its module the whole module counts.
    """
    module = _without_docstrings(ast.parse(Path(inspect.getfile(function)).read_text()))
    definitions: dict[str, list[ast.stmt]] = {}
    for statement in module.body:
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            for name in _defined_names(statement):
                definitions.setdefault(name, []).append(statement)
    if function.__name__ not in definitions:
        return _digest(module.body)
    for statement in definitions[function.__name__]:
        if isinstance(statement, ast.FunctionDef):
            statement.decorator_list = []
    used, names = [], [function.__name__]
    while names:
        for statement in definitions.pop(names.pop(), ()):
            used.append(statement)
            names += [node.id for node in ast.walk(statement) if isinstance(node, ast.Name)]
    return _digest(sorted(used, key=lambda statement: statement.lineno))


def _defined_names(statement: ast.stmt) -> list[str]:
    """Returns the names that a statement of a module defines."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    nodes = ast.walk(statement)
    return [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]


def _without_docstrings(module: ast.Module) -> ast.Module:
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return module


def _digest(statements: list[ast.stmt]) -> str:
    text = "\n".join(ast.dump(statement) for statement in statements)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
