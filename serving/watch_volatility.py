"""Is a book of volatilities still what was registered: value at risk, losses beside EWMA's, who has dropped out.

What is judged is what was served: the shortest horizon of the last sessions, as it stands in the store or as it is
made now. Every such forecast is out of sample, those of the span of the training too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import polars as pl
from scipy.stats import binom, norm

from features.panel import DataError, Float64Array, IntArray, SessionArray
from features.sessions import as_day
from models.base import FitError
from models.volatility import volatility_model
from models.volatility.base import VolatilitySpec
from serving.flags import Colour, Flag
from serving.prediction import Served, columns_of, volatility_config
from serving.sink import stored
from training.evaluate.forecast_tests import DieboldMariano, diebold_mariano
from training.evaluate.significance import newey_west, overlap_lag
from training.evaluate.volatility import ahead, qlike
from training.tracking import ModelRef, Tracking
from training.volatility_config import VolatilityConfig, level_name
from training.volatility_data import Series, gather

_LEAST: Final = 20  # sessions that a verdict needs
_SIZE: Final = 0.05  # of the test against EWMA
_ODD, _WRONG = 2.0, 3.0  # standard errors between the breaches promised and those that came: yellow, red
_SHARE: Final = 0.2  # of the products that may stand on a fit that is not their model's own
_SOUND: Final = ("ok", "restarted")


@dataclass(frozen=True)
class VolatilityWatch:
    """What a book's forecasts were worth lately.

    present     sessions that are looked at
    horizon     sessions ahead of the forecasts that are judged, the book's shortest
    products    a row a product: n (forecasts whose horizon is over), qlike, ewma (its QLIKE), ratio of the two,
                breaches at the highest level, status and reason on the last session; the largest ratio first
    levels      a row a level: n, breaches, rate, promised, error (standard error that allows for what products share)
    ratio       of the summed losses to EWMA's; against: the test of the sessions' mean losses
    recomputed  sessions of the window that had no stored forecast, and were forecast now
    """

    model: ModelRef
    present: SessionArray = field(repr=False)
    horizon: int
    products: pl.DataFrame = field(repr=False)
    levels: pl.DataFrame = field(repr=False)
    ratio: float
    against: DieboldMariano
    dropped: tuple[str, ...]
    recomputed: int
    flags: tuple[Flag, ...] = ()

    @property
    def red(self) -> bool:
        """Whether anything is red."""
        return any(flag.colour == "red" for flag in self.flags)

    def metrics(self) -> dict[str, float]:
        """The numbers by name, those that are known."""
        found = {
            "qlike/ratio": self.ratio,
            "qlike/p": self.against.fixed_b,
            "products/forecast": float(self.products["reason"].is_null().sum()),
            "products/dropped": float(len(self.dropped)),
            "flags/red": float(sum(flag.colour == "red" for flag in self.flags)),
            "flags/yellow": float(sum(flag.colour == "yellow" for flag in self.flags)),
        }
        found |= {f"breaches/{level_name(row['level'])}": row["rate"] for row in self.levels.iter_rows(named=True)}
        return {name: value for name, value in found.items() if math.isfinite(value)}


def watch_volatility(
    served: Served,
    tracking: Tracking,
    model: str,
    window: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> VolatilityWatch:
    """Watch a book on the last `window` sessions of a store, and log what was seen to experiment "watch"."""
    config, last = volatility_config(served.manifest), as_day(served.store.span("bars/Future")[1])
    days = served.store.calendar().between(served.store.span("bars/Future")[0], last)[-window:]
    given, recomputed = _given(served, days, progress)
    data = gather(config, served.store, last.astype(object))
    found = replace(judge(config, served.ref, days, given, data.series), recomputed=recomputed)
    with tracking.start("watch", model, {"watched_run": served.ref.run_id, "model": model}) as run:
        run.params({"window": window, "last_session": str(days[-1])})
        run.metrics(found.metrics())
        run.frame("products.json", found.products)
        run.frame("levels.json", found.levels)
        run.json("flags.json", [vars(flag) for flag in found.flags])
    return found


def judge(
    config: VolatilityConfig, model: ModelRef, days: SessionArray, given: pl.DataFrame, series: Mapping[str, Series]
) -> VolatilityWatch:
    """The forecasts (rows of pred_vol) of some sessions against the returns and ranges that came.

    Errors  DataError where there is no forecast at all
    """
    horizon = config.forecast.horizons[0]
    rows = given.filter(pl.col("horizon") == horizon)
    names = rows["asset"].unique().sort().to_list()
    shape, levels = (len(days), len(names)), config.forecast.levels
    if not len(rows.drop_nulls("sigma")):
        raise DataError("watch", "the sessions must have a forecast", "none", f"{days[0]}", "Give a longer --window.")
    own, base = np.full(shape, np.nan), np.full(shape, np.nan)
    hit = np.full((*shape, len(levels)), np.nan)
    for column, name in enumerate(names):
        if name not in series:
            continue
        told = rows.filter(pl.col("asset") == name).drop_nulls("sigma").sort("asof")
        own[:, column], base[:, column], hit[:, column] = _judged(config, series[name], told, days, horizon)
    both = np.isfinite(own) & np.isfinite(base)
    own, base = np.where(both, own, np.nan), np.where(both, base, np.nan)
    by_day, base_by_day = (_means(np.nansum(loss, axis=1), both.sum(axis=1)) for loss in (own, base))
    latest, before = (rows.filter(pl.col("asof") == day.astype(object)) for day in (days[-1], days[0]))
    with_one = [set(part.drop_nulls("sigma")["asset"]) for part in (before, latest)]
    found = VolatilityWatch(
        model,
        days,
        horizon,
        _by_product(names, own, base, hit[:, :, -1], latest),
        pl.DataFrame([_by_level(level, hit[:, :, k], horizon) for k, level in enumerate(levels)]),
        float(np.nansum(own) / np.nansum(base)) if both.any() else math.nan,
        diebold_mariano(by_day, base_by_day, horizon),
        tuple(sorted(with_one[0] - with_one[1])),
        0,
    )
    return replace(found, flags=tuple(_flags(found)))


def _judged(
    config: VolatilityConfig, series: Series, told: pl.DataFrame, days: SessionArray, horizon: int
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """One product on the days: QLIKE of what was served and of EWMA, (T,), and breaches by level, (T, L) of 0 and 1."""
    own, base = np.full(len(days), np.nan), np.full(len(days), np.nan)
    hit = np.full((len(days), len(config.forecast.levels)), np.nan)
    origin, at = _origins(series, told["asof"].to_numpy().astype("datetime64[D]"), days)
    told, origin, at = told.filter(pl.Series(at >= 0)), origin[at >= 0], at[at >= 0]
    came, proxy = (ahead(x, horizon)[origin] for x in (series.returns.value, series.proxy))
    own[at] = qlike(told["sigma_h"].to_numpy() ** 2, proxy)
    base[at] = qlike(_ewma(config, series, origin, horizon), proxy)
    for k, level in enumerate(config.forecast.levels):
        var = told[f"var_{level_name(level)}"].cast(pl.Float64).to_numpy()
        hit[at, k] = np.where(np.isfinite(came) & np.isfinite(var), came < -var, np.nan)
    return own, base, hit


def _origins(series: Series, asof: SessionArray, days: SessionArray) -> tuple[IntArray, IntArray]:
    """Positions of sessions in the series and among the days; -1 among the days where the series has no return then."""
    origin = np.searchsorted(series.sessions, asof)
    there = (origin < len(series.sessions)) & (series.sessions[np.minimum(origin, len(series.sessions) - 1)] == asof)
    return origin.astype(np.int64), np.where(there, np.searchsorted(days, asof), -1).astype(np.int64)


def _ewma(config: VolatilityConfig, series: Series, origin: IntArray, horizon: int) -> Float64Array:
    """Variances that EWMA forecasts at some origins, fitted on what was there before the first; NaN where it cannot."""
    if not len(origin):
        return np.zeros(0)
    stated = next((model for model in config.models.values() if model.kind == "ewma"), None)
    spec: VolatilitySpec = stated.spec() if stated is not None else volatility_model("ewma")()
    first, last = int(origin[0]) + 1, int(origin[-1]) + 1
    low = max(0, first - config.walk.window)
    try:
        fitted = spec.fit(series.returns.part(low, first))
        found = fitted.forecast(series.returns.part(low, last), origin - low, (horizon,))
    except FitError:
        return np.full(len(origin), np.nan)
    return found.variance[:, 0]


def _by_product(
    names: list[str], own: Float64Array, base: Float64Array, hit: Float64Array, latest: pl.DataFrame
) -> pl.DataFrame:
    n = np.isfinite(own).sum(axis=0)
    qlike, ewma = (_means(np.nansum(loss, axis=0), n) for loss in (own, base))
    told = {"asset": names, "n": n, "qlike": qlike, "ewma": ewma, "breaches": np.nansum(hit, axis=0).astype(int)}
    found = pl.DataFrame(told).join(latest.select("asset", "status", "reason"), on="asset", how="left")
    ratio = (pl.col("qlike") / pl.col("ewma")).fill_nan(None)
    return (
        found.with_columns(pl.col("qlike", "ewma").fill_nan(None), ratio=ratio)
        .select("asset", "n", "qlike", "ewma", "ratio", "breaches", "status", "reason")
        .sort("ratio", "asset", descending=[True, False], nulls_last=True)
    )


def _by_level(level: float, hit: Float64Array, horizon: int) -> dict[str, float]:
    """Breaches of one level, (T, N) of 0 and 1; products share their sessions, so sessions are what is counted on."""
    known = np.isfinite(hit)
    n, breaches, promised = int(known.sum()), int(np.nansum(hit)), 1 - level
    excess = np.where(known, hit - promised, 0.0).sum(axis=1)[known.any(axis=1)]
    alone = math.sqrt(promised * level / n) if n else math.nan
    error = math.nan
    if len(excess) >= _LEAST:
        mean = newey_west(excess, overlap_lag(horizon, len(excess)))
        error = max(mean.se * len(excess) / n, alone)
    rate = breaches / n if n else math.nan
    return {"level": level, "n": n, "breaches": breaches, "rate": rate, "promised": promised, "error": error}


def _given(served: Served, days: SessionArray, progress: Callable[[int, int], None]) -> tuple[pl.DataFrame, int]:
    """The rows of the sessions, as they were given or else as they are made now; and how many were made now."""
    columns = columns_of(served.manifest)
    standing = stored(served.store, columns, served.ref.run_id).filter(pl.col("asof") >= days[0].astype(object))
    rows = standing.filter(pl.col("asof") <= days[-1].astype(object)).collect()
    rows = rows.sort(pl.col("sigma").is_null(), maintain_order=True)
    rows = rows.unique(["asof", "asset", "horizon"], keep="first", maintain_order=True)
    there = rows.filter(pl.col("sigma").is_not_null())["asof"].unique().to_numpy().astype("datetime64[D]")
    missing = days[~np.isin(days, there)]
    if not len(missing):
        return rows, 0
    made = served.between(missing[0], missing[-1], progress).predictions
    wanted = {day.astype(object) for day in missing}
    fresh = [one.frame for one in made if one.frame["asof"][0] in wanted]
    kept = rows.filter(~pl.col("asof").is_in(list(wanted)))
    return pl.concat([kept, *fresh]), len(missing)


def _means(total: Float64Array, n: IntArray) -> Float64Array:
    return np.asarray(np.divide(total, n, out=np.full(len(total), np.nan), where=n > 0))


def _flags(seen: VolatilityWatch) -> Iterator[Flag]:
    """What is out of its bounds, the worst first."""
    for row in seen.levels.iter_rows(named=True):
        colour = _breached(row)
        if colour:
            told = f"{row['rate']:.2%} of {row['n']:,} returns lay beyond it, {row['promised']:.1%} were promised"
            yield Flag(colour, f"value at risk {row['level']:.1%}", told)
    if seen.against.n >= _LEAST and seen.ratio > 1:
        told = f"losses were {seen.ratio:.3f} times those of EWMA over {seen.against.n} sessions"
        yield Flag("red" if seen.against.fixed_b < _SIZE else "yellow", "QLIKE", told)
    if seen.dropped:
        why = dict(seen.products.select("asset", "reason").rows())
        told = "; ".join(f"{name}: {why.get(name) or 'no row'}" for name in seen.dropped[:3])
        more = ", ..." if len(seen.dropped) > 3 else ""
        yield Flag("red", "products", f"{len(seen.dropped)} had a forecast and have none now: {told}{more}")
    forecast = seen.products.filter(pl.col("reason").is_null())
    fallen = forecast.filter(~pl.col("status").is_in(_SOUND))
    if len(fallen) > _SHARE * len(forecast):
        names = ", ".join(fallen["asset"].head(5).sort())
        yield Flag(
            "yellow", "fits", f"{len(fallen)} of {len(forecast)} products stand on another than their own: {names}"
        )


def _breached(row: dict[str, float]) -> Colour | None:
    """The colour of a level: both the sessions' scatter and the count alone must say so, for breaches are few."""
    z = (row["rate"] - row["promised"]) / row["error"] if row["error"] > 0 else math.nan
    n, count, share = int(row["n"]), int(row["breaches"]), row["promised"]
    above, below = (float(binom.sf(count - 1, n, share)), float(binom.cdf(count, n, share))) if n else (1.0, 1.0)
    if z > _WRONG and above < norm.sf(_WRONG):
        return "red"
    odd = (z > _ODD and above < norm.sf(_ODD)) or (z < -_WRONG and below < norm.sf(_WRONG))
    return "yellow" if odd else None
