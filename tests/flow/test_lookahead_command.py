"""`daybar check lookahead`: what it says of honest factors and of offenders, and that `daybar check` is as it was."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from features.store import Store
from tests.command_line import Daybar
from tests.small_market import small_store

CLOSING = re.compile(r"(\d+) factors checked on (\d+) sessions of (\d+) assets: (.+)")


@pytest.fixture
def store(daybar: Daybar) -> Store:
    """A clean store in the working folder."""
    return small_store(Path("store"))


def config_of(expressions: dict[str, str], names: tuple[str, ...] = ("cs_ret_1d", "cs_f_std_20")) -> Path:
    """A config of these expressions and factors, in the working folder."""
    file = Path("mine.yaml")
    told = {"sets": [], "names": list(names), "expressions": expressions}
    file.write_text(
        f"name: mine\nfeatures: {json.dumps(told)}\nmodel: {{kind: linear}}\n", encoding="utf-8"
    )  # fmt: skip
    return file


def closing(out: str) -> tuple[str, ...]:
    """Factors, sessions, assets and the verdict of the last line."""
    found = CLOSING.fullmatch(out.splitlines()[-1])
    assert found, out
    return found.groups()


@pytest.mark.usefixtures("store")
def test_factors_and_expressions_that_look_back_alone_end_with_0(daybar: Daybar) -> None:
    config = config_of({"mom_20": "adj_close / lag(adj_close, 20) - 1", "dev": "Mean($close, 20)/$close-1"})
    answer = daybar("check", "lookahead", config)
    assert (answer.code, answer.err) == (0, "")
    assert closing(answer.out) == ("4", "150", "12", "none looks ahead")


def test_it_changes_nothing_in_the_store(daybar: Daybar, store: Store) -> None:
    before = store.describe()
    assert daybar("check", "lookahead", config_of({})).code == 0
    assert store.describe().equals(before)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("expressions", "told"),
    [
        ({"peek": "Ref($close, -2) / $close - 1"}, ["peek changes with 2 sessions to come", "shifted(qlib_close, -2)"]),
        ({"step": "Delta($close, -1)"}, ["step changes with 1 session to come", "-1"]),
        (
            {"above": "ts_mean(below, 5)", "below": "Ref($volume, -1)"},
            ["above changes with 1 session to come", "below changes with 1 session to come", "shifted(adj_volume, -1)"],
        ),
    ],
    ids=["Ref", "Delta", "below another"],
)
def test_an_expression_that_looks_ahead_ends_with_3_and_its_operator(daybar: Daybar, expressions, told) -> None:
    answer = daybar("check", "lookahead", config_of({**expressions, "fair": "high / low"}))
    assert (answer.code, answer.err) == (3, "")
    assert [words for words in told if words not in answer.out] == []
    verdict = f"{len(expressions)} found to look ahead or further back than declared"
    checked, *_, said = closing(answer.out)
    assert (said, answer.out.count(" changes with ")) == (verdict, len(expressions))
    assert int(checked) == 3 + len(expressions)


@pytest.mark.usefixtures("store")
def test_what_the_bars_cannot_give_is_said_to_be_absent_with_the_reason(daybar: Daybar) -> None:
    answer = daybar("check", "lookahead", config_of({"a": "volume / num_trades", "b": "ts_mean(a, 5)"}))
    assert answer.code == 0
    absent = [line for line in answer.out.splitlines() if line.startswith("absent: ")]
    assert absent == ["absent: a needs num_trades", "absent: b needs a, which needs num_trades"]
    assert closing(answer.out)[0] == "2"


@pytest.mark.usefixtures("store")
def test_a_config_is_overridden_as_elsewhere(daybar: Daybar) -> None:
    peek = "features.expressions.peek=Ref($close, -1)"
    answer = daybar("check", "lookahead", config_of({}), "--set", peek, "--set", "features.names=[]")
    assert answer.code == 3
    assert closing(answer.out)[0] == "1"


def test_without_a_store_it_says_to_ingest_first(daybar: Daybar) -> None:
    answer = daybar("check", "lookahead", config_of({}))
    assert answer.code == 2
    assert "daybar ingest" in answer.refusal()["help"]


# ---- daybar check itself --------------------------------------------------------------------------------------------


def test_check_without_a_subcommand_still_checks_the_bars(daybar: Daybar) -> None:
    small_store(Path("a") / "b")
    for where in (("--home", "a", "--store", "b"), ("--store", "a/b", "--asset-class", "CS")):
        answer = daybar("check", *where)
        assert answer.code == 0
        assert "CS: 12 assets on 150 sessions" in answer.out
        assert "factors checked" not in answer.out


@pytest.mark.parametrize("option", [("--store", "a"), ("--home", "a"), ("--asset-class", "ETF")], ids=" ".join)
def test_options_before_lookahead_are_refused_and_not_forgotten(daybar: Daybar, option: tuple[str, str]) -> None:
    answer = daybar("check", *option, "lookahead")
    said = answer.refusal()
    assert answer.code == 1
    assert said["must"] == "options must stand behind lookahead"
    assert said["found"] == f"{option[0]} before it"


def test_the_words_of_the_help_name_both(daybar: Daybar) -> None:
    assert "lookahead" in daybar("check", "--help").out
    answer = daybar("check", "lookahead", "--help")
    assert answer.code == 0
    assert "Example: daybar check lookahead" in answer.out
