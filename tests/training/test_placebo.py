"""Labels that mean nothing: made of the real ones, known in time, and found empty by the walk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from features.panel import DataError
from features.store import Store
from serving.demo import demo_config
from training.evaluate.ic import IcSummary
from training.placebo import Placebo, placebo, shifted, shuffled
from training.tasks import alpha


@pytest.fixture(scope="module")
def data(demo_home: Path) -> alpha.AlphaData:
    config = demo_config("alpha_linear", "tiny")
    return alpha.prepare(config, Store(demo_home / "store"), lambda line: None, lambda done, total: None)


def test_shuffled_labels_are_outcomes_of_other_sessions_and_names(data: alpha.AlphaData) -> None:
    found, real = shuffled(data.labels, data.universe, 3), data.labels.value
    assert not (np.isfinite(found.value) & ~data.universe).any()
    drawn = {round(v, 12) for v in found.total[np.isfinite(found.total)]}
    assert len(drawn) > 10_000
    assert drawn <= {round(v, 12) for v in real[np.isfinite(real)]}
    both = np.isfinite(found.value) & np.isfinite(real)
    assert abs(np.corrcoef(found.value[both], real[both])[0, 1]) < 0.02
    again = shuffled(data.labels, data.universe, 3).value
    assert np.array_equal(found.value, again, equal_nan=True)
    assert not np.array_equal(found.value, shuffled(data.labels, data.universe, 4).value, equal_nan=True)


def test_shuffled_dates_leave_each_asset_its_own_outcomes(data: alpha.AlphaData) -> None:
    found = shuffled(data.labels, data.universe, 0, assets=False)
    n = int(np.isfinite(found.total).sum(axis=0).argmax())
    own = data.labels.value[:, n]
    drawn = found.total[np.isfinite(found.total[:, n]), n]
    assert len(drawn) > 100
    assert np.isin(drawn, own[np.isfinite(own)]).all()


def test_a_shifted_label_is_that_of_a_later_decision(data: alpha.AlphaData) -> None:
    found = shifted(data.labels, data.universe, 30)
    t, n = np.argwhere(np.isfinite(found.total))[5_000]
    assert found.total[t, n] == data.labels.value[t + 30, n]
    assert not np.isfinite(found.total[-30:]).any()


def test_false_labels_are_known_as_late_as_real_ones(data: alpha.AlphaData) -> None:
    for found in (shuffled(data.labels, data.universe, 0), shifted(data.labels, data.universe, 30)):
        rows = np.broadcast_to(np.arange(len(found.exit))[:, None], found.exit.shape)
        has = found.exit >= 0
        assert (found.exit[has] == rows[has] + data.labels.gap).all()
        assert found.exit.max() < len(found.exit)


def test_nothing_is_found_in_them_and_the_holdout_stays_sealed(demo_home: Path, data: alpha.AlphaData) -> None:
    config, said = demo_config("alpha_linear", "tiny"), []
    found = placebo(config, Store(demo_home / "store"), shift=30, say=said.append)
    assert set(found.false) == {"dates", "shuffled", "shifted"}
    assert not {kind: one for kind, one in found.found.items() if kind == "shuffled"}
    tested = sum(len(fold.test) for fold in data.split.folds)
    assert found.real.n == tested
    assert [line.split()[0] for line in said[-4:]] == ["real", "dates", "shuffled", "shifted"]


def test_three_standard_errors_are_a_finding() -> None:
    none = IcSummary(0.01, 0.1, 1.0, 2.9, 2.1, 0.5, 100)
    some = dataclasses.replace(none, nw_t=-3.0)
    assert set(Placebo(none, {"a": none, "b": some}).found) == {"b"}


@pytest.mark.parametrize("shift", [5, 10_000])
def test_a_shift_within_the_label_or_beyond_the_data_is_refused(demo_home: Path, shift: int) -> None:
    with pytest.raises(DataError, match="the shift must lie between"):
        placebo(demo_config("alpha_linear", "tiny"), Store(demo_home / "store"), shift=shift)
