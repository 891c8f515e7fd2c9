"""The whole road on a simulated market: what a newcomer sees first."""

from __future__ import annotations

import time
from pathlib import Path

from features.panel import ConfigError
from features.store import Store
from serving import show, show_serving, sink
from serving.bring import bring_simulation
from serving.predict import predict
from training.alpha_config import AlphaConfig
from training.config import alpha_config, load
from training.run import train

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
# Trade counts begin on 2021-06-25, and the planted alpha shows in the size of trades: start where they are known.
# Three hundred names are few against the returns that styles have in common: columns are judged net of those.
STYLES = "[cs_f_beta_250, cs_turnover20, cs_f_roc_250, cs_f_roc_60, cs_f_roc_20, cs_f_std_60]"
DEMO = ("data.start=2021-08-02", "split.train=400", f"preprocess.neutralise={STYLES}", "intervals.trees=50")
SMALL = (
    "split.train=120",
    "split.test=30",
    "intervals.calibration=20",
    "evaluate.min_names=20",
    "evaluate.top_k=10",
    "preprocess.neutralise=[]",
)


def run_demo(home: Path, size: str, world: str, seed: int) -> None:
    """Simulate, ingest, build, train XGBoost and ridge, register, predict, and say where to look."""
    if not CONFIGS.is_dir():
        raise ConfigError("demo", "it must run from a checkout, whose configs it trains", f"no {CONFIGS}")
    began = time.monotonic()
    show.line(f"1/4  simulated market: size {size}, world {world}, seed {seed}")
    show.ingested(bring_simulation(home / "store", size, world, seed))
    results = []
    for step, name in ((2, "alpha_linear"), (3, "alpha_xgb")):
        settings = demo_config(name, size)
        show.line(f"\n{step}/4  training {settings.name} ({settings.model.kind})")
        with show.progress("sessions built") as moved:
            results.append(train(settings, home, show.line, moved))
        show.trained(results[-1], home)
    model = f"{results[-1].name}@{results[-1].alias}"
    show.line(f"\n4/4  predicting with {model}")
    store = Store(home / "store")
    prediction = predict(home, store, model)
    written, paths = sink.give(store, prediction, home / "predictions")
    show_serving.predicted(prediction, written, paths[0], store)
    where = "" if home == Path() else f" --home {home}"
    show.line(f"\ndone in {time.monotonic() - began:.0f} s. Look at the runs: daybar ui{where}  (or make ui)")
    earlier = store.calendar().add(prediction.frame["asof"][0], -20)
    show.line(f"Another day: daybar predict {model} --asof {earlier}{where}")


def demo_config(name: str, size: str) -> AlphaConfig:
    """A config of configs/ as the demo runs it."""
    return alpha_config(load(CONFIGS / f"{name}.yaml", SMALL if size == "tiny" else DEMO), "demo")
