"""What the spread task is told: defaults that agree, and what is refused by its key."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from models.spread.ecm import Ecm
from models.spread.ou import Ou
from tests.spread_market import spread_config
from training.evaluate.spread_rule import TradingRule
from training.spread_config import SpreadConfig


def test_the_defaults_are_an_ar1_lags_by_bic_and_an_error_correction() -> None:
    config = SpreadConfig(name="x")
    specs = [model.spec() for model in config.models.values()]
    assert specs == [Ou(), Ou(order=None), Ecm(beta=1.0)]
    assert (config.base, config.served) == ("ar1", "ar1")
    assert config.trading.rule() == TradingRule()
    assert config.trading.ticks["IF"] == 0.2
    assert config.trading.fees("T") == (0.0, 3.0)
    assert config.trading.fees("RB") == (5e-5, 0.0)


def test_a_config_is_read_back_as_it_was_written() -> None:
    config = spread_config(models={"a": {"kind": "ou"}, "b": {"kind": "ou", "params": {"annualised": True}}}, serve="b")
    again = SpreadConfig.of_dump(config.dump())
    assert again == config
    assert again.hash == config.hash
    assert (again.base, again.served) == ("a", "b")
    assert (again.nests("a"), again.nests("b")) == (True, False)


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"split": {"train": 100, "least": 150}}, "it must not be more than split.train"),
        ({"label": {"horizons": (5, 1)}}, "horizons must rise"),
        ({"label": {"horizon": 3}}, "it must be among label.horizons"),
        ({"pairs": {"near": "far", "far": "far"}}, "near and far must be two roles"),
        ({"pairs": {"by_product": {"T": ("near", "near")}}}, "near and far must be two roles"),
        ({"models": {"ecm": {"kind": "ecm", "params": {"beta": 1.0}}}}, "one must be an AR"),
        ({"models": {"ar1": {"kind": "ou"}, "ecm": {"kind": "ecm"}}}, "one for one: it must be 1"),
        ({"models": {"ar1": {"kind": "ou"}, "b": {"kind": "ou", "params": {"hedge": None}}}}, "it must be 1"),
        ({"models": {"ar1": {"kind": "ou"}, "k": {"kind": "kalman_hedge"}}}, "needs pairs.kind cross"),
        ({"models": {"ar1": {"kind": "garch"}}}, "Input should be 'ou', 'ecm', 'kalman_hedge' or 'regression'"),
        ({"pairs": {"kind": "cross"}, "models": {"ar1": {"kind": "ou"}, "r": {"kind": "regression"}}}, "one for one"),
        ({"pairs": {"cross": (("RB", "RB"),)}}, "two products must stand against each other"),
        ({"pool": {"train": 100, "least": 200}}, "it must not be more than pool.train"),
        ({"screening": {"half_life": (9.0, 2.0)}}, "it must rise from nought"),
        ({"serve": "nobody"}, "it must be one of ar1, ou, ecm"),
        ({"trading": {"exit_z": 2.5}}, "it must be below trading.enter_z"),
        ({"trading": {"ticks": {"RB": 0.0}}}, "greater than 0"),
    ],
)
def test_what_does_not_agree_is_refused(sections: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        spread_config(**sections)
