"""The section of one pair on the page of a spread run: what it is, how it is foretold, what trading it earned."""

from __future__ import annotations

import math

import numpy as np

from training.evaluate import spread_charts as charts
from training.evaluate.page import NOTHING, Block, Drawing, Remark, Section, Table, number
from training.evaluate.spread_evidence import ForecastScore, PairEvidence, RuleTrading
from training.evaluate.spread_trading import REASONS
from training.evaluate.spread_words import WHY_LEFT, certainty, pair_note, verdict
from training.evaluate.volatility_words import p_value

MOST_TRADES = 200
_DISTANCE = (
    "The line is the distance from the mean, by the hedge and the mean that the model held then. "
    "The green strip at the foot: the pair is a candidate."
)
SCORE_HEAD = (
    "R²",
    "p",
    "v.\u00a0AR(1)",
    "p",
    "direction (by\u00a0chance)",
    "p",
    "rank\u00a0IC",
    "p",
    "holdout R²",
    "n",
)


def pair_section(pair: PairEvidence, points: int) -> Section:
    """Everything on one pair, folded under a line that says how it went."""
    blocks: list[Block] = [Remark(note, "warning") for note in pair.notes]
    blocks += [_span(pair), *_now(pair), *_tests(pair)]
    if len(pair.sessions):
        rule = pair.tradings[0] if pair.tradings else None
        how = "Triangles: entries at the close; circles: exits. "
        how += "A new pair of contracts begins where the line breaks." if not pair.screenings else _DISTANCE
        blocks.append(Drawing(charts.spread_and_trades(pair, rule, points=points), how))
    blocks += _money(pair, points)
    blocks += _scores(pair)
    blocks += _pictures(pair)
    blocks += [block for one in pair.tradings for block in _trades(one)]
    return Section(anchor(pair.name), pair.name, pair.zh, tuple(blocks), folded=True, note=pair_note(pair))


def anchor(name: str) -> str:
    """Where the section stands on the page."""
    return "pair-" + "".join(c if c.isalnum() else "-" for c in name)


def _absent(pair: PairEvidence, part: str) -> Remark:
    return Remark(f"Not here: {pair.absent.get(part, f'{part} was not computed for this pair')}.", "absent")


def _span(pair: PairEvidence) -> Remark:
    if not len(pair.sessions):
        return Remark("No session has a spread.", "absent")
    lives = len(np.unique(pair.life[pair.life >= 0]))
    whole = f"{lives} pair{'' if lives == 1 else 's'} of contracts"
    return Remark(
        f"{pair.kind}: long {pair.legs[0]}, short {pair.legs[1]}; {len(pair.sessions):,} sessions, "
        f"{pair.sessions[0]} to {pair.sessions[-1]}, {'rolled' if pair.kind == 'cross' else whole}."
    )


def _now(pair: PairEvidence) -> list[Block]:
    if not pair.now or not len(pair.sessions):
        return []
    return [Table((f"at the close of {pair.sessions[-1]}", *pair.now), (("now 最新", *pair.now.values()),))]


def _tests(pair: PairEvidence) -> list[Block]:
    if not pair.tests:
        return [_absent(pair, "tests")]
    rows = tuple((one.name, number(one.statistic, "+.2f"), p_value(one.p), p_value(one.q)) for one in pair.tests)
    return [Table(("on training data 检验", "statistic", "p", "q over all pairs"), rows), *_screenings(pair)]


def _screenings(pair: PairEvidence) -> list[Block]:
    """When the pair was a candidate."""
    if not pair.screenings:
        return []
    head = ("screened on 筛选", "until the next", "p", "q over all pairs", "trace", "β", "half-life")
    rows = tuple(
        (
            f"{one.session}",
            one.reason or "candidate 入选",
            p_value(one.p),
            p_value(one.q),
            number(one.trace, ".2f"),
            number(one.beta, ".3f"),
            number(one.half_life, ".1f"),
        )
        for one in reversed(pair.screenings)
    )
    return [Table(head, rows, f"{len(rows)} screenings 协整筛选, the last one first", texts=2)]


def _money(pair: PairEvidence, points: int) -> list[Block]:
    if not pair.tradings:
        return [_absent(pair, "tradings")]
    said = tuple((one.model, certainty(one.summary)) for one in pair.tradings)
    figure = charts.money(pair.tradings, points=points)
    return [Drawing(figure, assumptions(pair.tradings[0])), Table(("signal", "how sure 确定性"), said, texts=2)]


def assumptions(one: RuleTrading) -> str:
    """What a trading takes for granted, in words."""
    rule = one.trading.rule
    enter = {
        "z": f"|z| > {rule.enter_z:g}",
        "forecast": f"the forecast exceeds {rule.margin:g} × the cost",
        "either": f"|z| > {rule.enter_z:g} or the forecast exceeds {rule.margin:g} × the cost",
    }[rule.by]
    later = "at the close of the decision" if rule.delay == 0 else f"at the close {rule.delay} later"
    rolls = any(leg.rolled is not None for leg in (one.trading.pair.first, one.trading.pair.second))
    rolled = " A leg changes its contract at the close that decides it, for two more fills." if rolls else ""
    return (
        f"Entered where {enter}; left at |z| < {rule.exit_z:g}, after {rule.half_lives:g} half-lives, or with the "
        f"contracts. Filled {later}, in whole lots for {rule.capital:,.0f} CNY a leg; each fill of a leg costs "
        f"{rule.ticks:g} tick{'' if rule.ticks == 1 else 's'} and the fee.{rolled} Profits are not reinvested."
    )


def _scores(pair: PairEvidence) -> list[Block]:
    if not any(pair.scores.values()):
        return [_absent(pair, "scores")]
    return [
        Table(
            (f"{horizon} ahead", *SCORE_HEAD),
            tuple(_score(row) for row in rows),
            f"Horizon {horizon}: {verdict(rows)}",
        )
        for horizon, rows in pair.scores.items()
        if rows
    ]


def _score(row: ForecastScore) -> tuple[str, ...]:
    ar1 = row.ar1
    return (
        row.model,
        number(row.zero.r2, "+.2%"),
        p_value(row.zero.p),
        NOTHING if ar1 is None else number(ar1.r2, "+.2%"),
        NOTHING if ar1 is None else p_value(ar1.p) + ("" if ar1.nested or math.isnan(ar1.p) else "\u00a0DM"),
        f"{number(row.direction.accuracy, '.1%')} ({number(row.direction.expected, '.1%')})",
        p_value(row.direction.robust.p),
        number(row.ic.ic, "+.3f"),
        p_value(row.ic.p),
        number(row.holdout, "+.2%"),
        f"{row.zero.n:,}",
    )


def _pictures(pair: PairEvidence) -> list[Block]:
    blocks: list[Block] = []
    if pair.forecast is None or pair.outcome is None:
        blocks.append(_absent(pair, "forecast"))
    else:
        blocks.append(Drawing(charts.calibration(pair), "The served forecasts, out of sample.", half=True))
    found = pair.half_lives
    if found is None:
        return [*blocks, _absent(pair, "half_lives")]
    steady = found.stability
    said = (
        f"{steady.n} refits: {_share(steady.reverting)} revert, {_share(steady.inside)} within 2 to 60 sessions; "
        f"median {number(steady.median, '.1f')}, quartiles {number(steady.low, '.1f')}–{number(steady.high, '.1f')}. "
    )
    test = steady.homogeneous
    said += (
        f"Not tested for change: {test.reason}." if test.reason else f"That they are all the same: p {p_value(test.p)}."
    )
    return [*blocks, Drawing(charts.half_lives(found), said, half=True)]


def _share(value: float) -> str:
    return number(value, ".0%")


def _trades(one: RuleTrading) -> list[Block]:
    trades, pair, capital = one.trading.trades, one.trading.pair, one.trading.rule.capital
    if not trades:
        missed = ", ".join(f"{count} × {why}" for why, count in one.trading.missed.items())
        return [Remark(f"No trade by {one.model}" + (f"; orders not filled: {missed}." if missed else "."), "absent")]
    rows = tuple(
        (
            f"{pair.sessions[t.entered]} to {NOTHING if t.reason == 'open' else pair.sessions[t.left]}",
            "long\u00a0多" if t.side > 0 else "short\u00a0空",
            WHY_LEFT[t.reason],
            f"{t.lots[0]:+,} / {t.lots[1]:+,}",
            f"{t.sessions}",
            f"{t.gross / capital:+.3%}",
            f"{t.costs / capital:.3%}",
            f"{t.net / capital:+.3%}",
            f"{t.worst / capital:+.3%}",
        )
        for t in trades[-MOST_TRADES:]
    )
    head = ("held 持有", "side", "why left", "lots", "sessions", "gross", "costs", "net", "worst close")
    some = f", the last {MOST_TRADES}" if len(trades) > MOST_TRADES else ""
    why = one.summary.reasons
    ended = ", ".join(f"{why[reason]} {WHY_LEFT[reason]}" for reason in REASONS if why.get(reason))
    return [Table(head, rows, f"{len(trades)} trades 交易 by {one.model}{some}: {ended}", texts=3)]
