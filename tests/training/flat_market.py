"""A market where nothing moves but what a test moves, and how its rows are accounted for."""

from __future__ import annotations

import numpy as np

from features.panel import Panels

T, N = 16, 4


def flat_market(price: float = 10.0, **changed: dict[tuple[int, int], float]) -> Panels:
    """Every asset at one price every day, but for the cells that are changed: field={(t, n): value}."""
    values = {name: np.full((T, N), price) for name in ("open", "high", "low", "close", "prev_close")}
    values |= {"limit_up": np.full((T, N), 11.0), "limit_down": np.full((T, N), 9.0)}
    values |= {"volume": np.full((T, N), 1e6), "total_turnover": np.full((T, N), 1e6 * price)}
    for name, cells in changed.items():
        for cell, value in cells.items():
            values[name][cell] = value
    sessions = np.arange("2024-01-01", "2024-03-01", dtype="datetime64[D]")[:T]
    return Panels(sessions, np.array([f"60000{n}.XSHG" for n in range(N)]), values)


def everyone() -> np.ndarray:
    """A universe of every asset on every session."""
    return np.ones((T, N), bool)


def unaccounted(lost: dict[str, int]) -> int:
    """Rows of the universe that are neither kept nor lost for a reason."""
    why = ("no_row_at_entry", "limit_up_at_entry", "no_exit_yet", "exit_blocked", "no_benchmark", "no_beta")
    return lost["universe"] - sum(lost[reason] for reason in why) - lost["kept"]
