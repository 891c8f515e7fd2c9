"""Champion and challenger: two versions of a name compared by what their runs recorded, and the alias moved."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from features.panel import ConfigError
from serving.prediction import require_task, volatility_config
from training.evaluate.volatility_evidence import CHOSEN, COMBINED
from training.manifest import Manifest
from training.records import RunRecord
from training.tracking import Tracking

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"


@dataclass(frozen=True)
class Row:
    """A recorded number: what it is called, the metric of the run, how it is written."""

    label: str
    metric: str
    form: str


# The first decides. The holdout's RankIC is shown and decides nothing: it is sealed.
_ALPHA: Final = (
    Row("RankIC, mean", "rank_ic", "+.4f"),
    Row("RankIC, Newey-West t", "rank_ic_t", "+.2f"),
    Row("ICIR a year", "icir", "+.2f"),
    Row("top k: net excess over universe a year", "net_excess", "+.2%"),
    Row("top k: turnover a year", "turnover", ".1f"),
    Row("decile monotonicity", "deciles/monotonicity", "+.2f"),
    Row("holdout RankIC, mean", "holdout_rank_ic/mean", "+.4f"),
)


@dataclass(frozen=True)
class Version:
    """A registered version, what it serves, and what its run recorded."""

    version: int
    record: RunRecord = field(repr=False)
    manifest: Manifest = field(repr=False)

    def rows(self, horizons: Sequence[int] = ()) -> tuple[Row, ...]:
        """The numbers that it is compared by, the deciding one first; those of a book at some horizons."""
        if self.manifest.task == "alpha":
            return _ALPHA
        config = volatility_config(self.manifest)
        served = CHOSEN if config.choice.serve == "best" else COMBINED
        ratios = [Row(f"QLIKE over EWMA's, {h} ahead", f"qlike_ratio_{h}/{served}", ".4f") for h in horizons]
        level = max(config.forecast.levels)
        return (
            *ratios,
            Row("highest value at risk: breaches", f"var_{level:g}/breach_rate", ".2%"),
            Row("highest value at risk: products fine", f"var_{level:g}/products_fine", ".1%"),
            Row("fits that fell back", "fits/share_by_chain", ".2%"),
            Row("products judged", "products/judged", ".0f"),
        )

    def differs(self, other: Version) -> list[str]:
        """What makes the numbers of two versions hard to compare, in words."""
        mine, its = self.manifest, other.manifest
        if mine.task != its.task:
            return [f"tasks differ: {its.task}, now {mine.task}"]
        own = _volatility_settings if mine.task == "volatility" else _alpha_settings
        told = {name: (own(mine)[name], old) for name, old in own(its).items()} | {
            "asset classes": (mine.asset_class, its.asset_class),
            "stores": (mine.store, its.store),
            "test sessions": (self.record.tags.get("dev_span"), other.record.tags.get("dev_span")),
            "versions of the data": (mine.data, its.data),
        }
        return [f"{what} differ: {_said(old)}, now {_said(new)}" for what, (new, old) in told.items() if new != old]


@dataclass(frozen=True)
class Candidates:
    """Who is champion of a name, None where nobody is, and who would be."""

    name: str
    champion: Version | None
    challenger: Version

    @classmethod
    def of(cls, home: Path, name: str, version: int | None = None) -> Candidates:
        """The champion, and the version that is asked for (None: that of the alias challenger).

        Errors  ConfigError where there is no such name, version or challenger
        """
        tracking = Tracking(home)
        # Asked as the model it shall be, an unknown one is refused with the list of those that there are.
        tracking.resolve(f"{name}@{CHALLENGER}" if version is None else f"{name}/{version}")
        (known,) = (one for one in tracking.list_models() if one.name == name)
        new = known.aliases[CHALLENGER] if version is None else version
        old = known.aliases.get(CHAMPION)
        if old == new:
            listed = ", ".join(map(str, known.versions))
            must = "it must be given another version than the champion"
            raise ConfigError(f"promote {name}", must, f"version {new}", help=f"Versions of {name}: {listed}.")
        return cls(name, None if old is None else _version(tracking, name, old), _version(tracking, name, new))

    @property
    def warnings(self) -> list[str]:
        """What makes the numbers hard to compare."""
        return [] if self.champion is None else self.challenger.differs(self.champion)

    @property
    def worse(self) -> str:
        """Why the challenger may not take over without force; empty where it may."""
        if self.champion is None:
            return ""
        if self.challenger.manifest.task != self.champion.manifest.task:
            return f"version {self.champion.version} is of another task: {self.champion.manifest.task}"
        if self.challenger.manifest.task == "volatility" and not self._horizons:
            return "the two have no horizon in common"
        first = self.challenger.rows(self._horizons)[0].form
        new, old = (
            one.record.metrics.get(one.rows(self._horizons)[0].metric, math.nan)
            for one in (self.challenger, self.champion)
        )
        name, worse = ("RankIC", new < old) if self.challenger.manifest.task == "alpha" else ("QLIKE ratio", new > old)
        if math.isnan(new) or math.isnan(old):
            which = self.challenger if math.isnan(new) else self.champion
            return f"version {which.version} has recorded no {name}"
        return f"its {name} is {new:{first}}, the champion's {old:{first}}" if worse else ""

    @property
    def _horizons(self) -> tuple[int, ...]:
        """The horizons that both versions forecast; none of scores."""
        there = [one for one in (self.challenger, self.champion) if one is not None]
        told = [volatility_config(one.manifest).forecast.horizons for one in there if one.manifest.task != "alpha"]
        return tuple(sorted(set.intersection(*map(set, told)))) if told else ()

    def table(self) -> pl.DataFrame:
        """The recorded numbers side by side, as text."""
        sides = [("champion", self.champion), ("challenger", self.challenger)]
        labels = [row.label for row in self.challenger.rows(self._horizons)]
        shown: dict[str, list[str]] = {"walk-forward": labels}
        for title, one in sides:
            if one is not None and one.manifest.task == self.challenger.manifest.task:
                found = [(one.record.metrics.get(row.metric), row.form) for row in one.rows(self._horizons)]
                texts = ["-" if value is None else format(value, form) for value, form in found]
                shown[f"{title}: version {one.version}"] = texts
        return pl.DataFrame(shown)


def _alpha_settings(manifest: Manifest) -> dict[str, object]:
    return {
        "labels": (manifest.target, manifest.horizon, manifest.alpha.label.entry),
        "universes": manifest.tradable,
    }


def _volatility_settings(manifest: Manifest) -> dict[str, object]:
    config = volatility_config(manifest)
    return {
        "products": config.data.products or "all of the store",
        "horizons": config.forecast.horizons,
        "rolls": (config.roll.rule, config.roll.threshold, config.roll.max_gap),
    }


def move(home: Path, candidates: Candidates) -> str:
    """Point champion to the challenger and previous to the old champion, and write down when and from what; a line."""
    tracking, name, old = Tracking(home), candidates.name, candidates.champion
    new = candidates.challenger.version
    told = {"promoted_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds")}
    told["promoted_from"] = "none" if old is None else str(old.version)
    tracking.tag_version(name, new, told)
    if old is not None:
        tracking.point(name, PREVIOUS, old.version)
    tracking.point(name, CHAMPION, new)
    after = f"; version {old.version} is {name}@{PREVIOUS}" if old is not None else ""
    return f"{name}@{CHAMPION} is version {new} now{after}"


def _version(tracking: Tracking, name: str, version: int) -> Version:
    ref = tracking.resolve(f"{name}/{version}")
    manifest = Manifest.load(ref.folder)
    require_task(manifest, ("alpha", "volatility"), f"promote {name}")
    return Version(version, tracking.record(ref.run_id), manifest)


def _said(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
