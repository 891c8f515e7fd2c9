"""What a fitted alpha model leans on: by permuting columns, by TreeSHAP, and how steady that is from fold to fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise

import numpy as np
from scipy.stats import kendalltau

from features.panel import Float32Array, IntArray
from models.alpha.ensemble import FittedEnsemble
from models.alpha.ranking import session_starts
from models.alpha.validation import DailyRankIC
from models.base import FitError, FittedAlpha, Sample
from models.blocks import blocks


def permutation_importance(
    fitted: FittedAlpha, sample: Sample, *, block: int = 20, seed: int, columns: Sequence[str] | None = None
) -> dict[str, float]:
    """Fall of the mean daily rank IC when a column is permuted among the rows of each `block` sessions.

    Permuting within blocks leaves a column its slow drift, which ranks nothing. Of two columns that say the same, each
    seems dispensable. Taken on rows that the model was not fitted on, it says what the model owes to a column there.

    columns  those to permute; None for all. The number of one does not depend on which others are asked for
    Errors   FitError for a column that is not the model's
    Source   09 §5; Breiman (2001), Fisher, Rudin & Dominici (2019)
    """
    asked = fitted.columns if columns is None else tuple(columns)
    strange = [c for c in asked if c not in fitted.columns]
    if strange or block < 1:
        must = "columns must be the model's and block positive"
        raise FitError("permutation importance", must, f"{', '.join(strange) or 'no others'} and {block}")
    rank_ic, parts = DailyRankIC(sample), _session_blocks(sample.session, block)
    score = np.concatenate([fitted.predict(sample.X[part], sample.session[part]) for part in parts])
    whole = rank_ic(score)
    found = {}
    for name in asked:
        k = fitted.columns.index(name)
        rng = np.random.default_rng([seed, k])
        for part in parts:
            rows = np.array(sample.X[part])
            rows[:, k] = rng.permutation(rows[:, k])
            score[part] = fitted.predict(rows, sample.session[part])
        found[name] = whole - rank_ic(score)
    return found


def contributions(fitted: FittedAlpha, X: Float32Array) -> dict[str, float]:
    """Mean size of what each column adds to the scores of rows (M, K), of a few thousand for trees.

    In units of the score: of trees by TreeSHAP, of a line |coefficient · value|. Ranks of members do not add
    up, so that of an ensemble it is the mean of the members' shares by their weights, and sums to 1.
    Source  09 §5; Lundberg et al. (2020)
    """
    if isinstance(fitted, FittedEnsemble):
        each = [contributions(member, X) for member in fitted.members]
        totals = [sum(one.values()) for one in each]
        shares = list(zip(fitted.weights, each, totals, strict=True))
        return {c: float(sum(w * one[c] / total for w, one, total in shares if w > 0)) for c in fitted.columns}
    size = np.zeros(len(fitted.columns))
    for part in blocks(X):
        size += np.abs(fitted.contributions(X[part])).sum(axis=0)
    return {c: float(v / len(X)) for c, v in zip(fitted.columns, size, strict=True)}


def importance_stability(folds: Sequence[Mapping[str, float]]) -> float:
    """Mean Kendall tau-b of the importances of every two folds, over the columns that both have.

    1 is the same order in all folds, 0 no more agreement than chance.
    NaN     fewer than two folds, or two folds where less than two columns differ
    Source  09 §5; Kendall (1938)
    """
    taus = []
    for one, other in combinations(folds, 2):
        both = [c for c in one if c in other]
        taus.append(kendalltau([one[c] for c in both], [other[c] for c in both]).statistic if len(both) > 1 else np.nan)
    return float(np.mean(taus)) if taus else float("nan")


def _session_blocks(session: IntArray, block: int) -> list[slice]:
    """Rows of each `block` sessions that follow one another; the last ones may be fewer."""
    starts = session_starts(session)
    edges = [*starts[:-1:block], starts[-1]]
    return [slice(int(a), int(b)) for a, b in pairwise(edges)]
