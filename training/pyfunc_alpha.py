"""The file that MLflow runs to load an alpha model: a registered model is this code and the scorer's own folder.

It is copied next to the model when that is logged ("models from code"), so that nothing is pickled; daybar must be
importable where it is loaded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from features.panel import DataError
from training.fit import Scorer
from training.tracking import PyfuncContext, PyfuncModel, set_pyfunc


class AlphaScorer(PyfuncModel):
    """Scores of raw factor values; the rows of a session must be its whole universe."""

    def load_context(self, context: PyfuncContext) -> None:
        """Read the scorer from its folder."""
        self.scorer = Scorer.load(Path(context.artifacts["scorer"]))

    def predict(
        self, context: PyfuncContext, model_input: pd.DataFrame, params: dict[str, object] | None = None
    ) -> pd.DataFrame:
        """A `score` per row, in the order of the rows, which may be unsorted.

        model_input  a column per factor, and optionally `session`; without it all rows are of one session
        """
        del context, params
        session = _codes(model_input)
        order = np.argsort(session, kind="stable")
        values = model_input[list(self.scorer.columns)].to_numpy(np.float32)
        score = np.empty(len(order))
        score[order] = self.scorer.score(values[order], session[order])
        return pd.DataFrame({"score": score}, index=model_input.index)


def _codes(frame: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Positions of the sessions in their order, (M,)."""
    if "session" not in frame or frame["session"].isna().all():
        return np.zeros(len(frame), np.int64)
    if frame["session"].isna().any():
        at = f"row {int(frame['session'].isna().to_numpy().argmax())}"
        raise DataError("model input", "session must be given for every row or for none", "some", at)
    return np.unique(frame["session"].to_numpy(), return_inverse=True)[1].astype(np.int64)


set_pyfunc(AlphaScorer())
