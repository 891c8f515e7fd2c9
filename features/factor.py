"""What a factor is, the catalogue of all of them, the plan that computes some, and the walk along the plan.

A factor is a pure function: its name is its column, its parameter names are its inputs - fields, reference facts or
other factors, as panels (T, N). A parameter with the default None is optional. A parameter called `state` makes the
factor recursive: it is given what it returned beside its panel last time, and computes only sessions after that.

1. `catalogue` finds the factors: every Factor and Family that a module of features.factors holds.
2. `plan` orders those asked for behind their inputs, and works out which fields and how much history they need.
3. `compute` walks the plan once, and lets go of each panel after its last use.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from graphlib import TopologicalSorter
from typing import Any

import numpy as np

from features.definition import code_of, digest
from features.operators import sessions_since_gap
from features.panel import ConfigError, DataError, Float64Array, Panels

# After more than GAP sessions away an asset's windows mix two worlds: WARM_UP sessions pass before they count.
GAP, WARM_UP = 20, 60


@dataclass(frozen=True)
class Factor:
    """A named function of panels, with its card.

    known     close: computable from close fields at 15:00 of t; settle: with the settlement of t
    lookback  sessions of its own inputs that a value needs, t included
    scope     asset: (T, N), NaN where the asset did not trade; market: (T, 1)
    stored    False for a step on the way, whose level may depend on where the history begins
    """

    name: str
    asset_class: str
    function: Callable[..., Any] = field(repr=False)
    zh: str
    unit: str
    known: str = "close"
    lookback: int = 1
    family: str = ""
    sets: tuple[str, ...] = ()
    scope: str = "asset"
    stored: bool = True

    def __call__(self, *panels: Float64Array, **named: Float64Array | None) -> Any:  # noqa: ANN401
        """The function itself: a factor is tried by calling it with arrays."""
        return self.function(*panels, **named)

    @functools.cached_property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.function).parameters

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of what it cannot do without."""
        return tuple(n for n, p in self._parameters.items() if p.default is inspect.Parameter.empty)

    @property
    def optional(self) -> tuple[str, ...]:
        """Names of what it uses where it is there."""
        return tuple(n for n, p in self._parameters.items() if p.default is None and n != "state")

    @property
    def recursive(self) -> bool:
        """Whether it carries a state from session to session."""
        return "state" in self._parameters

    @property
    def summary(self) -> str:
        """The docstring: what, then shape, sign, NaN and source."""
        return inspect.getdoc(self.function) or ""

    @functools.cached_property
    def own_hash(self) -> str:
        """Digest of the code: the function without its docstring, what it closes over and calls, its lookback."""
        return digest(code_of(self.function), str(self.lookback), self.scope)


class Family(tuple[Factor, ...]):
    """Factors that one function makes, one for each window."""


def factor(
    asset_class: str,
    zh: str,
    unit: str,
    *,
    known: str = "close",
    lookback: int = 1,
    sets: tuple[str, ...] = (),
    scope: str = "asset",
    stored: bool = True,
) -> Callable[[Callable[..., Any]], Factor]:
    """Turn a function into a factor named like it; the card is the fields of Factor."""

    def make(function: Callable[..., Any]) -> Factor:
        return Factor(function.__name__, asset_class, function, zh, unit, known, lookback, "", sets, scope, stored)

    return make


def family(
    name: str,
    windows: Iterable[int],
    *,
    asset_class: str,
    zh: str,
    unit: str,
    lookback: Callable[[int], int],
    sets: tuple[str, ...] = (),
) -> Callable[[Callable[[int], Callable[..., Any]]], Family]:
    """Turn a function of a window, which returns a function of panels, into the factors `name_window`."""

    def make(function: Callable[[int], Callable[..., Any]]) -> Family:
        members = []
        for n in windows:
            compute_n = function(n)
            compute_n.__doc__ = inspect.getdoc(function)
            members.append(
                Factor(
                    f"{name}_{n}",
                    asset_class,
                    compute_n,
                    f"{n}日{zh}",
                    unit,
                    lookback=lookback(n),
                    family=name,
                    sets=sets,
                )
            )
        return Family(members)

    return make


@functools.cache
def catalogue(asset_class: str) -> Mapping[str, Factor]:
    """Every factor of the asset class by name, found in the modules of features.factors."""
    package = importlib.import_module("features.factors")
    found: dict[str, Factor] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
        for value in vars(importlib.import_module(f"features.factors.{module}")).values():
            for f in value if isinstance(value, Family) else (value,):
                if not isinstance(f, Factor) or f.asset_class != asset_class or found.get(f.name) is f:
                    continue
                if f.name in found:
                    raise DataError(
                        f"factor {f.name}", "its name must be its own", "a second one", f"features.factors.{module}"
                    )
                found[f.name] = f
    return found


def stored(asset_class: str) -> tuple[str, ...]:
    """Names of the factors that have a column in the store, in catalogue order; ConfigError where there are none."""
    names = tuple(n for n, f in catalogue(asset_class).items() if f.stored)
    if not names:
        raise ConfigError(f"factors of {asset_class}", "the class must have factors", "none", help="There are CS's.")
    return names


def select(
    asset_class: str,
    *,
    sets: Iterable[str] = (),
    families: Iterable[str] = (),
    names: Iterable[str] = (),
    exclude: Iterable[str] = (),
) -> tuple[str, ...]:
    """Names of the stored factors in any of the sets or families or named, less those excluded, in catalogue order."""
    known = {n: f for n, f in catalogue(asset_class).items() if f.stored}
    all_sets = {s for f in known.values() for s in f.sets}
    all_families = {f.family for f in known.values() if f.family}
    for kind, wanted, there in (
        ("set", sets, all_sets),
        ("family", families, all_families),
        ("name", names, set(known)),
    ):
        for w in wanted:
            if w not in there:
                raise ConfigError(
                    f"factor {kind} {w}", f"it must be one of {asset_class}'s", "none", help=_nearest(w, there)
                )
    chosen = {n for n, f in known.items() if set(f.sets) & set(sets) or f.family in families or n in names}
    return tuple(n for n in known if n in chosen and n not in exclude and known[n].family not in exclude)


@dataclass(frozen=True)
class Plan:
    """How to compute some factors.

    order     the factors, each behind its inputs
    wanted    names of the factors asked for that can be computed
    fields    leaves to read: fields and reference facts
    lookback  sessions of the fields that a value of the last session needs, t included
    absent    factor -> why it cannot be computed from these fields
    """

    asset_class: str
    order: tuple[Factor, ...]
    wanted: tuple[str, ...]
    fields: tuple[str, ...]
    lookback: int
    absent: dict[str, str]
    hashes: dict[str, str]


def plan(asset_class: str, names: Iterable[str], available: Iterable[str]) -> Plan:
    """Order the factors behind their inputs; `available` are the fields and reference facts that can be read."""
    known, leaves = catalogue(asset_class), set(available)
    names = tuple(dict.fromkeys(names))
    for name in names:
        if name not in known:
            raise ConfigError(
                f"factor {name}", f"it must be in {asset_class}'s catalogue", "none", help=_nearest(name, known)
            )
    absent: dict[str, str] = {}
    graph: dict[str, set[str]] = {}

    def visit(name: str) -> None:
        if name in graph or name not in known:
            return
        f = known[name]
        graph[name] = set()
        for needed in (*f.inputs, *f.optional):
            if needed in known:
                visit(needed)
            if needed in absent or (needed not in known and needed not in leaves):
                if needed in f.inputs:
                    absent[name] = f"needs {needed}" + (f", which {absent[needed]}" if needed in absent else "")
            else:
                graph[name].add(needed)

    for name in names:
        visit(name)
    wanted = tuple(n for n in names if n not in absent)
    needed = _reachable(graph, wanted)
    order = [n for n in TopologicalSorter({n: graph[n] for n in needed if n in graph}).static_order() if n in graph]
    total = dict.fromkeys(needed, 1)
    hashes: dict[str, str] = {}
    for name in order:
        f = known[name]
        behind = [known[i] for i in graph[name] if i in known]
        if any(b.recursive for b in behind):
            raise DataError(f"factor {name}", "its inputs must not be recursive", ", ".join(b.name for b in behind))
        own = max(f.lookback, GAP + WARM_UP + 1) if f.lookback > 1 and f.scope == "asset" and f.stored else f.lookback
        total[name] = max((f.lookback + total[i] - 1 for i in graph[name]), default=f.lookback)
        total[name] = max(total[name], own)
        parts = [f.own_hash, *(f"{i}:{hashes.get(i, 'field')}" for i in sorted(graph[name]))]
        hashes[name] = digest(*parts)
    return Plan(
        asset_class,
        tuple(known[n] for n in order),
        wanted,
        tuple(sorted(needed - set(order))),
        max(total.values(), default=1),
        {n: absent[n] for n in names if n in absent},
        {n: hashes[n] for n in wanted},
    )


def compute(
    plan: Plan, panels: Panels, states: Mapping[str, Float64Array] | None = None
) -> tuple[Panels, dict[str, Float64Array]]:
    """The wanted factors on sessions[panels.first:], float64, and the states of the recursive ones after the last.

    panels  the plan's fields and `traded`, (T, N) with panels.first rows of history
    NaN     where an asset did not trade, is back from a long absence (warm-up), or the factor is not defined
    """
    live: dict[str, Float64Array] = dict(panels.values)
    t, n = panels.shape
    traded = np.broadcast_to(panels["traded"], (t, n)) > 0
    since = sessions_since_gap(traded, GAP)
    settled = traded & ~((since >= 1) & (since <= WARM_UP))
    last_use = {i: k for k, f in enumerate(plan.order) for i in (*f.inputs, *f.optional)}
    done: dict[str, Float64Array] = {}
    new_states: dict[str, Float64Array] = {}
    for k, f in enumerate(plan.order):
        given = {i: live[i] for i in (*f.inputs, *f.optional) if i in live}
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if f.recursive:
                value = np.full((t, n), np.nan)
                tail = {i: g[panels.first :] if g.shape[0] == t else g for i, g in given.items()}
                value[panels.first :], new_states[f.name] = f(**tail, state=(states or {}).get(f.name))
            else:
                value = np.asarray(f(**given), dtype=np.float64)
        # A copy: what a factor returns may be one of its inputs.
        value = np.where(np.isfinite(value), value, np.nan)
        if f.scope == "asset" and f.stored:
            value = np.where(settled if f.lookback > 1 else traded, value, np.nan)
        live[f.name] = value
        if f.name in plan.wanted:
            done[f.name] = value[panels.first :]
        for name in [i for i in live if last_use.get(i, -1) <= k and i != f.name]:
            del live[name]
        if last_use.get(f.name, -1) <= k:
            del live[f.name]
    return Panels(panels.sessions[panels.first :], panels.assets, done), new_states


def _reachable(graph: Mapping[str, set[str]], names: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    stack = list(names)
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack.extend(graph.get(name, ()))
    return seen


def _nearest(name: str, there: Iterable[str]) -> str:
    near = get_close_matches(name, list(there), n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else f"There are: {', '.join(sorted(there)[:20])}"
