"""The data contract: asset classes, their daily fields under RQData names, units, and when each is known.

A field is a number that a vendor gives. Required fields must be columns of what is ingested; optional ones may be
absent, and what needs them is then absent too, with a reason. Nothing is renamed after ingest, nothing is imputed.
Source  RQData's daily bar documentation for names; spec 00 §3 for the contract.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ASSET_CLASSES = ("CS", "ETF", "INDX", "Future", "Option")
# Whose bars nobody ingests: features.product_bars makes a row a (session, product of futures) from the contracts' bars.
DERIVED_CLASSES = ("Product",)
EVERY_CLASS = (*ASSET_CLASSES, *DERIVED_CLASSES)


@dataclass(frozen=True)
class Field:
    """One daily field.

    known     close: at 15:00 of t; settle: with the settlement of t; open: before the open of t
    required  asset classes whose bars must have the column
    optional  asset classes whose bars may have it
    since     the exchanges publish it from this date on; what a vendor gives before is not the same number
    """

    name: str
    zh: str
    unit: str
    known: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    since: str = ""

    @property
    def is_price(self) -> bool:
        """Quoted in the currency of the asset (or in index points), so it must be positive."""
        return self.unit == "price"

    @property
    def ingested(self) -> bool:
        """Whether a vendor gives it, for some class."""
        return bool({*self.required, *self.optional} - set(DERIVED_CLASSES))


_ALL = ASSET_CLASSES
_SPOT = ("CS", "ETF")
_DERIVATIVE = ("Future", "Option")
# What the contracts of a chain are called (features.roles), and what is told of each: name, unit, when it is known.
ROLE_NAMES = {
    "near": "近月",
    "next": "次月",
    "dominant": "主力",
    "sub_dominant": "次主力",
    "far": "远月",
    "current": "当月",
    "q1": "当季",
    "q2": "次季",
}
OF_ROLES = {
    "close": ("收盘价", "price", "close"),
    "settlement": ("结算价", "price", "settle"),
    "volume": ("成交量", "contracts", "close"),
    "open_interest": ("持仓量", "contracts", "settle"),
    "ttm": ("剩余期限", "years", "open"),
    "month": ("交割月", "yyyymm", "open"),
    "dividends": ("到期前分红现值", "index points", "settle"),
}
_PRODUCT = (
    Field("ret", "展期调整收益率", "ln", "close", (), ("Product",)),
    Field("sigma", "EWMA日波动率", "decimal per day", "close", (), ("Product",)),
    Field("is_roll", "换月首日", "flag", "open", (), ("Product",)),
    Field("prev_open_interest", "主力合约前一日持仓量", "contracts", "open", (), ("Product",)),
    Field("spot", "现货指数收盘价", "price", "close", (), ("Product",)),
    Field("late_close", "期货晚于现货收盘", "flag", "open", (), ("Product",)),
    Field("risk_free", "无风险利率", "p.a.", "open", (), ("Product",)),
    Field("dividends_estimated", "分红含上年季节估计", "flag", "settle", (), ("Product",)),
    Field("chain_contracts", "曲线上的合约数", "contracts", "settle", (), ("Product",)),
    Field("chain_slope", "全合约曲线斜率", "p.a.", "settle", (), ("Product",)),
    Field("chain_curvature", "全合约曲线曲率", "p.a. a year", "settle", (), ("Product",)),
    Field("roll_slope", "最近一次换月的价差斜率", "p.a.", "open", (), ("Product",)),
    *(
        Field(f"{of}_{role}", f"{called}合约{zh}", unit, known, (), ("Product",))
        for role, called in ROLE_NAMES.items()
        for of, (zh, unit, known) in OF_ROLES.items()
    ),
)
# Of treasuries alone (features.treasury_panels): the notional bond, deliveries, cash and money, the cheapest bond.
_TREASURY = tuple(
    Field(name, zh, unit, known, (), ("Product",))
    for name, zh, unit, known in (
        ("notional_maturity", "名义券期限", "years", "open"),
        ("notional_face", "合约面值", "CNY", "open"),
        ("proxy_maturity", "低收益率时的CTD期限", "years", "open"),
        ("settlement_third", "第三合约结算价", "price", "settle"),
        ("delivery_near", "近月交割剩余期限", "years", "open"),
        ("delivery_next", "次月交割剩余期限", "years", "open"),
        ("delivery_third", "第三合约交割剩余期限", "years", "open"),
        ("cash_yield", "同期限国债收益率", "yield p.a.", "settle"),
        ("proxy_yield", "CTD期限名义券现券收益率", "yield p.a.", "settle"),
        ("proxy_slope", "CTD期限处曲线斜率", "yield p.a. a year", "settle"),
        ("repo_near", "至近月交割的资金利率", "p.a., continuous", "settle"),
        ("repo_forward", "近月至次月交割的资金利率", "p.a., continuous", "settle"),
        ("ctd_price", "CTD券净价", "price", "settle"),
        ("ctd_accrued", "CTD券应计利息", "points", "settle"),
        ("ctd_factor", "CTD券转换因子", "ratio", "settle"),
        ("ctd_accrued_delivery", "CTD券交割日应计利息", "points", "settle"),
        ("ctd_coupons", "CTD券交割前付息", "points", "settle"),
        ("ctd_coupon_years", "CTD券交割前付息乘剩余年数", "points x years", "settle"),
        ("ctd_yield", "CTD券远期收益率", "yield p.a.", "settle"),
        ("ctd_fair_spread", "CTD理论跨期价差", "points", "settle"),
    )
)
# What models have said of a product (features.forecasts): volatilities p.a. of so many sessions ahead; its curve.
_FORECAST = (
    *(
        Field(f"vol_forecast_{ahead}", f"未来{ahead}日波动率预测", "p.a.", "settle", (), ("Product",))
        for ahead in (1, 5, 10, 20, 60)
    ),
    Field("vol_forecast_switch", "波动率预测换模型首日", "flag", "settle", (), ("Product",)),
    Field("ss_chi", "短期偏离状态χ", "ln", "settle", (), ("Product",)),
    Field("ss_xi", "长期均衡状态ξ", "ln", "settle", (), ("Product",)),
    Field("ss_yield", "模型瞬时净便利收益", "p.a.", "settle", (), ("Product",)),
    *(
        Field(f"ss_z_{role}", f"{ROLE_NAMES[role]}合约期限结构残差z", "sd", "settle", (), ("Product",))
        for role in ("near", "dominant", "sub_dominant")
    ),
)

FIELDS = {
    f.name: f
    for f in (
        Field("open", "开盘价", "price", "close", _ALL, ("Product",)),
        Field("high", "最高价", "price", "close", _ALL, ("Product",)),
        Field("low", "最低价", "price", "close", _ALL, ("Product",)),
        Field("close", "收盘价", "price", "close", _ALL, ("Product",)),
        Field("prev_close", "昨收盘价（除权参考价）", "price", "open", _SPOT, ("INDX",)),
        Field("limit_up", "涨停价", "price", "open", ("CS",), ("ETF", "Future", "Option")),
        Field("limit_down", "跌停价", "price", "open", ("CS",), ("ETF", "Future", "Option")),
        Field("settlement", "结算价", "price", "settle", _DERIVATIVE, ("Product",)),
        Field("prev_settlement", "昨结算价", "price", "open", _DERIVATIVE, ("Product",)),
        Field("iopv", "基金份额参考净值", "price", "close", (), ("ETF",)),
        Field("strike_price", "行权价", "price", "open", ("Option",)),
        Field("volume", "成交量", "shares or contracts", "close", (*_SPOT, *_DERIVATIVE), ("INDX", "Product")),
        Field("total_turnover", "成交额", "CNY", "close", _SPOT, ("INDX", *_DERIVATIVE)),
        Field("num_trades", "成交笔数", "trades", "close", (), _SPOT, since="2021-06-25"),
        Field("open_interest", "持仓量", "contracts", "settle", _DERIVATIVE, ("Product",)),
        Field("contract_multiplier", "合约乘数", "units per contract", "open", ("Option",), ("Future",)),
        Field("suspended", "停牌", "flag", "close", (), _SPOT),
        Field("is_st", "ST", "flag", "open", (), ("CS",)),
        *_PRODUCT,
        *_TREASURY,
        *_FORECAST,
    )
}


# Ids of continuous series of futures, made by a vendor out of contracts: RQData's RB88, RB888, RB889, RB99 and RB88A2,
# RB0 elsewhere, A_MAIN. Nobody settles them, and their open interest is that of whichever contract they hold.
SERIES = re.compile(r"([A-Za-z]{1,2})(?:_MAIN|0|88[89]?|99|88A\d)")
_OF_CONTRACTS = ("settlement", "prev_settlement", "open_interest")


def required_fields(asset_class: str, only_series: bool = False) -> tuple[str, ...]:
    """Names of the columns that bars of this class must have.

    only_series  the bars are of continuous series of futures alone, which are not settled
    """
    spared = _OF_CONTRACTS if only_series and asset_class == "Future" else ()
    return tuple(f.name for f in FIELDS.values() if asset_class in f.required and f.name not in spared)


def fields_of(asset_class: str) -> tuple[str, ...]:
    """Names of all columns that bars of this class may have, in the contract's order."""
    return tuple(f.name for f in FIELDS.values() if asset_class in f.required or asset_class in f.optional)


# Facts that the reference tables and the calendar give, beside the fields; all known before the session.
FACTS = {
    "traded": "whether the asset traded",
    "listed_sessions": "sessions since listing, the listing day counting 1",
    "listed_count": "assets that the reference knows to be listed",
    "board": "code of the board",
    "industry": "code of the industry",
    "weekday": "1 on Monday to 5 on Friday",
    "month": "1 to 12",
    "month_end": "1 on the last session of a month",
    "before_holiday": "1 on a session that a holiday follows: more than the weekend lies before the next",
}

# What qlib's `$field` means here: its prices are adjusted, and its volumes divided by the same factor.
QLIB_FIELDS = {
    "CS": {
        **{f: f"qlib_{f}" for f in ("open", "high", "low", "close", "vwap")},
        "volume": "adj_volume",
        "factor": "adjust",
        "change": "cs_ret_1d",
        "amount": "total_turnover",
        "money": "total_turnover",
    }
}
