"""What the products of futures are called in Chinese."""

from __future__ import annotations

# Products by exchange: CFFEX, SHFE and INE, DCE, CZCE (names that changed are under the newer code and the older), GFEX.
PRODUCT_NAMES: dict[str, str] = {
    **{"IF": "沪深300股指期货", "IH": "上证50股指期货", "IC": "中证500股指期货", "IM": "中证1000股指期货"},
    **{"TS": "2年期国债期货", "TF": "5年期国债期货", "T": "10年期国债期货", "TL": "30年期国债期货"},
    **{
        "CU": "铜",
        "AL": "铝",
        "ZN": "锌",
        "PB": "铅",
        "NI": "镍",
        "SN": "锡",
        "AO": "氧化铝",
        "AU": "黄金",
        "AG": "白银",
    },
    **{
        "RB": "螺纹钢",
        "WR": "线材",
        "HC": "热轧卷板",
        "SS": "不锈钢",
        "FU": "燃料油",
        "BU": "石油沥青",
        "RU": "天然橡胶",
    },
    **{
        "SP": "纸浆",
        "BR": "丁二烯橡胶",
        "SC": "原油",
        "LU": "低硫燃料油",
        "NR": "20号胶",
        "BC": "国际铜",
        "EC": "集运指数(欧线)",
    },
    **{"A": "黄大豆1号", "B": "黄大豆2号", "M": "豆粕", "Y": "豆油", "P": "棕榈油", "C": "玉米", "CS": "玉米淀粉"},
    **{"JD": "鸡蛋", "LH": "生猪", "RR": "粳米", "FB": "纤维板", "BB": "胶合板", "L": "聚乙烯", "V": "聚氯乙烯"},
    **{"PP": "聚丙烯", "EG": "乙二醇", "EB": "苯乙烯", "PG": "液化石油气", "J": "焦炭", "JM": "焦煤", "I": "铁矿石"},
    **{
        "WH": "强麦",
        "WS": "强麦",
        "PM": "普麦",
        "WT": "硬麦",
        "RI": "早籼稻",
        "ER": "早籼稻",
        "JR": "粳稻",
        "LR": "晚籼稻",
    },
    **{"CF": "棉花", "CY": "棉纱", "SR": "白糖", "TA": "精对苯二甲酸", "OI": "菜籽油", "RO": "菜籽油", "RS": "油菜籽"},
    **{
        "RM": "菜籽粕",
        "MA": "甲醇",
        "ME": "甲醇",
        "FG": "玻璃",
        "ZC": "动力煤",
        "TC": "动力煤",
        "SF": "硅铁",
        "SM": "锰硅",
    },
    **{
        "AP": "苹果",
        "CJ": "红枣",
        "UR": "尿素",
        "SA": "纯碱",
        "PF": "短纤",
        "PK": "花生",
        "SH": "烧碱",
        "PX": "对二甲苯",
    },
    **{"SI": "工业硅", "LC": "碳酸锂"},
}


def product_name(product: str) -> str:
    """The Chinese name of a product of futures, empty where it is not known."""
    return PRODUCT_NAMES.get(product, "")
