"""What the leaderboards of volatility forecasts say, in words and in counts: who wins where, and whether by chance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from training.evaluate.volatility_evidence import CHOSEN, COMBINED, ProductEvidence, Score, VolatilityEvidence

SIGNIFICANT = 0.05
SHOWN_AS = {CHOSEN: "chosen 滚动选优", COMBINED: "combined 组合"}


def shown(name: str, base: str = "") -> str:
    """A forecaster's name as a reader meets it; the base in capitals, as EWMA is written."""
    return name.upper() if name == base else SHOWN_AS.get(name, name)


def winner(rows: Sequence[Score], base: str) -> Score | None:
    """The model with the least loss in relation to the base's; the base wins a tie. None where nothing was judged.

    What is made of several models (chosen, combined) takes no part.
    """
    judged = [row for row in rows if row.model not in SHOWN_AS and math.isfinite(row.ratio)]
    return min(judged, key=lambda row: (row.ratio, row.model != base), default=None)


def verdict(rows: Sequence[Score], base: str) -> str:
    """Who wins, by how much, and whether that can be told from chance."""
    best = winner(rows, base)
    if best is None:
        return "nothing judged yet"
    name = shown(base, base)
    if best.model == base:
        return f"{name} wins"
    gap = f"QLIKE {1 - best.ratio:.1%} below {name}'s"
    if not math.isfinite(best.dm_p):
        return f"{best.model} leads: {gap}, not tested"
    if best.dm_p < SIGNIFICANT and best.dm_t < 0:
        return f"{best.model} beats {name}: {gap} (p {p_value(best.dm_p)})"
    return f"{best.model} leads: {gap}, not told apart from it (p {p_value(best.dm_p)})"


def p_value(value: float) -> str:
    """A p value as a reader needs it."""
    if math.isnan(value):
        return "–"
    return "<\u00a00.001" if value < 0.001 else f"{value:.3f}"


@dataclass(frozen=True)
class Standing:
    """A forecaster over all products at one horizon: counts of products, and the median ratio of its loss."""

    model: str
    products: int
    forecasts: int
    median: float
    wins: int
    beats: int
    loses: int
    in_set: int
    in_set_of: int


def standings(evidence: VolatilityEvidence, horizon: int) -> list[Standing]:
    """Every forecaster's standing, best median first."""
    boards = [product.scores.get(horizon, ()) for product in evidence.products]
    wins = Counter(best.model for rows in boards if (best := winner(rows, evidence.base)) is not None)
    found = []
    for model in forecasters(boards):
        rows = [row for board in boards for row in board if row.model == model and math.isfinite(row.ratio)]
        told = [row for row in rows if math.isfinite(row.dm_p) and row.dm_p < SIGNIFICANT]
        sets = [row.in_set for row in rows if row.in_set is not None]
        median = float(np.median([row.ratio for row in rows])) if rows else math.nan
        beats, loses = sum(row.dm_t < 0 for row in told), sum(row.dm_t > 0 for row in told)
        counts = (wins[model], beats, loses, sum(sets), len(sets))
        found.append(Standing(model, len(rows), sum(row.n for row in rows), median, *counts))
    return sorted(found, key=lambda one: (math.isnan(one.median), one.median))


def forecasters(boards: Iterable[Sequence[Score]]) -> list[str]:
    """Names on the boards, in the order in which they first appear."""
    return list(dict.fromkeys(row.model for rows in boards for row in rows))


def summary(evidence: VolatilityEvidence, horizon: int) -> str:
    """One sentence on a horizon: on how many products the base wins, and what the others do."""
    found = standings(evidence, horizon)
    judged = sum(one.wins for one in found)
    name = shown(evidence.base, evidence.base)
    if not judged:
        return "nothing judged yet: no forecast's horizon is over"
    base = sum(one.wins for one in found if one.model == evidence.base)
    others = sorted((one for one in found if one.wins and one.model != evidence.base), key=lambda one: -one.wins)
    said = [f"{name} wins on {base} of {judged} product{'s' if judged > 1 else ''}"]
    said += [f"{one.model} on {one.wins} ({one.beats} told from {name} at 5 %)" for one in others]
    return ", ".join(said)


def fits_ended(product: ProductEvidence) -> dict[str, Counter[str]]:
    """model -> how its fits ended, by the first words of their status."""
    found: dict[str, Counter[str]] = {}
    for refit in product.refits:
        found.setdefault(refit.model, Counter())[kind_of(refit.status)] += 1
    return found


def ways_ended(each: Iterable[Counter[str]]) -> list[str]:
    """How fits ended, each way once; the good way first."""
    found = dict.fromkeys(kind for counts in each for kind in counts)
    return sorted(found, key=lambda kind: kind != "ok")


def kind_of(status: str) -> str:
    """The words of a status before its reason."""
    return status.split(":")[0].strip()
