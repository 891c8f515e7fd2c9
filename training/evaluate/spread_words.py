"""What the scores and the trades of spreads say, in words: who foretells it, and how certain the money is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from training.evaluate.spread_evidence import ForecastScore, PairEvidence
from training.evaluate.spread_score import CERTAIN, ENOUGH, TradingSummary
from training.evaluate.spread_trading import Reason
from training.evaluate.volatility_words import SIGNIFICANT, p_value

WHY_LEFT: dict[Reason, str] = {
    "converged": "went back 回归",
    "turned": "forecast turned 信号反转",
    "time": "time ran out 超时",
    "roll": "contracts ended 换月",
    "stranded": "no close 无价",
    "open": "still open 未平",
}


def best(rows: Sequence[ForecastScore]) -> ForecastScore | None:
    """The model with the highest R² against nought; None where none has one."""
    judged = [row for row in rows if math.isfinite(row.zero.r2)]
    return max(judged, key=lambda row: row.zero.r2, default=None)


def verdict(rows: Sequence[ForecastScore]) -> str:
    """Which model foretells the return, by how much, and whether that can be told from chance and from an AR(1)."""
    found = best(rows)
    if found is None:
        return "nothing judged yet"
    if found.zero.r2 <= 0:
        return f"no model is better than nought (best {found.model}, R² {found.zero.r2:.2%})"
    said = f"{found.model}: R² {found.zero.r2:.2%} (p {p_value(found.zero.p)})"
    if found.ar1 is None:
        return said
    more = "more" if found.ar1.r2 > 0 else "less"
    return f"{said}, {abs(found.ar1.r2):.2%} {more} than an AR(1) (p {p_value(found.ar1.p)})"


def certainty(told: TradingSummary) -> str:
    """How sure the money of a rule is: how often it loses, how much, and whether luck would do as well."""
    if not told.closed:
        why = ", ".join(f"{count} × {reason}" for reason, count in told.missed.items())
        return "no trade has ended" + (f" (orders not filled: {why})" if why else "")
    losing = f"loses {told.losing:.0%} of {told.closed} trade{'s' if told.closed > 1 else ''}"
    span = f"(95 %: {told.losing_lo:.0%} to {told.losing_hi:.0%})"
    tail = f"worst {told.worst:+.2%}, the worst twentieth {told.tail:+.2%} of the capital"
    if not math.isfinite(told.deflated):
        return f"{losing} {span}, {tail}"
    luck = "more than luck" if told.is_certain else "not told from luck"
    if told.deflated > CERTAIN and told.closed < ENOUGH:
        luck = f"too few trades to tell it from luck, of {ENOUGH}"
    return f"{losing} {span}, {tail}; {luck} (deflated Sharpe {told.deflated:.2f}, must exceed {CERTAIN})"


def pair_note(pair: PairEvidence) -> str:
    """One line on a pair, for the line that unfolds it."""
    said = [f"{h}: {verdict(rows)}" for h, rows in pair.scores.items()]
    if pair.tradings:
        first = pair.tradings[0].summary
        if first.closed:
            sharpe = f"Sharpe {first.sharpe:.2f}" if math.isfinite(first.sharpe) else "no Sharpe ratio"
            said.append(f"{first.closed} trades, {sharpe} net, {first.losing:.0%} lose")
        else:
            said.append("no trade has ended")
    return "; ".join(said) or "nothing judged yet"


def summary(pairs: Iterable[PairEvidence], horizon: int) -> str:
    """On how many pairs some model foretells the return, and on how many more than an AR(1) does."""
    boards = [pair.scores[horizon] for pair in pairs if pair.scores.get(horizon)]
    found = [one for rows in boards if (one := best(rows)) is not None]
    if not found:
        return "nothing judged yet: no forecast's horizon is over"
    above = [one for one in found if one.zero.r2 > 0]
    told = sum(one.zero.p < SIGNIFICANT for one in above)
    further = sum(one.ar1 is not None and one.ar1.r2 > 0 and one.ar1.p < SIGNIFICANT for one in above)
    whole = f"{len(found)} pair{'s' if len(found) > 1 else ''}"
    return (
        f"the best model is better than nought on {len(above)} of {whole}, told from it at 5 % on {told}, "
        f"and from an AR(1) on {further}"
    )
