from __future__ import annotations

from training.evaluate.waterfall import notes, waterfall


def test_the_steps_lead_from_the_whole_to_what_is_kept():
    steps = waterfall({"universe": 100, "no_entry": 7, "no_exit": 3, "delayed_exit": 5, "kept": 90})
    assert [step.reason for step in steps] == ["universe", "no_entry", "no_exit", "kept"]
    assert [step.left for step in steps] == [100, 93, 90, 90]
    assert [step.is_total for step in steps] == [True, False, False, True]


def test_rows_that_no_reason_explains_are_a_step_of_their_own():
    steps = waterfall({"universe": 100, "no_entry": 7, "kept": 90})
    assert steps[2][:3] == ("unexplained", 3, 90)


def test_counts_of_kept_rows_are_told_apart():
    assert notes({"universe": 9, "delisted": 2, "kept": 9}) == {"delisted": 2}
