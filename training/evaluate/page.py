"""A self-contained HTML page of sections: tables, figures, remarks. Nothing is loaded from anywhere.

plotly's script stands in the page once; figures are JSON beside it. All text is escaped by the template.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """A table of text: the first `texts` columns stand left, the others right; numbers carry their units."""

    kind: ClassVar[str] = "table"
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    texts: int = 1
    half: bool = False


@dataclass(frozen=True)
class Drawing:
    """A plotly figure and a remark under it; `half` lets two stand side by side."""

    kind: ClassVar[str] = "figure"
    figure: go.Figure
    remark: str = ""
    half: bool = False
    at: str = ""

    @property
    def json(self) -> str:
        """The figure as JSON that cannot end a script element."""
        text: str = self.figure.to_json()
        return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.figure.layout.height or 380)


@dataclass(frozen=True)
class Remark:
    """A paragraph; tone: plain, warning, absent (what is missing, and why), or pre (text as it stands)."""

    kind: ClassVar[str] = "remark"
    text: str
    tone: str = "plain"
    half: bool = False


@dataclass(frozen=True)
class Check:
    """One question to the evidence; passed is None where it cannot be answered."""

    question: str
    found: str
    must: str
    passed: bool | None


@dataclass(frozen=True)
class Checks:
    """The verdict: questions with their answers."""

    kind: ClassVar[str] = "checks"
    each: tuple[Check, ...]
    half: bool = False


Block = Table | Drawing | Remark | Checks


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it; `name` is its anchor.

    folded  closed until it is clicked, printed only where it is open; `note` is then read beside the heading
    """

    name: str
    title: str
    zh: str
    blocks: tuple[Block, ...]
    folded: bool = False
    note: str = ""


def page_html(title: str, subtitle: str, sections: Sequence[Section], *, foot: str = "") -> str:
    """The page as one text of HTML, the same for the same input."""
    numbered = [
        replace(section, blocks=tuple(_placed(block, f"{section.name}-{i}") for i, block in enumerate(section.blocks)))
        for section in sections
    ]
    template = _environment().get_template("page.html")
    return template.render(title=title, subtitle=subtitle, sections=numbered, foot=foot, script=get_plotlyjs())


def _placed(block: Block, at: str) -> Block:
    return replace(block, at=at) if isinstance(block, Drawing) else block


@functools.cache
def _environment() -> Environment:
    loader = PackageLoader("training.evaluate", "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def number(value: float | None, form: str) -> str:
    """A number in a format, a dash where there is none."""
    return NOTHING if value is None or math.isnan(value) else format(value, form)
