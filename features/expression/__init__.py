"""Expressions: text to a graph of operators, in our own syntax or in qlib's. A parser, which evaluates nothing.

`ts_mean(close, 20) / close - 1` is ours; `Mean($close, 20)/$close-1` is qlib's, known by its $fields and its
capitalised operators. docs/expressions.md describes both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from features.expression.functions import functions, qlib_functions
from features.expression.grammar import Parser
from features.expression.lexer import LONGEST_TEXT, ExpressionError, Source, tokens
from features.expression.ours import Ours
from features.expression.qlib import Qlib, is_qlib
from features.graph import Node, walk
from features.refusal import ConfigError

__all__ = ["ExpressionError", "parse", "reference"]

# Operators in a row, one applied to the other; and how many there may be, what is used twice counted twice.
_DEEPEST_GRAPH, _LARGEST_GRAPH = 200, 20_000


def parse(
    text: str,
    names: Collection[str] | None = None,
    fields: Mapping[str, str] | None = None,
    who: str = "expression",
) -> Node:
    """The expression that a text says.

    names   the leaves that there are: fields, facts, factors; None: any
    fields  which leaf a $field of qlib's means; the one of its own name if it is not among them
    who     whose expression it is, for the error
    Errors  ExpressionError, a ConfigError: where it is wrong, and what would help. A negative Ref in qlib's syntax is
            none: the node's `ahead` tells
    """
    if not isinstance(text, str):
        raise ConfigError(
            who, "an expression must be text", f"{text!r} ({type(text).__name__})", help="Put it in quotes."
        )
    if len(text) > LONGEST_TEXT:
        raise ConfigError(who, f"an expression must have at most {LONGEST_TEXT} characters", f"{len(text)}")
    source = Source(text, who)
    words = tokens(source)
    if len(words) == 1:
        raise ConfigError(who, "an expression must not be empty", repr(text))
    qlib = is_qlib(words)
    dialect = Ours(source, names) if qlib is None else Qlib(source, names, fields, qlib)
    value = Parser(source, words, dialect).parse()
    if not isinstance(value.value, Node):
        raise source.refuse(value.at, "an expression must read a field, a fact or a factor", str(value))
    _check_size(source, value.value)
    return value.value


def _check_size(source: Source, root: Node) -> None:
    """Refuse a graph that is too deep to walk, or too long to write out."""
    depth: dict[int, int] = {}
    size: dict[int, int] = {}
    for node in walk([root]):
        depth[id(node)] = 1 + max((depth[id(i)] for i in node.inputs), default=0)
        size[id(node)] = 1 + sum(size[id(i)] for i in node.inputs)
    found = (
        f"{depth[id(root)]} operators one on the other"
        if depth[id(root)] > _DEEPEST_GRAPH
        else f"{size[id(root)]:.3g}"
        if size[id(root)] > _LARGEST_GRAPH
        else ""
    )
    if found:
        must = f"it must have at most {_LARGEST_GRAPH} operators, {_DEEPEST_GRAPH} one on the other"
        raise source.refuse(0, must, found, "Split it into several expressions.")


def reference() -> str:
    """Every function of both syntaxes, as the table of docs/expressions.md."""
    return "\n".join(
        [
            *(
                "| our own | |",
                "|---|---|",
                *_rows(f"`{f.written}` | {_cell(f.summary)}" for f in functions().values()),
            ),
            "",
            *(
                "| qlib's | |",
                "|---|---|",
                *_rows(f"`{f.written}` | {_cell(f.summary)}" for f in qlib_functions().values()),
            ),
        ]
    )


def _rows(cells: Iterable[str]) -> Iterable[str]:
    return (f"| {c} |" for c in cells)


def _cell(text: str) -> str:
    """Text within a table, whose columns a bar would end."""
    return text.replace("|", "\\|")
