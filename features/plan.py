"""How to compute some factors: their graph, what it reads, how much history it needs; and the computation."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from features.catalogue import Catalogue
from features.definition import digest
from features.engine import evaluate
from features.factor import Factor
from features.graph import Node, replaced, walk
from features.operators import sessions_since_gap
from features.operators.mask import blank, finite
from features.panel import ConfigError, DataError, Float64Array, Panels

# After more than GAP sessions away an asset's windows mix two worlds: WARM_UP sessions pass before they count.
GAP, WARM_UP = 20, 60
# The leaf that tells where an asset trades and is not warming up.
SETTLED = "settled"


@dataclass(frozen=True)
class Plan:
    """How to compute some factors.

    order      the factors, each behind its inputs
    wanted     names of the factors asked for that can be computed
    fields     leaves to read: fields and reference facts
    lookbacks  wanted name -> sessions of the fields that a value needs, t included
    absent     factor -> why it cannot be computed from these fields
    nodes      factor -> its graph on the fields, recursive factors being leaves
    inputs     factor -> what it is given
    recursive  factor -> the recursive factors that it is or stands on
    """

    known: Catalogue = field(repr=False)
    order: tuple[Factor, ...]
    wanted: tuple[str, ...]
    fields: tuple[str, ...]
    lookbacks: dict[str, int]
    absent: dict[str, str]
    hashes: dict[str, str]
    nodes: dict[str, Node] = field(repr=False)
    inputs: dict[str, frozenset[str]] = field(repr=False)
    recursive: dict[str, frozenset[str]] = field(repr=False)

    @property
    def asset_class(self) -> str:
        """The class whose assets they are of."""
        return self.known.asset_class

    @property
    def lookback(self) -> int:
        """Sessions of the fields that a value of the last session needs, t included."""
        return max(self.lookbacks.values(), default=1)


def plan(known: Catalogue, names: Iterable[str], available: Iterable[str]) -> Plan:
    """Order the factors behind their inputs; `available` are the fields and reference facts that can be read."""
    return _plan(known, tuple(dict.fromkeys(names)), frozenset(available))


@functools.lru_cache(maxsize=64)
def _plan(known: Catalogue, names: tuple[str, ...], available: frozenset[str]) -> Plan:
    for name in names:
        known.require(name)
    graph, absent = _wiring(known, names, available)
    wanted = tuple(n for n in names if n not in absent)
    needed = _reachable(graph, wanted)
    ordered = TopologicalSorter({n: graph[n] for n in needed if n in graph}).static_order()
    order = [known[n] for n in ordered if n in graph]
    nodes: dict[str, Node] = {}
    hashes: dict[str, str] = {}
    recursive: dict[str, frozenset[str]] = {}
    for f in order:
        there = graph[f.name]
        own = {f.name} if f.recursive else set()
        recursive[f.name] = frozenset(own.union(*(recursive.get(i, ()) for i in there)))
        _require_no_future(f, there)
        _require_history(known, f, there)
        nodes[f.name] = _bounded(f, there, {i: nodes.get(i, Node.leaf(i)) for i in there})
        parts = [f.own_hash, *(f"{i}:{hashes.get(i, 'field')}" for i in sorted(there))]
        hashes[f.name] = digest(*parts)
    lookbacks = _lookbacks(order, graph, nodes)
    return Plan(
        known,
        tuple(order),
        wanted,
        tuple(sorted(needed - set(graph))),
        {n: lookbacks[n] for n in wanted},
        {n: absent[n] for n in names if n in absent},
        {n: hashes[n] for n in wanted},
        nodes,
        {f.name: frozenset(graph[f.name]) for f in order},
        recursive,
    )


def compute(
    plan: Plan,
    panels: Panels,
    states: Mapping[str, Float64Array] | None = None,
    dtype: DTypeLike = np.float64,
) -> tuple[Panels, dict[str, Float64Array]]:
    """The wanted factors on sessions[panels.first:], and the states of the recursive ones after the last.

    panels  the plan's fields and `traded`, (T, N) with panels.first rows of history
    NaN     where an asset did not trade, is back from a long absence (warm-up), or the factor is not defined
    """
    t, n = panels.shape
    live: dict[str, Float64Array] = {**panels.values, SETTLED: settled(panels)}
    new_states: dict[str, Float64Array] = {}
    for f in plan.order:
        if f.recursive:
            behind = {i: plan.nodes.get(i, Node.leaf(i)) for i in plan.inputs[f.name]}
            start = 0 if f.retraces else panels.first
            given: dict[str, Any] = dict(evaluate(behind, live, (t, n), start))
            if f.retraces:
                given["first"] = panels.first
            live[f.name] = np.full((t, n), np.nan)
            live[f.name][start:], new_states[f.name] = f(**given, state=(states or {}).get(f.name))
    done = evaluate({name: plan.nodes[name] for name in plan.wanted}, live, (t, n), panels.first, dtype)
    return Panels(panels.sessions[panels.first :], panels.assets, done), new_states


def settled(panels: Panels) -> Float64Array:
    """1 where an asset traded and is not warming up after a long absence, else 0."""
    traded = np.broadcast_to(panels["traded"], panels.shape) > 0
    since = sessions_since_gap(traded, GAP)
    return (traded & ~((since >= 1) & (since <= WARM_UP))).astype(np.float64)


def _wiring(
    known: Catalogue, names: Iterable[str], available: frozenset[str]
) -> tuple[dict[str, set[str]], dict[str, str]]:
    """Factor -> the inputs that it is given; and why some cannot be computed."""
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
            if needed in absent or (needed not in known and needed not in available):
                if needed in f.inputs:
                    absent[name] = f"needs {needed}" + (f", which {absent[needed]}" if needed in absent else "")
            else:
                graph[name].add(needed)

    for name in names:
        visit(name)
    return graph, absent


def _require_no_future(f: Factor, there: Iterable[str]) -> None:
    """Refuse an expression that needs sessions after t."""
    if not f.recursive and (ahead := f.graph(frozenset(there)).ahead):
        raise ConfigError(
            f"factor {f.name}",
            "a factor must be known on the session that it stands for",
            f"one that looks {ahead} session{'s' if ahead > 1 else ''} ahead",
            help="A negative shift belongs in a label; daybar check lookahead names the operator.",
        )


def _require_history(known: Catalogue, f: Factor, there: Iterable[str]) -> None:
    """Refuse to look back on what has no values before the sessions that are computed."""
    blind = [i for i in there if i in known and known[i].recursive and not known[i].retraces]
    if blind:
        raise DataError(f"factor {f.name}", "its inputs must not be recursive", ", ".join(blind))


def _bounded(f: Factor, there: Iterable[str], inputs: Mapping[str, Node]) -> Node:
    """The factor's graph on the fields, blank where it has no value."""
    value = Node.leaf(f.name) if f.recursive else replaced({f.name: f.graph(frozenset(there))}, inputs)[f.name]
    if f.scope != "asset" or not f.stored:
        return finite(value)
    long = (f.reach if f.recursive else f.graph(frozenset(there)).lookback) > 1
    return blank(value, Node.leaf(SETTLED if f.warm_up and long else "traded"))


def _lookbacks(order: Iterable[Factor], graph: Mapping[str, set[str]], nodes: Mapping[str, Node]) -> dict[str, int]:
    """Sessions of the fields behind each factor, those of its masks and of recursive factors included."""
    of_leaf = {SETTLED: GAP + WARM_UP + 1}
    of_node: dict[Node, int] = {}
    out: dict[str, int] = {}
    for f in order:
        if f.recursive:
            of_leaf[f.name] = f.reach - 1 + max((out.get(i, 1) for i in graph[f.name]), default=1)
        for node in walk([nodes[f.name]]):
            if node not in of_node:
                behind = max((of_node[i] for i in node.inputs), default=1)
                own = node.lookback - max((i.lookback for i in node.inputs), default=1)
                of_node[node] = own + (behind if node.operator else of_leaf.get(node.name, 1))
        out[f.name] = of_node[nodes[f.name]]
    return out


def _reachable(graph: Mapping[str, set[str]], names: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    stack = list(names)
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack.extend(graph.get(name, ()))
    return seen
