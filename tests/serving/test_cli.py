"""The command line: help that costs nothing, verbs that do one thing, exit codes that scripts can trust."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import features.materialise
import serving.bring
import serving.demo
from features.catalogue import catalogue
from features.store import Store
from models.base import FitError
from serving import cli
from tests.command_line import Daybar
from tests.small_market import small_store

ROOT = Path(__file__).resolve().parents[2]
VERBS = {"demo", "ingest", "check", "build", "factors", "train", "tune", "predict", "promote", "watch", "ui"}
HEAVY = {"numpy", "pandas", "polars", "numba", "scipy", "mlflow", "xgboost", "lightgbm", "sklearn", "matplotlib"}
# Help of every verb in one process, and what that has imported.
HELP = """
import sys
from serving.cli import main
for arguments in ([], ["--help"], *([verb, "--help"] for verb in sys.argv[1].split())):
    sys.argv = ["daybar", *arguments]
    try:
        main()
    except SystemExit as ended:
        print("code", ended.code)
print("loaded", *{name.split(".")[0] for name in sys.modules})
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        timeout=120,
        check=False,
    )


# ---- help -----------------------------------------------------------------------------------------------------------


def test_help_of_every_verb_is_there_and_imports_nothing_heavy() -> None:
    ran = python(HELP, " ".join(sorted(VERBS)))
    assert (ran.returncode, ran.stderr) == (0, "")
    *said, loaded = ran.stdout.rstrip().split("\n")
    assert [line for line in said if line.startswith("code")] == ["code 0"] * (2 + len(VERBS))
    assert HEAVY & set(loaded.split()) == set()


def test_help_lists_every_verb_and_is_what_a_bare_call_shows(daybar: Daybar) -> None:
    code, out, err = daybar("--help")
    assert (code, err) == (0, "")
    assert set(re.findall(r"^  ([a-z]+) {2,}\S", out, re.MULTILINE)) == VERBS
    assert daybar() == (0, out, "")


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_an_example_that_it_understands(daybar: Daybar, verb: str) -> None:
    code, out, _ = daybar(verb, "--help")
    assert code == 0
    (example,) = re.findall(r"Example: daybar (.+)", out)
    asked, *arguments = example.split()
    assert asked == verb
    options = [word for word in arguments if word.startswith("--")]
    assert all(re.search(rf"^ +{option}\b", out, re.MULTILINE) for option in options)
    assert [part for part in arguments if part.endswith(".yaml") and not (ROOT / part).is_file()] == []


# ---- exit codes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("frobnicate",), "No such command 'frobnicate'"),
        (("build", "--memry", "4GB"), "No such option: --memry"),
        (("train",), "config"),
        (("ingest",), "source"),
        (("ingest", "vendor"), "'vendor' is not one of 'files', 'simulator'"),
        (("ingest", "files"), "ingest files: --path must name a folder or a file; found nothing"),
        (("ingest", "simulator", "--size", "giant"), "'giant' is not one of 'tiny', 'demo', 'full'"),
        (("ingest", "simulator", "--world", "flat"), "'flat' is not one of 'planted', 'null'"),
        (("ingest", "simulator", "--seed", "-1"), "--seed"),
        (("check", "--asset-class", "cs"), "'cs' is not one of 'CS', 'ETF', 'INDX', 'Future', 'Option'"),
        (("factors", "cs_ret_2d"), "Did you mean cs_ret_1d"),
        (("factors", "--set", "stock"), "factor set stock: it must be one of CS's"),
        (("factors", "alpha158_cor20"), "Did you mean alpha158_cor"),
        (("check", "lookahed"), "No such command 'lookahed'"),
        (("factors", "--asset-class", "INDX"), "factors of INDX: the class must have factors; found none"),
        (("build", "--asset-class", "ETF"), "factors of ETF: the class must have factors; found none"),
        (("train", "nope.yaml"), "nope.yaml: it must be a readable UTF-8 file"),
        (("train", "x.yaml", "--replay", "0123"), "--replay takes its settings from the run; found a config"),
        (("train", "--replay", "0123", "--memory", "4GB"), "--replay takes its settings from the run; found --memory"),
        (("train", "--replay", "0123"), "run 0123: the run must be there"),
        (("tune", "nope.yaml"), "nope.yaml: it must be a readable UTF-8 file"),
        (("tune", "nope.yaml", "--jobs", "0"), "--jobs"),
        (("factors", "--tear-sheet", "x.html"), "--tear-sheet must be given a factor; found none"),
        (("predict", "m@champion"), "nothing is registered yet: daybar train registers"),
        (("predict", "m@champion", "--from", "2024-01-02"), "a range must have --from and --to; found --from alone"),
        (("predict", "m", "--asof", "2024-01-02", "--to", "2024-01-03"), "found --asof and --from/--to"),
        (("predict", "m", "--diff", "2024-01-02"), "--diff"),
        (("promote", "m"), "it must be given either a version or --challenger; found neither"),
        (("promote", "m", "2", "--challenger"), "it must be given either a version or --challenger; found both"),
        (("promote", "m", "2"), "nothing is registered yet: daybar train registers"),
        (("promote", "m", "two"), "Invalid value for 'version'"),
        (("watch", "m@champion"), "nothing is registered yet: daybar train registers"),
        (("watch", "m@champion", "--window", "5"), "--window"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_what_a_user_got_wrong_ends_with_1_and_one_message(daybar: Daybar, arguments, says: str) -> None:
    code, out, err = daybar(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert says in err


@pytest.mark.parametrize("text", ["4", "4 gigabytes", "-4GB", "0GB", "1.2.3GB", "²GB", "GB", "infGB"])
def test_a_memory_that_is_no_number_of_bytes_is_refused(daybar: Daybar, text: str) -> None:
    small_store(Path("store"))
    code, _, err = daybar("build", f"--memory={text}")
    must = "it must be a number and one of KB, MB, GB, TB"
    assert (code, err) == (1, f"error: memory: {must}; found {text!r}.\n  Say 4GB.\n")
    assert not Store("store").exists("factors/CS")


def test_an_estimate_that_failed_ends_with_2(daybar: Daybar, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise FitError("model", "it must converge", "no convergence", help="More rows.")

    monkeypatch.setattr(serving.demo, "run_demo", failing)
    assert daybar("demo") == (2, "", "error: model: it must converge; found no convergence.\n  More rows.\n")


def test_an_error_that_nobody_foresaw_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(serving.demo, "run_demo", failing)
    monkeypatch.setattr(sys, "argv", ["daybar", "demo"])
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main()


def test_ctrl_c_ends_with_130_and_a_word(daybar: Daybar, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(serving.bring, "simulate", interrupted)
    assert daybar("ingest", "simulator") == (130, "", "interrupted\n")


# ---- verbs ----------------------------------------------------------------------------------------------------------


def test_a_second_build_does_nothing(daybar: Daybar) -> None:
    store = small_store(Path("store"))
    code, out, _ = daybar("build", "--memory", "1KB")
    assert code == 0
    wanted = [name for name, factor in catalogue("CS").items() if factor.stored]
    built = int(re.search(r"built (\d+) factors on 150 sessions, [\d,]+ rows \(bars version 0\)", out)[1])
    absent = re.findall(r"^absent: (\w+) needs ", out, re.MULTILINE)
    assert built + len(absent) == len(wanted)
    assert "cs_inst_participation" in absent
    assert "building" in out
    version = store.version("factors/CS")
    assert version > 1, "a small memory makes several chunks"
    code, out, _ = daybar("build")
    assert code == 0
    assert "built 0 factors on 0 sessions, 0 rows" in out
    assert store.version("factors/CS") == version
    assert daybar("build", "--anew")[0] == 0
    assert store.version("factors/CS") > version


def test_a_build_of_a_config_builds_its_factors_in_its_store(daybar: Daybar) -> None:
    store = small_store(Path("elsewhere"))
    config = ROOT / "configs" / "alpha_linear.yaml"
    overrides = ("data.store=elsewhere", "features.sets=[]", "features.names=[cs_ret_1d, cs_f_roc_5]")
    code, out, _ = daybar("build", config, *(word for one in overrides for word in ("--set", one)))
    assert code == 0
    assert "built 2 factors on 150 sessions" in out
    columns = store.scan("factors/CS").collect_schema().names()
    assert {"cs_ret_1d", "cs_f_roc_5"} <= set(columns)
    assert "cs_f_roc_10" not in columns


def test_a_config_of_alpha158_and_expressions_is_built_and_proved(daybar: Daybar) -> None:
    store = small_store(Path("store"))
    config = ROOT / "configs" / "alpha158_xgb.yaml"
    code, out, _ = daybar("build", config)
    assert code == 0
    assert "built 160 factors on 150 sessions" in out
    columns = set(store.scan("factors/CS").collect_schema().names())
    assert {"alpha158_kmid", "alpha158_corr20", "amihud_20", "range_20"} <= columns
    code, out, _ = daybar("check", "lookahead", config)
    assert code == 0
    assert out.endswith("160 factors checked on 150 sessions of 12 assets: none looks ahead\n")


def test_factors_lists_a_set_and_shows_the_card_of_an_expression(daybar: Daybar) -> None:
    small_store(Path("store"))
    code, out, _ = daybar("factors", "--set", "alpha158")
    assert (code, len(out.splitlines())) == (0, 160)
    code, out, _ = daybar("factors", "alpha158_corr20")
    assert code == 0
    assert "The expression Corr($close, Log($volume+1), 20)." in out


def test_a_build_tells_how_far_it_is(daybar: Daybar, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    whole = features.materialise.materialise

    def watched(*arguments, progress, **settings):
        return whole(*arguments, progress=lambda done, total: seen.append((done, total)), **settings)

    small_store(Path("store"))
    monkeypatch.setattr(features.materialise, "materialise", watched)
    assert daybar("build", "--memory", "1KB")[0] == 0
    assert seen[0] == (0, 150)
    assert seen[-1] == (150, 150)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_check_shows_coverage_and_warns(daybar: Daybar) -> None:
    small_store(Path("store"))
    code, out, _ = daybar("check")
    assert code == 0
    assert "CS: 12 assets on 150 sessions" in out
    assert ["num_trades", "0.0%"] in [line.split() for line in out.splitlines()]
    assert "warning: num_trades is never given" in out


def test_home_and_store_say_where_things_lie(daybar: Daybar) -> None:
    small_store(Path("a") / "b")
    assert daybar("check", "--home", "a", "--store", "b")[0] == 0
    assert daybar("check", "--home", "a")[0] == 2
    assert daybar("check", "--store", Path("a/b").resolve())[0] == 0


def test_predict_writes_a_table_and_the_files(daybar: Daybar, own_home: Path) -> None:
    asked = ("predict", "alpha_linear_5d@champion", "--asof", "2021-09-17", "--csv", "--home", own_home)
    code, out, _ = daybar(*asked)
    assert code == 0
    assert "as of 2021-09-17, tradable from 2021-09-22" in out
    file = own_home / "predictions" / "alpha_linear_5d" / "2021-09-17.parquet"
    assert f"file: {file}" in out
    frame = pl.read_parquet(file)
    assert pl.read_csv(file.with_suffix(".csv"), schema=frame.schema).equals(frame)
    scored = frame.filter(pl.col("score").is_not_null())
    assert f"best and worst of {len(scored)}" in out
    assert f"{len(frame)} new, 0 restated, 0 unchanged rows in the store" in out
    assert scored.sort("score")["asset"][-1] in out
    store = Store(own_home / "store")
    rows = store.scan("pred_alpha").filter(pl.col("run_id") == frame["run_id"][0]).collect()
    assert rows.sort("asset").select(frame.columns).equals(frame.sort("asset"))
    version = store.version("pred_alpha")
    code, out, _ = daybar(*asked)
    assert f"0 new, 0 restated, {len(frame)} unchanged" in out
    assert store.version("pred_alpha") == version


def test_predict_of_a_range_writes_a_file_a_session_and_again_nothing(daybar: Daybar, own_home: Path) -> None:
    asked = ("predict", "alpha_linear_5d@champion", "--from", "2021-09-17", "--to", "2021-09-26", "--home", own_home)
    code, out, err = daybar(*asked)
    assert (code, err) == (0, "")
    files = sorted(path.stem for path in (own_home / "predictions" / "alpha_linear_5d").glob("*.parquet"))
    assert files == ["2021-09-17", "2021-09-22", "2021-09-23", "2021-09-24"]
    assert "alpha_linear_5d 1: 4 sessions" in out
    assert f"files: {own_home / 'predictions' / 'alpha_linear_5d'}, 2021-09-17 to 2021-09-24" in out
    code, out, _ = daybar(*asked)
    assert re.search(r"^0 new, 0 restated, \d+ unchanged rows", out, re.MULTILINE)


def test_two_sessions_are_compared_and_written(daybar: Daybar, own_home: Path) -> None:
    model = "alpha_linear_5d@champion"
    daybar("predict", model, "--asof", "2021-09-17", "--home", own_home)
    code, out, _ = daybar(
        "predict", model, "--diff", "2021-09-17", "2021-09-24", "--k", "5", "--csv", "--home", own_home
    )
    assert code == 0
    assert "2021-09-17 (stored) and 2021-09-24 (scored now)" in out
    assert re.search(r"rank correlation of scores -?0\.\d{4} over \d+ assets", out)
    rows = pl.read_csv(own_home / "predictions" / "alpha_linear_5d" / "diff_2021-09-17_2021-09-24.csv")
    now = rows.drop_nulls("rank_now").sort("rank_now")
    assert now["rank_now"].to_list() == list(range(1, len(now) + 1))
    assert daybar("predict", model, "--diff", "2021-09-17", "2021-09-17", "--home", own_home).code == 1


def test_a_tear_sheet_is_a_page(daybar: Daybar, own_home: Path) -> None:
    code, out, err = daybar("factors", "cs_f_roc_20", "--tear-sheet", "roc.html", "--home", own_home)
    assert (code, out, err) == (0, "tear sheet: roc.html\n", "")
    page = Path("roc.html").read_text(encoding="utf-8")
    assert "cs_f_roc_20" in page
    assert page.rstrip().endswith("</html>")
    code, _, err = daybar("factors", "cs_f_roc_21", "--tear-sheet", "roc.html", "--home", own_home)
    assert code == 1
    assert "Did you mean cs_f_roc_2" in err
