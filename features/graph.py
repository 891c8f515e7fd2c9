"""Expressions as a graph: operators applied to panels that are not there yet.

An operator is a function of panels and settings, with what the engine must know of it. Called with arrays it computes;
called with nodes it gives a node. Arithmetic, comparisons, numpy's elementwise functions and np.where work on nodes
too: so a function that is written for arrays, called with leaves, yields its own expression (`trace`).

Equal nodes are one object: what two factors share is in the graph once. A node knows how many sessions of its leaves a
value needs, and whether it needs sessions that are yet to come.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self
from weakref import WeakValueDictionary

import numpy as np

Axis = Literal["cell", "time", "session", "panel"]
# The lookback of what looks back to the first session there is.
EVER = 1_000_000


class Untraceable(TypeError, AttributeError):
    """A function asked of a panel what only an array can tell: its values, its shape, its cells."""


@dataclass(frozen=True, eq=False)
class Operator:
    """A function of panels (T, N) and settings, and how it may be cut into blocks.

    axis     cell: elementwise; time: each asset by itself; session: each session by itself; panel: not to be cut
    reach    sessions of its panels that a value needs, t included, by its settings; below 1 it looks ahead
    outputs  names of the panels that it gives as a tuple; empty: it gives one panel
    narrow   whether it gives a market-wide series (T, 1)
    """

    name: str
    function: Callable[..., Any] = field(repr=False)
    axis: Axis
    reach: Callable[..., int] = field(repr=False)
    outputs: tuple[str, ...] = ()
    narrow: bool = False

    def __call__(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401
        """The panel of arrays, or the node of nodes."""
        if not any(_nodes_of(value) for value in (*given, *named.values())):
            return self.function(*given, **named)
        bound = self.__signature__.bind(*given, **named)
        bound.apply_defaults()
        return Node.of(self, bound.args)

    @functools.cached_property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.function)

    @functools.cached_property
    def __wrapped__(self) -> Callable[..., Any]:
        return self.function

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.function.__doc__

    @property
    def __name__(self) -> str:
        return self.name

    @functools.cached_property
    def _reach_of(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.reach).parameters)

    def sessions(self, arguments: Iterable[Any]) -> int:
        """`reach` at these arguments, given by position."""
        named = dict(zip(self.__signature__.parameters, arguments, strict=False))
        return self.reach(*(named[name] for name in self._reach_of))


def _here() -> int:
    return 1


def operator(
    axis: Axis, *, lookback: Callable[..., int] = _here, outputs: tuple[str, ...] = (), narrow: bool = False
) -> Callable[[Callable[..., Any]], Operator]:
    """Make a function of arrays an operator.

    lookback  sessions of its panels that a value needs, t included: a function of settings by their names
    """

    def make(function: Callable[..., Any]) -> Operator:
        return Operator(function.__name__, function, axis, lookback, outputs, narrow)

    return make


class Node:
    """An operator and what it is applied to, or a leaf: the name of a panel.

    arguments  nodes, numbers, None, by position of the operator's parameters
    reach      sessions of the inputs that a value needs, t included
    lookback   sessions of the leaves that a value needs, t included
    ahead      sessions after t that a value needs: 0, unless it looks ahead
    """

    __slots__ = ("__weakref__", "ahead", "arguments", "inputs", "lookback", "name", "operator", "output", "reach")

    operator: Operator | None
    arguments: tuple[Any, ...]
    inputs: tuple[Node, ...]
    name: str
    output: int | None
    reach: int
    lookback: int
    ahead: int

    # Interned by what they are; a node lives as long as somebody holds it.
    _known: ClassVar[WeakValueDictionary[tuple[Any, ...], Node]] = WeakValueDictionary()
    _lock: ClassVar = threading.Lock()

    @classmethod
    def leaf(cls, name: str) -> Node:
        """The panel of that name."""
        return cls._interned(None, (), name, None)

    @classmethod
    def of(cls, operator: Operator, arguments: tuple[Any, ...]) -> Node:
        """The operator applied to the arguments."""
        return cls._interned(operator, arguments, operator.name, None)

    @classmethod
    def _interned(cls, operator: Operator | None, arguments: tuple[Any, ...], name: str, output: int | None) -> Node:
        key = (operator and id(operator), name, output, *(_key(a) for a in arguments))
        with cls._lock:
            known = cls._known.get(key)
            if known is None:
                known = cls._new(operator, arguments, name, output)
                cls._known[key] = known
        return known

    @classmethod
    def _new(cls, operator: Operator | None, arguments: tuple[Any, ...], name: str, output: int | None) -> Self:
        self = super().__new__(cls)
        self.operator, self.arguments, self.name, self.output = operator, arguments, name, output
        self.inputs = tuple(node for a in arguments for node in _nodes_of(a))
        own = 1 if operator is None or output is not None else operator.sessions(arguments)
        self.reach = max(own, 1)
        self.lookback = self.reach - 1 + max((i.lookback for i in self.inputs), default=1)
        self.ahead = max(1 - own, 0) + max((i.ahead for i in self.inputs), default=0)
        return self

    def __getitem__(self, output: int) -> Node:
        """One of the panels of an operator that gives several."""
        several = self.operator.outputs if self.operator is not None and self.output is None else ()
        if self.operator is None or not isinstance(output, int) or not 0 <= output < len(several):
            raise Untraceable(f"{self} has no part {output}")
        return Node._interned(self.operator, (self,), self.operator.outputs[output], output)

    def __str__(self) -> str:
        if not self.arguments:
            return self.name
        if self.output is not None:
            return f"{self.arguments[0]}.{self.name}"
        return f"{self.name}({', '.join(str(a) for a in self.arguments if a is not None)})"

    def __repr__(self) -> str:
        return f"Node({self})"

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *given: Any, **named: Any) -> Node:  # noqa: ANN401
        if method != "__call__" or named or ufunc.nout != 1:
            raise Untraceable(f"{ufunc.__name__}.{method} with {', '.join(named) or 'such arguments'}")
        return Node.of(_elementwise(ufunc), given)

    def __array_function__(
        self,
        function: Callable[..., Any],
        types: Any,  # noqa: ANN401
        given: tuple[Any, ...],
        named: dict[str, Any],
    ) -> Node:
        if function not in _NUMPY or named:
            raise Untraceable(f"numpy.{function.__name__}")
        return Node.of(_NUMPY[function], given)

    def _refuse(self, *_: Any, **__: Any) -> Any:  # noqa: ANN401
        raise Untraceable(f"{self} is an expression: its values are not there yet")

    __array__ = __bool__ = __iter__ = __len__ = __float__ = __int__ = __index__ = __setitem__ = _refuse

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        raise Untraceable(f"{name} of an expression")

    __hash__ = object.__hash__


def _arithmetic() -> None:
    """Give Node Python's operators, each as numpy's elementwise function."""
    two: dict[str, np.ufunc] = {
        "add": np.add,
        "sub": np.subtract,
        "mul": np.multiply,
        "truediv": np.true_divide,
        "pow": np.power,
        "and": np.bitwise_and,
        "or": np.bitwise_or,
        "lt": np.less,
        "le": np.less_equal,
        "gt": np.greater,
        "ge": np.greater_equal,
        "eq": np.equal,
        "ne": np.not_equal,
    }
    one: dict[str, np.ufunc] = {"neg": np.negative, "abs": np.absolute, "invert": np.invert}
    for name, ufunc in two.items():
        setattr(Node, f"__{name}__", lambda a, b, u=ufunc: u(a, b))
        if ufunc not in (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal):
            setattr(Node, f"__r{name}__", lambda a, b, u=ufunc: u(b, a))
    for name, ufunc in one.items():
        setattr(Node, f"__{name}__", lambda a, u=ufunc: u(a))


def _nodes_of(argument: object) -> tuple[Node, ...]:
    """The nodes that an argument is or holds."""
    if isinstance(argument, Node):
        return (argument,)
    if isinstance(argument, (tuple, list)):
        return tuple(node for item in argument for node in _nodes_of(item))
    return ()


def _key(argument: object) -> object:
    """What makes two arguments the same: a node itself, anything else by how it is written."""
    if isinstance(argument, Node):
        return id(argument)
    if isinstance(argument, (tuple, list)):
        return tuple(_key(item) for item in argument)
    if isinstance(argument, (bool, int, float, str, type(None), np.generic)):
        return (type(argument).__name__, repr(argument))
    raise Untraceable(f"a constant of type {type(argument).__name__}")


@functools.cache
def _elementwise(ufunc: np.ufunc) -> Operator:
    names = "xyz"[: ufunc.nin]
    function = functools.partial(ufunc)
    operator = Operator(ufunc.__name__, function, "cell", _here)
    signature = inspect.Signature([inspect.Parameter(n, inspect.Parameter.POSITIONAL_ONLY) for n in names])
    operator.__dict__["__signature__"] = signature
    return operator


@operator("cell")
def where(condition: Any, x: Any, y: Any) -> Any:  # noqa: ANN401
    """x where the condition holds, else y."""
    return np.where(condition, x, y)


@operator("cell")
def clip(x: Any, low: Any, high: Any) -> Any:  # noqa: ANN401
    """x between low and high."""
    return np.clip(x, low, high)


_NUMPY: Mapping[Callable[..., Any], Operator] = {np.where: where, np.clip: clip}
_arithmetic()


def trace(function: Callable[..., Any], given: Mapping[str, Node]) -> Node | None:
    """The expression that a function of panels makes of these leaves; None if it does more than apply operators."""
    try:
        made = function(**given)
    except Untraceable:
        return None
    return made if isinstance(made, Node) else None


def walk(roots: Iterable[Node]) -> Iterator[Node]:
    """Every node that the roots are made of, each once, behind its inputs."""
    seen: set[int] = set()
    stack = [(node, False) for node in roots][::-1]
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((i, False) for i in node.inputs if id(i) not in seen)


def leaves(roots: Iterable[Node]) -> tuple[str, ...]:
    """Names of the panels that the roots are made of, sorted."""
    return tuple(sorted({node.name for node in walk(roots) if node.operator is None}))


def replaced(roots: Mapping[str, Node], by: Mapping[str, Node]) -> dict[str, Node]:
    """The roots with some leaves replaced by other nodes."""
    new: dict[int, Node] = {}

    def renewed(argument: Any) -> Any:  # noqa: ANN401
        if isinstance(argument, Node):
            return new[id(argument)]
        return type(argument)(renewed(a) for a in argument) if isinstance(argument, (tuple, list)) else argument

    for node in walk(roots.values()):
        if node.operator is None:
            new[id(node)] = by.get(node.name, node)
        else:
            arguments = tuple(renewed(a) for a in node.arguments)
            new[id(node)] = Node._interned(node.operator, arguments, node.name, node.output)
    return {name: new[id(node)] for name, node in roots.items()}
