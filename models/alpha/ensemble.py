"""Several alpha models as one: the mean of their ranks within each session, or a stack of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self, cast

import numpy as np
from scipy.optimize import nnls
from scipy.special import ndtri

from features.panel import Float32Array, Float64Array, IntArray
from models.alpha import alpha_model, load_alpha
from models.alpha.ranking import session_ranks
from models.alpha.validation import DailyRankIC, expanding_folds
from models.base import AlphaSpec, FitError, FittedAlpha, Sample, Trial

_WHO: Final = "model ensemble"


def _three() -> tuple[Mapping[str, Any], ...]:
    return ({"kind": "linear"}, {"kind": "xgboost"}, {"kind": "lightgbm"})


@dataclass(frozen=True)
class Ensemble:
    """Settings of several models whose ranks within a session are averaged.

    members  at least two of {kind, params}; params left out take the defaults of their kind
    blend    `mean_rank` gives each member the same weight; `stack` gives weights that are not negative and sum to 1, by
             least squares of the normal ranks of the labels on the members' ranks out of fold
    folds    of the stack: expanding, purged by the gap of the sample
    Source   09 §4; Wolpert (1992), Breiman (1996)
    """

    kind: ClassVar[str] = "ensemble"

    members: Sequence[Mapping[str, Any]] = field(default_factory=_three)
    blend: Literal["mean_rank", "stack"] = "mean_rank"
    folds: int = 3

    def __post_init__(self) -> None:
        # As JSON has them, so that settings that were saved and read are equal to these.
        object.__setattr__(self, "members", tuple(json.loads(json.dumps([dict(m) for m in self.members]))))
        if self.blend not in ("mean_rank", "stack") or self.folds < 1 or len(self.members) < 2:
            raise FitError(
                _WHO,
                "it must have 2 members, blend them by mean_rank or stack, and stack by at least 1 fold",
                f"{len(self.members)} members, {self.blend} and {self.folds}",
            )
        self.specs()

    def specs(self) -> tuple[AlphaSpec, ...]:
        """The settings of each member; FitError names the member whose settings are wrong."""
        return tuple(_spec(i, member) for i, member in enumerate(self.members))

    def fit(self, sample: Sample, seed: int) -> FittedEnsemble:
        """Fit every member on the sample, member i with seed + i; for a stack, on each inner fold first."""
        specs = self.specs()
        weights = np.full(len(specs), 1 / len(specs))
        told: dict[str, Any] = {"blend": self.blend}
        if self.blend == "stack":
            weights, found = self._stack(specs, sample, seed)
            told |= found
        members = _fit_all(specs, sample, seed)
        told |= {
            "members": {_name(i, m.kind): dict(m.effective) for i, m in enumerate(members)},
            "weights": weights.tolist(),
            "rows": len(sample.y),
            "sessions": sample.sessions,
            "seed": seed,
            "refit_on_all": self.blend == "stack" or any(m.effective["refit_on_all"] for m in members),
        }
        return FittedEnsemble(self, sample.columns, told, members, weights)

    def _stack(self, specs: Sequence[AlphaSpec], sample: Sample, seed: int) -> tuple[Float64Array, dict[str, Any]]:
        """Weights (members,) from ranks out of fold, and what was found on the way."""
        parts, skill = [], []
        for earlier, later in expanding_folds(sample, self.folds):
            members = _fit_all(specs, earlier, seed)
            ranks = _member_ranks(members, later.X, later.session)
            wanted = ndtri(session_ranks(later.y, later.session) + 0.5)
            parts.append(np.column_stack([ranks, wanted]) * np.sqrt(later.weight)[:, None])
            rank_ic = DailyRankIC(later)
            skill.append([rank_ic(column) for column in ranks.T])
        rows = np.concatenate(parts)
        weights, _ = nnls(rows[:, :-1], rows[:, -1])
        found = {"out_of_fold_rank_ic": np.array(skill).T.tolist(), "weights_from": "stack"}
        if weights.sum() == 0.0:
            # No member ranks the held sessions the right way round: there is nothing to prefer one by.
            return np.full(len(specs), 1 / len(specs)), found | {"weights_from": "equal: the stack gave all zero"}
        return weights / weights.sum(), found

    def space(self, trial: Trial) -> Self:
        """These settings with those of each member drawn from its own space, under names that begin with the member."""
        members = []
        for i, (member, spec) in enumerate(zip(self.members, self.specs(), strict=True)):
            drawn = spec.space(_Prefixed(trial, f"{_name(i, member['kind'])}."))
            members.append({"kind": member["kind"], "params": asdict(cast(Any, drawn))})
        return replace(self, members=tuple(members))


@dataclass(frozen=True)
class FittedEnsemble:
    """Fitted members and their weights in the blend.

    weights  (members,) not negative, sum to 1
    """

    kind: ClassVar[str] = "ensemble"

    spec: Ensemble
    columns: tuple[str, ...]
    effective: Mapping[str, Any]
    members: tuple[FittedAlpha, ...] = field(repr=False)
    weights: Float64Array = field(repr=False)

    def predict(self, X: Float32Array, session: IntArray) -> Float64Array:
        """Scores (M,) in (-½, ½) of rows (M, K): the weighted mean of the members' ranks within each session.

        Errors  FitError if the columns are not those of the fit, a cell is missing, or sessions are not in order
        """
        if session.shape != (len(X),) or (np.diff(session) < 0).any():
            raise FitError(
                _WHO,
                f"session must have a value per row, ({len(X)},), and not decrease",
                f"the shape {session.shape}" if session.shape != (len(X),) else "one that comes after a later one",
            )
        return np.asarray(_member_ranks(self.members, X, session) @ self.weights, dtype=np.float64)

    def contributions(self, X: Float32Array) -> Float64Array:
        """Refused: ranks of members are no sums over columns."""
        raise FitError(_WHO, "its scores must be sums over columns", "ranks", help="ask its members one by one")

    def importance(self) -> dict[str, float]:
        """Mean of the members' shares of each column, by their weights in the blend."""
        shares = [m.importance() for m in self.members]
        return {c: float(sum(w * s[c] for w, s in zip(self.weights, shares, strict=True))) for c in self.columns}

    def save(self, folder: Path) -> None:
        """Write a folder a member, and model.json (settings, columns, weights)."""
        folder.mkdir(parents=True, exist_ok=True)
        for i, member in enumerate(self.members):
            member.save(folder / _name(i, member.kind))
        told = {
            "kind": self.kind,
            "spec": asdict(self.spec),
            "columns": self.columns,
            "effective": dict(self.effective),
            "weights": self.weights.tolist(),
        }
        (folder / "model.json").write_text(json.dumps(told, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        told = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        spec = Ensemble(**told["spec"])
        members = tuple(load_alpha(folder / _name(i, m["kind"])) for i, m in enumerate(spec.members))
        return cls(spec, tuple(told["columns"]), told["effective"], members, np.array(told["weights"]))


@dataclass(frozen=True)
class _Prefixed:
    """A trial in which every name begins with that of a member."""

    trial: Trial
    prefix: str

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return self.trial.suggest_int(self.prefix + name, low, high, step=step, log=log)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return self.trial.suggest_float(self.prefix + name, low, high, step=step, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:  # noqa: ANN401
        return self.trial.suggest_categorical(self.prefix + name, choices)


def _name(i: int, kind: str) -> str:
    return f"member_{i}_{kind}"


def _member_ranks(members: Sequence[FittedAlpha], X: Float32Array, session: IntArray) -> Float64Array:
    """Ranks of the rows within their session by each member, (M, members)."""
    return np.column_stack([session_ranks(m.predict(X, session), session) for m in members])


def _fit_all(specs: Sequence[AlphaSpec], sample: Sample, seed: int) -> tuple[FittedAlpha, ...]:
    members = []
    for i, spec in enumerate(specs):
        with _naming(i, spec.kind):
            members.append(spec.fit(sample, seed + i))
    return tuple(members)


def _spec(i: int, member: Mapping[str, Any]) -> AlphaSpec:
    """The settings that {kind, params} says."""
    if not {"kind"} <= set(member) <= {"kind", "params"} or not isinstance(member.get("params", {}), dict):
        raise FitError(_WHO, f"member {i} must have a kind, and params if any", ", ".join(sorted(member)) or "nothing")
    kind = member["kind"]
    if kind == Ensemble.kind:
        raise FitError(_WHO, f"member {i} must be no ensemble", kind, help="name the members of that one here")
    # A sequence is a list in JSON, and a tuple in settings.
    params = {k: tuple(v) if isinstance(v, list) else v for k, v in member.get("params", {}).items()}
    with _naming(i, kind):
        spec = alpha_model(kind)
        known = [f.name for f in fields(cast(Any, spec))]
        unknown = [name for name in params if name not in known]
        if unknown:
            near = get_close_matches(unknown[0], known, n=1)
            cure = f"did you mean {near[0]}?" if near else f"settings are {', '.join(known)}"
            raise FitError(_WHO, "params must be settings of its kind", ", ".join(unknown), help=cure)
        try:
            return spec(**params)
        except TypeError as reason:
            raise FitError(_WHO, "every param must be of its setting's type", str(reason)) from reason


@contextmanager
def _naming(i: int, kind: str) -> Iterator[None]:
    """Say in a refusal which member it is about."""
    try:
        yield
    except FitError as error:
        must = f"member {i}, {kind}: {error.must}"
        raise FitError(_WHO, must, error.found, error.where, error.help) from error
