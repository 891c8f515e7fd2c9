"""The rules of the house that no linter checks."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("features", "models", "training", "serving")
CODE = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PAGES = sorted(path for path in ROOT.glob("*.md"))
LONG = 400

UNSAFE_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "skops"}
UNSAFE_CALLS = {"eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "pd.read_pickle", "pd.eval"}
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "common", "manager", "handler", "processor", "df", "info", "tmp"}
# Imports inside a function hide what leans on what; these files do it to answer `daybar --help` fast, and say so.
LATE_IMPORTS = {"serving/cli.py", "features/sessions.py"}
# What importing the command line must not cost.
HEAVY = ("mlflow", "xgboost", "lightgbm", "pandas", "polars", "numba", "scipy", "sklearn", "matplotlib", "pyarrow")


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def syntax(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path)))


def imported(node: ast.AST) -> list[str]:
    """The top-level packages that a statement imports from elsewhere."""
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module.split(".")[0]]
    return []


def words(name: str) -> set[str]:
    """snake_case and CamelCase taken apart."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}


@pytest.mark.parametrize("path", CODE + TESTS, ids=short)
def test_nothing_is_unpickled_or_evaluated(path):
    for node in syntax(path):
        assert not UNSAFE_MODULES & set(imported(node)), f"{short(path)}:{node.lineno}"
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in UNSAFE_CALLS, f"{short(path)}:{node.lineno}"
            for given in node.keywords:
                unsafe = given.arg == "allow_pickle" and ast.unparse(given.value) != "False"
                assert not unsafe, f"{short(path)}:{node.lineno}"


@pytest.mark.parametrize("path", CODE, ids=short)
def test_code_raises_errors_that_a_user_can_read(path):
    for node in syntax(path):
        assert not isinstance(node, ast.Assert), f"{short(path)}:{node.lineno} asserts"
        if isinstance(node, ast.Raise) and node.exc is not None:
            assert "NotImplemented" not in ast.unparse(node.exc), f"{short(path)}:{node.lineno}"


@pytest.mark.parametrize("path", CODE, ids=short)
def test_imports_stand_at_the_top(path):
    if short(path) in LATE_IMPORTS:
        pytest.skip("may import late")
    for node in syntax(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            late = [inner.lineno for inner in ast.walk(node) if isinstance(inner, ast.Import | ast.ImportFrom)]
            assert not late, f"{short(path)}:{late[0]} in {node.name}"


@pytest.mark.parametrize("path", CODE + TESTS, ids=short)
def test_names_say_what_a_thing_is(path):
    empty = words(path.stem) & EMPTY_NAMES
    for node in syntax(path):
        if isinstance(node, ast.ClassDef):
            empty |= words(node.name) & EMPTY_NAMES
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            empty |= {node.id} & {"df", "info", "tmp"}
    assert not empty, f"{short(path)}: {', '.join(sorted(empty))}"


@pytest.mark.parametrize("path", CODE + TESTS, ids=short)
def test_a_long_file_says_why_it_is_long(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    if len(lines) > LONG:
        assert re.search(r"\blong\b", " ".join(lines[:15])), f"{short(path)}: {len(lines)} lines"


@pytest.mark.parametrize("path", CODE + TESTS + PAGES + [ROOT / "Makefile", ROOT / "pyproject.toml"], ids=short)
def test_no_file_has_unfinished_work_or_a_path_of_one_machine(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if path == Path(__file__):
            continue
        assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line), f"{short(path)}:{number}: {line}"
        assert not re.search(r"(?<![\w.}~-])/(home|root|Users|work|opt|mnt)/", line), f"{short(path)}:{number}: {line}"


def test_no_two_test_files_share_a_name():
    names = [path.name for path in TESTS if path.name not in {"__init__.py", "conftest.py"}]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_the_lock_names_no_host():
    requirement = re.compile(r"[a-z0-9][a-z0-9.-]*(\[[a-z0-9,-]+\])?==[^\s;@]+( ; [^@]+)? \\")
    wheel = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    strange = [
        line for line in lines if not (line.startswith("#") or requirement.fullmatch(line) or wheel.fullmatch(line))
    ]
    assert strange == []
    assert not any("://" in line for line in lines)
    assert len(lines) > 100


def test_every_dependency_is_locked_with_a_version_that_it_allows():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    locked: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE):
        locked.setdefault(name, []).append(version)
    for requirement in asked:
        name, bounds = re.fullmatch(r"([a-z0-9-]+)(?:\[[a-z]+\])?(.*)", requirement).groups()
        assert name in locked, requirement
        for bound in filter(None, bounds.split(",")):
            sign, limit = re.fullmatch(r"(>=|<)([\d.]+)", bound).groups()
            for version in locked[name]:
                ours, theirs = (tuple(map(int, re.findall(r"\d+", v)[:3])) for v in (version, limit))
                assert ours >= theirs if sign == ">=" else ours < theirs, f"{requirement}: {version}"


def test_the_version_is_the_newest_of_the_changelog_and_every_version_tells_its_numbers():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    releases = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    released = [release for release in releases if not release.startswith("[Unreleased]")]
    assert re.match(r"\[[^\]]+\] - \d{4}-\d\d-\d\d\n", released[0])
    assert released[0].startswith(f"[{project['version']}]")
    for release in released:
        assert "### Numbers" in release, release.splitlines()[0]


def make_targets() -> dict[str, str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z-]+):[^=\n]*?(?:## (.*))?$", makefile, re.MULTILINE))


def test_every_make_target_says_what_it_does():
    targets = make_targets()
    assert {"demo", "test", "test-all", "check", "lock", "format", "clean", "help"} <= set(targets)
    assert [target for target, says in targets.items() if not says] == []


def daybar(*arguments: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    start = "import sys; from serving.cli import main; sys.argv[0] = 'daybar'; sys.exit(main())"
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, *python, "-c", start, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def verbs() -> set[str]:
    """What `daybar --help` lists."""
    told = daybar("--help")
    assert told.returncode == 0, told.stderr
    return set(re.findall(r"^[\s│|]+([a-z][a-z-]*)\s{2,}\S", told.stdout, re.MULTILINE))


def commands(page: Path) -> Iterator[str]:
    """The command lines of a page's shell examples, continued lines joined."""
    for example in re.findall(r"^```(?:bash|sh|shell|console)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        for line in example.replace("\\\n", " ").splitlines():
            command = line.strip().removeprefix("$ ").split(" #")[0].strip()
            if command and not command.startswith("#"):
                yield command


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_a_command_in_the_docs_is_one_that_exists(page, verbs):
    for command in commands(page):
        for part in re.split(r"\s*(?:&&|\|)\s*", command):
            tool, *arguments = part.split()
            if Path(tool).name == "daybar":
                assert next((word for word in arguments if not word.startswith("-")), "") in verbs | {""}, command
            elif tool == "make":
                asked = [word for word in arguments if "=" not in word and not word.startswith("-")]
                assert set(asked) <= set(make_targets()), command
            else:
                assert tool in {"git", "cd", "export"}, f"{page.name}: {command}"


def test_every_verb_has_help_with_an_example(verbs):
    assert {"demo", "ingest", "build", "train", "predict"} <= verbs
    for verb in sorted(verbs):
        told = daybar(verb, "--help")
        assert told.returncode == 0, told.stderr
        assert f"daybar {verb}" in told.stdout.split("Options")[0].split("Usage:")[-1].split("\n", 1)[1], verb


def test_help_imports_nothing_heavy():
    told = daybar("--help", python=("-X", "importtime"))
    assert told.returncode == 0, told.stderr
    loaded = set(re.findall(r"\|\s+([A-Za-z_][\w]*)\s*$", told.stderr, re.MULTILINE))
    assert "serving" in loaded
    assert loaded & set(HEAVY) == set()


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_a_path_in_the_docs_is_there(page):
    paths = re.findall(
        r"(?<![\w/.])((?:features|models|training|serving|tests|configs|benchmarks|\.ci)/[\w./-]*)", page.read_text()
    )
    assert [path for path in paths if not (ROOT / path.rstrip("./")).exists()] == []


EXAMPLES = [
    pytest.param(example, id=f"{page.name}-{number}")
    for page in PAGES
    for number, example in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_python_example_in_the_docs_runs(example, tmp_path):
    script = tmp_path / "example.py"
    script.write_text(example, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
