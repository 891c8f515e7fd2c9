"""The rules of the house that no linter checks."""

from __future__ import annotations

import ast
import functools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from training.alpha_config import AlphaConfig
from training.config import load
from training.market import factors_of

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("features", "models", "training", "serving")
CODE = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
LONG = 400

UNSAFE_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "skops"}
UNSAFE_CALLS = {"eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "pd.read_pickle", "pd.eval"}
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "common", "manager", "handler", "processor", "df", "info", "tmp"}
# Imports inside a function hide what leans on what; these files do it to answer `daybar --help` fast, and say so.
LATE_IMPORTS = {f"serving/verbs/{room}.py" for room in ("data", "learn", "serve")}
LATE_IMPORTS |= {"features/sessions.py", "training/evaluate/significance.py", "models/volatility/estimation.py"}
# What importing the command line must not cost.
HEAVY = ("mlflow", "xgboost", "lightgbm", "pandas", "polars", "numba", "scipy", "sklearn", "matplotlib", "pyarrow")


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@functools.cache
def syntax(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))))


def found_in(paths: Iterable[Path], kind: type | tuple[type, ...]) -> Iterator[tuple[str, ast.AST]]:
    """Every node of a kind, with where it stands."""
    for path in paths:
        for node in syntax(path):
            if isinstance(node, kind):
                yield f"{short(path)}:{node.lineno}", node


def words(name: str) -> set[str]:
    """snake_case and CamelCase taken apart."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}


def test_nothing_is_unpickled_or_evaluated():
    wrong = []
    for where, node in found_in(CODE + TESTS, (ast.Import, ast.ImportFrom)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        wrong += [f"{where}: {name}" for name in names if name.split(".")[0] in UNSAFE_MODULES]
    for where, node in found_in(CODE + TESTS, ast.Call):
        allowing = [word for word in node.keywords if word.arg == "allow_pickle" and ast.unparse(word.value) != "False"]
        if ast.unparse(node.func) in UNSAFE_CALLS or allowing:
            wrong.append(f"{where}: {ast.unparse(node)}")
    assert not wrong, "\n".join(wrong)


def test_code_raises_errors_that_a_user_can_read():
    asserts = [where for where, _ in found_in(CODE, ast.Assert)]
    raises = [(where, ast.unparse(node.exc)) for where, node in found_in(CODE, ast.Raise) if node.exc is not None]
    assert not asserts, "\n".join(asserts)
    assert [(where, what) for where, what in raises if what.startswith(("NotImplemented", "Exception"))] == []


def test_imports_stand_at_the_top():
    late = []
    for where, node in found_in(CODE, (ast.FunctionDef, ast.AsyncFunctionDef)):
        if where.split(":")[0] not in LATE_IMPORTS and any(
            isinstance(inner, ast.Import | ast.ImportFrom) for inner in ast.walk(node)
        ):
            late.append(f"{where} {node.name}")
    assert not late, "\n".join(late)


def test_names_say_what_a_thing_is():
    files = [short(path) for path in CODE + TESTS if words(path.stem) & EMPTY_NAMES]
    classes = [where for where, node in found_in(CODE + TESTS, ast.ClassDef) if words(node.name) & EMPTY_NAMES]
    variables = [
        f"{where} {node.id}"
        for where, node in found_in(CODE + TESTS, ast.Name)
        if isinstance(node.ctx, ast.Store) and node.id in {"df", "info", "tmp"}
    ]
    wrong = files + classes + variables
    assert not wrong, "\n".join(wrong)


def test_a_long_file_says_why_it_is_long():
    silent = []
    for path in CODE + TESTS:
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) > LONG and not re.search(r"\blong\b", " ".join(lines[:15])):
            silent.append(f"{short(path)}: {len(lines)} lines")
    assert not silent, "\n".join(silent)


def test_no_file_has_unfinished_work_or_a_path_of_one_machine():
    unfinished = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|(?<![\w.}~-])/(home|root|Users|work|opt|mnt)/")
    here = Path(__file__)
    wrong = []
    for path in [*CODE, *TESTS, *PAGES, *CONFIGS, ROOT / "Makefile", ROOT / "pyproject.toml"]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if path != here and unfinished.search(line):
                wrong.append(f"{short(path)}:{number}: {line.strip()}")
    assert not wrong, "\n".join(wrong)


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
    assert told.returncode == 0, told.stderr[-1000:]
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
                verb = re.sub(r"^--home\s+\S+\s*", "", " ".join(arguments)).split(" ")[0]
                assert verb in verbs or verb.startswith("--") or not verb, command
            elif tool == "make":
                asked = [word for word in arguments if "=" not in word and not word.startswith("-")]
                assert set(asked) <= set(make_targets()), command
            else:
                assert tool in {"git", "cd", "export"}, f"{page.name}: {command}"


@functools.cache
def help_of(*verb: str) -> str:
    """What `daybar VERB --help` says."""
    told = daybar(*verb, "--help")
    assert told.returncode == 0, told.stderr[-1000:]
    return told.stdout


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_an_option_in_the_docs_is_one_of_its_verb(page):
    for command in commands(page):
        tool, *words = command.split()
        if tool != "daybar" or not words or words[0].startswith("-"):
            continue
        verb = words[: 2 if words[0] == "check" and words[1:] and not words[1].startswith("-") else 1]
        for option in (word for word in words if word.startswith("--")):
            assert re.search(rf"{option}\b", help_of(*verb)), command


def fragments(page: Path) -> list[str]:
    """The YAML examples of a page."""
    return re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


CONFIG_EXAMPLES = [
    pytest.param(fragment, id=f"{page.name}-{number}")
    for page in PAGES
    for number, fragment in enumerate(fragments(page))
]


@pytest.mark.parametrize("fragment", CONFIG_EXAMPLES)
def test_a_config_in_the_docs_loads(fragment, tmp_path):
    shutil.copytree(ROOT / "configs", tmp_path, dirs_exist_ok=True)
    own = tmp_path / "example.yaml"
    model = "" if re.search("^model:", fragment, re.MULTILINE) else "model: {kind: linear}\n"
    around = "" if "extends:" in fragment else f"extends: base/cn_daily.yaml\nname: example\n{model}"
    own.write_text(around + fragment, encoding="utf-8")
    config = load(own)
    if isinstance(config, AlphaConfig):
        factors_of(config)


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_a_link_in_the_docs_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_every_verb_has_help_with_an_example(verbs):
    assert {"demo", "ingest", "build", "train", "predict"} <= verbs
    for verb in sorted(verbs):
        assert f"daybar {verb}" in help_of(verb).split("Options")[0].split("Usage:")[-1].split("\n", 1)[1], verb


def test_help_imports_nothing_heavy():
    told = daybar("--help", python=("-X", "importtime"))
    assert told.returncode == 0, told.stderr[-1000:]
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
