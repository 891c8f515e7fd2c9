"""Stocks: Alpha158, the 158 features of price and volume that qlib's benchmarks use, under its names and by its rules.

The expressions are in qlib's syntax, whose windows count the sessions of the stock, need one valid cell, and know no
warm-up. `$close` and the others are adjusted, `$volume` is divided by the same factor.
Source  qlib 0.9.7, Alpha158
"""

from __future__ import annotations

from features.factor import Family, written

WINDOWS = (5, 10, 20, 30, 60)
# Name, zh, unit, expression.
CANDLE = (
    ("KMID", "K线实体", "decimal", "($close-$open)/$open"),
    ("KLEN", "K线振幅", "decimal", "($high-$low)/$open"),
    ("KMID2", "K线实体占振幅", "ratio", "($close-$open)/($high-$low+1e-12)"),
    ("KUP", "K线上影线", "decimal", "($high-Greater($open, $close))/$open"),
    ("KUP2", "K线上影线占振幅", "ratio", "($high-Greater($open, $close))/($high-$low+1e-12)"),
    ("KLOW", "K线下影线", "decimal", "(Less($open, $close)-$low)/$open"),
    ("KLOW2", "K线下影线占振幅", "ratio", "(Less($open, $close)-$low)/($high-$low+1e-12)"),
    ("KSFT", "K线重心偏移", "decimal", "(2*$close-$high-$low)/$open"),
    ("KSFT2", "K线重心偏移占振幅", "ratio", "(2*$close-$high-$low)/($high-$low+1e-12)"),
)
PRICES = (
    ("OPEN0", "开盘价比收盘价", "ratio", "$open/$close"),
    ("HIGH0", "最高价比收盘价", "ratio", "$high/$close"),
    ("LOW0", "最低价比收盘价", "ratio", "$low/$close"),
    ("VWAP0", "成交均价比收盘价", "ratio", "$vwap/$close"),
)
_RISE, _FALL = "Greater($close-Ref($close, 1), 0)", "Greater(Ref($close, 1)-$close, 0)"
_MOVES = "(Sum(Abs($close-Ref($close, 1)), {n})+1e-12)"
_MORE, _LESS = "Greater($volume-Ref($volume, 1), 0)", "Greater(Ref($volume, 1)-$volume, 0)"
_VOLUME_MOVES = "(Sum(Abs($volume-Ref($volume, 1)), {n})+1e-12)"
_WEIGHTED = "Abs($close/Ref($close, 1)-1)*$volume"
# One factor for each window n.
ROLLING = (
    ("ROC", "前收盘价比收盘价", "ratio", "Ref($close, {n})/$close"),
    ("MA", "均线比收盘价", "ratio", "Mean($close, {n})/$close"),
    ("STD", "价格标准差比收盘价", "ratio", "Std($close, {n})/$close"),
    ("BETA", "价格回归斜率比收盘价", "ratio per day", "Slope($close, {n})/$close"),
    ("RSQR", "价格回归R方", "ratio", "Rsquare($close, {n})"),
    ("RESI", "价格回归残差比收盘价", "ratio", "Resi($close, {n})/$close"),
    ("MAX", "最高价极值比收盘价", "ratio", "Max($high, {n})/$close"),
    ("MIN", "最低价极值比收盘价", "ratio", "Min($low, {n})/$close"),
    ("QTLU", "价格八成分位比收盘价", "ratio", "Quantile($close, {n}, 0.8)/$close"),
    ("QTLD", "价格二成分位比收盘价", "ratio", "Quantile($close, {n}, 0.2)/$close"),
    ("RANK", "价格时序排名", "rank", "Rank($close, {n})"),
    ("RSV", "价格区间位置", "ratio", "($close-Min($low, {n}))/(Max($high, {n})-Min($low, {n})+1e-12)"),
    ("IMAX", "距最高价时长", "ratio", "IdxMax($high, {n})/{n}"),
    ("IMIN", "距最低价时长", "ratio", "IdxMin($low, {n})/{n}"),
    ("IMXD", "高低点时差", "ratio", "(IdxMax($high, {n})-IdxMin($low, {n}))/{n}"),
    ("CORR", "价与量相关", "correlation", "Corr($close, Log($volume+1), {n})"),
    ("CORD", "价变与量变相关", "correlation", "Corr($close/Ref($close,1), Log($volume/Ref($volume, 1)+1), {n})"),
    ("CNTP", "上涨日占比", "ratio", "Mean($close>Ref($close, 1), {n})"),
    ("CNTN", "下跌日占比", "ratio", "Mean($close<Ref($close, 1), {n})"),
    ("CNTD", "涨跌日占比差", "ratio", "Mean($close>Ref($close, 1), {n})-Mean($close<Ref($close, 1), {n})"),
    ("SUMP", "上涨幅度占比", "ratio", f"Sum({_RISE}, {{n}})/{_MOVES}"),
    ("SUMN", "下跌幅度占比", "ratio", f"Sum({_FALL}, {{n}})/{_MOVES}"),
    ("SUMD", "涨跌幅度占比差", "ratio", f"(Sum({_RISE}, {{n}})-Sum({_FALL}, {{n}}))/{_MOVES}"),
    ("VMA", "成交量均线比成交量", "ratio", "Mean($volume, {n})/($volume+1e-12)"),
    ("VSTD", "成交量标准差比成交量", "ratio", "Std($volume, {n})/($volume+1e-12)"),
    ("WVMA", "量加权波动离散度", "ratio", f"Std({_WEIGHTED}, {{n}})/(Mean({_WEIGHTED}, {{n}})+1e-12)"),
    ("VSUMP", "放量幅度占比", "ratio", f"Sum({_MORE}, {{n}})/{_VOLUME_MOVES}"),
    ("VSUMN", "缩量幅度占比", "ratio", f"Sum({_LESS}, {{n}})/{_VOLUME_MOVES}"),
    ("VSUMD", "量增减幅度占比差", "ratio", f"(Sum({_MORE}, {{n}})-Sum({_LESS}, {{n}}))/{_VOLUME_MOVES}"),
)
# Family, name, zh, unit, expression, in qlib's order.
_ALL = [
    *((name.rstrip("2").lower(), name, zh, unit, text) for name, zh, unit, text in CANDLE),
    *((name.rstrip("0").lower(), name, zh, unit, text) for name, zh, unit, text in PRICES),
    *(
        (name.lower(), f"{name}{n}", f"{n}日{zh}", unit, text.format(n=n))
        for name, zh, unit, text in ROLLING
        for n in WINDOWS
    ),
]
EXPRESSIONS = {name: text for _, name, _, _, text in _ALL}

alpha158 = Family(
    written(
        f"alpha158_{name.lower()}",
        text,
        asset_class="CS",
        zh=zh,
        unit=unit,
        family=f"alpha158_{family}",
        sets=("alpha158",),
        warm_up=False,
    )
    for family, name, zh, unit, text in _ALL
)
