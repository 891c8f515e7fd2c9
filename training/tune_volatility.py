"""A search among the settings of a volatility model: trials walk product after product, judged by QLIKE against EWMA.

Drawn are what the model's own space draws, the window of a fit and where returns are clipped for it. The best trial
was chosen among many: how often such a choice disappoints is cross-validated on the months' gains over EWMA.
Source  spec 04 §5; 09 §5
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import numpy as np
import polars as pl

from features.panel import DataError, Float64Array, SessionArray
from features.store import Store
from models.base import Trial as Draws
from models.volatility.base import VolatilitySpec
from models.volatility.walk import Plan
from training.study_record import overfitting
from training.subject import Aim, Step, Trial, Verdict
from training.tracking import RunLog, Tracking
from training.volatility_config import EXPERIMENT, VolatilityConfig
from training.volatility_data import Series, gather, plan_of
from training.volatility_objective import Development, Judged, monthly_gain, objective

WINDOWS: Final = (500, 750, 1000, 1500)  # returns of a fit, of which a trial draws one beside the config's own
CLIPS: Final = (5.0, 8.0, 12.0, None)  # MADs, likewise; None: no return is clipped
MONTHLY: Final = "monthly.json"
AIM: Final = Aim(
    EXPERIMENT,
    "volatility",
    "minimize",
    "products",
    "mean over products of ln(QLIKE over that of EWMA): -0.05 is a loss 5 % below EWMA's",
)
_OF_NO_TRIAL: Final = ("name", "registration", "models", "choice", "sizing", "forecast")


@dataclass(frozen=True)
class VolatilitySubject:
    """The products of a config before their holdouts, and the space of one of its models.

    model     name of the model that is searched
    products  what trials walk, in order
    versions  table -> version, of what was read
    """

    config: VolatilityConfig
    model: str
    products: tuple[Development, ...] = field(repr=False)
    versions: Mapping[str, int] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()

    @classmethod
    def prepare(cls, config: VolatilityConfig, store: Store, say: Callable[[str], None]) -> Self:
        """Read the series, and cut off the holdouts."""
        model = searched(config)
        data = gather(config, store, say=say)
        products, lost = _developments(data.series, config)
        notes = [f"{product} is left out: {why}" for product, why in {**data.empty, **lost}.items()]
        if not products:
            raise DataError(
                "tune",
                "some product must have forecasts to be judged by before the holdout",
                f"none of {len(notes)}",
                help="; ".join(notes[:3]),
            )
        return cls(config, model, products, store.versions(_tables(store)), tuple(notes))

    @property
    def aim(self) -> Aim:
        """A smaller loss than EWMA's."""
        return AIM

    @property
    def parts(self) -> int:
        """Products."""
        return len(self.products)

    def settings(self) -> dict[str, Any]:
        """All that trials are walked by; other models, the choice among them and the sizing change none."""
        told = self.config.model_dump(mode="json", exclude=set(_OF_NO_TRIAL))
        told["tune"].pop("trials")
        told["tune"]["model"] = self.model
        return told | {"model": self.config.models[self.model].model_dump(mode="json")}

    def fingerprint(self) -> str:
        """Hex digits over the products' sessions, returns and proxies before the holdout."""
        return hashlib.sha256("".join(one.fingerprint() for one in self.products).encode()).hexdigest()

    def tags(self) -> dict[str, str]:
        """The asset class, and which model is searched."""
        return {"asset_class": self.config.data.asset_class, "model": self.model}

    def record_data(self, run: RunLog) -> None:
        """The products that are judged, and the versions of the tables."""
        run.tags({"data_version": json.dumps(dict(self.versions), sort_keys=True)})
        run.frame(
            "products.json",
            pl.DataFrame(
                [
                    {
                        "product": one.product,
                        "first": str(one.origins[0].astype("datetime64[D]")),
                        "last": str(one.origins[-1].astype("datetime64[D]")),
                        "origins": len(one.origins),
                        "qlike_ewma": float(np.nanmean(one.loss_of(one.base))),
                    }
                    for one in self.products
                ]
            ),
        )

    def attempt(self, draws: Draws) -> VolatilityAttempt:
        """A trial with a spec of the model's space, a window, and a clip."""
        told = self.config.models[self.model]
        spec = told.spec().space(draws)
        walk = self.config.walk
        window = int(draws.suggest_categorical("walk.window", self._windows()))
        clips = sorted({*CLIPS, walk.winsor}, key=lambda clip: math.inf if clip is None else clip)
        winsor = draws.suggest_categorical("walk.winsor", clips)
        drawn = told.model_copy(update={"params": {name: getattr(spec, name) for name in told.params}})
        config = self.config.model_copy(
            update={
                "models": {**self.config.models, self.model: drawn},
                "walk": walk.model_copy(update={"window": window, "winsor": winsor}),
            }
        )
        plan = replace(judged_plan(config), window=window, winsor=winsor)
        return VolatilityAttempt(config, spec, plan, self.products)

    def _windows(self) -> list[int]:
        """Windows that half of the products fill before their holdout, and the config's own."""
        walk, usual = self.config.walk, float(np.median([len(one.returns) for one in self.products]))
        return sorted({walk.window, *(one for one in WINDOWS if walk.min_window <= one <= usual)})

    def judge(
        self,
        tracking: Tracking,
        best: Trial,
        trials: Sequence[Trial],
        drawn: Callable[[Trial], Draws],
        say: Callable[[str], None],
    ) -> Verdict:
        """Cross-validate the choice among all complete trials on their months."""
        complete = [trial for trial in trials if trial.state == "complete" and trial.run_id is not None]
        # A small space draws the same settings again; they are one choice.
        distinct = {json.dumps(trial.params, sort_keys=True): str(trial.run_id) for trial in complete}
        gains = [read_monthly(tracking, run_id)[1] for run_id in distinct.values()]
        found, note = overfitting(gains, "mean")
        ratio = math.exp(float(best.value or 0.0))
        chance = f"{found.value:.2f} over {found.trials} settings" if found else "not known"
        words = [
            f"The best trial's QLIKE is {ratio:.4f} of EWMA's, {self.config.tune.horizon} session(s) ahead, the "
            f"geometric mean over {len(self.products)} products. Probability of backtest overfitting, on the gain of "
            f"each month: {chance}. The holdout was not touched.",
        ]
        if found:
            words.append(f"Of the winners of half the months, {found.loss:.0%} do worse than EWMA in the other half.")
        shared = "the best window and clip hold for every model of the tuned config, as walk does"
        beaten = "" if ratio < 1 else "no trial loses less than EWMA: take EWMA"
        notes = tuple(filter(None, (note, beaten, _fell_back(tracking, best), shared)))
        numbers = {"best/qlike_ratio": ratio} | ({"pbo/months": float(found.n)} if found else {})
        return Verdict(numbers, tuple(words), notes, found, math.nan)


@dataclass
class VolatilityAttempt:
    """One spec and plan, walked over the products."""

    config: VolatilityConfig
    spec: VolatilitySpec
    plan: Plan
    products: tuple[Development, ...] = field(repr=False)
    judged: list[Judged] = field(default_factory=list, repr=False)

    def tags(self) -> dict[str, str]:
        """The settings' hash."""
        return {"asset_class": self.config.data.asset_class, "config_hash": self.config.hash}

    def steps(self, threads: int | None) -> Iterator[Step]:
        """Product after product; a walk has one thread, whatever it may have."""
        del threads
        self.judged.clear()
        for number, product in enumerate(self.products):
            found = product.judge(self.spec, self.plan)
            self.judged.append(found)
            value = objective(self.judged)
            yield Step(number, value, {"product/ln_qlike_ratio": found.log_ratio, "product/objective": value})

    def record(self, run: RunLog) -> None:
        """Losses by product, the gain of each month, and their summary."""
        run.frame("products.json", losses(self.judged))
        months, gain = monthly_gain(self.judged)
        run.json(MONTHLY, {"month": months.astype("datetime64[D]"), "gain": gain})
        ratios = np.array([one.log_ratio for one in self.judged])
        fits = sum(one.fits for one in self.judged)
        run.metrics(
            {
                "objective": objective(self.judged),
                "qlike_ratio": math.exp(objective(self.judged)),
                "better_than_ewma": float((ratios < 0).mean()),
                "fell_back": 1 - sum(one.sound for one in self.judged) / fits,
                "stood_in": sum(one.stood_in for one in self.judged) / sum(len(one.gain) for one in self.judged),
            }
        )


def searched(config: VolatilityConfig) -> str:
    """Name of the model that a search of the config is about: tune.model, else the first GARCH, else the first."""
    garch = [name for name, model in config.models.items() if model.kind == "garch"]
    return config.tune.model or next(iter([*garch, *config.models]))


def judged_plan(config: VolatilityConfig) -> Plan:
    """The config's plan, at the one horizon that trials are judged by; of the levels one, since no trial sees them."""
    return replace(plan_of(config), horizons=(config.tune.horizon,), levels=(0.99,))


def losses(judged: Sequence[Judged]) -> pl.DataFrame:
    """A row a product: mean QLIKE, EWMA's, how the fits came about."""
    return pl.DataFrame(
        [
            {
                "product": one.product,
                "sessions": one.sessions,
                "qlike": one.loss,
                "qlike_ewma": one.base,
                "ln_ratio": one.log_ratio,
                "fits": one.fits,
                "fell_back": one.fits - one.sound,
                "stood_in": one.stood_in,
            }
            for one in judged
        ]
    )


def read_monthly(tracking: Tracking, run_id: str) -> tuple[SessionArray, Float64Array]:
    """The months of a complete trial, and the gain over EWMA in each, (m,)."""
    told = json.loads(tracking.read_text(run_id, MONTHLY))
    return np.array(told["month"], "datetime64[D]"), np.array(told["gain"], np.float64)


def _developments(
    series: Mapping[str, Series], config: VolatilityConfig
) -> tuple[tuple[Development, ...], dict[str, str]]:
    """What can be judged, and why the rest cannot."""
    plan, found, lost = judged_plan(config), [], {}
    spec = config.models[searched(config)].spec()
    for product, one in series.items():
        there = {"range_variance"} if one.returns.range_variance is not None else set()
        lacks = sorted(set(spec.needs) - there - set(one.returns.regressors))
        if lacks:
            lost[product] = f"needs {', '.join(lacks)}"
            continue
        try:
            found.append(Development.of(product, one.sessions, one.returns, one.proxy, plan, config.walk.holdout))
        except DataError as error:
            lost[product] = f"{error.must}; found {error.found}"
    return tuple(found), lost


def _fell_back(tracking: Tracking, best: Trial) -> str:
    """How many of the best trial's fits are not its own; "" where all are."""
    share = tracking.record(best.run_id).metrics.get("fell_back", 0.0) if best.run_id else 0.0
    return f"{share:.0%} of the best trial's fits failed and fell back to a simpler model" if share > 0 else ""


def _tables(store: Store) -> list[str]:
    return [table for table in store.tables() if table.startswith(("bars/Future", "reference/"))]
