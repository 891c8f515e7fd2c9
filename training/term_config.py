"""What a run of the term-structure task is told: products, what makes a curve, the model, yields and rolls."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator

from models.spread.convenience_yield import WINDOW
from models.spread.optimal_roll import LEAST_ROLLS, LEAST_SHARE
from models.spread.schwartz_smith import SchwartzSmith
from training.section import Document, Section, Sessions, Words, complete_params
from training.volatility_config import Roll, Share

EXPERIMENT: Final = "schwartz_smith"  # where the runs of the term-structure task lie
# Smallest step of a price, in points.  Source  spec 10 §1
TICKS: Final = {
    **dict.fromkeys(("IF", "IH", "IC", "IM"), 0.2),
    **dict.fromkeys(("TS", "TF", "T"), 0.005),
    **dict.fromkeys(("FU", "LU", "RB", "HC", "M", "RM", "OI", "EG", "SR", "AG"), 1.0),
    **dict.fromkeys(("CU",), 10.0),
    **dict.fromkeys(("AL", "CF"), 5.0),
    **dict.fromkeys(("I", "J", "JM"), 0.5),
    **dict.fromkeys(("Y", "P", "TA"), 2.0),
    "TL": 0.01,
    "AU": 0.02,
    "SC": 0.1,
}
Positive = Annotated[float, Field(gt=0)]


class Data(Section):
    """Which bars: the store, the products, the span."""

    store: str = Field(default="./store", description="folder of the feature store, relative to --home")
    asset_class: Literal["Future"] = Field(default="Future", description="futures")
    products: Words = Field(default=(), description="products to model; none named: all that the store holds")
    start: datetime.date | None = Field(default=None, description="first session; null: the first one stored")
    end: datetime.date | None = Field(default=None, description="last session; null: the last one stored")


class Curves(Section):
    """Which dates and which contracts make the curve."""

    every: Literal["week", "session"] = Field(default="week", description="the last session of each week, or all")
    price: Literal["settlement", "close"] = Field(
        default="settlement", description="settlements are averages: their moves by session look too calm"
    )
    open_interest: float = Field(
        default=1000.0, ge=0, description="lots that a liquid contract has; skipped if unknown"
    )
    volume: float = Field(default=100.0, ge=0, description="lots that a liquid contract trades on the session")
    snapshots: int = Field(default=6, ge=1, description="curves that are shown")


class Yields(Section):
    """Convenience yields by open interest."""

    window: Sessions = Field(default=WINDOW, description="over which open interest is standardised")
    literal: int = Field(default=20, ge=0, description="last sessions for which the seed's own search is repeated")


class Rolling(Section):
    """When to roll, by what past rolls say."""

    side: Literal["long", "short"] = Field(default="long", description="of the position that is rolled")
    least_rolls: int = Field(default=LEAST_ROLLS, ge=2, description="past rolls of the product")
    least_share: float = Field(default=LEAST_SHARE, ge=0, lt=1, description="of open interest in the near contract")
    ticks: dict[str, Positive] = Field(
        default={}, description="product: bid to ask in points, where it is not the exchange's smallest step"
    )
    share_of_volume: float = Field(default=0.0, ge=0, lt=1, description="that is rolled, for the impact")


class TermConfig(Document):
    """A run of the term-structure task."""

    task: Literal["term_structure"] = "term_structure"
    data: Data = Data()
    roll: Roll = Roll()
    curves: Curves = Curves()
    params: dict[str, Any] = Field(default={}, validate_default=True, description="settings of schwartz_smith")
    yields: Yields = Yields()
    rolls: Rolling = Rolling()
    holdout: Share = Field(default=0.2, description="share of the dates, at the end, that no fit sees")

    @field_validator("params", mode="after")
    @classmethod
    def _complete(cls, params: dict[str, Any]) -> dict[str, Any]:
        return complete_params(params, SchwartzSmith)

    @property
    def spec(self) -> SchwartzSmith:
        """The model."""
        return SchwartzSmith(**self.params)

    def tick(self, product: str) -> float | None:
        """Bid to ask in points; None for a product of which nobody says."""
        return self.rolls.ticks.get(product, TICKS.get(product))

    def contradictions(self) -> list[tuple[str, str, str]]:
        """Settings that are well in themselves and not together: key path, what must hold, what was found."""
        if self.data.start and self.data.end and self.data.start >= self.data.end:
            return [("data.start", "the start must lie before the end", f"{self.data.start} and {self.data.end}")]
        return []
