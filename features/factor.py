"""What a factor is: a function of panels, or an expression, with its card.

A factor is a pure function: its name is its column, its parameter names are its inputs - fields, reference facts or
other factors, as panels (T, N). A parameter with the default None is optional. A parameter called `state` makes the
factor recursive: it is given what it returned beside its panel last time. Without a parameter `first` it is given, and
computes, only the sessions after that; with one it is given the history too, whose rows end before `first`.

Most functions only apply operators: called with the leaves of a graph they yield their expression, which says how much
history a value needs. A function that does more has to declare its lookback.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from features.definition import code_of, digest
from features.engine import evaluate
from features.expression import parse
from features.fields import QLIB_FIELDS
from features.graph import Node, Operator, leaves, trace, walk
from features.panel import Float64Array


@dataclass(frozen=True)
class Factor:
    """A named function of panels, with its card.

    known     close: computable from close fields at 15:00 of t; settle: with the settlement of t
    lookback  sessions of its own inputs that a value needs, t included: declared where the function cannot be traced
    scope     asset: (T, N), NaN where the asset did not trade; market: (T, 1)
    stored    False for a step on the way, whose level may depend on where the history begins
    warm_up   whether windows are void after a long absence
    """

    name: str
    asset_class: str
    function: Callable[..., Any] = field(repr=False)
    zh: str
    unit: str
    known: str = "close"
    lookback: int = 0
    family: str = ""
    sets: tuple[str, ...] = ()
    scope: str = "asset"
    stored: bool = True
    warm_up: bool = True

    def __call__(self, *panels: Float64Array, **named: Float64Array | None) -> Any:  # noqa: ANN401
        """The function itself: a factor is tried by calling it with arrays."""
        return self.function(*panels, **named)

    @functools.cached_property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.function).parameters

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of what it cannot do without."""
        return tuple(n for n, p in self._parameters.items() if p.default is inspect.Parameter.empty)

    @property
    def optional(self) -> tuple[str, ...]:
        """Names of what it uses where it is there."""
        return tuple(n for n, p in self._parameters.items() if p.default is None and n != "state")

    @property
    def recursive(self) -> bool:
        """Whether it carries a state from session to session."""
        return "state" in self._parameters

    @property
    def retraces(self) -> bool:
        """Whether it is recursive and gives values on the history too, so that others may look back on it."""
        return self.recursive and "first" in self._parameters

    @property
    def summary(self) -> str:
        """The docstring: what, then shape, sign, NaN and source."""
        return inspect.getdoc(self.function) or ""

    @functools.cached_property
    def own_hash(self) -> str:
        """Digest of the code: the function without its docstring, what it closes over and calls, its lookback."""
        code = self.function.code if isinstance(self.function, Written) else code_of(self.function)
        return digest(code, str(self.lookback), self.scope, "" if self.warm_up else "no warm-up")

    def graph(self, given: frozenset[str]) -> Node:
        """Its expression on these of its inputs as leaves; one node of its own if it cannot be traced."""
        return _graph(self, given)

    @property
    def reach(self) -> int:
        """Sessions of its own inputs that a value needs, t included."""
        if self.recursive:
            return max(self.lookback, 1)
        return self.graph(frozenset((*self.inputs, *self.optional))).lookback


@functools.cache
def _graph(f: Factor, given: frozenset[str]) -> Node:
    names = [n for n in (*f.inputs, *f.optional) if n in given]
    panels = {n: Node.leaf(n) for n in names}
    if isinstance(f.function, Written):
        return f.function.node
    traced = trace(f.function, panels)
    if traced is not None:
        return traced

    def called(*arrays: Float64Array) -> Any:  # noqa: ANN401
        return f.function(**dict(zip(names, arrays, strict=True)))

    declared = max(f.lookback, 1)
    whole = Operator(f.name, called, "panel", lambda: declared, narrow=f.scope == "market")
    return Node.of(whole, tuple(panels.values()))


@functools.cache
def _code_of_operator(of: Operator) -> str:
    # numpy's own functions have no code of ours behind them.
    return of.name if isinstance(of.function, functools.partial) else code_of(of.function)


class Written:
    """A function of panels that is written as an expression; it is parsed when it is first asked for."""

    def __init__(self, who: str, text: str, asset_class: str) -> None:
        self.who, self.text, self._fields = who, text, QLIB_FIELDS.get(asset_class, {})
        told = ("Shape   (T, N) -> (T, N)", "NaN     where it has no value, or nothing traded", "Source  its own text")
        self.__doc__ = "\n".join((f"The expression {text}.", "", *told))

    @functools.cached_property
    def node(self) -> Node:
        """The expression as a graph."""
        return parse(self.text, fields=self._fields, who=self.who)

    @functools.cached_property
    def __signature__(self) -> inspect.Signature:
        kind = inspect.Parameter.KEYWORD_ONLY
        return inspect.Signature([inspect.Parameter(n, kind) for n in leaves([self.node])])

    @property
    def code(self) -> str:
        """What it computes, as text: the expression, and the code of its operators."""
        operators = {o.name: o for node in walk([self.node]) if (o := node.operator) is not None}
        return "\n".join([str(self.node), *(_code_of_operator(operators[n]) for n in sorted(operators))])

    def __call__(self, **panels: Float64Array) -> Any:  # noqa: ANN401
        """The panel that these panels give."""
        shape = tuple(max(sizes) for sizes in zip(*(p.shape for p in panels.values()), strict=True))
        return evaluate({self.who: self.node}, panels, shape)[self.who]


class Family(tuple[Factor, ...]):
    """Factors that one function makes, one for each window."""


def factor(
    asset_class: str,
    zh: str,
    unit: str,
    *,
    known: str = "close",
    lookback: int = 0,
    sets: tuple[str, ...] = (),
    scope: str = "asset",
    stored: bool = True,
) -> Callable[[Callable[..., Any]], Factor]:
    """Turn a function into a factor named like it; the card is the fields of Factor."""

    def make(function: Callable[..., Any]) -> Factor:
        return Factor(function.__name__, asset_class, function, zh, unit, known, lookback, "", sets, scope, stored)

    return make


def family(
    name: str,
    windows: Iterable[int],
    *,
    asset_class: str,
    zh: str,
    unit: str,
    lookback: Callable[[int], int] = lambda n: 0,
    sets: tuple[str, ...] = (),
) -> Callable[[Callable[[int], Callable[..., Any]]], Family]:
    """Turn a function of a window, which returns a function of panels, into the factors `name_window`."""

    def make(function: Callable[[int], Callable[..., Any]]) -> Family:
        members = []
        for n in windows:
            compute_n = function(n)
            compute_n.__doc__ = inspect.getdoc(function)
            members.append(
                Factor(
                    f"{name}_{n}",
                    asset_class,
                    compute_n,
                    f"{n}日{zh}",
                    unit,
                    lookback=lookback(n),
                    family=name,
                    sets=sets,
                )
            )
        return Family(members)

    return make


def written(
    name: str,
    text: str,
    *,
    asset_class: str,
    zh: str,
    unit: str,
    known: str = "close",
    family: str = "",
    sets: tuple[str, ...] = (),
    stored: bool = True,
    warm_up: bool = True,
) -> Factor:
    """A factor that is an expression, in our syntax or qlib's; the card is the fields of Factor."""
    function = Written(name, text, asset_class)
    return Factor(name, asset_class, function, zh, unit, known, 0, family, sets, stored=stored, warm_up=warm_up)
