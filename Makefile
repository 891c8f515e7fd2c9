# make help lists the targets. Needs Python 3.11 or later with venv and pip; uses uv where it is on the PATH.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.built
# Passed on: make demo ARGS="--home /tmp/try", make test TEST=tests/features WORKERS=4
ARGS ?=
TEST ?= tests
WORKERS ?= 2

# Two cores: a job that spins on a shared core costs ten times what it gains, and workers x threads stay within the cores.
export OMP_WAIT_POLICY := passive
export MLFLOW_DISABLE_TELEMETRY := true
# Bytecode halves the start of mlflow; a shell that forbids it is not obeyed here.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-all check lint style types layers format lock ui docs bench clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

demo: $(STAMP)  ## the whole road on a simulated market: ingest, build, train, predict
	$(BIN)/daybar demo $(ARGS)

test: $(STAMP)  ## the tests, some twelve minutes on two cores; one file: make test TEST=tests/features/test_sessions.py
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow" $(TEST)

test-all: $(STAMP)  ## the tests, the slow ones too
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(TEST)

lint: style types layers  ## style, types and layers

style: $(STAMP)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy
	$(BIN)/mypy

layers: $(STAMP)  ## import-linter: who may lean on whom
	$(BIN)/lint-imports --no-logo

check: lint test  ## what must hold before a change goes in: lint and test

format: $(STAMP)  ## put the code into the house's format
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

lock:  ## resolve pyproject.toml into requirements.lock (needs uv)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --custom-compile-command "make lock" --quiet -o requirements.lock

ui: $(STAMP)  ## MLflow's pages on the runs, at http://127.0.0.1:5000
	$(BIN)/daybar ui $(ARGS)

docs: $(STAMP)  ## the table of functions in docs/expressions.md
	@$(BIN)/python -c "from pathlib import Path; from features.expression import reference; page = Path('docs/expressions.md'); \
	text = page.read_text(encoding='utf-8'); page.write_text(text[:text.index('| our own')] + reference() + '\n', encoding='utf-8')"

bench: $(STAMP)  ## the benchmarks; their numbers stand in benchmarks/README.md
	@for file in $(sort $(wildcard benchmarks/bench_*.py)); do echo "$$file"; $(BIN)/python "$$file"; done

clean:  ## delete the environment and the caches; keeps store, mlruns and predictions
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements.lock pyproject.toml .ci/bootstrap
	@.ci/bootstrap $(VENV)
	@touch $@
