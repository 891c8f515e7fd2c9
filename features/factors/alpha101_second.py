"""The formulas of Alpha101, 37 to 72: number -> Chinese name, unit, expression; what they mean is in `alpha101`."""

from __future__ import annotations

FORMULAS = {
    37: (
        "日内跌幅收盘相关与反转之和",
        "rank",
        "cs_rank(ts_corr(lag(adj_open - adj_close, 1), adj_close, 200)) + cs_rank(rounded(open - close))",
    ),
    38: (
        "收盘时序与涨幅排名积取负",
        "rank",
        "-cs_rank(ts_rank(rounded(adj_close), 10)) * cs_rank(rounded(close / open))",
    ),
    39: (
        "缩量七日反转乘年收益率排名",
        "rank",
        "-cs_rank(rounded(delta(adj_close, 7) / adjust"
        " * (1 - cs_rank(decay_linear(total_turnover / ts_mean(total_turnover, 20), 9)))))"
        " * (1 + cs_rank(ts_sum(cs_ret_1d, 250)))",
    ),
    40: (
        "高价波动排名乘高价与量相关取负",
        "correlation",
        "-cs_rank(rounded(ts_std(adj_high, 10) / adjust)) * ts_corr(adj_high, adj_volume, 10)",
    ),
    41: ("高低价几何均值与均价之差", "CNY", "(high * low) ** 0.5 - cs_vwap"),
    42: (
        "均价与收盘价之差排名比其和排名",
        "ratio",
        "cs_rank(rounded(cs_vwap - close)) / cs_rank(rounded(cs_vwap + close))",
    ),
    43: (
        "量比时序排名乘七日反转时序排名",
        "rank",
        "ts_rank(total_turnover / ts_mean(total_turnover, 20), 20) * ts_rank(-rounded(delta(adj_close, 7)), 8)",
    ),
    44: ("高价与量排名负相关", "correlation", "-ts_corr(adj_high, cs_rank(volume), 5)"),
    45: (
        "滞后均价量价均线同向积取负",
        "rank",
        "-cs_rank(ts_mean(lag(adj_close, 5), 20) / adjust)"
        " * (1 / sign((close - prev_close) * delta(adj_volume, 1)))"
        " * cs_rank(1 / sign(rounded(delta(ts_mean(adj_close, 5), 1) / adjust)"
        " * rounded(delta(ts_mean(adj_close, 20), 1) / adjust)))",
    ),
    46: (
        "二十日价格弯曲度阈值与一日反转",
        "CNY",
        "if_else(rounded((lag(adj_close, 20) - 2 * lag(adj_close, 10) + adj_close) / 10 / adjust) > 0.25, -1,"
        " if_else(rounded((lag(adj_close, 20) - 2 * lag(adj_close, 10) + adj_close) / 10 / adjust) < 0, 1,"
        " prev_close - close))",
    ),
    47: (
        "低价量比上影线减均价变化",
        "rank",
        "cs_rank(1 / close) * total_turnover / ts_mean(total_turnover, 20)"
        " * (adj_high * cs_rank(rounded(high - close)) / ts_mean(adj_high, 5))"
        " - cs_rank(rounded(delta(adj_vwap, 5) / adjust))",
    ),
    48: (
        "行业中性价变自相关比年波动",
        "ratio",
        "group_demean(ts_corr((close - prev_close) * adjust, lag((close - prev_close) * adjust, 1), 250)"
        " * (close - prev_close) / close, industry) / ts_sum(cs_ret_1d ** 2, 250)",
    ),
    49: (
        "价格弯曲低于负一角则持有",
        "CNY",
        "if_else(rounded((lag(adj_close, 20) - 2 * lag(adj_close, 10) + adj_close) / 10 / adjust) < -0.1, 1,"
        " prev_close - close)",
    ),
    50: (
        "量与均价排名相关之排名极大值取负",
        "rank",
        "-ts_max(cs_rank(rounded(ts_corr(cs_rank(volume), cs_rank(rounded(cs_vwap)), 5))), 5)",
    ),
    51: (
        "价格弯曲低于负五分则持有",
        "CNY",
        "if_else(rounded((lag(adj_close, 20) - 2 * lag(adj_close, 10) + adj_close) / 10 / adjust) < -0.05, 1,"
        " prev_close - close)",
    ),
    52: (
        "低点下移乘年收益与量排名",
        "CNY",
        "-delta(ts_min(adj_low, 5), 5) / adjust"
        " * cs_rank((ts_sum(cs_ret_1d, 240) - ts_sum(cs_ret_1d, 20)) / 220) * ts_rank(adj_volume, 5)",
    ),
    53: ("收盘位置九日变化取负", "ratio", "-delta(((close - low) - (high - close)) / (close - low), 9)"),
    54: (
        "开收比五次方乘收盘位置取负",
        "ratio",
        "-((low - close) * open ** 5) / ((low - high) * close ** 5)",
    ),
    55: (
        "十二日区间位置排名与量排名负相关",
        "correlation",
        "-ts_corr(cs_rank(rounded((adj_close - ts_min(adj_low, 12)) / (ts_max(adj_high, 12) - ts_min(adj_low, 12)))),"
        " cs_rank(volume), 6)",
    ),
    57: (
        "收盘偏离均价比高点衰减取负",
        "CNY",
        "-(close - cs_vwap) / decay_linear(cs_rank(30 - ts_argmax(rounded(adj_close), 30)), 2)",
    ),
    58: (
        "行业中性价量短相关衰减取负",
        "rank",
        "-ts_rank(decay_linear(ts_corr(group_demean(cs_vwap, industry), adj_volume, 3), 7), 5)",
    ),
    59: (
        "行业中性价量长相关衰减取负",
        "rank",
        "-ts_rank(decay_linear(ts_corr(group_demean(cs_vwap, industry), adj_volume, 4), 16), 8)",
    ),
    60: (
        "收盘位置量与高点位置排名差",
        "weight",
        "-(2 * cs_scale(cs_rank(rounded(((close - low) - (high - close)) / (high - low)) * volume))"
        " - cs_scale(cs_rank(10 - ts_argmax(rounded(adj_close), 10))))",
    ),
    61: (
        "均价离低点低于均价额相关",
        "flag",
        "cs_rank(rounded((adj_vwap - ts_min(adj_vwap, 16)) / adjust))"
        " < cs_rank(ts_corr(adj_vwap, ts_mean(total_turnover, 180), 17))",
    ),
    62: (
        "均价额相关低于开盘偏低取负",
        "flag",
        "-(cs_rank(ts_corr(adj_vwap, ts_mean(ts_mean(total_turnover, 20), 22), 9))"
        " < cs_rank(rounded(cs_rank(open) + cs_rank(open) - cs_rank(rounded((high + low) / 2)) - cs_rank(high)) < 0))",
    ),
    63: (
        "行业中性价变减价额相关取负",
        "rank",
        "-(cs_rank(rounded(decay_linear(group_demean(delta(adj_close, 2) / adjust, industry), 8)))"
        " - cs_rank(decay_linear(ts_corr(adj_vwap * 0.318108 + adj_open * (1 - 0.318108),"
        " ts_mean(ts_mean(total_turnover, 180), 37), 13), 12)))",
    ),
    64: (
        "开低价额相关低于价变取负",
        "flag",
        "-(cs_rank(ts_corr(ts_mean(adj_open * 0.178404 + adj_low * (1 - 0.178404), 12),"
        " ts_mean(ts_mean(total_turnover, 120), 12), 16))"
        " < cs_rank(rounded(delta((adj_high + adj_low) / 2 * 0.178404 + adj_vwap * (1 - 0.178404), 3) / adjust)))",
    ),
    65: (
        "开均价额相关低于离低点取负",
        "flag",
        "-(cs_rank(ts_corr(adj_open * 0.00817205 + adj_vwap * (1 - 0.00817205),"
        " ts_mean(ts_mean(total_turnover, 60), 8), 6))"
        " < cs_rank(rounded((adj_open - ts_min(adj_open, 13)) / adjust)))",
    ),
    66: (
        "均价变化加低价偏离衰减取负",
        "rank",
        "-(cs_rank(rounded(decay_linear(delta(adj_vwap, 3), 7) / adjust))"
        " + ts_rank(rounded(decay_linear((low - cs_vwap) / rounded(open - (high + low) / 2), 11)), 6))",
    ),
    67: (
        "高价离低点之价额相关幂取负",
        "rank",
        "-cs_rank(rounded((adj_high - ts_min(adj_high, 2)) / adjust))"
        " ** cs_rank(rounded(ts_corr("
        "group_demean(cs_vwap, industry), group_demean(ts_mean(total_turnover, 20), industry), 6)))",
    ),
    68: (
        "高价额相关低于收低价变取负",
        "flag",
        "-(ts_rank(rounded(ts_corr(cs_rank(high), cs_rank(ts_mean(total_turnover, 15)), 8)), 13)"
        " < cs_rank(rounded(delta(adj_close * 0.518371 + adj_low * (1 - 0.518371), 1) / adjust)))",
    ),
    69: (
        "中性均价变化之价额相关幂取负",
        "rank",
        "-cs_rank(rounded(ts_max(group_demean(delta(adj_vwap, 2) / adjust, industry), 4)))"
        " ** ts_rank(ts_corr(adj_close * 0.490655 + adj_vwap * (1 - 0.490655), ts_mean(total_turnover, 20), 4), 9)",
    ),
    70: (
        "均价变化之中性价额相关幂取负",
        "rank",
        "-cs_rank(rounded(delta(adj_vwap, 1) / adjust))"
        " ** ts_rank(ts_corr(group_demean(close, industry), ts_mean(total_turnover, 50), 17), 17)",
    ),
    71: (
        "价额相关与开低偏离衰减取大",
        "rank",
        "maximum(ts_rank(rounded(decay_linear("
        "ts_corr(ts_rank(rounded(adj_close), 3), ts_rank(ts_mean(total_turnover, 180), 12), 18), 4)), 15),"
        " ts_rank(rounded(decay_linear(cs_rank(rounded(low + open - (cs_vwap + cs_vwap))) ** 2, 16)), 4))",
    ),
    72: (
        "中价额相关比均价量相关衰减",
        "ratio",
        "cs_rank(decay_linear(ts_corr((adj_high + adj_low) / 2, ts_mean(total_turnover, 40), 8), 10))"
        " / cs_rank(rounded(decay_linear(ts_corr(ts_rank(rounded(adj_vwap), 3), ts_rank(adj_volume, 18), 6), 2)))",
    ),
}
