from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2, norm
from scipy.stats import t as student

from features.panel import DataError
from training.evaluate.breach_clusters import christoffersen
from training.evaluate.var_tests import (
    acerbi_szekely,
    backtest,
    conditional_coverage,
    kupiec,
    z2_under,
)

NORMAL_ES = {0.95: 2.062712807507134, 0.975: 2.3378027922014, 0.99: 2.665214220345808}


def right(n, seed, level=0.99, scale=1.0, law=norm):
    """Normal returns of a variance that wanders, with VaR and ES that a model `scale` times too wide would give."""
    rng = np.random.default_rng(seed)
    sd = 0.01 * np.exp(0.4 * np.sin(np.arange(n) / 40 + rng.random()))
    r = sd * rng.standard_normal(n)
    return r, -law.ppf(1 - level) * sd * scale, NORMAL_ES[level] * sd * scale


# Kupiec


def test_kupiec_by_the_plain_formula():
    for x, n, p in ((1, 250, 0.01), (30, 500, 0.05), (9, 1000, 0.025)):
        share = x / n
        plain = -2 * math.log(((1 - p) ** (n - x) * p**x) / ((1 - share) ** (n - x) * share**x))
        assert kupiec(x, n, p).statistic == pytest.approx(plain, rel=1e-9)
        assert kupiec(x, n, p).p == pytest.approx(chi2.sf(plain, 1), rel=1e-9)


def test_kupiec_of_none_and_of_all():
    assert kupiec(0, 250, 0.01).statistic == pytest.approx(-500 * math.log(0.99))
    assert kupiec(250, 250, 0.01).statistic == pytest.approx(-500 * math.log(0.01))
    assert kupiec(0, 29, 0.01).reason == "29 observations, fewer than 30"


def test_the_exact_p_value_sums_the_binomial_over_what_is_no_likelier():
    n, p, x = 250, 0.01, 6
    ratio = [kupiec(k, n, p).statistic for k in range(n + 1)]
    mass = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    assert kupiec(x, n, p).exact == pytest.approx(sum(m for m, s in zip(mass, ratio, strict=True) if s >= ratio[x]))


@pytest.mark.parametrize(("n", "p"), [(250, 0.01), (250, 0.025), (1500, 0.01), (1500, 0.05)])
def test_the_exact_size_of_kupiec_is_at_most_what_it_says(n, p):
    mass = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(150)]
    size = sum(m for k, m in enumerate(mass) if kupiec(k, n, p).rejects(0.05))
    assert 0.01 < size <= 0.05


def test_counts_that_cannot_be_are_refused():
    with pytest.raises(DataError, match="breaches must lie"):
        kupiec(300, 250, 0.01)


def test_conditional_coverage_is_the_sum_or_the_reason():
    coverage, independence = kupiec(6, 250, 0.01), christoffersen(240, 4, 4, 2)
    both = conditional_coverage(coverage, independence)
    assert both.statistic == pytest.approx(3.5553547711 + 8.1520254878, abs=1e-9)
    assert both.p == pytest.approx(chi2.sf(both.statistic, 2), rel=1e-9)
    assert conditional_coverage(kupiec(0, 250, 0.01), christoffersen(249, 0, 0, 0)).reason == "no session breaches"


# Acerbi and Székely


def test_z2_is_nought_on_average_for_a_model_that_is_right():
    null = z2_under(norm.ppf, 0.025, 1000, reps=50_000, seed=1)
    assert null.mean() == pytest.approx(0.0, abs=0.004)


def test_z2_drawn_from_the_tail_is_z2_of_whole_samples():
    rng = np.random.default_rng(2)
    n, tail, reps = 250, 0.05, 4000
    sample = student.rvs(5, size=(reps, n), random_state=rng) * math.sqrt(3 / 5)
    var = -student.ppf(tail, 5) * math.sqrt(3 / 5)
    q = student.ppf(tail, 5)
    es = student.pdf(q, 5) / tail * (5 + q * q) / 4 * math.sqrt(3 / 5)
    whole = np.array([acerbi_szekely(row, np.full(n, var), np.full(n, es), tail) for row in sample])
    drawn = z2_under(lambda u: student.ppf(u, 5) * math.sqrt(3 / 5), tail, n, reps=20_000, seed=3)
    for share in (0.05, 0.5, 0.95):
        assert np.quantile(drawn, share) == pytest.approx(np.quantile(whole, share), abs=0.03)


def test_z2_of_no_breach_is_one():
    assert acerbi_szekely(np.zeros(50), np.ones(50), np.ones(50), 0.01) == 1.0


def test_a_shortfall_that_is_no_loss_is_refused():
    with pytest.raises(DataError, match="row 2"):
        acerbi_szekely(np.zeros(5), np.ones(5), np.array([1.0, 1.0, 0.0, 1.0, 1.0]), 0.01)


# All of it


@pytest.mark.parametrize(("level", "n"), [(0.95, 500), (0.99, 1000)])
def test_a_right_model_is_seldom_called_wrong(level, n):
    found = [backtest(*right(n, seed, level), level, law=norm.ppf, reps=99, seed=seed) for seed in range(200)]
    # 200 draws of a share of .05 lie within .047 of it but for three cases in a thousand.
    assert np.mean([one.coverage.rejects() for one in found]) < 0.097
    assert np.mean([one.independence.rejects() for one in found]) < 0.097
    assert np.mean([one.dynamic.rejects() for one in found]) < 0.097
    assert np.mean([one.z2_p < 0.05 for one in found]) == pytest.approx(0.05, abs=0.047)
    assert np.mean([one.verdict == "fine" for one in found]) > 0.8


def test_a_var_a_fifth_too_narrow_has_too_many_breaches():
    found = [backtest(*right(1000, seed, scale=0.8), 0.99, reps=0, seed=1).verdict for seed in range(30)]
    assert found.count("too many breaches") > 24


def test_a_var_far_too_wide_has_too_few():
    found = [backtest(*right(1500, seed, 0.95, scale=1.3), 0.95, reps=0, seed=1).verdict for seed in range(30)]
    assert found.count("too few breaches") > 27


def test_a_var_that_does_not_follow_the_variance_has_clusters():
    words = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sd = 0.01 * np.where(np.arange(2000) // 100 % 4 == 0, 3.0, 0.5)
        r = sd * rng.standard_normal(2000)
        var = np.full(2000, -np.quantile(r, 0.05))
        words.append(backtest(r, var, 1.3 * var, 0.95, reps=199, seed=1).verdict)
    assert words.count("clustered") == 20


def test_breaches_in_pairs_are_clusters_though_five_regressors_do_not_see_them():
    hit = np.random.default_rng(34).random(300) < 0.03
    first = np.flatnonzero(hit)
    hit[[first[0] + 1, first[2] + 1]] = True
    returns, var = np.where(hit, -0.026, 0.001), np.full(300, 0.02)
    found = backtest(returns, var, 1.3 * var, 0.95, reps=199, seed=1)
    assert not found.coverage.rejects()
    assert found.independence.exact < 0.025 < 0.2 < found.dynamic.exact
    assert found.verdict == "clustered"


def test_losses_beyond_var_that_are_larger_than_said_are_found():
    words = []
    for seed in range(20):
        r, var, es = right(1500, seed, 0.975)
        r = np.where(r < -var, 1.6 * r, r)  # as many breaches as promised, each more than half as large again
        words.append(backtest(r, var, es, 0.975, law=norm.ppf, reps=99, seed=1).verdict)
    assert words.count("shortfall too small") > 15


def test_a_quarter_of_a_year_is_too_few_to_tell_at_99_percent():
    r, var, es = right(60, 1)
    r = np.abs(r)  # no breach
    found = backtest(r, var, es, 0.99, seed=1)
    assert found.verdict == "too few to tell"
    assert found.breaches == 0
    assert found.independence.reason == found.dynamic.reason == "no session breaches"
    assert backtest(-r * 5, var, es, 0.99, seed=1).verdict == "too many breaches"


def test_fewer_than_thirty_sessions_have_no_number_and_a_reason():
    found = backtest(*right(29, 1), 0.99, seed=1)
    assert found.verdict == "too few to tell"
    for one in (found.coverage, found.independence, found.conditional, found.dynamic):
        assert math.isnan(one.p)
        assert one.reason == "29 observations, fewer than 30"
    assert math.isnan(found.z2)


def test_a_model_that_every_session_breaches():
    found = backtest(np.full(300, -0.05), np.full(300, 0.01), np.full(300, 0.012), 0.99, seed=1)
    assert found.verdict == "too many breaches"
    assert found.rate == 1.0
    assert found.independence.reason == "every session breaches"


def test_rows_that_lack_a_number_are_left_out_and_counted():
    r, var, es = right(400, 3, 0.95)
    gaps = [7, 80, 300]
    kept = np.delete(np.arange(400), gaps)
    whole = backtest(r[kept], var[kept], es[kept], 0.95, seed=1)
    r[7], var[80], es[300] = np.nan, np.nan, np.nan
    found = backtest(r, var, es, 0.95, seed=1)
    assert found.left_out == 3
    assert (found.n, found.breaches, found.coverage, found.dynamic) == (
        whole.n,
        whole.breaches,
        whole.coverage,
        whole.dynamic,
    )


def test_the_same_seed_gives_the_same_p_values():
    sample = right(500, 4, 0.95)
    one, other = backtest(*sample, 0.95, seed=5), backtest(*sample, 0.95, seed=5)
    assert one.dynamic == other.dynamic
    assert one.dynamic.exact != backtest(*sample, 0.95, seed=6).dynamic.exact


def test_a_level_that_is_a_tail_is_refused():
    with pytest.raises(DataError, match="level"):
        backtest(*right(100, 1), 0.01, seed=1)
