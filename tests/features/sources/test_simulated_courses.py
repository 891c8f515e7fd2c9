"""The truth of the simulated futures can be recovered from what the market shows."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from arch import arch_model
from numpy.random import default_rng
from scipy.optimize import curve_fit
from scipy.stats import kurtosis

from features.sources.simulator import NULL, PLANTED, simulate
from features.sources.simulator.courses import CU, FU, RB, SC, M, reverting, with_flow
from features.sources.simulator.futures_kernels import gjr_path
from features.sources.simulator.world import STEPS, VARIANCE_SHARES
from tests.simulated_futures import BY_SYMBOL, COMMODITIES, ON_INDICES, held, lag_one, named, states

# --- index futures ----------------------------------------------------------------------------------------------------


def with_index(simulation):
    """Rows of index futures before their last day: closing index, years, dividends to come, true psi."""
    bars = named(simulation).filter(pl.col("product").is_in(ON_INDICES), pl.col("date") < pl.col("maturity_date"))
    of = pl.DataFrame({"product": ON_INDICES, "index": [BY_SYMBOL[symbol].underlying for symbol in ON_INDICES]})
    index = simulation.bars["INDX"].select(
        "date", pl.col("order_book_id").alias("index"), pl.col("close").alias("spot")
    )
    bars = bars.join(of, on="product").join(index, on=["date", "index"])
    psi = simulation.truth["truth_states"].filter(pl.col("name") == "psi").drop("name")
    bars = bars.join(psi.rename({"value": "psi"}), left_on=["date", "product"], right_on=["date", "object"])
    years = (pl.col("maturity_date") - pl.col("date")).dt.total_days() / 365
    points = simulation.reference["dividends_index"].select("order_book_id", pl.col("date").alias("ex"), "points")
    to_come = (
        bars.select("order_book_id", "date", "maturity_date", "index")
        .join(points, left_on="index", right_on="order_book_id")
        .filter(pl.col("ex") > pl.col("date"), pl.col("ex") <= pl.col("maturity_date"))
    )
    ahead = (pl.col("ex") - pl.col("date")).dt.total_days() / 365
    worth = to_come.with_columns(worth=pl.col("points") * (-NULL.rate * ahead).exp())
    worth = worth.group_by("order_book_id", "date").agg(pl.col("worth").sum())
    bars = bars.join(worth, on=["order_book_id", "date"], how="left").with_columns(pl.col("worth").fill_null(0.0))
    return bars.with_columns(years=years)


def test_the_basis_net_of_dividends_is_the_carry(long):
    rows = with_index(long)
    assert rows["worth"].max() > 10
    carry = (pl.col("close") / (pl.col("spot") - pl.col("worth"))).log() / pl.col("years")
    error = rows.select("product", "order_book_id", error=(carry - (NULL.rate - pl.col("psi"))).abs(), years="years")
    for _, of in error.group_by("product"):
        assert of["error"].median() < 0.0030
    assert error.filter(pl.col("years") > 0.3)["error"].max() < 0.0060
    # The bias itself must vanish: noise goes either way.
    signed = rows.select((carry - (NULL.rate - pl.col("psi"))).alias("x")).to_series()
    assert abs(signed.median()) < 2e-4


def test_the_basis_of_the_next_month_is_lower_in_the_season_of_dividends(long):
    """D-01 as the seed has it: settlement of the next month over the index close."""
    rows = with_index(long).filter(pl.col("product").is_in(["IH", "IF", "IC"]))
    rows = rows.with_columns(rank=pl.col("maturity_date").rank("ordinal").over("product", "date"))
    rows = rows.filter(pl.col("rank") == 2).with_columns(
        literal=pl.col("settlement") / pl.col("spot") - 1,
        adjusted=pl.col("close") / (pl.col("spot") - pl.col("worth")) - 1,
        season=pl.col("date").dt.month().is_in([5, 6, 7]),
    )
    mean = {k: (a, b) for k, a, b in rows.group_by("season").agg(pl.col("literal", "adjusted").mean()).iter_rows()}
    assert mean[True][0] - mean[False][0] < -0.003
    assert abs(mean[True][1] - mean[False][1]) < 0.001


def test_the_discount_reverts_to_the_mean_of_its_index(long):
    for symbol, mean in (("IH", 0.005), ("IF", 0.02), ("IC", 0.05)):
        psi = states(long, symbol, "psi")["psi"].to_numpy()
        # Over 6.2 years of kappa 6 a mean has a standard error of sd sqrt(2 / (6 x 6.2)), a fifth of an sd.
        assert psi.mean() == pytest.approx(mean, abs=3 * 0.03 * 0.23)
        assert lag_one(psi) == pytest.approx(np.exp(-6 / 242), abs=0.015)
    wide = reverting(default_rng(1), 60_000, 6.0, 0.03, VARIANCE_SHARES)
    assert wide.std() == pytest.approx(0.03, rel=0.05)
    assert lag_one(wide[:, 16]) == pytest.approx(np.exp(-6 / 242), abs=0.002)


def test_stress_deepens_the_discount_of_index_futures():
    world = replace(PLANTED, stocks=20)
    with_stress, without = (simulate("demo", w, seed=6) for w in (world, replace(world, stress_carry=0.0)))
    stress = states(with_stress, "MKT", "stress")["stress"].to_numpy()
    apart = states(with_stress, "IF", "psi")["psi"].to_numpy() - states(without, "IF", "psi")["psi"].to_numpy()
    assert stress.sum() > 30
    np.testing.assert_allclose(apart, 0.06 * stress, atol=1e-12)


# --- commodities ------------------------------------------------------------------------------------------------------


def test_a_commodity_opens_where_it_closed(long):
    bars = named(long).filter(pl.col("product").is_in(COMMODITIES))
    bars = bars.with_columns(before=pl.col("close").shift().over("order_book_id")).drop_nulls("before")
    inside = pl.col("before").is_between(pl.col("limit_down"), pl.col("limit_up"), closed="none")
    assert (bars.filter(inside)["open"] == bars.filter(inside)["before"]).mean() > 0.9999


def test_oil_lies_on_the_curve_of_schwartz_and_smith(long):
    rows = named(long).filter(pl.col("product") == "SC").join(states(long, "SC", "chi", "xi"), on="date")
    years = (rows["maturity_date"] - rows["date"]).dt.total_days().to_numpy() / 365
    k, gone = SC.kappa, 1 - np.exp(-SC.kappa * years)
    a = SC.mu_xi_star * years - gone * SC.lambda_chi / k
    a += (gone * (2 - gone) * SC.sigma_chi**2 / (2 * k) + SC.sigma_xi**2 * years) / 2
    a += gone * SC.rho * SC.sigma_chi * SC.sigma_xi / k
    error = np.log(rows["close"].to_numpy()) - (1 - gone) * rows["chi"].to_numpy() - rows["xi"].to_numpy() - a
    assert abs(error.mean()) < 1e-4
    assert error.std() == pytest.approx(SC.noise, rel=0.02)
    paper = replace(SC, kappa=1.49, lambda_chi=0.157, mu_xi_star=0.0115, sigma_chi=0.286, sigma_xi=0.145)
    assert paper.drift(np.array([1.0]))[0] == pytest.approx(-0.04011435701, abs=1e-11)


def test_the_states_of_oil_move_as_their_parameters_say(long):
    rows = states(long, "SC", "chi", "xi")
    chi, xi = rows["chi"].to_numpy(), rows["xi"].to_numpy()
    decay = np.exp(-SC.kappa / 242)
    short, level = chi[1:] - decay * chi[:-1], np.diff(xi)
    variance = (1 - decay**2) * SC.sigma_chi**2 / (2 * SC.kappa)
    assert short.std() == pytest.approx(np.sqrt(variance), rel=0.07)
    assert level.std() * np.sqrt(242) == pytest.approx(SC.sigma_xi, rel=0.07)
    assert np.corrcoef(short, level)[0, 1] == pytest.approx(SC.rho, abs=0.08)


def test_the_convenience_yield_of_copper_falls_with_open_interest(long):
    bars = named(long).filter(pl.col("product") == "CU").sort("date", "maturity_date")
    implied = bars.group_by("date", maintain_order=True).agg(
        slope=(pl.col("close").last() / pl.col("close").first()).log()
        / ((pl.col("maturity_date").last() - pl.col("maturity_date").first()).dt.total_days() / 365)
    )
    delta = NULL.rate - implied["slope"].to_numpy()
    true = states(long, "CU", "delta", "interest")
    np.testing.assert_allclose(delta, true["delta"], atol=3e-3)
    slope, level = np.polyfit(true["interest"].to_numpy(), delta, 1)
    assert level == pytest.approx(CU.convenience, abs=1e-3)
    assert slope == pytest.approx(CU.slope, abs=1e-3)


def test_fuel_oil_follows_crude_oil_month_by_month(long):
    bars = named(long).select("order_book_id", "date", "close", "product")
    sc, fu = (
        bars.filter(pl.col("product") == p).with_columns(month=pl.col("order_book_id").str.slice(2))
        for p in ("SC", "FU")
    )
    both = sc.join(fu, on=["date", "month"]).join(states(long, "FU", "spread"), on="date")
    gap = both["close_right"].log() - FU.beta * both["close"].log()
    error = (gap - both["spread"]).to_numpy()
    assert error.mean() == pytest.approx(np.log(FU.level) - FU.beta * np.log(SC.level), abs=1e-4)
    assert error.std() < 0.9 * SC.noise + 0.001
    spread = states(long, "FU", "spread")["spread"].to_numpy()
    assert np.log(0.5) / np.log(lag_one(spread)) == pytest.approx(FU.half_life, rel=0.3)
    assert spread.std() == pytest.approx(FU.deviation, rel=0.2)
    kappa = np.log(2) / 8 * 242
    wide = reverting(default_rng(2), 60_000, kappa, 0.03, np.array([0.0] + [1 / STEPS] * STEPS))
    assert np.log(0.5) / np.log(lag_one(wide[:, 16])) == pytest.approx(8, rel=0.05)


def test_meal_costs_more_the_nearer_its_maturity_lies_to_the_peak_of_the_year(long):
    rows = named(long).filter(pl.col("product") == "M").join(states(long, "M", "log_factor"), on="date")
    years = (rows["maturity_date"] - rows["date"]).dt.total_days().to_numpy() / 365
    day = rows["maturity_date"].dt.ordinal_day().to_numpy() - 1.0
    season = np.log(rows["close"].to_numpy()) - rows["log_factor"].to_numpy() - M.carry * years

    def wave(x, amplitude, peak):
        return amplitude * np.cos(2 * np.pi * (x - peak) / 365.25)

    amplitude, peak = curve_fit(wave, day, season, p0=(0.1, 180.0))[0]
    assert amplitude == pytest.approx(M.amplitude, abs=1e-3)
    assert peak == pytest.approx(M.peak, abs=0.5)


def test_rebar_s_returns_are_those_of_a_gjr_garch_with_student_shocks(long):
    true = states(long, "RB", "variance", "innovation", "log_spot")
    rows = held(named(long).filter(pl.col("product") == "RB")).join(true, on="date")
    free = (pl.col("close") < pl.col("limit_up")) & (pl.col("close") > pl.col("limit_down"))
    rows = rows.filter(free)
    shock = rows["innovation"].to_numpy() * np.sqrt(rows["variance"].to_numpy())
    # A tick of 1 at some 4000 is two and a half basis points; the curve gives up .04 x days / 365 a session.
    assert np.abs(rows["r_close"].to_numpy() - shock).max() < 1.5e-3
    z = true["innovation"].to_numpy()
    h = true["variance"].to_numpy() * 1e4
    recursion = RB.omega + (RB.alpha + RB.gamma * (z < 0)) * h * z**2 + RB.beta * h
    np.testing.assert_allclose(h[1:], recursion[:-1], rtol=1e-12)


def test_an_estimate_finds_the_gjr_garch_again():
    """arch's optimum on the simulated factor, 20 seeds' medians within the tolerances of 04 §5."""
    found = []
    for seed in range(20):
        rng = default_rng(seed)
        z = rng.standard_t(RB.dof, 2500) * np.sqrt((RB.dof - 2) / RB.dof)
        y = z * np.sqrt(gjr_path(z, RB.omega, RB.alpha, RB.gamma, RB.beta))
        fit = arch_model(y, p=1, o=1, q=1, dist="t", rescale=False).fit(disp="off")
        found.append(fit.params[["alpha[1]", "gamma[1]", "beta[1]", "nu"]].to_numpy())
    alpha, gamma, beta, dof = np.median(found, axis=0)
    assert alpha == pytest.approx(RB.alpha, abs=0.015)
    assert gamma == pytest.approx(RB.gamma, abs=0.02)
    assert beta == pytest.approx(RB.beta, abs=0.02)
    assert dof == pytest.approx(RB.dof, abs=1)


def test_rebar_s_ranges_measure_its_variance_as_a_realised_garch_does(long):
    true = states(long, "RB", "variance", "innovation", "realised_variance")
    h, z, rv = (true[name].to_numpy() for name in ("variance", "innovation", "realised_variance"))
    square = np.minimum(z**2, RB.z_cap**2) - 1
    x = np.column_stack([np.ones(len(h)), np.log(h), z, square])
    (xi, phi, tau_1, tau_2), residual, *_ = np.linalg.lstsq(x, np.log(rv), rcond=None)
    assert phi == pytest.approx(RB.phi, abs=0.06)
    assert xi - (1 - phi) * np.log(h).mean() == pytest.approx(RB.xi, abs=0.03)
    assert (tau_1, tau_2) == (pytest.approx(RB.tau_1, abs=0.03), pytest.approx(RB.tau_2, abs=0.02))
    assert np.sqrt(residual[0] / len(h)) == pytest.approx(RB.sigma_u, rel=0.05)
    rows = held(named(long).filter(pl.col("product") == "RB")).join(true, on="date")
    high_low, close_open = (rows["high"] / rows["low"]).log(), (rows["close"] / rows["open"]).log()
    bridge = (0.5 * high_low**2 - (2 * np.log(2) - 1) * close_open**2).to_numpy()
    assert np.corrcoef(np.log(bridge), np.log(rows["realised_variance"].to_numpy()))[0, 1] > 0.7
    assert bridge.mean() == pytest.approx(rows["realised_variance"].mean(), rel=0.1)
    assert kurtosis(z) > 1


def test_positions_that_were_built_push_the_next_session_only_where_that_is_planted():
    rng = default_rng(3)
    moves = np.concatenate([np.zeros((40_000, 1)), 0.0025 * rng.standard_normal((40_000, 16))], axis=1)
    sd, interest = np.full(40_000, 0.01), rng.standard_normal(40_000)
    for effect in (0.0, 0.05):
        path = with_flow(moves, sd, interest, effect)
        daily = path[:, 16] - np.concatenate([[0.0], path[:-1, 16]])
        average = ((path[:, 1:] + path[:, :-1]) / 2).mean(axis=1)
        built = np.sign(np.diff(average)) * (np.diff(interest) > 0)
        pushed = daily[2:] - moves[2:].sum(axis=1)
        np.testing.assert_allclose(pushed, effect * 0.01 * built[:-1], atol=1e-12)
        assert np.array_equal(path, with_flow(moves[:, :], sd, interest, effect))


def test_the_flow_effect_is_an_option_of_the_world():
    plain, pushed = (simulate("tiny", replace(NULL, stocks=10, flow_effect=e), seed=2) for e in (0.0, 0.05))
    same, changed = {"IH", "IF", "IC", "SC", "FU"}, {"CU", "RB", "M"}
    for symbols, equal in ((same, True), (changed, False)):
        one, other = (named(s).filter(pl.col("product").is_in(symbols)) for s in (plain, pushed))
        assert one.equals(other) is equal
    claims = dict(pushed.truth["truth_claims"].iter_rows())
    assert claims["flow_effect"] == 0.05
