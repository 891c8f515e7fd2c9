"""What a run leaves beside its scorer: it is read back as it was, and it refuses factors that have changed."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import pytest

from features.panel import DataError
from features.universe import Universe
from training.alpha_config import AlphaConfig, Data, Features, Model
from training.manifest import Manifest

CONFIG = AlphaConfig(
    name="m",
    data=Data(store="market", start=dt.date(2020, 1, 2), universe={"min_listed": 30, "min_turnover": 2e6}),
    features=Features(expressions={"mom": "close / lag(close, 5) - 1"}),
    model=Model(kind="linear"),
)

MANIFEST = Manifest(
    task="alpha",
    asset_class="CS",
    factors={"cs_ret_1d": "aaaa", "cs_vwap": "bbbb", "市场": "cccc"},
    settings=CONFIG.dump(),
    target="excess_return_universe",
    config_hash="0123456789ab",
    data={"bars/CS": 3, "bars/INDX": 0},
    trained=("2020-06-01", "2022-01-10"),
)


def test_it_is_read_back_as_it_was(tmp_path: Path) -> None:
    MANIFEST.save(tmp_path)
    assert Manifest.load(tmp_path) == MANIFEST
    assert list(Manifest.load(tmp_path).factors) == list(MANIFEST.factors)
    assert json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))["factors"]["市场"] == "cccc"


def test_its_config_is_that_of_the_run_dates_and_all(tmp_path: Path) -> None:
    MANIFEST.save(tmp_path)
    back = Manifest.load(tmp_path)
    assert back.config == CONFIG
    assert (back.store, back.horizon, back.expressions) == ("market", 5, {"mom": "close / lag(close, 5) - 1"})


def test_one_of_an_older_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"task": "alpha", "trained": ["", ""]}', encoding="utf-8")
    with pytest.raises(DataError, match="must be of this version of daybar; found an older one"):
        Manifest.load(tmp_path)


def test_a_folder_without_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"its folder must hold manifest\.json; found none, first at .*\n  Train it"):
        Manifest.load(tmp_path)


def test_it_gives_the_universe_that_the_model_was_trained_on() -> None:
    assert MANIFEST.tradable == Universe(min_listed=30, min_turnover=2e6, exclude_st=True)


def test_the_same_factors_are_served_whatever_else_the_code_can_compute() -> None:
    MANIFEST.require_same_factors({**MANIFEST.factors, "cs_new": "dddd"}, "model m")


@pytest.mark.parametrize(
    ("now", "found", "where"),
    [
        ({"cs_vwap": "eeee"}, "1 of 3 that differ", "cs_vwap: bbbb then, eeee now"),
        ({"市场": "x", "cs_vwap": "y"}, "2 of 3 that differ", "cs_vwap: bbbb then, y now"),
        ({"cs_ret_1d": None}, "1 of 3 that differ", "cs_ret_1d: aaaa then, not computable now"),
    ],
)
def test_a_factor_that_changed_or_went_is_refused_with_both_hashes(now, found, where) -> None:
    hashes = {name: digest for name, digest in {**MANIFEST.factors, **now}.items() if digest is not None}
    with pytest.raises(DataError) as caught:
        MANIFEST.require_same_factors(hashes, "model m@champion")
    assert (caught.value.who, caught.value.found, caught.value.where) == ("model m@champion", found, where)
    assert "Train the model again" in caught.value.help


def test_one_digest_stands_for_all_definitions_and_their_order() -> None:
    changed = replace(MANIFEST, factors={**MANIFEST.factors, "cs_vwap": "bbbc"})
    turned = replace(MANIFEST, factors=dict(reversed(MANIFEST.factors.items())))
    digests = {MANIFEST.factor_hash, changed.factor_hash, turned.factor_hash}
    assert len(digests) == 3
    assert replace(MANIFEST, target="other").factor_hash == MANIFEST.factor_hash
