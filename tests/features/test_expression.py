"""Expressions: what they mean, and how they are refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from features import operators
from features.engine import evaluate
from features.expression import ExpressionError, parse, reference
from features.expression.functions import functions
from features.graph import Node, leaves
from features.operators import cs_rank, delta, flag, lag, ts_corr, ts_mean, ts_std
from features.panel import Float64Array
from features.refusal import ConfigError

NAMES = ("open", "high", "low", "close", "volume", "industry", "is_st")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "expressions.md"
close, volume, open_, high, low = (Node.leaf(name) for name in ("close", "volume", "open", "high", "low"))


def market() -> dict[str, Float64Array]:
    rng = np.random.default_rng(0)
    panels = {name: np.exp(0.1 * rng.standard_normal((40, 6))) for name in NAMES}
    panels["close"][5:8, 0] = np.nan
    panels["industry"] = np.round(panels["industry"])
    panels["is_st"] = (rng.random((40, 6)) < 0.2).astype(float)
    return panels | {"universe": np.ones((40, 6))}


def computed(text: str) -> Float64Array:
    return evaluate({"it": parse(text, NAMES)}, market(), (40, 6))["it"]


def refused(text: str, **given: object) -> ExpressionError:
    with pytest.raises(ExpressionError) as error:
        parse(text, NAMES, **given)
    return error.value


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("ts_mean(close, 20) / close - 1", ts_mean(close, 20) / close - 1.0),
        ("close - open - low", (close - open_) - low),
        ("close - (open - low)", close - (open_ - low)),
        ("-close ** 2", -(close**2.0)),
        ("2 ** 3 ** 2 * close", 512.0 * close),
        ("close ** -1", close**-1.0),
        ("2 * 3 - 1 + close", 5.0 + close),
        ("-2e-1 * close", -0.2 * close),
        ("ts_mean(close, 4 + 1, least=3)", ts_mean(close, 5, 3)),
        ("ts_mean(x=close, n=5)", ts_mean(close, 5)),
        ("lag(close)", lag(close)),
        ("ts_corr(close, volume, 10)", ts_corr(close, volume, 10)),
        ("log(close) + log(2)", np.log(close) + float(np.log(2.0))),
        ("maximum(close, 0)", np.maximum(close, 0.0)),
        ("close > open", flag(close > open_, close, open_)),
        ("close > 5", flag(close > 5.0, close)),
        (
            "cs_rank(-delta(close, 5)) * (volume > ts_mean(volume, 20))",
            cs_rank(-delta(close, 5), Node.leaf("universe"))
            * flag(volume > ts_mean(volume, 20), volume, ts_mean(volume, 20)),
        ),
        ("cs_rank(close, universe=is_st)", cs_rank(close, Node.leaf("is_st"))),
        ("(close\n  - open)\t/ close ", (close - open_) / close),
    ],
    ids=str,
)
def test_text_is_the_graph_that_python_would_make(text: str, node: Node):
    assert parse(text, NAMES) is node


def test_what_two_expressions_share_is_one_node():
    a, b = parse("ts_mean(close, 20) / close"), parse("open - ts_mean(close,20)")
    assert a.arguments[0] is b.arguments[1]


def test_an_expression_knows_its_history():
    assert parse("ts_mean(lag(close, 3), 20)").lookback == 23


def test_a_comparison_is_unknown_where_a_side_is():
    given = market()
    expected = np.where(np.isnan(given["close"]), np.nan, given["close"] > given["open"])
    np.testing.assert_array_equal(computed("close > open"), expected)


def test_logic_joins_comparisons_and_is_unknown_where_a_part_is():
    given = market()
    holds = (given["close"] > given["open"]) & ~(given["volume"] <= 1) | (given["is_st"] > 0)
    expected = np.where(np.isnan(given["close"]), np.nan, holds)
    for text in (
        "close > open and not volume <= 1 or is_st",
        "((close > open) & ~(volume <= 1)) | (is_st > 0)",
        "either(both(close > open, negate(volume <= 1)), is_st)",
    ):
        np.testing.assert_array_equal(computed(text), expected)


def test_a_choice_takes_numbers_and_panels():
    given = market()
    expected = np.where(given["close"] > 1, given["open"], -1.0)
    expected[np.isnan(given["close"])] = np.nan
    np.testing.assert_array_equal(computed("if_else(close > 1, open, -1)"), expected)


def test_numbers_are_computed_while_parsing():
    node = parse("close * (2 + 3 * 4) / sqrt(4)")
    assert node is close * 14.0 / 2.0


def test_every_operator_of_panels_is_in_the_language():
    missing = set(operators.__all__) - set(functions())
    # Of arrays and states, or of several panels out: other operators give each of them by itself.
    for name in missing:
        operator = getattr(operators, name)
        assert name in {"adjustment", "ewma", "rolling_ols", "RollingFit"} or operator.outputs, name


def test_every_function_can_be_called_by_its_parameters():
    for function in functions().values():
        given = {"panel": "close", "several": "close", "whole": "70", "number": "0.5"}
        needed = [given[p.kind] for p in function.parameters if (p.needed or p.kind == "several") and p.by_position]
        assert isinstance(parse(f"{function.name}({', '.join(needed)})"), Node)


@pytest.mark.parametrize(
    ("text", "column", "found", "help"),
    [
        ("ts_meen(close, 20)", 1, "ts_meen", "Did you mean ts_mean"),
        ("open + clsoe", 8, "clsoe", "Did you mean close"),
        ("ts_mean(close, 20", 8, "the end of the text", ""),
        ("(close + open", 1, "the end of the text", ""),
        ("close)", 6, "')'", ""),
        ("close open", 7, "'open'", ""),
        ("close +", 8, "the end of the text", ""),
        ("ts_mean(close, volume)", 16, "a panel", "It is ts_mean(x, n, least=None): Mean over the window."),
        ("ts_mean(close, 2.5)", 16, "2.5", "It is ts_mean"),
        ("ts_mean(close, 0)", 16, "0", ""),
        ("ts_mean(close, 5001)", 16, "5001", ""),
        ("ts_mean(5, 20)", 9, "the number 5", "It is ts_mean"),
        ("ts_mean('close', 20)", 9, "the text 'close'", "It is ts_mean"),
        ("ts_mean(close, 20, 3, 4)", 23, "4", "It is ts_mean"),
        ("ts_mean(close)", 1, "nothing", "It is ts_mean"),
        ("ts_mean(close, 20, lest=3)", 25, "lest", "Did you mean least?"),
        ("ts_mean(close, 20, n=3)", 22, "n twice", "It is ts_mean"),
        ("ts_mean(x=close, 20)", 18, "one without a name", ""),
        ("ts_mean(close, 3, least=7)", 25, "7", ""),
        ("ts_percentile(close, 20)", 1, "give `least`", "It is ts_percentile"),
        ("ts_quantile(close, 20, 1.5)", 1, "a quantile must lie between 0 and 1", "It is ts_quantile"),
        ("lag(close, -1)", 12, "-1", "A negative one would look ahead."),
        ("delta(close, -1)", 14, "-1", "A negative one would look ahead."),
        ("1 < close < 2", 11, "a second one, <", "Write (a < b) and (b < c)"),
        ("close > 1 & volume > 2", 11, "the number 1", "put comparisons in brackets, or write `and`"),
        ("close & volume", 7, "a panel", "put comparisons in brackets, or write `and`"),
        ("close ^ 2", 7, "'^'", "A power is written **."),
        ("close = 2", 7, "'='", "Equality is written ==."),
        ("close if open else low", 7, "'if'", "A choice is written if_else"),
        ("1 / 0 * close", 3, "none, of 1 and 0", ""),
        ("close + log(-1)", 9, "none, of -1", ""),
        ("(-1) ** 0.5 * close", 6, "none, of -1 and 0.5", ""),
        ("9e29 * 9e29 * close", 6, "none, of 9e+29 and 9e+29", ""),
        ("1 + 2", 1, "the number 3", ""),
        ("1 > 2", 3, "the number 1 and the number 2", ""),
        ("close, open", 6, "','", ""),
        ("close.shift(1)", 6, "'.'", ""),
        ("[close]", 1, "'['", ""),
        ("close(1)", 1, "close", ""),
        ("cs_rank", 1, "cs_rank", "It is a function: cs_rank(x)"),
        ("1_000 * close", 1, "'1_'", ""),
        ("1e400 * close", 1, "1e400", ""),
        ("open\n+ clsoe", 3, "clsoe", "Did you mean close?"),
    ],
)
def test_a_wrong_expression_is_refused_where_it_is_wrong(text: str, column: int, found: str, help: str):
    error = refused(text)
    assert error.where.endswith(f"column {column}")
    assert found in error.found
    assert help in error.help


def test_a_refusal_shows_the_text_with_a_caret_under_the_column():
    error = refused("close + ts_meen(close, 20)", who="expression mom_20")
    assert str(error) == (
        "expression mom_20: a function must be known; found ts_meen, first at column 9.\n"
        f"  {error.help}\n"
        "    close + ts_meen(close, 20)\n"
        "            ^"
    )


def test_the_line_that_is_wrong_is_shown_alone_and_long_ones_in_part():
    assert str(refused("open\n  + clsoe\n  + low")).endswith(
        "line 2, column 5.\n  Did you mean close?\n      + clsoe\n        ^"
    )
    shown = str(refused(" + ".join(["close"] * 50) + " + clsoe")).splitlines()[-2:]
    assert shown[0].startswith("    ...")
    assert shown[0][len(shown[1]) - 1 :] == "clsoe"


@pytest.mark.parametrize(
    "text",
    ["сlose", "close，1", "close\x00", "\u202eclose", "close\u200b", "close + ٣", "ｃlose + 1", "5 − close", "收盘价"],
)
def test_characters_that_only_look_right_are_named(text: str):
    message = str(refused(text))
    strange = next(c for c in text if not c.isascii() or not c.isprintable())
    assert f"U+{ord(strange):04X}" in message or repr(strange) in message
    assert "\x00" not in message
    assert "\u202e" not in message


def test_a_name_may_be_chinese_where_there_is_such_a_field():
    assert parse("收盘价 + 1", ["收盘价"]) is Node.leaf("收盘价") + 1.0


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000,
        "(" * 5_000 + "close" + ")" * 5_000,
        "(" * 200 + "close" + ")" * 200,
        "-" * 9_000 + "close",
        "not " * 2_000 + "close",
        "**".join(["close"] * 1_400),
        "**".join(["9"] * 4_000),
        "+".join(["close"] * 1_600),
        "9" * 1_000_000,
        "9" * 9_000,
        "a" * 9_000,
        "x" * 10_000_000,
        "ts_mean(" + ",".join(["close"] * 1_500) + ")",
        "delta(" * 45 + "close" + ")" * 45,
        "ts_mean(close, " + "9" * 30 + ")",
        "'" * 9_999,
        "$" * 9_999,
        "Mean(" * 1_900 + "$close",
    ],
    ids=lambda text: f"{text[:12]}_{len(text)}",
)
def test_hostile_text_is_refused_by_a_limit(text: str):
    with pytest.raises(ConfigError) as error:
        parse(text)
    assert len(str(error.value)) < 1_500


def test_an_expression_at_the_limits_can_be_walked_and_written_out():
    node = parse("+".join(["ts_mean(close, 5)"] * 150))
    assert len(str(node)) > 1_000


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_nothing_is_no_expression(text: str):
    with pytest.raises(ConfigError, match="must not be empty"):
        parse(text)


@pytest.mark.parametrize("text", [5, None, ["close"]])
def test_what_yaml_reads_as_no_text_is_refused(text: object):
    with pytest.raises(ConfigError, match="Put it in quotes"):
        parse(text)


# qlib's syntax


def test_a_field_is_what_the_caller_says_it_is():
    fields = {"close": "adj_close", "volume": "adj_volume"}
    assert leaves([parse("$close / $open + $volume", fields=fields)]) == ("adj_close", "adj_volume", "open")


@pytest.mark.parametrize(
    "text",
    [
        "Mean($close, 20)/$close-1",
        "If($close>Ref($close,1), $volume, 0)",
        "Corr($close/Ref($close,1), Log($volume/Ref($volume, 1)+1), 30)",
        "(2*$close-$high-$low)/($high-$low+1e-12)",
        "Greater($open, $close)-$low",
        "($close>$open) & ($volume>Mean($volume, 5)) | ~($low<$open)",
        "Sum(If(And(Gt($close, $open), Not(Lt($low, 1))), 1, 0), 5)",
        "-1*$close**2",
    ],
)
def test_what_qlibs_users_write_is_understood(text: str):
    assert isinstance(parse(text, NAMES), Node)


def test_an_operator_alone_makes_an_expression_qlibs():
    assert refused("Mean(close, 20)").help == "Write $close."


def test_a_reference_ahead_is_known_to_look_ahead():
    assert parse("Ref($close, -2)/Ref($close, -1)-1").ahead == 2
    assert parse("Ref($close, 2)").ahead == 0


@pytest.mark.parametrize(
    ("text", "column", "found", "help"),
    [
        ("ts_mean($close, 20)", 1, "$close, which is qlib's, and ts_mean, which is daybar's", ""),
        ("$close + open", 10, "$close, which is qlib's, and open, which is daybar's", "Write $open."),
        ("Meam($close, 20)", 1, "Meam", "Did you mean Mean"),
        ("mean($close, 20)", 1, "mean", "Did you mean Mean?"),
        ("Mean($clsoe, 20)", 6, "$clsoe", "Did you mean $close?"),
        ("Mean($Close, 20)", 6, "$Close", "Did you mean $close?"),
        ("Mean($close)", 1, "1", "It is Mean(x, n)"),
        ("Mean($close, 5, 6)", 1, "3", "It is Mean(x, n)"),
        ("Mean($close, $open)", 14, "a panel", "It is Mean(x, n)"),
        ("Mean($close, n=5)", 16, "n=", ""),
        ("Mean($close, -5)", 14, "-5", ""),
        ("Sum($close, 0.5)", 13, "0.5", ""),
        ("Mean(5, 5)", 6, "the number 5", ""),
        ("Skew($close, 2)", 14, "at least 3 sessions; found 2", ""),
        ("Quantile($close, 5, 1.5)", 21, "found 1.5", ""),
        ("Add(1, 2) * $close", 1, "numbers alone", ""),
        ("$close>1 & $open>2", 8, "the number 1", "brackets"),
        ("$close>1 and $open>2", 10, "and", ""),
        ("($close>1)-($open>2)", 11, "two", "Write If(condition, 1, 0)."),
        ("1 < $close < 2", 12, "a second one, <", ""),
        ("Mask($close, 'sh600000')", 1, "Mask", "a field of its own"),
        ("ChangeInstrument('SH000300', $close)", 1, "ChangeInstrument", "a field of its own"),
        ("$$roewa_q", 1, "$$roewa_q", ""),
        ("$close@5min", 7, "another frequency", ""),
        ("$", 1, "$", ""),
    ],
)
def test_a_wrong_expression_of_qlibs_is_refused_where_it_is_wrong(text: str, column: int, found: str, help: str):
    error = refused(text)
    assert error.where == f"column {column}"
    assert found in error.found
    assert help in error.help


# The page that describes both


def test_the_page_holds_the_table_of_all_functions():
    page = PAGE.read_text(encoding="utf-8")
    assert reference() in page, "docs/expressions.md: its tables are what features.expression.reference() gives"


def test_the_pages_examples_are_expressions():
    blocks = re.findall(r"```text\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    examples = [line.split("  #")[0] for block in blocks for line in block.splitlines() if line]
    assert len(examples) > 10
    for text in examples:
        assert isinstance(parse(text), Node)


def test_an_expression_gives_what_its_functions_give():
    given = market()
    expected = (lag(given["close"], 1) - given["open"]) / ts_std(given["open"], 5)
    np.testing.assert_allclose(computed("(lag(close) - open) / ts_std(open, 5)"), expected)
