"""Stocks: Alpha360, prices and volumes of the last 60 sessions over those of the last, under qlib's names.

The expressions are in qlib's syntax; `$close` and the others are adjusted, `$volume` is divided by the same factor.
Source  qlib 0.9.7, Alpha360
"""

from __future__ import annotations

from features.factor import Family, written

SESSIONS = 60
# Name, zh, what it is divided by, in qlib's order.
PANELS = (
    ("close", "收盘价", "$close"),
    ("open", "开盘价", "$close"),
    ("high", "最高价", "$close"),
    ("low", "最低价", "$close"),
    ("vwap", "成交均价", "$close"),
    ("volume", "成交量", "($volume+1e-12)"),
)
# Panel, sessions ago, zh, expression: the oldest first.
_ALL = [
    (
        panel,
        n,
        f"{n}日前{zh}比" if n else f"{zh}比",
        f"Ref(${panel}, {n})/{divisor}" if n else f"${panel}/{divisor}",
    )
    for panel, zh, divisor in PANELS
    for n in reversed(range(SESSIONS))
]
EXPRESSIONS = {f"{panel.upper()}{n}": text for panel, n, _, text in _ALL}

alpha360 = Family(
    written(
        f"alpha360_{panel}{n}",
        text,
        asset_class="CS",
        zh=f"{zh}{'成交量' if panel == 'volume' else '收盘价'}",
        unit="ratio",
        family=f"alpha360_{panel}",
        sets=("alpha360",),
        warm_up=False,
    )
    for panel, n, zh, text in _ALL
)
