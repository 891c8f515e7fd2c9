"""One HTML page on a run, verdict first; self-contained, for the reader who has nothing but the file."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from training.evaluate import charts, factor_charts
from training.evaluate.evidence import Evidence, Significance
from training.evaluate.ic import IcSummary
from training.evaluate.money_report import capacity_section, cost_section, portfolio_section
from training.evaluate.page import NOTHING, Block, Checks, Drawing, Remark, Section, Table, number, page_html
from training.evaluate.verdict import verdict
from training.evaluate.waterfall import notes, waterfall

IC_HEAD = ("mean", "std", "ICIR a year", "Newey–West t", "5 % critical", "positive", "sessions")


def report_html(evidence: Evidence) -> str:
    """The report as one text of HTML; parts that the evidence lacks are named, with the reason."""
    sections = (
        _verdict(evidence),
        _information(evidence),
        _quantiles(evidence),
        portfolio_section(evidence),
        cost_section(evidence),
        capacity_section(evidence),
        _rows(evidence),
        _factors(evidence),
        _bands(evidence),
        _settings(evidence),
    )
    foot = "RankIC 秩相关 · excess 超额收益 · turnover 换手 · drawdown 回撤 · holdout 留出期. Years have 242 sessions."
    return page_html(evidence.title, evidence.subtitle, sections, foot=foot)


def ic_row(name: str, found: IcSummary) -> tuple[str, ...]:
    """The row of a table headed by IC_HEAD."""
    return (
        name,
        number(found.mean, "+.4f"),
        number(found.std, ".4f"),
        number(found.icir, "+.2f"),
        number(found.nw_t, "+.2f"),
        number(found.nw_crit, ".2f"),
        number(found.hit, ".1%"),
        f"{found.n:,}",
    )


def absent(evidence: Evidence, part: str) -> Remark:
    """The line that stands where a part would."""
    return Remark(f"Not here: {evidence.absent.get(part, 'it was not computed for this run')}.", "absent")


def _verdict(evidence: Evidence) -> Section:
    rows = tuple((h.name, h.walked, h.interval, h.holdout) for h in evidence.headline)
    blocks: list[Block] = [Remark(warning, "warning") for warning in evidence.warnings]
    head = ("", "walk-forward", "95 % interval", "sealed holdout")
    blocks += [Table(head, rows), Checks(verdict(evidence))]
    told = evidence.significance
    blocks += [absent(evidence, "significance")] if told is None else _significance(told)
    return Section("verdict", "Verdict", "结论", tuple(blocks))


def _significance(told: Significance) -> list[Block]:
    rows: list[tuple[str, ...]] = [
        ("trials that the ledger knows 试验次数", number(told.trials, ",d")),
        ("looks at the holdout, this one included 留出期查看次数", number(told.looks, ",d")),
        ("deflated Sharpe ratio (probability)", number(told.dsr, ".3f")),
        ("probability of backtest overfitting (PBO) 过拟合概率", number(told.pbo, ".3f")),
    ]
    rows += [(f"{name}: 95 % interval", f"{low:+.4f} to {high:+.4f}") for name, (low, high) in told.intervals.items()]
    rows += [
        (f"RankIC of placebo: {name}", f"{one.mean:+.4f} (t {number(one.nw_t, '+.2f')})")
        for name, one in told.placebos.items()
    ]
    rows += list(told.remarks.items())
    return [Table(("significance 显著性", "value"), tuple(rows))]


def _information(evidence: Evidence) -> Section:
    developed, sealed = evidence.development, evidence.holdout
    held = None if sealed is None else sealed.rank_ic
    parts = {"walk-forward": developed.by_horizon}
    parts |= {} if sealed is None else {"holdout": sealed.by_horizon}
    rows = tuple(
        ic_row(f"{name}, {horizon} session{'s' if horizon > 1 else ''}", summary)
        for name, decay in parts.items()
        for horizon, summary in sorted(decay.items())
    )
    both = developed.rank_ic if held is None else np.where(np.isfinite(developed.rank_ic), developed.rank_ic, held)
    blocks: list[Block] = [
        Drawing(charts.rank_ic(evidence.sessions, developed.rank_ic, held)),
        Table(("RankIC 秩相关, label over", *IC_HEAD), rows),
        Drawing(charts.ic_months(evidence.sessions, both)),
        Drawing(charts.ic_by_horizon(parts), "Bands by Newey–West with fixed-b critical values.", half=True),
        Drawing(charts.ic_distribution(developed.rank_ic), "Walk-forward sessions.", half=True),
        *_groups(evidence),
    ]
    return Section("information", "Information coefficient", "信息系数", tuple(blocks))


def _groups(evidence: Evidence) -> list[Block]:
    if not evidence.by_group:
        return [absent(evidence, "by_group")]
    names = {"board": "by board 板块", "size": "by size proxy 成交额分组", "year": "by year 年度"}
    tables: list[Block] = [
        Table((names.get(kind, kind), *IC_HEAD), tuple(ic_row(name, one) for name, one in groups.items()))
        for kind, groups in evidence.by_group.items()
    ]
    remark = "RankIC inside each group, walk-forward; a group that never has enough names has 0 sessions."
    return [*tables, Remark(remark)]


def _quantiles(evidence: Evidence) -> Section:
    found = evidence.development.deciles
    held = None if evidence.holdout is None else evidence.holdout.deciles
    parts = {"walk-forward": found} | ({} if held is None else {"holdout": held})
    rows = tuple(
        (
            name,
            f"{number(one.mean[-1] * 1e4, '+.1f')} bp",
            f"{number(one.mean[0] * 1e4, '+.1f')} bp",
            f"{number(one.spread.mean * 1e4, '+.1f')} bp",
            number(one.spread.t, "+.2f"),
            number(one.spread.critical, ".2f"),
            number(one.monotonicity, "+.2f"),
        )
        for name, one in parts.items()
    )
    days = f"mean label over {found.horizon} sessions"
    head = (days, "highest group", "lowest group", "highest less lowest", "t", "5 % critical", "monotonicity")
    blocks = (
        Table(head, rows),
        Drawing(charts.quantile_means(parts)),
        Drawing(
            charts.quantile_growth(evidence.sessions, found, held),
            "Before costs, equal weights. The spread is theory: short sales of A-shares are restricted.",
        ),
    )
    return Section("quantiles", "Groups of the score", "分组收益", blocks)


def _rows(evidence: Evidence) -> Section:
    whole = max(waterfall(evidence.lost)[0].rows, 1)
    rows = tuple(
        (step.reason.replace("_", " "), f"{step.rows:,}", f"{step.rows / whole:.2%}", f"{step.left:,}")
        for step in waterfall(evidence.lost)
    )
    kept = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in notes(evidence.lost).items())
    blocks: list[Block] = [
        Drawing(factor_charts.rows_lost(evidence.lost), f"Of the kept rows: {kept}." if kept else ""),
        Table(("reason", "rows", "of the universe", "left"), rows),
    ]
    if evidence.rank_ic_lost is None:
        blocks.append(absent(evidence, "rank_ic_lost"))
    else:
        text = (
            f"RankIC lost to tradability: {evidence.rank_ic_lost:+.4f} (over every row, less over those that could "
            "have been bought and sold)."
        )
        blocks.append(Remark(text))
    return Section("rows", "Rows lost", "样本流失", tuple(blocks))


def _factors(evidence: Evidence) -> Section:
    blocks: list[Block] = []
    if evidence.importance:
        blocks.append(Drawing(factor_charts.importance(evidence.importance, evidence.zh)))
    else:
        blocks.append(absent(evidence, "importance"))
    if evidence.factors is None or not evidence.factors.width:
        blocks.append(absent(evidence, "factors"))
    else:
        table = evidence.factors
        texts = sum(1 for dtype in table.dtypes if not dtype.is_numeric())
        order = sorted(table.columns, key=lambda name: table[name].dtype.is_numeric())
        rows = tuple(tuple(_cell(name, row[name]) for name in order) for row in table.iter_rows(named=True))
        blocks.append(Table(tuple(order), rows, f"{table.height} factors 因子", texts=texts))
    if evidence.coverage is None:
        blocks.append(absent(evidence, "coverage"))
    else:
        part = evidence.coverage
        figure = factor_charts.coverage_map(part.share, part.columns, evidence.sessions, evidence.zh)
        blocks.append(Drawing(figure, "Worst on top."))
    return Section("factors", "Factors", "因子", tuple(blocks))


def _cell(column: str, value: object) -> str:
    """A value as its column asks: shares in per cent, p and q values and ICs in decimals."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return NOTHING
    if not isinstance(value, float):
        return f"{value:,d}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    name = column.lower()
    if "coverage" in name or "share" in name or "hit" in name:
        return f"{value:.1%}"
    if name.endswith(("t", "icir")) and not name.startswith("ic "):
        return f"{value:+.2f}"
    return f"{value:.4f}" if name in ("p", "q") or name.startswith(("p ", "q ", "p_", "q_")) else f"{value:+.4f}"


def _bands(evidence: Evidence) -> Section:
    bands = evidence.bands
    if bands is None:
        return Section("bands", "Prediction bands", "预测区间", (absent(evidence, "bands"),))
    rolling = factor_charts.band_coverage(evidence.sessions, bands.rolling, bands.target)
    width = charts.lines(evidence.sessions, {"mean width": bands.width}, "Mean width of the band", "log return")
    width.update_layout(showlegend=False, height=320)
    remark = f"Mean of {bands.window} sessions; wanted {bands.target:.0%}, accepted within the green strip."
    return Section("bands", "Prediction bands", "预测区间", (Drawing(rolling, remark), Drawing(width)))


def _settings(evidence: Evidence) -> Section:
    texts: Iterable[tuple[str, str]] = (
        ("Config, resolved", evidence.settings),
        ("Data and code", evidence.environment),
    )
    blocks = [block for title, text in texts for block in (Remark(title), Remark(text, "pre"))]
    return Section("settings", "Settings and versions", "配置与版本", tuple(blocks))
