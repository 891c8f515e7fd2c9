"""Computes a graph of expressions: in blocks that stay near a core, side by side on plain threads.

What looks along an asset's sessions is cut into blocks of assets, what looks across a session's assets into blocks of
sessions. The graph is walked in stages, each of one kind; only panels that a later stage needs, and those asked for,
are ever laid out whole. Within a block every node is computed once, on the rows that somebody needs of it, and let go
of after its last use: for one new session the rank at the end of an expression is taken once, not for all its history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from features.graph import Node, walk
from features.operators.blocks import in_parts, threads
from features.operators.mask import blank, store_blank
from features.panel import Float64Array

# Cells a block: a dozen panels of it stay near a core, and each call into numpy or a kernel is worth its while.
_CELLS = 80_000
_FEWEST_ASSETS = 16
# About how many a walk over a large graph holds at once.
_PANELS_A_BLOCK = 40
# What a stage can be; elementwise nodes go with the first two.
_KINDS = ("time", "session", "panel")
_CONDITIONS = {
    *("less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "isnan", "isfinite", "isinf"),
    *("logical_and", "logical_or", "logical_not", "bitwise_and", "bitwise_or", "invert"),
}


@dataclass(frozen=True)
class Stage:
    """Nodes that are computed together, each behind its inputs.

    kind  time: by blocks of assets; session: by blocks of sessions; panel: whole
    kept  those that a later stage needs
    """

    kind: str
    nodes: tuple[Node, ...]
    kept: frozenset[Node]


def stages(roots: Iterable[Node]) -> list[Stage]:
    """The graph of the roots cut into stages, in order, each as large as it can be."""
    left = [node for node in walk(roots) if node.operator is not None]
    at: dict[Node, int] = {}
    groups: list[tuple[str, list[Node]]] = []
    while left:
        for kind in _KINDS:
            now: list[Node] = []
            later: list[Node] = []
            for node in left:
                ready = all(i.operator is None or i in at for i in node.inputs)
                (now if ready and _takes(kind, node) else later).append(node)
                if ready and _takes(kind, node):
                    at[node] = len(groups)
            if now:
                groups.append((kind, now))
            left = later
    needed = {i for node, k in at.items() for i in node.inputs if i.operator is not None and at[i] < k}
    return [Stage(kind, tuple(nodes), frozenset(needed.intersection(nodes))) for kind, nodes in groups]


def _takes(kind: str, node: Node) -> bool:
    axis = node.operator.axis if node.operator else "cell"
    return axis == kind or (axis == "cell" and kind != "panel")


def evaluate(
    roots: Mapping[str, Node],
    panels: Mapping[str, Float64Array],
    shape: tuple[int, int],
    first: int = 0,
    dtype: DTypeLike = np.float64,
) -> dict[str, NDArray[Any]]:
    """The panels of the roots from row `first` on, (T - first, N), or (T - first, 1) where they are market-wide.

    panels  those of the leaves: (T, N), (T, 1) or (1, N)
    shape   (T, N)
    """
    return _Evaluation(roots, panels, shape, first, dtype).run()


@dataclass
class _Evaluation:
    """One walk over a graph: panels that are laid out whole, and where results go."""

    roots: Mapping[str, Node]
    panels: Mapping[str, Float64Array]
    shape: tuple[int, int]
    first: int
    dtype: DTypeLike
    # Panels from row starts[node] on; those of leaves from the first.
    whole: dict[Node, NDArray[Any]] = field(default_factory=dict)
    starts: dict[Node, int] = field(default_factory=dict)
    widths: dict[Node, int] = field(default_factory=dict)
    results: dict[Node, NDArray[Any]] = field(default_factory=dict)

    def run(self) -> dict[str, NDArray[Any]]:
        """Walk the stages."""
        order = list(walk(self.roots.values()))
        for node in order:
            if node.operator is None:
                self.whole[node] = self.panels[node.name]
            self.widths[node] = self._width(node)
        self.starts = first_rows(self.roots.values(), self.first)
        for node in self.roots.values():
            self.results[node] = np.empty((self.shape[0] - self.first, self.widths[node]), self.dtype)
            if node.operator is None:
                self.results[node][:] = np.broadcast_to(self.whole[node], (self.shape[0], self.widths[node]))[
                    self.first :
                ]
        cut = stages(self.roots.values())
        last = {i: k for k, stage in enumerate(cut) for node in stage.nodes for i in node.inputs}
        for k, stage in enumerate(cut):
            self._run_stage(stage)
            for node in [n for n in self.whole if last.get(n, -1) <= k]:
                del self.whole[node]
        return {name: self.results[node] for name, node in self.roots.items()}

    def _width(self, node: Node) -> int:
        if node.operator is None:
            return self.panels[node.name].shape[1]
        narrow = node.operator.narrow or all(self.widths[i] == 1 for i in node.inputs)
        return 1 if narrow else self.shape[1]

    def _run_stage(self, stage: Stage) -> None:
        t, n = self.shape
        narrow = frozenset(i for i in stage.nodes if self.widths[i] == 1) if stage.kind == "time" else frozenset()
        for node in (*stage.kept, *narrow):
            if not node.operator or not node.operator.outputs or node.output is not None:
                self.whole[node] = np.empty((t - self.starts[node], self.widths[node]), _dtype_of(node))
        if stage.kind == "panel":
            self._run_block(stage.nodes, slice(0, t), slice(0, n))
            return
        if narrow:
            self._run_block([i for i in stage.nodes if i in narrow], slice(0, t), slice(0, 1))
        wide = [i for i in stage.nodes if i not in narrow]
        if stage.kind == "time":
            rows = sum(t - self.starts[i] for i in wide) // max(len(wide), 1)
            part = max(min(_CELLS // max(rows, 1), -(-n // threads())), _FEWEST_ASSETS)
            in_parts(lambda a, b: self._run_block(wide, slice(0, t), slice(a, b)), n, part)
        else:
            part = max(min(_CELLS // max(n, 1), -(-t // threads())), 1)
            in_parts(lambda a, b: self._run_block(wide, slice(a, b), slice(0, n)), t, part)

    def _run_block(self, nodes: Iterable[Node], rows: slice, columns: slice) -> None:
        """Compute the nodes on a block, write what is kept or asked for, let go of the rest as soon as may be."""
        nodes = [node for node in nodes if self.starts[node] < rows.stop]
        last = {i: k for k, node in enumerate(nodes) for i in node.inputs}
        values: dict[Node, Any] = {}
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for k, node in enumerate(nodes):
                start = max(self.starts[node], rows.start)
                # A value needs rows before its own, as far as there are any.
                before = min(node.reach - 1, start - rows.start)
                given = {}
                for i in node.inputs:
                    if i not in values:
                        values[i] = self._block_of(i, rows, columns)
                    given[i] = _later(values[i], start - before - max(self._first_row(i), rows.start))
                arguments = [_resolved(a, given) for a in node.arguments]
                if node.operator is blank and node not in last and node not in self.whole:
                    self._store(node, arguments, start, rows, columns)
                else:
                    made = arguments[0][node.output] if node.output is not None else _called(node, arguments)
                    values[node] = _later(made, before)
                    self._write(node, values[node], start, rows, columns)
                for i in {*node.inputs, node}:
                    if last.get(i, -1) <= k:
                        values.pop(i, None)

    def _first_row(self, node: Node) -> int:
        """The row at which what is known of a node begins."""
        return self.starts[node] if node.operator is not None else 0

    def _block_of(self, node: Node, rows: slice, columns: slice) -> NDArray[Any]:
        """A panel's part: contiguous, sessions of a fact of the asset alone repeated."""
        panel, begins = self.whole[node], self._first_row(node)
        if panel.shape[1] > 1:
            panel = panel[:, columns]
        start = max(begins, rows.start)
        # A single row is a fact of every session, unless a single row is all that is known.
        if panel.shape[0] > 1 or begins > 0:
            panel = panel[start - begins : rows.stop - begins]
        return np.ascontiguousarray(np.broadcast_to(panel, (rows.stop - start, panel.shape[1])))

    def _store(self, node: Node, given: list[NDArray[Any]], start: int, rows: slice, columns: slice) -> None:
        """Blank a result on its way to where it goes: of all nodes many are results, and this spares a pass each."""
        first = max(self.first, start)
        if first >= rows.stop:
            return
        wide = self.widths[node] > 1
        shape = rows.stop - start, columns.stop - columns.start if wide else 1
        value, where = (np.broadcast_to(g, shape)[first - start :] for g in given)
        into = self.results[node][first - self.first : rows.stop - self.first, columns if wide else slice(0, 1)]
        store_blank(np.ascontiguousarray(value, np.float64), np.ascontiguousarray(where, np.float64), into)

    def _write(self, node: Node, value: Any, start: int, rows: slice, columns: slice) -> None:  # noqa: ANN401
        kept, result = self.whole.get(node), self.results.get(node)
        if kept is None and result is None:
            return
        wide = self.widths[node] > 1
        at = columns if wide else slice(0, 1)
        block = np.broadcast_to(value, (rows.stop - start, columns.stop - columns.start if wide else 1))
        if kept is not None:
            begins = self.starts[node]
            kept[start - begins : rows.stop - begins, at] = block
        first = max(self.first, start)
        if result is not None and first < rows.stop:
            result[first - self.first : rows.stop - self.first, at] = block[first - start :]


def first_rows(roots: Iterable[Node], first: int) -> dict[Node, int]:
    """The first row that is needed of every node, where the roots are wanted from row `first` on."""
    order = list(walk(roots))
    starts = dict.fromkeys(order, first)
    for node in reversed(order):
        for i in node.inputs:
            starts[i] = min(starts[i], max(starts[node] - node.reach + 1, 0))
    return starts


def _called(node: Node, arguments: list[Any]) -> Any:  # noqa: ANN401
    return node.operator.function(*arguments) if node.operator is not None else None


def _later(value: Any, rows: int) -> Any:  # noqa: ANN401
    """What an operator has given without its first rows."""
    if rows == 0:
        return value
    return tuple(part[rows:] for part in value) if isinstance(value, tuple) else value[rows:]


def _resolved(argument: Any, values: Mapping[Node, Any]) -> Any:  # noqa: ANN401
    """An argument with the values of the nodes that it is or holds."""
    if isinstance(argument, Node):
        return values[argument]
    return [_resolved(a, values) for a in argument] if isinstance(argument, (tuple, list)) else argument


def _dtype_of(node: Node) -> DTypeLike:
    return np.bool_ if node.operator and node.operator.name in _CONDITIONS else np.float64


def whole_at_once(roots: Iterable[Node]) -> int:
    """How many panels, beside leaves and results, a walk over the graph holds whole at the same time."""
    cut = stages(roots)
    last = {i: k for k, stage in enumerate(cut) for node in stage.nodes for i in node.inputs}
    made = [(k, last[node]) for k, stage in enumerate(cut) for node in stage.kept]
    return max((sum(a <= k <= b for a, b in made) for k in range(len(cut))), default=0)


def block_bytes(cells: int) -> int:
    """About what the blocks of panels of so many cells take, computed side by side."""
    return 8 * _PANELS_A_BLOCK * min(_CELLS * threads(), cells)
