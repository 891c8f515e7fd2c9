"""A small random market with all that makes A-shares awkward: limits, suspensions, ex-dates, delistings."""

from __future__ import annotations

import numpy as np

from features.panel import Panels

FIELDS = ("open", "high", "low", "close", "prev_close", "limit_up", "limit_down", "volume", "total_turnover")


def random_market(seed: int, t_count: int = 60, n_count: int = 12, *, delistings: int = 2) -> tuple[Panels, np.ndarray]:
    """Panels with NaN rows, rows of no volume and locked days; and the row of each asset's last session or -1."""
    rng = np.random.default_rng(seed)
    values = {name: np.full((t_count, n_count), np.nan) for name in (*FIELDS, "suspended")}
    delisted = np.full(n_count, -1)
    for n in range(n_count):
        end = t_count
        if n < delistings:
            delisted[n] = end = int(rng.integers(t_count // 3, t_count - 8))
            end += 1
        close = float(rng.uniform(5, 50))
        stopped = 0
        for t in range(end):
            stopped = stopped - 1 if stopped else int(rng.integers(1, 30)) * int(rng.random() < 0.02)
            if stopped and t != delisted[n]:
                if rng.random() < 0.5:  # a row without trades, as some vendors give it
                    for name in ("open", "high", "low", "close", "prev_close"):
                        values[name][t, n] = close
                    values["volume"][t, n] = values["total_turnover"][t, n] = 0.0
                    values["suspended"][t, n] = float(rng.random() < 0.5)
                continue
            prev = round(close * (0.97 if rng.random() < 0.04 else 1.0), 2)
            up, down = round(prev * 1.1, 2), round(prev * 0.9, 2)
            day = np.round(np.clip(prev * (1 + rng.normal(0, 0.03, 4)), down, up), 2)
            fate = rng.random()
            if fate < 0.05:
                day[:] = up
            elif fate < 0.12:
                day[:] = down
            elif fate < 0.16:
                day[0] = up if rng.random() < 0.5 else down
            low, high = day.min(), day.max()
            volume = float(rng.integers(1_000_000, 3_000_000))
            row = (day[0], high, low, day[-1], prev, up, down, volume, volume * (low + high) / 2)
            for name, cell in zip(FIELDS, row, strict=True):
                values[name][t, n] = cell
            values["suspended"][t, n] = 0.0
            close = float(day[-1])
    sessions = np.arange("2022-04-01", "2026-01-01", dtype="datetime64[D]")
    sessions = sessions[np.is_busday(sessions)][:t_count]
    codes = [f"{600000 + n}.XSHG" if n % 3 else f"{688000 + n}.XSHG" for n in range(n_count)]
    return Panels(sessions, np.array(codes), values), delisted
