"""What a study searches, as the search sees it: data that are prepared, trials that are walked part by part, a verdict.

The search (training/tune.py) knows Optuna, processes and the record of a study; a subject knows its task: the settings
that are drawn, the parts of a walk after which a trial may be given up, and what can be said of the best of many.
training/tune_alpha.py and training/tune_volatility.py are subjects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from models.base import Trial as Draws
from training.evaluate.overfitting import Pbo
from training.section import Document
from training.tracking import RunLog, Tracking

Status = Literal["complete", "pruned", "failed", "running"]


@dataclass(frozen=True)
class Trial:
    """A trial as its study knows it; `value` is what it reached, of a pruned one over the parts that it saw."""

    number: int
    state: Status
    value: float | None
    params: Mapping[str, Any] = field(repr=False)
    parts: int = 0
    seconds: float | None = None
    run_id: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Step:
    """A trial after one more part of its walk.

    value  the objective over the parts so far, NaN where it is not known yet
    told   numbers of this part, by the name of their metric
    """

    number: int
    value: float
    told: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """How much of a study's best trial may be luck.

    numbers  by the name of their metric; those that are not known are left out
    words    sentences for the description of the study's run
    notes    what a reader of the numbers must know
    pbo      probability of backtest overfitting over the complete trials, None where it cannot be told
    dsr      deflated Sharpe ratio of the best trial, NaN where it is not known or there is none
    combinatorial  PBO over combinatorial back-tests of the best trials, None where there is none
    """

    numbers: Mapping[str, float]
    words: tuple[str, ...]
    notes: tuple[str, ...]
    pbo: Pbo | None
    dsr: float
    combinatorial: Pbo | None = None


@dataclass(frozen=True)
class Aim:
    """What the studies of a task have in common.

    experiment  of MLflow, where a study and its trials lie
    family      the first word of the study's name
    part        what the parts of a walk are called: "folds"
    sought      the objective in words, for the reader of the study's page
    """

    experiment: str
    family: str
    direction: Literal["maximize", "minimize"]
    part: str
    sought: str


class Attempt(Protocol):
    """A trial's settings, and their walk."""

    @property
    def config(self) -> Document:
        """The settings as a run of their own."""

    def tags(self) -> dict[str, str]:
        """What the trial's run says of itself before it has a result."""

    def steps(self, threads: int | None) -> Iterator[Step]:
        """Fit and judge part after part of the development, never the holdout.

        threads  that a fit may take at most; None: as the config says
        Errors   FitError for settings that cannot be estimated, which fails this trial alone; DataError for what no
                 trial is to blame for
        """

    def record(self, run: RunLog) -> None:
        """Write what the whole walk says into the trial's run; called after the last step."""


class Subject(Protocol):
    """A task's data and settings, ready to be searched."""

    @property
    def aim(self) -> Aim:
        """What is sought, and where it is recorded."""

    @property
    def parts(self) -> int:
        """Parts of a whole walk."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the search must know of its data."""

    def settings(self) -> dict[str, Any]:
        """All settings under which trials can be compared, as JSON values."""

    def fingerprint(self) -> str:
        """Hex digits over the data that trials see."""

    def tags(self) -> dict[str, str]:
        """What the study's run says of itself."""

    def record_data(self, run: RunLog) -> None:
        """Write what the trials stand on into the study's run."""

    def attempt(self, draws: Draws) -> Attempt:
        """A trial whose searched settings are drawn."""

    def judge(
        self,
        tracking: Tracking,
        best: Trial,
        trials: Sequence[Trial],
        drawn: Callable[[Trial], Draws],
        say: Callable[[str], None],
    ) -> Verdict:
        """Say how much of the best trial may be luck.

        trials  all that the study has, the best one among them
        drawn   draws what a trial has drawn
        """
