"""What a finished training tells whoever asked for it, whatever its task."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Trained:
    """A finished run: its id, its headline numbers, and the registered name and version if it has one.

    table   rows of text to be shown, the first of which names the columns
    lost    reason -> rows that were not learnt from
    predicts  whether `daybar predict` knows what to make of it
    """

    run_id: str
    metrics: dict[str, float]
    notes: tuple[str, ...]
    lost: dict[str, int]
    name: str | None
    version: int | None
    alias: str | None
    table: tuple[tuple[str, ...], ...] = ()
    predicts: bool = True

    def headline(self) -> list[tuple[str, ...]]:
        """The headline numbers as text, with a first line that names them."""
        return list(self.table)
