"""YAML that remembers where each key was written: a file, what it extends and what `--set` changes, as one tree.

Scalars follow YAML 1.2, not the 1.1 of PyYAML: `1e-3` is a number, `no` is a word (a field that wants a bool takes it),
`010` is ten. Sequences become tuples. Keys that repeat, merge keys and foreign tags are refused.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from features.panel import ConfigError

KeyPath = tuple[str | int, ...]
Plain: TypeAlias = "bool | int | float | str | datetime.date | tuple[Plain, ...] | dict[str, Plain] | None"


@dataclass(frozen=True)
class Mark:
    """Where a value was written and how: the file, the line from 1 (0 for the command line), the scalar as typed."""

    origin: str
    line: int
    text: str = ""

    def __str__(self) -> str:
        return f"{self.origin}:{self.line}" if self.line else self.origin


@dataclass(frozen=True)
class Document:
    """Plain data, and the mark of every key path in it; the empty path is the document."""

    data: dict[str, Plain]
    marks: dict[KeyPath, Mark] = field(repr=False)

    def mark(self, path: KeyPath) -> Mark:
        """The mark of a key path, or of the nearest mapping above it."""
        while path not in self.marks:
            path = path[:-1]
        return self.marks[path]


class _Loader(yaml.SafeLoader):
    """Text to nodes, by the words below; building objects out of nodes is left to `_Builder`."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  an empty table of PyYAML's, not a default


class _Dumper(yaml.SafeDumper):
    """Objects to text, quoting what `_Loader` would read otherwise."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  an empty table of PyYAML's, not a default

    def ignore_aliases(self, data: object) -> bool:
        """Values are written out wherever they stand: a reader sees no anchors."""
        return True


# Which plain words are null, true, a number or a date: YAML 1.2, and underscores in integers.
_INT, _FLOAT = r"[-+]?[0-9][0-9_]*", r"[-+]?(?:[0-9][0-9_]*\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", rf"{_FLOAT}|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", list("-+.0123456789")),
    ("timestamp", r"[0-9]{4}-[0-9]{2}-[0-9]{2}", list("0123456789")),
    ("merge", r"<<", ["<"]),
):
    for _side in (_Loader, _Dumper):
        _side.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


def _short_sequence(dumper: yaml.representer.SafeRepresenter, values: tuple[object, ...]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=True)


_Dumper.add_representer(tuple, _short_sequence)


@dataclass(frozen=True)
class _Builder:
    """Nodes to data; `marks` is filled on the way."""

    origin: str
    numbered: bool
    marks: dict[KeyPath, Mark]

    def build(self, node: yaml.Node, path: KeyPath, above: tuple[yaml.Node, ...] = ()) -> Plain:
        if node in above:
            raise self._error(node, path, "an anchor must not hold itself", "a loop")
        self.marks.setdefault(path, self._mark(node))
        if isinstance(node, yaml.MappingNode):
            return {name: self.build(value, (*path, name), (*above, node)) for name, value in self._items(node, path)}
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.build(value, (*path, i), (*above, node)) for i, value in enumerate(node.value))
        return self._scalar(node, path)

    def _items(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[tuple[str, yaml.Node]]:
        seen: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if key.tag.endswith(":merge"):
                raise self._error(key, path, "merge keys are not known", "<<", "write `extends: <file>` instead")
            if key.tag != "tag:yaml.org,2002:str":
                raise self._error(key, path, "a key must be a word", repr(key.value))
            if key.value in seen:
                first = seen[key.value].start_mark.line + 1
                raise self._error(key, path, "a key stands once in a mapping", f"{key.value!r} again (line {first})")
            seen[key.value] = key
            raw = value.value if isinstance(value, yaml.ScalarNode) else ""
            self.marks[(*path, key.value)] = Mark(self.origin, self._line(key), raw)
            yield key.value, value

    def _scalar(self, node: yaml.Node, path: KeyPath) -> Plain:
        kind, text = node.tag.removeprefix("tag:yaml.org,2002:"), node.value
        try:
            if kind == "str":
                return text
            if kind == "null":
                return None
            if kind == "bool":
                return text.lower() == "true"
            if kind == "int":
                return int(text, 10)
            if kind == "float":
                return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
            if kind == "timestamp":
                return datetime.date.fromisoformat(text)
        except ValueError as error:
            raise self._error(node, path, f"{text} must be a {kind}", str(error)) from None
        raise self._error(node, path, "only plain values may stand here", f"the tag {node.tag}")

    def _line(self, node: yaml.Node) -> int:
        return node.start_mark.line + 1 if self.numbered else 0

    def _mark(self, node: yaml.Node) -> Mark:
        return Mark(self.origin, self._line(node), node.value if isinstance(node, yaml.ScalarNode) else "")

    def _error(self, node: yaml.Node, path: KeyPath, must: str, found: str, help: str = "") -> ConfigError:
        return ConfigError(f"{self._mark(node)} {dotted(path)}".strip(), must, found, help=help)


def dotted(path: KeyPath) -> str:
    """A key path as `--set` takes it: `features.sets.0`."""
    return ".".join(str(part) for part in path)


def parse(text: str, origin: str, path: KeyPath = (), numbered: bool = True) -> tuple[Plain, dict[KeyPath, Mark]]:
    """The data of one YAML document and the marks below `path`; ConfigError names origin and line."""
    marks: dict[KeyPath, Mark] = {}
    try:
        node = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = str(Mark(origin, mark.line + 1 if mark and numbered else 0))
        found = str(error.problem or error.context).removeprefix("found ")
        help = "indent with spaces, not tabs" if "'\\t'" in found else ""
        raise ConfigError(where, "it must be YAML", found, help=help) from None
    except yaml.YAMLError as error:
        raise ConfigError(origin, "it must be YAML", str(error).splitlines()[0]) from None
    if node is None:
        return None, {path: Mark(origin, 0)}
    return _Builder(origin, numbered, marks).build(node, path), marks


def read(path: Path, above: tuple[Path, ...] = ()) -> Document:
    """A file laid over what it `extends` (a path relative to the file), mappings merged, all else replaced."""
    here = path.resolve()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), "it must be a readable UTF-8 file", _reason(error)) from None
    data, marks = parse(text, str(path))
    if not isinstance(data, dict):
        raise ConfigError(str(path), "the document must be a mapping of keys", f"{type(data).__name__}")
    own = Document(data, {(): Mark(str(path), 1), **marks})
    parent = data.pop("extends", None)
    if parent is None:
        return own
    where = own.mark(("extends",))
    if not isinstance(parent, str):
        raise ConfigError(f"{where} extends", "it must be the path of one file", repr(parent))
    base = path.parent / parent
    if base.resolve() in (*above, here):
        raise ConfigError(f"{where} extends", "a config must not extend itself", f"{parent} again")
    if not base.is_file():
        raise ConfigError(f"{where} extends", "the file must be there (relative to this one)", f"no {base}")
    return merge(read(base, (*above, here)), own)


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def merge(base: Document, over: Document) -> Document:
    """`over` laid on `base`: mappings key by key, all else replaced whole."""
    data, marks = dict(base.data), dict(base.marks)
    _lay(data, marks, over.data, ())
    return Document(data, {**marks, **over.marks})


def _lay(target: dict[str, Plain], marks: dict[KeyPath, Mark], over: dict[str, Plain], path: KeyPath) -> None:
    for key, value in over.items():
        below = target.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            inner = dict(below)
            _lay(inner, marks, value, (*path, key))
            target[key] = inner
        else:
            _forget(marks, (*path, key))
            target[key] = value


def _forget(marks: dict[KeyPath, Mark], path: KeyPath) -> None:
    for old in [known for known in marks if known[: len(path)] == path]:
        del marks[old]


def override(document: Document, assignment: str) -> Document:
    """The document with one `a.b.c=value` applied; the value is YAML, and replaces what stood there whole."""
    key, equals, text = assignment.partition("=")
    names = tuple(part.strip() for part in key.split("."))
    origin = f"--set {assignment}"
    if not equals or not all(names):
        raise ConfigError(
            origin, "it must read key.path=value", repr(assignment), help="--set model.params.max_depth=6"
        )
    if names == ("extends",):
        raise ConfigError(origin, "`extends` belongs in the file", assignment)
    value, marks = parse(text, origin, names, numbered=False)
    data = dict(document.data)
    inner = data
    for depth, name in enumerate(names[:-1], start=1):
        below = inner.get(name)
        if below is not None and not isinstance(below, dict):
            raise ConfigError(origin, f"{dotted(names[:depth])} must be a mapping", repr(below))
        copy: dict[str, Plain] = dict(below or {})
        inner[name] = copy
        inner = copy
    inner[names[-1]] = value
    kept = dict(document.marks)
    _forget(kept, names)
    for depth in range(1, len(names)):
        kept.setdefault(names[:depth], Mark(origin, 0))
    return Document(data, {**kept, **marks})


def dump(data: Mapping[str, object]) -> str:
    """YAML text that `parse` reads back to equal data."""
    return yaml.dump(
        dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=110
    )
