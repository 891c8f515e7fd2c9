"""Tokens to a value: a parser by precedence, which builds as it reads and knows no operator's meaning.

Precedence is Python's, since both dialects' users know it: `or`, `and`, `not`, comparisons, `|`, `&`, `+ -`, `* /`,
signs, `**`. What the operators and names mean is the dialect's.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn, Protocol

from features.expression.lexer import LARGEST_NUMBER, Source, Token
from features.graph import Node

DEEPEST = 50
_MOST_ARGUMENTS = 50

_COMPARISONS = ("<", ">", "<=", ">=", "==", "!=")
# How tightly an operator between two operands binds.
_BINDS = {"or": 1, "and": 2, **dict.fromkeys(_COMPARISONS, 4), "|": 5, "&": 6, "+": 7, "-": 7, "*": 8, "/": 8, "**": 10}
# And one before its operand: to what stands behind it that binds tighter.
_SIGNS = {"not": 3, "-": 9, "+": 9, "~": 9}
_UNKNOWN = {
    "^": "A power is written **.",
    "//": "There is / alone.",
    "%": "There is no remainder.",
    "=": "Equality is written ==.",
    "&&": "Write `and`.",
    "||": "Write `or`.",
    "!": "Write `not`.",
    "?": "A choice is written if_else(condition, x, y), in qlib's way If(condition, x, y).",
    "if": "A choice is written if_else(condition, x, y), in qlib's way If(condition, x, y).",
    "@": "Bars are daily: there is no other frequency.",
}
_FOLDED: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": math.pow,
}


@dataclass(frozen=True)
class Value:
    """A part of an expression that has been read: a number, a text, a panel, or a condition (a panel of 1, 0, NaN)."""

    kind: Literal["number", "text", "panel", "condition"]
    value: float | str | Node
    at: int

    @property
    def node(self) -> Node | float:
        """What an operator is given: the panel or the number."""
        return self.value if isinstance(self.value, Node) else float(self.value)

    @property
    def number(self) -> float:
        """The number that it is."""
        return math.nan if isinstance(self.value, Node) else float(self.value)

    @property
    def known(self) -> bool:
        """Whether it is known while parsing."""
        return not isinstance(self.value, Node)

    def __str__(self) -> str:
        if self.kind == "number":
            return f"the number {self.value:g}"
        return f"the text {self.value!r}" if self.kind == "text" else f"a {self.kind}"


class Dialect(Protocol):
    """What names and operators mean."""

    def name(self, token: Token) -> Value:
        """A name or a $field."""

    def call(self, token: Token, given: Sequence[Value], named: Mapping[str, Value]) -> Value:
        """A function of arguments."""

    def sign(self, token: Token, x: Value) -> Value:
        """An operator before its operand, which is not a number."""

    def between(self, token: Token, x: Value, y: Value) -> Value:
        """An operator between operands, which are not both numbers."""


class Parser:
    """One reading of an expression."""

    def __init__(self, source: Source, words: Sequence[Token], dialect: Dialect) -> None:
        self._source, self._words, self._dialect, self._next = source, words, dialect, 0

    def parse(self) -> Value:
        """The value of the whole."""
        value = self._expression(0, 0)
        if self._here.kind != "end":
            self._unexpected("an operator or the end must follow")
        return value

    @property
    def _here(self) -> Token:
        return self._words[self._next]

    def _taken(self) -> Token:
        token = self._here
        self._next += 1
        return token

    def _is(self, *signs: str) -> bool:
        return self._here.kind in ("sign", "name") and self._here.text in signs

    def _expression(self, binds: int, depth: int) -> Value:
        """What binds tighter than `binds`, from here on."""
        if depth > DEEPEST:
            raise self._source.refuse(
                self._here.at, f"it must be nested at most {DEEPEST} deep", "more", "Split it into several expressions."
            )
        left = self._operand(depth)
        while self._is(*_BINDS) and _BINDS[self._here.text] > binds:
            token = self._taken()
            strength = _BINDS[token.text]
            # A power binds to the right, and less tightly than a sign on its right.
            right = self._expression(strength - 2 if token.text == "**" else strength, depth + 1)
            left = self._between(token, left, right)
            if token.text in _COMPARISONS and self._is(*_COMPARISONS):
                raise self._source.refuse(
                    self._here.at,
                    "comparisons must not be chained",
                    f"a second one, {self._here.text}",
                    "Write (a < b) and (b < c), in qlib's way (a < b) & (b < c), with the brackets.",
                )
        return left

    def _operand(self, depth: int) -> Value:
        token = self._here
        if self._is(*_SIGNS):
            self._next += 1
            return self._signed(token, self._expression(_SIGNS[token.text], depth + 1))
        if self._is("("):
            self._next += 1
            value = self._expression(0, depth + 1)
            self._close(token)
            return value
        if token.kind == "number":
            self._next += 1
            return Value("number", float(token.text), token.at)
        if token.kind == "text":
            self._next += 1
            return Value("text", token.text[1:-1], token.at)
        if token.kind in ("name", "field") and token.text not in ("and", "or", "if", "else"):
            self._next += 1
            return self._call(token, depth) if self._is("(") else self._dialect.name(token)
        return self._unexpected("a name, a number or a bracket must stand here")

    def _call(self, token: Token, depth: int) -> Value:
        bracket = self._taken()
        given: list[Value] = []
        named: dict[str, Value] = {}
        while not self._is(")"):
            if len(given) + len(named) >= _MOST_ARGUMENTS:
                raise self._source.refuse(self._here.at, f"at most {_MOST_ARGUMENTS} arguments must be given", "more")
            following = self._words[min(self._next + 1, len(self._words) - 1)]
            if self._here.kind == "name" and following.kind == "sign" and following.text == "=":
                key = self._taken()
                self._next += 1
                if key.text in named:
                    raise self._source.refuse(key.at, "an argument must be given once", f"{key.text} twice")
                named[key.text] = self._expression(0, depth + 1)
            elif named:
                raise self._source.refuse(self._here.at, "arguments by name must stand last", "one without a name")
            else:
                given.append(self._expression(0, depth + 1))
            if not self._is(","):
                break
            self._next += 1
        self._close(bracket)
        return self._dialect.call(token, given, named)

    def _close(self, bracket: Token) -> None:
        if self._is(")"):
            self._next += 1
        elif self._here.kind == "end":
            raise self._source.refuse(bracket.at, "a bracket must be closed", "the end of the text")
        else:
            self._unexpected("an operator, a comma or a closing bracket must follow")

    def _unexpected(self, must: str) -> NoReturn:
        token = self._here
        found = "the end of the text" if token.kind == "end" else repr(token.text)
        raise self._source.refuse(token.at, must, found, _UNKNOWN.get(token.text, ""))

    def _signed(self, token: Token, x: Value) -> Value:
        if x.kind == "number" and token.text in "+-":
            return Value("number", x.number if token.text == "+" else -x.number, token.at)
        self._no_text(x)
        return self._dialect.sign(token, x)

    def _between(self, token: Token, x: Value, y: Value) -> Value:
        self._no_text(x)
        self._no_text(y)
        if not (x.known and y.known):
            return self._dialect.between(token, x, y)
        if token.text not in _FOLDED:
            raise self._source.refuse(
                token.at, f"{token.text} must have a panel on one side", f"{x} and {y}", "Its value is known already."
            )
        return Value("number", folded(self._source, token.at, _FOLDED[token.text], x, y), x.at)

    def _no_text(self, x: Value) -> None:
        if x.kind == "text":
            raise self._source.refuse(x.at, "an operand must be a panel or a number", str(x))


def folded(source: Source, at: int, function: Callable[..., float], *values: Value) -> float:
    """A function of numbers, computed while parsing."""
    try:
        number = float(function(*(v.value for v in values)))
    except (ArithmeticError, ValueError):
        number = math.nan
    if not abs(number) <= LARGEST_NUMBER:
        found = " and ".join(f"{v.value:g}" for v in values)
        raise source.refuse(at, f"its value must be a number of at most {LARGEST_NUMBER:g}", f"none, of {found}")
    return number
