"""Rows lost, reason by reason: from the whole to what is kept, with nothing unexplained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

# Counts of rows that are kept, but in a way that a reader should know of.
NOTES = ("delayed_exit", "delisted")
KEPT = "kept"


class Step(NamedTuple):
    """One step down: why, how many rows, and how many are left after it; a total takes nothing away."""

    reason: str
    rows: int
    left: int
    is_total: bool


def waterfall(lost: Mapping[str, int]) -> list[Step]:
    """The steps of a mapping whose first entry is the whole, whose `kept` is what is left, and the rest in between.

    Rows that no reason explains get a step of their own, `unexplained`.
    """
    (whole, rows), *between = ((reason, count) for reason, count in lost.items() if reason not in (*NOTES, KEPT))
    steps, left = [Step(whole, rows, rows, True)], rows
    for reason, count in between:
        left -= count
        steps.append(Step(reason, count, left, False))
    if KEPT in lost:
        if left != lost[KEPT]:
            steps.append(Step("unexplained", left - lost[KEPT], lost[KEPT], False))
        steps.append(Step(KEPT, lost[KEPT], lost[KEPT], True))
    return steps


def notes(lost: Mapping[str, int]) -> dict[str, int]:
    """Counts of kept rows that a reader should know of."""
    return {name: lost[name] for name in NOTES if name in lost}
