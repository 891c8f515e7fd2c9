"""What names and operators mean in our own syntax: `ts_mean(close, 20) / close - 1`.

A comparison gives 1 or 0, and NaN where a side of it is missing; `and`, `or` and `not` likewise.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from features.expression.functions import UNIVERSE, Function, Parameter, functions
from features.expression.grammar import Value, folded
from features.expression.lexer import Source, Token, foreign, nearest
from features.graph import Node, Untraceable
from features.operators.logic import both, either, flag, negate

# The longest window: twenty years of sessions.
LONGEST_WINDOW = 5_000

_ARITHMETIC: Mapping[str, np.ufunc] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.true_divide,
    "**": np.power,
}
_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_LOGIC: Mapping[str, Callable[[Any, Any], Any]] = {"and": both, "&": both, "or": either, "|": either}
_WORDS = {"&": "and", "|": "or", "~": "not"}
# Functions whose panels are conditions, which & and | take without a comparison.
_CONDITIONS = {"both", "either", "flag", "negate", "consecutive"}


class Ours:
    """Our own syntax over these names; None: any name."""

    def __init__(self, source: Source, names: Collection[str] | None) -> None:
        self._source, self._names = source, names

    def name(self, token: Token) -> Value:
        """The panel of that name."""
        if self._names is not None and token.text not in self._names:
            raise self._unknown(token)
        return Value("panel", Node.leaf(token.text), token.at)

    def _unknown(self, token: Token) -> Exception:
        strange = foreign(token.text)
        if token.text in functions():
            help = f"It is a function: {functions()[token.text].written}"
        else:
            help = nearest(token.text, self._names or ()) or f"There are: {', '.join(sorted(self._names or ())[:20])}"
        found = f"{token.text}, with {strange}" if strange else token.text
        return self._source.refuse(token.at, "a name must be a field, a fact or a factor", found, help)

    def sign(self, token: Token, x: Value) -> Value:
        """A sign, or `not`."""
        if token.text in "+-":
            return Value("panel", x.node if token.text == "+" else operator.neg(x.node), token.at)
        return Value("condition", negate(self._condition(token, x)), token.at)

    def between(self, token: Token, x: Value, y: Value) -> Value:
        """Arithmetic, a comparison, or logic."""
        if token.text in _ARITHMETIC:
            return Value("panel", _ARITHMETIC[token.text](x.node, y.node), x.at)
        if token.text in _COMPARISONS:
            holds = _COMPARISONS[token.text](x.node, y.node)
            return Value("condition", flag(holds, *(v.node for v in (x, y) if not v.known)), x.at)
        return Value("condition", _LOGIC[token.text](self._condition(token, x), self._condition(token, y)), x.at)

    def _condition(self, token: Token, x: Value) -> Node | float:
        """What logic is done with: a panel is true above 0, but for & | ~, which bind tightly."""
        if x.known or (x.kind != "condition" and token.text in _WORDS):
            word = _WORDS.get(token.text)
            help = (
                f"It binds tighter than a comparison: put comparisons in brackets, or write `{word}`." if word else ""
            )
            raise self._source.refuse(token.at, f"{token.text} must be about conditions", str(x), help)
        return x.node

    def call(self, token: Token, given: Sequence[Value], named: Mapping[str, Value]) -> Value:
        """A function of the language applied to arguments that fit its parameters."""
        function = functions().get(token.text)
        if function is None:
            known = ", ".join(functions())
            raise self._source.refuse(
                token.at,
                "a function must be known",
                token.text,
                nearest(token.text, functions()) or f"There are: {known}",
            )
        bound = self._bound(token, function, given, named)
        values = [v for p in function.parameters for v in bound.get(p.name, ())]
        if function.elementwise and all(v.known for v in values):
            return Value("number", folded(self._source, token.at, _quiet(function.call), *values), token.at)
        positional, by_name = self._arguments(function, bound)
        try:
            node = function.call(*positional, **by_name)
        except Untraceable as e:
            raise self._source.refuse(token.at, f"{function.name} must work on expressions", str(e)) from e
        self._check_reach(function, bound, node)
        try:
            # Without a cell there is nothing to compute: what an operator has against its settings, it says at once.
            function.call(*_emptied(positional), **dict(zip(by_name, _emptied(by_name.values()), strict=True)))
        except ValueError as e:
            must = f"{function.name} must have sound settings"
            raise self._source.refuse(token.at, must, str(e), function.usage) from e
        return Value("condition" if function.name in _CONDITIONS else "panel", node, token.at)

    def _bound(
        self, token: Token, function: Function, given: Sequence[Value], named: Mapping[str, Value]
    ) -> dict[str, list[Value]]:
        """The arguments by parameter, checked."""
        usage = function.usage
        places = [p for p in function.parameters if p.by_position]
        bound: dict[str, list[Value]] = {}
        for i, value in enumerate(given):
            if i >= len(places) and not (places and places[-1].kind == "several"):
                must = f"{function.name} must be given at most {len(places)} arguments in a row"
                raise self._source.refuse(value.at, must, f"{len(given)}", usage)
            bound.setdefault(places[min(i, len(places) - 1)].name, []).append(value)
        by_name = {p.name: p for p in function.parameters}
        for key, value in named.items():
            if key not in by_name or by_name[key].kind == "several":
                raise self._source.refuse(
                    value.at, f"{function.name} must have a parameter of that name", key, nearest(key, by_name) or usage
                )
            if key in bound:
                raise self._source.refuse(value.at, "an argument must be given once", f"{key} twice", usage)
            bound[key] = [value]
        for p in function.parameters:
            if p.name == UNIVERSE and p.name not in bound:
                bound[p.name] = [Value("panel", Node.leaf(UNIVERSE), token.at)]
            elif p.needed and p.name not in bound:
                raise self._source.refuse(token.at, f"{function.name} must be given {p.name}", "nothing", usage)
            for value in bound.get(p.name, ()):
                self._check(function, p, value, usage)
        return bound

    def _check(self, function: Function, p: Parameter, value: Value, usage: str) -> None:
        """Refuse an argument that is not of its parameter's kind."""
        must = f"{p.name} of {function.name} must be "
        if p.kind in ("panel", "several"):
            if value.kind == "text" or (value.known and not function.elementwise):
                raise self._source.refuse(value.at, must + "a panel", str(value), usage)
        elif value.kind != "number":
            raise self._source.refuse(value.at, must + "a number", str(value), usage)
        elif p.kind == "whole":
            number = value.number
            if number != int(number) or number > LONGEST_WINDOW:
                raise self._source.refuse(
                    value.at, must + f"a whole number of at most {LONGEST_WINDOW}", f"{number:g}", usage
                )
            if number < 0:
                help = "A negative one would look ahead." if p.name == "n" else usage
                raise self._source.refuse(value.at, must + "0 or more", f"{number:g}", help)

    def _arguments(self, function: Function, bound: Mapping[str, list[Value]]) -> tuple[list[Any], dict[str, Any]]:
        """What the function is called with: by position as far as that goes without a gap, the others by name."""
        positional: list[Any] = []
        by_name: dict[str, Any] = {}
        for p in function.parameters:
            values = [int(v.number) if p.kind == "whole" else v.node for v in bound.get(p.name, ())]
            if p.listed:
                positional.append(values)
            elif p.kind == "several" or (p.needed and p.by_position):
                positional.extend(values)
            elif values:
                by_name[p.name] = values[0]
        return positional, by_name

    def _check_reach(self, function: Function, bound: Mapping[str, list[Value]], node: Node) -> None:
        """Refuse windows that hold nothing, and fewer sessions than valid cells are asked of."""
        settings = {p.name: bound[p.name][0] for p in function.parameters if p.kind == "whole" and p.name in bound}
        if node.ahead:
            for name, value in settings.items():
                if value.number == 0 and name != "least":
                    raise self._source.refuse(value.at, f"{name} of {function.name} must be 1 or more", "0")
        window = settings.get("n", settings.get("w"))
        least = settings.get("least")
        if window and least and least.number > window.number:
            must = f"least of {function.name} must be at most its window, {window.number:g}"
            raise self._source.refuse(least.at, must, f"{least.number:g}")


def _emptied(arguments: Iterable[Any]) -> list[Any]:
    """The arguments with an empty panel for each node."""
    empty = np.empty((0, 0))
    return [empty if isinstance(a, Node) else [empty for _ in a] if isinstance(a, list) else a for a in arguments]


def _quiet(function: Callable[..., Any]) -> Callable[..., float]:
    """The function without numpy's warnings: its value tells."""

    def call(*numbers: float) -> float:
        with np.errstate(all="ignore"):
            return float(function(*numbers))

    return call
