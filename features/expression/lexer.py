"""Text to tokens, and how an expression is refused: the text with a caret under what is wrong."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from features.refusal import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

# What nobody writes by hand, and a generator of formulas only by mistake; below them every step takes no time.
LONGEST_TEXT = 10_000
_LONGEST_NAME = 64
_LONGEST_NUMBER = 32
LARGEST_NUMBER = 1e30
# Characters that are shown before and after the one that is wrong.
_SHOWN = 60

_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r"|(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<field>\$+\w*)"
    r"|(?P<name>\w+)"
    r"|(?P<text>'[^'\n]*'|\"[^\"\n]*\")"
    r"|(?P<sign>\*\*|//|<=|>=|==|!=|&&|\|\||[-+*/%^<>=!&|~(),?:@.;\[\]{}])"
)


class ExpressionError(ConfigError):
    """An expression that cannot be understood, shown with a caret under the column where that is so."""

    def __init__(self, who: str, must: str, found: str, where: str = "", help: str = "", excerpt: str = "") -> None:
        super().__init__(who, must, found, where, help)
        self.excerpt = excerpt

    def __str__(self) -> str:
        return f"{super().__str__()}{self.excerpt}"


@dataclass(frozen=True)
class Token:
    """A word of an expression: its kind (number, field, name, text, sign, end), what it says, where it begins."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True)
class Source:
    """The text of an expression, and whose it is."""

    text: str
    who: str

    def refuse(self, at: int, must: str, found: str, help: str = "") -> ExpressionError:
        """The error of what stands at a position."""
        line = self.text.count("\n", 0, at) + 1
        begin = self.text.rfind("\n", 0, at) + 1
        column = at - begin + 1
        where = f"column {column}" if "\n" not in self.text.strip() else f"line {line}, column {column}"
        return ExpressionError(self.who, must, found, where, help, self._excerpt(begin, at))

    def _excerpt(self, begin: int, at: int) -> str:
        """The line around a position, and a caret below it, each on a line of its own."""
        end = self.text.find("\n", at)
        end = len(self.text) if end < 0 else end
        start, stop = max(begin, at - _SHOWN), min(end, at + _SHOWN)
        before, after = _printable(self.text[start:at]), _printable(self.text[at:stop])
        before = ("..." if start > begin else "") + before
        after += "..." if stop < end else ""
        return f"\n    {before}{after}\n    {' ' * _width(before)}^"


def tokens(source: Source) -> list[Token]:
    """The words of the text, an end behind them; spaces separate and mean nothing."""
    text, at, found = source.text, 0, []
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise source.refuse(
                at, "it must be made of names, numbers and operators", _character(text[at]), _plain(text)
            )
        kind = match.lastgroup or ""
        if kind != "space":
            _check(source, kind, match)
            found.append(Token(kind, match.group(), at))
        at = match.end()
    return [*found, Token("end", "", len(text.rstrip()))]


def nearest(name: str, there: Iterable[str]) -> str:
    """Advice on a name that is not known."""
    known = list(there)
    close = [k for k in known if k.lower() == name.lower()] or get_close_matches(name, known, n=2, cutoff=0.7)
    return f"Did you mean {' or '.join(close[:2])}?" if close else ""


def _check(source: Source, kind: str, match: re.Match[str]) -> None:
    """Refuse what begins like a word but is none."""
    text, at = match.group(), match.start()
    if kind == "number":
        after = source.text[match.end() : match.end() + 1]
        if source.text[:at].endswith("@"):
            raise source.refuse(at - 1, "bars must be daily", "another frequency", "Leave it out.")
        if after == "_" or after == "." or after.isalnum():
            raise source.refuse(at, "a number must be written like 20, 0.5 or 1e-3", repr(text + after))
        if len(text) > _LONGEST_NUMBER or float(text) > LARGEST_NUMBER:
            raise source.refuse(at, f"a number must be at most {LARGEST_NUMBER:g}", _short(text))
    elif kind in ("name", "field") and len(text) > _LONGEST_NAME:
        raise source.refuse(at, f"a name must have at most {_LONGEST_NAME} characters", f"{len(text)}")
    elif kind == "name" and text[0].isnumeric():
        raise source.refuse(at, "a number must be written with the digits 0 to 9", repr(text))


def _character(c: str) -> str:
    return f"{_printable(c)!r} (U+{ord(c):04X} {unicodedata.name(c, 'without a name')})"


def _plain(text: str) -> str:
    """Advice where signs came from a Chinese or typographic keyboard."""
    wide = {
        c for c in text if (not c.isascii() and unicodedata.normalize("NFKC", c).isascii()) or c in "，。、“”‘’−×÷≥≤"
    }
    return f"Write {' '.join(sorted(wide))} with the plain keys of an English keyboard." if wide else ""


def foreign(name: str) -> str:
    """The characters of a name that are not plain ones, named: some only look like those that were meant."""
    strange = [c for c in dict.fromkeys(name) if not c.isascii()]
    return ", ".join(_character(c) for c in strange[:3])


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " if c in "\t\r\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_NUMBER else f"{text[:12]}... of {len(text)} digits"


def _width(text: str) -> int:
    """Columns of a terminal that the text takes: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
