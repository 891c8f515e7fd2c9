"""Stocks: Alpha101, the 101 formulaic alphas of Kakushadze, all but the 56th, which needs the market value.

The formulas stand in `alpha101_first`, `alpha101_second` and `alpha101_third`. What the paper leaves open is read so:

- A price counts in CNY of its day where it is ranked across stocks, compared with a number, or given out: as it was
  quoted, and what windows make of adjusted prices over `adjust`. So nothing hangs on where the adjustment begins.
- delay(close, 1) is the ex-right reference price: delta(close, 1) = close - prev_close, returns = close/prev_close - 1.
- adv{d} is the mean turnover of d sessions; a volume that is set against it is the turnover of the day, CNY with CNY.
- rank is `cs_rank`, (place - 1/2) / N over the universe, never 0 or 1; ts_rank is in (0, 1]; equals share a place.
- A value that can tie is `rounded` before it is ranked, placed in time or compared, so that no tie hangs on the last
  binary digit, nor on the level of the adjustment.
- ts_argmax and ts_argmin count sessions from the oldest of the window, 1 to d; of equals the newest counts.
- A window that is not whole is floored, in correlation, sum and decay_linear too, which the paper says of ts_{O} alone.
- min(x, d) and max(x, d) are ts_min and ts_max where d is a number (29), the lesser and the greater of two panels else.
- sum(x, d)/d, and a sum of prices or of adv that is only correlated or ranked, are means: they are the same but where
  sessions are missing. A correlation over two sessions (45) is the sign of the product of the two changes.
- stddev and covariance divide by n - 1. decay_linear weighs the newest session most. signedpower(x, a) is x^a: what it
  is given (1, 84) is positive.
- Sector, industry and subindustry are the one classification that there is; without it the factors that need it are
  absent. delta(indneutralize(x), d) is taken as indneutralize(delta(x, d)), which goes through an ex-date unharmed; a
  price neutralised and then correlated is the price as quoted.
- A condition is 1 or 0, and missing where either side is.
- A rank of a rank is that rank, and so is one of an increasing function of it; a window of 1 does nothing, and terms
  that cancel do: such are written once or left out (29, 31, 66, 77, 81, 82, 83, 86, 89, 100).

Windows need 60 % of their sessions as everywhere, and values wait out the warm-up after a long absence. A correlation
is missing where a side is constant, which ranks over few sessions often are: 96 seldom has a value.
Source  Kakushadze (2016), 101 Formulaic Alphas, arXiv 1601.00991, appendix A
"""

from __future__ import annotations

from features.factor import Family, written
from features.factors import alpha101_first, alpha101_second, alpha101_third

FORMULAS = {**alpha101_first.FORMULAS, **alpha101_second.FORMULAS, **alpha101_third.FORMULAS}

alpha101 = Family(
    written(
        f"alpha101_{number:03d}",
        text,
        asset_class="CS",
        zh=zh,
        unit=unit,
        family="alpha101",
        sets=("alpha101",),
    )
    for number, (zh, unit, text) in FORMULAS.items()
)
