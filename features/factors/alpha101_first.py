"""The formulas of Alpha101, 1 to 36: number -> Chinese name, unit, expression; what they mean is in `alpha101`."""

from __future__ import annotations

FORMULAS = {
    1: (
        "下跌波动或收盘极值位置排名",
        "rank",
        "cs_rank(5 - ts_argmax(rounded(if_else(cs_ret_1d < 0, ts_std(cs_ret_1d, 20), adj_close)) ** 2, 5)) - 0.5",
    ),
    2: (
        "量变排名与日内涨幅排名负相关",
        "correlation",
        "-ts_corr(cs_rank(delta(log(adj_volume), 2)), cs_rank(rounded((close - open) / open)), 6)",
    ),
    3: ("开盘价排名与成交量排名负相关", "correlation", "-ts_corr(cs_rank(open), cs_rank(volume), 10)"),
    4: ("最低价截面排名的时序排名取负", "rank", "-ts_rank(cs_rank(low), 9)"),
    5: (
        "开盘与收盘偏离均价排名积",
        "rank",
        "cs_rank(rounded(open - ts_mean(adj_vwap, 10) / adjust)) * -abs(cs_rank(rounded(close - cs_vwap)))",
    ),
    6: ("开盘价与成交量负相关", "correlation", "-ts_corr(adj_open, adj_volume, 10)"),
    7: (
        "放量时七日价变幅度反转",
        "rank",
        "if_else(ts_mean(total_turnover, 20) < total_turnover,"
        " -ts_rank(abs(rounded(delta(adj_close, 7))), 60)"
        " * sign(rounded(delta(adj_close, 7))), -1)",
    ),
    8: (
        "开盘乘收益十日变化排名取负",
        "rank",
        "-cs_rank(delta(ts_mean(adj_open, 5) * ts_sum(cs_ret_1d, 5), 10) / adjust)",
    ),
    9: (
        "五日同向则顺势否则反转的价变",
        "CNY",
        "if_else(ts_min(close - prev_close, 5) > 0, close - prev_close,"
        " if_else(ts_max(close - prev_close, 5) < 0, close - prev_close, prev_close - close))",
    ),
    10: (
        "四日同向则顺势否则反转的价变排名",
        "rank",
        "cs_rank(rounded(if_else(ts_min(close - prev_close, 4) > 0, close - prev_close,"
        " if_else(ts_max(close - prev_close, 4) < 0, close - prev_close, prev_close - close))))",
    ),
    11: (
        "均价偏离极值排名与量变排名积",
        "rank",
        "(cs_rank(rounded(ts_max(adj_vwap - adj_close, 3) / adjust))"
        " + cs_rank(rounded(ts_min(adj_vwap - adj_close, 3) / adjust))) * cs_rank(delta(adj_volume, 3) * adjust)",
    ),
    12: ("量变方向乘价变反转", "CNY", "sign(delta(adj_volume, 1)) * (prev_close - close)"),
    13: (
        "收盘价与量排名协方差排名取负",
        "rank",
        "-cs_rank(rounded(ts_cov(cs_rank(close), cs_rank(volume), 5)))",
    ),
    14: (
        "收益率变化排名乘开盘价与量相关",
        "rank",
        "-cs_rank(delta(cs_ret_1d, 3)) * ts_corr(adj_open, adj_volume, 10)",
    ),
    15: (
        "高价与量排名相关三日和取负",
        "rank",
        "-ts_sum(cs_rank(rounded(ts_corr(cs_rank(high), cs_rank(volume), 3))), 3)",
    ),
    16: (
        "高价与量排名协方差排名取负",
        "rank",
        "-cs_rank(rounded(ts_cov(cs_rank(high), cs_rank(volume), 5)))",
    ),
    17: (
        "价格排名、加速与量比排名积",
        "rank",
        "-cs_rank(ts_rank(rounded(adj_close), 10)) * cs_rank(rounded(delta((close - prev_close) * adjust, 1) / adjust))"
        " * cs_rank(ts_rank(total_turnover / ts_mean(total_turnover, 20), 5))",
    ),
    18: (
        "日内波动涨幅开收相关和取负",
        "rank",
        "-cs_rank(ts_std(abs(adj_close - adj_open), 5) / adjust + (close - open) + ts_corr(adj_close, adj_open, 10))",
    ),
    19: (
        "七日价变反向乘年收益率排名",
        "rank",
        "-sign(rounded(delta(adj_close, 7))) * (1 + cs_rank(1 + ts_sum(cs_ret_1d, 250)))",
    ),
    20: (
        "开盘价相对昨日高收低三排名积",
        "rank",
        "-cs_rank(rounded(open - lag(adj_high, 1) / adjust)) * cs_rank(rounded(open - prev_close))"
        " * cs_rank(rounded(open - lag(adj_low, 1) / adjust))",
    ),
    21: (
        "短均线相对长均线带的方向与量比",
        "flag",
        "if_else(rounded((ts_mean(adj_close, 2) - ts_mean(adj_close, 8) - ts_std(adj_close, 8)) / adjust) > 0, -1,"
        " if_else(rounded((ts_mean(adj_close, 2) - ts_mean(adj_close, 8) + ts_std(adj_close, 8)) / adjust) < 0, 1,"
        " if_else(rounded(total_turnover / ts_mean(total_turnover, 20)) >= 1, 1, -1)))",
    ),
    22: (
        "高价与量相关之变化乘波动排名取负",
        "correlation",
        "-delta(ts_corr(adj_high, adj_volume, 5), 5) * cs_rank(rounded(ts_std(adj_close, 20) / adjust))",
    ),
    23: (
        "高于二十日高价均值时的高价反转",
        "CNY",
        "if_else(rounded(ts_mean(adj_high, 20) / adjust - high) < 0, -delta(adj_high, 2) / adjust, 0)",
    ),
    24: (
        "长均线平缓离低点否则短反转",
        "CNY",
        "if_else(rounded(delta(ts_mean(adj_close, 100), 100) / lag(adj_close, 100)) <= 0.05,"
        " -(adj_close - ts_min(adj_close, 100)) / adjust, -delta(adj_close, 3) / adjust)",
    ),
    25: (
        "下跌、成交额与上影线之积排名",
        "rank",
        "cs_rank(-cs_ret_1d * ts_mean(total_turnover, 20) * cs_vwap * (high - close))",
    ),
    26: (
        "量与高价时序排名相关极大值取负",
        "correlation",
        "-ts_max(ts_corr(ts_rank(adj_volume, 5), ts_rank(rounded(adj_high), 5), 5), 3)",
    ),
    27: (
        "量与均价排名相关高低",
        "flag",
        "if_else(cs_rank(rounded(ts_mean(ts_corr(cs_rank(volume), cs_rank(rounded(cs_vwap)), 6), 2))) > 0.5, -1, 1)",
    ),
    28: (
        "低价额相关加中价偏离缩放",
        "weight",
        "cs_scale(ts_corr(ts_mean(total_turnover, 20), adj_low, 5) + (high + low) / 2 - close)",
    ),
    29: (
        "反转极小与滞后收益排名和",
        "rank",
        "ts_min(cs_rank(cs_scale(log(ts_min(cs_rank(-cs_rank(rounded(delta(adj_close, 5) / adjust))), 2)))), 5)"
        " + ts_rank(lag(-cs_ret_1d, 6), 5)",
    ),
    30: (
        "三日涨跌方向排名与量比",
        "rank",
        "(1 - cs_rank(sign(close - prev_close) + lag(sign(close - prev_close), 1) + lag(sign(close - prev_close), 2)))"
        " * ts_sum(adj_volume, 5) / ts_sum(adj_volume, 20)",
    ),
    31: (
        "长短反转与价额相关方向之和",
        "rank",
        "cs_rank(rounded(decay_linear(-cs_rank(rounded(delta(adj_close, 10) / adjust)), 10)))"
        " + cs_rank(rounded(-delta(adj_close, 3) / adjust))"
        " + sign(cs_scale(ts_corr(ts_mean(total_turnover, 20), adj_low, 12)))",
    ),
    32: (
        "七日均线偏离与均价滞后相关",
        "weight",
        "cs_scale(ts_mean(adj_close, 7) / adjust - close) + 20 * cs_scale(ts_corr(adj_vwap, lag(adj_close, 5), 230))",
    ),
    33: ("日内跌幅排名", "rank", "cs_rank(rounded(-(1 - open / close)))"),
    34: (
        "短期波动比与价变排名之和排名",
        "rank",
        "cs_rank(rounded((1 - cs_rank(ts_std(cs_ret_1d, 2) / ts_std(cs_ret_1d, 5)))"
        " + (1 - cs_rank(rounded(close - prev_close)))))",
    ),
    35: (
        "量、价位与收益率时序排名积",
        "rank",
        "ts_rank(adj_volume, 32) * (1 - ts_rank(rounded(adj_close + adj_high - adj_low), 16))"
        " * (1 - ts_rank(cs_ret_1d, 32))",
    ),
    36: (
        "量价相关反转均线偏离加权和",
        "rank",
        "2.21 * cs_rank(ts_corr(adj_close - adj_open, lag(adj_volume, 1), 15)) + 0.7 * cs_rank(rounded(open - close))"
        " + 0.73 * cs_rank(ts_rank(lag(-cs_ret_1d, 6), 5))"
        " + cs_rank(abs(ts_corr(adj_vwap, ts_mean(total_turnover, 20), 6)))"
        " + 0.6 * cs_rank((ts_mean(adj_close, 200) / adjust - open) * (close - open))",
    ),
}
