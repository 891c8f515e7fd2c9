"""Options that several verbs of the command line share, and the exit codes that scripts may trust."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Home = Annotated[Path, typer.Option(help="Folder where store, mlruns and predictions live.", metavar="DIR")]
StorePath = Annotated[Path, typer.Option("--store", help="Folder of the store, relative to --home.", metavar="DIR")]
ModelStore = Annotated[
    Path | None,
    typer.Option("--store", help="Store whose bars to score; default: the one it was trained on.", metavar="DIR"),
]
ModelName = Annotated[str, typer.Argument(help="name@alias, name/version or runs:<run id>.")]
Class = Literal["CS", "ETF", "INDX", "Future", "Option"]
EveryClass = Literal["CS", "ETF", "INDX", "Future", "Option", "Product"]
AssetClass = Annotated[
    EveryClass, typer.Option("--asset-class", help="Class of the bars; Product: products made of futures.")
]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Override a key: model.params.max_depth=6.")]
Size = Annotated[Literal["tiny", "demo", "full"], typer.Option(help="Simulated market: how large.")]
World = Annotated[Literal["planted", "null"], typer.Option(help="Simulated market: with an alpha to find, or none.")]
Seed = Annotated[int, typer.Option(min=0, help="Simulated market: its seed.")]

HERE, STORE = Path("."), Path("store")
CHECK_FAILED, INTERRUPTED = 3, 130
