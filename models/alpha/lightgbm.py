"""Boosted trees by LightGBM: squared error or ranks, stopped on the last sessions, the mean of a few seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

import lightgbm as lgb
import numpy as np

from features.panel import Float32Array, Float64Array, IntArray
from models.alpha.ranking import relevance, session_starts, session_weights
from models.alpha.row_sequence import row_sequence
from models.alpha.validation import DailyRankIC, latest_sessions
from models.base import FitError, Sample, Trial, require_aligned, require_varied_scores

_OBJECTIVES: Final = {"squared": "regression", "lambdarank": "lambdarank", "xendcg": "rank_xendcg"}


@dataclass(frozen=True)
class LightGBM:
    """Settings of a gradient-boosted tree model that grows leaf by leaf.

    objective       `squared` learns the label; `lambdarank` learns which of two rows of a session has the higher of
                    `bins` grades, pairing each of the `pairs` rows with the highest scores with each below, a pair
                    weighed by what its swap does to NDCG with linear gains; `xendcg` learns the grades of a session
                    as a distribution, with gains of 2^grade, which LightGBM fixes
    rounds          most trees that are grown per seed
    early_stopping  rounds without a smaller error, or when ranking a higher daily rank IC, on the last `valid_share`
                    of the sessions; 0 grows all rounds on all rows
    seeds           boosters whose scores are averaged; they differ in the rows and columns they draw
    extra           further parameters under LightGBM's main names; one that it does not know is an error
    Source          09 §4; Ke et al. (2017)
    """

    kind: ClassVar[str] = "lightgbm"

    objective: Literal["squared", "lambdarank", "xendcg"] = "squared"
    bins: int = 10
    pairs: int = 50
    num_leaves: int = 31
    learning_rate: float = 0.05
    rounds: int = 1500
    early_stopping: int = 50
    valid_share: float = 0.15
    min_child_samples: int = 500
    subsample: float = 0.7
    colsample_bytree: float = 0.6
    reg_lambda: float = 10.0
    max_bin: int = 255
    seeds: int = 5
    threads: int = 2
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.objective not in _OBJECTIVES or not 2 <= self.bins <= 31 or self.pairs < 1:
            raise FitError(
                "model lightgbm",
                f"objective must be one of {', '.join(_OBJECTIVES)}, bins from 2 to 31 and pairs positive",
                f"{self.objective}, {self.bins} and {self.pairs}",
            )
        if self.rounds < 1 or self.seeds < 1 or self.early_stopping < 0 or not 0 < self.valid_share < 1:
            raise FitError(
                "model lightgbm",
                "rounds and seeds must be positive, early_stopping not negative and valid_share in (0, 1)",
                f"{self.rounds}, {self.seeds}, {self.early_stopping} and {self.valid_share}",
            )

        if self.early_stopping > 0 and self.extra.get("boosting") == "dart":
            raise FitError(
                "model lightgbm",
                "early_stopping must be 0 with dart, which changes the trees it has grown",
                str(self.early_stopping),
            )

    def fit(self, sample: Sample, seed: int) -> FittedLightGBM:
        """Grow one booster per seed until the last sessions stop gaining; none is refitted on all rows."""
        params = self._params()
        earlier, later = (sample, None) if self.early_stopping == 0 else latest_sessions(sample, self.valid_share)
        try:
            self._refuse_unknown(params)
            train = self._rows(earlier, params)
            grown = [self._grow({**params, **_draws(seed, i)}, train, later) for i in range(self.seeds)]
        except lgb.basic.LightGBMError as reason:
            said = str(reason).splitlines()[0].partition(" at /")[0]
            raise FitError("model lightgbm", "LightGBM must accept settings and rows", said) from reason
        decided = {
            "num_iterations": self.rounds,
            "best_iteration": [b.num_trees() - 1 for b, _ in grown],
            "stopped_by": None if later is None else self._judge,
            "best_score": [score for _, score in grown],
            "weight": "session" if self._ranks else "row",
            "rows": len(earlier.y),
            "sessions": earlier.sessions,
            "seed": seed,
            "refit_on_all": False,
        }
        fitted = FittedLightGBM(self, sample.columns, {**params, **decided}, tuple(b for b, _ in grown))
        require_varied_scores("model lightgbm", fitted, sample)
        return fitted

    def _grow(
        self, params: Mapping[str, Any], train: lgb.Dataset, later: Sample | None
    ) -> tuple[lgb.Booster, float | None]:
        if later is None:
            return lgb.train(dict(params), train, self.rounds), None
        rank_ic = DailyRankIC(later)
        booster = lgb.train(
            dict(params),
            train,
            self.rounds,
            valid_sets=[self._rows(later, params, train)],
            valid_names=["later"],
            # What XGBoost's ranks are stopped by, for the reason told there.
            feval=(lambda score, _: (self._judge, rank_ic(score), True)) if self._ranks else None,
            callbacks=[lgb.early_stopping(self.early_stopping, verbose=False)],
        )
        # Only the rounds up to the best are kept, so that any reader of the file predicts the same.
        best = lgb.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration))
        return best, float(booster.best_score["later"][self._judge])

    @property
    def _ranks(self) -> bool:
        return self.objective != "squared"

    @property
    def _judge(self) -> str:
        return "rank_ic" if self._ranks else "rmse"

    def _rows(self, sample: Sample, params: Mapping[str, Any], ref: lgb.Dataset | None = None) -> lgb.Dataset:
        label, weight, group = sample.y, sample.unit_weight, None
        if self._ranks:
            label = relevance(sample.y, sample.session, self.bins)
            weight = session_weights(sample.weight, sample.session)
            group = np.diff(session_starts(sample.session))
        if ref is not None:
            # LightGBM drops weights that are all 1, and then takes rows that it is handed in blocks to weigh 0 where
            # those of the training set had weights. Twice as much leaves the judge's mean the same to the last bit.
            weight = 2.0 * weight
        return lgb.Dataset(
            row_sequence(sample.X),
            label,
            weight=weight,
            group=group,
            reference=ref,
            params=dict(params),
            free_raw_data=False,
        )

    def _params(self) -> dict[str, Any]:
        own: dict[str, Any] = {
            "objective": _OBJECTIVES[self.objective],
            "metric": "none" if self._ranks else "rmse",
            "num_leaves": self.num_leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_child_samples,
            "bagging_fraction": self.subsample,
            "bagging_freq": 1,
            "feature_fraction": self.colsample_bytree,
            "lambda_l2": self.reg_lambda,
            "max_bin": self.max_bin,
            "num_threads": self.threads,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        if self.objective == "lambdarank":
            own |= {"label_gain": list(range(self.bins)), "lambdarank_truncation_level": self.pairs}
        twice = sorted((set(own) | set(_draws(0, 0))) & set(self.extra))
        if twice:
            raise FitError("model lightgbm", "extra must not repeat what has a setting of its own", ", ".join(twice))
        return {**own, **self.extra}

    def _refuse_unknown(self, params: Mapping[str, Any]) -> None:
        """Grow one round and read which parameters LightGBM wrote down: it drops unknown ones in silence."""
        if not self.extra:
            return
        rows = np.arange(16, dtype=np.float32).reshape(8, 2)
        data = lgb.Dataset(rows, np.arange(8.0) % 2, group=[8] if self._ranks else None, params={"verbosity": -1})
        probe = lgb.train(dict(params), data, 1)
        written = probe.model_to_string().partition("\nparameters:\n")[2].partition("\nend of parameters")[0]
        known = {line.strip("[]").partition(":")[0] for line in written.splitlines()}
        strange = sorted(set(self.extra) - known)
        if strange:
            raise FitError(
                "model lightgbm",
                "extra must name parameters of LightGBM",
                ", ".join(strange),
                help="write the main name of a parameter, not one of its aliases",
            )

    def space(self, trial: Trial) -> Self:
        """These settings with the searched ones drawn; the ranges are those of 09 §4."""
        return replace(
            self,
            num_leaves=trial.suggest_int("num_leaves", 7, 63, log=True),
            learning_rate=trial.suggest_float("learning_rate", 0.01, 0.1, log=True),
            min_child_samples=trial.suggest_int("min_child_samples", 200, 2000, log=True),
            subsample=trial.suggest_float("subsample", 0.5, 0.9),
            colsample_bytree=trial.suggest_float("colsample_bytree", 0.3, 0.9),
            reg_lambda=trial.suggest_float("reg_lambda", 1.0, 100.0, log=True),
        )


@dataclass(frozen=True)
class FittedLightGBM:
    """The boosters of all seeds, each cut off after its best round; the score is their mean."""

    kind: ClassVar[str] = "lightgbm"

    spec: LightGBM
    columns: tuple[str, ...]
    effective: Mapping[str, Any]
    boosters: tuple[lgb.Booster, ...] = field(repr=False)

    def predict(self, X: Float32Array, session: IntArray) -> Float64Array:
        """Scores (M,) of rows (M, K); FitError if the columns are not those of the fit or a cell is missing."""
        del session  # a row is scored by its own columns
        require_aligned("model lightgbm", X, self.columns)
        total = np.zeros(len(X))
        if len(X) == 0:
            return total
        for booster in self.boosters:
            total += booster.predict(X, num_threads=self.spec.threads)
        return total / len(self.boosters)

    def contributions(self, X: Float32Array) -> Float64Array:
        """TreeSHAP of each column, (M, K), the mean over boosters; with a constant they add up to the score."""
        require_aligned("model lightgbm", X, self.columns)
        total = np.zeros(X.shape)
        for booster in self.boosters:
            total += booster.predict(X, pred_contrib=True, num_threads=self.spec.threads)[:, :-1]
        return total / len(self.boosters)

    def importance(self) -> dict[str, float]:
        """Share of the total gain of all splits, over all seeds, that fell to each column."""
        gain = sum(b.feature_importance("gain") for b in self.boosters)
        return {c: float(g) for c, g in zip(self.columns, gain / gain.sum(), strict=True)}

    def save(self, folder: Path) -> None:
        """Write model_<i>.txt (LightGBM's own form, one per seed) and model.json (settings and columns)."""
        folder.mkdir(parents=True, exist_ok=True)
        for i, booster in enumerate(self.boosters):
            booster.save_model(folder / f"model_{i}.txt")
        told = {
            "kind": self.kind,
            "spec": asdict(self.spec),
            "columns": self.columns,
            "effective": dict(self.effective),
        }
        (folder / "model.json").write_text(json.dumps(told, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        told = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        spec = LightGBM(**told["spec"])
        boosters = tuple(lgb.Booster(model_file=folder / f"model_{i}.txt") for i in range(spec.seeds))
        return cls(spec, tuple(told["columns"]), told["effective"], boosters)


def _draws(seed: int, i: int) -> dict[str, int]:
    """Seeds of what booster i draws; the binning is left alone, so that all boosters share one Dataset."""
    bagging, columns, loss = (int(s) for s in np.random.SeedSequence([seed, i]).generate_state(3) >> 1)
    return {"bagging_seed": bagging, "feature_fraction_seed": columns, "objective_seed": loss}
