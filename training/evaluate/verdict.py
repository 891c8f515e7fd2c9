"""The questions that a sceptic asks of a run, answered from its evidence: passed, failed, or not told."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from training.evaluate.evidence import Evidence, Judged
from training.evaluate.page import NOTHING, Check, number

LEAST_DSR, MOST_PBO, PLACEBO_ERRORS, SLACK = 0.95, 0.2, 3.0, 0.03


def verdict(evidence: Evidence) -> tuple[Check, ...]:
    """Every question, in the order of the report; the limits are those of spec 09 §5."""
    return (*_scores(evidence), *_money(evidence), *_search(evidence), *_bands(evidence))


def _scores(evidence: Evidence) -> Iterator[Check]:
    found = evidence.development.by_horizon[evidence.horizon]
    passed = None if math.isnan(found.nw_t) else found.nw_t > found.nw_crit
    yield Check(
        "RankIC of the walk-forward above 0? (Newey–West t)",
        f"{found.mean:+.4f}, t {found.nw_t:+.2f}",
        f"t > {number(found.nw_crit, '.2f')}",
        passed,
    )
    sealed = None if evidence.holdout is None else evidence.holdout.by_horizon.get(evidence.horizon)
    if sealed is None or math.isnan(sealed.mean):
        yield Check("RankIC of the sealed holdout above 0?", NOTHING, "> 0", None)
    else:
        shown = f"{sealed.mean:+.4f}, t {sealed.nw_t:+.2f}"
        yield Check("RankIC of the sealed holdout above 0?", shown, "> 0", sealed.mean > 0)


def _money(evidence: Evidence) -> Iterator[Check]:
    for name, part in (("walk-forward", evidence.development), ("sealed holdout", evidence.holdout)):
        excess = _excess(part)
        passed = None if math.isnan(excess) else excess > 0
        question = f"Net excess over the universe above 0, {name}?"
        yield Check(question, number(excess, "+.2%") + (" a year" if passed is not None else ""), "> 0", passed)


def _excess(part: Judged | None) -> float:
    """Net excess over the universe a year at the headline's entry; NaN where there is none."""
    if part is None or not part.portfolios:
        return math.nan
    return next(iter(part.portfolios.values())).summary.get("excess_over_universe", math.nan)


def _search(evidence: Evidence) -> Iterator[Check]:
    told = evidence.significance
    dsr, pbo = (None, None) if told is None else (told.dsr, told.pbo)
    trials = "all trials" if told is None or told.trials is None else f"{told.trials:,} trials"
    yield Check(
        f"Sharpe ratio above what the best of {trials} shows by luck? (deflated Sharpe)",
        number(dsr, ".3f"),
        f"> {LEAST_DSR}",
        None if dsr is None or math.isnan(dsr) else dsr > LEAST_DSR,
    )
    yield Check(
        "Would the best trial in sample stay above the median out of sample? (PBO)",
        number(pbo, ".3f"),
        f"< {MOST_PBO}",
        None if pbo is None or math.isnan(pbo) else pbo < MOST_PBO,
    )
    placebos = {} if told is None else told.placebos
    for name, one in placebos.items() or [("labels that mean nothing", None)]:
        shown = NOTHING if one is None else f"{one.mean:+.4f}, t {one.nw_t:+.2f}"
        passed = None if one is None or math.isnan(one.nw_t) else abs(one.nw_t) < PLACEBO_ERRORS
        yield Check(f"Nothing found in placebo: {name}?", shown, f"|t| < {PLACEBO_ERRORS:.0f}", passed)


def _bands(evidence: Evidence) -> Iterator[Check]:
    question, bands = "Prediction bands hold what they promise, on every window?", evidence.bands
    if bands is None or not np.isfinite(bands.rolling).any():
        yield Check(question, NOTHING, "near the target", None)
        return
    low, high = float(np.nanmin(bands.rolling)), float(np.nanmax(bands.rolling))
    least, most = bands.target - SLACK, bands.target + SLACK
    must = f"{least:.0%} to {most:.0%}"
    yield Check(question, f"{low:.1%} to {high:.1%}", must, low >= least and high <= most)
