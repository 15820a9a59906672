# Two commands to know: `make demo` shows the whole system at work, `make test` proves it.
# Everything lives in .venv, installed from the hash-locked requirement files.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := ledger consensus contracts network scripts tests

.DEFAULT_GOAL := help
.PHONY: help demo test bench lint format types check lock clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

demo: $(VENV)/.runtime ## Four validators, a thousand notarised files, a killed primary (EXIT=1 stops by itself)
	@$(BIN)/python -m scripts.demo $(if $(EXIT),--exit)

test: $(VENV)/.dev ## Every test
	@$(BIN)/python -m pytest

bench: $(VENV)/.runtime ## Committed transfers a second, latency, CPU and memory, as a table and as bench.json
	@$(BIN)/python -m scripts.bench $(BENCH)

lint: $(VENV)/.dev ## Lint and check the format
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)

format: $(VENV)/.dev ## Format, and mend what can be mended
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

types: $(VENV)/.dev ## Strict type checks
	@$(BIN)/mypy

check: lint types test ## What continuous integration runs

lock: ## Renew the lock files (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	    --group build pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	    --group build --group dev pyproject.toml -o requirements-dev.lock

clean: ## Remove the environment, caches and what the demo and the benchmark left
	rm -rf $(VENV) .demo .bench build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"Quorate needs Python 3.11 or newer, this is {v[0]}.{v[1]}: try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@
