"""The code behind a number as a digest: a function and all of ours that it calls, whatever its comments say.

Docstrings, comments, decorators and layout do not count; constants that it reads do. The text is the same in every
process and on every machine, so that a model can tell whether its factors are still those that it was trained on.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np


def digest(*parts: str) -> str:
    """Twelve hex digits over some texts."""
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:12]


def code_of(function: Callable[..., Any], seen: frozenset[int] = frozenset()) -> str:
    """The text of a function and of everything of ours that it calls or closes over."""
    plain = _plain(function)
    if id(plain.__code__) in seen:
        return plain.__name__
    seen |= {id(plain.__code__)}
    closed = inspect.getclosurevars(plain)
    parts = [_source(plain)]
    for name, value in sorted({**closed.globals, **closed.nonlocals}.items()):
        if not inspect.ismodule(value):
            parts.append(f"{name}={_value(value, seen)}")
        elif value.__name__.startswith("features."):
            known = vars(value)
            parts += [f"{name}.{a}={_value(known[a], seen)}" for a in sorted(closed.unbound) if a in known]
    return "\n".join(parts)


def _value(value: object, seen: frozenset[int]) -> str:
    """What a name stands for, as text that is the same in every process."""
    target = _plain(getattr(value, "function", value))
    if inspect.isfunction(target) and target.__module__.startswith("features."):
        return code_of(target, seen)
    if inspect.isclass(target) and target.__module__.startswith("features."):
        return ast.unparse(_undocumented(ast.parse(textwrap.dedent(inspect.getsource(target))).body[0]))
    if isinstance(target, (int, float, str, tuple, type(None), np.generic)):
        return repr(target)
    return getattr(target, "__name__", type(target).__name__)


def _plain(function: Any) -> Any:  # noqa: ANN401
    """A function without numba's and functools' wrapping."""
    return getattr(function, "py_func", getattr(function, "__wrapped__", function))


@functools.cache
def _source(function: Callable[..., Any]) -> str:
    """The code of a function as text, without decorators, docstrings and layout."""
    return ast.unparse(_undocumented(ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]))


def _undocumented(tree: ast.stmt) -> ast.stmt:
    """A definition without its decorators and the docstrings in it."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            node.decorator_list = []
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    return tree
