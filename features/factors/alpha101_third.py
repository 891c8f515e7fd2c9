"""The formulas of Alpha101, 73 to 101: number -> Chinese name, unit, expression; what they mean is in `alpha101`."""

from __future__ import annotations

FORMULAS = {
    73: (
        "均价变化开低跌幅取大取负",
        "rank",
        "-maximum(cs_rank(rounded(decay_linear(delta(adj_vwap, 4), 2) / adjust)),"
        " ts_rank(decay_linear(-delta(adj_open * 0.147155 + adj_low * (1 - 0.147155), 2)"
        " / (adj_open * 0.147155 + adj_low * (1 - 0.147155)), 3), 16))",
    ),
    74: (
        "收盘额相关低于价量相关取负",
        "flag",
        "-(cs_rank(ts_corr(adj_close, ts_mean(ts_mean(total_turnover, 30), 37), 15))"
        " < cs_rank(rounded(ts_corr("
        "cs_rank(rounded(high * 0.0261661 + cs_vwap * (1 - 0.0261661))), cs_rank(volume), 11))))",
    ),
    75: (
        "均价量相关低于低价额相关",
        "flag",
        "cs_rank(ts_corr(adj_vwap, adj_volume, 4))"
        " < cs_rank(rounded(ts_corr(cs_rank(low), cs_rank(ts_mean(total_turnover, 50)), 12)))",
    ),
    76: (
        "均价变化与中性低价额取大取负",
        "rank",
        "-maximum(cs_rank(rounded(decay_linear(delta(adj_vwap, 1), 11) / adjust)),"
        " ts_rank(rounded(decay_linear(ts_rank("
        "ts_corr(group_demean(low, industry), ts_mean(total_turnover, 81), 8), 19), 17)), 19))",
    ),
    77: (
        "中价偏离与中价额相关取小",
        "rank",
        "minimum(cs_rank(rounded(decay_linear((adj_high + adj_low) / 2 - adj_vwap, 20) / adjust)),"
        " cs_rank(decay_linear(ts_corr(rounded((adj_high + adj_low) / 2), ts_mean(total_turnover, 40), 3), 5)))",
    ),
    78: (
        "低均价额相关之均价量相关幂",
        "rank",
        "cs_rank(ts_corr(ts_mean(adj_low * 0.352233 + adj_vwap * (1 - 0.352233), 19),"
        " ts_mean(ts_mean(total_turnover, 40), 19), 6))"
        " ** cs_rank(rounded(ts_corr(cs_rank(rounded(cs_vwap)), cs_rank(volume), 5)))",
    ),
    79: (
        "中性收开价变低于均价额相关",
        "flag",
        "cs_rank(rounded(group_demean(delta(adj_close * 0.60733 + adj_open * (1 - 0.60733), 1) / adjust, industry)))"
        " < cs_rank(rounded(ts_corr(ts_rank(rounded(adj_vwap), 3), ts_rank(ts_mean(total_turnover, 150), 9), 14)))",
    ),
    80: (
        "中性开高方向之高价额幂取负",
        "rank",
        "-cs_rank(sign(rounded(group_demean("
        "delta(adj_open * 0.868128 + adj_high * (1 - 0.868128), 4) / adjust, industry))))"
        " ** ts_rank(ts_corr(adj_high, ts_mean(total_turnover, 10), 5), 5)",
    ),
    81: (
        "均价额连乘低于均价量相关取负",
        "flag",
        "-(cs_rank(log(ts_prod(cs_rank(ts_corr(adj_vwap, ts_mean(ts_mean(total_turnover, 10), 49), 8)), 14)))"
        " < cs_rank(rounded(ts_corr(cs_rank(rounded(cs_vwap)), cs_rank(volume), 5))))",
    ),
    82: (
        "开盘价变与中性量开相关取小取负",
        "rank",
        "-minimum(cs_rank(rounded(decay_linear(delta(adj_open, 1), 14) / adjust)),"
        " ts_rank(decay_linear(ts_corr(group_demean(volume, industry), adj_open, 17), 6), 13))",
    ),
    83: (
        "滞后振幅乘量比振幅乘偏离",
        "CNY",
        "cs_rank(rounded(lag((adj_high - adj_low) / ts_mean(adj_close, 5), 2))) * cs_rank(volume)"
        " / ((adj_high - adj_low) / ts_mean(adj_close, 5) / (cs_vwap - close))",
    ),
    84: (
        "均价离高点时序排名之四日价变次幂",
        "ratio",
        "ts_rank(rounded(adj_vwap - ts_max(adj_vwap, 15)), 20) ** rounded(delta(adj_close, 4) / adjust)",
    ),
    85: (
        "高收价额相关之中价量相关幂",
        "rank",
        "cs_rank(ts_corr(adj_high * 0.876703 + adj_close * (1 - 0.876703), ts_mean(total_turnover, 30), 9))"
        " ** cs_rank(rounded(ts_corr(ts_rank(rounded((adj_high + adj_low) / 2), 3), ts_rank(adj_volume, 10), 7)))",
    ),
    86: (
        "收盘额相关低于收盘偏离取负",
        "flag",
        "-(ts_rank(ts_corr(adj_close, ts_mean(ts_mean(total_turnover, 20), 14), 6), 20)"
        " < cs_rank(rounded(close - cs_vwap)))",
    ),
    87: (
        "收均价变与中性额价取大取负",
        "rank",
        "-maximum(cs_rank(rounded(decay_linear("
        "delta(adj_close * 0.369701 + adj_vwap * (1 - 0.369701), 1), 2) / adjust)), ts_rank(decay_linear("
        "abs(ts_corr(group_demean(ts_mean(total_turnover, 81), industry), adj_close, 13)), 4), 14))",
    ),
    88: (
        "开低减高收与价额相关取小",
        "rank",
        "minimum(cs_rank(rounded(decay_linear(cs_rank(open) + cs_rank(low) - (cs_rank(high) + cs_rank(close)), 8))),"
        " ts_rank(rounded(decay_linear("
        "ts_corr(ts_rank(rounded(adj_close), 8), ts_rank(ts_mean(total_turnover, 60), 20), 8), 6)), 2))",
    ),
    89: (
        "低价额相关减中性均价变化",
        "rank",
        "ts_rank(decay_linear(ts_corr(adj_low, ts_mean(total_turnover, 10), 6), 5), 3)"
        " - ts_rank(rounded(decay_linear(group_demean(delta(adj_vwap, 3) / adjust, industry), 10)), 15)",
    ),
    90: (
        "收盘离高点之额低价相关幂取负",
        "rank",
        "-cs_rank(rounded((adj_close - ts_max(adj_close, 4)) / adjust))"
        " ** ts_rank(ts_corr(group_demean(ts_mean(total_turnover, 40), industry), adj_low, 5), 3)",
    ),
    91: (
        "中性价量相关减均价额取负",
        "rank",
        "-(ts_rank(decay_linear(decay_linear(ts_corr(group_demean(close, industry), adj_volume, 9), 16), 3), 4)"
        " - cs_rank(decay_linear(ts_corr(adj_vwap, ts_mean(total_turnover, 30), 4), 2)))",
    ),
    92: (
        "中收低于低开与低价额取小",
        "rank",
        "minimum(ts_rank(rounded(decay_linear(rounded((high + low) / 2 + close - (low + open)) < 0, 14)), 18),"
        " ts_rank(rounded(decay_linear("
        "ts_corr(cs_rank(low), cs_rank(ts_mean(total_turnover, 30)), 7), 6)), 6))",
    ),
    93: (
        "中性均价额相关比收均价变",
        "ratio",
        "ts_rank(decay_linear(ts_corr(group_demean(cs_vwap, industry), ts_mean(total_turnover, 81), 17), 19), 7)"
        " / cs_rank(rounded(decay_linear(delta(adj_close * 0.524434 + adj_vwap * (1 - 0.524434), 2), 16) / adjust))",
    ),
    94: (
        "均价离低点之均价额相关幂取负",
        "rank",
        "-cs_rank(rounded((adj_vwap - ts_min(adj_vwap, 11)) / adjust))"
        " ** ts_rank(rounded(ts_corr(ts_rank(rounded(adj_vwap), 19), ts_rank(ts_mean(total_turnover, 60), 4), 18)), 2)",
    ),
    95: (
        "开盘离低点低于中价额相关",
        "flag",
        "cs_rank(rounded((adj_open - ts_min(adj_open, 12)) / adjust))"
        " < ts_rank(cs_rank(ts_corr(ts_mean((adj_high + adj_low) / 2, 19),"
        " ts_mean(ts_mean(total_turnover, 40), 19), 12)) ** 5, 11)",
    ),
    96: (
        "均价量与价额相关高点取大取负",
        "rank",
        "-maximum(ts_rank(rounded(decay_linear(ts_corr(cs_rank(rounded(cs_vwap)), cs_rank(volume), 3), 4)), 8),"
        " ts_rank(rounded(decay_linear(12 - ts_argmax("
        "rounded(ts_corr(ts_rank(rounded(adj_close), 7), ts_rank(ts_mean(total_turnover, 60), 4), 3)), 12), 14)), 13))",
    ),
    97: (
        "中性低均价变减低价额相关取负",
        "rank",
        "-(cs_rank(rounded(decay_linear(group_demean("
        "delta(adj_low * 0.721001 + adj_vwap * (1 - 0.721001), 3) / adjust, industry), 20)))"
        " - ts_rank(rounded(decay_linear(ts_rank("
        "rounded(ts_corr(ts_rank(rounded(adj_low), 7), ts_rank(ts_mean(total_turnover, 60), 17), 4)), 18), 15)), 6))",
    ),
    98: (
        "均价额相关减开盘额低点衰减",
        "rank",
        "cs_rank(decay_linear(ts_corr(adj_vwap, ts_mean(ts_mean(total_turnover, 5), 26), 4), 7))"
        " - cs_rank(rounded(decay_linear(ts_rank(8 - ts_argmin("
        "rounded(ts_corr(cs_rank(open), cs_rank(ts_mean(total_turnover, 15)), 20)), 8), 6), 8)))",
    ),
    99: (
        "中价额相关低于低价量相关取负",
        "flag",
        "-(cs_rank(ts_corr(ts_mean((adj_high + adj_low) / 2, 19), ts_mean(ts_mean(total_turnover, 60), 19), 8))"
        " < cs_rank(ts_corr(adj_low, adj_volume, 6)))",
    ),
    100: (
        "中性收盘位置减价额相关取负",
        "weight",
        "-(1.5 * cs_scale(group_demean("
        "cs_rank(rounded(((close - low) - (high - close)) / (high - low)) * volume), industry))"
        " - cs_scale(group_demean(ts_corr(adj_close, cs_rank(ts_mean(total_turnover, 20)), 5)"
        " - cs_rank(30 - ts_argmin(rounded(adj_close), 30)), industry)))"
        " * (total_turnover / ts_mean(total_turnover, 20))",
    ),
    101: ("日内涨幅比振幅", "ratio", "(close - open) / ((high - low) + 0.001)"),
}
