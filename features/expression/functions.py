"""The functions of the language: every operator of features.operators, and numpy's elementwise ones.

What each takes is read off its signature: an array is a panel, an int a whole number, a float a number. So an operator
that is added to features.operators is in the language at once.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from features import operators
from features.graph import Operator
from features.operators.qlib import QLIB

# Given by the parser, unless it is given by name.
UNIVERSE = "universe"
# Its level depends on where the history begins: what uses it has to take ratios.
_NOT_IN_EXPRESSIONS = {"adjustment"}

_ELEMENTWISE: Mapping[str, tuple[np.ufunc, tuple[str, ...], str]] = {
    "abs": (np.absolute, ("x",), "Absolute value."),
    "exp": (np.exp, ("x",), "e to the power of x."),
    "log": (np.log, ("x",), "Natural logarithm; missing at 0 and below."),
    "maximum": (np.maximum, ("x", "y"), "The larger of two; missing where either is."),
    "minimum": (np.minimum, ("x", "y"), "The smaller of two; missing where either is."),
    "power": (np.power, ("x", "y"), "x to the power of y, as x ** y."),
    "sign": (np.sign, ("x",), "1, 0 or -1."),
    "sqrt": (np.sqrt, ("x",), "Square root; missing below 0."),
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function of the language.

    kind    panel, whole (a whole number) or number; several: any number of panels
    listed  whether several are given as one list
    """

    name: str
    kind: Literal["panel", "several", "whole", "number"]
    default: Any
    by_position: bool
    listed: bool = False

    @property
    def needed(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty and self.kind != "several"

    def __str__(self) -> str:
        if self.kind == "several":
            return f"*{self.name}"
        return self.name if self.needed else f"{self.name}={self.default}"


@dataclass(frozen=True)
class Function:
    """A function of the language; `elementwise` ones take numbers among their panels."""

    name: str
    call: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    elementwise: bool
    summary: str

    @property
    def written(self) -> str:
        """How it is called; the universe is not written, since the parser gives it."""
        return f"{self.name}({', '.join(str(p) for p in self.parameters if p.name != UNIVERSE)})"

    @property
    def usage(self) -> str:
        """Advice for who calls it wrongly."""
        return f"It is {self.written}: {self.summary}"


@functools.cache
def functions() -> Mapping[str, Function]:
    """Every function of our own syntax by its name, in the order of names."""
    found = {name: _of_numpy(name, *described) for name, described in _ELEMENTWISE.items()}
    for name in operators.__all__:
        function = _of_operator(name, getattr(operators, name))
        if function is not None:
            found[name] = function
    return dict(sorted(found.items()))


@functools.cache
def qlib_functions() -> Mapping[str, Function]:
    """qlib's operators by their names, with the parameters that they have there."""
    found = {name: _of_operator(name, function) for name, function in QLIB.items()}
    return dict(sorted((name, function) for name, function in found.items() if function is not None))


def _of_numpy(name: str, ufunc: np.ufunc, names: tuple[str, ...], summary: str) -> Function:
    empty = inspect.Parameter.empty
    return Function(name, ufunc, tuple(Parameter(n, "panel", empty, True) for n in names), True, summary)


def _of_operator(name: str, operator: Any) -> Function | None:  # noqa: ANN401
    """None for what is no function of panels and numbers that gives one panel."""
    if not callable(operator) or inspect.isclass(operator) or name in _NOT_IN_EXPRESSIONS:
        return None
    signature = inspect.signature(operator)
    if str(signature.return_annotation) not in ("Float64Array", "BoolArray", "Any") or (
        isinstance(operator, Operator) and operator.outputs
    ):
        return None
    parameters = []
    for p in signature.parameters.values():
        kind = _kind(p)
        if kind is None:
            return None
        by_position = p.name != UNIVERSE and p.kind is not inspect.Parameter.KEYWORD_ONLY
        listed = kind == "several" and p.kind is not inspect.Parameter.VAR_POSITIONAL
        parameters.append(Parameter(p.name, kind, p.default, by_position, listed))
    elementwise = isinstance(operator, Operator) and operator.axis == "cell"
    summary = (inspect.getdoc(operator) or "").split("\n\n")[0].replace("\n", " ")
    return Function(name, operator, tuple(parameters), elementwise, summary)


def _kind(p: inspect.Parameter) -> Literal["panel", "several", "whole", "number"] | None:
    """What a parameter's annotation, which is text, says that it is."""
    parts = {part.strip() for part in str(p.annotation).split("|")}
    if "Sequence[Float64Array]" in parts:
        return "several"
    if parts & {"Float64Array", "BoolArray"}:
        return "several" if p.kind is inspect.Parameter.VAR_POSITIONAL else "panel"
    if "float" in parts:
        return "number"
    return "whole" if "int" in parts else None
