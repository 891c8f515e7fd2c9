"""The real index futures and rebar: the discount of 2015, and a curve that two factors fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from features.ingest import ingest
from features.sources.files import files
from features.store import Store
from training.tasks import term_structure
from training.term_config import TermConfig
from training.term_data import gather
from training.term_fit import TermProduct

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def found(market: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, TermProduct]:
    store = Store(tmp_path_factory.mktemp("futures"))
    for asset_class in ("Future", "INDX"):
        ingest(files(market, asset_class), store)
    config = TermConfig.model_validate({"name": "real", "data": {"products": ("IF", "IC", "RB", "T")}})
    return term_structure.fit(config, gather(config, store))


@pytest.mark.parametrize(("product", "lowest"), [("IF", -0.163), ("IC", -0.182)])
def test_the_discount_of_2015_is_the_deepest(found, product, lowest):
    one = found[product]
    row = int(np.nanargmin(one.basis))
    assert str(one.series.sessions[row]) == "2015-09-02"
    assert one.basis[row] == pytest.approx(lowest, abs=5e-4)
    shown = {snapshot.session for snapshot in term_structure.curve_of(TermConfig(name="real"), one).snapshots}
    assert "2015-09-02" in shown


def test_two_factors_fit_rebar_and_the_holdout_is_worse(found):
    model = found["RB"].model
    assert model.fitted.factors == 2
    assert model.fitted.converged
    assert [kappa for kappa, _ in model.fitted.starts] == [0.7, 2.5]
    reached = [loglik for _, loglik in model.fitted.starts]
    assert max(reached) - min(reached) < 1e-6
    inside, outside = (model.errors(part)[0] for part in (False, True))
    assert inside == pytest.approx(0.0078, abs=2e-4)
    assert outside == pytest.approx(0.0121, abs=4e-4)


def test_what_is_too_thin_for_two_factors_says_why(found):
    for product in ("IF", "IC", "T"):
        fitted = found[product].model.fitted
        assert fitted.factors == 1
        assert any("where two factors need" in note for note in fitted.notes)
    assert "rows with all of its columns" in found["T"].absent["interest"]
    assert any("open interest is not published" in note for note in found["T"].series.notes)


def test_past_rolls_of_rebar_tell_of_later_ones(found):
    walked = found["RB"].rolls.walked
    assert len(walked.roll) == 18
    assert walked.mean == pytest.approx(0.00578, abs=2e-5)
    assert walked.mean < 2 * walked.se
