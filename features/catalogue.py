"""The catalogue: every factor that a module of features.factors holds, and those that a user has written."""

from __future__ import annotations

import functools
import importlib
import keyword
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter

from features.expression import parse
from features.factor import Factor, Family, written
from features.fields import FACTS, FIELDS, QLIB_FIELDS, fields_of
from features.graph import Node, leaves, walk
from features.panel import ConfigError, DataError

# Columns and leaves that are there beside the factors.
_RESERVED = ("date", "order_book_id", "settled")


class Catalogue(Mapping[str, Factor]):
    """The factors of an asset class by name."""

    def __init__(self, asset_class: str, factors: Mapping[str, Factor], expressions: Mapping[str, str]) -> None:
        self.asset_class, self.expressions, self._factors = asset_class, dict(expressions), dict(factors)

    # One catalogue is one thing, however many factors another shares with it: so plans can be kept by it.
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __getitem__(self, name: str) -> Factor:
        return self._factors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._factors)

    def __len__(self) -> int:
        return len(self._factors)

    def notes(self) -> list[str]:
        """What a user ought to know of the expressions that they have written."""
        out = []
        for name in self.expressions:
            raw = list(dict.fromkeys(_raw_across_sessions(self[name].graph(frozenset(self[name].inputs)))))
            adjusted = [f"adj_{field}" for field in raw if f"adj_{field}" in self]
            if adjusted:
                out.append(
                    f"expression {name} compares raw prices of several sessions, so splits and dividends count as "
                    f"moves; {', '.join(adjusted)} {'is' if len(adjusted) == 1 else 'are'} free of them"
                )
        return out

    def require(self, name: str) -> Factor:
        """The factor of that name; ConfigError, with the nearest name, where there is none."""
        if name not in self:
            raise ConfigError(
                f"factor {name}", f"it must be in {self.asset_class}'s catalogue", "none", help=nearest(name, self)
            )
        return self[name]

    def stored(self) -> tuple[str, ...]:
        """Names of the factors that have a column in the store; ConfigError where there are none."""
        names = tuple(n for n, f in self.items() if f.stored)
        if not names:
            raise ConfigError(
                f"factors of {self.asset_class}", "the class must have factors", "none", help="There are CS's."
            )
        return names

    def select(
        self,
        *,
        sets: Iterable[str] = (),
        families: Iterable[str] = (),
        names: Iterable[str] = (),
        exclude: Iterable[str] = (),
    ) -> tuple[str, ...]:
        """Names of the stored factors in any of the sets or families or named, or written by the user, in order.

        exclude  names of factors and of families that are left out
        """
        known = {n: f for n, f in self.items() if f.stored}
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
                        f"factor {kind} {w}", f"it must be one of {self.asset_class}'s", "none", help=nearest(w, there)
                    )
        chosen = {n for n, f in known.items() if set(f.sets) & set(sets) or f.family in families or n in names}
        chosen |= set(self.expressions)
        return tuple(n for n in known if n in chosen and n not in exclude and known[n].family not in exclude)

    def with_expressions(self, expressions: Mapping[str, str]) -> Catalogue:
        """This catalogue and the factors that a user has written, name -> text, in our syntax or qlib's.

        Errors  ConfigError for a name that is taken, a text that cannot be read, or texts that read each other in a
                circle; one that looks ahead is refused when it is planned
        """
        if not expressions:
            return self
        factors = dict(self._factors)
        fields = fields_of(self.asset_class)
        names = (*self, *fields, *FACTS, *expressions)
        read: dict[str, list[str]] = {}
        for name, text in expressions.items():
            who = f"expression {name}"
            self._require_name(who, name)
            node = parse(text, names, QLIB_FIELDS.get(self.asset_class), who)
            read[name] = [i for i in leaves([node]) if i in expressions]
            late = any(
                FIELDS[i].known == "settle" if i in fields else i in self and self[i].known == "settle"
                for i in leaves([node])
            )
            factors[name] = written(
                name,
                text,
                asset_class=self.asset_class,
                zh=f"自定义因子 {name}",
                unit="-",
                known="settle" if late else "close",
                sets=("expressions",),
                warm_up="$" not in text,
            )
        _require_no_circle(read)
        return Catalogue(self.asset_class, factors, {**self.expressions, **expressions})

    def _require_name(self, who: str, name: str) -> None:
        """Refuse the name of an expression that is none, or that means something else already."""
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ConfigError(who, "its name must be letters, digits and underscores", repr(name))
        if name != name.lower():
            # The store's columns are the same name whatever their case.
            raise ConfigError(who, "its name must be in small letters", name, help=f"Say {name.lower()}.")
        taken = {
            **dict.fromkeys(_RESERVED, "a column of the store"),
            **dict.fromkeys(QLIB_FIELDS.get(self.asset_class, ()), "a $field of qlib's"),
            **dict.fromkeys(FACTS, "a fact"),
            **dict.fromkeys(fields_of(self.asset_class), "a field"),
            **dict.fromkeys(self, "a factor"),
        }
        if name in taken:
            raise ConfigError(
                who, "its name must be its own", f"{taken[name]} of that name", help=f"Say my_{name}, for instance."
            )


def _require_no_circle(read: Mapping[str, Iterable[str]]) -> None:
    """Refuse expressions of which one, by way of others, reads itself; `read` are the expressions that each reads."""
    try:
        TopologicalSorter(read).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1][::-1]
        raise ConfigError(
            f"expression {circle[0]}", "it must not read itself", " reads ".join(circle), help="Write one of them out."
        ) from None


def _raw_across_sessions(node: Node) -> list[str]:
    """The raw prices that are set beside those of other sessions, where a split or dividend may lie between."""
    return sorted(
        i.name
        for step in walk([node])
        if step.operator is not None and step.operator.axis == "time"
        for i in step.inputs
        if i.operator is None and i.name in FIELDS and FIELDS[i.name].is_price
    )


@functools.cache
def catalogue(asset_class: str) -> Catalogue:
    """Every factor of the asset class, found in the modules of features.factors."""
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
    return Catalogue(asset_class, found, {})


def nearest(name: str, there: Iterable[str]) -> str:
    """What a mistyped name may have meant."""
    names = list(there)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else f"There are: {', '.join(sorted(names)[:20])}"
