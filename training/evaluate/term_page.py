"""The page of a run on term structures: what was found of all products first, then a folded section a product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from training.evaluate.page import Block, Remark, Section, Table, page_html
from training.evaluate.spread_curve import curve_section
from training.evaluate.spread_evidence import SpreadEvidence
from training.evaluate.volatility_page import points_per_line

FOOT = (
    "Error: root mean square of ln(price / model), states filtered up to the date itself, parameters of the dates "
    "before the holdout. Yield: convenience yield net of storage, r − ln(F far / F near) a year between the two "
    "nearest liquid contracts; of index futures between the index and next month's contract, where dividends are part "
    "of it. Basis: next month's close over the index, less 1. A roll's saving is over the benchmark rule, after costs, "
    "each year decided by the rolls before it."
)
Rows = Sequence[tuple[str, ...]]


def term_html(
    evidence: SpreadEvidence, products: Rows, yields: Rows, rolls: Rows, absent: Mapping[str, str] | None = None
) -> str:
    """The report as one text of HTML.

    products, yields, rolls  tables, whose first row names the columns
    absent                   what is missing -> why
    """
    points = points_per_line(len(evidence.curves))
    blocks: list[Block] = [Remark(warning, "warning") for warning in evidence.warnings]
    blocks.append(_table(products))
    missing = {**evidence.skipped, **(absent or {})}
    if missing:
        blocks.append(Table(("left out 未纳入", "why"), tuple(missing.items()), texts=2))
    sections = [
        Section("summary", "Curves of all products", "曲线模型", tuple(blocks)),
        Section("yields", "Convenience yields and open interest", "便利收益", (_table(yields),)),
        Section("rolls", "When to roll", "展期时机", (_table(rolls),)),
    ]
    told = "Each opens by a click on its line, or from the links at the top; what is open is what is printed."
    sections.append(Section("curves", "Term structures", "期限结构", (Remark(told),)))
    sections += [curve_section(curve, points) for curve in evidence.curves]
    texts = (("Config, resolved", evidence.settings), ("Data and code", evidence.environment))
    last = [block for title, text in texts if text for block in (Remark(title), Remark(text, "pre"))]
    sections.append(Section("settings", "Settings and versions", "配置与版本", tuple(last)))
    return page_html(evidence.title, evidence.subtitle, sections, foot=FOOT)


def _table(rows: Rows) -> Block:
    """A table, or why it has no row."""
    if len(rows) < 2:
        return Remark("Not here: no product has one; the reasons stand above.", "absent")
    return Table(rows[0], tuple(rows[1:]))
