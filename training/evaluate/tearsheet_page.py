"""A factor's tear sheet as a page of HTML: arrays in, text out; in the order that alphalens' readers know."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from features.panel import BoolArray, Float64Array, SessionArray
from training.evaluate import charts, factor_charts
from training.evaluate.page import Block, Drawing, Remark, Section, Table, number, page_html
from training.evaluate.tearsheet import TearSheet, tear_sheet
from training.evaluate.waterfall import waterfall


def factor_tear_sheet_html(
    values: Float64Array,
    labels: Mapping[int, Float64Array],
    sessions: SessionArray,
    *,
    quantiles: int = 5,
    title: str,
    zh: str = "",
    subtitle: str = "",
    warnings: tuple[str, ...] = (),
    universe: BoolArray | None = None,
    lost: Mapping[int, Mapping[str, int]] | None = None,
    min_names: int = 20,
) -> str:
    """Judge a factor and write the page; see `tear_sheet` for the arrays.

    labels    horizon in sessions -> (T, N) excess log return
    warnings  what a reader must know of the data first, such as survivorship
    """
    sheet = tear_sheet(
        values,
        labels,
        sessions,
        quantiles=quantiles,
        title=title,
        zh=zh,
        universe=universe,
        lost=lost,
        min_names=min_names,
    )
    return tear_sheet_html(sheet, subtitle=subtitle, warnings=warnings)


def tear_sheet_html(sheet: TearSheet, *, subtitle: str = "", warnings: tuple[str, ...] = ()) -> str:
    """The page of a tear sheet."""
    title = f"{sheet.title}  {sheet.zh}".strip()
    sections = (_rows(sheet, warnings), _returns(sheet), _information(sheet), _turnover(sheet))
    foot = "Labels are excess log returns by session of decision; nothing here has paid costs. Order: alphalens."
    return page_html(title, subtitle, sections, foot=foot)


def _horizons(sheet: TearSheet) -> tuple[str, ...]:
    return tuple(f"{h} session{'s' if h > 1 else ''}" for h in sheet.returns)


def _rows(sheet: TearSheet, warnings: tuple[str, ...]) -> Section:
    steps = {h: waterfall(lost) for h, lost in sheet.lost.items()}
    reasons = list(dict.fromkeys(step.reason for each in steps.values() for step in each))
    counts = {h: {step.reason: step.rows for step in each} for h, each in steps.items()}
    rows = tuple(
        (reason.replace("_", " "), *(f"{counts[h][reason]:,}" if reason in counts[h] else "–" for h in counts))
        for reason in reasons
    )
    blocks: list[Block] = [Remark(warning, "warning") for warning in warnings]
    blocks += [
        Table(("rows, label over", *_horizons(sheet)), rows),
        Drawing(factor_charts.rows_lost(sheet.lost[sheet.first]), f"Label over {_horizons(sheet)[0]}."),
    ]
    return Section("rows", "Rows used and lost", "样本流失", tuple(blocks))


def _returns(sheet: TearSheet) -> Section:
    """A row a number, a column a horizon; returns in basis points a session, so that horizons compare."""
    found = sheet.returns
    per_session = {h: 1e4 / h for h in found}
    lines: list[tuple[str, ...]] = [
        (f"quantile {q + 1}", *(number(one.mean[q] * per_session[h], "+.2f") for h, one in found.items()))
        for q in reversed(range(sheet.quantiles))
    ]
    lines += [
        ("highest less lowest", *(number(one.spread.mean * per_session[h], "+.2f") for h, one in found.items())),
        ("    Newey–West t", *(number(one.spread.t, "+.2f") for one in found.values())),
        ("    5 % critical", *(number(one.spread.critical, ".2f") for one in found.values())),
        ("monotonicity (Spearman)", *(number(one.monotonicity, "+.2f") for one in found.values())),
        ("factor-weighted", *(number(m.mean * per_session[h], "+.2f") for h, m in sheet.weighted_mean.items())),
        ("    Newey–West t", *(number(m.t, "+.2f") for m in sheet.weighted_mean.values())),
    ]
    first = found[sheet.first]
    named = {name: found[h] for name, h in zip(_horizons(sheet), found, strict=True)}
    weighted = sheet.weighted[sheet.first]
    grown = np.where(np.isfinite(weighted), np.nancumsum(weighted) / sheet.first * 100, np.nan)
    spread = {name: one.long_short * 1e4 / one.horizon for name, one in named.items()}
    blocks = (
        Table(("mean return, bp a session; label over", *_horizons(sheet)), tuple(lines)),
        Drawing(charts.quantile_means_by_horizon(found)),
        Drawing(charts.quantile_growth(sheet.sessions, first), f"Label over {_horizons(sheet)[0]}, before costs."),
        Drawing(
            charts.lines(
                sheet.sessions, spread, "Highest less lowest quantile 多空价差, mean of 20", "bp a session", smooth=20
            )
        ),
        Drawing(
            charts.lines(sheet.sessions, {"factor-weighted": grown}, "Factor-weighted return 因子加权收益", "sum, %"),
            "Long and short by the distance from the session's mean; in theory only, for short sales are restricted.",
        ),
    )
    return Section("returns", "Returns analysis", "收益分析", blocks)


def _information(sheet: TearSheet) -> Section:
    found = sheet.information
    rows = (
        ("RankIC mean", *(number(one.summary.mean, "+.4f") for one in found.values())),
        ("RankIC std", *(number(one.summary.std, ".4f") for one in found.values())),
        ("ICIR a year", *(number(one.summary.icir, "+.2f") for one in found.values())),
        ("Newey–West t", *(number(one.summary.nw_t, "+.2f") for one in found.values())),
        ("5 % critical", *(number(one.summary.nw_crit, ".2f") for one in found.values())),
        ("positive", *(number(one.summary.hit, ".1%") for one in found.values())),
        ("skew", *(number(one.skew, "+.2f") for one in found.values())),
        ("excess kurtosis", *(number(one.kurtosis, "+.2f") for one in found.values())),
        ("sessions", *(f"{one.summary.n:,}" for one in found.values())),
    )
    first = found[sheet.first].rank_ic
    decay = {"factor": {h: one.summary for h, one in found.items()}}
    blocks = (
        Table(("RankIC 秩相关, label over", *_horizons(sheet)), rows),
        Drawing(charts.rank_ic(sheet.sessions, first), f"Label over {_horizons(sheet)[0]}."),
        Drawing(charts.ic_distribution(first), half=True),
        Drawing(charts.ic_by_horizon(decay), half=True),
        Drawing(charts.ic_months(sheet.sessions, first)),
    )
    return Section("information", "Information analysis", "信息分析", blocks)


def _turnover(sheet: TearSheet) -> Section:
    def mean(series: Float64Array) -> str:
        known = series[np.isfinite(series)]
        return number(float(known.mean()), ".1%") if len(known) else "–"

    rows = [
        (f"turnover of quantile {q + 1}", *(mean(sheet.turnover[h][:, q]) for h in sheet.turnover))
        for q in reversed(range(sheet.quantiles))
    ]
    own = []
    for series in sheet.autocorrelation.values():
        known = series[np.isfinite(series)]
        own.append(number(float(known.mean()), "+.3f") if len(known) else "–")
    rows.append(("rank autocorrelation", *own))
    first = sheet.turnover[sheet.first] * 100
    ends = {"highest quantile": first[:, -1], "lowest quantile": first[:, 0]}
    lags = {name: sheet.autocorrelation[h] for name, h in zip(_horizons(sheet), sheet.autocorrelation, strict=True)}
    title = f"Turnover of the outer quantiles over {_horizons(sheet)[0]} 换手, mean of 20"
    blocks = (
        Table(("over", *_horizons(sheet)), tuple(rows)),
        Drawing(charts.lines(sheet.sessions, ends, title, "% of the names", smooth=20)),
        Drawing(
            charts.lines(sheet.sessions, lags, "Rank autocorrelation 秩自相关, mean of 20", "correlation", smooth=20)
        ),
    )
    return Section("turnover", "Turnover analysis", "换手分析", blocks)
