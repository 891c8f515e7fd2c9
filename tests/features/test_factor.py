"""What a factor is made of, and the hash of it."""

from __future__ import annotations

import importlib
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import features
from features.catalogue import Catalogue, catalogue
from features.definition import code_of
from features.factor import Factor, Family, factor, family
from features.plan import plan

MODULE = '''
from features.factor import factor, family
from features.operators import lag{imports}

SCALE = {scale}


def helper(x):
    {helper_comment}
    return x * {helper_number}


@factor("CS", zh="甲", unit="-", lookback={lookback})
def one(close):
    """{docstring}"""
    # {comment}
    return helper(lag(close, 1)) * SCALE


@factor("CS", zh="乙", unit="-")
def two(one):
    """Behind one."""
    return one + 1


@family("many", (2, 3), asset_class="CS", zh="丙", unit="-", lookback=lambda n: n)
def many(n):
    """Many."""

    def of_n(close):
        return lag(close, n)

    return of_n
'''
PLAIN = {
    "imports": "",
    "scale": 2.0,
    "helper_comment": "# helps",
    "helper_number": 3,
    "lookback": 2,
    "docstring": "What it is.",
    "comment": "why",
}
NUMBER = itertools.count()


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write a module of factors as if it stood in features.factors, and give its factors by name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**changes) -> dict[str, Factor]:
        name = f"features_of_test_{next(NUMBER)}"
        (tmp_path / f"{name}.py").write_text(MODULE.format(**PLAIN | changes), encoding="utf-8")
        importlib.invalidate_caches()
        module = importlib.import_module(name)
        module.helper.__module__ = f"features.{name}"
        return {
            f.name: f
            for v in vars(module).values()
            for f in (v if isinstance(v, Family) else [v])
            if isinstance(f, Factor)
        }

    return write


def of(*found: Factor) -> Catalogue:
    """A catalogue of these factors."""
    return Catalogue("CS", {f.name: f for f in found}, {})


class TestHash:
    def hashes(self, written, **changes) -> dict[str, str]:
        return {n: f.own_hash for n, f in written(**changes).items()}

    @pytest.mark.parametrize(
        "change",
        [{"docstring": "Another word."}, {"comment": "another reason"}, {"helper_comment": '"""What it does."""'}],
        ids=lambda c: next(iter(c)),
    )
    def test_words_do_not_change_it(self, written, change):
        assert self.hashes(written, **change) == self.hashes(written)

    @pytest.mark.parametrize(
        "change", [{"scale": 2.5}, {"helper_number": 4}, {"lookback": 3}], ids=lambda c: next(iter(c))
    )
    def test_numbers_helpers_and_lookback_change_it(self, written, change):
        plain, other = self.hashes(written), self.hashes(written, **change)
        assert plain["one"] != other["one"]
        assert plain["two"] == other["two"]

    def test_the_members_of_a_family_differ(self, written):
        hashes = self.hashes(written)
        assert hashes["many_2"] != hashes["many_3"]

    def test_a_plans_hash_changes_with_what_stands_behind(self, written):
        def planned(**changes) -> str:
            found = written(**changes)
            known = of(found["one"], found["two"])
            return plan(known, ["two"], ["close"]).hashes["two"]

        assert planned() == planned()
        assert planned() != planned(helper_number=4)

    def test_an_operators_kernel_is_part_of_it(self, monkeypatch):
        before = code_of(catalogue("CS")["cs_turnover20"].function)
        assert "least" in before
        assert "_rebuild" in before
        monkeypatch.setattr("features.operators.sum_kernels.CANCELLED", 1e-2)
        assert code_of(catalogue("CS")["cs_turnover20"].function) != before

    def test_it_is_the_same_in_another_process(self):
        code = (
            "from features.catalogue import catalogue\n"
            "print('\\n'.join(f'{n} {f.own_hash}' for n, f in catalogue('CS').items()))"
        )
        root = Path(features.__file__).resolve().parents[1]
        out = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=root,
            env={"PYTHONHASHSEED": "5"},
        )
        assert dict(line.split() for line in out.stdout.splitlines()) == {
            n: f.own_hash for n, f in catalogue("CS").items()
        }


class TestDecorators:
    def test_a_function_becomes_a_factor_of_its_name_and_parameters(self):
        @factor("CS", zh="差", unit="-", lookback=4)
        def gap(close, open, volume=None):
            """A gap."""
            return close - open

        assert (gap.name, gap.inputs, gap.optional, gap.recursive) == ("gap", ("close", "open"), ("volume",), False)
        assert gap.summary == "A gap."
        assert gap(np.array([[3.0]]), np.array([[1.0]])).item() == 2

    def test_a_family_shares_its_card_and_has_a_lookback_of_its_own(self):
        @family("f", (5, 7), asset_class="CS", zh="和", unit="-", lookback=lambda n: n + 1)
        def f(n):
            """A sum."""
            return lambda close: close * n

        assert [(m.name, m.lookback, m.family, m.zh, m.summary) for m in f] == [
            ("f_5", 6, "f", "5日和", "A sum."),
            ("f_7", 8, "f", "7日和", "A sum."),
        ]
