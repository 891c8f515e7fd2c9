"""Stocks: what qlib's `$open`, `$close` and the like mean here.

qlib's prices are adjusted, and kept in 24 binary digits. Here they have 30: more than any quote, and few enough that an
unchanged price on both sides of an ex-date is one number, however the adjustment was rounded on the way.
"""

from __future__ import annotations

from features.factor import Family, written

_MEANINGS = (
    ("open", "开盘价"),
    ("high", "最高价"),
    ("low", "最低价"),
    ("close", "收盘价"),
    ("vwap", "成交均价"),
)

QLIB_FIELDS = Family(
    written(
        f"qlib_{name}",
        f"shortened(adj_{name})",
        asset_class="CS",
        zh=f"qlib复权{zh}",
        unit="CNY of the first bar",
        stored=False,
    )
    for name, zh in _MEANINGS
)
