"""Whether factors know of their session what could be known on it, found by computing them again in other worlds.

1. The future cut off: a panel that ends earlier must give the same values up to its end.
2. The future replaced by noise: the same values up to where the noise begins.
3. The history cut to the declared lookback: the same value on the last session.

Where a value differs, every step of the factor's graph is compared, and the first that differs is named: that operator,
or that function, knows too much, or has been promised too short a history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from features.catalogue import Catalogue
from features.engine import evaluate
from features.factor import Factor
from features.graph import EVER, Node, walk
from features.inputs import available, read_inputs
from features.panel import BoolArray, Float64Array, Panels
from features.plan import SETTLED, Plan, compute, plan, settled
from features.store import Store

# Two ways to one number differ by rounding: sums may begin elsewhere, and be added in another order.
_ROUNDING = 1e-9
_ENDS = (1.0, 0.83, 0.6)
_CUTS = (0.85, 0.65)
# How many assets of a store are looked at, and how many sessions beyond the longest lookback.
_ASSETS, _BEYOND = 60, 250


@dataclass(frozen=True)
class Offence:
    """A factor that changed with what it must not know, and the step that did it.

    world     what was changed
    operator  the first step of its graph whose value changed
    """

    factor: str
    world: str
    operator: str
    session: str = ""
    asset: str = ""
    value: float = np.nan
    became: float = np.nan


@dataclass(frozen=True)
class Proof:
    """What was checked, and what was found.

    checked  factors whose values were compared
    silent   factors without a value on these panels, of which nothing is proved
    absent   factor -> why it cannot be computed
    """

    offences: tuple[Offence, ...]
    checked: tuple[str, ...]
    silent: tuple[str, ...]
    absent: dict[str, str]
    sessions: int
    assets: int


@dataclass(frozen=True)
class _World:
    """Other panels, and the rows on which values must be those of the true ones.

    panels  rows [start:] of the true axis
    rows    of the true axis, start and stop, that are compared
    """

    name: str
    panels: Panels
    start: int
    rows: tuple[int, int]


def check_lookahead(
    known: Catalogue,
    names: Iterable[str],
    panels: Panels,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Proof:
    """Every factor that does not keep to what could be known, by the first world in which it shows.

    panels  the fields and facts of the factors and `traded`, with enough sessions that their windows fill
    """
    names = tuple(names)
    there = frozenset(panels.values)
    offences = [o for name in names if (o := _ahead(known, name, there)) is not None]
    careful = [n for n in names if n not in {o.factor for o in offences}]
    whole = plan(known, careful, there)
    left = list(whole.wanted)
    truth, _ = compute(whole, panels)
    jobs: list[tuple[tuple[str, ...], _World]] = [(whole.wanted, w) for w in _other_futures(panels, seed)]
    jobs += list(_short_histories(whole, panels))
    for k, (some, world) in enumerate(jobs):
        progress(k, len(jobs))
        part = plan(known, [n for n in some if n in left], there)
        if not part.wanted:
            continue
        states = _states(part, panels, world)
        got, _ = compute(part, world.panels, states)
        for name in part.wanted:
            a, b = world.rows
            first = world.start + world.panels.first
            true, other = truth[name][a:b], got[name][a - first : b - first]
            if (changed := _differs(true, other)).any():
                offences.append(_named(part, name, panels, world, states, true, other, changed))
                left.remove(name)
    progress(len(jobs), len(jobs))
    silent = tuple(n for n in left if not np.isfinite(truth[n]).any())
    checked = tuple(n for n in names if n not in silent and n not in whole.absent)
    return Proof(tuple(offences), checked, silent, whole.absent, *panels.shape)


def check_store(
    store: Store,
    known: Catalogue,
    names: Iterable[str],
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Proof:
    """`check_lookahead` on a store's own bars: its last sessions, assets that traded much and some that did not."""
    names, asset_class = tuple(names), known.asset_class
    readable = available(store, asset_class)
    looking_on = [n for n in names if _ahead(known, n, frozenset(readable)) is None]
    wanted = plan(known, looking_on, readable)
    _, last = store.span(f"bars/{asset_class}")
    longest = max((n for n in wanted.lookbacks.values() if n < EVER), default=1)
    fields = {*wanted.fields, "traded"}
    panels = read_inputs(store, asset_class, fields, last, last, longest + _BEYOND)
    traded = panels["traded"].sum(axis=0)
    there = np.argsort(-traded, kind="stable")[: int((traded > 0).sum())]
    chosen = np.sort(there[np.unique(np.linspace(0, len(there) - 1, min(_ASSETS, len(there))).astype(int))])
    values = {k: v[:, chosen] if v.shape[1] == len(panels.assets) else v for k, v in panels.values.items()}
    sample = Panels(panels.sessions, panels.assets[chosen], values)
    there_are = [n for n in names if n not in wanted.absent]
    return replace(check_lookahead(known, there_are, sample, progress=progress), absent=wanted.absent)


def _ahead(known: Catalogue, name: str, there: frozenset[str]) -> Offence | None:
    """The offence of a factor that says itself, or whose inputs do, that it needs sessions to come."""
    for f in _behind(known, name):
        if f.recursive:
            continue
        # What it cannot do without is in its graph, whether the store has it or not.
        root = f.graph(frozenset((*f.inputs, *(i for i in f.optional if i in there or i in known))))
        for node in walk([root]):
            if node.ahead > max((i.ahead for i in node.inputs), default=0):
                return Offence(name, f"{root.ahead} session{'s' if root.ahead > 1 else ''} to come", str(node))
    return None


def _behind(known: Catalogue, name: str) -> Iterator[Factor]:
    """The factor and every factor that it stands on."""
    seen: set[str] = set()
    left = [name]
    while left:
        if (one := left.pop()) not in seen:
            seen.add(one)
            f = known.require(one)
            yield f
            left += [i for i in (*f.inputs, *f.optional) if i in known]


def _other_futures(panels: Panels, seed: int) -> Iterator[_World]:
    t = panels.shape[0]
    for k, share in enumerate(_CUTS):
        until = max(int(t * share), 1)
        yield _World("the future cut off", panels.rows(0, until), 0, (0, until))
        yield _World("the future replaced by noise", _noised(panels, until, seed + k), 0, (0, until))


def _noised(panels: Panels, until: int, seed: int) -> Panels:
    """The panels with rows [until:] shuffled, scaled and partly missing; flags stay flags."""
    rng = np.random.default_rng(seed)
    t = panels.shape[0]
    values = {}
    for name, panel in panels.values.items():
        if panel.shape[0] != t or until >= t:
            values[name] = panel
            continue
        later = rng.permuted(panel[until:], axis=0)
        if not np.isin(later[np.isfinite(later)], (0.0, 1.0)).all():
            later = later * rng.lognormal(0.0, 1.0, later.shape)
            later[rng.random(later.shape) < 0.1] = np.nan
        values[name] = np.vstack([panel[:until], later])
    return Panels(panels.sessions, panels.assets, values)


def _short_histories(whole: Plan, panels: Panels) -> Iterator[tuple[tuple[str, ...], _World]]:
    """For each lookback, the factors that declare it and panels that hold no more."""
    t = panels.shape[0]
    by_lookback: dict[int, list[str]] = {}
    for name in whole.wanted:
        by_lookback.setdefault(whole.lookbacks[name], []).append(name)
    for lookback, names in sorted(by_lookback.items()):
        for end in sorted({int(t * share) for share in _ENDS}):
            if lookback < end:
                start = end - lookback
                short = panels.rows(start, end, first=lookback - 1)
                world = _World(f"a history of {lookback} sessions", short, start, (end - 1, end))
                yield tuple(names), world


def _states(part: Plan, panels: Panels, world: _World) -> dict[str, Float64Array]:
    """What recursive factors carry into the first session that the world computes."""
    recursive = [f.name for f in part.order if f.recursive]
    until = world.start + world.panels.first
    if not recursive or until == 0:
        return {}
    return compute(plan(part.known, recursive, frozenset(panels.values)), panels.rows(0, until))[1]


def _differs(true: Float64Array, other: Float64Array) -> BoolArray:
    """Where two panels are not the same, rounding apart."""
    known, also = np.isfinite(true), np.isfinite(other)
    with np.errstate(invalid="ignore"):
        far = np.abs(true - other) > _ROUNDING * np.maximum(np.abs(true), np.abs(other)) + 1e-3 * _ROUNDING
    return np.asarray((known != also) | (known & also & far))


def _named(
    part: Plan,
    name: str,
    panels: Panels,
    world: _World,
    states: dict[str, Float64Array],
    true: Float64Array,
    other: Float64Array,
    changed: BoolArray,
) -> Offence:
    """The offence with the step of the graph where it begins, and the first cell that it changes."""
    row, column = (int(i) for i in np.argwhere(changed)[0])
    return Offence(
        name,
        world.name,
        _first_that_differs(part, name, panels, world, states),
        str(panels.sessions[world.rows[0] + row]),
        str(panels.assets[column]) if changed.shape[1] > 1 else "",
        float(true[row, column]),
        float(other[row, column]),
    )


def _first_that_differs(part: Plan, name: str, panels: Panels, world: _World, states: dict[str, Float64Array]) -> str:
    steps = {str(k): node for k, node in enumerate(_steps(part, name))}
    true = _values(part, steps, panels, {})
    other = _values(part, steps, world.panels, states)
    a, b = world.rows
    for k, node in steps.items():
        if _differs(true[k][a:b], other[k][a - world.start : b - world.start]).any():
            whole = node.operator is not None and node.operator.axis == "panel"
            return f"the function of {node.name}" if whole or node.operator is None else str(node)
    return name


def _steps(part: Plan, name: str) -> Iterator[Node]:
    """The steps of a factor's graph that are panels, each behind its inputs, recursive factors among them."""
    for node in walk([part.nodes[name]]):
        recursive = node.operator is None and node.name in part.nodes
        several = node.operator is not None and node.operator.outputs and node.output is None
        if recursive or (node.operator is not None and not several):
            yield node


def _values(
    part: Plan, steps: dict[str, Node], panels: Panels, states: dict[str, Float64Array]
) -> dict[str, Float64Array]:
    """Every step on the panels, history included, as float."""
    live = dict(panels.values)
    live[SETTLED] = settled(panels)
    for f in part.order:
        if f.recursive:
            inside = plan(part.known, [f.name], frozenset(panels.values))
            got, _ = compute(inside, panels, states)
            live[f.name] = np.full(panels.shape, np.nan)
            live[f.name][panels.first :] = got[f.name]
    return {k: v.astype(np.float64) for k, v in evaluate(steps, live, panels.shape).items()}
