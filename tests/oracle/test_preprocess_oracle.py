"""Preprocessing a second time: pandas and numpy.linalg, a loop over sessions and columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from training.preprocess import Preprocess

COLUMNS = ("size", "beta", "a", "b", "c")


def robust_z(x: pd.Series, winsor: float) -> pd.Series:
    """Clipped first, as 09 §2 has it, then the z-score of what is left."""
    mad = (x - x.median()).abs().median()
    x = x.clip(x.median() - winsor * 1.4826 * mad, x.median() + winsor * 1.4826 * mad)
    mad = (x - x.median()).abs().median()
    if not mad > 0:
        return x * np.nan
    return ((x - x.median()) / (1.4826 * mad)).clip(-winsor, winsor)


def standard(x: pd.Series, kind: str, winsor: float) -> pd.Series:
    if kind == "rank":
        return (x.rank(method="average") - 0.5) / x.count() - 0.5
    return robust_z(x, winsor)


def residual(x: pd.Series, regressors: pd.DataFrame, group: pd.Series | None, weight: pd.Series) -> pd.Series:
    """Least squares on dummies and regressors over the rows where x is there."""
    held = x.notna()
    dummies = np.ones((len(x), 1)) if group is None else pd.get_dummies(group.clip(lower=-1)).to_numpy(float)
    design = np.column_stack([dummies, regressors.to_numpy()])
    root = np.sqrt(weight[held].to_numpy())[:, None]
    beta = np.linalg.lstsq(root * design[held], root[:, 0] * x[held].to_numpy(), rcond=None)[0]
    return (x - design @ beta).where(held)


def by_hand(
    values: np.ndarray,
    session: np.ndarray,
    kind: str,
    winsor: float,
    neutral: tuple[str, ...],
    group: np.ndarray | None,
    weight: np.ndarray | None,
) -> pd.DataFrame:
    table = pd.DataFrame(values.astype(np.float64), columns=list(COLUMNS))
    out = pd.DataFrame(index=table.index)
    for _, rows in table.groupby(session):
        z = pd.DataFrame({c: robust_z(rows[c], winsor).fillna(0.0) for c in neutral}, index=rows.index)
        codes = None if group is None else pd.Series(group, table.index)[rows.index]
        heavy = pd.Series(1.0 if weight is None else weight, table.index)[rows.index]
        for c in COLUMNS:
            if c in neutral:
                continue
            x = standard(rows[c], kind, winsor)
            if neutral and x.notna().any():
                x = residual(x, z, codes, heavy)
            out.loc[rows.index, c] = x.fillna(0.0)
    return out


@pytest.fixture(scope="module")
def market():
    rng = np.random.default_rng(8)
    session = np.repeat([2, 3, 5, 9], [41, 60, 7, 52])
    values = rng.standard_t(2, (len(session), 5)).astype(np.float32)
    values[:, 2] += 0.7 * values[:, 0]
    values[:, 3] = np.round(values[:, 3])  # ties
    values[rng.random(values.shape) < 0.15] = np.nan
    values[session == 5, 4] = np.nan  # a session without a value
    values[session == 3, 3] = 1.0  # a session without spread
    return values, session, rng.integers(-1, 4, len(session)), rng.uniform(0.2, 3.0, len(session))


@pytest.mark.parametrize("kind", ["rank", "zscore"])
@pytest.mark.parametrize("winsor", [5.0, 2.0])
@pytest.mark.parametrize(
    ("neutral", "grouped", "weighted"),
    [((), False, False), (("size",), False, False), (("size", "beta"), True, False), (("size", "beta"), True, True)],
)
def test_it_agrees_with_a_loop_over_sessions_and_columns(market, kind, winsor, neutral, grouped, weighted):
    values, session, group, weight = market
    extra = (group if grouped else None, weight if weighted else None)
    spec = Preprocess(kind=kind, winsor=winsor, neutralise=neutral, min_coverage=0.0, indicator_above=1.0)
    fitted = spec.fit(values, session, COLUMNS, *extra)
    wanted = by_hand(values, session, kind, winsor, neutral, *extra)
    assert fitted.out_columns == tuple(wanted.columns)
    assert np.allclose(fitted.transform(values, session, *extra), wanted.to_numpy(), rtol=0, atol=2e-6)
