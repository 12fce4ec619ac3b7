# Candor: `make help` lists what can be done. Every target sets up what it needs.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format lock openapi up clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(STAMP): requirements-bootstrap.lock requirements-dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Candor needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements-dev.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

setup: $(STAMP) ## Create .venv and install the hash-locked requirements

demo: $(STAMP) ## Seed a world, run the whole job, serve it (make demo ARGS=--exit stops after the run)
	$(BIN)/candor demo $(ARGS)

# Compiled modules are kept whatever the caller's shell says: a test file is compiled once, not by each worker of each run and each process that a test starts.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(STAMP) ## Run every test (needs no network; at most ten minutes on two cores)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(STAMP) ## Style, types and the walls of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## Let the formatter and the safe fixes run
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(STAMP) ## Resolve the requirements again and write the hash-locked files
	$(BIN)/uv pip compile pyproject.toml --generate-hashes --python-version 3.11 --no-header --no-emit-index-url -q -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --group dev --generate-hashes --python-version 3.11 --no-header --no-emit-index-url -q -o requirements-dev.lock
	echo 'uv>=0.13,<0.14' | $(BIN)/uv pip compile - --generate-hashes --python-version 3.11 --no-header --no-annotate -q -o requirements-bootstrap.lock

openapi: $(STAMP) ## Write the description of the HTTP API again, for tests and docs
	$(BIN)/candor openapi --out tests/contracts/openapi.json
	$(BIN)/python docs/make_http.py
	$(BIN)/python docs/make_problems.py

up: $(STAMP) ## Start Candor and serve it
	$(BIN)/candor up

clean: ## Remove caches and the virtual environment
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
