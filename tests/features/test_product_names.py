"""Every product whose contracts the calendar knows has a name, and no two newer ones share it."""

from __future__ import annotations

import pytest

from features.expiries import RULE_OF
from features.product_names import PRODUCT_NAMES, product_name

OPTIONS = {"IO", "HO", "MO"}
FORMER = {"WS", "ER", "RO", "ME", "TC"}


def test_every_product_of_the_calendar_has_a_name():
    assert {product for product in RULE_OF if not product_name(product)} == OPTIONS


def test_only_a_former_code_shares_its_name_with_another():
    current = [name for product, name in PRODUCT_NAMES.items() if product not in FORMER]
    assert len(set(current)) == len(current)
    assert {PRODUCT_NAMES[product] for product in FORMER} <= set(current)


@pytest.mark.parametrize(("product", "name"), [("IF", "沪深300股指期货"), ("RB", "螺纹钢"), ("XX", "")])
def test_a_name_is_found_or_empty(product, name):
    assert product_name(product) == name
