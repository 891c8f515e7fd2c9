"""Labels that mean nothing, walked like real ones: what is found in them, the procedure has put there.

dates     the labels of whole sessions change places: only what an asset keeps over the years can still be learnt
shuffled  within each of these sessions the assets change places too: no score can know anything
shifted   each label is that of a decision `shift` sessions later, long after any score has faded. (The other way
          round factors over long windows know it: it lies in their window.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from features.panel import BoolArray, DataError
from features.store import Store
from training.alpha_config import AlphaConfig
from training.evaluate.ic import IcSummary, daily_ic, ic_summary
from training.labels import Labels
from training.tasks import alpha

_LEAST_ERRORS = 3.0


@dataclass(frozen=True)
class Placebo:
    """What the walk-forward found: kind of label -> summary of the RankIC on the tests."""

    real: IcSummary
    false: dict[str, IcSummary]

    @property
    def found(self) -> dict[str, IcSummary]:
        """The false labels in which something was found: a mean RankIC three standard errors from 0."""
        return {kind: one for kind, one in self.false.items() if abs(one.nw_t) >= _LEAST_ERRORS}


def placebo(
    config: AlphaConfig,
    store: Store,
    *,
    shift: int = 120,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Placebo:
    """Walk forward on the real labels, on shuffled and on shifted ones; the holdout stays sealed."""
    data = alpha.prepare(config, store, say, progress)
    if shift < data.labels.gap or shift >= len(data.matrix.sessions):
        must = f"the shift must lie between the label's reach, {data.labels.gap}, and the sessions"
        raise DataError("placebo", must, f"{shift} of {len(data.matrix.sessions)} sessions")
    kinds = {
        "real": data.labels,
        "dates": shuffled(data.labels, data.universe, seed, assets=False),
        "shuffled": shuffled(data.labels, data.universe, seed),
        "shifted": shifted(data.labels, data.universe, shift),
    }
    found = {}
    for kind, labels in kinds.items():
        found[kind] = _walked(config, replace(data, labels=labels))
        say(f"{kind} labels: RankIC {found[kind].mean:+.4f}, t {found[kind].nw_t:+.2f}")
    return Placebo(found.pop("real"), found)


def shuffled(labels: Labels, universe: BoolArray, seed: int, *, assets: bool = True) -> Labels:
    """The outcomes of each session in the place of another's, drawn without replacement; `assets`: among its names."""
    rng = np.random.default_rng(seed)
    value = np.full(labels.value.shape, np.nan)
    has = np.flatnonzero(np.isfinite(labels.value).any(axis=1))
    for to, of in zip(has, rng.permutation(has), strict=True):
        if not assets:
            value[to] = np.where(universe[to], labels.value[of], np.nan)
            continue
        outcomes = rng.permutation(labels.value[of][np.isfinite(labels.value[of])])
        names = rng.permutation(np.flatnonzero(universe[to]))[: len(outcomes)]
        value[to, names] = outcomes[: len(names)]
    return labels.with_outcomes(value)


def shifted(labels: Labels, universe: BoolArray, shift: int) -> Labels:
    """The outcome of a decision `shift` sessions later in the place of each."""
    value = np.full(labels.value.shape, np.nan)
    value[:-shift] = labels.value[shift:]
    return labels.with_outcomes(np.where(universe, value, np.nan))


def _walked(config: AlphaConfig, data: alpha.AlphaData) -> IcSummary:
    score = np.full(data.universe.shape, np.nan)
    for fold in data.split.folds:
        found = alpha.walk(config, data, fold).score
        score = np.where(np.isfinite(found), found, score)
    daily = daily_ic(score, data.labels.value, min_names=config.evaluate.min_names)
    return ic_summary(daily, config.label.horizon)
