"""What names and operators mean in qlib's syntax: `Mean($close, 20)/$close-1`.

`$close` is whatever panel the caller's fields give for it. A comparison gives 1 or 0, and 0 with a missing side; sums
and products of conditions are conditions, as numpy has it.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from features.expression.functions import Parameter, functions, qlib_functions
from features.expression.grammar import Value
from features.expression.lexer import Source, Token, foreign, nearest
from features.expression.ours import LONGEST_WINDOW
from features.graph import Node
from features.operators.qlib import QLIB

_BETWEEN = {
    **{"+": "Add", "-": "Sub", "*": "Mul", "/": "Div", "**": "Power"},
    **{">": "Gt", ">=": "Ge", "<": "Lt", "<=": "Le", "==": "Eq", "!=": "Ne", "&": "And", "|": "Or"},
}
_LOGIC = {"And", "Or", "Not"}
_COMPARISONS = {"Gt", "Ge", "Lt", "Le", "Eq", "Ne"}
# Of two conditions numpy makes a condition.
_OF_CONDITIONS = {"Add": "Or", "Mul": "And", "Greater": "Or", "Less": "And"}
# The only ones whose n may be below 0: they look ahead then, which the graph knows.
_SHIFTS = {"Ref", "Delta"}
_OTHER_ASSET = "Read it as a field of its own: a factor or an index field of that name."
_REFUSED = {
    "Mask": _OTHER_ASSET,
    "ChangeInstrument": _OTHER_ASSET,
    "TResample": "Bars are daily.",
    "P": "Give the point-in-time value as a field.",
    "PRef": "Give the point-in-time value as a field.",
    "Rolling": "Use the operator of that name, such as Mean.",
    "Feature": "Write $close.",
    "PFeature": "Give the point-in-time value as a field.",
}


def is_qlib(words: Sequence[Token]) -> Token | None:
    """The first word by which an expression is qlib's: a $field, or one of its operators before a bracket."""
    for token, following in zip(words, [*words[1:], words[-1]], strict=True):
        if token.kind == "field" or (token.text in {*QLIB, *_REFUSED} and following.text == "("):
            return token
    return None


class Qlib:
    """qlib's syntax, its fields given under these names; `because` is the word by which it was recognised."""

    def __init__(
        self, source: Source, names: Collection[str] | None, fields: Mapping[str, str] | None, because: Token
    ) -> None:
        self._source, self._names, self._fields, self._because = source, names, fields or {}, because

    def name(self, token: Token) -> Value:
        """The panel of a $field."""
        if token.kind != "field":
            raise self._mixed(token, f"Write ${token.text}.")
        if token.text.startswith("$$"):
            raise self._source.refuse(
                token.at, "a field must be a daily one, such as $close", token.text, _REFUSED["P"]
            )
        own = token.text[1:]
        leaf = self._fields.get(own, own)
        if not own or (self._names is not None and leaf not in self._names):
            known = {f for f, to in self._fields.items() if self._names is None or to in self._names}
            known |= set(self._names or ())
            strange = foreign(own)
            found = f"{token.text}, with {strange}" if strange else token.text
            near = nearest(own, known)
            help = (
                near.replace("mean ", "mean $").replace("or ", "or $")
                if near
                else f"There are: {', '.join(sorted(known)[:20])}"
            )
            raise self._source.refuse(token.at, "a field must be known", found, help)
        return Value("panel", Node.leaf(leaf), token.at)

    def _mixed(self, token: Token, help: str) -> Exception:
        return self._source.refuse(
            token.at,
            "it must be written in one syntax",
            f"{self._because.text}, which is qlib's, and {token.text}, which is daybar's",
            help,
        )

    def sign(self, token: Token, x: Value) -> Value:
        """A sign, which qlib itself does not have, or Not."""
        if token.text == "not":
            raise self._source.refuse(token.at, "a negation must be written ~ or Not()", "not")
        if token.text == "~":
            return self.call(replace(token, text="Not"), [x], {})
        return Value("panel", x.node if token.text == "+" else operator.neg(x.node), token.at)

    def between(self, token: Token, x: Value, y: Value) -> Value:
        """The operator that is a name in brackets as well."""
        if token.text in ("and", "or"):
            sign = "&" if token.text == "and" else "|"
            raise self._source.refuse(token.at, f"logic must be written {sign}", token.text, "qlib has no such word.")
        return replace(self.call(replace(token, text=_BETWEEN[token.text]), [x, y], {}), at=x.at)

    def call(self, token: Token, given: Sequence[Value], named: Mapping[str, Value]) -> Value:
        """One of qlib's operators applied to arguments that fit it."""
        function = qlib_functions().get(token.text)
        if function is None:
            raise self._unknown(token)
        for key, value in named.items():
            raise self._source.refuse(value.at, "arguments must be given by their place alone", f"{key}=")
        usage = function.usage
        if len(given) != len(function.parameters):
            must = f"{token.text} must be given {len(function.parameters)} arguments"
            raise self._source.refuse(token.at, must, f"{len(given)}", usage)
        windowed = any(p.kind != "panel" for p in function.parameters)
        arguments = [
            self._argument(token, p, v, windowed, usage) for p, v in zip(function.parameters, given, strict=True)
        ]
        name, kind = self._meaning(token, given)
        if name == "If" and given[0].kind != "condition":
            # A number is true unless it is 0, and so is a missing one.
            arguments[0] = QLIB["Ne"](arguments[0], 0.0)
        if not any(isinstance(a, Node) for a in arguments):
            raise self._source.refuse(token.at, f"{token.text} must be given a panel", "numbers alone", usage)
        try:
            node = QLIB[name](*arguments)
        except ValueError as e:
            raise self._source.refuse(given[-1].at, f"{token.text} must have sound settings", str(e), usage) from e
        return Value("condition" if kind else "panel", node, token.at)

    def _unknown(self, token: Token) -> Exception:
        if token.text in _REFUSED:
            return self._source.refuse(
                token.at, "an operator must be one that daybar has", token.text, _REFUSED[token.text]
            )
        if token.text in functions():
            advice = nearest(token.text, QLIB) or "Write fields without $, or use qlib's operators."
            return self._mixed(token, advice)
        help = nearest(token.text, QLIB) or f"There are: {', '.join(sorted(QLIB))}"
        return self._source.refuse(token.at, "an operator must be one of qlib's", token.text, help)

    def _meaning(self, token: Token, given: Sequence[Value]) -> tuple[str, bool]:
        """The operator, by what it is given, and whether it makes a condition."""
        name = token.text
        conditions = [v.kind == "condition" for v in given]
        if name in _LOGIC:
            for value, is_condition in zip(given, conditions, strict=True):
                if not is_condition:
                    raise self._source.refuse(
                        value.at,
                        f"{name} must be about conditions",
                        str(value),
                        "Put comparisons in brackets: & and | bind tighter than they do.",
                    )
            return name, True
        if name == "Sub" and all(conditions):
            raise self._source.refuse(
                token.at, "conditions must not be subtracted", "two", "Write If(condition, 1, 0)."
            )
        if name in _OF_CONDITIONS and all(conditions):
            return _OF_CONDITIONS[name], True
        return name, name in _COMPARISONS or (name == "If" and all(conditions))

    def _argument(self, token: Token, p: Parameter, value: Value, windowed: bool, usage: str) -> Any:  # noqa: ANN401
        """What the operator is called with."""
        must = f"{p.name} of {token.text} must be "
        if p.kind == "panel":
            if value.kind == "text" or (value.known and windowed):
                raise self._source.refuse(value.at, must + "a panel", str(value), usage)
            return value.node
        if value.kind != "number":
            raise self._source.refuse(value.at, must + "a number", str(value), usage)
        number = value.number
        if abs(number) > LONGEST_WINDOW or (p.kind == "whole" and number != int(number)):
            raise self._source.refuse(
                value.at, must + f"a whole number of at most {LONGEST_WINDOW}", f"{number:g}", usage
            )
        if number < 0 and token.text not in _SHIFTS:
            raise self._source.refuse(value.at, must + "0 or more", f"{number:g}", usage)
        return int(number) if p.kind == "whole" else number
